import os
import pickle
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FORMATS, SPEC, FakeGenerator
from PIL import Image

from synthaug.data.labeled import open_data
from synthaug.errors import (
    InvalidRequest,
    Leakage,
    OutputExists,
    SpecMismatch,
    SynthaugWarning,
    UnsupportedKind,
)
from synthaug.files.expand import ExpandedDataset, expand_dataset, write_samples
from synthaug.files.formats import read_record


def images(n, spec=SPEC, seed=0):
    values = np.random.default_rng(seed).random((n, *spec.shape))
    return values.astype(spec.dtype) if "float" in spec.dtype else (values * 255).astype(spec.dtype)


LABELS = np.array(["dog", "cat", "T-shirt/top", "dog", "cat", "dog"])
TWICE = {"cat": 2, "dog": 3, "T-shirt/top": 1}


def folder_of(path: Path, x, y, split=None) -> Path:
    from synthaug.outputs import encode_name

    for row, (image, label) in enumerate(zip(x, y, strict=True)):
        place = path / (split or "") / encode_name(str(label))
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"photo {row}.png")
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# ---------------------------------------------------------------------------------------------- in memory


@pytest.mark.parametrize("label_type", ["<U11", "int32", "bool", object])
@pytest.mark.parametrize(
    "spec", [SPEC, replace(SPEC, channels=3, layout="CHW"), replace(SPEC, dtype="float32", high=1.0)], ids=str
)
def test_arrays_come_back_with_their_dtype_layout_and_labels(spec, label_type):
    names = [("0", "1"), ("False", "True"), ("cat", "dog")][{"int32": 0, "bool": 1}.get(label_type, 2)]
    generator = FakeGenerator(classes=names, values=names, spec=spec)
    x = images(5, spec)
    y = np.array([0, 1, 1, 0, 1] if "cat" not in names else ["cat", "dog", "dog", "cat", "dog"]).astype(
        label_type
    )
    larger = expand_dataset((x, y), generator, "2x", seed=3)
    big_x, big_y = larger
    assert (big_x.dtype, big_y.dtype) == (x.dtype, y.dtype)
    np.testing.assert_array_equal(big_x[:5], x)
    np.testing.assert_array_equal(big_y[:5], y)
    order = [(names[0], 0), (names[0], 1), (names[1], 0), (names[1], 1), (names[1], 2)]
    np.testing.assert_array_equal(big_x[5:], [generator.row(name, i, 3) for name, i in order])
    assert [str(label) for label in big_y[5:]] == [name for name, _ in order]
    assert larger.provenance["synthetic"].tolist() == [False] * 5 + [True] * 5
    assert larger.provenance["index"].tolist() == [-1] * 5 + [i for _, i in order]
    assert larger.provenance["class"].tolist() == [""] * 5 + [name for name, _ in order]
    assert set(larger.provenance["seed"][5:]) == {3}
    assert set(larger.provenance["generator"]) == {"", generator.fingerprint}


def test_tensors_come_back_as_tensors():
    x, y = torch.from_numpy(images(6)), torch.tensor([1, 0, 2, 1, 0, 1], dtype=torch.int16)
    generator = FakeGenerator(classes=("0", "1", "2"), values=(0, 1, 2))
    big_x, big_y = expand_dataset((x, y), generator, {1: 5})
    assert (big_x.dtype, big_y.dtype, len(big_x)) == (torch.uint8, torch.int16, 8)
    assert torch.equal(big_x[:6], x)
    assert big_y.tolist() == [1, 0, 2, 1, 0, 1, 1, 1]


def test_lists_of_pictures_come_back_as_lists_of_pictures():
    pictures = [Image.fromarray(image) for image in images(6)]
    big_x, big_y = expand_dataset((pictures, LABELS.tolist()), FakeGenerator(), "2x")
    assert all(isinstance(picture, Image.Image) for picture in big_x)
    assert isinstance(big_y, list)
    assert Counter(big_y) == {name: 2 * n for name, n in TWICE.items()}


def test_an_opened_data_set_gives_arrays():
    x = images(6)
    big_x, big_y = expand_dataset(open_data((x, LABELS)), FakeGenerator(), "2x")
    np.testing.assert_array_equal(big_x[:6], x)
    assert Counter(big_y.tolist()) == {name: 2 * n for name, n in TWICE.items()}


