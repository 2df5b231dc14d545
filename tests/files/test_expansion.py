import os
import pickle
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pictured import PICTURED
from PIL import Image

import synthaug
from synthaug import open_data
from synthaug.errors import (
    InvalidRequest,
    Leakage,
    OutputExists,
    SpecMismatch,
    SynthaugWarning,
    UnsupportedKind,
)
from synthaug.files import Expansion, Place, Stored, Writing, read_record, write_expansion, write_samples
from synthaug.generators import Selection
from synthaug.mixing import ExpandedArrays, ExpandedDataset
from synthaug.outputs import encode_name
from synthaug.testing import planted_generator

FORM = planted_generator().form


def expand(source, generator, to, **more):
    return synthaug.expand(source, generator, to=to, progress=False, **more)


def expand_in_shards(source, generator, to, out, *, format=None, seed=0, shard_size=2):
    expansion = Expansion.of(open_data(source), generator, to, seed)
    return write_expansion(expansion, Place(out, format, writing=Writing(shard_size=shard_size)))


def remade(generator, name, index, seed=0):
    """One row as it can be made again: from generator, seed, class and number alone."""
    return generator.sample_rows(name, index, index + 1, seed=seed).samples[0]


def images(n, form=FORM, seed=0):
    values = np.random.default_rng(seed).random((n, *form.shape))
    return values.astype(form.dtype) if "float" in form.dtype else (values * 255).astype(form.dtype)


LABELS = np.array(["dog", "cat", "T-shirt/top", "dog", "cat", "dog"])
TWICE = {"cat": 2, "dog": 3, "T-shirt/top": 1}


def folder_of(path: Path, x, y, split=None) -> Path:
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
    "form", [FORM, replace(FORM, channels=3, layout="CHW"), replace(FORM, dtype="float32", high=1.0)], ids=str
)
def test_arrays_come_back_with_their_dtype_layout_and_labels(form, label_type):
    names = [("0", "1"), ("False", "True"), ("cat", "dog")][{"int32": 0, "bool": 1}.get(label_type, 2)]
    generator = planted_generator(classes=names, values=names, form=form)
    x = images(5, form)
    y = np.array([0, 1, 1, 0, 1] if "cat" not in names else ["cat", "dog", "dog", "cat", "dog"]).astype(
        label_type
    )
    larger = expand((x, y), generator, "2x", seed=3)
    big_x, big_y = larger
    assert (big_x.dtype, big_y.dtype) == (x.dtype, y.dtype)
    np.testing.assert_array_equal(big_x[:5], x)
    np.testing.assert_array_equal(big_y[:5], y)
    order = [(names[0], 0), (names[0], 1), (names[1], 0), (names[1], 1), (names[1], 2)]
    np.testing.assert_array_equal(big_x[5:], [remade(generator, name, i, 3) for name, i in order])
    assert [str(label) for label in big_y[5:]] == [name for name, _ in order]
    assert larger.provenance["synthetic"].tolist() == [False] * 5 + [True] * 5
    assert larger.provenance["index"].tolist() == [-1] * 5 + [i for _, i in order]
    assert larger.provenance["class"].tolist() == [""] * 5 + [name for name, _ in order]
    assert set(larger.provenance["seed"][5:]) == {3}
    assert set(larger.provenance["generator"]) == {"", generator.fingerprint}


def test_tensors_come_back_as_tensors():
    x, y = torch.from_numpy(images(6)), torch.tensor([1, 0, 2, 1, 0, 1], dtype=torch.int16)
    generator = planted_generator(classes=("0", "1", "2"), values=(0, 1, 2))
    big_x, big_y = expand((x, y), generator, {1: 5})
    assert (big_x.dtype, big_y.dtype, len(big_x)) == (torch.uint8, torch.int16, 8)
    assert torch.equal(big_x[:6], x)
    assert big_y.tolist() == [1, 0, 2, 1, 0, 1, 1, 1]


