"""What is done by a recipe: each stage is an output of its own, and one that is there already is not made again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from synthaug import verbs
from synthaug.data import (
    LabeledData,
    open_unlabelled,
    require_original,
    resolve_counts,
    training_and_held_out,
    training_rows,
    with_three_splits,
)
from synthaug.errors import InvalidRequest
from synthaug.files import choose_format
from synthaug.generators import Generator
from synthaug.judging import Plan
from synthaug.judging.words import evaluation_on_terminal
from synthaug.mixing import USUAL_SHARE, check_share
from synthaug.options import request_of
from synthaug.outputs import require_apart
from synthaug.recipes.schema import STEPS, Recipe
from synthaug.report import draw_beside
from synthaug.requests import (
    ChooseRequest,
    DataRequest,
    EvaluateRequest,
    ExpandRequest,
    FitRequest,
    Request,
    SampleRequest,
)
from synthaug.seeding import torch_rng

_FOLDERS = {"fit": "generator", "choose": "plan", "evaluate": "report"}
"""What steps write that have no file of their own, in the folder of the recipe."""

_PICTURE = "samples.png"


def describe_recipe(
    recipe: Recipe, *, seed: int = 0, device: str = "auto", overwrite: bool = False
) -> dict[str, Any]:
    """The steps with all their settings, as plain JSON data; raises what running them would raise before it begins.

    Args:
        recipe, seed, device, overwrite: as in `run_recipe`.

    Returns:
        What the recipe says; under "there" those steps whose outputs are there already, under "rows" how many rows each
        file is to have, and under "takes" how long the other steps that train will take, each as far as that can be
        known before a generator is trained.
    """
    run = _Run(recipe, _opened(recipe, seed), seed, device, {"overwrite": overwrite}, lambda _: None)
    there = run.check()
    told: dict[str, Any] = recipe.model_dump(mode="json")
    takes = {
        name: asked.forecast()["takes"]
        for name, asked in run.asked.items()
        if name not in there and not (name == "evaluate" and recipe.fit is not None)
    }
    return told | {"there": there, "rows": run.rows(), "takes": takes}


def _opened(recipe: Recipe, seed: int) -> LabeledData:
    data = request_of(DataRequest, recipe.data.model_dump()).open()
    if recipe.evaluate is not None and recipe.fit is not None:  # so that one generator serves every step
        require_original(data, "data set")
        data = with_three_splits(data, seed)
    return data


def run_recipe(
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Runs the steps of a recipe into its output folder; steps that are done are not done again.

    Each output records what it depends on: the rows, the settings of its step, and the generator or plan that it is
    made with. So after a change the steps that depend on it are done again, which takes ``overwrite``, and no others.

    Args:
        recipe: what to do.
        seed: the only source of randomness.
        device: for the generator.
        overwrite: replace what another recipe left there; what is there already from an equal step is kept.
        progress: show progress on stderr; where that is no terminal, a line a minute.
        say: receives a line about each step.

    Returns:
        What each step produced, as plain JSON data.

    Raises:
        OutputExists: something else is where a step writes.
    """
    data = _opened(recipe, seed)
    run = _Run(recipe, data, seed, device, {"overwrite": overwrite, "progress": progress}, say)
    run.there = run.check()
    train = training_rows(data)
    run.step(f"{data.origin}: {len(train)} training rows of {len(data.classes)} classes, {data.form}")
    done: dict[str, Any] = {"data": {"rows": len(train), "classes": len(data.classes)}}
    for name in STEPS:
        if getattr(recipe, name) is not None:
            done[name] = getattr(run, name)()
    return done