def test_the_pair_unpickles_with_its_provenance():
    larger = expand_dataset((images(6), LABELS), FakeGenerator(), "2x")
    again = pickle.loads(pickle.dumps(larger))
    np.testing.assert_array_equal(again[0], larger[0])
    np.testing.assert_array_equal(again.provenance["class"], larger.provenance["class"])


def test_arrays_of_objects_are_refused():
    x = np.empty(6, object)
    x[:] = list(images(6))
    with pytest.raises(UnsupportedKind, match=r"dtype object.*np\.stack"):
        expand_dataset((x, LABELS), FakeGenerator(), "2x")


class Items(torch.utils.data.Dataset):
    def __init__(self, make):
        self.items = [make(image, label) for image, label in zip(images(6), LABELS, strict=True)]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, row):
        return self.items[row]


@pytest.mark.parametrize(
    "make",
    [
        lambda image, label: (torch.from_numpy(image), str(label)),
        lambda image, label: [Image.fromarray(image), str(label)],
        lambda image, label: {"label": str(label), "image": image},
    ],
)
def test_a_torch_data_set_keeps_its_items_and_gains_items_like_them(make):
    real, generator = Items(make), FakeGenerator()
    larger = expand_dataset(real, generator, "2x")
    assert isinstance(larger, torch.utils.data.Dataset)
    assert len(larger) == len(larger.provenance["synthetic"]) == 12
    assert all(larger[row] is real[row] for row in range(6))
    made = larger[6]
    assert type(made) is type(real[0])
    got, label = (made["image"], made["label"]) if isinstance(made, dict) else made
    like = real[0]["image"] if isinstance(made, dict) else real[0][0]
    assert type(got) is type(like)
    np.testing.assert_array_equal(np.asarray(got), generator.row("T-shirt/top", 0, 0))
    assert label == larger.provenance["class"][6] == "T-shirt/top"
    assert larger[-1] is not None
    with pytest.raises(IndexError):
        larger[12]


def test_a_loader_batches_an_expanded_data_set():
    larger = expand_dataset(Items(lambda image, label: (image, str(label))), FakeGenerator(), "2x")
    batches = list(torch.utils.data.DataLoader(larger, batch_size=5))
    assert [len(labels) for _, labels in batches] == [5, 5, 2]
    assert batches[0][0].shape == (5, 8, 9)


def test_items_with_fields_that_synthetic_rows_lack_are_refused_before_training():
    with pytest.raises(InvalidRequest, match="'path'"):
        expand_dataset(Items(lambda image, label: {"image": image, "label": str(label), "path": "a"}),
                       FakeGenerator(), "2x")  # fmt: skip


def hf(x, y, names=("cat", "dog", "T-shirt/top"), **more):
    import datasets

    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(names))}
    features |= {name: datasets.Value("string") for name in more}
    columns = {
        "image": [Image.fromarray(image) for image in x],
        "label": [names.index(label) for label in y],
        **more,
    }
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def test_a_hugging_face_set_keeps_features_rows_and_format():
    generator = FakeGenerator(values=(0, 1, 2))
    real = hf(images(6), LABELS, photographer=list("abcdef"))
    larger = expand_dataset(real, generator, "2x", seed=1)
    assert {name: larger.features[name] for name in real.features} == real.features
    assert larger.column_names[3:] == ["synthetic", "generator", "seed", "class", "index"]
    assert larger.select(range(6)).select_columns(real.column_names).to_dict() == real.to_dict()
    assert larger["synthetic"] == [False] * 6 + [True] * 6
    assert larger["photographer"][6:] == [None] * 6
    np.testing.assert_array_equal(np.asarray(larger[6]["image"]), generator.row("cat", 0, 1))
    assert larger["label"][6:] == [0, 0, 1, 1, 1, 2]


def test_a_selection_of_rows_on_disk_is_expanded_without_writing_anything(tmp_path):
    import datasets

    hf(images(60), ["cat", "dog", "T-shirt/top"] * 20).save_to_disk(tmp_path / "set")
    stored = datasets.load_from_disk(tmp_path / "set")
    files = sorted(path.name for path in (tmp_path / "set").iterdir())
    rows = stored.shuffle(seed=0, keep_in_memory=True).select(range(10, 55), keep_in_memory=True)
    larger = expand_dataset(rows, FakeGenerator(values=(0, 1, 2)), "2x")
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == files
    assert larger["synthetic"][:] == [False] * 45 + [True] * 45
    assert all(
        (np.asarray(a["image"]) == np.asarray(b["image"])).all() for a, b in zip(rows, larger, strict=False)
    )
    assert larger["label"][:45] == rows["label"][:]
    assert {name: larger.features[name] for name in rows.column_names} == rows.features