def test_lists_of_pictures_come_back_as_lists_of_pictures():
    pictures = [Image.fromarray(image) for image in images(6)]
    big_x, big_y = expand((pictures, LABELS.tolist()), planted_generator(), "2x")
    assert all(isinstance(picture, Image.Image) for picture in big_x)
    assert isinstance(big_y, list)
    assert Counter(big_y) == {name: 2 * n for name, n in TWICE.items()}


@pytest.mark.parametrize("opened", ["whole", "a part", "from a file"])
def test_an_opened_data_set_gives_arrays(tmp_path, opened):
    x = images(6)
    np.savez(tmp_path / "data.npz", X=x, y=LABELS)
    data = open_data(tmp_path / "data.npz" if opened == "from a file" else (x, LABELS))
    larger = expand(data.take(np.arange(6)) if opened == "a part" else data, planted_generator(), "2x")
    assert isinstance(larger, ExpandedArrays)
    big_x, big_y = larger
    np.testing.assert_array_equal(big_x[:6], x)
    assert Counter(big_y.tolist()) == {name: 2 * n for name, n in TWICE.items()}


def test_the_pair_unpickles_with_its_provenance():
    larger = expand((images(6), LABELS), planted_generator(), "2x")
    again = pickle.loads(pickle.dumps(larger))
    np.testing.assert_array_equal(again[0], larger[0])
    np.testing.assert_array_equal(again.provenance["class"], larger.provenance["class"])


def test_arrays_of_objects_are_refused():
    x = np.empty(6, object)
    x[:] = list(images(6))
    with pytest.raises(UnsupportedKind, match=r"dtype object.*np\.stack"):
        expand((x, LABELS), planted_generator(), "2x")


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
    real, generator = Items(make), planted_generator()
    larger = expand(real, generator, "2x")
    assert isinstance(larger, torch.utils.data.Dataset)
    assert len(larger) == len(larger.provenance["synthetic"]) == 12
    assert all(larger[row] is real[row] for row in range(6))
    made = larger[6]
    assert type(made) is type(real[0])
    got, label = (made["image"], made["label"]) if isinstance(made, dict) else made
    like = real[0]["image"] if isinstance(made, dict) else real[0][0]
    assert type(got) is type(like)
    np.testing.assert_array_equal(np.asarray(got), remade(generator, "T-shirt/top", 0, 0))
    assert label == larger.provenance["class"][6] == "T-shirt/top"
    assert larger[-1] is not None
    with pytest.raises(IndexError):
        larger[12]


def test_a_loader_batches_an_expanded_data_set():
    larger = expand(Items(lambda image, label: (image, str(label))), planted_generator(), "2x")
    batches = list(torch.utils.data.DataLoader(larger, batch_size=5))
    assert [len(labels) for _, labels in batches] == [5, 5, 2]
    assert batches[0][0].shape == (5, 8, 9)


def test_items_with_fields_that_synthetic_rows_lack_are_refused_before_training():
    with pytest.raises(InvalidRequest, match="'path'"):
        expand(Items(lambda image, label: {"image": image, "label": str(label), "path": "a"}),
                       planted_generator(), "2x")  # fmt: skip


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
    generator = planted_generator(values=(0, 1, 2))
    real = hf(images(6), LABELS, photographer=list("abcdef"))
    larger = expand(real, generator, "2x", seed=1)
    assert {name: larger.features[name] for name in real.features} == real.features
    assert larger.column_names[3:] == ["synthetic", "generator", "seed", "class", "index"]
    assert larger.select(range(6)).select_columns(real.column_names).to_dict() == real.to_dict()
    assert larger["synthetic"] == [False] * 6 + [True] * 6
    assert larger["photographer"][6:] == [None] * 6
    np.testing.assert_array_equal(np.asarray(larger[6]["image"]), remade(generator, "cat", 0, 1))
    assert larger["label"][6:] == [0, 0, 1, 1, 1, 2]


