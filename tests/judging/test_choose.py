"""choose from data to plan, what follows a plan, and calls that are killed: nothing is trained twice."""

from __future__ import annotations

import html
import json
import math
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image
from PIL import Image as PIL
from torch.utils.data import BatchSampler, DataLoader

import synthaug
from synthaug import Evaluation, LabeledData, Plan, Protocol, open_data
from synthaug.data import cross_folds
from synthaug.errors import (
    InvalidArtifact,
    InvalidData,
    InvalidRequest,
    Leakage,
    OutputError,
    OutputExists,
    SynthaugWarning,
)
from synthaug.generators import Achieved
from synthaug.judging import (
    FORMAT,
    Choice,
    Chosen,
    Folds,
    Menu,
    Outcome,
    Question,
    Runner,
    Standing,
    Task,
    Trial,
    Work,
    choose,
    sources_of,
    starting_arms,
    unlabelled_sources,
)
from synthaug.metrics import Interval
from synthaug.outputs import RECORD
from synthaug.requests import EvaluateRequest

PROTOCOL = Protocol(folds=2, seeds=2, classifier_steps=2, judge_steps=3, steps=2)
SMALL: dict[str, Any] = {"protocol": PROTOCOL, "families": "warp", "jobs": 1, "progress": False}

Rows = tuple[np.ndarray, np.ndarray]


class Stopped(BaseException):
    """Passes whatever would handle an error, as a signal does."""


class Counted:
    """Trainings of classifiers that know a bar's direction if they met synthetic rows, and else guess by their seed.

    Attributes:
        made: how many there were.
        allowed: how many there can be; then the process is killed.
        watch: called before each.
    """

    def __init__(self, watch: Callable[[], object] = lambda: None) -> None:
        self.made, self.allowed, self.watch = 0, math.inf, watch

    @property
    def train(self) -> Callable[..., Any]:
        """The training function."""

        def train(loader: Any, steps: int, seed: int) -> Any:
            if self.made >= self.allowed:
                raise Stopped
            self.watch()
            self.made += 1
            synthetic = type(loader.batch_sampler) is not BatchSampler

            def predict(X: torch.Tensor) -> torch.Tensor:
                if synthetic:
                    return (X.mean((1, 3)).std(1) < X.mean((1, 2)).std(1)).long()
                return ((997 * X.sum((1, 2, 3))).round().long() + seed) % 2

            return predict

        return train


class Preferring(Runner):
    """Classifiers that recognise all rows where the name of an option holds some words, and else every other one."""

    def __init__(self, part: str, question: Question) -> None:
        super().__init__(None, Work())
        self.part, self.sizes = part, [len(fold) for fold in question.folds()]

    def run(
        self, wanted: Mapping[str, Any], tasks: Callable[[Sequence[Trial]], Sequence[Task]]
    ) -> list[Outcome]:
        known = [
            (np.arange(self.sizes[of.fold]) % 2 == 0) | (self.part in of.option) for of in wanted.values()
        ]
        return [Outcome({"held-out": rows}, {"held-out": rows * 1.0}, {}, 1.0) for rows in known]


def chosen_by(part: str, data: LabeledData, **asked: Any) -> Chosen:
    """What is chosen where options with this in their name do best."""
    how: dict[str, Any] = {"families": ["warp"], "train": None, "protocol": PROTOCOL, "seed": 0} | asked
    question = Question(data, None, **how)
    return choose(question, Work("cpu"), Preferring(part, question))


@pytest.fixture(scope="module")
def plan(shapes: Rows) -> Plan:
    with _short_classes_told():
        return synthaug.choose(shapes, protocol=PROTOCOL, jobs=1, progress=False)


@dataclass(frozen=True)
class Kept:
    """A choice that was kept, how often it trained, and how to ask for it again."""

    plan: Plan
    folder: Path
    made: int
    counted: Counted

    def copied(self, to: Path) -> Path:
        return shutil.copytree(self.folder, to)


