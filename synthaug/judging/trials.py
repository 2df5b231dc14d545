"""What a choice tries: generators fitted inside each fold, and classifiers trained with and without their samples."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch

from synthaug.data.labeled import LabeledData
from synthaug.errors import SynthaugWarning
from synthaug.generators.samples import Samples
from synthaug.judging.arms import LADDER, Arm, Augment, Encode, Ingredients, longer, with_synthetic
from synthaug.judging.curation import Judges, curated_pool, joined
from synthaug.judging.draws import require_unseen
from synthaug.judging.search import Option, Run, trainings_to_expect
from synthaug.judging.trainings import in_processes, one_thread, shown, train_arm, travels
from synthaug.metrics.fidelity import FeatureClassifier
from synthaug.mixing.schedule import linear
from synthaug.modalities.image.codec import ImageCodec
from synthaug.outputs import atomic_write_text, encode_name
from synthaug.seeding import derive, torch_rng
from synthaug.training.classifier import Predictions, Train, takes_loss, train_classifier

SHARE = 0.25
"""The share at which sources are compared."""

OTHER_SHARES = (0.1, 0.5)
"""Shares that the best source is tried at as well; 0 is what baselines have."""

_POOL = 400
_JUDGE_STEPS = 300
_BY_NAME = {arm.name: arm for arm in LADDER}

BASELINES = ("real + classical", "elastic, medium", "policy")
"""What every choice trains without synthetic rows; the best of them, trained longer, is a fourth."""

BALANCING = ("oversampling + classical", "oversampling + policy")
"""Further baselines where classes are unequally frequent."""

FULL = ("real", "elastic, weak", "elastic, strong", "mixup", "CutMix")
"""Further baselines of a full choice."""

FULL_BALANCING = ("class weights", "logit adjustment", "mixup, re-weighted")
"""Further baselines of a full choice where classes are unequally frequent."""


class Maker(Protocol):
    """What trials need of a generator."""

    @property
    def codec(self) -> ImageCodec:
        """Raw rows to tensors, fitted on training rows."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def trained_on(self) -> np.ndarray:
        """``(M,)`` uint64 fingerprints of the rows it saw."""

    @property
    def seconds(self) -> float:
        """How long its training took."""

    def adjusted(self, options: Mapping[str, Any]) -> Any:
        """The same weights under other settings of sampling."""

    def sample(self, counts: Any, *, seed: int = 0) -> Samples:
        """So many rows of every class."""

    def sample_rows(self, name: str, start: int, stop: int, *, seed: int = 0) -> Samples:
        """Rows of the endless sequence that a seed gives to a class."""


Fit: TypeAlias = "Callable[[LabeledData, str, str], Maker]"
"""``fit(rows, family, name)``: a generator of the family trained on the rows; the name is unique to both."""


@dataclass(frozen=True)
class Source:
    """A family under settings of sampling, which need no training of their own."""

    name: str
    family: str
    settings: Mapping[str, Any] = field(default_factory=dict)


SOURCES: Mapping[str, tuple[Source, ...]] = {
    "cvae": (
        Source("cvae", "cvae", {"sampling": "prior"}),
        Source("cvae between neighbours", "cvae", {"sampling": "interpolation"}),
    ),
    "cgan": (Source("cgan", "cgan"),),
    "warp": (
        Source("warp, mild", "warp", {"strength": 0.25, "tone": 1.0}),
        Source("warp, shape", "warp", {"strength": 0.7, "tone": 0.5}),
    ),
}
"""What is tried of each family."""

FITTED_WITH: Mapping[str, Mapping[str, Any]] = {"cvae": {"sampling": "interpolation"}}
"""Settings that a family is trained with, so that all of its sources can be drawn from it."""


@dataclass(frozen=True)
class Treatment:
    """What the name of an option stands for.

    Attributes:
        arm: how classifiers are trained.
        source: what makes the synthetic rows; None for a baseline.
        share: of synthetic rows in a batch.
        curated: whether judges have to let a sample pass.
        annealed: whether the share falls to 0 over the training.
        base: the baseline that it was put on top of.
    """

    arm: Arm
    source: Source | None = None
    share: float = 0.0
    curated: bool = False
    annealed: bool = False
    base: str = ""


@dataclass
class _Fold:
    train: LabeledData
    rows: np.ndarray
    labels: np.ndarray
    encode: Encode
    augmentations: Mapping[str, Augment]
    makers: dict[str, Maker]
    pools: dict[tuple[str, bool], Samples] = field(default_factory=dict)
    judges: Judges | None = None


