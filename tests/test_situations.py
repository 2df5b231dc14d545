"""Situations that people report in public threads about data loaders and samplers, each as it should end.

The threads are named where one tells the situation best: project and number of the issue.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, TensorDataset

import synthaug
from synthaug.cli import main
from synthaug.data import open_data, training_rows
from synthaug.errors import InvalidData, InvalidRequest, SynthaugError, SynthaugWarning, UnsupportedKind
from synthaug.mixing.sklearn import SyntheticRows
from synthaug.modalities.image.form import ImageForm
from synthaug.testing import planted_generator

RNG = np.random.default_rng(0)
FORM = ImageForm(16, 16, 1, "HW", "uint8", 0.0, 255.0)
PICTURES = [Image.fromarray(RNG.integers(0, 255, (16, 16), np.uint8)) for _ in range(12)]


def img(path: Path, channels: int | None = None, **kw: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (16, 16) if channels is None else (16, 16, channels)
    Image.fromarray(RNG.integers(0, 255, shape, np.uint8)).save(path, **kw)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def done(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def table(columns: dict[str, list[Any]], **features: Any) -> datasets.Dataset:
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


# ------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    "names", [("Train", "Test"), ("TRAIN", "TEST"), ("training", "testing"), ("Training", "Testing")]
)
def test_split_folders_in_any_case_are_splits(names: tuple[str, str], tmp_path: Path) -> None:
    """datasets 4839, 7529; fastai 1552."""
    for split, n in zip(names, (6, 4), strict=True):
        for c in ("cat", "dog"):
            for i in range(n):
                img(tmp_path / split / c / f"{i}.png")
    data = open_data(tmp_path)
    assert data.splits is not None
    assert Counter(data.splits.tolist()) == {"train": 12, "test": 8}
    assert training_rows(data).counts == {"cat": 6, "dog": 6}
    assert "Train" not in done("inspect", tmp_path).stdout.replace(str(tmp_path), "")


def test_flat_split_folders_with_a_list_are_no_classes(tmp_path: Path) -> None:
    """datasets 4814, 6442, 5153."""
    for s in ("train", "test"):
        for i in range(8):
            img(tmp_path / s / f"{i}.png")
    with pytest.raises(InvalidData, match="without class folders or a table"):
        open_data(tmp_path)
    for s in ("train", "test"):
        lines = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(8))
        (tmp_path / s / "metadata.csv").write_text("file_name,label\n" + lines)
    data = open_data(tmp_path)
    assert data.counts == {"a": 8, "b": 8}
    assert training_rows(data).counts == {"a": 4, "b": 4}


@pytest.mark.parametrize("format", ["parquet", "hf"])
def test_labels_keep_their_numbers_and_all_names_on_disk(format: str, tmp_path: Path) -> None:
    """fabricator 51; vision 714; skordinal 55."""
    names = ["apple", "bread", "cake"]
    source = table(
        {"image": PICTURES, "label": [0, 2] * 6},
        image=datasets.Image(),
        label=datasets.ClassLabel(names=names),
    )
    source.to_parquet(tmp_path / "in.parquet")
    out = tmp_path / ("out.parquet" if format == "parquet" else "out")
    done("expand", tmp_path / "in.parquet", "--to", "2x", "--steps", 5, "--out", out, "--format", format)
    rows = datasets.Dataset.from_parquet(str(out)) if format == "parquet" else datasets.load_from_disk(out)
    assert rows["label"][:12] == [0, 2] * 6
    assert set(rows["label"]) == {0, 2}
    assert rows.features["label"].names == names


def test_other_columns_stay_on_disk_under_their_names(tmp_path: Path) -> None:
    """imbalanced-learn 994; SDV 2288; CTGAN 48."""
    source = table(
        {"img": PICTURES, "grade": [3, 7] * 6, "patient": [f"p{i}" for i in range(12)]},
        img=datasets.Image(),
        grade=datasets.Value("int64"),
        patient=datasets.Value("string"),
    )
    source.to_parquet(tmp_path / "in.parquet")
    done("expand", tmp_path / "in.parquet", "--label", "grade", "--to", "2x", "--steps", 5, "--out",
         tmp_path / "out.parquet")  # fmt: skip
    rows = pq.read_table(tmp_path / "out.parquet")
    assert set(rows.column_names) >= {"img", "grade", "patient", "synthetic"}
    assert rows["grade"].to_pylist()[:12] == [3, 7] * 6
    assert rows["patient"].to_pylist() == [f"p{i}" for i in range(12)] + [None] * 12


@pytest.mark.parametrize("kind", ["string", "int64"])
def test_a_column_called_label_is_it_even_beside_a_lone_class_label(kind: str) -> None:
    """transformers 31379, 28408; turicreate 1535."""
    labels: list[Any] = ["ill", "ill", "well", "well"] * 3 if kind == "string" else [0, 0, 1, 1] * 3
    rows = table(
        {"image": PICTURES, "sex": [0, 1] * 6, "label": labels},
        image=datasets.Image(),
        sex=datasets.ClassLabel(names=["f", "m"]),
        label=datasets.Value(kind),
    )
    assert tuple(open_data(rows).classes) == (("ill", "well") if kind == "string" else ("0", "1"))


@pytest.mark.parametrize(
    "item",
    [
        lambda x, i: (x, i // 3 % 2, ["ill", "well"][i % 2]),  # image, hospital, label
        lambda x, i: (i, x, ["ill", "well"][i % 2]),  # index, image, label
    ],
    ids=["hospital", "index"],
)
def test_several_fields_that_may_be_the_label_are_refused_until_one_is_named(item: Any) -> None:
    """imbalanced-dataset-sampler 32; torch 22566."""
    items = [item(np.asarray(PICTURES[i]), i) for i in range(12)]
    with pytest.raises(InvalidData, match="Name it with label="):
        open_data(items)
    assert open_data(items, label=2).counts == {"ill": 6, "well": 6}


def test_a_path_beside_the_label_is_not_taken_for_it() -> None:
    items = [(np.asarray(PICTURES[i]), f"{i // 2}.png", ["ill", "well"][i % 2]) for i in range(12)]
    assert open_data(items).counts == {"ill": 6, "well": 6}


def test_eight_bit_pictures_of_zeros_and_ones_are_warned_of() -> None:
    """albumentations 75, 714."""
    X, y = (np.asarray(PICTURES * 2) > 128).astype(np.uint8).reshape(24, 16, 16), np.arange(24) % 2
    with pytest.warns(SynthaugWarning, match="from 0 to 1"):
        open_data((X, y)).check()
    with pytest.raises(SynthaugError, match=r'astype\("uint8"\) \* 255'):
        open_data((X.astype(bool), y))


def test_files_of_all_suffixes_that_pillow_reads_are_rows_and_others_are_counted(tmp_path: Path) -> None:
    """timm 1335; vision 724, 461; supervisely 839."""
    for c in ("cat", "dog"):
        for i in range(5):
            img(tmp_path / c / f"{i}.png")
            img(tmp_path / c / f"{i}.jfif", format="JPEG")
            img(tmp_path / c / f"{i}.jp2" if i % 2 else tmp_path / c / f"x{i}", format="PNG")
        for other in ("a.heic", "a.svg", "notes.txt"):
            (tmp_path / c / other).write_bytes(b"x")
    data = open_data(tmp_path)
    assert data.counts == {"cat": 15, "dog": 15}
    assert sum(data.reading.left_out.values()) == 6
    told = done("inspect", tmp_path).stdout
    assert all(suffix in told for suffix in (".heic", ".svg", ".txt"))


def test_hidden_and_system_folders_within_classes_are_no_rows(tmp_path: Path) -> None:
    """vision 2831; mmpretrain 507; tensorflow 46595."""
    for c in ("cat", "dog"):
        for i in range(5):
            img(tmp_path / c / f"{i}.png")
    shutil.copytree(tmp_path / "cat", tmp_path / "cat" / ".ipynb_checkpoints")
    img(tmp_path / "dog" / "@eaDir" / "0.png" / "SYNOPHOTO_THUMB_M.jpg")
    data = open_data(tmp_path)
    assert data.counts == {"cat": 5, "dog": 5}
    assert sum(data.reading.left_out.values()) == 6


def test_masks_within_class_folders_are_refused(tmp_path: Path) -> None:
    """The layout of the COVID-19 radiography set."""
    for c in ("ill", "well"):
        for i in range(5):
            img(tmp_path / c / "images" / f"{i}.png")
            img(tmp_path / c / "masks" / f"{i}.png")
    with pytest.raises(UnsupportedKind, match='folder "masks" beside one of images'):
        open_data(tmp_path)


def test_pages_that_are_not_read_are_said_with_their_number(tmp_path: Path) -> None:
    """aleph 20; nsfwjs 38."""
    for c in ("cat", "dog"):
        (tmp_path / c).mkdir()
        for i in range(5):
            pages = [Image.fromarray(RNG.integers(0, 255, (16, 16), np.uint8)) for _ in range(4)]
            pages[0].save(tmp_path / c / f"{i}.tif", save_all=True, append_images=pages[1:])
    with pytest.warns(SynthaugWarning, match="10 files of .* have several pages or frames"):
        open_data(tmp_path).check()
    assert "several pages or frames" in " ".join(done("inspect", tmp_path).output.split())


def test_missing_labels_that_became_text_and_minus_one_are_warned_of() -> None:
    """tensorflow/datasets 349, 1218."""
    X = np.asarray(PICTURES * 2)
    with pytest.warns(SynthaugWarning, match='"nan"'):
        open_data((X, np.array(["a", "b", "a", np.nan] * 6))).check()
    with pytest.warns(SynthaugWarning, match="-1"):
        open_data((X, [0, 1, 0, -1] * 6)).check()
    assert open_data((X, [1, -1] * 12)).counts == {"-1": 12, "1": 12}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = open_data((X, [0, 1, 0, -1] * 6), leave_out=[-1])
        data.check()
        assert data.counts == {"0": 12, "1": 6}


def test_links_in_a_circle_are_followed_once(tmp_path: Path) -> None:
    """vision 2831."""
    for c in ("cat", "dog"):
        for i in range(5):
            img(tmp_path / c / f"{i}.png")
    os.symlink("..", tmp_path / "cat" / "all")
    assert open_data(tmp_path).counts == {"cat": 5, "dog": 5}


def test_folders_of_counted_classes_sort_as_their_numbers_do(tmp_path: Path) -> None:
    """vision 714; ImageNetV2 10; DIGITS 665."""
    X = RNG.integers(0, 255, (60, 16, 16), np.uint8)
    np.savez(tmp_path / "in.npz", X=X, y=np.arange(60) % 12)
    done("expand", tmp_path / "in.npz", "--to", "2x", "--steps", 5, "--out", tmp_path / "out", "-q")
    folders = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert list(map(int, folders)) == list(range(12))


def test_splits_that_lack_classes_are_said_and_no_interval_is_beyond_what_can_be(tmp_path: Path) -> None:
    """flexynesis 66, 156; CASA-Dialogue-Act-Classifier 10."""
    for s, classes, n in (("train", "abc", 12), ("val", "ab", 6), ("test", "a", 6)):
        for c in classes:
            for i in range(n):
                img(tmp_path / s / c / f"{i}.png")
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as of a command: one line each
        result = done("evaluate", tmp_path, "--steps", 10, "--classifier-steps", 10, "--seeds", 2, "--folds", 2,
                      "--ratio", 0.25, "--family", "cvae")  # fmt: skip
    assert 'have no row of "c"' in result.stderr
    bounds = [float(end) for pair in re.findall(r"\[([-+\d.]+), ([-+\d.]+)\]", result.stdout) for end in pair]
    assert bounds, result.stdout
    assert all(-100 <= bound <= 100 for bound in bounds)


def test_one_picture_under_two_labels_is_warned_of() -> None:
    """cleanlab 25, 60."""
    X, y = RNG.integers(0, 255, (40, 16, 16), np.uint8), np.arange(40) % 2
    both = np.concatenate([X, X[:10]]), np.array([*y, *(1 - y[:10])])
    with pytest.warns(SynthaugWarning, match="under (two|several) labels|more than one label"):
        open_data(both).check()


def test_a_class_of_one_row_says_how_to_go_on() -> None:
    """SMOTE's neighbours of a class of one row."""
    X, y = np.asarray(PICTURES), [0, 1] * 5 + [0, 9]
    with pytest.raises(InvalidData, match=r'class "9".*leave_out'):
        synthaug.fit((X, y), steps=2, progress=False)
    generator = planted_generator(("0", "1"), (0, 1), FORM)
    loader = DataLoader(TensorDataset(torch.from_numpy(X), torch.tensor(y)), batch_size=4)
    with pytest.raises(SynthaugError, match=r"ratio=\{.*0"):
        synthaug.mix(loader, generator.sample(4))
    mixed = synthaug.mix(loader, generator.sample(4), ratio={0: 0.25, 1: 0.25})
    assert sum(len(batch[1]) for batch in mixed) == 12
    with pytest.raises(InvalidRequest, match=r'Rows of "9" were asked for.*to=\{'):
        synthaug.expand((X, y), generator, to="2x")
    larger = synthaug.expand((X, y), generator, to={0: 10})
    assert Counter(np.asarray(larger[1]).tolist()) == {0: 10, 1: 5, 9: 1}


