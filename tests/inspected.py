"""Outputs to be looked at, made without much training: of images of many classes, and of a table."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from evaluated import names
from PIL import Image

import synthaug
from synthaug.errors import SynthaugWarning

STRANGE = ("<script>alert(1)</script>", "two\nlines", "left\u202ethgir", "Donau" + "dampfschifffahrts" * 4)
"""Names of classes as anybody may call them."""


def photographs(place: Path) -> Path:
    """Ten classes of images in split folders, unequal, with a copy in and across splits and a file that is no image."""
    rng = np.random.default_rng(0)
    for split, n in (("train", 12), ("test", 4)):
        for k, name in enumerate(names(10)):
            folder = place / split / name.replace("/", "-")
            folder.mkdir(parents=True)
            for row in range(n - (k if split == "train" else 0)):
                pixels = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{row}.png")
    first = place / "train" / names(10)[1]
    shutil.copy(first / "0.png", first / "again.png")
    shutil.copy(place / "test" / names(10)[1] / "0.png", first / "leaked.png")
    (first / "notes.txt").write_text("seen twice")
    return place


def visits(place: Path) -> Path:
    """A table of two classes."""
    rng = np.random.default_rng(0)
    jobs = rng.choice(["nurse", "clerk", "a job with <b>tags</b>"], 60)
    columns = {
        "dose": rng.lognormal(size=60).round(3),
        "job": jobs,
        "age of the patient": rng.integers(20, 90, 60),
    }
    pd.DataFrame(columns | {"finding": ["ill", "well", "well"] * 20}).to_csv(place, index=False)
    return place


def expanded(source: Path, out: Path, **said: str) -> Path:
    """The data set with as many synthetic rows again, of a generator of two steps, all of it by paths."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)  # of copies, and of poor samples
        data = synthaug.open_data(str(source), **said)  # type: ignore[arg-type]
        maker = out.parent / "gen"
        synthaug.fit(data, steps=2, out=maker, progress=False)
        synthaug.expand(data, maker, to="2x", out=out, progress=False)
    return out


def strange() -> tuple[np.ndarray, np.ndarray]:
    """Images of classes of `STRANGE` names."""
    rows = np.random.default_rng(0).integers(0, 256, (24, 8, 8), dtype=np.uint8)
    return rows, np.array(STRANGE * 6)