class _Run:
    """A recipe under way: what is opened, and what makes the synthetic rows of its later steps."""

    def __init__(
        self,
        recipe: Recipe,
        data: LabeledData,
        seed: int,
        device: str,
        how: dict[str, Any],
        say: Callable[[str], None],
    ) -> None:
        self.recipe, self.data, self.seed, self.device, self.how = recipe, data, seed, device, how
        self.out, self.say, self.started = Path(recipe.out), say, time.monotonic()
        self.generator: Generator | None = None
        self.plan: Plan | None = None
        self.there: list[str] = []

    @cached_property
    def asked(self) -> dict[str, Request]:
        """The requests of steps that do not wait for another one, by the names of the steps."""
        kinds: dict[str, type[Request]] = {
            "fit": FitRequest,
            "choose": ChooseRequest,
            "evaluate": EvaluateRequest,
        }
        own = {"dataset": self.data, "seed": self.seed, "device": self.device}
        found = {}
        for name, kind in kinds.items():
            if (step := getattr(self.recipe, name)) is not None:
                told = step.model_dump()
                if told["unlabelled"] is not None:
                    told["unlabelled"] = open_unlabelled(told["unlabelled"], self.data)
                found[name] = request_of(kind, told | own)
        if self.recipe.fit is not None and "evaluate" in found:
            found["evaluate"] = self._with_generator(found["evaluate"])
        return found

    def step(self, title: str, where: Path | None = None) -> None:
        place = f" -> {where}" if where else ""
        self.say(f"[{time.monotonic() - self.started:5.0f} s] {title}{place}")

    def _begin(self, name: str, title: str) -> None:
        """Says that a step with a folder of its own begins, or that its folder is there already."""
        place = self.out / _FOLDERS[name]
        self.step(f"The {place.name} is there already" if name in self.there else title, place)

    def check(self) -> list[str]:
        """Refuses what a later step would refuse, before anything is trained; the steps that are done already."""
        recipe, data = self.recipe, self.data
        for file in self._files():
            require_apart(self.out / file, self._read())
        if recipe.sample is not None:
            counts = resolve_counts(recipe.sample.counts, data.classes)
            choose_format(recipe.sample.file, recipe.sample.format, data.form, counts)
        if recipe.mix is not None and recipe.mix.ratio is not None:
            check_share(recipe.mix.ratio)
        if recipe.expand is not None:
            choose_format(self.out / recipe.expand.file, recipe.expand.format, data.form, data.present)
        self.rows()
        for asked in self.asked.values():
            asked.describe()
        known = {
            name: asked for name, asked in self.asked.items() if name != "evaluate" or recipe.fit is None
        }
        over = self.how["overwrite"]
        return [
            name
            for name, asked in known.items()
            if asked.is_finished(self.out / _FOLDERS[name], overwrite=over)
        ]

    def rows(self) -> dict[str, int]:
        """How many rows the files are to have; of those whose number a plan decides, nothing."""
        recipe, data, found = self.recipe, self.data, dict[str, int]()
        if recipe.sample is not None:
            found[recipe.sample.file] = sum(resolve_counts(recipe.sample.counts, data.classes).values())
        if recipe.expand is not None and (recipe.expand.to is not None or recipe.choose is None):
            asked = request_of(ExpandRequest, recipe.expand.model_dump() | {"dataset": data})
            found[recipe.expand.file] = asked.rows
        return found

    def _with_generator(self, asked: Request) -> EvaluateRequest:
        """What is asked of a generator that is still to be trained: nothing is chosen then."""
        assert isinstance(asked, EvaluateRequest), "it is of that step"
        if asked.protocol.generators > 1:
            raise InvalidRequest(
                f'Recipe, key "evaluate.generators": the generator of the step "fit" is evaluated, but '
                f'{asked.protocol.generators} were asked for: take out "fit", and as many are trained.'
            )
        return replace(asked, ratio=USUAL_SHARE if asked.ratio is None else asked.ratio)

    def _read(self) -> dict[str, Path | None]:
        """Where that lies which is read."""
        more = {name: getattr(getattr(self.recipe, name), "unlabelled", None) for name in STEPS}
        places = {f"unlabelled rows of {name}": Path(place) for name, place in more.items() if place}
        return {"data set": self.data.path} | {
            what: at if at.exists() else None for what, at in places.items()
        }

    def _files(self) -> list[str]:
        """What the steps write into the output folder."""
        recipe = self.recipe
        named = [step.file for step in (recipe.sample, recipe.expand) if step is not None]
        return [*named, *(file for step, file in _FOLDERS.items() if getattr(recipe, step) is not None)]

    def fit(self) -> dict[str, Any]:
        place = self.out / _FOLDERS["fit"]
        told = self.asked["fit"].arguments()
        self._begin("fit", f"Training a {told['family']}")
        self.generator = verbs.fit(**told, out=place, **self.how)
        return asdict(self.generator.about) | {"out": str(place)}

    def choose(self) -> dict[str, Any]:
        place = self.out / _FOLDERS["choose"]
        self._begin("choose", "Choosing how much of which synthetic rows to use")
        self.plan = verbs.choose(**self.asked["choose"].arguments(), out=place, **self.how)
        self.say(self.plan.advice)
        return self.plan.to_dict()

    def sample(self) -> dict[str, Any]:
        how: Any = self.recipe.sample
        maker, place, picture = self._maker(), self.out / how.file, self.out / _PICTURE
        if maker is None:
            return self._nothing(place)
        own = {"generator": maker, "out": place, "seed": self.seed}
        asked = request_of(SampleRequest, how.model_dump() | own).arguments()
        verbs.sample(**asked | {"generator": self._kept(), "device": self.device}, **self.how)
        rows, over = training_rows(self.data), self.how["overwrite"]
        draw_beside(maker, rows, picture, seed=self.seed, overwrite=over)
        self.step("Real rows beside synthetic ones", picture)
        return {"out": str(place), "picture": str(picture)}

    def mix(self) -> dict[str, Any]:
        how, (train, _) = self.recipe.mix, training_and_held_out(self.data)
        assert how is not None, "the step is there"
        labels = [train.classes.values[position] for position in train.labels]
        rows = list(zip(train.read(), labels, strict=True))
        rng = torch_rng(self.seed, "recipe", "mix")
        loader: DataLoader[Any] = DataLoader(rows, how.batch_size, shuffle=True, generator=rng)  # type: ignore[arg-type]
        source = self.plan if self.generator is None else self.generator
        mixed = verbs.mix(loader, source, ratio=how.ratio, seed=self.seed)
        drawn = [int(row) for batch in mixed.batch_sampler for row in batch]
        synthetic = sum(row >= len(rows) for row in drawn)
        found = {"batches": len(mixed), "real": len(drawn) - synthetic, "synthetic": synthetic}
        counted = "{batches} batches, {real} real and {synthetic} synthetic rows".format(**found)
        self.step(f"Mixed a DataLoader: {counted}")
        return found

    def expand(self) -> dict[str, Any]:
        how: Any = self.recipe.expand
        place = self.out / how.file
        if self._maker() is None:
            return self._nothing(place)
        source = self.plan if self.generator is None else self.generator
        own = {"dataset": self.data, "generator": source, "out": place, "seed": self.seed}
        asked = request_of(ExpandRequest, how.model_dump() | own).arguments()
        verbs.expand(**asked | {"generator": self._kept(), "device": self.device}, **self.how)
        self.step("Expanded", place)
        return {"out": str(place)}

    def evaluate(self) -> dict[str, Any]:
        place = self.out / _FOLDERS["evaluate"]
        self._begin("evaluate", "Training classifiers with and without synthetic rows")
        told = self.asked["evaluate"].arguments() | {"generator": self.generator}
        evaluation = verbs.evaluate(**told, out=place, **self.how)
        self.say("\n" + evaluation_on_terminal(evaluation))
        self.step("Open the report", place / "report.html")
        return evaluation.to_dict()

    def _maker(self) -> Generator | None:
        """What makes synthetic rows; None where a plan says to use none."""
        return self.generator if self.plan is None or self.generator is not None else self.plan.maker()

    def _kept(self) -> Path:
        """Where an earlier step keeps what makes synthetic rows, so that outputs record how they are made again."""
        return self.out / _FOLDERS["choose" if self.generator is None else "fit"]

    def _nothing(self, place: Path) -> dict[str, Any]:
        """What is told where a plan says to use no synthetic rows."""
        assert self.plan is not None, "without a plan there is a generator"
        earlier = f"; {place} is of an earlier plan" if place.exists() else ""
        self.step(f"No synthetic rows are to be used, so there is no {place.name}{earlier}")
        return {"advice": self.plan.advice}
