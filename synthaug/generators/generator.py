"""Exact samples: counts and a seed in, rows out, the same bytes whatever else is asked for.

Noise and forward pass run in padded blocks of one class and a fixed size. The stream of a block is keyed by
(seed, class name, block number), so row i of a class does not depend on how many rows are asked for, on the
batch size or on the other classes. (On one machine and thread count: other hardware may round differently.)
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load, save

from synthaug.data.classes import Classes
from synthaug.data.counts import Counts, resolve_counts
from synthaug.errors import InvalidRequest
from synthaug.families import Family, build
from synthaug.generators.facts import About, Achieved
from synthaug.generators.samples import MOST_SHOWN, Samples, synthetic_provenance
from synthaug.modalities.base import Form
from synthaug.seeding import torch_rng
from synthaug.wording import as_pairs, in_html, quoted

if TYPE_CHECKING:
    from PIL.Image import Image

WEIGHTS = "weights.safetensors"
ROWS = "rows.safetensors"
"""The training rows of families that keep some, apart from the weights."""

_BLOCK = 32
_ROWS = "exemplars"  # the buffer of families that keep rows


@dataclass(frozen=True)
class Selection:
    """Some rows of the sequences of a seed, such as those that judges let pass.

    Attributes:
        seed: the one seed that can then be asked for.
        rows: class name -> ``(n,)`` increasing int64 numbers of the rows to give.
    """

    seed: int
    rows: Mapping[str, np.ndarray]

    def fingerprint(self) -> str:
        """A hex digest (64 characters) of which rows these are."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        return {"seed": self.seed, "rows": {name: numbers.tolist() for name, numbers in self.rows.items()}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Selection:
        """The selection that `to_dict` wrote."""
        return cls(
            data["seed"], {name: np.array(numbers, np.int64) for name, numbers in data["rows"].items()}
        )