def test_the_mode_of_a_feature_and_of_the_command_joins_grey_and_colour(tmp_path: Path) -> None:
    """datasets 6735; stylegan3 36; denoising-diffusion-pytorch 264."""
    mixed = PICTURES[:6] + [picture.convert("RGB") for picture in PICTURES[6:]]
    rows = table(
        {"image": mixed, "label": [0, 1] * 6},
        image=datasets.Image(mode="RGB"),
        label=datasets.ClassLabel(names=["a", "b"]),
    )
    assert open_data(rows).read().shape == (12, 16, 16, 3)
    for i, picture in enumerate(mixed):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        picture.save(tmp_path / "ab"[i % 2] / f"{i}.png")
    refused = run("fit", tmp_path, "--dry-run", "--out", tmp_path.parent / "g")
    assert refused.exit_code == 1
    assert "--mode" in refused.stderr
    done("fit", tmp_path, "--mode", "RGB", "--dry-run", "--out", tmp_path.parent / "g")


def test_medmnist_files_are_read_by_their_splits(tmp_path: Path) -> None:
    """MedMNIST 46."""
    np.savez(
        tmp_path / "in.npz",
        train_images=RNG.integers(0, 255, (24, 28, 28), np.uint8),
        train_labels=(np.arange(24) % 2)[:, None],
        test_images=RNG.integers(0, 255, (8, 28, 28), np.uint8),
        test_labels=np.arange(8)[:, None] % 2,
    )
    assert training_rows(open_data(tmp_path / "in.npz")).counts == {"0": 12, "1": 12}
    done(
        "fit",
        tmp_path / "in.npz",
        "--image",
        "train_images",
        "--label",
        "train_labels",
        "--dry-run",
        "--out",
        tmp_path.parent / "g",
    )