def test_a_selection_of_rows_on_disk_is_expanded_without_writing_anything(tmp_path):
    import datasets

    hf(images(60), ["cat", "dog", "T-shirt/top"] * 20).save_to_disk(tmp_path / "set")
    stored = datasets.load_from_disk(tmp_path / "set")
    files = sorted(path.name for path in (tmp_path / "set").iterdir())
    rows = stored.shuffle(seed=0, keep_in_memory=True).select(range(10, 55), keep_in_memory=True)
    larger = expand(rows, planted_generator(values=(0, 1, 2)), "2x")
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
    larger = expand(formatted, planted_generator(), "2x")
    assert larger[1] == {"n": 0}
    assert larger[6:12]["n"] == [0, 0, 10, 10, 10, 20]
    batches = torch.utils.data.DataLoader(
        expand(real.with_format("torch"), planted_generator(), "2x"), batch_size=12
    )
    assert next(iter(batches))["image"].shape == (12, 1, 8, 9)


def test_only_the_train_split_of_a_dictionary_of_sets_grows():
    import datasets

    x = images(9)
    parts = datasets.DatasetDict(train=hf(x[:6], LABELS), test=hf(x[6:], ["cat", "dog", "T-shirt/top"]))
    larger = expand(parts, planted_generator(), "2x")
    assert {name: part.num_rows for name, part in larger.items()} == {"train": 12, "test": 3}
    assert larger["test"].features == larger["train"].features
    assert not any(larger["test"]["synthetic"])
    tested = expand(open_data(parts, train_split="test"), planted_generator(), "2x")
    assert {name: part.num_rows for name, part in tested.items()} == {"train": 6, "test": 6}
    with pytest.raises(InvalidRequest, match=r'no split "dev"\. Known: "train", "test"'):
        expand(open_data(parts, train_split="dev"), planted_generator(), "2x")


def test_columns_that_meet_ours_stay_and_ours_get_a_prefix():
    named = hf(images(6), LABELS, seed=list("abcdef")).rename_column("label", "class")
    larger = expand(named, planted_generator(), "2x", seed=3)
    assert larger.select_columns(named.column_names).select(range(6)).to_dict() == named.to_dict()
    assert larger["class"][6:] == [0, 0, 1, 1, 1, 2]
    assert larger["synthaug_class"][6:] == ["cat"] * 2 + ["dog"] * 3 + ["T-shirt/top"]
    assert larger["seed"][6:] == [None] * 6
    assert set(larger["synthaug_seed"][6:]) == {3}
    assert larger["index"][6:] == [0, 1, 0, 1, 2, 0]
    with pytest.raises(InvalidRequest, match="already holds synthetic rows"):
        expand(larger, planted_generator(), "2x")


# ------------------------------------------------------------------------------------------------ on disk


@pytest.mark.parametrize("format", PICTURED)
def test_what_is_written_reads_back_with_equal_images_labels_and_classes(tmp_path, format):
    generator, x = planted_generator(), images(6)
    source = folder_of(tmp_path / "data", x, LABELS)
    out = expand_in_shards(source, generator, "2x", tmp_path / "out", format=format, seed=2)
    assert out == tmp_path / "out"
    if format in ("parquet", "npz"):
        out = out.rename(tmp_path / f"out.{format}")
    stored = open_data(out)
    added = [(name, i) for name, n in TWICE.items() for i in range(n)]
    expected = Counter((label, image.tobytes()) for label, image in zip(LABELS.tolist(), x, strict=True))
    expected += Counter((name, remade(generator, name, i, 2).tobytes()) for name, i in added)
    found = zip([stored.classes[label] for label in stored.labels], stored.read(), strict=True)
    assert Counter((name, image.tobytes()) for name, image in found) == expected
    assert set(stored.classes) == set(generator.classes)
    assert set(os.listdir(tmp_path)) == {"data", out.name}


