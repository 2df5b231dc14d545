"""The README's own blocks, executed; budgets are cut down by replacements that must each match."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import synthaug
from synthaug.cli import main
from synthaug.data import open_data, training_rows
from synthaug.errors import InvalidRequest, SynthaugWarning

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


@pytest.fixture(scope="module")
def clothes() -> tuple[np.ndarray, np.ndarray]:
    """120 bundled images of bags and shirts; labels are names."""
    data = training_rows(open_data("bundled:fashion-mnist"))
    rows = np.concatenate(
        [np.flatnonzero(data.labels == data.classes.index(n))[:60] for n in ("Bag", "Shirt")]
    )
    return data.read(rows), np.array(["Bag"] * 60 + ["Shirt"] * 60)


class Pictures(torch.utils.data.Dataset[Any]):
    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Any = None) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> Any:
        image = self.images[row]
        return (image if self.transform is None else self.transform(image)), self.labels[row]


def shortened(code: str) -> str:
    code, budgets = re.subn(r"minutes=3", "steps=2, progress=False", code)
    code, workers = re.subn(r", num_workers=2", "", code)
    code, judged = re.subn(
        r"\(images, labels\), train",
        "(images, labels), protocol=quick, jobs=1, progress=False, train",
        code,
    )
    assert budgets or judged, (code, workers)
    return code


def test_the_first_two_shell_lines_set_the_project_up() -> None:
    first = blocks("bash")[0].splitlines()
    assert [line.split()[:2] for line in first] == [["make", "demo"], ["make", "test"]]
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    assert re.search(r"^demo: ", makefile, flags=re.M)
    assert re.search(r"^test: ", makefile, flags=re.M)


def test_the_python_blocks_run(
    clothes: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def my_training(loader: Any, steps: int, seed: int) -> Any:
        next(iter(loader))
        return lambda images: torch.zeros(len(images), dtype=torch.int64)

    images, labels = clothes
    names: dict[str, Any] = {
        "torch": torch,
        "Pictures": Pictures,
        "images": images,
        "labels": labels,
        "dataset": Pictures(images, labels),
        "my_training": my_training,
        "quick": synthaug.Protocol(steps=2, classifier_steps=2, judge_steps=2, folds=2),
        "network": lambda images: np.stack([image.mean(axis=0) for image in images]),
    }
    for image, label in zip(images[:20], labels[:20], strict=True):
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "photos" / label / f"{len(list(tmp_path.rglob('*.png')))}.png")
    wrapped, transformed, embedded, judged, kept = blocks("python")
    exec(shortened(wrapped), names)
    assert sum(len(y) for _, y in names["loader"]) == 120
    synthetic = [i for batch in names["loader"].batch_sampler for i in batch if i >= 120]
    assert len(synthetic) == 30
    exec(shortened(transformed), names)
    pictures, _ = next(iter(names["loader"]))
    assert pictures.shape == (64, 1, 28, 28)
    assert pictures.min() < -0.5
    exec(embedded, names)
    assert names["photographs"].form.shape == (28,)
    exec(shortened(judged), names)
    before = names["generator"].fingerprint
    exec(kept, names)
    assert names["generator"].fingerprint == before
    assert (tmp_path / "report" / "report.html").exists()


def test_the_shell_blocks_run(
    clothes: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for i, (image, label) in enumerate(zip(*clothes, strict=True)):
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "photos" / label / f"{i}.png")
    (tmp_path / "more_photos").mkdir()
    for i, image in enumerate(training_rows(open_data("bundled:fashion-mnist")).read(range(300, 340))):
        Image.fromarray(image).save(tmp_path / "more_photos" / f"{i}.png")
    lines = [line for block in blocks("bash")[1:] for line in block.splitlines()]
    assert len(lines) == 7
    quick = ["--steps", "2", "--classifier-steps", "2", "--judge-steps", "2", "--folds", "2"]
    for line in lines:
        program, *arguments = line.replace("--minutes 10", "--steps 2").split()
        assert program == "synthaug"
        if arguments[0] == "evaluate":
            arguments += [*quick, "--seeds", "2"]
        if arguments[0] == "choose":
            arguments += quick
        with warnings.catch_warnings():
            # Judges let few samples of a generator of two steps pass, which is said.
            warnings.simplefilter("ignore", SynthaugWarning)
            done = CliRunner().invoke(main, [*arguments, "-q"], catch_exceptions=False)
        assert done.exit_code == 0, (line, done.stderr)
    assert open_data("photos2x").counts == {"Bag": 120, "Shirt": 120}
    assert open_data("more.parquet").counts == {"Bag": 100, "Shirt": 20}


def test_mix_takes_a_path_a_generator_and_a_schedule_and_drops_no_option_silently(
    clothes: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    dataset = Pictures(*clothes)
    loader: Any = torch.utils.data.DataLoader(dataset, batch_size=60)
    generator = synthaug.fit(clothes, steps=2, progress=False)

    def shares(mixed: Any) -> list[float]:
        return [float(synthetic.float().mean()) for *_, synthetic in mixed]

    synthaug.sample(generator, 20, out=tmp_path / "pool.parquet", progress=False)
    assert shares(synthaug.mix(loader, tmp_path / "pool.parquet", ratio=0.5, flag=True)) == [0.5, 0.5]
    renewed = synthaug.mix(loader, generator, ratio=0.5, pool=10, refresh=0.5, flag=True)
    first, second = ([x for x, *_ in renewed] for _ in range(2))
    assert not torch.equal(torch.cat(first), torch.cat(second))
    falling = synthaug.mix(loader, generator, ratio=synthaug.off_after(0.5, epochs=1), flag=True)
    assert [shares(falling), shares(falling)] == [[0.5, 0.5], [0.0, 0.0]]
    stored = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "pool.parquet"), cache_dir=str(tmp_path / "c")
    )
    streamed = stored["train"].remove_columns(["synthetic", "generator", "seed", "class", "index"])
    mixed = list(synthaug.mix(streamed.to_iterable_dataset(), generator, ratio=0.5))
    assert sum(not row["synthetic"] for row in mixed) == 40
    assert sum(row["synthetic"] for row in mixed) > 20
    with pytest.raises(InvalidRequest, match="refresh= draws new rows, which takes a generator"):
        synthaug.mix(loader, generator.sample(5), refresh=0.5)
    with pytest.raises(InvalidRequest, match="the items have no field 'fine'"):
        synthaug.mix(loader, generator, items=synthaug.Items(label="fine"))
