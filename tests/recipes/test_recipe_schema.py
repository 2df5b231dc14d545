"""What a recipe may say, and what is said of it."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cooked import PIPELINES, TOLD, Arrays, document, in_yaml, photographs, run

from synthaug.cli import main
from synthaug.errors import InvalidRequest
from synthaug.judging import USUAL_PROTOCOL
from synthaug.options import options_of
from synthaug.recipes import Recipe, load_recipe, recipe_schema
from synthaug.recipes.schema import KEYS, value_at
from synthaug.requests import (
    ChooseRequest,
    DataRequest,
    EvaluateRequest,
    ExpandRequest,
    FitRequest,
    SampleRequest,
)


def problems(value: Any) -> list[str]:
    """What an independent reading of the exported schema has against a recipe."""
    schema = document("run", "--schema")
    jsonschema.Draft202012Validator.check_schema(schema)
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(value)]


def test_shipped_recipes_fit_the_schema_that_is_exported_and_others_do_not() -> None:
    for name in TOLD:
        assert problems(in_yaml(name)) == [], name
        assert (
            problems(json.loads(load_recipe(name, data="x", settings=needed(name)).model_dump_json())) == []
        ), name
    demo = in_yaml("demo")
    for wrong in (
        {"version": 2},
        {"about": None},
        {"train": {}},
        {"fit": {"stepz": 3}},
        {"fit": {"steps": "many"}},
        {"expand": {"to": 2.5}},
        {"sample": {}},
        {"needs": "data"},
    ):
        assert problems(demo | wrong), wrong


def needed(name: str) -> dict[str, Any]:
    """Something for each key that a recipe needs."""
    return {key: "x" for key in TOLD[name].needs if value_at(Recipe(**in_yaml(name)), key) is None}


def test_the_schema_explains_each_key_in_the_words_of_the_requests() -> None:
    schema = recipe_schema()
    assert schema["title"] == "Recipe"
    requests = {"Data": DataRequest, "Fit": FitRequest, "Choose": ChooseRequest, "Sample": SampleRequest}
    requests |= {"Expand": ExpandRequest, "Evaluate": EvaluateRequest}
    for name, of in {"Recipe": schema, **schema["$defs"]}.items():
        assert of["description"], name
        assert of["additionalProperties"] is False
        told = options_of(requests[name]) if name in requests else {}
        for key, value in of["properties"].items():
            assert value["description"], (name, key)
            if key in told:
                assert value["description"] == told[key].help
            assert "title" in value or "$ref" in value or "anyOf" in value, (name, key)
    totals = schema["$defs"]["Expand"]["properties"]["to"][
        "anyOf"
    ]  # a function of counts only Python can say
    assert [each["type"] for each in totals] == ["string", "integer", "object", "null"]


def test_a_key_that_is_not_there_is_named_with_the_one_that_was_meant() -> None:
    for key, meant in (("fit.stpes", "fit.steps"), ("evalute", "evaluate"), ("data.lable", "data.label")):
        told = run("run", "demo", "--set", f"{key}=3", "--dry-run")
        assert told.exit_code == 2
        assert f'key "{key}": there is no such key. Did you mean "{meant}"?' in told.stderr
    assert 'nothing to set at "about.x"' in run("run", "demo", "--set", "about.x=3").stderr


def test_recipes_are_listed_with_what_they_do_need_and_give() -> None:
    assert document("run") == {name: asdict(each) for name, each in TOLD.items()}
    text = " ".join(run("run").stdout.split())
    for name, each in TOLD.items():
        assert name in text
        assert " ".join(each.about.split()) in text
        assert each.needs
        assert set(each.needs) <= KEYS
        assert "data.source" in each.needs
        assert each.gives
    assert max(map(len, run("run").stdout.splitlines())) <= 100


def test_pages_name_recipes_that_there_are() -> None:
    named = set()
    for page in (PIPELINES.parent / "docs").glob("*.md"):
        named |= set(re.findall(r"synthaug run ([\w-]+)(?![\w./-])", page.read_text(encoding="utf-8")))
    assert len(named) > 5
    assert {name for name in named if not name.startswith("-")} <= set(TOLD)


def test_what_a_recipe_needs_is_asked_for_by_its_key(tmp_path: Path) -> None:
    assert "Give one with --data: images with labels" in run("run", "few-images").stderr
    told = run("run", "unlabelled-rows", "--data", "bundled:digits").stderr
    assert "needs choose.unlabelled: the rows without labels" in told
    assert "--set choose.unlabelled=" in told
    assert (
        "needs data.embed: a pretrained network"
        in run("run", "photographs", "--data", "bundled:digits").stderr
    )
    (tmp_path / "mine.yaml").write_text("version: 1\nabout: mine\nneeds: {choose.unlabeled: rows}\n")
    with pytest.raises(InvalidRequest, match=r'"needs.choose.unlabeled".*Did you mean "choose.unlabelled"'):
        load_recipe(tmp_path / "mine.yaml", data="bundled:digits")


def test_a_recipe_has_the_defaults_of_the_command_and_of_the_library() -> None:
    recipe = document("run", "expand-and-judge", "--data", "bundled:digits", "--dry-run")
    evaluate = recipe["evaluate"]
    command = {each.name: each.default for each in main.commands["evaluate"].params}
    for name, value in asdict(USUAL_PROTOCOL).items():
        assert evaluate[name] == command[name] == value, name
    assert (evaluate["classifier_steps"], recipe["fit"]["family"]) == (400, FitRequest.family)


def test_an_embedder_that_cannot_be_found_is_named(
    shapes: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = photographs(tmp_path, shapes)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_network", raising=False)
    found = document("inspect", photos, "--embed", "my_network:Embedder")
    assert "Embedder" in json.dumps(found)
    for name, words in (("my_network", "module:name"), ("my_network:embeder", "cannot be imported")):
        done = run("inspect", photos, "--embed", name)
        assert done.exit_code == 2
        assert words in done.stderr


def test_a_recipe_without_a_generator_says_what_it_lacks(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("version: 1\nabout: nothing\nexpand: {to: 2x}\n")
    done = run("run", recipe, "--data", "bundled:digits")
    assert done.exit_code == 2
    assert 'give it a step "fit" or "choose"' in done.stderr