def test_own_labels_and_floats_survive_in_an_npz_file(tmp_path):
    form = replace(FORM, dtype="float32", high=1.0)
    generator = planted_generator(classes=("3", "7"), values=(3, 7), form=form)
    np.savez(tmp_path / "data.npz", X=images(4, form), y=np.array([7, 3, 7, 7]))
    expand(tmp_path / "data.npz", generator, {3: 2}, out=tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as stored:
        assert stored["y"].tolist() == [7, 3, 7, 7, 3]
        np.testing.assert_array_equal(stored["X"][:4], images(4, form))
        np.testing.assert_array_equal(stored["X"][4], remade(generator, "3", 0, 0))


@pytest.mark.parametrize("format", PICTURED)
def test_other_splits_are_copied_and_only_train_is_expanded(tmp_path, format):
    x = images(9)
    folder_of(tmp_path / "data", x[:6], LABELS, split="train")
    folder_of(tmp_path / "data", x[6:], ["cat", "dog", "T-shirt/top"], split="test")
    out = tmp_path / {"parquet": "out.parquet", "npz": "out.npz"}.get(format, "out")
    expand(tmp_path / "data", planted_generator(), "2x", out=out, format=format)
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
    expand(data, planted_generator(), "2x", out=tmp_path / "out.parquet")
    assert open_data(tmp_path / "out.parquet", group="group").groups.tolist() == groups + ["synthetic"] * 6


@pytest.mark.parametrize("format", PICTURED)
def test_a_call_killed_at_any_shard_and_called_again_ends_in_the_same_bytes(tmp_path, format):
    source = folder_of(tmp_path / "data", images(6), LABELS)

    def write(out, generator):
        return expand_in_shards(source, generator, "3x", tmp_path / out, format=format)

    whole = planted_generator()
    write("whole", whole)
    assert whole.family.calls == 2 + 3 + 1
    for shard in range(1, whole.family.calls + 1):
        out, killed, again = f"killed{shard}", planted_generator(), planted_generator()
        killed.family.dies_at = shard
        with pytest.raises(ZeroDivisionError):
            write(out, killed)
        assert not (tmp_path / out).exists()
        write(out, again)
        assert again.family.calls == whole.family.calls - (shard - 1)
        if (tmp_path / out).is_dir():
            assert tree(tmp_path / out) == tree(tmp_path / "whole")
        else:
            assert (tmp_path / out).read_bytes() == (tmp_path / "whole").read_bytes()
        assert not (tmp_path / f"{out}.partial").exists()


def test_an_equal_call_on_a_finished_output_makes_nothing_and_another_is_refused(tmp_path):
    source = folder_of(tmp_path / "data", images(6), LABELS)
    for name in ("out", "out.parquet", "out.npz"):
        out = tmp_path / name
        expand(source, planted_generator(), "2x", out=out)
        again, other = planted_generator(), planted_generator()
        expand(source, again, "2x", out=out)
        assert again.family.calls == 0
        with pytest.raises(OutputExists, match=r"seed: 0 there, 1 asked.*--overwrite"):
            expand(source, again, "2x", out=out, seed=1)
        other.family.level.add_(1)
        with pytest.raises(OutputExists, match="generator"):
            expand(source, other, "2x", out=out)
        expand(source, again, "2x", out=out, seed=1, overwrite=True)
        record = read_record(out)
        assert record is not None
        assert record["request"]["seed"] == 1
    assert set(os.listdir(tmp_path)) == {"data", "out", "out.parquet", "out.npz"}


def test_a_changed_data_set_is_another_request(tmp_path):
    expand(folder_of(tmp_path / "a", images(6), LABELS), planted_generator(), "2x", out=tmp_path / "out")
    changed = images(6)
    changed[0, 0, 0] += 1
    with pytest.raises(OutputExists, match="data:"):
        expand(folder_of(tmp_path / "b", changed, LABELS), planted_generator(), "2x", out=tmp_path / "out")


def test_samples_are_written_in_the_order_asked_for(tmp_path):
    generator = planted_generator()
    place = Place(tmp_path / "out.npz", writing=Writing(shard_size=2))
    out = write_samples(generator, {"dog": 3, "cat": 2}, place, seed=4)
    with np.load(out) as stored:
        assert stored["y"].tolist() == ["dog"] * 3 + ["cat"] * 2
        expected = [remade(generator, name, i, 4) for name, n in (("dog", 3), ("cat", 2)) for i in range(n)]
        np.testing.assert_array_equal(stored["X"], expected)
        assert stored["synthetic"].all()
    with pytest.raises(OutputExists, match="add"):
        write_samples(generator, {"cat": 2, "dog": 3}, place, seed=4)


@pytest.mark.parametrize("format", PICTURED)
def test_rows_of_a_curated_generator_are_recorded_by_the_numbers_that_make_them_again(tmp_path, format):
    source = folder_of(tmp_path / "data", images(6), LABELS)
    whole = planted_generator()
    # Gaps, several shards of two rows, and numbers on both sides of a block of the sequence.
    rows = {"cat": [3, 4, 9, 40], "dog": [0, 31, 32, 70, 71], "T-shirt/top": [5, 64]}
    curated = whole.keeping(Selection(7, {name: np.array(numbers) for name, numbers in rows.items()}))
    out = tmp_path / {"parquet": "out.parquet", "npz": "out.npz"}.get(format, "out")
    assert expand_in_shards(source, curated, "2x", out, format=format, seed=7) == out
    found = Stored.at(out).samples()
    assert Counter(found.provenance["class"].tolist()) == TWICE
    for name, n in TWICE.items():
        mine = found[found.provenance["class"] == name]
        assert sorted(mine.provenance["index"].tolist()) == rows[name][:n]
        assert set(mine.provenance["generator"]) == {whole.fingerprint}
        assert set(mine.provenance["seed"]) == {7}
    told = [found.provenance[column].tolist() for column in ("class", "index", "seed")]
    for image, name, index, seed in zip(found.samples, *told, strict=True):
        np.testing.assert_array_equal(image, remade(planted_generator(), name, index, seed))


def test_in_memory_rows_of_a_curated_generator_have_the_numbers_that_make_them_again():
    kept = {"cat": np.array([3, 40]), "dog": np.array([0, 31, 32]), "T-shirt/top": np.array([64])}
    curated = planted_generator().keeping(Selection(7, kept))
    larger = expand((images(6), LABELS), curated, "2x", seed=7)
    assert larger.provenance["index"].tolist()[:6] == [-1] * 6
    told = [larger.provenance[column][6:].tolist() for column in ("class", "index", "seed")]
    assert Counter(zip(*told, strict=True)) == Counter(
        (name, index, 7) for name, numbers in kept.items() for index in numbers.tolist()
    )
    for image, name, index, seed in zip(larger[0][6:], *told, strict=True):
        np.testing.assert_array_equal(image, remade(planted_generator(), name, index, seed))


# ------------------------------------------------------------------------------------------------ refusals


@pytest.fixture
def refused(tmp_path):
    """Runs a call that must be refused with these words, from a folder, and leave nothing behind."""
    source = folder_of(tmp_path / "data", images(6), LABELS)

    def check(error, said, generator=None, to="2x", out="out", **options):
        before = tree(tmp_path)
        made = planted_generator() if generator is None else generator
        with pytest.raises(error, match=said):
            expand(source, made, to, out=None if out is None else tmp_path / out, **options)
        assert tree(tmp_path) == before
        assert set(os.listdir(tmp_path)) == {"data"}
        assert made.family.calls == 0

    return check


def test_rows_of_another_form_are_refused_with_both_printed(refused):
    for form in (replace(FORM, height=10), replace(FORM, dtype="uint16"), replace(FORM, high=1.0)):
        said = f"{re.escape(str(FORM))}.*{re.escape(str(form))}"
        refused(SpecMismatch, said, planted_generator(form=form))


def test_other_classes_are_refused(refused):
    generator = planted_generator(classes=("cat", "dog", "owl"), values=(0, 1, 2))
    refused(InvalidRequest, r'generator lacks "T-shirt/top", folder .*data lacks "owl"', generator)


def test_rows_held_out_for_testing_are_refused(refused):
    held_out = open_data((images(6), LABELS)).fingerprints()[2:4]
    said = r"2 of the 6 rows.*held out .*for testing.*photo 2\.png"
    refused(Leakage, said, planted_generator(held_out=held_out))


def test_held_out_rows_in_a_split_that_is_only_copied_are_welcome(tmp_path):
    x = images(9)
    folder_of(tmp_path / "data", x[:6], LABELS, split="train")
    folder_of(tmp_path / "data", x[6:], ["cat", "dog", "T-shirt/top"], split="test")
    held_out = open_data((x[6:], LABELS[:3])).fingerprints()
    expand(tmp_path / "data", planted_generator(held_out=held_out), "2x", out=tmp_path / "out")


def test_requests_that_cannot_be_met_are_refused_and_leave_nothing(refused):
    refused(InvalidRequest, r"say where to write it with out=", out=None)
    refused(InvalidRequest, "Nothing to add", to="1x")
    refused(InvalidRequest, "no class 'cow'", to={"cow": 5})
    refused(InvalidRequest, r'suffix of ".*out\.txt"', out="out.txt")
    refused(InvalidRequest, r'"csv": text holds the cells of tables\. Write a folder', out="out.csv")
    refused(InvalidRequest, "lies in the data set", out="data/out")
    refused(InvalidRequest, "lies in the data set", out="data", overwrite=True)


def test_rows_that_a_curated_generator_does_not_keep_are_refused(refused):
    kept = {"cat": np.arange(9), "dog": np.arange(2), "T-shirt/top": np.arange(9)}
    curated = planted_generator().keeping(Selection(7, kept))
    refused(InvalidRequest, r'"dog": 2 of 3\).* rows of seed 7 were curated', curated, seed=7)
    refused(InvalidRequest, r"of seed 0 .*rows of seed 7 were curated", curated, to={"cat": 3}, seed=0)


def test_shards_without_rows_are_refused(tmp_path):
    with pytest.raises(InvalidRequest, match="shard size of 0"):
        Place(tmp_path / "out", writing=Writing(shard_size=0))


def test_floats_cannot_go_into_a_folder(tmp_path):
    form = replace(FORM, dtype="float32", high=1.0)
    with pytest.raises(InvalidRequest, match=r"PNG.*Write an \.npz"):
        expand((images(6, form), LABELS), planted_generator(form=form), "2x", out=tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_data_set_that_was_expanded_before_is_refused(tmp_path):
    pair = expand((images(6), LABELS), planted_generator(), "2x")
    items = expand(Items(lambda image, label: (image, str(label))), planted_generator(), "2x")
    assert isinstance(items, ExpandedDataset)
    written = write_samples(planted_generator(), 2, Place(tmp_path / "out.parquet"))
    for source in (pair, items, written):
        with pytest.raises(InvalidRequest, match="already holds synthetic rows"):
            expand(source, planted_generator(), "2x", out=tmp_path / "twice")


def test_balance_warns_of_its_cost_and_names_the_remedy():
    with pytest.warns(SynthaugWarning, match=r"6\.2 points.*remedy.*balanced sampler.*synthaug\.mix"):
        _, y = expand((images(6), LABELS), planted_generator(), "balance")
    assert set(Counter(y.tolist()).values()) == {3}


def test_rows_that_no_output_can_have_are_counted_in_card_and_record(tmp_path):
    x = images(9)
    y, split = [*LABELS, "cat", "", "bird"], ["train"] * 6 + ["test"] * 3
    np.savez(tmp_path / "rows.npz", X=x, y=np.array(y), split=np.array(split))
    with pytest.warns(SynthaugWarning, match=r"2 of test\) have no label.*left out, of outputs as well"):
        data = open_data(tmp_path / "rows.npz")
    out = expand(data, planted_generator(), TWICE | {"cat": 4}, out=tmp_path / "out")
    assert "- rows of test without a class of the training rows: 2" in (out / "README.md").read_text()
    record = read_record(out)
    assert record is not None
    assert record["card"]["left_out"] == {"rows of test without a class of the training rows": 2}
    assert record["card"]["copied"] == {"test": 1}
