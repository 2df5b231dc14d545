"""Pictures as the vectors of an embedder: what it is given, what is kept, what it may give, and what follows."""

from __future__ import annotations

import functools
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import synthaug
from synthaug import CachedEmbedder, LabeledData, Protocol, open_data
from synthaug.data import open_unlabelled, part
from synthaug.errors import InvalidData, InvalidRequest, SpecMismatch
from synthaug.report import facts_of


def means(images: list[np.ndarray]) -> np.ndarray:
    """The height, the width and the mean of each channel of pictures."""
    return np.stack([np.r_[image.shape[:2], image.mean(axis=(0, 1))] for image in images])


class Spy:
    """Vectors as `means` makes them, and what it was given."""

    def __init__(self) -> None:
        self.blocks: list[list[np.ndarray]] = []

    def __call__(self, images: list[np.ndarray]) -> torch.Tensor:
        self.blocks.append(images)
        return torch.from_numpy(means(images)).requires_grad_()


def pictures(n: int, seed: int = 0) -> list[np.ndarray]:
    """Coloured pictures of sizes of their own, every other one bright."""
    rng = np.random.default_rng(seed)
    shapes = rng.integers(9, 20, (n, 2))
    return [
        rng.integers(120 * (at % 2), 120 * (at % 2) + 100, (*shape, 3)).astype(np.uint8)
        for at, shape in enumerate(shapes)
    ]


