"""What every kind of data gives the rest of the house: the form of a row, and networks over encoded rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import nn

Container = Literal["array", "tensor", "pil", "frame"]
"""What a data set hands out a row in."""

Augment: TypeAlias = "Callable[[torch.Tensor, int], torch.Tensor]"
"""``augment(batch, seed)``: an encoded batch, changed at random, as a function of the batch and the seed."""

F = TypeVar("F", bound="Form")


class Form(ABC):
    """The form of one row as a data set hands it out, and the way to a float32 tensor and back.

    It is a frozen dataclass of plain values, so that forms are compared by what they say.

    Attributes:
        kind: the modality, by its name.
        noun: what one row is called in a message.
        thing: what its content is called there.
        grain: what one value of it is called.
        augmented: whether there are classical augmentations of the kind.
        pictured: whether a person sees in the picture of a row what it is.
        coincides: whether two rows may be equal by chance, so that it has to be asked which are `telling`.
        light: whether a step over rows is so little work that a second thread costs more than it brings.
        dtype: of the values of a raw row.
        container: what the data set hands out.
    """

    kind: ClassVar[str]
    noun: ClassVar[str]
    thing: ClassVar[str] = "row"
    grain: ClassVar[str] = "value"
    augmented: ClassVar[bool] = False
    pictured: ClassVar[bool] = False
    coincides: ClassVar[bool] = False
    light: ClassVar[bool] = False
    dtype: str
    container: Container

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The array shape of one raw row."""

    @property
    @abstractmethod
    def encoded(self) -> tuple[int, ...]:
        """The shape of an encoded row."""

    @property
    def complete(self) -> bool:
        """Whether it is known what an encoded row is, before the form is fitted to any."""
        return True

    def unfit(self) -> str | None:
        """Why no row of this form can be learned from, as the end of a sentence that names one; None where they can."""
        return None

    def doubts(self, span: tuple[float, float], origin: str) -> Iterator[str]:
        """What should be known of rows whose values have this span before they are trained on, a sentence each."""
        yield from ()

    def oddities(self, read: Callable[[], np.ndarray]) -> Iterator[str]:
        """What should be known of rows before they are trained on, a sentence each; ``read()`` gives all of them."""
        yield from ()

    @property
    def instead(self) -> str | None:
        """What is worth more than training on rows of this form from scratch, a sentence; None where none is known."""
        return None

    @property
    def opening(self) -> dict[str, Any]:
        """Options of `open_data` that bring other rows to this form."""
        return {}

    def admits(self, row: np.ndarray) -> bool:
        """Whether a row is, as an augmentation gets it, of this form; where an augmentation takes any size, of any."""
        return row.shape == self.shape and row.dtype == self.dtype

    def of_cells(self, cells: Any) -> np.ndarray:
        """``(n, *shape)`` raw rows of what a file holds them as."""
        return np.ascontiguousarray(np.stack(cells).reshape(-1, *self.shape), self.dtype)

    @property
    def ends(self) -> list[np.ndarray]:
        """A raw row of the lowest and one of the highest values, where these are known."""
        return []

    @abstractmethod
    def fitted(self: F, rows: np.ndarray) -> F:
        """This form with what only training rows ``(N, *shape)`` can tell, such as ranges.

        Raises:
            InvalidData: rows that nothing can be learned from.
        """

    @abstractmethod
    def encode(self, rows: np.ndarray) -> torch.Tensor:
        """``(N, *shape)`` raw rows -> ``(N, *encoded)`` float32, about [-1, 1].

        Raises:
            SpecMismatch: rows of another shape or dtype.
        """

    @abstractmethod
    def decode(self, tensors: torch.Tensor) -> np.ndarray:
        """``(N, *encoded)`` tensors -> ``(N, *shape)`` rows of ``dtype`` that a data set could hold."""

    @abstractmethod
    def decode_on_device(self, tensors: torch.Tensor) -> torch.Tensor:
        """As `decode`, but a tensor where ``tensors`` are."""

    @abstractmethod
    def fingerprints(self, rows: np.ndarray, ends: np.ndarray | None = None) -> np.ndarray:
        """``(N,)`` uint64 content hashes of rows ``(N, *shape)``.

        Args:
            rows: raw rows.
            ends: values that show the range of the whole set where ``rows`` are a part of it.
        """

    def telling(self, rows: np.ndarray) -> np.ndarray:
        """``(N,)`` bool: of all raw rows of a source those that are known by their content, as no other is alike."""
        return np.ones(len(rows), bool)

    def prints_of(self, rows: np.ndarray) -> np.ndarray:
        """``(N,)`` uint64 fingerprints of rows as they come in a batch, which may lie otherwise than in this form."""
        return self.fingerprints(rows)

    def contained(self, row: np.ndarray, container: Container) -> Any:
        """A raw row in a container of the kind that is asked for."""
        if container == "tensor":
            import torch

            return torch.from_numpy(row)
        return row

    @abstractmethod
    def why_not(self: F, other: F) -> str | None:
        """Why rows of the other form cannot stand among rows of this one; None where they can."""

    def unkept(self: F, made: F) -> str | None:
        """What is said of rows of this form that those of a generator of the other may break; None for nothing."""
        return None

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data with the ``kind``; `from_dict` reads it back."""

    @classmethod
    @abstractmethod
    def from_dict(cls: type[F], data: Mapping[str, Any]) -> F:
        """The form that `to_dict` wrote."""

    @abstractmethod
    def backbone(self, width: int | None = None) -> Backbone:
        """Networks over encoded rows of this form, on which families are built.

        Args:
            width: of the networks; None chooses by the form.
        """

    def augmentations(
        self, rows: torch.Tensor, labels: np.ndarray, own: Mapping[str, Any]
    ) -> Mapping[str, Augment]:
        """Classical augmentations by the names that arms know them by; none where the kind has none.

        Args:
            rows: ``(N, *encoded)`` training rows, which may tell what is allowed.
            labels: ``(N,)`` int64.
            own: augmentations of the user's own, by name.
        """
        return {}

    def points(self, rows: np.ndarray) -> np.ndarray:
        """Raw rows ``(N, *shape)`` as points ``(N, d)`` float32 between which distances mean something."""
        points: np.ndarray = self.encode(rows).flatten(1).numpy()
        return points

    def between(self, first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Raw rows on the way from some raw rows ``(N, *shape)`` to others, at shares ``(N,)`` in [0, 1]."""
        import torch

        ours, theirs = self.encode(first), self.encode(second)
        places = torch.from_numpy(share).to(ours).view(-1, *[1] * (ours.ndim - 1))
        return self.decode(torch.lerp(ours, theirs, places))

    def coarse(self, rows: torch.Tensor) -> torch.Tensor:
        """``(N, *encoded)`` -> ``(N, D)``: what is left of rows without their noise, to tell how they spread."""
        return rows.flatten(1)

    def usual_budget(self, rows: int) -> dict[str, Any]:
        """The ``steps``, or else ``minutes``, of a training of so many rows where nothing is said."""
        return {"minutes": 3.0}

    def smaller(self) -> tuple[Form, str] | None:
        """Where a training step of such rows takes long: a form of less, and how to ask for it; None elsewhere."""
        return None

    def parts(self) -> dict[str, str] | None:
        """What each part of a row is, in words; None where the form as text says all."""
        return None

    def cells(self, rows: np.ndarray) -> dict[str, Any]:
        """The columns of ``(N, *shape)`` rows as Arrow arrays, by their names; none where rows have no columns."""
        return {}

    def as_dataset(self, rows: np.ndarray) -> Any:
        """``(N, *shape)`` rows as a Hugging Face data set: of their columns, or of one column ``row`` of arrays."""
        import datasets
        import pyarrow as pa

        cells = self.cells(rows)
        if not cells:
            kind = datasets.Value(self.dtype)
            for n in reversed(self.shape):
                kind = datasets.List(kind, length=n)
            return datasets.Dataset.from_dict({"row": list(rows)}, datasets.Features({"row": kind}))
        # levels are texts there, or whatever else they are
        plain = {
            name: of.cast(of.type.value_type) if pa.types.is_dictionary(of.type) else of
            for name, of in cells.items()
        }
        return datasets.Dataset(pa.table(plain))

    @property
    def in_lines(self) -> bool:
        """Whether `side_by_side` draws a line for each name; else it draws all rows at once."""
        return True

    @abstractmethod
    def drawn(self, rows: np.ndarray) -> np.ndarray:
        """Rows ``(N, *shape)`` as small pictures ``(N, H, W, 3)`` uint8."""

    @abstractmethod
    def side_by_side(self, names: Sequence[str], blocks: Mapping[str, np.ndarray]) -> Image:
        """A picture of blocks of rows beside one another.

        Args:
            names: what the lines of the picture are, such as classes.
            blocks: title -> ``(len(names) * n, *shape)`` rows, n of each line in the order of ``names``.
        """