@pytest.mark.parametrize("case", ["a further class", "all -1", "no label column"])
def test_held_out_splits_that_do_not_fit_do_not_stop_the_training(case: str) -> None:
    """flexynesis 156; tensorflow/datasets 349."""
    features: dict[str, Any] = {
        "image": datasets.Image(),
        "label": datasets.ClassLabel(names=["a", "b", "c"]),
    }
    train = table({"image": PICTURES, "label": [0, 1] * 6}, **features)
    labels = {"a further class": [0, 1, 2, 0], "all -1": [-1] * 4, "no label column": [0, 0, 1, 1]}[case]
    test = table({"image": PICTURES[:4], "label": labels}, **features)
    if case == "no label column":
        test = test.remove_columns("label")
    with pytest.warns(SynthaugWarning, match="of test"):
        data = open_data(datasets.DatasetDict(train=train, test=test))
    assert training_rows(data).counts == {"a": 6, "b": 6}


def test_a_cloned_hub_set_is_read_as_its_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ms-swift 6530; finetrainers 323."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = table(
        {"image": PICTURES, "label": [0, 1] * 6},
        image=datasets.Image(),
        label=datasets.ClassLabel(names=["a", "b"]),
    )
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for i in range(2):
        rows.shard(2, i).to_parquet(tmp_path / "hub" / "data" / f"train-0000{i}-of-00002.parquet")
    assert (
        open_data(tmp_path / "hub").counts == open_data(tmp_path / "hub" / "data").counts == {"a": 6, "b": 6}
    )


