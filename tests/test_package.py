from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from dataclasses import MISSING, fields
from importlib import metadata
from pathlib import Path

import pytest

import synthaug
from synthaug import files, judging
from synthaug.mixing import MixOptions
from synthaug.options import options_of
from synthaug.requests import (
    ChooseRequest,
    EvaluateRequest,
    ExpandRequest,
    FitRequest,
    InspectRequest,
    PushRequest,
    SampleRequest,
)

ROOT = Path(synthaug.__file__).parent
REQUESTS = {
    "fit": FitRequest,
    "sample": SampleRequest,
    "expand": ExpandRequest,
    "choose": ChooseRequest,
    "evaluate": EvaluateRequest,
    "inspect": InspectRequest,
    "push": PushRequest,
}

# The way of data: a module may import from its own folder and from what stands before it.
ORDER = (
    *("errors", "wording", "seeding", "progress", "outputs"),
    *(
        "metrics",
        "modalities",
        "data",
        "families",
        "generators",
        "training",
        "files",
        "mixing",
        "judging",
        "report",
    ),
    *("requests", "options", "verbs", "recipes", "cli", "testing"),
)
LEAVES = ("errors", "wording", "seeding", "progress", "outputs")
FOLDERS = sorted(str(path.parent.relative_to(ROOT.parent)) for path in ROOT.rglob("__init__.pyi"))
# The name under which a package is installed, where it is imported by another one.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "cv2": "opencv-python-headless",
}


def modules() -> list[str]:
    found = pkgutil.walk_packages([str(ROOT)], "synthaug.")
    return sorted(module.name for module in found)


def imports(name: str) -> set[str]:
    """What a module of the package imports from the package, type checking aside."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("synthaug"):
            base = node.module.removeprefix("synthaug").lstrip(".")
            found |= {f"{base}.{alias.name}".lstrip(".") for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("synthaug.") for a in node.names if a.name.startswith("synthaug.")}
    return found


def stage(module: str) -> int:
    return ORDER.index(module.split(".")[0])


def test_every_module_has_its_place_in_the_order() -> None:
    top = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert top - {"__init__"} == set(ORDER)


def test_imports_go_down_the_list_only() -> None:
    for module in modules():
        name = module.removeprefix("synthaug.")
        used = {each for each in imports(module) if each.split(".")[0] in ORDER}
        assert not {each for each in used if stage(each) > stage(name)}, name
        if name.split(".")[0] in LEAVES:
            own = name.split(".")[0]
            assert {each.split(".")[0] for each in used} - {own} <= {"errors", "wording"}, name


def test_the_loop_and_the_mixing_plan_know_no_family_and_no_pixels() -> None:
    for name in ("training.loop", "mixing.plan", "mixing.schedule", "judging.search", "metrics.statistics"):
        used = imports(f"synthaug.{name}")
        assert not {each for each in used if each.startswith(("modalities", "data.labeled"))}, name
        if name != "training.loop":  # which is given phases, a contract of families
            assert not {each for each in used if each.startswith("families")}, name


@pytest.mark.parametrize("folder", FOLDERS)
def test_public_lists_say_what_there_is_after_every_submodule_has_been_imported(folder: str) -> None:
    for module in modules():
        importlib.import_module(module)
    found = importlib.import_module(folder.replace("/", "."))
    assert found.__all__
    for name in found.__all__:
        value = getattr(found, name)
        # a function may be called like the module it is in
        assert not inspect.ismodule(value), name
        assert name in dir(found)


def test_the_verbs_are_functions_with_the_defaults_of_their_requests() -> None:
    for verb, request in REQUESTS.items():
        told = options_of(request)
        for name, parameter in inspect.signature(getattr(synthaug, verb)).parameters.items():
            if name == "protocol":
                assert parameter.default is judging.USUAL_PROTOCOL
            elif name == "writing":
                assert parameter.default is files.USUAL_WRITING
            elif name in told:
                usual = told[name].default
                expected = inspect.Parameter.empty if usual is MISSING else usual or None
                assert (parameter.default or None) == expected, (verb, name)
    options = {each.name: each.default for each in fields(MixOptions) if each.name != "items"}
    for name, parameter in inspect.signature(synthaug.mix).parameters.items():
        assert name not in options or parameter.default == options[name], name


def test_every_field_of_a_request_is_explained() -> None:
    for request in REQUESTS.values():
        assert all(option.help for option in options_of(request).values())


def test_the_face_has_at_most_twelve_arguments_and_the_inside_eight() -> None:
    for module in map(importlib.import_module, modules()):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            # ours, not one that click or another package made
            if function.__module__ != module.__name__ or module.__name__.startswith(
                ("synthaug.cli", "synthaug.testing")
            ):
                continue
            known = f"{module.__name__}.{name}".removeprefix("synthaug.")
            # what the loop does beside its steps, it is given by its caller
            faces = ("training.loop.run_loop",)
            most = 12 if known.startswith("verbs.") or known in faces else 8
            if known == "data.opening.open_data":  # where all that is said of a source is said
                most = 15
            if known in (
                "verbs.samples.expand",
                "verbs.samples.fit",
                "verbs.answers.choose",
                "verbs.answers.evaluate",
            ):  # which take what is tried, as well
                most = 15
            assert len(inspect.signature(function).parameters) <= most, known


def test_all_that_is_imported_is_declared() -> None:
    requirements = metadata.requires("synthaug") or []
    declared = {re.split(r"[^\w.-]", each)[0].lower().replace("_", "-") for each in requirements}
    used = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                used |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                used.add(node.module.split(".")[0])
    others = used - set(sys.stdlib_module_names) - {"synthaug"}
    assert {DISTRIBUTIONS.get(name, name).lower().replace("_", "-") for name in others} <= declared


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        synthaug.nothing  # noqa: B018


@pytest.mark.parametrize("code", ["import synthaug", "from synthaug.cli import main; main(['--help'])"])
def test_importing_and_asking_for_help_load_nothing_heavy(code: str) -> None:
    script = f"""
import sys
try:
    {code}
except SystemExit:
    pass
heavy = {{"torch", "datasets", "albumentations", "sklearn", "matplotlib"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
