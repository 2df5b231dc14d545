"""The batches of a loader with synthetic rows in them, by another plan in each pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from torch.utils.data import BatchSampler, Sampler, SequentialSampler

from synthaug.errors import InvalidRequest, UnsupportedKind
from synthaug.mixing.plan import MixingPlan, MixingRun
from synthaug.mixing.pool import Window


class Run(Protocol):
    """One pass, batch by batch."""

    def mix(self, batch: Sequence[int]) -> list[int]:
        """The batch to fetch for the next batch of real rows."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What the rest of the pass depends on."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where ``state`` was taken."""
        ...


class MixedBatches(Sampler[list[int]]):
    """The batches of another batch sampler with synthetic rows in them, by another plan in each pass.

    It runs in the main process, so that plan, schedule and refreshed rows reach workers that live on.

    Args:
        batch_sampler: the plain loader's; or a sampler over mixed rows, as a library gives that builds a loader again.
        plan: decides which rows are synthetic; that of the mixed rows when None.
        window: what refreshes the pool before an epoch, if anything does.
        batch_size, drop_last: as of a batch sampler of torch, where one is built again; that of the real rows when
            None, as where batches grow.

    Raises:
        InvalidRequest: a schedule over steps for batches that have no length.
        UnsupportedKind: a sampler that does not go through all rows in turn.
    """

    def __init__(
        self,
        batch_sampler: Any,
        plan: MixingPlan | None = None,
        window: Window | None = None,
        *,
        batch_size: int | None = None,
        drop_last: bool = False,
    ) -> None:
        if plan is None:
            batch_sampler, plan, window = _built_again(batch_sampler, batch_size, drop_last)
        self.batch_sampler = batch_sampler
        self.plan = plan
        self._window = window
        self._epoch = 0
        if plan.by_step:
            try:
                len(self)
            except TypeError as error:
                raise InvalidRequest(
                    "a schedule over steps needs to know how many batches an epoch has, and the loader has "
                    "no length: give the schedule in epochs"
                ) from error

    def __iter__(self) -> Iterator[list[int]]:
        return _Pass(self)

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be that of ``epoch``, here and in the sampler that orders the real rows."""
        self._epoch = epoch
        if hasattr(self._ordering, "set_epoch"):
            self._ordering.set_epoch(epoch)

    def begin(self, epoch: int | None = None) -> tuple[int, Run]:
        """The pass of ``epoch``, or that of the next one, with its number."""
        if epoch is None:
            below = getattr(self._ordering, "epoch", 0)
            epoch = max(self._epoch, below if isinstance(below, int) else 0)
        self._epoch = epoch + 1
        if self._window is not None:
            self._window.show(epoch)
        return epoch, self.start(epoch, epoch * len(self) if self.plan.by_step else 0)

    def start(self, epoch: int, step: int) -> Run:
        """A pass of the plan whose first batch has the number ``step``."""
        rank, ranks = getattr(self._ordering, "rank", 0), getattr(self._ordering, "num_replicas", 1)
        return MixingRun(self.plan, epoch=epoch, rank=rank, ranks=ranks, step=step)

    @property
    def _ordering(self) -> Any:
        """What knows epoch and rank: a batch sampler of the user's own, or the sampler in the usual one."""
        own = hasattr(self.batch_sampler, "set_epoch")
        return self.batch_sampler if own else getattr(self.batch_sampler, "sampler", None)

    # Libraries that shard batches ask for the following. Batches that grow have no fixed size: given one,
    # accelerate would drop every batch that differs from it.

    @property
    def batch_size(self) -> int | None:  # noqa: D102
        return None if self.plan.mode == "append" else int(self.batch_sampler.batch_size)

    @property
    def drop_last(self) -> bool:  # noqa: D102
        return bool(self.batch_sampler.drop_last)

    @property
    def sampler(self) -> Any:  # noqa: D102
        return self.batch_sampler.sampler

    @sampler.setter
    def sampler(self, sampler: Any) -> None:
        self.batch_sampler.sampler = sampler


def _built_again(
    sampler: Any, batch_size: int | None, drop_last: bool
) -> tuple[BatchSampler, MixingPlan, Window | None]:
    """The real rows of mixed ones in batches, where a library would let its sampler draw from all of them."""
    mixed: Any = getattr(sampler, "data_source", None)
    plan = getattr(mixed, "plan", None)
    if type(sampler) is not SequentialSampler or plan is None:
        raise UnsupportedKind(
            f"the sampler of a mixed loader was replaced by a {type(sampler).__name__}, which would draw synthetic "
            "rows as if they were real: give the plain loader this sampler before it is mixed, and tell the trainer "
            "to leave samplers alone (Lightning: use_distributed_sampler=False)"
        )
    size = batch_size or mixed.batch_size or 1
    real = BatchSampler(SequentialSampler(range(mixed.n_real)), size, drop_last)
    return real, plan, mixed.window


class _Pass(Iterator[list[int]]):
    """One pass over mixed batches, which a loader that saves its state can save and go on with."""

    def __init__(self, batches: MixedBatches) -> None:
        self._batches = batches
        self._real = iter(batches.batch_sampler)
        self._run: Run | None = None
        self._epoch, self._given = 0, 0

    def __next__(self) -> list[int]:
        # A loader with workers asks for two iterators a pass and uses one: the first batch begins the epoch.
        if self._run is None:
            self._epoch, self._run = self._batches.begin()
        batch = next(self._real)
        self._given += 1
        return self._run.mix(batch)

    def state_dict(self) -> dict[str, Any]:
        """Where the pass stands, and where the real batches do if they can tell."""
        state: dict[str, Any] = {"given": self._given}
        if self._run is not None:
            state |= {"epoch": self._epoch, "run": self._run.state_dict()}
        below = self._batches.batch_sampler
        for name, part in (("sampler", below), ("real", self._real)):
            if _stateful(part):
                state[name] = part.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where ``state`` was taken."""
        below = self._batches.batch_sampler
        if "sampler" in state:
            below.load_state_dict(state["sampler"])
        self._real = iter(below)
        if "real" in state:
            self._real.load_state_dict(state["real"])
        elif "sampler" not in state:
            for _ in range(state["given"]):
                next(self._real)
        self._given = state["given"]
        if "run" in state:
            self._epoch, self._run = self._batches.begin(state["epoch"])
            self._run.load_state_dict(state["run"])


def _stateful(part: Any) -> bool:
    return hasattr(part, "state_dict") and hasattr(part, "load_state_dict")
