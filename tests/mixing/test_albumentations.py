"""The albumentations transform, and random streams that do not repeat in leaves, workers and epochs."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from synthaug import Classes, ImageForm
from synthaug.errors import InvalidData, InvalidRequest, SpecMismatch, UnsupportedKind
from synthaug.files import FORMATS, Card, RowBlock, choose_format, write_rows
from synthaug.mixing.albumentations import A, SyntheticReplacement, seed_transform, worker_seeding

SIDE = 8
CLASSES = Classes(("cat", "dog/wolf"), (3, 7))
PER_CLASS = 6
# Two faults of albumentations that its successor, which is imported by the same name, has mended.
FAULTY = A.__version__.startswith("2.0.")


def write_pool(out: Path, *, dtype: str = "uint8", channels: int = 3, high: float = 255.0) -> Path:
    """Two real rows of value 1 and six synthetic rows a class, of values 100 + row (0..1 for floats)."""
    layout = "HWC" if channels == 3 else "HW"
    form = ImageForm(SIDE, SIDE, channels, layout, dtype, 0.0, high)
    n = 2 + len(CLASSES) * PER_CLASS
    images = np.empty((n, *form.shape), dtype)
    for row, image in enumerate(images):
        image[:] = (1 if row < 2 else 100 + row) * (1 if dtype == "uint8" else high / 255)
    labels = np.array([0, 1] + [0] * PER_CLASS + [1] * PER_CLASS)
    made = np.arange(n) >= 2
    about = {
        "synthetic": made,
        "generator": np.where(made, "abc", ""),
        "seed": np.where(made, 0, -1),
        "class": np.where(made, np.array(CLASSES.names)[labels], ""),
        "index": np.where(made, np.arange(n), -1),
    }
    card = Card(CLASSES, form, "here", "abc", "cvae", 0, {"cat": 1}, {"cat": n - 1}, {})
    work = out.with_name(out.name + ".work")
    work.mkdir()
    format = choose_format(out, None, form) if out.suffix != ".hf" else FORMATS["hf"]
    name = write_rows(work, format, [RowBlock(images, labels, [""] * n, about)], card, {})
    (work if name is None else work / name).rename(out)
    return out


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_pool(tmp_path_factory.mktemp("pool") / "pool.parquet"))


def real(value: int = 5) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), value, np.uint8)


def values(transform: Any, label: Any, times: int = 200) -> np.ndarray:
    """What one pixel of the same real image becomes, many times."""
    return np.array([transform(image=real(), label=label)["image"][0, 0, 0] for _ in range(times)])


class Augmented(Dataset[Any]):
    def __init__(self, transform: Any, n: int = 8) -> None:
        self.transform, self.n = transform, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, row: int) -> int:
        image = self.transform(image=np.arange(48, dtype=np.uint8).reshape(4, 4, 3), label="cat")["image"]
        return int(image.astype(np.int64).ravel() @ np.arange(image.size))


# -------------------------------------------------------------------------------------------- the replacement


@pytest.mark.parametrize("name", ["pool", "pool.npz", "pool.parquet", "pool.hf"])
def test_images_give_way_to_synthetic_rows_of_their_own_class_from_every_format(
    tmp_path: Path, name: str
) -> None:
    transform = seed_transform(A.Compose([SyntheticReplacement(write_pool(tmp_path / name))]), 0)
    for label, own in (("cat", range(102, 108)), (3, range(102, 108)), ("dog/wolf", range(108, 114))):
        found = values(transform, label)
        assert set(found.tolist()) == {5, *own}, "every synthetic row of the class and no real one"
        assert 0.4 < (found != 5).mean() < 0.6


def test_shape_dtype_and_label_are_kept(tmp_path: Path) -> None:
    grey = SyntheticReplacement(str(write_pool(tmp_path / "grey.npz", channels=1)), label_key="y", p=1.0)
    for shape in ((SIDE, SIDE), (SIDE, SIDE, 1)):
        changed = grey(image=np.zeros(shape, np.uint8), y=np.int64(3))
        assert changed["image"].shape == shape
        assert changed["image"].dtype == np.uint8
        assert changed["y"] == 3
    floats = write_pool(tmp_path / "floats.npz", dtype="float32", high=1.0)
    changed = SyntheticReplacement(floats, p=1.0)(image=np.zeros((SIDE, SIDE, 3), np.float32), label="cat")
    assert changed["image"].dtype == np.float32
    assert 0.3 < changed["image"].max() < 0.5


def test_the_share_is_one_at_probability_one_and_none_at_zero(pool: str) -> None:
    assert (values(SyntheticReplacement(pool, p=1.0), "cat") > 100).all()
    assert (values(SyntheticReplacement(pool, p=0.0), "cat") == 5).all()


def test_augmentations_that_follow_change_real_and_synthetic_images_alike(pool: str) -> None:
    transform = A.Compose([SyntheticReplacement(pool), A.InvertImg(p=1.0)])
    assert set(values(transform, "cat").tolist()) == {250, *(255 - v for v in range(102, 108))}


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_pipeline_goes_through_dictionaries_and_files_unchanged(
    pool: str, tmp_path: Path, form: Any
) -> None:
    pipeline = A.Compose(
        [A.OneOf([SyntheticReplacement(Path(pool), "y", p=0.3), A.NoOp(p=0.1)]), A.HorizontalFlip()]
    )
    told = A.to_dict(pipeline)
    assert json.loads(json.dumps(told)) == told
    assert A.to_dict(A.from_dict(told)) == told
    A.save(pipeline, tmp_path / "pipeline", data_format=form)
    again = A.load(tmp_path / "pipeline", data_format=form)
    assert A.to_dict(again) == told
    for built in (again, pickle.loads(pickle.dumps(pipeline))):
        one, other = (seed_transform(p, 3) for p in (pipeline, built))
        a, b = ([p(image=real(), y="cat")["image"].tolist() for _ in range(20)] for p in (one, other))
        assert a == b


@pytest.mark.filterwarnings("ignore:.*could work incorrectly in ReplayMode")
def test_a_replay_takes_the_same_row_again_and_records_no_image(pool: str) -> None:
    transform = A.ReplayCompose([SyntheticReplacement(pool, p=0.5), A.HorizontalFlip()])
    seen = set()
    for _ in range(30):
        first = transform(image=real(), label="cat")
        assert len(json.dumps(first["replay"])) < 2000
        again = A.ReplayCompose.replay(first["replay"], image=real(), label="cat")
        assert np.array_equal(first["image"], again["image"])
        seen.add(int(first["image"].max()))
    assert len(seen) > 3


@pytest.mark.parametrize(
    "extra",
    [
        {"mask": np.zeros((SIDE, SIDE), np.uint8)},
        {"bboxes": np.zeros((0, 5))},
        {"keypoints": np.zeros((0, 2))},
        {"images": np.zeros((2, SIDE, SIDE, 3), np.uint8)},
    ],
)
def test_targets_that_belong_to_the_real_image_are_refused_at_the_first_image(pool: str, extra: Any) -> None:
    transform = SyntheticReplacement(pool, p=0.001)
    with pytest.raises(UnsupportedKind, match=next(iter(extra))):
        transform(image=real(), label="cat", **extra)


def test_a_second_image_under_another_name_is_refused(pool: str) -> None:
    transform = A.Compose([SyntheticReplacement(pool, p=0.001)], additional_targets={"other": "image"})
    with pytest.raises(UnsupportedKind, match="given were image, other, label"):
        transform(image=real(), other=real(), label="cat")


def test_what_does_not_fit_is_refused_with_what_was_found(pool: str, tmp_path: Path) -> None:
    transform = SyntheticReplacement(pool, p=0.001)
    with pytest.raises(InvalidRequest, match='needs the label of the image as "label"; given were image'):
        transform(image=real())
    with pytest.raises(
        InvalidRequest, match=r'label \'catt\'.* holds no synthetic row .* Did you mean "cat"'
    ):
        transform(image=real(), label="catt")
    with pytest.raises(UnsupportedKind, match="soft and multi-hot"):
        transform(image=real(), label=np.array([0.5, 0.5]))
    small = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(
        SpecMismatch, match=r"Real: 4x4x3 uint8.* Synthetic: HWC 8x8x3 uint8.*A.Resize\(8, 8\)"
    ):
        transform(image=small, label="cat")
    with pytest.raises(SpecMismatch, match=r"Real: 8x8x3 float32, values 5 to 5.* Synthetic"):
        transform(image=real().astype(np.float32), label="cat")
    floats = SyntheticReplacement(write_pool(tmp_path / "floats.npz", dtype="float32", high=1.0))
    with pytest.raises(SpecMismatch, match=r"values 5 to 5.*range \[0, 1\]"):
        floats(image=real().astype(np.float32), label="cat")


def test_a_pool_that_is_none_is_refused_when_the_pipeline_is_built(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"there is no file or folder .*nothing\.npz"):
        SyntheticReplacement(str(tmp_path / "nothing.npz"))
    np.savez(tmp_path / "plain.npz", X=np.zeros((2, 8, 8), np.uint8), y=np.arange(2))
    with pytest.raises(InvalidData, match="was not written by synthaug"):
        SyntheticReplacement(str(tmp_path / "plain.npz"))


def test_building_a_pipeline_reads_no_image_and_a_call_reads_one(tmp_path: Path) -> None:
    out = write_pool(tmp_path / "pool")
    files = [path for path in sorted(out.rglob("*.png")) if "wolf" in str(path.relative_to(out))]
    assert len(files) == PER_CLASS + 1
    for path in files:
        path.write_bytes(b"no image")
    transform = SyntheticReplacement(out, p=1.0)
    assert transform(image=real(), label="cat")["image"].min() > 100
    with pytest.raises(InvalidData, match=r"cannot be read as an image: it is not an image"):
        transform(image=real(), label="dog/wolf")


@pytest.mark.parametrize("name", ["pool.npz", "pool.parquet"])
def test_pickling_a_pipeline_carries_no_image(tmp_path: Path, name: str) -> None:
    transform = SyntheticReplacement(write_pool(tmp_path / name), p=1.0)
    fresh = pickle.dumps(transform)
    used = transform(image=real(), label="cat")["image"]
    for pickled in (fresh, pickle.dumps(transform)):
        assert len(pickled) < 20_000
        assert b"\x89PNG" not in pickled
        assert used.tobytes() not in pickled


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_replace_by_different_rows_and_their_own_class(pool: str, context: str) -> None:
    transform = A.Compose([A.Resize(SIDE, SIDE), SyntheticReplacement(pool, p=1.0)])
    loader = DataLoader(
        Augmented(transform, 40),
        batch_size=5,
        num_workers=2,
        multiprocessing_context=context,
        worker_init_fn=worker_seeding(transform),
        generator=torch.Generator().manual_seed(0),
    )
    found = [int(value) for batch in loader for value in batch]
    total = sum(range(SIDE * SIDE * 3))
    assert {value / total for value in found} == set(range(102, 108))
    batches = [found[i : i + 5] for i in range(0, 40, 5)]
    assert batches[0::2] != batches[1::2], "the two workers draw different rows"


# ------------------------------------------------------------------------------------------------ the streams


def flips() -> Any:
    return A.Compose([A.HorizontalFlip(), A.VerticalFlip()], seed=0)


def outcomes(transform: Any, times: int = 400) -> np.ndarray:
    corners = np.arange(4, dtype=np.uint8).reshape(2, 2)
    first = [int(transform(image=corners)["image"][0, 0]) for _ in range(times)]
    return np.bincount(first, minlength=4)


def test_two_flips_have_four_outcomes_where_the_library_has_two() -> None:
    assert np.count_nonzero(outcomes(flips())) == (2 if FAULTY else 4)
    assert outcomes(seed_transform(flips(), 0)).min() > 60


def test_streams_follow_from_the_seed_alone() -> None:
    nested = A.Compose(
        [A.OneOf([A.HorizontalFlip(), A.Transpose()], p=0.8), A.SomeOf([A.RandomRotate90()], n=1)]
    )
    first, same, other = (
        [seed_transform(nested, seed)(image=np.arange(9).reshape(3, 3).astype(np.uint8))["image"].tolist()]
        + [nested(image=np.arange(9).reshape(3, 3).astype(np.uint8))["image"].tolist() for _ in range(20)]
        for seed in (1, 1, 2)
    )
    assert first == same != other


def test_a_choice_between_transforms_is_independent_of_what_they_draw() -> None:
    pipeline = seed_transform(A.Compose([A.OneOf([A.HorizontalFlip(), A.NoOp()]), A.VerticalFlip()]), 0)
    counted = outcomes(pipeline, 800)
    assert counted.min() > 60


class Noise(A.ImageOnlyTransform):  # type: ignore[misc]
    """Adds a number that is practically never drawn twice."""

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
        return img + self.random_generator.random()


class Drawn(Dataset[Any]):
    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return 8

    def __getitem__(self, row: int) -> float:
        return float(self.transform(image=np.zeros((2, 2), np.float64))["image"][0, 0])


@pytest.mark.parametrize("persistent", [False, True])
def test_no_worker_and_no_epoch_repeats_and_a_seeded_loader_is_reproducible(persistent: bool) -> None:
    def epochs(seed: int) -> list[list[float]]:
        transform = seed_transform(A.Compose([Noise(p=1.0)]), 0)
        loader = DataLoader(
            Drawn(transform),
            batch_size=2,
            num_workers=2,
            persistent_workers=persistent,
            multiprocessing_context="fork",
            worker_init_fn=worker_seeding(transform),
            generator=torch.Generator().manual_seed(seed),
        )
        return [[value for batch in loader for value in batch.tolist()] for _ in range(2)]

    first = epochs(0)
    assert len({value for epoch in first for value in epoch}) == 16
    if not persistent:
        assert first == epochs(0) != epochs(1)


def test_without_the_helper_workers_and_epochs_repeat() -> None:
    loader = DataLoader(
        Drawn(A.Compose([Noise(p=1.0)])), batch_size=2, num_workers=2, multiprocessing_context="fork"
    )
    found = {value for _ in range(2) for batch in loader for value in batch.tolist()}
    assert len(found) == (4 if FAULTY else 16)


def test_ranks_draw_from_different_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        transform = A.Compose([Noise(p=1.0)])
        loader = DataLoader(
            Drawn(transform),
            num_workers=1,
            multiprocessing_context="fork",
            worker_init_fn=worker_seeding(transform),
            generator=torch.Generator().manual_seed(0),
        )
        found.append([float(value) for value in loader])
    assert not set(found[0]) & set(found[1])


def test_what_the_page_says_is_done() -> None:
    page = (Path(__file__).parents[2] / "docs" / "albumentations.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.S | re.M)
    known: dict[str, Any] = {}
    exec(block, known)
    assert outcomes(known["transform"]).min() > 60
    assert callable(known["seeding"])
    assert "2.0.8" in page
    assert FAULTY or A.__version__ in page, "the successor that the page names is the one that is tested"