def test_shards_of_webdataset_are_read_as_their_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "set").mkdir()
    for split, shard in (("train", 0), ("train", 1), ("test", 0)):
        with tarfile.open(tmp_path / "set" / f"{split}-{shard:06d}.tar", "w") as tar:
            for i in range(4):
                buffer = io.BytesIO()
                PICTURES[i].save(buffer, "PNG")
                for ending, content in (
                    ("png", buffer.getvalue()),
                    ("cls", str(i % 2).encode()),
                    ("json", b'{"a": 1}'),
                ):
                    member = tarfile.TarInfo(f"{shard}{i:04d}.{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    data = open_data(tmp_path / "set")
    assert data.splits is not None
    assert Counter(data.splits.tolist()) == {"train": 8, "test": 4}
    assert training_rows(data).counts == {"0": 4, "1": 4}
    assert data.read().shape == (12, 16, 16)


def test_parquet_with_paths_and_a_csv_of_paths_are_read(tmp_path: Path) -> None:
    """datasets 4814; cleanlab-studio 56."""
    import pandas as pd

    for i in range(8):
        img(tmp_path / "pics" / f"{i}.png")
    frame = pd.DataFrame({"path": [f"pics/{i}.png" for i in range(8)], "label": list("abababab")})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    assert open_data(tmp_path / "labels.csv").counts == {"a": 4, "b": 4}
    frame.to_parquet(tmp_path / "paths.parquet")
    assert open_data(tmp_path / "paths.parquet").counts == {"a": 4, "b": 4}


def test_all_broken_files_are_told_in_one_run(tmp_path: Path) -> None:
    """vision 864, 485; clothing-dataset 1."""
    for c in ("cat", "dog"):
        for i in range(6):
            img(tmp_path / c / f"{i}.jpg")
    for path in ("cat/2.jpg", "dog/3.jpg"):
        content = (tmp_path / path).read_bytes()
        (tmp_path / path).write_bytes(content[: len(content) // 2])
    (tmp_path / "dog" / "4.jpg").write_bytes(b"")
    told = done("inspect", tmp_path).output
    assert all(name in told for name in ("cat/2.jpg", "dog/3.jpg", "dog/4.jpg"))
    assert run("fit", tmp_path, "--dry-run", "--out", tmp_path.parent / "g").exit_code == 1
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        goes_on = done("fit", tmp_path, "--skip-broken", "--dry-run", "--out", tmp_path.parent / "g")
    assert "3 of the pictures" in goes_on.stderr


# ------------------------------------------------------------------------------------------------------- writing


def test_names_of_originals_are_kept_in_a_column_of_an_expanded_folder(tmp_path: Path) -> None:
    """imbalanced-learn 994, 376, 724."""
    for c in ("cat", "dog"):
        for i in range(5):
            img(tmp_path / "in" / c / f"visit{i}" / f"patient#{i}.png")
    done("expand", tmp_path / "in", "--to", "2x", "--steps", 5, "--out", tmp_path / "out", "-q")
    with open(tmp_path / "out" / "provenance.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    real = [row["source"] for row in rows if row["synthetic"] == "False"]
    assert sorted(real) == sorted(f"{c}/visit{i}/patient#{i}.png" for c in ("cat", "dog") for i in range(5))


def test_classes_with_line_breaks_in_their_names_are_classes(tmp_path: Path) -> None:
    """DIGITS 420; ybat 2."""
    X, y = np.asarray(PICTURES * 2), np.array(["cat\n", "dog\n"] * 12)
    generator = synthaug.fit((X, y), steps=3, progress=False, out=tmp_path / "g")
    assert tuple(generator.classes) == ("cat\n", "dog\n")
    out = synthaug.expand((X, y), generator, to="2x", out=tmp_path / "out")
    assert open_data(out).counts == {"cat\n": 24, "dog\n": 24}


@pytest.mark.skipif(os.getuid() == 0 and not shutil.which("setpriv"), reason="root may read everything")
def test_files_that_may_not_be_read_are_one_line_each(tmp_path: Path) -> None:
    rows = table(
        {"image": PICTURES, "label": [0, 1] * 6}, image=datasets.Image(), label=datasets.Value("int64")
    )
    rows.to_parquet(tmp_path / "in.parquet")
    planted_generator(("0", "1"), (0, 1), FORM).save(tmp_path / "g")
    (tmp_path / "in.parquet").chmod(0)
    (tmp_path / "g" / "manifest.json").chmod(0)
    without = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] if os.getuid() == 0 else []
    for asked in (["inspect", "in.parquet"], ["sample", "g", "--per-class", "4", "--out", "s.npz"]):
        command = [*without, sys.executable, "-m", "synthaug.cli", *asked]
        told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert told.returncode in (1, 2), told.stderr
        assert "Traceback" not in told.stderr
        assert "ermission" in told.stderr


# -------------------------------------------------------------------------------------------------------- mixing


class Flipped(Dataset[Any]):
    """A data set that inverts half of its pictures at random, whatever the attribute is called."""

    def __init__(self, X: np.ndarray, y: np.ndarray, name: str = "transform") -> None:
        self.X, self.y = X, y
        setattr(self, name, lambda a: 255 - a if torch.rand(1) < 0.5 else a)
        self.name = name

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, i: int) -> Any:
        return getattr(self, self.name)(self.X[i]), int(self.y[i])


def dark_pictures() -> tuple[np.ndarray, np.ndarray]:
    return RNG.integers(0, 60, (80, 16, 16), np.uint8), np.arange(80) % 2


def bright(loader: Any) -> tuple[float, float]:
    """The share of bright pictures among the real and among the synthetic ones."""
    images, flags = [], []
    for batch in loader:
        images.append(batch[0].float().mean((1, 2)) > 128)
        flags.append(batch[2].bool())
    found, made = torch.cat(images), torch.cat(flags)
    return found[~made].float().mean().item(), found[made].float().mean().item()


@pytest.mark.filterwarnings("ignore::synthaug.SynthaugWarning")
@pytest.mark.parametrize("wrap", [lambda a, b: a, lambda a, b: ConcatDataset([a, b])], ids=["one", "concat"])
def test_random_transforms_reach_synthetic_rows_through_wrappers(wrap: Any) -> None:
    """torch 56886; torchgeo 257."""
    X, y = dark_pictures()
    generator = synthaug.fit((X, y), steps=60, progress=False)
    torch.manual_seed(0)
    loader = DataLoader(wrap(Flipped(X, y), Flipped(X, y)), batch_size=80)
    real, made = bright(synthaug.mix(loader, generator.sample(60), ratio=0.5, flag=True))
    assert 0.3 < real < 0.7
    assert 0.3 < made < 0.7


def test_a_transform_that_cannot_be_found_is_said() -> None:
    X, y = dark_pictures()
    generator = planted_generator(("0", "1"), (0, 1), FORM)
    torch.manual_seed(0)
    with pytest.warns(SynthaugWarning, match="differ"):
        synthaug.mix(DataLoader(Flipped(X, y, "augment"), batch_size=80), generator.sample(60), ratio=0.5)


def test_colours_in_another_order_are_told_at_the_door(tmp_path: Path) -> None:
    """albumentations 1057; mmdetection 9891."""
    rows = []
    for c, colour in (("cat", (220, 30, 30)), ("dog", (200, 60, 20))):
        for i in range(6):
            pixels = np.full((16, 16, 3), colour, np.uint8) + RNG.integers(0, 9, (16, 16, 3), np.uint8)
            (tmp_path / c).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / c / f"{i}.png")
            rows.append((pixels[..., ::-1].copy(), c))
    generator = synthaug.fit(tmp_path, steps=200, progress=False)
    with pytest.warns(SynthaugWarning, match=r"BGR|order of the channels|colour"):
        synthaug.mix(DataLoader(rows, batch_size=12), generator.sample(6), ratio=0.5)


def test_labels_of_items_win_over_targets_out_of_date() -> None:
    """imbalanced-dataset-sampler 26; vision 8199."""
    n = 3000
    y = np.arange(n) % 3
    x = torch.rand(300, 1, 16, 16)

    class Folder(Dataset[Any]):
        def __init__(self) -> None:
            self.samples = [(i % 300, int(k)) for i, k in enumerate(y)]
            self.targets = [k for _, k in self.samples]

        def __len__(self) -> int:
            return n

        def __getitem__(self, i: int) -> Any:
            j, k = self.samples[i]
            return x[j], k

    ds = Folder()
    for i in np.random.default_rng(1).choice(n, 30, replace=False):
        j, k = ds.samples[i]
        ds.samples[i] = j, (k + 1) % 3  # 1 % corrected by hand
    samples = synthaug.fit((x, y[:300]), steps=3, progress=False).sample(50)
    plain = [k for batch in DataLoader(ds, batch_size=20) for k in batch[1].tolist()]
    mixed = synthaug.mix(DataLoader(ds, batch_size=20), samples, ratio=0.5)
    assert [k for batch in mixed for k in batch[1].tolist()] == plain


def test_a_generator_of_a_folder_meets_a_loader_over_the_same_folder(tmp_path: Path) -> None:
    """vision 714."""
    for c in ("cat", "dog"):
        for i in range(6):
            img(tmp_path / c / f"{i}.png", 3)

    class Folder(Dataset[Any]):
        classes: ClassVar = ["cat", "dog"]
        samples: ClassVar = [
            (tmp_path / c / f"{i}.png", k) for k, c in enumerate(("cat", "dog")) for i in range(6)
        ]

        def __len__(self) -> int:
            return 12

        def __getitem__(self, i: int) -> Any:
            path, k = self.samples[i]
            return np.array(Image.open(path)), k

    generator = synthaug.fit(tmp_path, steps=3, progress=False)
    mixed = synthaug.mix(DataLoader(Folder(), batch_size=4), generator.sample(5))
    assert Counter(k for batch in mixed for k in batch[1].tolist()) == {0: 6, 1: 6}
    out = synthaug.expand(tmp_path, generator, to="2x", out=tmp_path.parent / "photos2x")
    mixed = synthaug.mix(DataLoader(Folder(), batch_size=4), str(out))
    assert Counter(k for batch in mixed for k in batch[1].tolist()) == {0: 6, 1: 6}


def test_whole_floats_are_labels_and_come_back_as_floats() -> None:
    """torch 2220; APPFL 60."""
    x = torch.rand(24, 1, 16, 16)
    samples = synthaug.fit((x, [0, 1] * 12), steps=3, progress=False).sample(4)
    loader = DataLoader(TensorDataset(x, torch.tensor([0.0, 1.0] * 12)), batch_size=4)
    batches = list(synthaug.mix(loader, samples, ratio=0.5))
    assert all(batch[1].dtype == torch.float32 for batch in batches)
    assert torch.cat([batch[1] for batch in batches]).tolist() == [0.0, 1.0] * 12


def test_loaders_that_cannot_be_mixed_name_what_can() -> None:
    """webdataset 187, 151; accelerate 2392."""
    x, y = torch.rand(24, 1, 16, 16), torch.arange(24) % 2

    class Batched(IterableDataset[Any]):
        def __iter__(self) -> Any:
            yield from zip(x.split(8), y.split(8), strict=True)

    class Prefetch:
        def __init__(self, loader: Any) -> None:
            self.loader = loader

        def __iter__(self) -> Any:
            return iter(self.loader)

    samples = synthaug.fit((x, y), steps=3, progress=False).sample(4)
    for loader in (DataLoader(Batched(), batch_size=None), Prefetch(DataLoader(TensorDataset(x, y), 4))):
        with pytest.raises(SynthaugError, match="BatchMixer"):
            synthaug.mix(loader, samples)
    nested = [({"image": a}, int(b)) for a, b in zip(x, y, strict=True)]
    with pytest.raises(SynthaugError, match="BatchMixer"):
        synthaug.mix(DataLoader(nested, batch_size=4), samples)


def test_bfloat16_is_taken_everywhere() -> None:
    x, y = torch.rand(24, 1, 16, 16), torch.arange(24) % 2
    samples = synthaug.fit((x, y), steps=3, progress=False).sample(12)
    half = x.bfloat16()
    for more in ({}, {"transform": lambda q: q.bfloat16()}):
        loader = DataLoader(TensorDataset(half, y), batch_size=8)
        for batch in synthaug.mix(loader, samples, ratio=0.5, **more):
            assert batch[0].dtype == torch.bfloat16
        images, _ = synthaug.BatchMixer(samples, ratio=0.5, **more)((half[:8], y[:8]))
        assert images.dtype == torch.bfloat16


def test_a_batch_mixer_with_a_transform_takes_what_it_takes_without() -> None:
    x = torch.from_numpy(np.random.default_rng(0).random((48, 1, 16, 16), np.float32))
    y = torch.arange(48) % 2
    samples = synthaug.fit((x, y), steps=3, progress=False).sample(10, seed=1)
    synthaug.BatchMixer(samples, ratio=0.5)((x[:8], y[:8]))
    synthaug.BatchMixer(samples, ratio=0.5, transform=lambda q: q)((x[:8], y[:8]))


# ---------------------------------------------------------------------------------------------------- conveniences


def test_frames_in_are_frames_out() -> None:
    """imbalanced-learn 639, 734, 148."""
    import pandas as pd

    X = pd.DataFrame(np.asarray(PICTURES).reshape(12, 256), columns=[f"p{i}" for i in range(256)])
    y = pd.Series(["a", "b"] * 5 + ["a", "a"], name="kind")
    rows, labels = SyntheticRows(planted_generator(("a", "b"), form=FORM)).fit_resample(X, y)
    assert isinstance(rows, pd.DataFrame)
    assert list(rows.columns) == list(X.columns)
    assert isinstance(labels, pd.Series)
    assert labels.name == "kind"


def test_words_of_imbalanced_learn_are_understood() -> None:
    X, y = np.asarray(PICTURES), ["a", "b"] * 5 + ["a", "a"]
    maker = planted_generator(("a", "b"), form=FORM)
    with pytest.warns(SynthaugWarning, match="looks synthetic"):
        _, labels = SyntheticRows(maker, sampling_strategy="minority").fit_resample(X, y)
    assert (labels.count("a"), labels.count("b")) == (7, 7)


def test_many_classes_are_told_in_a_short_line() -> None:
    X = RNG.integers(0, 255, (600, 8, 8), np.uint8)
    y = [f"class {i // 2}" for i in range(600)]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        open_data((X, y)).check()
        synthaug.fit((X, y), steps=1, progress=False)
    assert all(len(str(each.message)) < 600 for each in told), [str(each.message)[:300] for each in told]


def test_names_of_joined_folders_are_kept_where_they_agree() -> None:
    class Folder(Dataset[Any]):
        classes: ClassVar = ["cat", "dog"]

        def __len__(self) -> int:
            return 12

        def __getitem__(self, i: int) -> Any:
            return np.asarray(PICTURES[i]), i % 2

    assert tuple(open_data(ConcatDataset([Folder(), Folder()])).classes) == ("cat", "dog")
