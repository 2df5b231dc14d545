"""What the documents say is done here."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import synthaug
from synthaug.cli import main
from synthaug.families import family_names
from synthaug.judging import ArmResult, Ingredients, Task, no_pool, train_arm
from synthaug.report import FURTHER

DOCS = Path(synthaug.__file__).parents[1] / "docs"


def blocks(page: str, language: str = "python") -> list[str]:
    """The blocks of code of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.S | re.M)


def installed(page: str, module: str, place: Path) -> None:
    """The first block of a page as a package of its own."""
    about = place / f"{module}-0.1.dist-info"
    about.mkdir(parents=True)
    (place / f"{module}.py").write_text(blocks(page)[0], encoding="utf-8")
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1\n")
    group, named = re.findall(r'entry-points\."(.+?)"\]\n(\w+ = ".+?")', blocks(page, "toml")[0])[0]
    (about / "entry_points.txt").write_text(f"[{group}]\n{named}\n".replace('"', ""))


@pytest.fixture
def package(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """What a page and a module name, installed."""
    page, module = request.param
    installed(page, module, tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop(module, None)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("package", [("family.md", "synthaug_linear")], indirect=True)
def test_a_family_of_another_package_is_checked_fitted_saved_loaded_mixed_and_chosen(
    shapes: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = shapes
    family, check, use = blocks("family.md")
    assert len([line for line in family.splitlines() if line.strip()]) <= 45
    assert "linear" in family_names()
    known: dict[str, Any] = {"X": images, "y": labels.tolist()}
    exec(check, known)
    exec(use.replace("protocol=quick)", "protocol=quick, jobs=1, progress=False)"), known)
    assert known["plan"].family == "linear"
    assert known["images"].shape == (16, 12, 10)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("package", [("modality.md", "synthaug_sequences")], indirect=True)
def test_a_kind_of_another_package_is_checked_fitted_saved_loaded_mixed_and_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind, check, use = blocks("modality.md")
    assert len([line for line in kind.splitlines() if line.strip()]) <= 110
    known: dict[str, Any] = {}
    exec(check, known)
    exec(use.replace("protocol=quick)", "protocol=quick, jobs=1, progress=False)"), known)
    assert known["plan"].family == "cvae"
    assert known["rows"].shape == (16, 10)
    assert known["generator"].achieved.text


def test_a_family_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(synthaug.SynthaugError, match='no family "linear"'):
        synthaug.fit((np.zeros((8, 8, 8), np.uint8), ["a", "b"] * 4), "linear", steps=1)


def test_what_the_architecture_page_adds_is_added(
    tmp_path: Path, shapes: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = synthaug.open_data(shapes)
    known: dict[str, Any] = {"data": data, "folder": tmp_path}
    monkeypatch.setitem(sys.modules, "page", types.ModuleType("page"))
    known["__name__"] = "page"
    for block in blocks("architecture.md"):
        exec(block, known)
    told = FURTHER.pop("fewest errors, %")
    assert known["few"] == {"few": ["lying", "standing"]}
    parts = Ingredients.of(
        data, no_pool(data), data.form.fitted(data.read()).encode, ratio=0.0, batch_size=16
    )
    tests = {"test": (data.read(), data.labels)}
    outcome = train_arm(Task("half", known["ARM"], 0, parts, {}, tests, 2))
    assert outcome.scores["test"].accuracy >= 0
    arm = ArmResult("half", False, "", None, 2, (), (outcome.scores["test"],), (0.1,))
    assert told(arm, None).endswith(tuple("0123456789"))


def test_the_page_names_the_house_as_it_stands() -> None:
    """Each folder and module at the top, and each file that a recipe sends the reader to."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    root = DOCS.parent / "synthaug"
    for path in root.iterdir():
        name = (
            path.stem if path.suffix == ".py" else f"{path.name}/" if (path / "__init__.py").exists() else ""
        )
        assert not name or name == "__init__" or name in text, name
    for name in set(re.findall(r"`((?:\w+/)+\w+\.py)`", text)):
        assert (root / name).exists() or (DOCS.parent / name).exists(), name


def visits() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    ill = np.arange(60) % 2 == 0
    return pd.DataFrame(
        {
            "postcode": rng.choice([10115, 80331], 60),
            "dose": np.where(rng.random(60) < 0.3, 0.0, rng.lognormal(size=60)) + ill,
            "remark": [f"visit {i}" for i in range(60)],
            "patient": [f"p{i // 2}" for i in range(60)],
            "finding": np.where(ill, "ill", "well"),
        }
    )


def test_what_the_page_of_tables_says_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = visits()
    X = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 12)).astype(np.float32))
    known: dict[str, Any] = {
        "frame": found[["dose", "finding"]].rename(columns={"finding": "label"}),
        "visits": found,
        "X": X,
        "y": torch.arange(60) % 2,
        "bookings": pd.DataFrame(
            {
                "from": np.arange(60),
                "until": np.arange(60) + 3,
                "country": ["DE", "FR"] * 30,
                "city": ["Ulm", "Lyon"] * 30,
                "kept": ["yes", "yes", "no"] * 20,
            }
        ),
    }
    for block in blocks("tables.md"):
        quick = block.replace('family="cvae")', 'family="cvae", steps=20, progress=False)')
        quick = quick.replace("steps=100)", "steps=20, progress=False)").replace("steps=50)", "steps=20)")
        exec(quick.replace("protocol=quick)", "protocol=quick, jobs=1, progress=False)"), known)
    assert [column.kind for column in known["data"].form.columns] == ["category", "number"]
    assert len(known["scores"]) == 3
    assert [relation.kind for relation in known["orders"].form.relations] == ["ordered", "together"]
    found.drop(columns="patient").to_csv("visits.csv", index=False)
    (commands,) = blocks("tables.md", "bash")
    for line in commands.splitlines():
        _, command, *rest = shlex.split(line)
        more = {"fit": ["--steps", "5"], "choose": ["--steps", "5", "--folds", "2"], "expand": []}[command]
        result = CliRunner().invoke(main, [command, *rest, *more, "-q"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    bigger = synthaug.open_data("more.parquet")
    assert bigger.synthetic is not None
    assert bigger.synthetic.sum() == 60


# ------------------------------------------------------------------------------------------- photographs


def save_photographs(place: Path, n: int, seed: int) -> None:
    """Coloured pictures of two classes and of sizes of their own."""
    rng = np.random.default_rng(seed)
    for at in range(n):
        folder = place / ("dark", "bright")[at % 2]
        folder.mkdir(parents=True, exist_ok=True)
        low, shape = 120 * (at % 2), rng.integers(30, 60, 2)
        Image.fromarray(rng.integers(low, low + 100, (*shape, 3)).astype(np.uint8)).save(folder / f"{at}.png")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_photographs(tmp_path / "photos", 24, 0)
    return tmp_path


def test_what_the_page_of_photographs_says_is_done(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photographs(photos / "more_photos", 20, 1)
    known: dict[str, Any] = {
        "embedder": lambda images: np.stack(
            [[image.mean(), image.std(), *image.shape[:2]] for image in images]
        )
    }
    opened, kept, _, _, chosen = blocks("photographs.md")
    exec(opened.replace('family="cvae")', 'family="cvae", steps=5, progress=False)'), known)
    assert known["bigger"][0].shape == (48, 4)
    before = known["data"].read()
    exec(kept, known)
    assert (known["data"].read() == before).all()
    assert (photos / "vectors.db").exists()
    quick = chosen.replace("steps=50)", "steps=20, classifier_steps=20)")
    exec(quick.replace("protocol=quick)", "protocol=quick, jobs=1, progress=False)"), known)
    assert any("judged rows" in of.name for of in known["plan"].choice.standings)


def test_a_model_of_transformers_embeds_as_the_page_says(photos: Path) -> None:
    transformers = pytest.importorskip("transformers")
    size = {"image_size": 28, "patch_size": 14, "hidden_size": 16}
    config = transformers.Dinov2Config(num_hidden_layers=1, num_attention_heads=2, **size)
    transformers.Dinov2Model(config).save_pretrained(photos / "net")
    side = {"height": 28, "width": 28}
    transformers.BitImageProcessor(size={"shortest_edge": 28}, crop_size=side).save_pretrained(photos / "net")
    known: dict[str, Any] = {}
    exec(blocks("photographs.md")[3].replace("facebook/dinov2-small", str(photos / "net")), known)
    data = synthaug.open_data(photos / "photos", embed=known["embedder"])
    assert data.form.shape == (16,)
    assert "embedded by Transformers" in data.origin


def test_the_commands_on_photographs_are_done(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "my_network.py").write_text(
        "import numpy as np\n\n\n"
        "def embedder(images):\n"
        "    return np.stack([[image.mean(), image.std(), *image.shape[:2]] for image in images])\n"
    )
    monkeypatch.syspath_prepend(str(photos))
    few = {"steps": 5, "classifier_steps": 5, "judge_steps": 5, "folds": 2}
    shorter = {
        "choose": [f"--{name.replace('_', '-')}={n}" for name, n in few.items()],
        "run": [f"--set=choose.{name}={n}" for name, n in few.items()],
    }
    (commands,) = blocks("photographs.md", "bash")
    for line in commands.splitlines():
        path, program, command, *rest = shlex.split(line)
        assert (path, program) == ("PYTHONPATH=.", "synthaug")
        done = CliRunner().invoke(main, [command, *rest, *shorter[command], "-q"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    sys.modules.pop("my_network")
    for plan in ("plan", "all_of_it/plan"):
        assert json.loads((photos / plan / "plan.json").read_text())["learner"] == "linear"


class StandIn(torch.nn.Module):
    """A model as `timm.create_model` gives it without its last layer."""

    num_features = 6

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        assert batch.shape[1:] == (3, 32, 32)
        return torch.cat([batch.mean(dim=(2, 3)), batch.std(dim=(2, 3))], dim=1)


def stand_in_for_timm() -> types.ModuleType:
    """What the page uses of timm, which nothing else here needs: names, arguments and answers as timm has them."""

    def create_model(model_name: str, pretrained: bool = False, *, num_classes: int) -> torch.nn.Module:
        assert num_classes == 0
        return StandIn()

    def resolve_data_config(args: dict[str, Any], *, model: torch.nn.Module) -> dict[str, Any]:
        return {"input_size": (3, 32, 32), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}

    def create_transform(input_size: tuple[int, ...], mean: Any, std: Any) -> Any:
        def transform(image: Image.Image) -> torch.Tensor:
            channels = np.asarray(image.resize(input_size[1:])).transpose(2, 0, 1) / 255
            return torch.from_numpy((channels - mean[0]) / std[0]).float()

        return transform

    timm, data = types.ModuleType("timm"), types.ModuleType("timm.data")
    vars(data).update(resolve_data_config=resolve_data_config, create_transform=create_transform)
    vars(timm).update(create_model=create_model, data=data)
    return timm


def test_a_model_of_timm_embeds_as_the_page_says(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("timm") is None:
        monkeypatch.setitem(sys.modules, "timm", stand_in_for_timm())
    known: dict[str, Any] = {}
    exec(blocks("photographs.md")[2].replace("pretrained=True", "pretrained=False"), known)
    data = synthaug.open_data(photos / "photos", embed=known["embedder"])
    assert data.form.shape == (known["embedder"].network.num_features,)


def test_the_figures_on_photographs_are_those_of_the_results() -> None:
    text = " ".join((DOCS / "photographs.md").read_text(encoding="utf-8").split())
    found = [
        json.loads((DOCS.parent / f"benchmarks/results/photographs/clothing256-{n}.json").read_text())
        for n in (2, 5, 10, 30)
    ]

    def listed(way: str, base: str | None = None) -> str:
        means = []
        for cell in found:
            scores = [of["scores"] for of in cell["replicates"]]
            means.append(
                np.mean([100 * (of[way] - (0 if base is None else of[base])) for of in scores]).round()
            )
        *first, last = (f"{mean:.0f}" for mean in means)
        return f"{', '.join(first)} and {last}"

    for way in ("from scratch", "built-in network", "logistic regression", "shrunk LDA"):
        assert f"{listed(way)} %" in text, way
    for way in ("judged", "true labels"):
        assert listed(f"built-in network + {way}", "built-in network").replace("-0", "0") in text, way
