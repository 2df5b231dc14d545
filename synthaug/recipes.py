"""Recipes: a usual job from data to report, declared in YAML. Their steps are the fields of the same requests."""

from __future__ import annotations

import reprlib
import time
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from torch.utils.data import DataLoader

from synthaug import verbs
from synthaug.data import (
    LabeledData,
    require_original,
    resolve_counts,
    rows_to_add,
    training_and_held_out,
    training_rows,
    with_three_splits,
)
from synthaug.errors import InvalidRequest
from synthaug.files import Writing, choose_format
from synthaug.generators import Generator
from synthaug.judging import BATCH_SIZE, Plan, Protocol
from synthaug.judging.words import evaluation_on_terminal
from synthaug.mixing import USUAL_SHARE, check_share
from synthaug.options import IN_PYTHON, options_of, request_of
from synthaug.outputs import one_error, require_apart
from synthaug.report import draw_beside
from synthaug.requests import (
    ChooseRequest,
    DataRequest,
    EvaluateRequest,
    ExpandRequest,
    FitRequest,
    SampleRequest,
)
from synthaug.seeding import torch_rng
from synthaug.wording import did_you_mean, one_line

_STRICT = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _step(request: type, left_out: tuple[str, ...], **more: Any) -> Any:
    """A model of the fields of a request, but for some, and of others with these defaults."""
    hints = get_type_hints(request) | get_type_hints(Protocol) | get_type_hints(Writing)
    told = {name: of.default for name, of in options_of(request).items() if name not in left_out}
    model: dict[str, Any] = {
        name: (hints[name], ... if default is MISSING else default) for name, default in told.items()
    }
    model |= {name: (type(default), default) for name, default in more.items()}
    return create_model(request.__name__.removesuffix("Request"), __config__=_STRICT, **model)


_EVERYWHERE = ("seed", "device")
_DATA: Any = _step(DataRequest, ("source",), source="")
_FIT: Any = _step(FitRequest, ("dataset", "validation", *IN_PYTHON, *_EVERYWHERE)) | None
_CHOOSE: Any = (
    _step(ChooseRequest, ("dataset", "train", "seeds", "generators", "today", *IN_PYTHON, *_EVERYWHERE))
    | None
)
_SAMPLE: Any = _step(SampleRequest, ("generator", "out", "format", "seed"), file="samples.parquet") | None
_MADE = ("family", "steps", "minutes")
_EXPAND: Any = (
    _step(ExpandRequest, ("dataset", "generator", "out", "format", *_MADE, *_EVERYWHERE), file="expanded")
    | None
)
_EVALUATE: Any = _step(EvaluateRequest, ("dataset", "generator", "train", *IN_PYTHON, *_EVERYWHERE)) | None


class MixStep(BaseModel):
    """A DataLoader mixed for one epoch, to count what is in its batches."""

    model_config = _STRICT

    ratio: float | None = None
    batch_size: int = BATCH_SIZE


class Recipe(BaseModel):
    """What `synthaug run` executes: the steps that are there, in this order.

    The generator of ``fit``, or else the plan of ``choose``, serves those after it. Without ``fit``, ``evaluate``
    chooses what it tests.
    """

    model_config = _STRICT

    version: Literal[1]
    about: str
    data: _DATA = _DATA()
    out: str = "result"
    fit: _FIT = None
    choose: _CHOOSE = None
    sample: _SAMPLE = None
    mix: MixStep | None = None
    expand: _EXPAND = None
    evaluate: _EVALUATE = None


def shipped() -> dict[str, str]:
    """The recipes that come with synthaug: name -> what each does."""
    recipes = [path for path in _folder().iterdir() if path.name.endswith(".yaml")]
    found = {path.name.removesuffix(".yaml"): path.read_text(encoding="utf-8") for path in recipes}
    return {name: str(yaml.safe_load(text)["about"]) for name, text in sorted(found.items())}