@dataclass(frozen=True, eq=False)
class Generator:
    """A trained class-conditional generator. `synthaug.fit` and `synthaug.load` make it.

    Attributes:
        family: its networks, with averaged weights, in eval mode, where it makes rows.
        form: the form of the rows it makes, and the way from them to tensors and back.
        classes: the classes, in order.
        seed: the seed of its training.
        steps: training steps spent.
        seconds: wall time spent on them.
        history: the lines of its training history.
        data: fingerprint, origin and rows per class ("counts") of the training rows.
        trained_on: ``(N,)`` uint64 fingerprints of its training rows.
        held_out: ``(M,)`` uint64 fingerprints of rows it must never meet.
        achieved: what its training achieved.
        kept: the rows that it gives, where it gives only some.
    """

    family: Family
    form: Form
    classes: Classes
    seed: int
    steps: int
    seconds: float
    history: list[dict[str, Any]]
    data: dict[str, Any]
    trained_on: np.ndarray
    achieved: Achieved
    held_out: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    kept: Selection | None = None

    def __repr__(self) -> str:
        return (
            f"Generator({self.family.name}, {len(self.classes)} classes of {self.form}, "
            f"{self.steps} steps, {self.fingerprint[:12]})"
        )

    def _repr_html_(self) -> str:
        """The same and what it was found to be worth, in a notebook."""
        return in_html("\n".join(filter(None, [repr(self), self.achieved.text])))

    def show(self, per_class: int = 8, seed: int = 0) -> Image:
        """A picture of samples of the classes it was trained on, at most the first 20, as `Samples.show` gives it.

        Where samples were curated, of those that were kept, whatever the seed.
        """
        there = {name: per_class for name, n in self.training_counts.items() if n}
        if self.kept is not None:
            there = {name: min(per_class, len(self.kept.rows.get(name, ()))) for name in there}
            seed = self.kept.seed
        counts = {name: n for name, n in list(there.items())[:MOST_SHOWN] if n}
        return self.sample(counts, seed=seed).show(per_class)

    def __reduce__(self) -> Any:
        # Parametrized modules do not pickle, their weights do. So that a spawned worker gets the generator.
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "family"}
        own = self.family
        built = partial(type(own), own.form, tuple(self.training_counts.values()), own.config)
        return _rebuilt, (built, self.state_files(), str(self.device), rest)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of its weights, the rows it keeps and settings of sampling other than the defaults, 64 hex digits."""
        config, usual = self.family.config, self.family.config_type()
        settings = {k: getattr(config, k) for k in self.family.adjustable}
        settings = {k: value for k, value in settings.items() if value != getattr(usual, k)}
        parts = [*self.state_files().values(), *([json.dumps(settings).encode()] if settings else [])]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    @property
    def identity(self) -> dict[str, str | None]:
        """What tells it from any other, as plain JSON data: weights and settings, and which rows it gives."""
        return {
            "generator": self.fingerprint,
            "kept": None if self.kept is None else self.kept.fingerprint(),
        }

    @property
    def training_counts(self) -> dict[str, int]:
        """Rows of each class that it was trained on."""
        return dict(self.data["counts"])

    @property
    def device(self) -> torch.device:
        """Where it makes rows."""
        return next(chain(self.family.parameters(), self.family.buffers())).device

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """The shape of the standard normal noise that one row is made from."""
        return self.family.noise_shape

    def state_files(self) -> dict[str, bytes]:
        """The family's weights, and the training rows it keeps if it does, as safetensors files by name."""
        state = {name: tensor.contiguous() for name, tensor in self.family.state_dict().items()}
        files = {WEIGHTS: save({name: tensor for name, tensor in state.items() if name != _ROWS})}
        return files | ({ROWS: save({_ROWS: state[_ROWS]})} if self.family.keeps_rows else {})

    @property
    def about(self) -> About:
        """What it is."""
        return About(
            self.family.name,
            self.fingerprint,
            self.classes.names,
            str(self.form),
            self.steps,
            self.seconds,
            self.family.keeps_rows,
            self.achieved,
        )

    def to(self, device: str | torch.device) -> Generator:
        """The same generator on another device; this one stays where it is."""
        place = resolve_device(str(device))
        return self if self.device == place else replace(self, family=copy.deepcopy(self.family).to(place))

    def adjusted(self, options: Mapping[str, Any]) -> Generator:
        """The same weights under other settings of sampling, e.g. ``{"temperature": 0.7}``; nothing is trained.

        Args:
            options: settings among the family's ``adjustable``, such as the truncation of ``cgan``, or the
                ``sampling`` of a ``cvae`` that was fitted with encodings to draw from.

        Raises:
            InvalidRequest: a setting that takes another training, or a value that it cannot have.
        """
        old = self.family
        if fixed := set(options) - set(old.adjustable):
            raise InvalidRequest(
                f"The settings {quoted(sorted(fixed))} of a trained {old.name} were to change, but only "
                f"{quoted(sorted(old.adjustable))} can without another training. Fit a generator with them."
            )
        counts, config = tuple(self.training_counts.values()), asdict(old.config) | dict(options)
        with torch.random.fork_rng(devices=[]):
            wanted = build(old.name, old.form, counts, config).state_dict().keys()
        known = old.state_dict()
        if missing := wanted - known.keys():
            raise InvalidRequest(
                f"{as_pairs(options)} was asked of a {old.name} that does not keep {quoted(sorted(missing))}. Fit one "
                f"with it (options=, or --set)."
            )
        made = partial(build, old.name, old.form, counts, config)
        family = at_rest(made, {name: known[name] for name in wanted})
        return replace(self, family=family.to(self.device))

    def keeping(self, selection: Selection | None) -> Generator:
        """The same generator, which gives only these rows of the sequences of a seed; all when None."""
        return replace(self, kept=selection)

    def resolve(self, counts: Counts) -> dict[str, int]:
        """The request as {class name: rows}, in its own order; raises as `sample` does."""
        return resolve_counts(counts, self.classes)

    def sample(self, counts: Counts, *, seed: int = 0) -> Samples:
        """Exactly these new rows, class by class in the order of the request.

        Args:
            counts: rows per class by name or by the data set's own label, or one number for every class.
            seed: another seed gives other rows.

        Raises:
            InvalidRequest: an unknown class, a negative count, or nothing at all.
        """
        wanted = self.resolve(counts)
        return Samples.join([self.sample_rows(name, 0, n, seed=seed) for name, n in wanted.items()])

    def sample_rows(self, name: str, start: int, stop: int, *, seed: int = 0) -> Samples:
        """Rows ``start`` to ``stop`` (exclusive) of the sequence of a class and a seed; it ends with what is kept."""
        if self.kept is None:
            return self._rows(name, start, stop, seed)
        self.require({name: stop}, seed)
        numbers = self.numbers(name, start, stop)
        first, last = (int(numbers[0]), int(numbers[-1])) if len(numbers) else (0, 0)
        return self._rows(name, first, last + 1, seed)[numbers - first]

    def require(self, counts: Mapping[str, int], seed: int) -> None:
        """Refuse rows that are not among those that are kept, where only some are.

        Args:
            counts: class name -> how many of the first rows of its sequence.
            seed: of the sequences.

        Raises:
            InvalidRequest: naming every class of which there are too few, with how many there are.
        """
        if self.kept is None:
            return
        rows = self.kept.rows if seed == self.kept.seed else {}
        known = {name: len(rows.get(name, ())) for name in counts}
        if short := [f'"{name}": {known[name]} of {n}' for name, n in counts.items() if n > known[name]]:
            raise InvalidRequest(
                f"Of the rows of seed {seed} that were asked for, these are there ({'; '.join(short)}), as only some "
                f"rows of seed {self.kept.seed} were curated. Ask for fewer, of that seed; or choose again with more."
            )

    def numbers(self, name: str, start: int, stop: int) -> np.ndarray:
        """``(stop - start,)`` int64: the numbers by which `sample_rows` gives its rows in their provenance."""
        if self.kept is None:
            return np.arange(start, stop, dtype=np.int64)
        return self.kept.rows.get(name, np.empty(0, np.int64))[start:stop]

    @torch.inference_mode()
    def from_noise(self, name: str, noise: torch.Tensor) -> np.ndarray:
        """``(N, *form.shape)`` rows of a class, one from each row of ``noise`` ``(N, *noise_shape)`` float32."""
        labels = torch.full((len(noise),), self.classes.index(name))
        return self.form.decode(self.family.sample(labels.to(self.device), noise.to(self.device)))

    @torch.no_grad()
    def make(self, positions: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Rows as tensors on the generator's device, for training steps there.

        Args:
            positions: ``(n,)`` int64, the classes by their positions.
            noise: ``(n, *noise_shape)`` float32, standard normal.

        Returns:
            ``(n, *form.shape)`` of the dtype of ``form``.
        """
        made = self.family.sample(positions.to(self.device), noise.to(self.device))
        return self.form.decode_on_device(made)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Writes the generator as a folder that `synthaug.load` reads.

        Raises:
            OutputExists: something else is there and ``overwrite`` is false.
        """
        from synthaug.generators.artifact import save_generator  # which reads generators, too

        save_generator(self, path, overwrite=overwrite)

    def _rows(self, name: str, start: int, stop: int, seed: int) -> Samples:
        label = self.classes.index(name)
        name = self.classes[label]  # not a text of NumPy, as provenance has it: its key would be another
        first = start // _BLOCK
        blocks = [
            self._block(name, block, seed) for block in range(first, max(first + 1, -(-stop // _BLOCK)))
        ]
        rows = np.concatenate(blocks)[start - first * _BLOCK : stop - first * _BLOCK]
        return Samples(
            samples=rows,
            labels=np.array([self.classes.values[label]] * len(rows)),
            classes=self.classes,
            form=self.form,
            provenance=synthetic_provenance(
                self.fingerprint, seed, name, np.arange(start, start + len(rows), dtype=np.int64)
            ),
            held_out=self.held_out,
        )

    @torch.inference_mode()
    def _block(self, name: str, block: int, seed: int) -> np.ndarray:
        rng = torch_rng(seed, "sample", name, block)
        return self.from_noise(name, torch.randn(_BLOCK, *self.family.noise_shape, generator=rng))


def at_rest(made: Callable[[], Family], state: Mapping[str, torch.Tensor]) -> Family:
    """A family with these weights, that is not trained any more; torch's global stream is left as it was.

    Args:
        made: makes the family, untrained.
        state: its weights.

    Raises:
        RuntimeError: weights that do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        family = made()
    family.load_state_dict(dict(state))
    family.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent from torch's stubs
    return family.eval().requires_grad_(False)


def resolve_device(device: str) -> torch.device:
    """``auto`` becomes CUDA where there is one, the one of its own for a process of ``torchrun``; else the CPU.

    Raises:
        InvalidRequest: a device that torch does not know or that is not there.
    """
    if device == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidRequest(
            f'The device "{device}" cannot be used here ({reason}). Try --device cpu.'
        ) from None


def _rebuilt(
    made: Callable[[], Family], files: Mapping[str, bytes], device: str, rest: Mapping[str, Any]
) -> Generator:
    state = {key: tensor for file in files.values() for key, tensor in load(file).items()}
    return Generator(family=at_rest(made, state).to(device), **rest)
