"""What a recipe may say: its steps are the fields of requests, with their help and their defaults."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import GenerateJsonSchema

from synthaug.files import Writing
from synthaug.judging import BATCH_SIZE, Protocol
from synthaug.options import IN_PYTHON, options_of
from synthaug.requests import (
    ChooseRequest,
    DataRequest,
    EvaluateRequest,
    ExpandRequest,
    FitRequest,
    SampleRequest,
)

_STRICT = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

_PLACES: dict[str, tuple[Any, Any]] = {"source": (str, ""), "unlabelled": (str | None, None)}
"""Fields that are data, which a recipe says by their places."""

_FILE = "what to write, in the folder out: a folder, or a .parquet, .csv or .npz file"


def _step(request: type, left_out: tuple[str, ...], own: Mapping[str, tuple[Any, str]] | None = None) -> Any:
    """A model of the fields of a request.

    Args:
        request: the request.
        left_out: fields that a recipe does not say.
        own: further fields by their names, each a default and what it means.
    """
    hints = get_type_hints(request) | get_type_hints(Protocol) | get_type_hints(Writing)
    model: dict[str, Any] = {}
    for name, told in options_of(request).items():
        if name not in left_out:
            kind, default = _PLACES.get(name, (hints[name], told.default))
            given = ... if default is MISSING else default
            model[name] = (kind, Field(given, description=told.help))
    for name, (default, help) in (own or {}).items():
        model[name] = (type(default), Field(default, description=help))
    about = (inspect.getdoc(request) or "").splitlines()[0]
    return create_model(request.__name__.removesuffix("Request"), __config__=_STRICT, __doc__=about, **model)


_EVERYWHERE = ("seed", "device")
_OBJECTS = tuple(name for name in IN_PYTHON if name not in _PLACES)
_MADE = ("generator", "family", "steps", "minutes")

Data: Any = _step(DataRequest, ())
Fit: Any = _step(FitRequest, ("dataset", "validation", *_OBJECTS, *_EVERYWHERE))
Choose: Any = _step(
    ChooseRequest, ("dataset", "train", "seeds", "generators", "today", *_OBJECTS, *_EVERYWHERE)
)
Sample: Any = _step(
    SampleRequest, ("generator", "out", "seed", "shard"), {"file": ("samples.parquet", _FILE)}
)
Expand: Any = _step(
    ExpandRequest, ("dataset", "out", "shard", *_MADE, *_EVERYWHERE), {"file": ("expanded", _FILE)}
)
Evaluate: Any = _step(EvaluateRequest, ("dataset", "generator", "train", *_OBJECTS, *_EVERYWHERE))


class Mix(BaseModel):
    """A DataLoader mixed for one epoch, to count what is in its batches."""

    model_config = _STRICT

    ratio: float | None = Field(None, description="share of synthetic rows; that of the plan without it")
    batch_size: int = Field(BATCH_SIZE, description="rows per batch")


class Recipe(BaseModel):
    """What `synthaug run` executes: the steps that are there, in this order.

    The generator of fit, or else the plan of choose, serves those after it. Without fit, evaluate chooses what it
    tests.
    """

    model_config = _STRICT

    version: Literal[1] = Field(description="of this format")
    about: str = Field(description="what it does, in a line")
    needs: dict[str, str] = Field(
        {}, description="what has to be said, by its key, e.g. data.source; a recipe that lacks it is refused"
    )
    gives: str = Field("", description="what comes of it, and what to expect")
    data: Data = Field(Data(), description="the labelled data set, and what is said of it")
    out: str = Field("result", description="folder for all that comes of it")
    fit: Fit | None = Field(None, description="train a generator, in the folder generator")
    choose: Choose | None = Field(
        None,
        description="find out how much of which synthetic rows to use, in the folder plan; it may be none",
    )
    sample: Sample | None = Field(None, description="write synthetic rows, and a picture of them")
    mix: Mix | None = Field(None, description="mix a DataLoader for one epoch, and count")
    expand: Expand | None = Field(None, description="write the data set with synthetic rows added")
    evaluate: Evaluate | None = Field(
        None, description="find out on rows that had no part in it whether they help, in the folder report"
    )


STEPS: dict[str, Any] = {
    "fit": Fit,
    "choose": Choose,
    "sample": Sample,
    "mix": Mix,
    "expand": Expand,
    "evaluate": Evaluate,
}
"""The steps in the order in which they are done."""

KEYS = frozenset(Recipe.model_fields) | {
    f"{step}.{name}" for step, model in {"data": Data, **STEPS}.items() for name in model.model_fields
}
"""All keys of a recipe, by their paths."""


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe, for editors and validators; values that only Python can say are left out."""
    dialect = {"$schema": GenerateJsonSchema.schema_dialect}
    return dialect | Recipe.model_json_schema(schema_generator=GenerateJsonSchema)


def value_at(recipe: Recipe, key: str) -> Any:
    """What a recipe says under one of `KEYS`; None where its step is not there."""
    found: Any = recipe
    for name in key.split("."):
        found = getattr(found, name, None)
    return found