def load_recipe(
    name: str | Path,
    *,
    data: str | None = None,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Recipe:
    """A recipe by the name of a shipped one or the path of a YAML file.

    Args:
        name: name or path.
        data: a data set instead of the recipe's own.
        out: a folder instead of the recipe's own.
        settings: changes by path, such as ``{"fit.minutes": 10}``.

    Raises:
        InvalidRequest: there is no such recipe, or it does not fit the schema; the message names the key.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        with one_error(InvalidRequest, f"The recipe {path} cannot be read", "Ask for the right to read it."):
            if not path.is_file():
                raise InvalidRequest(f"There is no recipe file {path}.")
            text = path.read_bytes().decode(errors="replace")
    elif str(name) in shipped():
        text = (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    else:
        raise InvalidRequest(f'There is no recipe "{name}".{did_you_mean(str(name), shipped())}')
    changes = dict(settings or {})
    changes |= {"data.source": data} if data is not None else {}
    changes |= {"out": str(out)} if out is not None else {}
    content = _content(text, name)
    for key, value in changes.items():
        _set(content, key.split("."), value)
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidRequest(
            f'Recipe "{name}", key "{where}": {first["msg"]} (found {reprlib.repr(first["input"])}).'
        ) from None
    if not recipe.data.source:
        raise InvalidRequest(f'The recipe "{name}" has no data set of its own. Give one with --data.')
    if recipe.fit is None and recipe.choose is None and (recipe.sample or recipe.mix or recipe.expand):
        raise InvalidRequest(
            f'The recipe "{name}" makes no synthetic rows: give it a step "fit" or "choose".'
        )
    return recipe


def _content(text: str, name: str | Path) -> dict[str, Any]:
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("it repeats a part of itself, which a recipe cannot")
        content = yaml.safe_load(text) or {}
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidRequest(
            f'The recipe "{name}" cannot be read as a recipe: {one_line(" ".join(str(error).split()))}'
        ) from None
    if not isinstance(content, dict):
        raise InvalidRequest(
            f'The recipe "{name}" is a {type(content).__name__}; it has to have keys such as "version: 1".'
        )
    return content


def describe_recipe(recipe: Recipe, *, seed: int = 0, device: str = "auto") -> dict[str, Any]:
    """The steps with all their settings, as plain JSON data; raises what running them would raise before it begins."""
    _Run(recipe, _opened(recipe, seed), seed, device, {}, lambda _: None).check()
    told: dict[str, Any] = recipe.model_dump(mode="json")
    return told


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

    Args:
        recipe: what to do.
        seed: the only source of randomness.
        device: for the generator.
        overwrite: replace what another recipe left there.
        progress: show progress on stderr; where that is no terminal, a line a minute.
        say: receives a line about each step.

    Returns:
        What each step produced, as plain JSON data.
    """
    data = _opened(recipe, seed)
    run = _Run(recipe, data, seed, device, {"overwrite": overwrite, "progress": progress}, say)
    run.check()
    train = training_rows(data)
    run.step(f"{data.origin}: {len(train)} training rows of {len(data.classes)} classes, {data.form}")
    done: dict[str, Any] = {"data": {"rows": len(train), "classes": len(data.classes)}}
    for name in ("fit", "choose", "sample", "mix", "expand", "evaluate"):
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

    def step(self, title: str, where: Path | None = None) -> None:
        place = f" -> {where}" if where else ""
        self.say(f"[{time.monotonic() - self.started:5.0f} s] {title}{place}")

    def check(self) -> None:
        """Refuses what a later step would refuse, before anything is trained."""
        recipe, data = self.recipe, self.data
        own = {"dataset": data, "seed": self.seed, "device": self.device}
        for file in self._files():
            require_apart(self.out / file, {"data set": data.path})
        if recipe.fit is not None:
            request_of(FitRequest, recipe.fit.model_dump() | own).describe()
        if recipe.choose is not None:
            request_of(ChooseRequest, recipe.choose.model_dump() | own).describe()
        if recipe.sample is not None:
            counts = resolve_counts(recipe.sample.counts, data.classes)
            choose_format(recipe.sample.file, None, data.form, counts)
        if recipe.mix is not None and recipe.mix.ratio is not None:
            check_share(recipe.mix.ratio)
        if recipe.expand is not None:
            choose_format(self.out / recipe.expand.file, None, data.form, data.present)
            if recipe.expand.to is not None or recipe.choose is None:
                totals = ExpandRequest(data, to=recipe.expand.to).totals
                rows_to_add(totals, training_rows(data).counts, data.classes)
        if recipe.evaluate is not None:
            asked = request_of(EvaluateRequest, recipe.evaluate.model_dump() | own)
            if recipe.fit is not None:  # then nothing is chosen
                if asked.protocol.generators > 1:
                    raise InvalidRequest(
                        f'Recipe, key "evaluate.generators": the generator of the step "fit" is evaluated, but '
                        f'{asked.protocol.generators} were asked for: take out "fit", and as many are trained.'
                    )
                asked = replace(asked, ratio=USUAL_SHARE if asked.ratio is None else asked.ratio)
            asked.describe()

    def _files(self) -> list[str]:
        """What the steps write into the output folder."""
        recipe = self.recipe
        files = {"fit": "generator", "choose": "plan", "evaluate": "report"}
        named = [step.file for step in (recipe.sample, recipe.expand) if step is not None]
        return [*named, *(file for step, file in files.items() if getattr(recipe, step) is not None)]

    def fit(self) -> dict[str, Any]:
        place = self.out / "generator"
        self.step(f"Training a {self.recipe.fit.family}", place)
        how = self.recipe.fit.model_dump() | self.how
        self.generator = verbs.fit(self.data, **how, seed=self.seed, device=self.device, out=place)
        return asdict(self.generator.about) | {"out": str(place)}

    def choose(self) -> dict[str, Any]:
        place = self.out / "plan"
        self.step("Choosing how much of which synthetic rows to use", place)
        asked = request_of(ChooseRequest, self.recipe.choose.model_dump() | {"dataset": self.data})
        told = asked.arguments() | {"seed": self.seed, "device": self.device}
        self.plan = verbs.choose(**told, out=place, **self.how)
        self.say(self.plan.advice)
        return self.plan.to_dict()

    def sample(self) -> dict[str, Any]:
        maker = self._maker()
        if maker is None:
            return {"advice": self._advice()}
        how, place, picture = self.recipe.sample, self.out / self.recipe.sample.file, self.out / "samples.png"
        asked = request_of(SampleRequest, how.model_dump() | {"generator": maker, "out": place})
        verbs.sample(**asked.arguments() | {"seed": self.seed}, **self.how)
        draw_beside(maker, training_rows(self.data), picture, seed=self.seed)
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
        maker = self._maker()
        if maker is None:
            return {"advice": self._advice()}
        how, place = self.recipe.expand, self.out / self.recipe.expand.file
        source = self.plan if self.generator is None else self.generator
        asked = request_of(ExpandRequest, how.model_dump() | {"dataset": self.data, "generator": source})
        verbs.expand(**asked.arguments() | {"out": place, "seed": self.seed}, **self.how)
        self.step("Expanded", place)
        return {"out": str(place)}

    def evaluate(self) -> dict[str, Any]:
        place = self.out / "report"
        self.step("Training classifiers with and without synthetic rows", place)
        own = {"dataset": self.data, "generator": self.generator, "seed": self.seed, "device": self.device}
        asked = request_of(EvaluateRequest, self.recipe.evaluate.model_dump() | own)
        evaluation = verbs.evaluate(**asked.arguments(), out=place, **self.how)
        self.say("\n" + evaluation_on_terminal(evaluation))
        self.step("Open the report", place / "report.html")
        return evaluation.to_dict()

    def _maker(self) -> Generator | None:
        """What makes synthetic rows; None where a plan says to use none."""
        return self.generator if self.plan is None or self.generator is not None else self.plan.maker()

    def _advice(self) -> str:
        assert self.plan is not None, "without a plan there is a generator"
        self.step("No synthetic rows are to be used")
        return self.plan.advice


def _set(content: Any, path: list[str], value: Any) -> None:
    for key in path[:-1]:
        if not isinstance(content, dict) or not isinstance(content.get(key) or {}, dict):
            raise InvalidRequest(f'There is nothing to set at "{".".join(path)}".')
        content[key] = content.get(key) or {}
        content = content[key]
    content[path[-1]] = value


def _folder() -> Any:
    """``pipelines/``: inside an installed package, or beside it in a checkout."""
    inside = files("synthaug") / "pipelines"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "pipelines"
