"""Looking inside a generator: pictures of what its noise does, and of samples beside their nearest real rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from synthaug.data.labeled import LabeledData
from synthaug.errors import InvalidRequest
from synthaug.generators.generator import Generator
from synthaug.metrics.fidelity import nearest_rows
from synthaug.modalities.base import Form
from synthaug.outputs import RECORD, open_output
from synthaug.seeding import torch_rng

_CLASSES, _BESIDE = 20, 8


def interpolation(
    generator: Generator, *, steps: int = 9, seed: int = 0, classes: int = _CLASSES
) -> np.ndarray:
    """The same walk from one draw of noise to another, in every class.

    Along the arc cos(t) a + sin(t) b, so that each point is as likely a draw as the two ends.

    Args:
        generator: what to look into.
        steps: pictures on the way, both ends included.
        seed: decides the two ends.
        classes: at most so many classes, the first ones.

    Returns:
        ``(K * steps, *form.shape)`` rows, class by class.
    """
    rng = torch_rng(seed, "inspection", "interpolation")
    start, end = torch.randn(2, *generator.noise_shape, generator=rng)
    angle = torch.linspace(0, torch.pi / 2, steps).view(-1, *[1] * start.ndim)
    walk = angle.cos() * start + angle.sin() * end
    return np.concatenate([generator.from_noise(name, walk) for name in generator.classes[:classes]])


def traversal(
    generator: Generator, name: str, *, dimensions: int = 8, steps: int = 9, seed: int = 0
) -> tuple[list[int], np.ndarray]:
    """What single dimensions of the noise change, those first that change most.

    Each is moved from -2 to 2 while the others stay; how much it changes is the mean squared difference between
    the two ends, over a few draws of the others.

    Args:
        generator: what to look into.
        name: the class.
        dimensions: how many to show.
        steps: pictures of each.
        seed: decides the draws.

    Returns:
        Positions in the flattened noise, and ``(dimensions * steps, *form.shape)`` rows in their order.
    """
    rng = torch_rng(seed, "inspection", "traversal")
    size = int(np.prod(generator.noise_shape))
    draws = torch.randn(4, size, generator=rng)

    def moved(base: Tensor, dimension: int, values: Tensor) -> np.ndarray:
        noise = base.repeat(len(values), 1)
        noise[:, dimension] = values
        return generator.from_noise(name, noise.view(-1, *generator.noise_shape))

    ends = torch.tensor([-2.0, 2.0])
    change = []
    for dimension in range(size):
        pairs = [moved(base, dimension, ends).astype(np.float64) for base in draws]
        change.append(np.mean([np.square(pair[1] - pair[0]).mean() for pair in pairs]))
    shown = np.argsort(change)[::-1][:dimensions].tolist()
    values = torch.linspace(-2, 2, steps)
    return shown, np.concatenate([moved(draws[0], dimension, values) for dimension in shown])


def beside_nearest(
    generator: Generator, data: LabeledData, *, per_class: int = 6, seed: int = 0, classes: int = _CLASSES
) -> tuple[np.ndarray, np.ndarray]:
    """Samples, drawn at random, and the row of the data nearest to each (Euclidean, on pixels).

    Args:
        generator: what to look into.
        data: real rows of the same form, usually those it was trained on.
        per_class: samples of each class.
        seed: decides the samples.
        classes: at most so many classes, the first ones.

    Returns:
        Two arrays ``(K * per_class, *form.shape)``, class by class.

    Raises:
        InvalidRequest: the data have another form.
    """
    if why := generator.form.why_not(data.form):
        raise InvalidRequest(
            f"The data do not have the form that the generator makes: {why}. Use the same image_size."
        )
    made = generator.sample(dict.fromkeys(generator.classes[:classes], per_class), seed=seed).samples
    rows = data.read()
    return made, rows[nearest_rows(generator.form.points(made), generator.form.points(rows))[0]]


def draw_beside(
    generator: Generator, data: LabeledData, out: Path, *, seed: int = 0, overwrite: bool = False
) -> None:
    """A picture of real rows beside synthetic ones, class by class; one that is there already is left as it is.

    Args:
        generator: what makes the latter.
        data: the former.
        out: a PNG file to write. It holds what it was drawn for, as text that no viewer shows.
        seed: decides the samples.
        overwrite: replace what was drawn for something else.

    Raises:
        OutputExists: something else is at ``out``.
    """
    asked = {"draw": "beside", **generator.identity, "real": data.fingerprint(), "seed": seed}
    with open_output(out, asked, overwrite=overwrite, recorded=_drawn_for) as place:
        if place.finished:
            return
        names = [name for name, n in data.counts.items() if n]
        few = [np.flatnonzero(data.labels == data.classes.index(name)) for name in names]
        real = data.read(np.concatenate([np.resize(rows, _BESIDE) for rows in few]))
        made = generator.sample(dict.fromkeys(names, _BESIDE), seed=seed).samples
        told = PngInfo()
        told.add_text(RECORD, json.dumps({"request": asked}))
        picture = generator.form.side_by_side(names, {"real": real, "synthetic": made})
        picture.save(place.work / out.name, "PNG", optimize=True, pnginfo=told)
        place.commit(out.name)


def _drawn_for(path: Path) -> Mapping[str, Any] | None:
    """What a picture was drawn for; None where it does not say so."""
    try:
        with Image.open(path) as picture:
            found: Mapping[str, Any] = json.loads(picture.info[RECORD])["request"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found


def draw(
    generator: Generator, folder: Path, *, data: LabeledData | None = None, seed: int = 0
) -> dict[str, str]:
    """Writes the pictures of this module into an existing folder; returns what each file shows.

    Args:
        generator: what to look into.
        folder: where ``interpolation.png``, ``traversal.png`` and, with data, ``nearest.png`` go.
        data: real rows to show the samples beside.
        seed: decides what is drawn.
    """
    names, form = generator.classes[:_CLASSES], generator.form
    walk = interpolation(generator, seed=seed)
    _save(folder / "interpolation.png", form, names, {"from one draw of noise to another": walk})
    first = names[0]
    shown, moved = traversal(generator, first, seed=seed)
    lines = [f"noise {dimension}" for dimension in shown]
    _save(folder / "traversal.png", form, lines, {f"{first}: each from -2 to 2": moved})
    about = {
        "interpolation.png": "one walk between two draws of noise, in every class",
        "traversal.png": f'the dimensions of the noise that change "{first}" most',
    }
    if data is not None:
        made, nearest = beside_nearest(generator, data, seed=seed)
        _save(folder / "nearest.png", form, names, {"synthetic": made, "nearest real row": nearest})
        about["nearest.png"] = "samples, and in the same order the real row nearest to each"
    return about


def _save(path: Path, form: Form, names: Sequence[str], blocks: Mapping[str, np.ndarray]) -> None:
    form.side_by_side(names, blocks).save(path, optimize=True)
