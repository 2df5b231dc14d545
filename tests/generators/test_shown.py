"""What a terminal and a notebook show of samples and generators."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch

import synthaug
from synthaug import Generator, Samples
from synthaug.errors import InvalidRequest
from synthaug.generators import Selection


@pytest.fixture(scope="module")
def maker() -> Generator:
    return synthaug.fit("bundled:digits", "warp", steps=1, progress=False)


def table(n: int = 80) -> Generator:
    rng = np.random.default_rng(0)
    X = {"length": rng.normal(size=n), "kind": rng.choice(["a", "b"], n), "label": np.arange(n) % 2}
    return synthaug.fit(pd.DataFrame(X), "cvae", steps=2, progress=False)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.told, self.pictures = "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attrs))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.told += data


def test_samples_are_told_in_a_line_however_many_there_are(maker: Generator) -> None:
    for counts in (2, {"3": 1}, 300):
        samples = maker.sample(counts, seed=5)
        told = repr(samples)
        assert len(told) < 160
        assert f"{len(samples)} rows" in told
        assert f"by {maker.fingerprint[:12]}, seed 5" in told
    assert "1 classes" in repr(maker.sample({"3": 1}))
    both = Samples.join([maker.sample(1, seed=1), maker.sample(1, seed=2)])
    assert "2 seeds" in repr(both)
    assert repr(samples[:0]).startswith("Samples(0 rows of 0 classes")


def test_a_notebook_shows_a_picture_that_is_in_the_page(maker: Generator) -> None:
    samples = maker.sample(3)
    page = Page(samples._repr_html_())
    assert repr(samples) in page.told
    (picture,) = page.pictures
    assert picture["src"].startswith("data:image/png;base64,")
    assert not Page(samples[:0]._repr_html_()).pictures


def test_a_picture_has_a_line_for_each_class_with_rows(maker: Generator) -> None:
    one, two = (maker.sample(counts).show() for counts in ({"3": 4}, {"3": 4, "5": 4}))
    assert two.height > one.height
    assert two.width == one.width
    # as many as the rarest class has
    assert maker.sample({"3": 4, "5": 2}).show().width < two.width
    assert maker.show(4).size == maker.sample(4).show(4).size
    with pytest.raises(InvalidRequest, match="no rows to show"):
        maker.sample(1)[:0].show()


def test_a_generator_whose_samples_were_curated_shows_those(maker: Generator) -> None:
    kept = maker.keeping(Selection(7, {"3": np.arange(3), "5": np.arange(2), "1": np.arange(0)}))
    assert kept.show().tobytes() == maker.sample({"3": 2, "5": 2}, seed=7).show().tobytes()


def test_a_picture_of_a_table_is_of_all_its_rows() -> None:
    samples = table().sample({"0": 40, "1": 1})
    assert samples.show().tobytes() != samples[:1].show().tobytes()
    assert Page(samples._repr_html_()).pictures


def test_samples_become_tensors_as_they_are(maker: Generator) -> None:
    samples = maker.sample(2)
    X, y = samples.to_tensors()
    assert X.dtype == torch.uint8
    assert (X.numpy() == samples.samples).all()
    assert y.tolist() == samples.class_indices.tolist()
    X[:] = 0  # it is a copy
    assert samples.samples.any()
    turned = replace(samples, samples=samples.samples[::-1].astype(">u2"))
    assert turned.to_tensors()[0].tolist() == samples.samples[::-1].tolist()
    wide = replace(samples, samples=samples.samples.astype(np.uint16))
    assert wide.to_tensors()[0].dtype == torch.uint16


def test_samples_become_a_data_frame_with_where_they_come_from(maker: Generator) -> None:
    samples = table().sample(3, seed=2)
    frame = samples.to_pandas()
    assert list(frame)[:3] == ["length", "kind", "label"]
    assert set(frame["kind"]) <= {"a", "b"}
    assert frame["label"].tolist() == samples.labels.tolist()
    assert frame["seed"].tolist() == [2] * 6
    assert frame["synthetic"].all()
    pictures = maker.sample(2).to_pandas()
    assert list(pictures) == ["label", *samples.provenance]
    assert len(pictures) == 20


def test_columns_of_a_table_keep_their_names_in_a_data_frame() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"seed": rng.normal(size=40), "index": rng.normal(size=40), "y": np.arange(40) % 2})
    data = synthaug.open_data(rows, label="y")
    frame = synthaug.fit(data, "cvae", steps=2, progress=False).sample(2, seed=9).to_pandas()
    assert frame["synthaug_seed"].tolist() == [9] * 4
    rows = rows.rename(columns={"seed": "label", "index": "synthaug_label"})
    maker = synthaug.fit(synthaug.open_data(rows, label="y"), "cvae", steps=2, progress=False)
    assert maker.sample(2).to_pandas()["synthaug_synthaug_label"].tolist() == [0, 0, 1, 1]
    assert list(frame)[:2] == ["seed", "index"]


def test_samples_are_a_hugging_face_set_whose_rows_are_theirs(maker: Generator) -> None:
    samples = maker.sample(2, seed=3)
    found = samples.to_dataset()
    assert found.features["label"].names == list(samples.classes)
    assert found.column_names == ["image", "label", "synthetic", "generator", "seed", "class", "index"]
    np.testing.assert_array_equal(np.stack([np.asarray(image) for image in found["image"]]), samples.samples)
    assert found["class"] == samples.provenance["class"].tolist()
    assert synthaug.open_data(found).counts == samples.counts


def test_samples_of_tables_and_of_floats_are_hugging_face_sets_too() -> None:
    samples = table().sample(3)
    found = samples.to_dataset()
    assert set(found["kind"]) <= {"a", "b"}
    np.testing.assert_array_equal(found["length"], samples.to_pandas()["length"])
    X = np.random.default_rng(0).uniform(size=(40, 8, 9)).astype(np.float32)
    floats = synthaug.fit((X, [0, 1] * 20), "warp", steps=1, progress=False).sample(2)
    np.testing.assert_array_equal(np.array(floats.to_dataset()["image"], np.float32), floats.samples)
