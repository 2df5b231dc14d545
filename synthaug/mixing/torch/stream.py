"""Streams: a loader over an iterable data set, with synthetic rows in place of some as they pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from synthaug.data.classes import Label
from synthaug.data.items import ItemFields
from synthaug.errors import InvalidRequest
from synthaug.mixing.marks import MarkedItem
from synthaug.mixing.plan import MixingPlan, MixingRun
from synthaug.mixing.pool import Pool, Window
from synthaug.mixing.torch.batches import MixedBatches, Run
from synthaug.seeding import derive

_NOT_PASSED_ON = ("state_dict", "load_state_dict")  # of the stream alone they would forget the plan


class MixedStream(IterableDataset[Any]):
    """The items of a stream, some replaced by synthetic items of their own class.

    Each worker mixes the batches that it makes itself, by a plan of its own: a function of (seed, epoch,
    rank, worker) and of the order of the items. Whatever else is asked of it or set on it, as a
    ``worker_init_fn`` does, reaches the stream below.

    Args:
        stream: the plain loader's data set.
        pool: synthetic items, or None where there is never one.
        plan: over "rows" that stand for classes: row k for class k.
        known: the class of each label of the items.
        fields: where the label is in an item; None where there is no pool.
        batch_size: items that a batch takes from the stream.
        marked: whether items come as `MarkedItem`.
        guard: is given the items of each batch as they pass, and raises what must stop them.
    """

    _stream: Any
    _pool: Pool | None
    _plan: MixingPlan
    _known: Mapping[tuple[type, Label], int]
    _fields: ItemFields | None
    _batch_size: int
    _marked: bool
    _guard: Callable[[Sequence[Any]], None] | None
    _clock: torch.Tensor

    def __init__(
        self,
        stream: IterableDataset[Any],
        pool: Pool | None,
        plan: MixingPlan,
        known: Mapping[tuple[type, Label], int],
        fields: ItemFields | None,
        batch_size: int,
        *,
        marked: bool,
        guard: Callable[[Sequence[Any]], None] | None = None,
    ) -> None:
        vars(self).update(
            _stream=stream,
            _pool=pool,
            _plan=plan,
            _known=known,
            _fields=fields,
            _batch_size=batch_size,
            _marked=marked,
            _guard=guard,
            # Epoch, rank and first step: shared, so that workers that live on learn of the next epoch.
            _clock=torch.zeros(3, dtype=torch.int64).share_memory_(),  # type: ignore[no-untyped-call]
        )

    def __iter__(self) -> Iterator[Any]:
        return self._mixed(iter(self._stream))

    def __len__(self) -> int:
        length: int = len(self._stream)  # raises what the stream raises, if it has none
        return length

    def __getattr__(self, name: str) -> Any:
        stream = vars(self).get("_stream")
        if stream is None or name.startswith("__") or name in _NOT_PASSED_ON:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(stream, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._stream, name, value)

    @property
    def epoch(self) -> int:
        """The epoch that the next pass belongs to, or the present one."""
        return int(self._clock[0])

    def set_epoch(self, epoch: int) -> None:
        """Lets the next pass be that of ``epoch``, here and in the stream."""
        self._clock[0] = epoch
        if hasattr(self._stream, "set_epoch"):
            self._stream.set_epoch(epoch)

    def tell(self, epoch: int, rank: int, step: int) -> None:
        """What a pass that begins has to know, in any worker."""
        self._clock[:] = torch.tensor([epoch, rank, step])

    def _mixed(self, items: Iterator[Any]) -> Iterator[Any]:
        # Asked for its first item only after the main process has begun the epoch.
        epoch, rank, step = self._clock.tolist()
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        plan = self._plan.reseeded(derive(self._plan.seed, "stream", rank, worker))
        run = MixingRun(plan, epoch=epoch, step=step + worker, stride=workers)
        # A batch is read as a whole, as the loader would: between batches nothing is waiting here.
        while batch := list(islice(items, self._batch_size)):
            if self._guard is not None:
                self._guard(batch)
            # Without synthetic rows it does not matter what class a row is of.
            mixed = (
                [-1] * len(batch) if self._pool is None else run.mix([self._class_of(item) for item in batch])
            )
            for item, row in zip(batch, mixed, strict=True):
                synthetic = row >= len(plan.real)
                if synthetic:
                    assert self._pool is not None
                    item = self._pool[row - len(plan.real)]
                yield MarkedItem(item, synthetic) if self._marked else item

    def _class_of(self, item: Any) -> int:
        assert self._fields is not None
        label = self._fields.label_of(item)
        place = self._known.get((type(label), label))
        if place is None:
            known = ", ".join(repr(value) for _, value in list(self._known)[:10])
            raise InvalidRequest(
                f"a row of the stream has the label {label!r}, of which the samples hold no row; they hold "
                f"{known}: sample that class too, or take its rows out of the stream"
            )
        return place


class StreamBatches(MixedBatches):
    """The placeholders by which a loader asks its stream for batches; they tell the stream its epoch."""

    def __init__(
        self,
        batch_sampler: Any,
        stream: MixedStream,
        plan: MixingPlan,
        window: Window | None,
        length: int | None,
    ) -> None:
        self._stream = stream
        self._length = length
        super().__init__(batch_sampler, plan, window)

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("the stream has no length")
        return self._length

    def start(self, epoch: int, step: int) -> Run:  # noqa: D102
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank = torch.distributed.get_rank() if distributed else 0
        self._stream.tell(epoch, rank, step)
        return _AsItIs()

    @property
    def _ordering(self) -> Any:
        return self._stream


class _AsItIs:
    def mix(self, batch: Sequence[int]) -> list[int]:
        return list(batch)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass
