"""albumentations is imported in one place, asks and tells the network nothing, and only augmentations need it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import synthaug

ROOT = Path(synthaug.__file__).parent


def run(code: str, **environment: str) -> str:
    """What a script prints that is run in a process of its own, where warnings are errors."""
    asked = ("NO_ALBUMENTATIONS_UPDATE", "ALBUMENTATIONS_NO_TELEMETRY")
    own = {name: value for name, value in os.environ.items() if name not in asked}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**own, "LOKY_MAX_CPU_COUNT": "1", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_module_imports_it_and_none_when_synthaug_is_imported() -> None:
    found = set()
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            if any(name.partition(".")[0] in ("albumentations", "albucore") for name in names):
                found.add(path.relative_to(ROOT).as_posix())
    assert found == {"modalities/image/pipelines.py"}
    assert (
        run("import sys, synthaug.verbs, synthaug.mixing.adapters; print('albumentations' in sys.modules)")
        == "False\n"
    )


def test_it_is_told_to_leave_the_network_alone() -> None:
    asked = "import os, synthaug.modalities.image.pipelines; "
    named = "print(os.environ['NO_ALBUMENTATIONS_UPDATE'], os.environ['ALBUMENTATIONS_NO_TELEMETRY'])"
    assert run(asked + named) == "1 1\n"
    assert run(asked + named, NO_ALBUMENTATIONS_UPDATE="0") == "0 1\n", "what the user says holds"


WITHOUT = """
import sys
sys.modules["albumentations"] = None  # as if it were not installed

import numpy as np, pandas as pd, torch
import synthaug
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
rng = np.random.default_rng(0)
labels = np.arange(60) % 2
"""

IMAGES = """
images = rng.integers(0, 99, (60, 8, 8), dtype=np.uint8) + (labels * 90).astype(np.uint8)[:, None, None]
"""


def test_fit_sample_mix_and_expand_work_without_it(tmp_path: Path) -> None:
    script = f"""
{WITHOUT}{IMAGES}
generator = synthaug.fit((images, labels), family="cvae", steps=3, progress=False)
samples = generator.sample({{"0": 8, "1": 8}}, seed=0)
loader = DataLoader(TensorDataset(torch.from_numpy(images), torch.from_numpy(labels)), batch_size=6, shuffle=True)
assert sum(len(y) for _, y in synthaug.mix(loader, samples, ratio=0.5)) == 60
rows, named = synthaug.expand((images, labels), generator, to="2x")[:2]
generator.save({str(tmp_path / "gen")!r})
synthaug.load({str(tmp_path / "gen")!r}).sample({{"0": 1}})
print(len(named))
"""
    assert run(script) == "120\n"


def test_tables_are_chosen_for_and_judged_without_it() -> None:
    script = f"""
{WITHOUT}
frame = pd.DataFrame({{"a": rng.normal(size=60) + labels, "b": rng.choice(["x", "y"], 60), "label": labels}})
quick = synthaug.Protocol(folds=2, seeds=2, classifier_steps=3, judge_steps=3, steps=3)
import warnings; warnings.simplefilter("ignore", synthaug.SynthaugWarning)
done = synthaug.evaluate(frame, protocol=quick, jobs=1, progress=False)
print(type(done).__name__)
"""
    assert run(script) == "Evaluation\n"


@pytest.mark.parametrize("verb", ["choose", "evaluate"])
def test_a_judgement_of_images_says_at_once_what_is_missing(verb: str) -> None:
    script = f"""
{WITHOUT}{IMAGES}
import synthaug.training.loop
def trained(*args, **more):
    raise AssertionError("something was trained before")
synthaug.training.loop.run_loop = trained
try:
    synthaug.{verb}((images, labels), jobs=1, progress=False)
except synthaug.SynthaugError as error:
    print(error)
"""
    said = run(script)
    assert "albumentations, which cannot be imported here" in said
    assert 'pip install "albumentations>=2.0.8,<2.1"' in said


def test_the_transform_that_puts_rows_in_says_what_is_missing() -> None:
    script = f"""
{WITHOUT}
try:
    import synthaug.mixing.albumentations
except ImportError as error:
    print(isinstance(error, synthaug.SynthaugError), error)
"""
    assert run(script).startswith("True Augmentations of images are made by albumentations")