def photographs(n: int = 40) -> tuple[list[np.ndarray], list[str]]:
    return pictures(n), ["dark", "bright"] * (n // 2)


def written(folder: Path, n: int = 24) -> Path:
    """Class folders in split folders."""
    for at, image in enumerate(pictures(n)):
        place = folder / ("test" if at >= n - 8 else "train") / ("dark", "bright")[at % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{at:02}.png")
    return folder


# --------------------------------------------------------------------------------------------- what is kept


def test_an_embedder_is_given_each_picture_once_in_its_own_size_in_the_order_of_rows() -> None:
    images, labels = photographs(70)
    spy = Spy()
    data = open_data((images, labels), embed=spy)
    given = [image for block in spy.blocks for image in block]
    assert max(map(len, spy.blocks)) <= 32
    assert len(given) == 70
    assert all(np.array_equal(a, b) for a, b in zip(given, images, strict=True))
    data.check()
    data.fingerprint()
    assert data.form.kind == "table"
    assert data.form.dtype == "float32"
    np.testing.assert_array_equal(data.read(), means(images).astype(np.float32))
    assert sum(map(len, spy.blocks)) == 70


def test_a_size_that_is_asked_for_is_that_of_the_pictures() -> None:
    spy = Spy()
    open_data(photographs(), embed=spy, image_size=(12, 16), resize="pad")
    assert {image.shape for image in spy.blocks[0]} == {(12, 16, 3)}


def test_channels_come_last_whatever_the_source_has() -> None:
    spy = Spy()
    images = torch.randint(0, 255, (8, 3, 10, 12), dtype=torch.uint8)
    open_data((images, [0, 1] * 4), embed=spy)
    np.testing.assert_array_equal(np.stack(spy.blocks[0]), images.permute(0, 2, 3, 1))


def test_all_but_the_rows_is_as_the_photographs_have_it(tmp_path: Path) -> None:
    place = written(tmp_path / "photos")
    plain = open_data(place, image_size=8)
    data = open_data(place, embed=means)
    assert data.classes == plain.classes
    assert data.labels.tolist() == plain.labels.tolist()
    assert data.splits is not None
    assert plain.splits is not None
    assert data.splits.tolist() == plain.splits.tolist()
    assert data.path == plain.path
    assert [data.name(row) for row in range(len(data))] == [plain.name(row) for row in range(len(plain))]
    assert data.reading.layout == plain.reading.layout
    assert len(part(data, "test")) == 8


def test_the_columns_beside_the_photographs_stay_beside_the_vectors_and_are_written(tmp_path: Path) -> None:
    import datasets

    images, labels = photographs(12)
    columns = {
        "image": [Image.fromarray(image) for image in images],
        "label": labels,
        "place": list(range(12)),
    }
    datasets.Dataset.from_dict(columns).to_parquet(tmp_path / "photos.parquet")
    data = open_data(tmp_path / "photos.parquet", group="place", embed=means)
    assert data.groups is not None
    assert data.take([3, 1]).beside.to_pydict()["place"] == [3, 1]  # type: ignore[union-attr]
    maker = synthaug.fit(data, steps=2, progress=False)
    out = synthaug.expand(data, maker, to="2x", out=tmp_path / "more.parquet", progress=False)
    again = open_data(out)
    assert again.form.why_not(data.form) is None
    assert len(again) == 24
    np.testing.assert_array_equal(again.read()[:12], data.read())


def test_classes_that_are_left_out_leave_vectors_at_their_own_labels() -> None:
    images, labels = photographs(12)
    labels[4] = labels[7] = "odd"
    data = open_data((images, labels), leave_out=["odd"], embed=means)
    kept = [row for row in range(12) if row not in (4, 7)]
    assert [data.classes[label] for label in data.labels] == [labels[row] for row in kept]
    np.testing.assert_array_equal(data.read(), means([images[row] for row in kept]).astype(np.float32))


@pytest.mark.parametrize(
    ("embed", "name"),
    [
        (means, "means"),
        (functools.partial(functools.partial(means)), "means"),
        (Spy(), "Spy"),
        (Spy().__call__, "Spy.__call__"),
    ],
)
def test_the_embedder_is_named_where_rows_come_from(embed: Any, name: str) -> None:
    data = open_data(photographs(), embed=embed)
    assert data.origin.endswith(f", embedded by {name}")
    assert f"each image is the 5 numbers that {name} made of it" in data.reading.notes
    assert synthaug.fit(data, steps=1, progress=False).data["origin"] == data.origin


def test_what_is_expanded_are_vectors_whatever_was_opened(tmp_path: Path) -> None:
    for source in (photographs(), written(tmp_path / "photos")):
        data = open_data(source, embed=means)
        rows = data if data.splits is None else part(data, "train")
        maker = synthaug.fit(data, steps=2, progress=False)
        X, y = synthaug.expand(data, maker, to="2x")
        assert X.shape == (2 * len(rows), 5)
        np.testing.assert_array_equal(X[: len(rows)], rows.read())
        assert set(y) == {"dark", "bright"}
        with pytest.raises(InvalidRequest, match="folder"):
            synthaug.expand(data, maker, to="2x", out=tmp_path / "out", format="folder")
    with pytest.raises(InvalidRequest, match="photos"):
        synthaug.expand(data, maker, to="2x", out=tmp_path / "photos" / "more.npz")


def test_rows_go_to_other_processes_without_the_embedder() -> None:
    data = open_data(
        (np.stack([image[:9, :9] for image in pictures(40)]), [0, 1] * 20), embed=lambda images: means(images)
    )
    sent: LabeledData = pickle.loads(pickle.dumps(data.detached()))
    np.testing.assert_array_equal(sent.read(), data.read())
    assert sent.found.images.opening == {}
    whole = pickle.loads(pickle.dumps(data.found.images.chosen(np.arange(3))))
    assert whole.opening == {}
    assert "embed" in data.found.images.opening


# ------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lambda images: means(images)[:-1], r"\(31, 5\) float64 for 32 pictures"),
        (lambda images: means(images)[:, :, None], r"\(32, 5, 1\) float64 for 32"),
        (lambda images: means(images)[:, :0], r"\(32, 0\) float64"),
        (lambda images: means(images) > 3, r"\(32, 5\) bool"),
        (lambda images: {"vectors": means(images)}, "dict for 32"),
        (lambda images: None, "NoneType for 32"),
        (lambda images: [[0.0] * (2 + at % 2) for at in range(len(images))], "list for 32"),
        (
            lambda images: np.zeros((len(images), len(images))),
            "vectors of 32 numbers, and from row 32 on of 8",
        ),
    ],
)
def test_anything_but_a_vector_a_picture_is_refused(given: Any, told: str) -> None:
    given.__qualname__ = "net"
    with pytest.raises(InvalidRequest, match=rf"net gave {told}"):
        open_data(photographs(), embed=given)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e39])
def test_a_vector_that_is_not_finite_is_refused_by_the_name_of_its_picture(
    wrong: float, tmp_path: Path
) -> None:
    def net(images: list[np.ndarray]) -> np.ndarray:
        vectors = means(images)
        vectors[2, 1] = wrong
        return vectors

    place = written(tmp_path / "photos")
    third = open_data(place, image_size=8).name(2)
    with pytest.raises(InvalidData, match=rf"net gave NaN or infinite values for \S*{Path(third).name}"):
        open_data(place, embed=net)


def test_lists_of_vectors_and_whole_numbers_are_vectors() -> None:
    for embed in (lambda images: list(means(images)), lambda images: means(images).astype(np.int64)):
        assert open_data(photographs(), embed=embed).form.dtype == "float32"