@pytest.fixture(scope="module")
def kept(shapes: Rows, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    counted, out = Counted(), tmp_path_factory.mktemp("choice") / "plan"
    plan = synthaug.choose(shapes, train=counted.train, out=out, **SMALL)
    return Kept(plan, out, counted.made, counted)


@contextmanager
def _short_classes_told() -> Iterator[None]:
    """Judges of three steps let few rows pass, which is said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        yield


def test_a_plan_tells_what_was_tried_and_what_it_cost(plan: Plan) -> None:
    names = {of.name for of in plan.choice.standings}
    assert {"real + classical", "elastic, medium", "policy"} < names
    assert {of.name.split(" + ")[-1] for of in plan.choice.standings if of.synthetic} >= {
        "25% cvae", "25% cvae between neighbours", "25% warp, mild", "25% warp, shape",
    }  # fmt: skip
    assert plan.cost > plan.choice.trainings
    assert plan.share == (plan.candidate_share if plan.accepted else 0)
    assert plan.advice.startswith("Use ")
    tried = {of.name: of.gain for of in plan.choice.standings}
    assert tried[plan.baseline] is None
    # Every share of the candidate's samples stands beside it, and is of options that were tried.
    assert set(plan.shares.values()) >= {0.25}
    assert all(
        tried[name] is not None and f"{share:.0%}" in name
        for name, share in plan.shares.items()
        if name in tried
    )


def judged(choice: Choice) -> Choice:
    """The choice, of which judges say that it gains two points."""
    assert choice.judged is not None
    gain = Interval(0.02, 0.004, 0.036, 30)
    return replace(
        choice,
        judged=replace(
            choice.judged, gain=gain, sure=gain, bound=0.01, without=(None, "a", "a"), seeds=4, foretold=False
        ),
    )


def test_the_advice_tells_what_is_known_and_no_more(kept: Kept) -> None:
    """Four ends of a choice: taken, refused by the judges, hardly better, and not better at all."""
    name = "policy + 25% warp, mild"
    own = Standing(name, True, 6, 0.9, 0.8, Interval(0.01, -0.03, 0.05, 30))
    found = judged(kept.plan.choice).judged
    assert found is not None
    choice = Choice("policy", name, False, found, (own,), 9)
    plan = replace(kept.plan, baseline="policy", base="policy", candidate=name, family="warp")
    plan = replace(plan, candidate_share=0.25, curated=False, annealed=False)

    def told(accepted: bool, **parts: Any) -> str:
        return replace(plan, accepted=accepted, choice=replace(choice, **parts)).advice

    taken = told(True)
    assert taken.startswith(
        "Use synthetic rows: 25 % of each batch as samples of warp, with two random changes of ten (policy)."
    )
    assert "+2.0 points [+0.4, +3.6] of accuracy on folds that had not chosen" in taken
    assert taken.endswith("that classifiers are surer of the right label is 90 % sure, too.")
    foretold = told(True, judged=replace(found, foretold=True))
    assert (
        "(policy). It gained +2.0 points [+0.4, +3.6] of accuracy on rows that had not chosen it;" in foretold
    )
    refused = told(False)
    assert refused.startswith(
        "Use no synthetic rows: train with two random changes of ten (policy). The best with them was"
    )
    assert refused.endswith("[+0.4, +3.6] of accuracy on folds that had not chosen, which may be chance.")
    hardly = told(False, judged=None)
    assert hardly.endswith(
        "with +1.0 points [−3.0, +5.0] of accuracy on the very rows that chose it, which may be chance."
    )
    assert told(False, judged=None, candidate=None).endswith("no share of any family did better.")
    lost = told(False, judged=replace(found, gain=Interval(-0.012, -0.03, 0.006, 30)))
    assert lost.endswith("gained nothing: −1.2 points [−3.0, +0.6] of accuracy on folds that had not chosen.")


def test_a_plan_that_is_kept_is_read_as_it_was_and_the_same_call_makes_no_other(
    shapes: Rows, kept: Kept
) -> None:
    assert kept.plan.accepted
    assert {path.name for path in kept.folder.iterdir()} >= {"plan.json", "generator"}
    assert not list(kept.folder.glob("fold-*"))
    again = synthaug.choose(shapes, train=kept.counted.train, out=kept.folder, **SMALL)
    assert kept.counted.made == kept.made
    assert again == kept.plan == Plan.load(kept.folder)
    assert again.generator is not None
    assert again.to_dict() == kept.plan.to_dict()


def test_a_plan_made_without_groups_is_not_read_for_a_call_with_them(shapes: Rows, kept: Kept) -> None:
    patients = np.arange(len(shapes[0])) // 2
    with pytest.raises(OutputExists, match="groups"):
        synthaug.choose(open_data(shapes, group=patients), train=Counted().train, out=kept.folder, **SMALL)


def test_mix_and_expand_follow_a_plan(shapes: Rows, kept: Kept) -> None:
    plan = kept.plan
    assert plan.candidate.endswith("25% warp, mild")
    X, y = shapes
    loader: Any = DataLoader(list(zip(X, y.tolist(), strict=True)), batch_size=40)
    mixed = synthaug.mix(loader, plan, flag=True, pool=20)
    assert [int(synthetic.sum()) for *_, synthetic in mixed] == [10, 10, 10]
    bigger = synthaug.expand(shapes, plan, progress=False)
    assert len(bigger[0]) == 160
    assert set(bigger.provenance["generator"][120:]) == {plan.generator.fingerprint}  # type: ignore[union-attr]


def test_what_was_measured_to_gain_is_foretold_and_nothing_else() -> None:
    def offered(families: list[str], more: bool = False, full: bool = False) -> dict[str, bool]:
        sources = [*sources_of(families), *(unlabelled_sources(families) if more else ())]
        menu = Menu(starting_arms(unequal=False, full=False), sources, full=full)
        found = [*menu.on_top(menu.baselines[0]), *menu.others(menu.baselines[0])]
        variants = menu.variants(next((of for of in found if of.foretold), found[-1]))
        return {of.name: of.foretold for of in (*found, *variants)}

    assert [name for name, of in offered(["cvae", "warp"]).items() if of] == ["real + 25% warp, mild"]
    assert not any(offered(["cvae"]).values())
    both = offered(["cvae", "warp"], more=True)
    assert [name for name, of in both.items() if of] == ["real + 50% warp on both, mild"]
    assert {"real + 50% judged rows", "real + 25% warp on both, mild"} <= set(both)
    assert [name for name, of in offered(["cvae"], more=True).items() if of] == ["real + 50% judged rows"]
    full = offered(["cvae"], full=True)
    assert len(full) == len(offered(["cvae"])) + 3
    assert any("falling to 0" in name for name in full)


def test_a_family_whose_samples_are_not_recognised_is_no_candidate(
    shapes: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Any = [
        SimpleNamespace(
            makers={name: SimpleNamespace(achieved=Achieved("", agreement=of)) for name, of in fold}
        )
        for fold in ([("cvae", 0.3), ("warp", 0.4)], [("cvae", 0.6), ("warp", 0.7)], [("cvae", None)])
    ]
    made[2].makers["warp"] = made[1].makers["warp"]
    lost = Folds.unrecognised(SimpleNamespace(folds=made))  # type: ignore[arg-type]
    assert lost == {"cvae": pytest.approx(0.45)}

    monkeypatch.setattr(Folds, "unrecognised", lambda self: lost)
    with pytest.warns(SynthaugWarning, match=r"real rows: cvae 0\.45\): they are not tried"):
        plan = chosen_by("nothing", open_data(shapes), families=["cvae", "warp"]).plan
    assert not [of.name for of in plan.choice.standings if "cvae" in of.name]
    assert plan.family == "warp"
    # where there is nothing else, it is tried all the same, also where it was to be judged first
    for family in ("cvae", "warp"):
        monkeypatch.setattr(Folds, "unrecognised", lambda self, family=family: {family: 0.45})
        with pytest.warns(SynthaugWarning, match=r"they are not tried where there are others"):
            plan = chosen_by(family, open_data(shapes), families=[family]).plan
        assert plan.accepted
        assert plan.family == family


def test_where_what_was_foretold_is_sure_no_other_generator_is_fitted(
    shapes: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = []
    kept = Folds.fit

    def fit(self: Folds, families: Sequence[str]) -> None:
        fitted.extend(families)
        kept(self, families)

    monkeypatch.setattr(Folds, "fit", fit)
    plan = chosen_by("warp", open_data(shapes), families=["cvae", "warp"]).plan
    assert plan.accepted
    assert fitted == ["warp"]
    assert not [of.name for of in plan.choice.standings if "cvae" in of.name]
    fitted.clear()
    assert chosen_by("cvae", open_data(shapes), families=["cvae", "warp"]).plan.family == "cvae"
    assert list(dict.fromkeys(fitted)) == ["warp", "cvae"]


def test_curated_samples_are_those_that_passed_and_no_others(shapes: Rows, tmp_path: Path) -> None:
    with _short_classes_told():
        made = chosen_by("curated", open_data(shapes), protocol=replace(PROTOCOL, full=True)).with_generator()
    assert made.accepted
    assert made.curated
    made.write(tmp_path)
    plan = Plan.load(tmp_path)
    assert plan == made
    assert plan.kept is not None
    assert plan.generator is not None
    samples = plan.generator.sample(10, seed=plan.seed)
    for name in samples.classes:
        index = samples.provenance["index"][samples.provenance["class"] == name]
        assert index.tolist() == list(plan.kept[name][:10])
    with pytest.raises(InvalidRequest, match="were curated"):
        plan.generator.sample(10_000, seed=plan.seed)
    with pytest.raises(InvalidRequest, match="were curated"):
        plan.generator.sample(1, seed=plan.seed + 1)
    # Fewer were kept than mix draws of another generator; all of them are in its pool.
    loader: Any = DataLoader(list(zip(*shapes, strict=True)), batch_size=40)
    assert len(list(synthaug.mix(loader, plan, pool=10_000))) == len(loader)
    with pytest.raises(InvalidRequest, match="no more than were kept"):
        synthaug.mix(loader, plan, refresh=1)


def test_a_plan_tells_its_advice_in_a_line_and_what_was_tried_in_a_notebook(plan: Plan) -> None:
    assert repr(plan).startswith(f"Plan({plan.choice.option}, of ")
    assert len(repr(plan)) < 160
    page = plan._repr_html_()
    assert all(of.name in page for of in plan.choice.standings)
    assert plan.advice in html.unescape(page)


def test_a_plan_for_none_leaves_a_loader_alone_and_expands_nothing(plan: Plan, shapes: Rows) -> None:
    none = replace(plan, accepted=False, generator=None)
    loader: Any = DataLoader(list(zip(*shapes, strict=True)))
    assert synthaug.mix(loader, none) is loader
    with pytest.raises(InvalidRequest, match="add nothing"):
        synthaug.expand(shapes, none)
    assert none.advice.startswith("Use no synthetic rows")


def test_a_share_that_falls_to_0_is_half_of_it_in_a_fixed_data_set(kept: Kept, shapes: Rows) -> None:
    falling = replace(
        kept.plan, accepted=True, candidate_share=0.5, annealed=True, choice=judged(kept.plan.choice)
    )
    assert (falling.ratio.at(0, 0), falling.ratio.at(0, falling.classifier_steps)) == (0.5, 0.0)  # type: ignore[union-attr]
    assert falling.totals({"a": 30}) == {"a": 40}
    assert f"falling to 0 over {falling.classifier_steps} steps" in falling.advice
    features = Features(image=Image(), label=ClassLabel(names=["lying", "standing"]))
    pictures = [PIL.fromarray(image) for image in shapes[0]]
    rows = Dataset.from_dict({"image": pictures, "label": shapes[1].tolist()}, features=features)
    maker = synthaug.fit(rows, "warp", steps=1, progress=False)
    mixed = synthaug.mix(rows, replace(falling, generator=maker))
    assert sum(mixed["synthetic"]) == len(rows) / 4


def test_a_plan_whose_generator_is_missing_is_not_taken_for_one_that_says_no(
    kept: Kept, shapes: Rows
) -> None:
    lost = replace(kept.plan, accepted=True, generator=None, choice=judged(kept.plan.choice))
    loader: Any = DataLoader(list(zip(*shapes, strict=True)))
    for use in (lambda: synthaug.mix(loader, lost), lambda: synthaug.expand(shapes, lost)):
        with pytest.raises(InvalidRequest, match="came without its generator"):
            use()


def test_a_plan_of_another_format_is_refused_by_name(kept: Kept, shapes: Rows, tmp_path: Path) -> None:
    old = kept.plan.to_dict()
    del old["format_version"]
    with pytest.raises(
        InvalidArtifact, match=rf"format 1; this version of synthaug reads {FORMAT}. Choose again"
    ):
        Plan.from_dict(old)
    record = kept.copied(tmp_path / "plan") / RECORD
    told = json.loads(record.read_text())
    told["request"]["format"] -= 1
    record.write_text(json.dumps(told))
    with pytest.raises(OutputExists, match=rf"format: {FORMAT - 1} there, {FORMAT} asked"):
        synthaug.choose(shapes, train=Counted().train, out=tmp_path / "plan", **SMALL)


# ------------------------------------------------------------------------------------ killed, and called again


def test_a_choice_that_was_killed_trains_no_classifier_again(
    shapes: Rows, kept: Kept, tmp_path: Path
) -> None:
    counted, out = Counted(), tmp_path / "plan"
    assert kept.made == kept.plan.choice.trainings
    counted.allowed = 10
    with pytest.raises(Stopped):
        synthaug.choose(shapes, train=counted.train, out=out, **SMALL)
    assert not out.exists()
    counted.allowed = math.inf
    again = synthaug.choose(shapes, train=counted.train, out=out, **SMALL)
    assert again.choice == kept.plan.choice
    assert counted.made == kept.made
    assert {path.name for path in out.iterdir()} == {path.name for path in kept.folder.iterdir()}


def trained(folder: Path) -> dict[str, int]:
    """When each generator, each classifier and each score under a folder was written last."""
    found = [
        path
        for path in folder.rglob("*")
        if path.name == "checkpoint.safetensors"
        or path.relative_to(folder).parts[0] in ("outcomes", "classifiers")
    ]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found if path.is_file()}


def require_each_step_once(folder: Path) -> None:
    """No generator in a folder went through a step again."""
    for path in folder.glob("*/history.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        steps = [line["step"] for line in lines if "event" not in line]
        assert steps == sorted(set(steps)), path
        assert {line["lost_steps"] for line in lines if line.get("event") == "resumed"} <= {0}, path


@contextmanager
def blocked(path: Path) -> Iterator[None]:
    """Nothing can be written to this path."""
    path.mkdir(parents=True)
    yield
    path.rmdir()


def timeless(found: Evaluation) -> Evaluation:
    """An evaluation without what it took."""
    assert found.generator is not None
    plan = None if found.plan is None else replace(found.plan, seconds={}, cost=0.0)
    arms = tuple(replace(arm, seconds=()) for arm in found.arms)
    return replace(found, seconds={}, plan=plan, arms=arms, generator=replace(found.generator, seconds=0.0))


@dataclass(frozen=True)
class Killed:
    """An evaluation that is killed now and then; it is asked for with `call`."""

    counted: Counted
    out: Path
    asked: dict[str, Any]

    @property
    def work(self) -> Path:
        return self.out.with_name(self.out.name + ".partial")

    def call(self, data: Rows) -> Evaluation:
        """The same call as ever; what an earlier one trained, it does not train again."""
        before = trained(self.work)
        try:
            return synthaug.evaluate(data, train=self.counted.train, out=self.out, **self.asked)
        finally:
            if self.work.exists():
                after = trained(self.work)
                assert {name: after.get(name) for name in before} == before
                require_each_step_once(self.work)

    def killed_after(self, made: int, data: Rows) -> None:
        """Calls, and is killed when there are this many trainings in all."""
        self.counted.allowed = made
        with pytest.raises(Stopped):
            self.call(data)
        assert self.counted.made == made
        assert len(list(self.work.glob("outcomes/*"))) == made
        assert not self.out.exists()

    def fails_at_the_report(self, data: Rows) -> None:
        """Calls twice while the page cannot be written: the second time nothing is left to train."""
        with blocked(self.work / "report.html.tmp"):
            self.counted.allowed = math.inf
            with pytest.raises(OutputError, match="A file is in the way"):
                self.call(data)
            found = trained(self.work)
            assert sum(name.startswith("outcomes") for name in found) == self.counted.made
            # What the report needs of its own is kept as well: a classifier to measure samples by, and judges of them.
            kept = {Path(name).parts[1] for name in found if name.startswith("classifiers")}
            assert kept >= {"fidelity", "rows"}
            self.counted.allowed = 0
            with pytest.raises(OutputError, match="A file is in the way"):
                self.call(data)
            assert trained(self.work) == found


@dataclass(frozen=True)
class Reported:
    """An evaluation that nothing disturbed, and how often it trained."""

    found: Evaluation
    folder: Path
    made: int
    counted: Counted


@pytest.fixture(scope="module")
def report(shapes: Rows, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    counted, out = Counted(), tmp_path_factory.mktemp("evaluation") / "report"
    found = synthaug.evaluate(shapes, train=counted.train, out=out, **SMALL)
    return Reported(found, out, counted.made, counted)


def test_an_evaluation_that_is_killed_anywhere_trains_nothing_twice(
    shapes: Rows, report: Reported, tmp_path: Path
) -> None:
    evaluation = Killed(Counted(), tmp_path / "report", SMALL)
    assert report.found.plan is not None
    choosing = report.found.plan.choice.trainings
    for made in (0, 1, 7, choosing - 1):
        evaluation.killed_after(made, shapes)
    # while the candidate's generator is trained
    evaluation.counted.allowed = math.inf
    with (
        blocked(evaluation.work / "generator" / "checkpoint.safetensors.tmp"),
        pytest.raises(Exception, match="directory"),
    ):
        evaluation.call(shapes)
    assert evaluation.counted.made == choosing
    for made in (choosing, choosing + 1, report.made - 1):
        evaluation.killed_after(made, shapes)
    evaluation.fails_at_the_report(shapes)
    found = evaluation.call(shapes)
    assert evaluation.counted.made == report.made
    assert timeless(found) == timeless(report.found)
    assert {path.name for path in evaluation.out.iterdir()} == {path.name for path in report.folder.iterdir()}
    assert not evaluation.work.exists()
    require_each_step_once(evaluation.out)


def test_an_evaluation_of_a_share_that_is_killed_anywhere_trains_nothing_twice(
    shapes: Rows, tmp_path: Path
) -> None:
    protocol = replace(PROTOCOL, generators=2, seeds=4)
    evaluation = Killed(Counted(), tmp_path / "report", SMALL | {"ratio": 0.25, "protocol": protocol})
    for made in (0, 1, 9):
        evaluation.killed_after(made, shapes)
    assert {path.parent.name for path in evaluation.work.glob("*/checkpoint.safetensors")} == {
        "generator",
        "generator-2",
    }
    evaluation.fails_at_the_report(shapes)
    found = evaluation.call(shapes)
    assert found.plan is None
    assert evaluation.counted.made == len(found.arms) * 4
    require_each_step_once(evaluation.out)


def test_an_evaluation_that_is_killed_as_it_is_put_in_place_trains_nothing_twice(
    shapes: Rows, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    in_the_way = [out / "file", tmp_path / "report.replaced" / "file"]

    def obstruct() -> None:
        for path in in_the_way:
            path.parent.mkdir(exist_ok=True)
            path.touch()

    counted = Counted(obstruct)
    asked = SMALL | {"ratio": 0.25, "out": out}
    with pytest.raises(OSError, match="not empty"):
        synthaug.evaluate(shapes, train=counted.train, **asked)
    for path in in_the_way:
        shutil.rmtree(path.parent)
    counted.watch = lambda: None
    found = synthaug.evaluate(shapes, train=counted.train, **asked)
    assert counted.made == len(found.arms) * 2
    history = (out / "generator" / "history.jsonl").read_text().splitlines()
    assert [line["lost_steps"] for line in map(json.loads, history) if line.get("event") == "resumed"] == [0]


# ------------------------------------------------------------------------------------------------- what follows


def test_expand_without_totals_is_refused(shapes: Rows) -> None:
    with pytest.raises(InvalidRequest, match="no totals"):
        synthaug.expand(shapes)


def test_evaluate_chooses_and_tests_once_on_rows_that_had_no_part_in_it(
    shapes: Rows, report: Reported
) -> None:
    found, counted = report.found, report.counted
    assert found.plan is not None
    assert (found.baseline, found.candidate) == (found.plan.baseline, found.plan.candidate)
    inquiry = EvaluateRequest(open_data(shapes), families="warp", protocol=PROTOCOL).inquiry
    assert found.plan.data == inquiry.rows.fingerprint()
    assert found.rows["training"] == inquiry.rows.counts
    assert not np.isin(inquiry.rows.fingerprints(), inquiry.parts.test.fingerprints()).any()
    assert sum(found.rows["training"].values()) + sum(found.rows["test"].values()) == len(shapes[0])
    assert "validation" not in found.rows
    # What is trained for longer is what the candidate is put on top of.
    names = [arm.name for arm in found.arms]
    assert f"{found.plan.base}, longer" in names
    assert "longer" not in names
    assert found.plan.accepted or found.verdict != "helps"
    text = (report.folder / "report.html").read_text(encoding="utf-8")
    assert "How much, and of what" in text
    assert "share of synthetic rows in a batch" in text
    assert "What judges would leave out" in text
    assert found.judged is not None
    assert sum(sum(of.dropped.values()) for of in found.judged.filters) <= found.judged.samples
    assert synthaug.evaluate(shapes, train=counted.train, out=report.folder, **SMALL) == found
    assert counted.made == report.made


def test_what_makes_folds_with_its_validation_rows_can_be_evaluated(shapes: Rows) -> None:
    # Four rows a class to train on are too few for three folds; with those to validate by they are enough.
    few = np.sort(np.concatenate([np.flatnonzero(shapes[1] == k)[:7] for k in np.unique(shapes[1])]))
    data = open_data((shapes[0][few], shapes[1][few]))
    planned = EvaluateRequest(data, protocol=Protocol(folds=3, steps=2)).describe()
    assert sum(planned["generator"]["folds"]) > sum(planned["rows"]["train"].values())


def test_a_generator_that_saw_held_out_rows_is_refused(shapes: Rows) -> None:
    data = open_data(shapes)
    whole = synthaug.fit(shapes, "warp", steps=1, progress=False)
    folds = Folds(
        data,
        cross_folds(data, 2, 0),
        lambda rows, family, name: whole,
        lambda X, y, form: {},
        Work(),
        batch_size=64,
    )
    with pytest.raises(Leakage, match="held-out"):
        folds.fit(["warp"])


def test_baselines_balance_classes_only_where_they_are_unequal(shapes: Rows) -> None:
    data = open_data(shapes)
    lying, standing = (np.flatnonzero(data.labels == label) for label in (0, 1))
    unequal = data.take(np.sort(np.concatenate([lying, standing[:30]])))

    def names(data: LabeledData, *, full: bool = False, train: Any = None) -> set[str]:
        protocol = replace(PROTOCOL, full=full, steps=1)
        found = chosen_by("nothing", data, protocol=protocol, train=train).plan.choice.standings
        return {of.name for of in found if not of.synthetic and not of.name.endswith(", longer")}

    assert names(data) == {"real", "real + classical", "elastic, medium", "policy"}
    assert names(unequal) - names(data) == {"oversampling + classical", "oversampling + policy"}
    assert names(data, full=True) > names(data) | {"mixup", "CutMix", "real"}
    # A training that takes no loss cannot stand in for arms with one of their own.
    assert "mixup" not in names(data, full=True, train=Counted().train)


def test_folds_hold_out_every_row_once_but_the_last_of_a_class() -> None:
    labels = [0] * 9 + [1] * 4 + [2]
    data = open_data((np.random.default_rng(0).integers(0, 255, (14, 8, 8), np.uint8), labels))
    folds = cross_folds(data, 3, 0)
    assert sorted(np.concatenate(folds).tolist()) == list(range(13))
    for fold in folds:
        kept = np.delete(data.labels, fold)
        assert set(kept.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("per_class", [(9, 9, 2), (9, 9, 3), (2, 2, 9), (3, 4, 5)])
@pytest.mark.parametrize("n", [2, 3])
def test_every_fold_keeps_two_rows_of_every_class(per_class: tuple[int, ...], n: int) -> None:
    labels = np.repeat(np.arange(3), per_class)
    data = open_data((np.random.default_rng(0).integers(0, 255, (len(labels), 8, 8), np.uint8), labels))
    for seed in range(5):
        for fold in cross_folds(data, n, seed):
            assert np.bincount(np.delete(data.labels, fold), minlength=3).min() >= 2


def test_rows_that_are_not_held_out_keep_their_group_with_them() -> None:
    # One patient has all rows of class 2, and some of class 0.
    labels = np.array([0] * 12 + [1] * 12 + [2] * 6)
    patients = np.concatenate([np.arange(24), np.full(6, 3)])
    pictures = np.random.default_rng(0).integers(0, 255, (30, 8, 8), np.uint8)
    data = open_data((pictures, labels), group=patients)
    for seed in range(5):
        for fold in cross_folds(data, 3, seed):
            kept = np.setdiff1d(np.arange(30), fold)
            assert not set(patients[fold]) & set(patients[kept])
            assert {0, 1, 2} == set(labels[kept])


def test_a_class_that_lies_in_one_group_with_others_can_be_chosen_for(shapes: Rows) -> None:
    _, y = shapes
    rare = np.flatnonzero(y == y[-1])
    patients = np.arange(len(y))
    patients[rare] = np.flatnonzero(y != y[-1])[0]
    counted = Counted()
    plan = synthaug.choose(open_data(shapes, group=patients), train=counted.train, **SMALL)
    assert plan.choice.trainings == counted.made > 0


def test_too_few_rows_for_the_folds_are_refused() -> None:
    data = (np.random.default_rng(0).integers(0, 255, (4, 8, 8), np.uint8), [0, 1, 2, 3])
    with pytest.raises(InvalidData, match="too few for 3 folds"):
        synthaug.choose(data, progress=False)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"families": "wrap"}, "Did you mean"),
        ({"protocol": Protocol(folds=1)}, "at least 2"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(shapes: Rows, asked: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidRequest, match=match):
        synthaug.choose(shapes, progress=False, **asked)
