"""What each shipped recipe is given in tests, and what makes it small."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import yaml
from click.testing import CliRunner, Result
from PIL import Image
from planted import plan_for

import synthaug
from synthaug import Plan
from synthaug.cli import main
from synthaug.recipes import shipped

Arrays = tuple[np.ndarray, np.ndarray]
PIPELINES = Path(synthaug.__file__).parents[1] / "pipelines"
TOLD = shipped()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def document(*arguments: object) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def chosen(dataset: Any, out: Path, generator: bool = True, **_: Any) -> Plan:
    """In place of `synthaug.choose`: a plan with a generator of two steps, or with none, and its folder."""
    made = synthaug.fit(dataset, steps=2, progress=False) if generator else None
    plan = plan_for(dataset, "real", made)
    out.mkdir(parents=True, exist_ok=True)
    plan.write(out)
    return plan


def pictures(place: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    for at, (image, label) in enumerate(zip(images, labels, strict=True)):
        (place / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / str(label) / f"{at}.png")
    return place


def few(place: Path, shapes: Arrays) -> Path:
    return pictures(place / "photos", shapes[0][:24], shapes[1][:24])


def unequal(place: Path, shapes: Arrays) -> Path:
    rows = [row for row, label in enumerate(shapes[1][:40]) if label == "lying" or row < 12]
    return pictures(place / "photos", shapes[0][rows], shapes[1][rows])


def in_splits(place: Path, shapes: Arrays) -> Path:
    split = np.array(["train"] * 32 + ["test"] * 16)
    np.savez(place / "photos.npz", X=shapes[0][:48], y=shapes[1][:48], split=split)
    return place / "photos.npz"


def scans(place: Path, shapes: Arrays) -> Path:
    """Sixteen bits, of two sizes, two scans a patient."""
    lines = ["path,finding,patient"]
    for at, (image, label) in enumerate(zip(shapes[0][:48], shapes[1][:48], strict=True)):
        image = image.astype(np.uint16) * 16
        Image.fromarray(image if at % 3 else image[1:, 1:]).save(place / f"{at}.png")
        lines.append(f"{at}.png,{label},p{at // 2 % 12}")
    (place / "scans.csv").write_text("\n".join(lines) + "\n")
    return place / "scans.csv"


def with_unlabelled(place: Path, shapes: Arrays) -> Path:
    pictures(place / "more", shapes[0][24:60], np.array(["any"] * 36))
    return few(place, shapes)


def table(place: Path, shapes: Arrays) -> Path:
    rare = [i % 4 == 0 for i in range(60)]
    lines = [f"{i % 7 + 3 * rare[i]},{'ab'[i % 2]},{('often', 'rare')[rare[i]]}" for i in range(60)]
    (place / "data.csv").write_text("\n".join(["dose,job,label", *lines]) + "\n")
    return place / "data.csv"


def saved(place: Path, shapes: Arrays) -> Path:
    features = datasets.Features(
        image=datasets.Image(),
        label=datasets.ClassLabel(names=["lying", "standing"]),
        note=datasets.Value("string"),
    )
    rows = {"image": [Image.fromarray(image) for image in shapes[0][:24]], "label": shapes[1][:24].tolist()}
    datasets.Dataset.from_dict(rows | {"note": ["mine"] * 24}, features).save_to_disk(str(place / "set"))
    return place / "set"


def photographs(place: Path, shapes: Arrays) -> Path:
    rng = np.random.default_rng(0)
    for at in range(24):
        folder = place / "photos" / ("dark", "bright")[at % 2]
        folder.mkdir(parents=True, exist_ok=True)
        low = 120 * (at % 2)
        image = rng.integers(low, low + 100, (*rng.integers(20, 30, 2), 3)).astype(np.uint8)
        Image.fromarray(image).save(folder / f"{at}.png")
    (place / "my_network.py").write_text(
        "import numpy as np\n"
        "def embedder(images):\n"
        "    return np.stack([[image.mean(), image.std(), *image.shape[:2]] for image in images])\n"
        "class Embedder:\n"
        "    __call__ = staticmethod(embedder)\n"
    )
    return place / "photos"


CHOOSE = {f"choose.{name}": 2 for name in ("steps", "folds", "classifier_steps", "judge_steps")}
ONE = {"choose.families": ["warp"]}
SCANS = {"data.image_size": 12, "data.label": "finding", "evaluate.families": ["warp"]}
EVALUATE = {f"evaluate.{name}": 2 for name in ("steps", "folds", "classifier_steps", "judge_steps", "seeds")}
FIT = {"fit.minutes": None, "fit.steps": 2}
JUDGED = {"evaluate.seeds": 2, "evaluate.classifier_steps": 2, "evaluate.judge_steps": 2}

WORLDS: dict[str, tuple[Callable[[Path, Arrays], Path], dict[str, Any]]] = {
    "choose-and-expand": (few, CHOOSE),
    "demo": (in_splits, FIT | JUDGED),
    "expand-and-judge": (few, FIT | JUDGED),
    "expand-then-train": (in_splits, FIT),
    "few-images": (few, CHOOSE),
    "hugging-face": (saved, CHOOSE | ONE),
    "medical-images": (scans, CHOOSE | ONE | EVALUATE | SCANS),
    "photographs": (photographs, CHOOSE | {"data.embed": "my_network:embedder", "choose.steps": 5}),
    "unequal-images": (unequal, CHOOSE),
    "unequal-table": (table, CHOOSE | {"choose.steps": 20}),
    "unlabelled-rows": (with_unlabelled, CHOOSE | ONE | {"choose.unlabelled": "more"}),
}
"""What a recipe is given in its test, and what makes it small."""

GIVES = {
    "demo": ["generator/manifest.json", "samples.parquet", "samples.png", "expanded", "report/report.html"],
    "expand-and-judge": ["generator/manifest.json", "expanded", "report/report.html"],
    "expand-then-train": ["generator/manifest.json", "samples.parquet", "samples.png", "expanded.npz"],
    "medical-images": ["plan/plan.json", "report/report.html"],
}
"""What is there afterwards; of the others a plan, and the rest where it asks for it."""


@cache
def in_yaml(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PIPELINES / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


def written(place: Path) -> dict[str, int]:
    """When each file was written."""
    return {
        str(path.relative_to(place)): path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()
    }