class Backbone(ABC):
    """Networks over encoded rows of one form: what families are built on, whatever a row is.

    A decoder gives *open* rows, such as the shares of each level of a category. Noise of their own settles them to
    encoded rows as a data set has them.

    Attributes:
        channels: features of an encoder that are left once places, where it has some, are summed over.
        features: features of an encoder, flattened.
        noise: standard normal numbers that settle one open row; 0 where there is nothing open.
    """

    channels: int
    features: int
    noise: int = 0

    @abstractmethod
    def encoder(self, rows: int = 1) -> nn.Module:
        """``(B, rows x encoded)`` -> ``(B, channels, ...)``, which are `features` in all.

        Args:
            rows: how many encoded rows it sees side by side, along their first axis.
        """

    @abstractmethod
    def decoder(self, condition: int) -> nn.Module:
        """``(B, condition)`` -> open rows ``(B, ...)``."""

    def settled(self, opened: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Open rows, settled by noise ``(B, self.noise)``: encoded rows ``(B, *encoded)``."""
        return opened

    def relaxed(self, opened: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """As `settled`, but such that a gradient flows to ``opened``: what a discriminator is shown."""
        return self.settled(opened, noise)

    @abstractmethod
    def surprise(self, opened: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """How unlikely encoded rows are under open ones: the mean over rows in nats, a scalar; and a plain error."""

    @abstractmethod
    def disturb(
        self, rows: torch.Tensor, rng: torch.Generator, *, strong: bool, probability: torch.Tensor | None
    ) -> torch.Tensor:
        """Encoded rows changed at random as a discriminator is shown them; gradients flow through.

        Args:
            rows: ``(B, *encoded)``.
            rng: CPU generator of all randomness.
            strong: whether changes that are not right for every data set are made as well.
            probability: scalar in [0, 1] with which a change happens to a row; always when None.
        """
