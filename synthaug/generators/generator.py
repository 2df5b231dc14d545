"""Exact samples: counts and a seed in, rows out, the same bytes whatever else is asked for.

Noise and forward pass run in padded blocks of one class and a fixed size. The stream of a block is keyed by
(seed, class name, block number), so row i of a class does not depend on how many rows are asked for, on the
batch size or on the other classes. (On one machine and thread count: other hardware may round differently.)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_weights

from synthaug.data.counts import Counts, resolve_counts
from synthaug.errors import InvalidRequest
from synthaug.families import build
from synthaug.files.hub import find_generator, push
from synthaug.generators.artifact import read_artifact, state_files, write_artifact
from synthaug.generators.samples import Samples
from synthaug.modalities.image.codec import ImageCodec
from synthaug.modalities.image.spec import ImageSpec
from synthaug.outputs import open_output
from synthaug.seeding import torch_rng
from synthaug.training.train import Trained, resolve_device

_BLOCK = 32


class Generator:
    """A trained class-conditional generator.

    Attributes:
        classes: class names, in order.
        values: each class's label in the data set's own encoding.
        spec: the form of the rows it makes.
        codec: raw rows <-> tensors.
        family_name: e.g. ``cvae``.
        fingerprint: SHA-256 of its weights, the rows it keeps and settings of sampling other than the defaults,
            64 hex digits.
        trained_on: ``(N,)`` uint64 fingerprints of its training rows.
        held_out: ``(M,)`` uint64 fingerprints of rows it must never meet.
        history: the lines of its training history.
        training_counts: rows of each class that it was trained on.
        steps: training steps spent.
        seconds: wall time spent on them.
        contains_training_rows: whether its files hold training rows.
        achieved: what its training achieved, in figures and, as ``text``, in words.
    """

    def __init__(self, trained: Trained, device: str = "cpu") -> None:
        self._trained = trained
        self._device = resolve_device(device)
        self._kept: tuple[int, dict[str, np.ndarray]] | None = None
        self._family = trained.family.to(self._device)
        config, usual = self._family.config, self._family.config_type()
        settings = {k: getattr(config, k) for k in self._family.adjustable}
        settings = {k: value for k, value in settings.items() if value != getattr(usual, k)}
        parts = [*state_files(trained).values(), *([json.dumps(settings).encode()] if settings else [])]
        self.fingerprint = hashlib.sha256(b"".join(parts)).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        # Parametrized modules do not pickle, their weights do. So that a spawned worker gets the generator.
        family = self._trained.family
        built = family.name, family.shape, tuple(self.training_counts.values()), asdict(family.config)
        rest = {f.name: getattr(self._trained, f.name) for f in fields(self._trained) if f.name != "family"}
        return {
            "built": built,
            "files": state_files(self._trained),
            "rest": rest,
            "device": self._device,
            "kept": self._kept,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        with torch.random.fork_rng(devices=[]):
            family = build(*state["built"])
        family.load_state_dict(
            {k: v for file in state["files"].values() for k, v in load_weights(file).items()}
        )
        family.to(memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
        self.__init__(Trained(family=family, **state["rest"]), str(state["device"]))  # type: ignore[misc]
        self._kept = state["kept"]

    @property
    def classes(self) -> tuple[str, ...]:  # noqa: D102
        return self._trained.classes

    @property
    def values(self) -> tuple[Any, ...]:  # noqa: D102
        return self._trained.values

    @property
    def codec(self) -> ImageCodec:  # noqa: D102
        return self._trained.codec

    @property
    def spec(self) -> ImageSpec:  # noqa: D102
        return self._trained.codec.spec

    @property
    def family_name(self) -> str:  # noqa: D102
        return self._trained.family.name

    @property
    def history(self) -> list[dict[str, Any]]:  # noqa: D102
        return self._trained.history

    @property
    def steps(self) -> int:  # noqa: D102
        return self._trained.steps

    @property
    def seconds(self) -> float:  # noqa: D102
        return self._trained.seconds

    @property
    def contains_training_rows(self) -> bool:  # noqa: D102
        return self._trained.family.keeps_rows

    @property
    def achieved(self) -> dict[str, Any]:  # noqa: D102
        return self._trained.achieved

    @property
    def trained_on(self) -> np.ndarray:  # noqa: D102
        return self._trained.trained_on

    @property
    def held_out(self) -> np.ndarray:  # noqa: D102
        return self._trained.held_out

    @property
    def training_counts(self) -> dict[str, int]:  # noqa: D102
        return dict(self._trained.data["counts"])

    def __repr__(self) -> str:
        return (
            f"Generator({self.family_name}, {len(self.classes)} classes of {self.spec}, "
            f"{self._trained.steps} steps, {self.fingerprint[:12]})"
        )

    @property
    def device(self) -> torch.device:
        """Where it makes rows."""
        return torch.empty(0, device=self._device).device

    def to(self, device: str | torch.device) -> Generator:
        """The same generator on another device; this one stays where it is."""
        moved = Generator.__new__(Generator)
        moved.__setstate__(self.__getstate__() | {"device": str(device)})
        return moved

    def adjusted(self, options: Mapping[str, Any]) -> Generator:
        """The same weights under other settings of sampling, e.g. ``{"temperature": 0.7}``; nothing is trained.

        Args:
            options: settings among the family's ``adjustable``, such as the truncation of ``cgan``, or the
                ``sampling`` of a ``cvae`` that was fitted with encodings to draw from.

        Raises:
            InvalidRequest: a setting that takes another training, or a value that it cannot have.
        """
        old = self._family
        if fixed := set(options) - set(old.adjustable):
            raise InvalidRequest(
                f"The settings {sorted(fixed)} of a trained {old.name} were to change, but only "
                f"{sorted(old.adjustable)} can without another training. Fit a generator with them."
            )
        with torch.random.fork_rng(devices=[]):
            built = build(
                old.name, old.shape, tuple(self.training_counts.values()), asdict(old.config) | dict(options)
            )
        known, wanted = old.state_dict(), built.state_dict().keys()
        if missing := wanted - known.keys():
            raise InvalidRequest(
                f"{dict(options)} was asked of a {old.name} that does not keep {sorted(missing)}. Fit one with "
                f"options={dict(options)}."
            )
        built.load_state_dict({name: known[name] for name in wanted})
        built.to(memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
        return Generator(replace(self._trained, family=built), str(self._device))

    def keeping(self, rows: Mapping[str, np.ndarray], seed: int) -> Generator:
        """The same generator, which gives only these rows of the sequences of a seed, such as those that were curated.

        Args:
            rows: class name -> ``(n,)`` increasing int64 numbers of the rows to give.
            seed: the one seed that can then be asked for.
        """
        few = Generator(self._trained, str(self._device))
        few._kept = seed, {name: np.asarray(numbers, np.int64) for name, numbers in rows.items()}
        return few

    @property
    def kept(self) -> Mapping[str, np.ndarray] | None:
        """The numbers of the rows that it gives, by class, where it gives only some; see `keeping`."""
        return None if self._kept is None else self._kept[1]

    @property
    def unselected(self) -> Generator:
        """The same generator, which gives all rows of its sequences."""
        return self if self._kept is None else Generator(self._trained, str(self._device))

    def sample(self, counts: Counts, *, seed: int = 0) -> Samples:
        """Exactly these new rows, class by class in the order of the request.

        Args:
            counts: rows per class by name or by the data set's own label, or one number for every class.
            seed: another seed gives other rows.

        Raises:
            InvalidRequest: an unknown class, a negative count, or nothing at all.
        """
        parts = [self.sample_rows(name, 0, n, seed=seed) for name, n in self.resolve(counts).items()]
        return _concatenate(parts)

    def stream(self, counts: Counts, *, seed: int = 0, batch_size: int = 64) -> Iterator[Samples]:
        """The rows of `sample` in the same order, ``batch_size`` at a time (the last one less), in bounded memory."""
        if batch_size < 1:
            raise InvalidRequest(f"A batch size of {batch_size} was asked for; give at least 1.")
        return self._stream(self.resolve(counts), seed, batch_size)

    def sample_rows(self, name: str, start: int, stop: int, *, seed: int = 0) -> Samples:
        """Rows ``start`` to ``stop`` (exclusive) of the endless sequence that a seed gives to a class."""
        if self._kept is not None:
            return self._kept_rows(name, start, stop, seed)
        return self._rows(name, start, stop, seed)

    def _kept_rows(self, name: str, start: int, stop: int, seed: int) -> Samples:
        assert self._kept is not None, "all rows are kept"
        own, kept = self._kept[0], self._kept[1][name]
        if seed != own or stop > len(kept):
            raise InvalidRequest(
                f'Rows {start} to {stop} of "{name}" of seed {seed} were asked of a generator of which {len(kept)} '
                f"rows of seed {own} were curated. Ask for fewer, of that seed; or choose again with more."
            )
        numbers = kept[start:stop]
        first, last = (int(numbers[0]), int(numbers[-1])) if len(numbers) else (0, 0)
        return self._rows(name, first, last + 1, seed)[numbers - first]

    def _rows(self, name: str, start: int, stop: int, seed: int) -> Samples:
        label = self.classes.index(name)
        first = start // _BLOCK
        blocks = [self._block(label, block, seed) for block in range(first, -(-stop // _BLOCK))]
        rows = np.concatenate(blocks)[start - first * _BLOCK : stop - first * _BLOCK]
        count = len(rows)
        return Samples(
            samples=rows,
            labels=np.array([self.values[label]] * count),
            classes=self.classes,
            values=self.values,
            spec=self.spec,
            provenance={
                "synthetic": np.ones(count, bool),
                "generator": np.array([self.fingerprint] * count),
                "seed": np.full(count, seed, np.int64),
                "class": np.array([name] * count),
                "index": np.arange(start, stop, dtype=np.int64),
            },
            held_out=self.held_out,
        )

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Writes the generator as a folder that `synthaug.load` reads.

        Raises:
            OutputExists: something else is there and ``overwrite`` is false.
        """
        with open_output(path, {"generator": self.fingerprint}, overwrite=overwrite) as output:
            if not output.finished:
                self.write(output.work)
                output.commit()

    def write(self, folder: Path) -> None:
        """Writes the generator's files into an existing folder, such as one that is part of a larger output."""
        write_artifact(self._trained, folder)

    def push_to_hub(
        self,
        name: str,
        *,
        license: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        include_rows: bool = False,
    ) -> str:
        """The address of the repository that now holds the generator, for `synthaug.load`; see `files.hub.push`.

        Raises:
            InvalidRequest: a name that is not ``owner/name``, or a generator that contains training rows without
                ``include_rows``.
            HubError: the hub cannot be reached or refuses.
        """
        with TemporaryDirectory() as folder:
            self.write(Path(folder))
            return push(
                folder, name, license=license, private=private, token=token, include_rows=include_rows
            )

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "cpu",
        *,
        revision: str | None = None,
        token: str | bool | None = None,
    ) -> Generator:
        """The generator saved at ``path``, or in the hub's repository ``owner/name``, on ``device``.

        Args:
            path: a folder; a repository where no such folder is there.
            device: ``auto``, ``cpu``, ``cuda``, ...
            revision: branch, tag or commit of the repository.
            token: of the hub; the one stored on this machine when None.

        Raises:
            InvalidArtifact: it is not there, not whole, changed, or of a newer version.
            HubError: the hub cannot be reached, or has no such repository.
        """
        return cls(read_artifact(find_generator(path, revision=revision, token=token)), device)

    def resolve(self, counts: Counts) -> dict[str, int]:
        """The request as {class name: rows}, in its own order; raises as `sample` does."""
        return resolve_counts(counts, self.classes, self.values)

    def _stream(self, counts: dict[str, int], seed: int, batch_size: int) -> Iterator[Samples]:
        pending: list[Samples] = []
        for name, n in counts.items():
            for start in range(0, n, _BLOCK):
                pending.append(self.sample_rows(name, start, min(n, start + _BLOCK), seed=seed))
                if sum(map(len, pending)) >= batch_size:
                    whole = _concatenate(pending)
                    ready = len(whole) // batch_size * batch_size
                    yield from (whole[at : at + batch_size] for at in range(0, ready, batch_size))
                    pending = [whole[ready:]]
        if sum(map(len, pending)):
            yield _concatenate(pending)

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """The shape of the standard normal noise that one row is made from."""
        return self._family.noise_shape

    @torch.inference_mode()
    def from_noise(self, name: str, noise: torch.Tensor) -> np.ndarray:
        """``(N, *spec.shape)`` rows of a class, one from each row of ``noise`` ``(N, *noise_shape)`` float32."""
        labels = torch.full((len(noise),), self.classes.index(name))
        return self.codec.decode(self._family.sample(labels.to(self._device), noise.to(self._device)))

    @torch.no_grad()
    def make(self, positions: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Rows as tensors on the generator's device, for training steps there.

        Args:
            positions: ``(n,)`` int64, the classes by their positions.
            noise: ``(n, *noise_shape)`` float32, standard normal.

        Returns:
            ``(n, *spec.shape)`` of the dtype of ``spec``.
        """
        made = self._family.sample(positions.to(self._device), noise.to(self._device))
        return self.codec.decode_on_device(made)

    @torch.inference_mode()
    def _block(self, label: int, block: int, seed: int) -> np.ndarray:
        rng = torch_rng(seed, "sample", self.classes[label], block)
        noise = torch.randn(_BLOCK, *self._family.noise_shape, generator=rng)
        return self.from_noise(self.classes[label], noise)


def _concatenate(parts: list[Samples]) -> Samples:
    first = parts[0]
    return Samples(
        samples=np.concatenate([part.samples for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        classes=first.classes,
        values=first.values,
        spec=first.spec,
        provenance={k: np.concatenate([part.provenance[k] for part in parts]) for k in first.provenance},
        held_out=first.held_out,
    )
