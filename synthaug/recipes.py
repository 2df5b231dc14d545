"""Recipes: a usual job from data to report, declared in YAML."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synthaug import verbs
from synthaug.data.counts import resolve_counts
from synthaug.data.labeled import LabeledData, open_data
from synthaug.data.splits import training_rows, with_three_splits
from synthaug.errors import InvalidRequest, did_you_mean
from synthaug.files.formats import choose_format
from synthaug.generators.generator import Generator
from synthaug.seeding import torch_rng


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataStep(_Strict):
    """The data set, and what to call its parts."""

    source: str | None = None
    label: str | None = None
    image: str | None = None
    group: str | None = None
    image_size: int | tuple[int, int] | None = None


class FitStep(_Strict):
    """The generator to train."""

    family: str = "cvae"
    steps: int | None = None
    minutes: float | None = None
    options: dict[str, Any] = {}


class SampleStep(_Strict):
    """Synthetic rows alone, in ``samples.parquet`` or another format."""

    counts: Annotated[int, Field(ge=1)] | dict[str, int] = 20
    file: str = "samples.parquet"


class MixStep(_Strict):
    """A DataLoader mixed for one epoch, to count what is in its batches."""

    ratio: float = Field(0.25, ge=0, lt=1)
    batch_size: int = Field(64, ge=1)


class ExpandStep(_Strict):
    """The larger data set."""

    to: str | dict[str, int] = "2x"
    file: str = "expanded"


class EvaluateStep(_Strict):
    """Classifiers with and without synthetic rows."""

    ratio: float = Field(0.25, gt=0, lt=1)
    seeds: int = Field(5, ge=2)
    classifier_steps: int = Field(600, ge=1)


class Recipe(_Strict):
    """What `synthaug run` executes: one generator, then each step that is there, in this order."""

    version: Literal[1]
    about: str
    data: DataStep = DataStep()
    out: str = "result"
    fit: FitStep = FitStep()
    sample: SampleStep | None = None
    mix: MixStep | None = None
    expand: ExpandStep | None = None
    evaluate: EvaluateStep | None = None


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
        if not path.is_file():
            raise InvalidRequest(f"There is no recipe file {path}.")
        text = path.read_text(encoding="utf-8")
    elif str(name) in shipped():
        text = (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    else:
        raise InvalidRequest(f'There is no recipe "{name}".{did_you_mean(str(name), shipped())}')
    changes = dict(settings or {})
    changes |= {"data.source": data} if data is not None else {}
    changes |= {"out": str(out)} if out is not None else {}
    try:
        content = yaml.safe_load(text) or {}
        for key, value in changes.items():
            _set(content, key.split("."), value)
        recipe = Recipe.model_validate(content)
    except yaml.YAMLError as error:
        raise InvalidRequest(f"{name} is not YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidRequest(
            f'Recipe "{name}", key "{where}": {first["msg"]} (found {first["input"]!r}).'
        ) from None
    if recipe.data.source is None:
        raise InvalidRequest(f'The recipe "{name}" has no data set of its own. Give one with --data.')
    return recipe


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
        progress: show progress on stderr.
        say: receives a line about each step.

    Returns:
        What each step produced, as plain JSON data.
    """
    out, started = Path(recipe.out), time.monotonic()
    shared: dict[str, Any] = {"seed": seed, "overwrite": overwrite, "progress": progress}
    columns = recipe.data.model_dump(include={"label", "image", "group", "image_size"})
    data = open_data(recipe.data.source, **columns)
    if recipe.evaluate is not None:  # so that one generator serves every step
        data = with_three_splits(data, seed)
    _check(recipe, data)
    train = training_rows(data)
    done: dict[str, Any] = {"data": {"rows": len(train), "classes": len(data.classes)}}

    def step(title: str, where: Path | None = None) -> None:
        place = f" -> {where}" if where else ""
        say(f"[{time.monotonic() - started:5.0f} s] {title}{place}")

    step(f"{data.origin}: {len(train)} training rows of {len(data.classes)} classes, {data.spec}")
    place = out / "generator"
    step(f"Training a {recipe.fit.family}", place)
    generator = verbs.fit(data, **recipe.fit.model_dump(), device=device, out=place, **shared)
    done["fit"] = verbs.describe(generator) | {"out": str(place)}
    if recipe.sample is not None:
        place = out / recipe.sample.file
        verbs.write_samples(generator, recipe.sample.counts, place, seed=seed, overwrite=overwrite)
        verbs.show(generator, train, out / "samples.png", seed=seed)
        done["sample"] = {"out": str(place), "picture": str(out / "samples.png")}
        step("Real rows beside synthetic ones", out / "samples.png")
    if recipe.mix is not None:
        done["mix"] = _mix(train, generator, recipe.mix, seed)
        counted = "{batches} batches, {real} real and {synthetic} synthetic rows".format(**done["mix"])
        step(f"Mixed a DataLoader at ratio {recipe.mix.ratio}: {counted}")
    if recipe.expand is not None:
        place = out / recipe.expand.file
        verbs.expand(data, generator, to=recipe.expand.to, out=place, **shared)
        done["expand"] = {"out": str(place)}
        step(f"Expanded to {recipe.expand.to}", place)
    if recipe.evaluate is not None:
        place = out / "report"
        step("Training classifiers with and without synthetic rows", place)
        evaluation = verbs.evaluate(
            data, generator=generator, out=place, **recipe.evaluate.model_dump(), **shared
        )
        done["evaluate"] = evaluation.to_dict()
        say("\n" + verbs.summary(evaluation))
        step("Open the report", place / "report.html")
    return done


def _check(recipe: Recipe, data: LabeledData) -> None:
    """Refuses what a later step would refuse, before the generator is trained."""
    if recipe.sample is not None:
        resolve_counts(recipe.sample.counts, data.classes, data.values)
        choose_format(recipe.sample.file, None, data.spec)
    if recipe.expand is not None:
        verbs.plan_expansion(data, recipe.expand.to, out=Path(recipe.out) / recipe.expand.file)
    if recipe.evaluate is not None:
        budget = recipe.fit.model_dump(include={"family", "steps", "minutes"})
        verbs.plan_evaluation(data, **budget, **recipe.evaluate.model_dump())


def _mix(train: LabeledData, generator: Generator, how: MixStep, seed: int) -> dict[str, int]:
    from torch.utils.data import DataLoader

    labels = [train.values[position] for position in train.labels]
    rows = list(zip(train.read(), labels, strict=True))
    rng = torch_rng(seed, "recipe", "mix")
    loader: DataLoader[Any] = DataLoader(rows, how.batch_size, shuffle=True, generator=rng)  # type: ignore[arg-type]
    mixed = verbs.mix(loader, generator, ratio=how.ratio, seed=seed, labels=labels)
    drawn = [int(row) for batch in mixed.batch_sampler for row in batch]
    synthetic = sum(row >= len(rows) for row in drawn)
    return {"batches": len(mixed), "real": len(drawn) - synthetic, "synthetic": synthetic}


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