def test_a_transform_of_a_hugging_face_set_stays():
    real = hf(images(6), LABELS)
    formatted = real.with_transform(lambda batch: {"n": [label * 10 for label in batch["label"]]})
    larger = expand_dataset(formatted, FakeGenerator(), "2x")
    assert larger[1] == {"n": 0}
    assert larger[6:12]["n"] == [0, 0, 10, 10, 10, 20]
    batches = torch.utils.data.DataLoader(
        expand_dataset(real.with_format("torch"), FakeGenerator(), "2x"), batch_size=12
    )
    assert next(iter(batches))["image"].shape == (12, 1, 8, 9)


def test_only_the_train_split_of_a_dictionary_of_sets_grows():
    import datasets

    x = images(9)
    parts = datasets.DatasetDict(train=hf(x[:6], LABELS), test=hf(x[6:], ["cat", "dog", "T-shirt/top"]))
    larger = expand_dataset(parts, FakeGenerator(), "2x")
    assert {name: part.num_rows for name, part in larger.items()} == {"train": 12, "test": 3}
    assert larger["test"].features == larger["train"].features
    assert not any(larger["test"]["synthetic"])
    tested = expand_dataset(parts, FakeGenerator(), "2x", split="test")
    assert {name: part.num_rows for name, part in tested.items()} == {"train": 6, "test": 6}
    with pytest.raises(InvalidRequest, match=r'no split "dev"\. Known: "train", "test"'):
        expand_dataset(parts, FakeGenerator(), "2x", split="dev")


def test_columns_that_meet_ours_are_refused_unless_they_say_the_same():
    named = hf(images(6), LABELS).rename_column("label", "class")
    larger = expand_dataset(named, FakeGenerator(), "2x")
    assert larger["class"][6:] == [0, 0, 1, 1, 1, 2]
    with pytest.raises(InvalidRequest, match=r'column "seed".*rename_column'):
        expand_dataset(hf(images(6), LABELS, seed=list("abcdef")), FakeGenerator(), "2x")
    with pytest.raises(InvalidRequest, match="expand the original"):
        expand_dataset(larger, FakeGenerator(), "2x")


# ------------------------------------------------------------------------------------------------ on disk


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_reads_back_with_equal_images_labels_and_classes(tmp_path, format):
    generator, x = FakeGenerator(), images(6)
    source = folder_of(tmp_path / "data", x, LABELS)
    out = expand_dataset(source, generator, "2x", out=tmp_path / "out", format=format, seed=2, shard_size=2)
    assert out == tmp_path / "out"
    if format in ("parquet", "npz"):
        out = out.rename(tmp_path / f"out.{format}")
    stored = open_data(out)
    added = [(name, i) for name, n in TWICE.items() for i in range(n)]
    expected = Counter((label, image.tobytes()) for label, image in zip(LABELS.tolist(), x, strict=True))
    expected += Counter((name, generator.row(name, i, 2).tobytes()) for name, i in added)
    found = zip([stored.classes[label] for label in stored.labels], stored.read(), strict=True)
    assert Counter((name, image.tobytes()) for name, image in found) == expected
    assert set(stored.classes) == set(generator.classes)
    assert set(os.listdir(tmp_path)) == {"data", out.name}


