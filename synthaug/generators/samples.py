"""Synthetic rows with their labels and where they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.classes import Classes
from synthaug.data.readers.written import (
    PROVENANCE_COLUMNS as PROVENANCE_COLUMNS,
    PROVENANCE_TYPES,
    own_name,
)
from synthaug.errors import InvalidRequest
from synthaug.modalities.base import Form
from synthaug.wording import in_html

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

MOST_SHOWN = 20
"""Classes in a picture of samples."""

_SHORT = 12  # characters of a fingerprint


@dataclass(frozen=True, repr=False)
class Samples:
    """Synthetic rows in the layout, dtype, range and label encoding of the data set they imitate.

    Attributes:
        samples: ``(N, *form.shape)`` of dtype ``form.dtype``, values as a data set could hold them.
        labels: ``(N,)`` in the data set's own encoding (int64, str or bool).
        classes: the classes, in the data set's order.
        form: the form of one row.
        provenance: columns of length N: ``synthetic`` (bool, all True), ``generator`` (str, the weights'
            SHA-256), ``seed`` (int64), ``class`` (str) and ``index`` (int64): row ``index`` of class ``class``
            of that generator and seed can be made again from these alone.
        held_out: ``(M,)`` uint64 fingerprints of rows that were kept from the generator for testing;
            mixing refuses loaders that contain them.
    """

    samples: np.ndarray
    labels: np.ndarray
    classes: Classes
    form: Form
    provenance: Mapping[str, np.ndarray]
    held_out: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))

    @classmethod
    def join(cls, parts: Sequence[Samples]) -> Samples:
        """Samples of one generator, one after the other; at least one part."""
        return replace(
            parts[0],
            samples=np.concatenate([part.samples for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            provenance={
                k: np.concatenate([part.provenance[k] for part in parts]) for k in parts[0].provenance
            },
        )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, rows: slice | np.ndarray) -> Samples:
        """The rows chosen by a slice, an index array or a boolean mask, as Samples."""
        return replace(
            self,
            samples=self.samples[rows],
            labels=self.labels[rows],
            provenance={name: column[rows] for name, column in self.provenance.items()},
        )

    def __repr__(self) -> str:
        """What they are, in a line, however many there are."""
        kinds = sum(1 for n in self.counts.values() if n)
        origin = ""
        if len(self) and {"generator", "seed"} <= set(self.provenance):
            names, seeds = (np.unique(self.provenance[name]).tolist() for name in ("generator", "seed"))
            by = str(names[0])[:_SHORT] if len(names) == 1 else f"{len(names)} generators"
            origin = f", by {by}, {f'seed {seeds[0]}' if len(seeds) == 1 else f'{len(seeds)} seeds'}"
        return f"Samples({len(self)} rows of {kinds} classes, {self.form}{origin})"

    def _repr_html_(self) -> str:
        """The same and the picture of `show`, in a notebook."""
        return in_html(repr(self), self.show() if len(self) else None)

    def show(self, per_class: int = 8) -> Image:
        """A picture of some rows, which a notebook shows where it is the last line of a cell.

        A line of images for each of the first 20 classes that have rows, as many as the rarest of them has and at most
        ``per_class``; of tables how often values are found in each column, of all rows.

        Raises:
            InvalidRequest: there are no rows.
        """
        if not len(self):
            raise InvalidRequest("There are no rows to show.")
        if not self.form.in_lines:
            return self.form.side_by_side(["all"], {"synthetic": self.samples})
        names = [name for name, n in self.counts.items() if n][:MOST_SHOWN]
        n = min(per_class, *(self.counts[name] for name in names))
        places = self.class_indices
        each = [np.flatnonzero(places == self.classes.position(name))[:n] for name in names]
        return self.form.side_by_side(names, {"synthetic": self.samples[np.concatenate(each)]})

    def to_tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """``(N, *form.shape)`` raw rows and ``(N,)`` int64 class positions, such as a ``TensorDataset`` takes.

        Raises:
            InvalidRequest: rows of a type that no tensor has.
        """
        import torch

        native = np.array(self.samples, self.samples.dtype.newbyteorder("="), order="C")
        try:
            return torch.from_numpy(native), torch.from_numpy(self.class_indices)
        except TypeError as error:
            raise InvalidRequest(f"Rows of {self.form} cannot be a tensor: {error}.") from error

    def to_pandas(self) -> Any:
        """A data frame of their ``label`` and provenance; of tables behind their columns.

        Columns are as pyarrow gives them to pandas: integers and truths with missing cells are floats and objects.
        Where a column of the table has the name of one of ours, ours is ``synthaug_label`` and so on.
        """
        import pyarrow as pa

        cells = self.form.cells(self.samples)
        told = {"label": self.labels, **self.provenance}
        return pa.table(
            cells | {own_name(name, cells): pa.array(of) for name, of in told.items()}
        ).to_pandas()

    def to_dataset(self) -> Any:
        """A Hugging Face data set of the rows, their ``label`` as a ClassLabel, and provenance.

        Images are in a column ``image``, columns of tables under their own names; where one of these has the name of
        one of ours, ours is ``synthaug_label`` and so on.
        """
        import datasets
        from datasets import ClassLabel, Value

        rows = self.form.as_dataset(self.samples)
        told = {"label": (self.class_indices, ClassLabel(names=list(self.classes)))}
        told |= {
            name: (of, Value(kind))
            for name, kind in zip(PROVENANCE_COLUMNS, PROVENANCE_TYPES, strict=True)
            if (of := self.provenance.get(name)) is not None
        }
        named = {own_name(name, rows.features): of for name, of in told.items()}
        features = datasets.Features({name: kind for name, (_, kind) in named.items()})
        beside = datasets.Dataset.from_dict({name: of.tolist() for name, (of, _) in named.items()}, features)
        return datasets.concatenate_datasets([rows, beside], axis=1)

    @property
    def class_indices(self) -> np.ndarray:
        """``(N,)`` int64 position of each row's class in ``classes``."""
        position = {name: i for i, name in enumerate(self.classes)}
        return np.array([position[str(name)] for name in self.provenance["class"]], dtype=np.int64)

    @property
    def counts(self) -> dict[str, int]:
        """Rows per class name, in the order of ``classes``; absent classes have 0."""
        found = np.bincount(self.class_indices, minlength=len(self.classes))
        return dict(zip(self.classes, found.tolist(), strict=True))

    def fingerprints(self) -> np.ndarray:
        """``(N,)`` uint64 content hash of each row, which a real row of the same content has too."""
        return self.form.fingerprints(self.samples)


def real_provenance(n: int) -> dict[str, np.ndarray]:
    """The provenance columns of ``n`` real rows: not synthetic, and empty or -1 otherwise.

    Never null, so that rows still collate into batches.
    """
    return {
        "synthetic": np.zeros(n, bool),
        "generator": np.full(n, "", "<U1"),
        "seed": np.full(n, -1, np.int64),
        "class": np.full(n, "", "<U1"),
        "index": np.full(n, -1, np.int64),
    }


def synthetic_provenance(generator: str, seed: int, name: str, index: np.ndarray) -> dict[str, np.ndarray]:
    """The provenance columns of synthetic rows of one class.

    Args:
        generator: SHA-256 of its weights.
        seed: of the rows.
        name: the class.
        index: ``(n,)`` int64 numbers of the rows in the sequence that the seed gives to the class.
    """
    n = len(index)
    return {
        "synthetic": np.ones(n, bool),
        "generator": np.array([generator] * n),
        "seed": np.full(n, seed, np.int64),
        "class": np.array([name] * n),
        "index": index,
    }