class _Kept:
    """Scores in the files of a folder, one for each training; of no folder none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        if folder is not None:
            folder.mkdir(exist_ok=True)

    def read(self, run: Run) -> tuple[np.ndarray, float] | None:
        """Which held-out rows were recognised, and the seconds that it took; None where it is not known."""
        if self._folder is None or not self._file(run).exists():
            return None
        found = json.loads(self._file(run).read_text(encoding="utf-8"))
        return np.array([float(row) for row in found["correct"]]), found["seconds"]

    def write(self, run: Run, correct: np.ndarray, seconds: float) -> tuple[np.ndarray, float]:
        """What was given, kept."""
        if self._folder is not None:
            rows = "".join("1" if row else "0" for row in correct)
            atomic_write_text(self._file(run), json.dumps({"seconds": seconds, "correct": rows}))
        return correct, seconds

    def _file(self, run: Run) -> Path:
        assert self._folder is not None, "no folder has no files"
        return self._folder / encode_name(f"{run.option}, {run.fold}, {run.seed}.json")


class Trials:
    """Scores options on held-out rows: `score`, `menu` and `variants` are what `choose_option` takes.

    Args:
        data: the rows to choose by; nothing else is looked at.
        folds: row numbers held out in each fold.
        fit: trains a generator.
        augment: the augmentations of encoded training rows ``(N, ...)`` with labels ``(N,)``, by the names that
            arms know.
        families: families to try.
        sources: what to try of each family.
        unequal: whether classes are unequally frequent.
        full: whether to try every baseline there is.
        training: the user's ``fn(loader, steps, seed)``; the built-in classifier when None.
        steps: optimizer steps of each training.
        batch_size: rows per batch.
        jobs: worker processes for classifiers.
        fitting_jobs: worker processes for generators, of one thread each.
        seed: decides classifier seeds and samples.
        folder: keeps scores as they come, for a choice that goes on where this one was stopped; None for nowhere.
        progress: whether to show progress on stderr.

    Attributes:
        seconds: that went by, per stage.
        training_seconds: of each classifier, in the process that trained it.
        trainings: how many there were, a longer one counted as so many more.
        other_seconds: of generators, samples and judges in the processes that made them.
    """

    def __init__(
        self,
        data: LabeledData,
        folds: Sequence[np.ndarray],
        fit: Fit,
        augment: Callable[[torch.Tensor, np.ndarray], Mapping[str, Augment]],
        *,
        families: Sequence[str],
        sources: Mapping[str, Sequence[Source]] = SOURCES,
        unequal: bool = False,
        full: bool = False,
        training: Train | None = None,
        steps: int = 600,
        batch_size: int = 64,
        jobs: int = 1,
        fitting_jobs: int = 1,
        seed: int = 0,
        folder: Path | None = None,
        progress: bool = True,
    ) -> None:
        self._families, self._training, self._steps, self._batch_size = families, training, steps, batch_size
        self._jobs, self._seed, self._progress = jobs if travels(training) else 1, seed, progress
        self._fitting_jobs, self._sources = fitting_jobs, sources
        self.seconds: dict[str, float] = {"generators": 0.0, "classifiers": 0.0}
        self.training_seconds: list[float] = []
        self.trainings = 0.0
        self.other_seconds = 0.0
        self._folds = self._fitted(data, folds, fit, augment, fitting_jobs)
        names = [
            *BASELINES,
            *(FULL if full else ()),
            *(BALANCING if unequal else ()),
            *(FULL_BALANCING if full and unequal else ()),
        ]
        own_loss = training is None or takes_loss(training)
        offered = set.intersection(*({None, *fold.augmentations} for fold in self._folds))
        arms = [_BY_NAME[name] for name in names]
        arms = [arm for arm in arms if (arm.loss is None or own_loss) and arm.augmentation in offered]
        if not arms:
            arms = [_BY_NAME["real"]]
        self.treatments = {arm.name: Treatment(arm) for arm in arms}
        self.baselines = [Option(arm.name) for arm in arms]
        self._kept = _Kept(folder)
        self._bar: Any = None
        self._expected = trainings_to_expect(
            baselines=len(arms),
            longer=1,
            options=sum(len(sources[family]) for family in families),
            variants=len(OTHER_SHARES) + 2,
            folds=len(folds),
        )

    def menu(self, base: Option) -> list[Option]:
        """Longer training of a baseline, and every source on top of it."""
        arm = self.treatments[base.name].arm
        more = longer(arm)
        found = {more.name: Treatment(more)}
        for family in self._families:
            for source in self._sources[family]:
                treatment = _on_top(arm, source, SHARE)
                found[treatment.arm.name] = treatment
        self.treatments |= found
        return [Option(name, synthetic=of.source is not None) for name, of in found.items()]

    def variants(self, best: Option) -> list[Option]:
        """The best option with other shares, with one that falls to 0, and with curated samples."""
        of = self.treatments[best.name]
        assert of.source is not None, "a baseline has no variants"
        base = self.treatments[of.base].arm
        found = [
            *(_on_top(base, of.source, share) for share in OTHER_SHARES),
            _on_top(base, of.source, max(OTHER_SHARES), annealed=True),
            _on_top(base, of.source, of.share, curated=True),
        ]
        self.treatments |= {each.arm.name: each for each in found}
        return [Option(each.arm.name, synthetic=True) for each in found]

    def score(self, runs: Sequence[Run]) -> Iterator[np.ndarray]:
        """For each run which held-out rows were recognised, 1.0 or 0.0."""
        start = time.perf_counter()
        known = {run: self._kept.read(run) for run in runs}
        due = [run for run in runs if known[run] is None]
        self._fill_pools(due)
        self.trainings += sum(self.treatments[run.option].arm.steps or 1 for run in runs)
        bar = self._counted(len(runs))
        made = in_processes([self._task(run) for run in due], self._jobs)
        for run in runs:
            correct, seconds = known[run] or self._kept.write(run, *next(made))
            self.training_seconds.append(seconds)
            bar.update()
            yield correct
        self.seconds["classifiers"] += time.perf_counter() - start

    def end(self) -> None:
        """Closes what shows progress: no more is to be scored."""
        if self._bar is not None:
            self._bar.total = self._bar.n
            self._bar.close()
            self._bar = None

    def _counted(self, due: int) -> Any:
        """One bar for all trainings of a choice, with the time left as if nothing ended it early."""
        from tqdm.auto import tqdm

        if self._bar is None:
            self._bar = tqdm(
                desc="choice", total=self._expected, unit="run", smoothing=0.1, disable=not self._progress
            )
        self._bar.total = max(self._expected, len(self.training_seconds) + due)
        return self._bar

    def _fitted(
        self,
        data: LabeledData,
        folds: Sequence[np.ndarray],
        fit: Fit,
        augment: Callable[[torch.Tensor, np.ndarray], Mapping[str, Augment]],
        jobs: int,
    ) -> list[_Fold]:
        """The folds with their generators; one thread in each of two processes beats two threads in one."""
        start = time.perf_counter()
        kept = [data.take(np.setdiff1d(np.arange(len(data)), held_out)) for held_out in folds]
        names = [(i, family) for i in range(len(folds)) for family in self._families]
        tasks = [partial(fit, kept[i], family, f"fold-{i}-{family}") for i, family in names]
        made = dict(
            zip(
                names, shown(in_processes(tasks, jobs), len(tasks), self._progress, "generators"), strict=True
            )
        )
        found = []
        for i, (train, held_out) in enumerate(zip(kept, folds, strict=True)):
            others = data.take(held_out)
            makers = {family: made[i, family] for family in self._families}
            for maker in makers.values():
                require_unseen(train, {"held-out": others}, maker.trained_on)
            codec = next(iter(makers.values())).codec
            augmentations = augment(codec.encode(train.read()), train.labels)
            found.append(_Fold(train, others.read(), others.labels, codec.encode, augmentations, makers))
        self.seconds["generators"] += time.perf_counter() - start
        self.other_seconds += sum(maker.seconds for maker in made.values())
        return found

    def _task(self, run: Run) -> Callable[[], tuple[np.ndarray, float]]:
        fold, of = self._folds[run.fold], self.treatments[run.option]
        pool = no_pool(fold.train) if of.source is None else fold.pools[of.source.name, of.curated]
        parts = Ingredients.of(
            fold.train, pool, fold.encode, ratio=ratio_of(of, self._steps), batch_size=self._batch_size
        )
        own = derive(self._seed, "choice", "classifier", run.fold, run.seed) % 2**31
        used = {k: v for k, v in fold.augmentations.items() if k == of.arm.augmentation}
        tests = {"held-out": (fold.rows, fold.labels)}
        steps = round((of.arm.steps or 1) * self._steps)
        training = partial(train_arm, of.arm, own, parts, used, tests, self._training, steps)
        return partial(_correct, training)

    def _fill_pools(self, runs: Sequence[Run]) -> None:
        """Draws the pools that these runs are the first to need, folds side by side."""
        due: dict[int, dict[tuple[str, bool], Source]] = {}
        for run in runs:
            of = self.treatments[run.option]
            if of.source is not None and (of.source.name, of.curated) not in self._folds[run.fold].pools:
                due.setdefault(run.fold, {})[of.source.name, of.curated] = of.source
        tasks = [partial(_drawn, self._folds[number], wanted, self._seed) for number, wanted in due.items()]
        for number, (pools, judges, seconds) in zip(
            due, in_processes(tasks, self._fitting_jobs), strict=True
        ):
            self._folds[number].pools.update(pools)
            self._folds[number].judges = judges
            self.other_seconds += seconds


def _drawn(
    fold: _Fold, wanted: Mapping[tuple[str, bool], Source], seed: int
) -> tuple[dict[tuple[str, bool], Samples], Judges | None, float]:
    """Pools of samples of a fold, the judges that some of them needed, and the seconds that it took."""
    start = time.perf_counter()
    judges = fold.judges
    pools = {}
    with one_thread():
        if judges is None and any(curated for _, curated in wanted):
            judges = fit_judges(fold.train, fold.encode, seed)
        for (name, curated), source in wanted.items():
            maker = fold.makers[source.family].adjusted(source.settings)
            with warnings.catch_warnings():
                # A source of which few samples pass loses here or wins: that is what is being found out.
                warnings.simplefilter("ignore", SynthaugWarning)
                passing = judges if curated else None
                pools[name, curated] = draw_pool(maker, passing, fold.encode, _POOL, seed=seed)
    return pools, judges, time.perf_counter() - start


def ratio_of(treatment: Treatment, steps: int) -> Any:
    """The share of the treatment, fixed or falling over so many steps."""
    return linear(treatment.share, 0.0, steps=steps) if treatment.annealed else treatment.share


def fit_judges(train: LabeledData, encode: Encode, seed: int) -> Judges:
    """Classifiers that judge samples, each trained on a part of the rows."""
    with one_thread():
        return Judges.fit(
            encode(train.read()).numpy(),
            train.labels,
            len(train.classes),
            partial(_judge, n_classes=len(train.classes)),
            seed=seed,
        )


def draw_pool(maker: Maker, judges: Judges | None, encode: Encode, per_class: int, *, seed: int) -> Samples:
    """So many samples of each class; only such as judges let pass, where there are any."""
    if judges is None:
        return maker.sample(per_class, seed=seed)

    def sample(counts: dict[str, int], start: int) -> Samples:
        return joined([maker.sample_rows(name, start, start + n, seed=seed) for name, n in counts.items()])

    return curated_pool(sample, encode, judges, maker.classes, per_class)[0]


def no_pool(train: LabeledData) -> Samples:
    """A stand-in where no synthetic row is used."""
    return Samples(
        samples=train.read(slice(0, 0)),
        labels=np.array(train.values)[:0],
        classes=train.classes,
        values=train.values,
        spec=train.spec,
        provenance={"class": np.array(train.classes)[:0]},
    )


def _on_top(
    base: Arm, source: Source, share: float, *, curated: bool = False, annealed: bool = False
) -> Treatment:
    kind = f"{'curated ' if curated else ''}{source.name}"
    falling = ", falling to 0" if annealed else ""
    name = f"{base.name} + {share:.0%} {kind}{falling}"
    about = f"As “{base.name}”, {share:.0%} of each batch{falling} replaced by samples of {kind}."
    return Treatment(
        with_synthetic(base, name, about.replace("%", " %")), source, share, curated, annealed, base.name
    )


def _correct(train: Callable[[], Mapping[str, Predictions]]) -> tuple[np.ndarray, float]:
    """Which held-out rows a training recognises, and its seconds: a task that shares nothing with others."""
    start = time.perf_counter()
    found = train()["held-out"]
    return found.correct.astype(np.float64), time.perf_counter() - start


def _judge(rows: np.ndarray, labels: np.ndarray, seed: int, *, n_classes: int) -> FeatureClassifier:
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(
        TensorDataset(torch.from_numpy(rows), torch.from_numpy(labels)),
        batch_size=min(64, len(rows)),
        shuffle=True,
        drop_last=True,
        generator=torch_rng(seed, "choice", "judge"),
    )
    return train_classifier(loader, _JUDGE_STEPS, seed, n_classes=n_classes)
