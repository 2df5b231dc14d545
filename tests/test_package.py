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

# The way of data: a module may import from its own folder and from what stands before it.
ORDER = (
    *(
        "errors",
        "wording",
        "seeding",
        "outputs",
        "metrics",
        "modalities",
        "data",
        "families",
        "generators",
        "training",
    ),
    *("files", "mixing", "judging", "report", "requests", "verbs", "recipes", "cli"),
)
# What is still to be turned round.
WRONG_WAY: set[tuple[str, str]] = {
    ("families.base", "training.loop"),
    ("families.cgan", "training.loop"),
    ("families.cvae", "training.loop"),
    ("families.warp", "training.loop"),
    ("generators.artifact", "files.formats"),
    ("generators.artifact", "training.history"),
    ("generators.artifact", "training.train"),
    ("generators.generator", "files.hub"),
    ("generators.generator", "training.train"),
    ("judging.answers", "report.report"),
    ("modalities.image.augment", "mixing.albumentations"),
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


def test_imports_go_down_the_list_only() -> None:
    found = {
        (name, ".".join(used.split(".")[:2]))
        for name in (module.removeprefix("synthaug.") for module in modules())
        for used in imports(f"synthaug.{name}")
        if used.split(".")[0] in ORDER and ORDER.index(used.split(".")[0]) > ORDER.index(name.split(".")[0])
    }
    assert found == WRONG_WAY


def test_the_loop_and_mixing_know_no_family() -> None:
    mixing = [name for name in modules() if name.startswith("synthaug.mixing.")]
    for name in ("synthaug.training.loop", *mixing):
        assert not {
            used for used in imports(name) if used.startswith(("families", "data.labeled")) and "loop" in name
        }
        assert not {used for used in imports(name) if used.startswith(("families", "training.train"))}, name


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