def test_an_embedder_has_to_be_one_and_to_have_pictures() -> None:
    with pytest.raises(InvalidRequest, match="embed=7 was given; it is a function"):
        open_data(photographs(), embed=7)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match='"resnet50" was given; it is "module:name"'):
        open_data(photographs(), embed="resnet50")
    with pytest.raises(InvalidRequest, match=r"embed='means' was given, but .* holds no images"):
        open_data((np.zeros((8, 3), np.float32), [0, 1] * 4), embed=means)
    with pytest.raises(InvalidRequest, match="open already"):
        open_data(open_data(photographs()), embed=means)


def test_a_broken_picture_is_named_or_left_out(tmp_path: Path) -> None:
    place = written(tmp_path / "photos")
    (place / "train" / "dark" / "00.png").write_bytes(b"nothing")
    with pytest.raises(InvalidData, match=r"00\.png"):
        open_data(place, embed=means)
    with pytest.warns(synthaug.SynthaugWarning, match="1 of the pictures"):
        assert len(open_data(place, embed=means, skip_broken=True)) == 23


# ---------------------------------------------------------------------------------------- rows without labels


def test_unlabelled_pictures_go_through_the_same_embedder_and_size(tmp_path: Path) -> None:
    spy = Spy()
    data = open_data(photographs(), embed=spy, image_size=12)
    spy.blocks.clear()
    more = pictures(6, seed=1)
    (tmp_path / "more").mkdir()
    for at, image in enumerate(more):
        Image.fromarray(image).save(tmp_path / "more" / f"{at}.png")
    in_memory, in_files = open_unlabelled(more, data), open_unlabelled(tmp_path / "more", data)
    assert {image.shape for block in spy.blocks for image in block} == {(12, 12, 3)}
    np.testing.assert_array_equal(in_memory.read(), in_files.read())
    assert in_files.name(0).endswith("0.png")
    labelled = open_unlabelled((more, ["unseen"] * 6), data)  # labels are not looked at
    np.testing.assert_array_equal(labelled.read(), in_memory.read())


def test_unlabelled_vectors_are_taken_as_they_are_and_those_of_another_width_refused() -> None:
    spy = Spy()
    data = open_data(photographs(), embed=spy)
    spy.blocks.clear()
    vectors = means(pictures(6, seed=1)).astype(np.float32)
    np.testing.assert_array_equal(open_unlabelled(vectors, data).read(), vectors)
    assert not spy.blocks
    with pytest.raises(SpecMismatch, match="vectors of 4 numbers are not vectors of 5"):
        open_unlabelled(vectors[:, :4], data)


def test_a_choice_on_vectors_takes_pictures_without_labels() -> None:
    data = open_data(photographs(), embed=means)
    quick = Protocol(folds=2, steps=5, classifier_steps=5)
    plan = synthaug.choose(data, protocol=quick, unlabelled=pictures(30, seed=1), jobs=1, progress=False)
    assert any("judged rows" in of.name for of in plan.choice.standings)
    assert plan.instead is None


# ------------------------------------------------------------------------------------------------- advice


@pytest.mark.parametrize(("shape", "said"), [((64, 20, 3), True), ((63, 63, 3), False), ((64, 64), False)])
def test_who_trains_from_scratch_on_photographs_is_told_of_embedders(
    shape: tuple[int, ...], said: bool
) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (12, *shape)).astype(np.uint8), ["a", "b"] * 6
    assert any("pretrained network" in note for note in facts_of(rows)["notes"]) == said


def test_who_has_vectors_of_photographs_is_told_nothing() -> None:
    rows = (
        np.zeros((12, 64, 64, 3), np.uint8) + np.arange(12, dtype=np.uint8)[:, None, None, None],
        ["a", "b"] * 6,
    )
    data = open_data(rows, embed=means)
    assert not any("pretrained network" in note for note in facts_of(data)["notes"])


def test_a_plan_for_photographs_says_to_begin_with_an_embedder() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (24, 64, 16, 3)).astype(np.uint8), ["a", "b"] * 12
    quick = Protocol(folds=2, steps=2, classifier_steps=2)
    plan = synthaug.choose(rows, families=["warp"], protocol=quick, jobs=1, progress=False)
    assert plan.advice.endswith("trained on pixels from scratch.")
    again = type(plan).from_dict(plan.to_dict())
    assert again.advice == plan.advice


# ------------------------------------------------------------------------------------------- kept in a file


