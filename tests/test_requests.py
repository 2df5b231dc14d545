"""What can be asked for: numbers, records, what tells one training from another, and options of commands."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import json
import linecache
import shutil
import sys
import textwrap
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch

import synthaug
from synthaug import LabeledData, Protocol, open_data
from synthaug.cli import main
from synthaug.errors import InvalidRequest
from synthaug.generators import Selection
from synthaug.judging import identity_of
from synthaug.options import IN_PYTHON, options_of
from synthaug.requests import (
    ChooseRequest,
    DataRequest,
    EvaluateRequest,
    ExpandRequest,
    FitRequest,
    InspectRequest,
    PushRequest,
    SampleRequest,
)
from synthaug.seeding import derive, whole_seed

Arrays = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _no_module_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mine", None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data(shapes: Arrays) -> LabeledData:
    return open_data(shapes)


# ------------------------------------------------------------------------------------------------- numbers


def test_numbers_of_numpy_are_recorded_as_those_of_python(data: LabeledData) -> None:
    numbers = {"steps": np.int64(2), "seed": np.int32(3), "options": {"latent": np.int16(8)}}
    protocol = Protocol(folds=np.int64(2), classifier_steps=np.int64(2), steps=np.int64(2))  # type: ignore[arg-type]
    asked = [
        (FitRequest(data, **numbers), FitRequest(data, steps=2, seed=3, options={"latent": 8})),
        (
            ChooseRequest(data, protocol=protocol, seed=np.int64(1)),  # type: ignore[arg-type]
            ChooseRequest(data, protocol=Protocol(folds=2, classifier_steps=2, steps=2), seed=1),
        ),
        (
            EvaluateRequest(data, ratio=np.float64(0.25), seed=np.uint8(1)),  # type: ignore[arg-type]
            EvaluateRequest(data, ratio=0.25, seed=1),
        ),
    ]
    for numpy, python in asked:
        assert json.dumps(numpy.to_dict()) == json.dumps(python.to_dict())


@pytest.mark.parametrize("seed", [0.5, 2.0, "1", None, 2**63, -(2**63) - 1, np.float32(1), [1]])
def test_a_seed_that_is_no_whole_number_is_refused(data: LabeledData, seed: Any) -> None:
    for ask in (lambda: FitRequest(data, seed=seed), lambda: whole_seed(seed), lambda: derive(seed, "x")):
        with pytest.raises(InvalidRequest, match=r"seed=.* whole number of at most 64 bits"):
            ask()


def test_equal_seeds_are_one_stream_whatever_type_they_have() -> None:
    assert {derive(seed, "x") for seed in (1, np.int8(1), np.uint64(1), torch.tensor(1), True)} == {
        derive(1, "x")
    }


# ----------------------------------------------------------------------------- what tells trainings apart


def module(folder: Path, text: str) -> dict[str, Any]:
    """The names of a module of this source, as a user's file has them."""
    path = folder / "mine.py"
    path.write_text(textwrap.dedent(text))
    # what was compiled or read a moment ago is taken for the same where only a digit differs
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    linecache.clearcache()
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["mine"] = made
    spec.loader.exec_module(made)
    return vars(made)


MAKER = """
    def make(rate):
        def train(loader, steps, seed):
            return lambda batch: batch * rate
        return train
    """
PAIRS = {
    "a closure": (MAKER, "make(0.1)", "make(0.2)"),
    "a closure over an array": (MAKER, "make(np.zeros(3))", "make(np.ones(3))"),
    "a closure over a tensor": (MAKER, "make(torch.zeros(3))", "make(torch.ones(3))"),
    "a closure over a function": (MAKER, "make(make(1))", "make(make(2))"),
    "a closure over a dictionary": (MAKER, "make({'a': [1, 2]})", "make({'a': [1, 3]})"),
    "a default": ("def make(v):\n    def train(loader, steps, seed, r=v): ...\n    return train", "make(1)", "make(2)"),
    "a keyword default": (
        "def make(v):\n    def train(loader, steps, seed, *, r=v): ...\n    return train",
        "make(1)",
        "make(2)",
    ),
    "a partial": ("def train(loader, steps, seed, rate): ...", "partial(train, rate=1)", "partial(train, rate=2)"),
    "a partial's function": (
        "def a(loader, steps, seed): ...\ndef b(loader, steps, seed): return 1",
        "partial(a)",
        "partial(b)",
    ),
    "lambdas on a line": ("both = (lambda l, s, x: 1), (lambda l, s, x: 2)", "both[0]", "both[1]"),
    "a method": (
        "@dataclass\nclass Trainer:\n    rate: float\n    def train(self, loader, steps, seed): ...",
        "Trainer(1.0).train",
        "Trainer(2.0).train",
    ),
    "a wrapper": (
        "import functools\ndef train(loader, steps, seed): ...\n"
        "def twice(n):\n    @functools.wraps(train)\n    def run(*a): return [train(*a) for _ in range(n)]\n"
        "    return run",
        "twice(2)",
        "twice(3)",
    ),
}  # fmt: skip


def shared() -> dict[str, Any]:
    return {"np": np, "torch": torch, "partial": functools.partial, "dataclass": dataclass}


