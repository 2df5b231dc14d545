"""What stands in for a trained generator."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from synthaug.generators.samples import Samples
from synthaug.modalities.image.spec import ImageSpec
from synthaug.seeding import numpy_rng

FORMATS = ["folder", "parquet", "npz", "hf"]


SPEC = ImageSpec(8, 9, 1, "HW", "uint8", 0.0, 255.0)


@dataclass
class FakeGenerator:
    """Noise that is a function of (seed, class, index), behind the interface of a trained generator."""

    classes: tuple = ("cat", "dog", "T-shirt/top")
    values: tuple = ("cat", "dog", "T-shirt/top")
    spec: ImageSpec = SPEC
    family_name: str = "cvae"
    fingerprint: str = "ab" * 32
    held_out: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    calls: int = 0
    dies_at: int = -1

    def row(self, name, index, seed):
        pixels = numpy_rng(seed, name, index).random(self.spec.shape)
        if np.dtype(self.spec.dtype).kind == "f":
            return pixels.astype(self.spec.dtype)
        return (pixels * np.iinfo(self.spec.dtype).max).astype(self.spec.dtype)

    def sample_rows(self, name, start, stop, *, seed=0):
        self.calls += 1
        if self.calls == self.dies_at:
            raise ZeroDivisionError
        n, label = stop - start, self.classes.index(name)
        return Samples(
            np.stack([self.row(name, i, seed) for i in range(start, stop)]),
            np.array([self.values[label]] * n),
            self.classes,
            self.values,
            self.spec,
            {
                "synthetic": np.ones(n, bool),
                "generator": np.array([self.fingerprint] * n),
                "seed": np.full(n, seed, np.int64),
                "class": np.array([name] * n),
                "index": np.arange(start, stop),
            },
        )

    def sample(self, counts, *, seed=0):
        parts = [self.sample_rows(name, 0, n, seed=seed) for name, n in counts.items()]
        return replace(
            parts[0],
            samples=np.concatenate([part.samples for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            provenance={k: np.concatenate([p.provenance[k] for p in parts]) for k in parts[0].provenance},
        )