def test_pictures_are_embedded_once_and_their_vectors_kept_in_a_file(tmp_path: Path) -> None:
    images, labels = photographs(40)
    first = Spy()
    there = open_data((images, labels), embed=CachedEmbedder(first, tmp_path / "vectors.db"))
    assert sum(map(len, first.blocks)) == 40
    np.testing.assert_array_equal(there.read(), means(images).astype(np.float32))
    assert "embedded by Spy" in there.origin

    later = Spy()
    images = [*images[::-1], *pictures(3, seed=1)]  # moved, and three more
    again = open_data((images, [*labels, *"abc"]), embed=CachedEmbedder(later, tmp_path / "vectors.db"))
    given = [image for block in later.blocks for image in block]
    assert len(given) == 1 + 3  # one to see whether the file is this embedder's
    assert np.array_equal(given[0], images[39])  # the first that was ever given
    np.testing.assert_array_equal(again.read(), means(images).astype(np.float32))


def test_equal_pictures_in_one_block_have_one_vector(tmp_path: Path) -> None:
    spy, (image,) = Spy(), pictures(1)
    made = CachedEmbedder(spy, tmp_path / "vectors.db")([image, image.copy(), image.astype(np.float32)])
    assert [len(block) for block in spy.blocks] == [2]  # another dtype is another picture
    assert (made[0] == made[1]).all()


def test_vectors_of_another_embedder_are_not_taken_for_its_own(tmp_path: Path) -> None:
    images = pictures(4)
    CachedEmbedder(means, tmp_path / "vectors.db")(images)
    for other in (lambda images: 2 * means(images), lambda images: means(images)[:, :3]):
        with pytest.raises(InvalidData, match=r"vectors\.db holds other vectors than .* Name another file"):
            CachedEmbedder(other, tmp_path / "vectors.db")(images)
    noise = np.random.default_rng(0)
    CachedEmbedder(lambda images: means(images) + noise.normal(0, 1e-4, (1, 5)), tmp_path / "vectors.db")(
        images
    )


def test_what_was_embedded_before_a_stop_is_kept(tmp_path: Path) -> None:
    def stopped(images: list[np.ndarray]) -> np.ndarray:
        if (images[0].shape == rest[0].shape) and (images[0] == rest[0]).all():
            raise KeyboardInterrupt
        return means(images)

    images, rest = pictures(32), pictures(8, seed=3)
    with pytest.raises(KeyboardInterrupt):
        open_data(([*images, *rest], ["a", "b"] * 20), embed=CachedEmbedder(stopped, tmp_path / "vectors.db"))
    spy = Spy()
    open_data(([*images, *rest], ["a", "b"] * 20), embed=CachedEmbedder(spy, tmp_path / "vectors.db"))
    assert sum(map(len, spy.blocks)) == 1 + 8


def test_a_file_that_is_none_of_ours_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("what I have to do" * 100)
    for path in (tmp_path / "notes.txt", tmp_path / "no folder" / "vectors.db"):
        with pytest.raises(InvalidData, match=r"cannot be kept in .*Name a file that is not there yet"):
            CachedEmbedder(means, path)(pictures(2))
    assert (tmp_path / "notes.txt").read_text() == "what I have to do" * 100


def test_a_width_that_changes_is_refused_by_what_keeps_vectors(tmp_path: Path) -> None:
    by_height = CachedEmbedder(lambda images: np.ones((len(images), images[0].shape[0])), tmp_path / "v.db")
    by_height([np.zeros((4, 4), np.uint8)])
    with pytest.raises(InvalidRequest, match=r"gives an array or tensor \(2, D\)"):
        by_height([np.zeros((4, 4), np.uint8), np.zeros((5, 5), np.uint8)])


def test_an_embedder_that_has_no_picture_in_common_is_told_from_the_other_one(tmp_path: Path) -> None:
    CachedEmbedder(means, tmp_path / "vectors.db")(pictures(4))
    other = CachedEmbedder(lambda images: 2 * means(images), tmp_path / "vectors.db")
    with pytest.raises(InvalidData, match="holds other vectors"):
        other(pictures(4, seed=5))


def test_vectors_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    images, labels = photographs(6)

    def wrong(images: list[np.ndarray]) -> np.ndarray:
        made = means(images)
        made[1] = np.nan
        return made

    with pytest.raises(InvalidData, match="NaN or infinite"):
        open_data((images, labels), embed=CachedEmbedder(wrong, tmp_path / "vectors.db"))
    data = open_data((images, labels), embed=CachedEmbedder(means, tmp_path / "vectors.db"))
    np.testing.assert_array_equal(data.read(), means(images).astype(np.float32))


def test_a_database_of_something_else_stays_as_it_is(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "mine.db") as file:
        file.execute("CREATE TABLE notes (text TEXT)")
    before = (tmp_path / "mine.db").read_bytes()
    with pytest.raises(InvalidData, match="is a database of something else"):
        CachedEmbedder(means, tmp_path / "mine.db")(pictures(2))
    assert (tmp_path / "mine.db").read_bytes() == before
