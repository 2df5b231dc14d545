"""Mixed Hugging Face data sets: the same features, format and order, exact shares, nothing written."""

from __future__ import annotations

import math
from dataclasses import replace

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from synthaug import Classes, ImageForm, Items, Samples, constant, linear, mix, off_after
from synthaug.errors import InvalidData, InvalidRequest, Leakage, SpecMismatch, UnsupportedKind
from synthaug.generators import PROVENANCE_COLUMNS, synthetic_provenance
from synthaug.mixing import is_huggingface
from synthaug.modalities.image import fingerprints

CLASSES = ("T-shirt/top", "été", "bag")


def pictures(n: int, first: int = 0) -> np.ndarray:
    return np.random.default_rng(first).integers(0, 256, (n, 8, 9), dtype=np.uint8)


def real(n: int = 60) -> datasets.Dataset:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(CLASSES)),
            "file": datasets.Value("string"),
        }
    )
    columns = {
        "image": [Image.fromarray(x) for x in pictures(n)],
        "label": [i % 3 for i in range(n)],
        "file": [f"{i}.png" for i in range(n)],
    }
    return datasets.Dataset.from_dict(columns, features=features)


def pool(per_class: int = 20) -> Samples:
    n = 3 * per_class
    places = np.arange(n) % 3
    about = synthetic_provenance("ab" * 32, 7, "", np.arange(n) // 3)
    return Samples(
        pictures(n, first=1),
        places,
        Classes(CLASSES, (0, 1, 2)),
        ImageForm(8, 9, 1, "HW", "uint8", 0.0, 255.0, "pil"),
        about | {"class": np.array(CLASSES)[places]},
    )


def rows(dataset) -> list[tuple[bytes, int]]:
    return [(np.asarray(row["image"]).tobytes(), row["label"]) for row in dataset.with_format(None)]


def shares(dataset) -> list[int]:
    found = zip(dataset.with_format(None)["synthetic"], dataset.with_format(None)["label"], strict=True)
    return np.bincount([label for synthetic, label in found if synthetic], minlength=3).tolist()


def test_replacing_keeps_length_order_labels_and_features_with_the_exact_share_in_every_class():
    plain = real()
    mixed = mix(plain, pool(), ratio=0.25)
    before, after = rows(plain), rows(mixed)
    assert [label for _, label in after] == [label for _, label in before]
    assert shares(mixed) == [5, 5, 5]
    made = {x.tobytes(): k for x, k in zip(pool().samples, pool().labels.tolist(), strict=True)}
    for old, new, synthetic in zip(before, after, mixed["synthetic"], strict=True):
        assert made[new[0]] == new[1] if synthetic else old == new
    assert {name: mixed.features[name] for name in plain.column_names} == plain.features
    assert set(mixed.column_names) == set(plain.column_names) | set(PROVENANCE_COLUMNS)


def test_appending_puts_the_synthetic_rows_behind_all_real_ones():
    plain = real()
    mixed = mix(plain, pool(), ratio=0.2, mode="append")
    assert rows(mixed)[:60] == rows(plain)
    assert mixed["synthetic"][:] == [False] * 60 + [True] * 15
    assert shares(mixed) == [5, 5, 5]


@pytest.mark.parametrize("mode", ["replace", "append"])
@pytest.mark.parametrize("ratio", [0.1, 0.29, 1 / 3, 0.6])
def test_each_class_gets_the_floor_or_ceiling_of_its_due_and_all_within_one_row(mode, ratio):
    plain = real(50).select([i for i in range(50) if i % 3 or i % 2])
    mixed = mix(plain, pool(), ratio=ratio, mode=mode)
    counts = np.bincount(plain["label"])
    due = counts * (ratio if mode == "replace" else ratio / (1 - ratio))
    assert all(n in (math.floor(d), math.ceil(d)) for n, d in zip(shares(mixed), due, strict=True))
    assert abs(sum(shares(mixed)) - due.sum()) <= 1


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_each_class_may_have_a_share_of_its_own_by_name_or_label(mode):
    mixed = mix(real(), pool(), ratio={CLASSES[0]: 0.5, 2: 0.2}, mode=mode)
    assert shares(mixed) == ([10, 0, 4] if mode == "replace" else [20, 0, 5])
    same = mix(real(), pool(), ratio={CLASSES[0]: 0.5, 2: constant(0.2)}, mode=mode)
    assert rows(same) == rows(mixed)
    assert rows(mix(real(), pool(), ratio={})) == rows(real())
    one_class = pool()[pool().class_indices == 2]
    assert shares(mix(real(), one_class, ratio={2: 0.2})) == [0, 0, 4]
    with pytest.raises(InvalidRequest, match=r"ratio= names the class 'bga'\."):
        mix(real(), pool(), ratio={"bga": 0.5})


@pytest.mark.parametrize("ratio", [linear(0.5, 0, epochs=3), {2: off_after(0.25, steps=9)}])
def test_a_share_that_changes_is_refused_with_the_remedy(ratio):
    with pytest.raises(InvalidRequest, match=r"is mixed once .*: mix the DataLoader over it"):
        mix(real(), pool(), ratio=ratio)


def test_provenance_tells_real_from_synthetic_and_leads_back_to_the_generators_row():
    mixed = mix(real(), pool(), ratio=0.5)
    for row in mixed:
        if row["synthetic"]:
            assert (row["generator"], row["seed"]) == ("ab" * 32, 7)
            origin = 3 * row["index"] + CLASSES.index(row["class"])
            assert (np.asarray(row["image"]) == pool().samples[origin]).all()
        else:
            assert (row["generator"], row["seed"], row["class"], row["index"]) == ("", -1, "", -1)


def test_the_choice_is_a_function_of_the_seed():
    def chosen(seed):
        return mix(real(), pool(), ratio=0.5, seed=seed)

    assert rows(chosen(0)) == rows(chosen(0))
    assert rows(chosen(0)) != rows(chosen(1))


def test_other_columns_are_null_or_filled():
    mixed = mix(real(), pool(), ratio=0.5)
    assert all((row["file"] is None) == row["synthetic"] for row in mixed)
    filled = mix(real(), pool(), ratio=0.5, items=Items(fill={"file": "made"}))
    assert all((row["file"] == "made") == row["synthetic"] for row in filled)
    with pytest.raises(InvalidRequest, match=r'Items\(fill=\.\.\.\) names "fil".* Did you mean "file"'):
        mix(real(), pool(), ratio=0.5, items=Items(fill={"fil": ""}))


def test_a_format_is_put_on_again_over_its_columns():
    plain = real().with_format("torch", columns=["image", "label"])
    mixed = mix(plain, pool(), ratio=0.5)
    assert mixed.format == plain.format
    assert set(mixed[0]) == {"image", "label"}
    assert {(type(row["image"]), row["image"].shape) for row in mixed} == {
        (torch.Tensor, plain[0]["image"].shape)
    }


def test_a_transform_is_applied_to_synthetic_rows_too():
    def scaled(batch):
        return {"x": [np.asarray(image) / 255 for image in batch["image"]], "y": batch["label"]}

    mixed = mix(real().with_transform(scaled), pool(), ratio=0.5)
    assert all(set(row) == {"x", "y"} and 0 <= row["x"].min() <= row["x"].max() <= 1 for row in mixed)
    assert shares(mixed) == [10, 10, 10]


def test_a_selection_of_rows_on_disk_is_mixed_without_writing_anything(tmp_path):
    real().save_to_disk(tmp_path / "set")
    stored = datasets.load_from_disk(tmp_path / "set")
    files = sorted(p.name for p in (tmp_path / "set").iterdir())
    plain = stored.shuffle(seed=0, keep_in_memory=True).select(range(10, 55), keep_in_memory=True)
    mixed = mix(plain, pool(), ratio=0.2)
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == files
    for old, new in zip(plain, mixed, strict=True):
        assert new["label"] == old["label"]
        assert new["synthetic"] or new["file"] == old["file"]
    assert sum(mixed["synthetic"]) == 9


def test_no_cache_confuses_two_mixtures(tmp_path):
    real().save_to_disk(tmp_path / "set")
    plain = datasets.load_from_disk(tmp_path / "set")
    other = replace(pool(), samples=255 - pool().samples)
    results = []
    for samples, seed in [(pool(), 0), (pool(), 1), (other, 0)]:
        mixed = mix(plain, samples, ratio=0.5, seed=seed)
        hashed = mixed.map(lambda row: {"sum": int(np.asarray(row["image"]).sum())})
        assert hashed["sum"][:] == [int(np.asarray(image).sum()) for image in mixed["image"]]
        results.append(tuple(hashed["sum"]))
    assert len(set(results)) == 3


def test_the_plain_data_set_is_untouched():
    plain = real()
    before = (rows(plain), plain.features.copy(), plain._fingerprint)
    mix(plain, pool(), ratio=0.5)
    assert (rows(plain), plain.features, plain._fingerprint) == before


def test_ratio_zero_keeps_every_real_row():
    mixed = mix(real(), pool()[:0], ratio=0)
    assert rows(mixed) == rows(real())
    assert not any(mixed["synthetic"])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_array_columns_of_any_name_are_mixed(dtype):
    scale = 255 if dtype == "uint8" else 1
    images = (pictures(12) / 255 * scale).astype(dtype)
    features = datasets.Features({"scan": datasets.Array2D((8, 9), dtype), "kind": datasets.Value("string")})
    plain = datasets.Dataset.from_dict({"scan": images, "kind": ["a", "b", "c"] * 4}, features=features)
    samples = replace(
        pool(),
        samples=(pool().samples / 255 * scale).astype(dtype),
        classes=Classes(CLASSES, ("a", "b", "c")),
        form=ImageForm(8, 9, 1, "HW", dtype, 0.0, float(scale)),
    )
    mixed = mix(plain, samples, ratio=0.5, items=Items(label="kind", image="scan"))
    assert sum(mixed["synthetic"]) == 6
    assert mixed["kind"][:] == plain["kind"][:]
    if dtype == "float32":
        far = replace(samples, samples=samples.samples * 2 - 1, form=replace(samples.form, low=-1.0))
        with pytest.raises(SpecMismatch, match=r"values 0 to 1\. .*values -1 to 1"):
            mix(plain, far, ratio=0.5, items=Items(label="kind", image="scan"))


def test_images_of_another_shape_are_refused_with_both_printed():
    samples = replace(
        pool(), samples=pool().samples[:, :, :8], form=ImageForm(8, 8, 1, "HW", "uint8", 0.0, 255.0)
    )
    with pytest.raises(
        SpecMismatch, match=r"Real: array of uint8, 8x9, .*Synthetic: array of uint8, 8x8, .*Train"
    ):
        mix(real(), samples, ratio=0.5)


def test_rows_that_are_held_out_are_refused():
    samples = replace(pool(), held_out=fingerprints(pictures(60)[[33]], "HW"))
    with pytest.raises(Leakage, match=r"1 of the 60 rows looked at in the data set .*first is row 33"):
        mix(real(), samples, ratio=0.5)
    train = real().select([i for i in range(60) if i != 33])
    assert shares(mix(train, samples, ratio=0.5)) != [0, 0, 0]


def test_a_class_missing_from_the_samples_is_refused_by_name():
    samples = pool()[pool().class_indices != 1]
    with pytest.raises(InvalidRequest, match='hold no row of "été"'):
        mix(real(), samples, ratio=0.5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda d: d.to_iterable_dataset(),
            UnsupportedKind,
            "samples were given to mix into a streaming data set.*: give the generator",
        ),
        (
            lambda d: datasets.DatasetDict(train=d, test=d),
            UnsupportedKind,
            r'splits train, test was given.*dataset\["train"\] = mix',
        ),
        (
            lambda d: datasets.IterableDatasetDict(train=d.to_iterable_dataset()),
            UnsupportedKind,
            r'splits train was given.*dataset\["train"\] = mix',
        ),
        (
            lambda d: mix(d, pool(), ratio=0.5),
            InvalidRequest,
            r'has a column "class".* comes from synthaug, mix or expand the data set as it was before',
        ),
    ],
)
def test_a_data_set_that_cannot_be_mixed_is_refused_with_the_remedy(change, error, message):
    dataset = change(real())
    assert is_huggingface(dataset)
    with pytest.raises(error, match=message):
        mix(dataset, pool(), ratio=0.5)


def test_a_wrong_column_is_refused():
    with pytest.raises((InvalidData, InvalidRequest), match="labell"):
        mix(real(), pool(), ratio=0.5, items=Items(label="labell"))


def test_other_objects_are_not_hugging_face_data_sets():
    assert not is_huggingface([1, 2])
    assert is_huggingface(real())


def test_columns_of_the_user_that_are_called_like_ours_stay_and_ours_get_a_prefix():
    dataset = real().rename_column("file", "seed")
    mixed = mix(dataset, pool(), ratio=0.5)
    made = np.flatnonzero(mixed["synthetic"])
    assert mixed.features["seed"] == dataset.features["seed"]
    assert mixed.select([k for k in range(len(mixed)) if k not in made])["seed"] == [
        name for k, name in enumerate(dataset["seed"]) if k not in made
    ]
    assert mixed.select(made)["seed"] == [None] * len(made)
    assert -1 not in mixed.select(made)["synthaug_seed"]