@pytest.mark.parametrize(("text", "one", "other"), PAIRS.values(), ids=list(PAIRS))
def test_trainings_that_differ_in_what_they_are_bound_to_are_told_apart(
    tmp_path: Path, text: str, one: str, other: str
) -> None:
    head = "import numpy as np, torch\nfrom dataclasses import dataclass\n"
    first, second = (module(tmp_path, head + textwrap.dedent(text)) | shared() for _ in range(2))
    found = [identity_of(eval(asked, names)) for names in (first, second) for asked in (one, other)]
    assert found[0] == found[2]
    assert found[1] == found[3]
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("RATE = 1", "RATE = 2"),
        ("def help(): return 1", "def help(): return 2"),
        ("class N: a = 1", "class N: a = 2"),
    ],
)
def test_what_a_training_uses_of_its_own_module_is_part_of_it(
    tmp_path: Path, before: str, after: str
) -> None:
    text = "\ndef train(loader, steps, seed):\n    return RATE, help, N\n"
    found = [identity_of(module(tmp_path, line + text)["train"]) for line in (before, after, before)]
    assert found[0] != found[1]
    assert found[0] == found[2]


def test_a_training_that_cannot_be_looked_at_is_equal_to_itself_only() -> None:
    class Opaque:
        def __call__(self, loader: Any, steps: int, seed: int) -> Any: ...

    def closing_over(it: Any) -> Any:
        def train(loader: Any, steps: int, seed: int) -> Any:
            return it

        return train

    for made in (Opaque, lambda: closing_over(Opaque()), lambda: eval("lambda l, s, x: 1")):
        one, other = made(), made()
        assert identity_of(one) == identity_of(one)
        assert identity_of(one) != identity_of(other)
    assert identity_of(None) is None


def test_a_training_that_calls_itself_has_an_identity() -> None:
    def train(loader: Any, steps: int, seed: int) -> Any:
        return train(loader, steps - 1, seed)

    assert identity_of(train) == identity_of(train)


# ------------------------------------------------------------------------------------- what is recorded


def test_a_curated_generator_is_another_one_in_every_record(data: LabeledData, tmp_path: Path) -> None:
    whole = synthaug.fit(data, steps=2, progress=False)
    curated = [
        whole.keeping(Selection(0, {name: np.array(rows) for name in data.classes}))
        for rows in ([0, 2], [0, 3])
    ]
    makers = [whole, *curated]
    assert len({json.dumps(maker.identity) for maker in makers}) == 3
    assert len({maker.fingerprint for maker in makers}) == 1  # their rows are the same rows
    for request in (lambda it: EvaluateRequest(data, generator=it), lambda it: InspectRequest(it)):
        assert len({json.dumps(request(maker).to_dict()) for maker in makers}) == 3
    whole.save(tmp_path / "gen")
    for maker in curated:
        with pytest.raises(synthaug.SynthaugError, match=r"came from another request \(kept: "):
            maker.save(tmp_path / "gen")
    curated[0].save(tmp_path / "gen", overwrite=True)
    kept = synthaug.load(tmp_path / "gen").kept
    assert kept is not None
    assert kept.fingerprint() == curated[0].kept.fingerprint()


def test_families_are_taken_once_in_their_order(data: LabeledData) -> None:
    families = ["warp", "cvae", "warp", "cvae"]
    for request in (ChooseRequest(data, families), EvaluateRequest(data, families)):
        assert request.to_dict()["families"] == ["warp", "cvae"]
    assert ChooseRequest(data, "cvae").to_dict()["families"] == ["cvae"]


# ---------------------------------------------------------------------------------------------- options

COMMANDS = {
    "fit": (FitRequest, {"dataset": "data", "options": "settings"}),
    "sample": (SampleRequest, {"generator": "gen"}),
    "expand": (ExpandRequest, {"dataset": "data"}),
    "choose": (
        ChooseRequest,
        {"dataset": "data", "train": None, "seeds": None, "generators": None, "today": None},
    ),
    "evaluate": (EvaluateRequest, {"dataset": "data", "train": None}),
    "inspect": (InspectRequest, {"source": "path"}),
    "push": (PushRequest, {}),
}
"""Each command with its request, and the fields that have another name there, or none, as Python alone has them."""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_field_of_a_request_is_a_parameter_of_its_command(command: str) -> None:
    request, otherwise = COMMANDS[command]
    given = {each.name for each in main.commands[command].params}
    wanted = {otherwise.get(name, name) for name in options_of(request)} - {None, *IN_PYTHON}
    if "dataset" in otherwise:
        wanted |= {each.name for each in fields(DataRequest)} - {"source"}
    assert wanted <= given


def test_every_parameter_of_open_data_is_a_field_of_the_request() -> None:
    parameters = set(inspect.signature(open_data).parameters) - {"memory"}  # which Python alone has
    assert parameters == {each.name for each in fields(DataRequest)}


def test_options_have_the_defaults_of_their_fields() -> None:
    for command, (request, otherwise) in COMMANDS.items():
        params = {each.name: each for each in main.commands[command].params}
        for name, option in options_of(request).items():
            param = params.get(name)
            if name not in otherwise and isinstance(param, click.Option) and option.default is not MISSING:
                default = param.to_info_dict()["default"]
                assert default == option.default or not (default or option.default), (command, name)


def test_requests_are_values(data: LabeledData) -> None:
    asked = FitRequest(data, steps=2)
    assert replace(asked, seed=1).to_dict() != asked.to_dict()
    assert replace(asked, seed=0).to_dict() == asked.to_dict()
