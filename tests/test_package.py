from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import synthaug

ROOT = Path(synthaug.__file__).parent

# The way of data: a module may import from earlier stages and from the leaves, which any stage may use.
LEAVES = {
    "errors",
    "trackers",
    "seeding",
    "data.spec",
    "samples",
    "outputs",
    "counts",
    "grids",
    "downstream",
    "metrics",
    "charts",
}
STAGES = [
    {"data"},
    {"history", "loop", "families", "appraisal", "training"},
    {"artifact"},
    {"hub"},
    {"sampling"},
    {"inspection"},
    {"curation"},
    {"mixing"},
    {"expansion"},
    {"augmentation", "arms", "trainings", "draws", "evaluation", "selection", "trials", "plan", "report"},
    {"answers", "verbs"},
    {"recipes"},
    {"cli"},
]


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


def stage(module: str) -> int | None:
    """The stage of a dotted name below synthaug; None for leaves and for what is not a module."""
    parts = module.split(".")
    if parts[0] in LEAVES or ".".join(parts[:2]) in LEAVES:
        return None
    return next((i for i, names in enumerate(STAGES) if parts[0] in names), None)


def test_imports_go_from_later_stages_to_earlier_ones_and_to_the_leaves() -> None:
    for module in modules():
        name = module.removeprefix("synthaug.")
        own = stage(name)
        for used in imports(module):
            if own is None:
                is_leaf = stage(used) is None or used.split(".")[0] == name.split(".")[0]
                assert is_leaf, f"the leaf {name} imports {used}"
            elif (other := stage(used)) is not None:
                assert other <= own, f"{name} imports {used}, which comes later"


def test_the_loop_and_mixing_know_no_family() -> None:
    mixing = [name for name in modules() if name.startswith("synthaug.mixing.")]
    for name in ("synthaug.loop", "synthaug.downstream", *mixing):
        assert not {
            used for used in imports(name) if used.startswith(("families", "training", "sampling"))
        }, name
    assert not {used for used in imports("synthaug.loop") if used.startswith(("data", "downstream"))}


def test_every_module_belongs_to_a_stage_or_is_a_leaf() -> None:
    known = {"", *LEAVES, *(name for names in STAGES for name in names)}
    for module in modules():
        parts = module.removeprefix("synthaug.").split(".")
        assert parts[0] in known or ".".join(parts[:2]) in known, module


def test_the_verbs_stay_functions_after_every_submodule_has_been_imported() -> None:
    for module in modules():
        importlib.import_module(module)
    for verb in ("fit", "load", "mix", "expand", "choose", "evaluate"):
        assert inspect.isfunction(getattr(synthaug, verb)), verb
        assert not (ROOT / f"{verb}.py").exists()
    assert set(synthaug.__all__) >= {"Generator", "Samples", "Plan", "Evaluation", "SynthaugError"}
    assert all(getattr(synthaug, name) is not None for name in synthaug.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
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