def test_own_labels_and_floats_survive_in_an_npz_file(tmp_path):
    spec = replace(SPEC, dtype="float32", high=1.0)
    generator = FakeGenerator(classes=("3", "7"), values=(3, 7), spec=spec)
    np.savez(tmp_path / "data.npz", X=images(4, spec), y=np.array([7, 3, 7, 7]))
    expand_dataset(tmp_path / "data.npz", generator, {3: 2}, out=tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as stored:
        assert stored["y"].tolist() == [7, 3, 7, 7, 3]
        np.testing.assert_array_equal(stored["X"][:4], images(4, spec))
        np.testing.assert_array_equal(stored["X"][4], generator.row("3", 0, 0))


@pytest.mark.parametrize("format", FORMATS)
def test_other_splits_are_copied_and_only_train_is_expanded(tmp_path, format):
    x = images(9)
    folder_of(tmp_path / "data", x[:6], LABELS, split="train")
    folder_of(tmp_path / "data", x[6:], ["cat", "dog", "T-shirt/top"], split="test")
    out = tmp_path / {"parquet": "out.parquet", "npz": "out.npz"}.get(format, "out")
    expand_dataset(tmp_path / "data", FakeGenerator(), "2x", out=out, format=format)
    stored, source = open_data(out), open_data(tmp_path / "data")
    assert Counter(stored.splits.tolist()) == {"train": 12, "test": 3}
    tests = [
        set(data.take(np.flatnonzero(data.splits == "test")).fingerprints().tolist())
        for data in (stored, source)
    ]
    assert tests[0] == tests[1]
    record = read_record(out)
    assert record is not None
    assert record["card"]["copied"] == {"test": 3}
    assert record["card"]["real"] == record["card"]["synthetic"] == {"cat": 2, "dog": 3, "T-shirt/top": 1}


def test_groups_become_a_column_in_which_synthetic_rows_stay_together(tmp_path):
    groups = ["p1", "p1", "p2", "p3", "p3", "p3"]
    data = open_data((images(6), LABELS), group=groups)
    expand_dataset(data, FakeGenerator(), "2x", out=tmp_path / "out.parquet")
    assert open_data(tmp_path / "out.parquet", group="group").groups.tolist() == groups + ["synthetic"] * 6


@pytest.mark.parametrize("format", FORMATS)
def test_a_call_killed_at_any_shard_and_called_again_ends_in_the_same_bytes(tmp_path, format):
    source = folder_of(tmp_path / "data", images(6), LABELS)

    def expand(out, generator):
        return expand_dataset(source, generator, "3x", out=tmp_path / out, format=format, shard_size=2)

    whole = FakeGenerator()
    expand("whole", whole)
    assert whole.calls == 2 + 3 + 1
    for shard in range(1, whole.calls + 1):
        out = f"killed{shard}"
        with pytest.raises(ZeroDivisionError):
            expand(out, FakeGenerator(dies_at=shard))
        assert not (tmp_path / out).exists()
        again = FakeGenerator()
        expand(out, again)
        assert again.calls == whole.calls - (shard - 1)
        if (tmp_path / out).is_dir():
            assert tree(tmp_path / out) == tree(tmp_path / "whole")
        else:
            assert (tmp_path / out).read_bytes() == (tmp_path / "whole").read_bytes()
        assert not (tmp_path / f"{out}.partial").exists()


def test_an_equal_call_on_a_finished_output_makes_nothing_and_another_is_refused(tmp_path):
    source = folder_of(tmp_path / "data", images(6), LABELS)
    for name in ("out", "out.parquet", "out.npz"):
        out = tmp_path / name
        expand_dataset(source, FakeGenerator(), "2x", out=out)
        again = FakeGenerator()
        expand_dataset(source, again, "2x", out=out)
        assert again.calls == 0
        with pytest.raises(OutputExists, match=r"seed: 0 there, 1 asked.*--overwrite"):
            expand_dataset(source, again, "2x", out=out, seed=1)
        with pytest.raises(OutputExists, match="generator"):
            expand_dataset(source, replace(again, fingerprint="cd" * 32), "2x", out=out)
        expand_dataset(source, again, "2x", out=out, seed=1, overwrite=True)
        record = read_record(out)
        assert record is not None
        assert record["request"]["seed"] == 1
    assert set(os.listdir(tmp_path)) == {"data", "out", "out.parquet", "out.npz"}


def test_a_changed_data_set_is_another_request(tmp_path):
    expand_dataset(folder_of(tmp_path / "a", images(6), LABELS), FakeGenerator(), "2x", out=tmp_path / "out")
    changed = images(6)
    changed[0, 0, 0] += 1
    with pytest.raises(OutputExists, match="data:"):
        expand_dataset(
            folder_of(tmp_path / "b", changed, LABELS), FakeGenerator(), "2x", out=tmp_path / "out"
        )


def test_samples_are_written_in_the_order_asked_for(tmp_path):
    generator = FakeGenerator()
    out = write_samples(generator, {"dog": 3, "cat": 2}, tmp_path / "out.npz", seed=4, shard_size=2)
    with np.load(out) as stored:
        assert stored["y"].tolist() == ["dog"] * 3 + ["cat"] * 2
        expected = [generator.row(name, i, 4) for name, n in (("dog", 3), ("cat", 2)) for i in range(n)]
        np.testing.assert_array_equal(stored["X"], expected)
        assert stored["synthetic"].all()
    with pytest.raises(OutputExists, match="add"):
        write_samples(generator, {"cat": 2, "dog": 3}, out, seed=4, shard_size=2)


# ------------------------------------------------------------------------------------------------ refusals


@pytest.fixture
def refused(tmp_path):
    """Runs a call that must be refused with these words, from a folder, and leave nothing behind."""
    source = folder_of(tmp_path / "data", images(6), LABELS)

    def check(error, said, generator=None, to="2x", out="out", **options):
        before = tree(tmp_path)
        made = FakeGenerator() if generator is None else generator
        with pytest.raises(error, match=said):
            expand_dataset(source, made, to, out=None if out is None else tmp_path / out, **options)
        assert tree(tmp_path) == before
        assert set(os.listdir(tmp_path)) == {"data"}
        assert made.calls == 0

    return check


def test_rows_of_another_form_are_refused_with_both_printed(refused):
    for spec in (replace(SPEC, height=10), replace(SPEC, dtype="uint16"), replace(SPEC, high=1.0)):
        said = f"{re.escape(str(SPEC))}.*{re.escape(str(spec))}"
        refused(SpecMismatch, said, FakeGenerator(spec=spec))


def test_other_classes_are_refused(refused):
    generator = FakeGenerator(classes=("cat", "dog", "owl"), values=(0, 1, 2))
    refused(InvalidRequest, 'generator lacks "T-shirt/top", the data set lacks "owl"', generator)


def test_rows_held_out_for_testing_are_refused(refused):
    held_out = open_data((images(6), LABELS)).fingerprints()[2:4]
    refused(Leakage, "2 of the rows.*held out for testing, .*photo 2.png", FakeGenerator(held_out=held_out))


def test_held_out_rows_in_a_split_that_is_only_copied_are_welcome(tmp_path):
    x = images(9)
    folder_of(tmp_path / "data", x[:6], LABELS, split="train")
    folder_of(tmp_path / "data", x[6:], ["cat", "dog", "T-shirt/top"], split="test")
    held_out = open_data((x[6:], LABELS[:3])).fingerprints()
    expand_dataset(tmp_path / "data", FakeGenerator(held_out=held_out), "2x", out=tmp_path / "out")


def test_requests_that_cannot_be_met_are_refused_and_leave_nothing(refused):
    refused(InvalidRequest, r"say where to write with out=", out=None)
    refused(InvalidRequest, "Nothing to add", to="1x")
    refused(InvalidRequest, "no class 'cow'", to={"cow": 5})
    refused(InvalidRequest, r'suffix of ".*out\.csv"', out="out.csv")
    refused(InvalidRequest, "shard size of 0", shard_size=0)
    refused(InvalidRequest, "lies in the data set", out="data/out")
    refused(InvalidRequest, "lies in the data set", out="data", overwrite=True)


def test_floats_cannot_go_into_a_folder(tmp_path):
    spec = replace(SPEC, dtype="float32", high=1.0)
    with pytest.raises(InvalidRequest, match=r"PNG.*Write an \.npz"):
        expand_dataset((images(6, spec), LABELS), FakeGenerator(spec=spec), "2x", out=tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_data_set_that_was_expanded_before_is_refused(tmp_path):
    pair = expand_dataset((images(6), LABELS), FakeGenerator(), "2x")
    items = expand_dataset(Items(lambda image, label: (image, str(label))), FakeGenerator(), "2x")
    assert isinstance(items, ExpandedDataset)
    written = write_samples(FakeGenerator(), 2, tmp_path / "out.parquet")
    for source in (pair, items, written):
        with pytest.raises(InvalidRequest, match="already holds synthetic rows"):
            expand_dataset(source, FakeGenerator(), "2x", out=tmp_path / "twice")


def test_balance_warns_of_its_cost_and_names_the_remedy():
    with pytest.warns(SynthaugWarning, match=r"6\.2 points.*remedy.*balanced sampler.*synthaug\.mix"):
        _, y = expand_dataset((images(6), LABELS), FakeGenerator(), "balance")
    assert set(Counter(y.tolist()).values()) == {3}
