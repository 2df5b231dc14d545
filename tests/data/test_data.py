"""Every kind of data set reads as the same labelled images, and what cannot be used is refused in words."""

import io
import pickle
import warnings
from collections import namedtuple
from pathlib import Path

import datasets
import numpy as np
import pyarrow
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pyarrow import parquet

import synthaug.data
from synthaug import LabeledData, SynthaugWarning, open_data
from synthaug.data import ItemFields
from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind
from synthaug.modalities.image import fingerprints
from synthaug.outputs import encode_name

NAMES = ("../x", "T-shirt/top", "été")
TARGETS = np.repeat(np.arange(3), (5, 6, 7))
PICTURES = np.random.Generator(np.random.Philox(0)).integers(0, 256, (18, 9, 11, 3), dtype=np.uint8)
SPLITS = np.array(["train", "train", "train", "test", "test"] + ["train"] * 3 + ["test"] * 3 + ["train"] * 7)


class Items(torch.utils.data.Dataset):
    """A map-style data set of the items it is given."""

    def __init__(self, items, classes=None):
        self.items = items
        if classes:
            self.classes = classes

    def __len__(self):
        return len(self.items)

    def __getitem__(self, row):
        item = self.items[row]
        return item() if callable(item) else item


def features(image=None):
    image = image or datasets.Image()
    return datasets.Features({"image": image, "label": datasets.ClassLabel(names=list(NAMES))})


def pil():
    return [Image.fromarray(picture) for picture in PICTURES]


def hub(rows=slice(None)):
    return datasets.Dataset.from_dict({"image": pil()[rows], "label": TARGETS[rows]}, features=features())


def hub_dict():
    return datasets.DatasetDict(
        {name: hub().select(np.flatnonzero(name == SPLITS)) for name in ("train", "test")}
    )


def pairs(images, targets):
    return list(zip(images, targets, strict=True))


def words():
    return [NAMES[target] for target in TARGETS]


def as_folder(path, split=False):
    for row, name in enumerate(words()):
        place = path / (SPLITS[row] if split else "") / encode_name(name)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PICTURES[row]).save(place / f"{row:02}.png")
    (path / ".hidden").mkdir()
    (path / "README.md").write_text("about")
    return path


def png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def as_parquet(path, **columns):
    encoded = [{"bytes": png(picture), "path": None} for picture in PICTURES]
    schema = pyarrow.table({"image": encoded, "label": TARGETS}).cast(features().arrow_schema).schema
    table = pyarrow.table({"image": encoded, "label": TARGETS}, schema=schema)
    for name, column in columns.items():
        table = table.append_column(name, pyarrow.array(column))
    parquet.write_table(table, path)
    return path


def as_npz(path, **more):
    np.savez(path, X=PICTURES, y=np.array(words()), **more)
    return path


def saved(source, path):
    source.save_to_disk(path)
    return path


# kind -> what makes it, the container and the layout of its rows
KINDS = {
    "arrays": (lambda _: (PICTURES, words()), "array", "HWC"),
    "arrays, channels first": (lambda _: (PICTURES.transpose(0, 3, 1, 2), np.array(words())), "array", "CHW"),
    "tensors": (lambda _: (torch.tensor(PICTURES).permute(0, 3, 1, 2), words()), "tensor", "CHW"),
    "list of PIL images": (lambda _: (pil(), words()), "pil", "HWC"),
    "torch set of tuples": (lambda _: Items(pairs(torch.tensor(PICTURES), words())), "tensor", "HWC"),
    "torch set of PIL images with classes": (
        lambda _: Items(pairs(pil(), TARGETS.tolist()), classes=list(NAMES)),
        "pil",
        "HWC",
    ),
    "torch subset of dicts": (
        lambda _: torch.utils.data.Subset(
            Items([{"label": torch.tensor(t), "image": p} for p, t in pairs(PICTURES, TARGETS)], list(NAMES)),
            range(18),
        ),
        "array",
        "HWC",
    ),
    "list of pairs": (lambda _: pairs(PICTURES, words()), "array", "HWC"),
    "hugging face": (lambda _: hub(), "pil", "HWC"),
    "hugging face with a transform": (lambda _: hub().with_transform(lambda batch: {}), "pil", "HWC"),
    "hugging face array column": (
        lambda _: datasets.Dataset.from_dict(
            {"image": PICTURES, "label": TARGETS}, features=features(datasets.Array3D((9, 11, 3), "uint8"))
        ),
        "array",
        "HWC",
    ),
    "folder": (lambda path: str(as_folder(path)), "array", "HWC"),
    "parquet": (lambda path: as_parquet(path / "set.parquet"), "array", "HWC"),
    "npz": (lambda path: as_npz(path / "set.npz"), "array", "HWC"),
    "saved hugging face": (lambda path: saved(hub(), path), "pil", "HWC"),
}
SPLIT_KINDS = {
    "hugging face": lambda _: hub_dict(),
    "folder": lambda path: as_folder(path, split=True),
    "parquet": lambda path: as_parquet(path / "set.parquet", split=SPLITS.tolist()),
    "npz": lambda path: as_npz(path / "set.npz", split=SPLITS),
    "saved hugging face": lambda path: saved(hub_dict(), path),
}


def channels_last(data, rows=None):
    images = data.read(rows)
    return np.moveaxis(images, 1, 3) if data.form.layout == "CHW" else images


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_reads_as_the_same_labelled_images(kind, tmp_path):
    make, container, layout = KINDS[kind]
    data = open_data(make(tmp_path))
    reference = open_data((PICTURES, words()))
    assert np.array_equal(channels_last(data), PICTURES)
    assert data.classes.names == NAMES
    assert np.array_equal(data.labels, TARGETS)
    assert data.labels.dtype == np.int64
    assert data.classes.values in (NAMES, (0, 1, 2))
    assert all(type(value) in (int, str) for value in data.classes.values)
    assert data.counts == {"../x": 5, "T-shirt/top": 6, "été": 7}
    assert (data.form.container, data.form.layout, data.form.dtype) == (container, layout, "uint8")
    assert (data.form.height, data.form.width, data.form.channels) == (9, 11, 3)
    assert (data.form.low, data.form.high) == (0, 255)
    assert data.splits is None
    assert np.array_equal(data.fingerprints(), reference.fingerprints())
    assert data.name(0) != data.name(1)
    data.check()


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_has_the_chosen_rows_in_the_chosen_order(kind, tmp_path):
    data = open_data(KINDS[kind][0](tmp_path))
    rows = np.array([17, 3, 4])
    view = data.take(rows).take([0, 2])
    assert len(view) == 2
    assert np.array_equal(channels_last(view), PICTURES[[17, 4]])
    assert view.labels.tolist() == [2, 0]
    assert view.counts == {"../x": 1, "T-shirt/top": 0, "été": 1}
    assert [view.name(0), view.name(1)] == [data.name(17), data.name(4)]
    assert np.array_equal(view.fingerprints(), data.fingerprints()[[17, 4]])
    assert view.classes == data.classes
    assert np.array_equal(pickle.loads(pickle.dumps(view)).read(), view.read())


@pytest.mark.parametrize("kind", SPLIT_KINDS)
def test_every_kind_with_splits_keeps_them(kind, tmp_path):
    data = open_data(SPLIT_KINDS[kind](tmp_path))
    for name in ("train", "test"):
        found = data.take(np.flatnonzero(data.splits == name))
        assert np.array_equal(found.read(), PICTURES[name == SPLITS])
        assert np.array_equal(found.labels, TARGETS[name == SPLITS])
    assert set(data.splits) == {"train", "test"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_resized_on_reading(kind, tmp_path):
    data = open_data(KINDS[kind][0](tmp_path), image_size=(8, 14))
    assert channels_last(data).shape == (18, 8, 14, 3)
    assert data.read().dtype == np.uint8
    assert np.array_equal(channels_last(data), open_data((PICTURES, words()), image_size=(8, 14)).read())
    data.check()


# ---------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("labels", "names", "values"),
    [
        (np.array([7, -2, 30, 7]), ("-2", "7", "30"), (-2, 7, 30)),
        (np.array([True, False, True, True]), ("False", "True"), (False, True)),
        (["b", "a", "b", "b"], ("a", "b"), ("a", "b")),
        (np.array(["b", "a", "b", "b"], dtype=object), ("a", "b"), ("a", "b")),
        (torch.tensor([2, 0, 2, 2]), ("0", "2"), (0, 2)),
        (np.array([3, 1, 1, 1], np.uint8), ("1", "3"), (1, 3)),
    ],
)
def test_labels_keep_their_own_encoding_and_sorted_order(labels, names, values):
    data = open_data((np.zeros((4, 8, 8), np.uint8), labels))
    assert data.classes.names == names
    assert data.classes.values == values
    assert [type(v) for v in data.classes.values] == [type(v) for v in values]
    assert [values[k] for k in data.labels] == [v.item() if hasattr(v, "item") else v for v in labels]


def test_class_names_keep_the_order_of_the_class_label_and_unused_ones_are_dropped():
    label = datasets.ClassLabel(names=["zebra", "unused", "ant"])
    rows = {"image": pil()[:3], "label": [2, 0, 2]}
    found = datasets.Dataset.from_dict(
        rows, features=datasets.Features({"image": datasets.Image(), "label": label})
    )
    data = open_data(found)
    assert data.classes.names == ("zebra", "ant")
    assert data.classes.values == (0, 2)
    assert data.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (
            np.eye(4),
            UnsupportedKind,
            r"labels of shape \(4, 4\).*soft and multi-hot labels are not supported",
        ),
        (
            np.array([0.5, 1, 2, 3]),
            UnsupportedKind,
            "row 0: a label of 0.5.*regression targets and soft labels",
        ),
        ([0, [1, 2], 1, 0], UnsupportedKind, "row 1: a label that is a list of 2.*multi-label"),
        ([{"boxes": 1}] * 4, UnsupportedKind, "row 0: a label with the fields boxes.*bounding boxes"),
        ([0, 1, None, 0], InvalidData, "row 2: a missing label.*give every row a class"),
        (["a", float("nan"), "b", "a"], InvalidData, "row 1: a missing label"),
        ([0, "a", 1, 0], InvalidData, "labels of mixed types were found: 0, 'a', 1"),
        (
            [b"a", b"b", b"a", b"b"],
            UnsupportedKind,
            "a label of type bytes.*taken are ints, strings and bools",
        ),
        ([0, 1, 0], InvalidData, "4 images and 3 labels were given; every image needs one label"),
    ],
)
def test_targets_that_are_not_one_class_a_row_are_refused(labels, error, message):
    with pytest.raises(error, match=message):
        open_data((np.zeros((4, 8, 8), np.uint8), labels))


def test_a_label_without_a_name_is_refused():
    label = datasets.ClassLabel(names=["a", "b"])
    rows = {"image": pil()[:2], "label": [0, -1]}
    found = datasets.Dataset.from_dict(
        rows, features=datasets.Features({"image": datasets.Image(), "label": label})
    )
    with pytest.raises(InvalidData, match="row 1 has the label -1, which is none of the 2 named classes"):
        open_data(found)


# ---------------------------------------------------------------------------------------------- images


@pytest.mark.parametrize(
    ("shape", "tensor", "layout", "channels"),
    [
        ((28, 30), False, "HW", 1),
        ((28, 30, 3), False, "HWC", 3),
        ((3, 28, 30), False, "CHW", 3),
        ((4, 28, 3), False, "HWC", 3),
        ((4, 28, 3), True, "CHW", 4),
        ((28, 30, 1), True, "HWC", 1),
        ((1, 28, 30), True, "CHW", 1),
    ],
)
def test_the_layout_follows_from_the_shape_and_tensors_prefer_channels_first(shape, tensor, layout, channels):
    images = np.zeros((4, *shape), np.float32)
    size = 8 if min(shape) < 8 else None
    form = open_data((torch.tensor(images) if tensor else images, [0, 1, 0, 1]), image_size=size).form
    assert (form.layout, form.channels) == (layout, channels)
    assert (form.low, form.high) == (None, None)
    if size is None:
        assert form.shape == shape


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((4, 64), np.uint8), UnsupportedKind, r"X.reshape\(-1, 8, 8\), for vectors X.astype"),
        (np.zeros((4, 28, 28, 2), np.uint8), InvalidData, r"shape \(28, 28, 2\).*1, 3 or 4 channels"),
        (np.full((4, 28, 28), 70000), UnsupportedKind, "dtype int64.*convert with .*astype"),
        (
            np.zeros((4, 28, 28), bool),
            UnsupportedKind,
            r'dtype bool.*convert with X\.astype\("uint8"\) \* 255',
        ),
        (
            np.zeros((4, 7, 28), np.uint8),
            InvalidData,
            "row 0 is 7x28; images need at least 8 pixels.*image_size=8",
        ),
        (np.zeros((0, 28, 28), np.uint8), InvalidData, "0 images and 4 labels"),
        ("X", UnsupportedKind, "X of type str"),
    ],
)
def test_arrays_that_are_not_images_are_refused(images, error, message):
    with pytest.raises(error, match=message):
        open_data((images, [0, 1, 0, 1]))


MODES = {
    "L": ("L", "uint8", (9, 9)),
    "1": ("L", "uint8", (9, 9)),
    "P": ("RGB", "uint8", (9, 9, 3)),
    "CMYK": ("RGB", "uint8", (9, 9, 3)),
    "LA": ("RGBA", "uint8", (9, 9, 4)),
    "RGBA": ("RGBA", "uint8", (9, 9, 4)),
}


@pytest.mark.parametrize("mode", MODES)
def test_pillow_modes_are_read_as_grey_rgb_or_rgba(mode, tmp_path):
    as_mode, dtype, shape = MODES[mode]
    suffix = "tif" if mode == "CMYK" else "png"
    stored = []
    for row, picture in enumerate(PICTURES[:4, :9, :9]):
        (tmp_path / "ab"[row % 2]).mkdir(exist_ok=True)
        image = Image.fromarray(picture).convert(mode)
        image.save(tmp_path / "ab"[row % 2] / f"{row}.{suffix}")
        stored.append(np.asarray(image.convert(as_mode)))
    data = open_data(tmp_path)
    assert (data.form.shape, data.form.dtype) == (shape, dtype)
    assert np.array_equal(data.read(), np.stack(stored)[[0, 2, 1, 3]])


def test_sixteen_bit_png_files_keep_their_values(tmp_path):
    pictures = PICTURES[:4, :, :, 0].astype(np.uint16) * 250 + 7
    for row, picture in enumerate(pictures):
        (tmp_path / "ab"[row // 2]).mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "ab"[row // 2] / f"{row}.png")
    data = open_data(tmp_path)
    assert (data.form.dtype, data.form.low) == ("uint16", None)
    assert np.array_equal(data.read(), pictures)


def test_the_byte_order_of_an_array_makes_no_difference():
    native = PICTURES.astype("=u2")
    for source in ((native.astype(">u2"), TARGETS), list(zip(native.astype(">u2"), TARGETS, strict=True))):
        assert open_data(source).form == open_data((native, TARGETS)).form
        assert open_data(source).fingerprint() == open_data((native, TARGETS)).fingerprint()


def test_a_transparent_palette_is_read_without_a_warning(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        image = Image.fromarray(PICTURES[0]).convert("P")
        image.save(tmp_path / name / "1.png", transparency=bytes(range(256)))
    data = open_data(tmp_path)
    assert np.array_equal(data.read()[0], np.asarray(image.convert("RGB")))


def test_a_turned_photograph_is_read_upright(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(PICTURES[0]).save(tmp_path / name / "1.jpg", exif=turned, quality=100)
    data = open_data(tmp_path)
    assert data.form.shape == (11, 9, 3)
    stored = np.asarray(Image.open(tmp_path / "a" / "1.jpg"))
    assert np.array_equal(data.read()[0], np.rot90(stored, -1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("size", [8, (40, 13)])
def test_resizing_keeps_dtype_range_and_a_constant_image(dtype, size):
    flat = np.full((2, 20, 20), 77, dtype)
    noisy = PICTURES[:2, :, :, 0].astype(dtype)
    out = open_data((flat, [0, 1]), image_size=size).read()
    assert out.dtype == dtype
    assert (out == 77).all()
    out = open_data((noisy, [0, 1]), image_size=size).read()
    assert noisy.min() <= out.min() <= out.max() <= noisy.max()


def test_shrinking_averages_instead_of_skipping_pixels():
    stripes = np.zeros((2, 64, 64), np.uint8)
    stripes[:, ::2] = 200
    inner = open_data((stripes, [0, 1]), image_size=8).read()[:, 2:-2]
    assert np.abs(inner.astype(int) - 100).max() <= 4


@pytest.mark.parametrize("size", [7, (8, 8, 8), (8.0, 9.0), (4, 100)])
def test_an_impossible_image_size_is_refused(size):
    with pytest.raises(InvalidRequest, match=r"image_size=.* was given; it is a number of pixels"):
        open_data((PICTURES, TARGETS), image_size=size)


# ----------------------------------------------------------------------------------------------- folders


def test_a_folder_is_listed_without_decoding_or_reading_its_files(tmp_path, monkeypatch):
    for name in "ab":
        (tmp_path / name).mkdir()
        for row in range(500):
            (tmp_path / name / f"{row}.png").write_bytes(b"broken")
        Image.fromarray(PICTURES[0]).save(tmp_path / name / "0.png")

    def refuse(*_):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", refuse)
    data = open_data(tmp_path)
    assert data.counts == {"a": 500, "b": 500}
    assert data.form.shape == (9, 11, 3)
    with pytest.raises(InvalidData, match=r"a.1\.png cannot be read as an image: it is not an image"):
        data.check()


def test_images_are_found_below_the_class_folder_at_any_depth(tmp_path):
    as_folder(tmp_path)
    (tmp_path / "%2E.%2Fx").rename(tmp_path / "moved")
    (tmp_path / "%2E.%2Fx").mkdir()
    (tmp_path / "moved").rename(tmp_path / "%2E.%2Fx" / "deep")
    assert open_data(tmp_path).counts["../x"] == 5


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "holds no images; put the images of each class into a folder of its name"),
        (["1.png", "2.png"], "holds images without class folders"),
        (["a/1.png", "b/readme.txt"], "the class folder .*b holds no image; fill it or remove it"),
        (["train/a/1.png", "train/b/1.png", "models/x.png"], "holds the split folder train beside models"),
        (["train/1.png", "test/2.png"], 'images in the split folders "train", "test", without class folders'),
        (["train/a/1.png", "training/b/1.png"], 'split folders "train", "training", which mean the same'),
    ],
)
def test_a_folder_without_images_in_class_folders_is_refused(tmp_path, files, message):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(png(PICTURES[0]))
    with pytest.raises(InvalidData, match=message):
        open_data(tmp_path)


# ----------------------------------------------------------------------------------------------- checks


def broken_copy(tmp_path, row, content):
    path = as_folder(tmp_path / "set")
    file = sorted((path / "T-shirt%2Ftop").iterdir())[row]
    file.write_bytes(content)
    return path, file.name


@pytest.mark.parametrize("content", [b"", b"text", png(PICTURES[0])[:-300]])
def test_a_corrupt_or_truncated_file_is_named_before_training(tmp_path, content):
    path, name = broken_copy(tmp_path, 3, content)
    data = open_data(path)
    with pytest.raises(InvalidData, match=f"{name} cannot be read as an image: .*Remove or replace it"):
        data.check()


def test_a_corrupt_row_of_a_parquet_file_is_named(tmp_path):
    encoded = [
        {"bytes": png(p)[:-100] if row == 7 else png(p), "path": None} for row, p in enumerate(PICTURES)
    ]
    parquet.write_table(pyarrow.table({"image": encoded, "label": TARGETS}), tmp_path / "set.parquet")
    with pytest.raises(InvalidData, match=r"row 7 of set\.parquet cannot be read as an image"):
        open_data(tmp_path / "set.parquet").check()


def test_a_row_without_an_image_is_named_with_its_split():
    features_ = features()
    whole = datasets.Dataset.from_dict({"image": pil(), "label": TARGETS}, features=features_)
    gap = datasets.Dataset.from_dict({"image": [pil()[0], None], "label": [0, 1]}, features=features_)
    data = open_data(datasets.DatasetDict(train=whole, test=gap))
    with pytest.raises(InvalidData, match="row 1 of test holds no image; remove the row"):
        data.check()


def test_mixed_sizes_are_refused_with_a_file_of_each_size_and_the_option_to_resize(tmp_path):
    path, name = broken_copy(tmp_path, 3, png(np.zeros((12, 13, 3), np.uint8)))
    data = open_data(path)
    message = rf"2 different sizes: 9x11, .*00\.png\); 12x13, .*{name}\)\. Pass image_size=N"
    with pytest.raises(InvalidData, match=message):
        data.check()
    with pytest.raises(InvalidData, match=message):
        data.read()
    open_data(path, image_size=9).check()


def test_mixed_sizes_in_memory_are_refused():
    ragged = [(PICTURES[0], 0), (PICTURES[1], 1), (PICTURES[2, 1:], 0), (PICTURES[3], 1)]
    data = open_data(ragged)
    with (
        pytest.warns(SynthaugWarning),
        pytest.raises(InvalidData, match=r"2 different sizes: 9x11.*\(row 0\); 8x11.*\(row 2\)"),
    ):
        data.check()
    assert open_data(ragged, image_size=8).read().shape == (4, 8, 8, 3)


def test_grey_among_colour_images_is_refused_with_one_of_each(tmp_path):
    path, name = broken_copy(tmp_path, 3, png(np.zeros((9, 11), np.uint8)))
    message = rf"mixed kinds: .*, 3 channels uint8 HWC \(.*\); .*, 1 channel uint8 HW \(.*{name}\)"
    for size in (None, 9):
        with pytest.raises(InvalidData, match=message):
            open_data(path, image_size=size).check()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_by_row(value):
    images = PICTURES / np.float32(255)
    images[13, 2, 2, 1] = value
    data = open_data((images, TARGETS))
    with pytest.raises(InvalidData, match="row 13 holds NaN or infinite values"):
        data.check()
    with pytest.raises(InvalidData, match="row 13 holds NaN"):
        data.take(np.arange(18)[::-1]).check()


def test_a_single_class_is_refused():
    data = open_data((PICTURES, ["cat"] * 18))
    with pytest.raises(InvalidData, match='arrays has a single class, "cat"; at least two are needed'):
        data.check()


def test_a_class_with_one_image_or_none_is_refused_by_name():
    data = open_data((PICTURES, ["cat"] * 17 + ["dog"]))
    with pytest.raises(InvalidData, match='class "dog" of arrays has one image; at least 2'):
        data.check()
    with pytest.raises(InvalidData, match='class "dog" of arrays has no images; at least 2'):
        data.take(np.arange(17)).check()


@pytest.mark.parametrize("count", [2, 4])
def test_a_class_of_two_to_four_images_is_a_warning(count):
    data = open_data((PICTURES, ["cat"] * (18 - count) + ["dog"] * count))
    with pytest.warns(SynthaugWarning, match=rf'few images of "dog" \({count}\)'):
        data.check()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_data((PICTURES, ["cat"] * 13 + ["dog"] * 5)).check()


# ------------------------------------------------------------------------------------- torch and others


def test_a_random_transform_is_refused_with_the_remedy():
    rng = np.random.Generator(np.random.Philox(1))
    items = [lambda row=row: (PICTURES[row] + rng.normal(), 0) for row in range(4)]
    with pytest.raises(
        InvalidData, match="read twice and differed: pass the set without its random transform"
    ):
        open_data(Items(items))


def test_a_torch_set_is_read_once_in_order():
    reads = []
    items = [lambda row=row: reads.append(row) or (PICTURES[row], int(TARGETS[row])) for row in range(18)]
    data = open_data(Items(items))
    data.read()
    data.fingerprints()
    assert reads == [0, *range(18)]


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter([])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda: Stream(), "an IterableDataset was given; rows are needed by number"),
        (lambda: hub().to_iterable_dataset(), "streaming Hugging Face data set.*without streaming=True"),
        (
            lambda: torch.utils.data.DataLoader(Items([1])),
            "a DataLoader was given; pass its data set: loader.dataset",
        ),
        (lambda: PICTURES, r"an array without labels was given; pass a tuple \(X, y\)"),
        (lambda: torch.tensor(PICTURES), "an array without labels"),
        (lambda: {"X": PICTURES}, "an object of type dict was given; taken are a tuple"),
        (lambda: 3, "an object of type int was given"),
        (lambda: hub().to_pandas(), 'Column "image" holds struct.*which is not taken'),
        (lambda: Items([3]), "an item of type int was found; taken are"),
        (lambda: [(PICTURES[0], {"boxes": [1], "labels": [2]})], "a label with the fields boxes, labels"),
        (lambda: [(PICTURES[0], torch.eye(3)[0])], r"a label of shape \(3,\).*soft and multi-hot"),
    ],
)
def test_objects_of_other_kinds_are_refused_by_name(source, message):
    with pytest.raises(UnsupportedKind, match=message):
        open_data(source())


def test_an_empty_data_set_is_refused():
    with pytest.raises(InvalidData, match="holds no rows"):
        open_data(Items([]))
    with pytest.raises(InvalidData, match="holds no rows"):
        open_data(hub().select([]))


# ----------------------------------------------------------------------------------- columns and paths


def test_columns_can_be_named_and_groups_read():
    table = hub().rename_columns({"image": "photo", "label": "species"}).add_column("other", list(range(18)))
    table = table.add_column("patient", [f"p{row % 4}" for row in range(18)])
    data = open_data(table, image="photo", label="species", group="patient")
    assert data.classes.names == NAMES
    assert data.groups.tolist() == [f"p{row % 4}" for row in range(18)]
    assert open_data(table, label="patient").classes.names == ("p0", "p1", "p2", "p3")


def test_groups_can_be_given_one_per_row_to_every_kind(tmp_path):
    groups = np.arange(18) // 2
    for kind, (make, _, _) in KINDS.items():
        (tmp_path / kind).mkdir()
        data = open_data(make(tmp_path / kind), group=groups)
        assert data.take([0, 5]).groups.tolist() == ["0", "2"], kind
    with pytest.raises(InvalidData, match="18 images and 3 group names"):
        open_data((PICTURES, TARGETS), group=["a", "b", "c"])


def test_the_group_of_a_torch_set_is_a_field_of_its_items():
    items = [{"image": p, "label": int(t), "who": f"p{t}"} for p, t in pairs(PICTURES, TARGETS)]
    assert open_data(Items(items), group="who").groups[-1] == "p2"
    with pytest.raises(InvalidRequest, match=r'the items have no field .wo.. Did you mean "who"'):
        open_data(Items(items), group="wo")


@pytest.mark.parametrize("option", ["image", "label", "group"])
def test_a_column_that_does_not_exist_is_refused_with_the_closest(option, tmp_path):
    wanted = {"image": "imag", "label": "lable", "group": "spilt"}[option]
    meant = {"image": "image", "label": "label", "group": "split"}[option]
    for source in (
        hub().add_column("split", ["a"] * 18),
        as_parquet(tmp_path / "set.parquet", split=["a"] * 18),
    ):
        with pytest.raises(InvalidRequest, match=f'has no column "{wanted}". Did you mean "{meant}"'):
            open_data(source, **{option: wanted})
    with pytest.raises(InvalidRequest, match=f"{option}='{wanted}' was given, but arrays have no columns"):
        open_data((PICTURES, TARGETS), **{option: wanted})


def test_doubtful_columns_ask_for_a_name():
    coarse = datasets.ClassLabel(names=["a", "b"])
    table = hub().remove_columns("label").add_column("one", [0, 1] * 9).add_column("two", [0, 1] * 9)
    with pytest.raises(
        InvalidData, match=r"no label column stands out .*columns: one, two\); name it with label="
    ):
        open_data(table)
    with pytest.raises(InvalidData, match="no label column stands out"):
        open_data(table.cast_column("one", coarse).cast_column("two", coarse))
    assert open_data(table.cast_column("one", coarse)).classes.names == ("a", "b")


def test_a_missing_path_fails_at_once_with_the_closest_sibling(tmp_path, monkeypatch):
    (tmp_path / "flowers" / "rose").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: pytest.fail("the hub was asked"))
    for path in (tmp_path / "flwers", "flwers", "./flwers"):
        with pytest.raises(InvalidData, match=r'there is no file or folder .*flwers. Did you mean "flowers"'):
            open_data(path)
    for path in (tmp_path / "gone" / "set", "flowers/train", "set.parquet", "gone/deep/set"):
        with pytest.raises(InvalidData, match="there is no file or folder"):
            open_data(path)


def test_other_names_are_loaded_from_the_hub(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda name: asked.append(name) or hub_dict())
    data = open_data("someone/flowers")
    assert asked == ["someone/flowers"]
    assert data.origin == "hub data set someone/flowers"
    assert set(data.splits) == {"train", "test"}

    def offline(name):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(
        InvalidData,
        match=r"someone/flowers is neither a local file or folder of a kind that is taken nor a hub.*cannot be reached",
    ):
        open_data("someone/flowers")


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.xlsx", b"", UnsupportedKind, "a.xlsx is a table in a format that is not read; write it as .csv"),
        ("a.jsonl", b'{"x": 1}', UnsupportedKind, "lists no pictures.*read as .csv or .parquet"),
        ("a.pt", b"", UnsupportedKind, "a.pt is a file of an unknown kind; taken are"),
        ("a.npz", b"no zip", InvalidData, "a.npz cannot be read as an .npz file"),
        ("a.parquet", b"no parquet", InvalidData, "a.parquet cannot be read as a parquet file"),
    ],
)
def test_files_of_other_kinds_are_refused_by_name(tmp_path, name, content, error, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        open_data(tmp_path / name)


def test_an_npz_file_may_name_its_classes(tmp_path):
    np.savez(tmp_path / "a.npz", X=PICTURES, y=TARGETS, classes=np.array(["zebra", "ant", "bee"]))
    data = open_data(tmp_path / "a.npz")
    assert data.classes.names == ("zebra", "ant", "bee")
    assert data.classes.values == (0, 1, 2)
    np.savez(tmp_path / "b.npz", X=PICTURES, y=TARGETS + 1, classes=np.array(["zebra", "ant", "bee"]))
    assert open_data(tmp_path / "b.npz").classes.names == ("1", "2", "3")


def test_npz_arrays_can_be_named_and_pickled_ones_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", pictures=PICTURES, kind=TARGETS)
    assert len(open_data(tmp_path / "a.npz", image="pictures", label="kind")) == 18
    with pytest.raises(InvalidData, match=r"no image column stands out.*columns: pictures, kind"):
        open_data(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", X=PICTURES, y=np.array([{}], dtype=object))
    with pytest.raises(InvalidData, match=r"cannot be read as an .npz file of plain arrays"):
        open_data(tmp_path / "b.npz")


# ---------------------------------------------------------------------------------------------- bundled


def test_the_bundled_fashion_mnist_has_its_splits_and_licence():
    data = open_data("bundled:fashion-mnist")
    assert data.classes[0] == "T-shirt/top"
    assert set(data.counts.values()) == {300}
    assert {name: int((data.splits == name).sum()) for name in ("train", "test")} == {
        "train": 2000,
        "test": 1000,
    }
    assert data.form.shape == (28, 28)
    assert len(np.unique(data.fingerprints())) == 3000
    folder = Path(synthaug.data.__file__).parent / "bundled"
    assert "Zalando SE" in (folder / "LICENSE-fashion-mnist").read_text(encoding="utf-8")
    assert (folder / "fashion_mnist.parquet").stat().st_size < 2_000_000
    data.check()


def test_the_bundled_digits_are_eight_by_eight():
    data = open_data("bundled:digits")
    assert (len(data), data.form.shape, data.form.dtype) == (1797, (8, 8), "uint8")
    assert (data.read().min(), data.read().max()) == (0, 255)
    assert data.classes.values == tuple(range(10))
    with pytest.raises(InvalidRequest, match=r'no bundled data set "digit". Did you mean "digits"'):
        open_data("bundled:digit")


def test_opened_data_can_be_opened_again_but_not_changed():
    data = open_data((PICTURES, TARGETS))
    assert isinstance(data, LabeledData)
    assert open_data(data) is data
    with pytest.raises(InvalidRequest, match="belongs where it is opened first"):
        open_data(data, image_size=9)


# ----------------------------------------------------------------------------------------- fingerprints


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.uint8, st.tuples(st.just(3), st.integers(8, 12), st.integers(8, 12), st.just(3))))
def test_a_picture_keeps_its_fingerprint_in_every_layout_dtype_and_usual_range(pictures):
    pictures[0, 0, 0], pictures[0, 0, 1] = 0, 255  # both ends occur in the set
    expected = fingerprints(pictures, "HWC")
    unit = np.moveaxis(pictures, 3, 1).astype(np.float32) / 255
    for form in (unit, unit.astype(np.float64), unit * 2 - 1, unit * 255):
        assert np.array_equal(fingerprints(form, "CHW"), expected)
    assert np.array_equal(fingerprints(pictures.astype(np.uint16) * 257, "HWC"), expected)
    grey = fingerprints(pictures[..., 0], "HW")
    assert np.array_equal(fingerprints(pictures[..., :1], "HWC"), grey)
    assert len(set(expected.tolist()) & set(grey.tolist())) == 0


def test_different_pictures_have_different_fingerprints():
    changed = PICTURES.copy()
    changed[:, 4, 4, 0] ^= 1
    both = np.concatenate([fingerprints(PICTURES, "HWC"), fingerprints(changed, "HWC")])
    assert len(np.unique(both)) == 36
    assert not np.isin(fingerprints(PICTURES, "HWC"), both[18:]).any()
    standardised = (PICTURES - 120.0) / 60
    assert len(np.unique(fingerprints(standardised, "HWC"))) == 18


def test_a_row_has_one_fingerprint_in_every_view_of_a_float_set():
    images = PICTURES.astype(np.float32) - 128  # neither [0, 255] nor [-1, 1], but a part of it may be
    images[0] = 0.5
    data = open_data((images, TARGETS))
    assert data.take([0]).fingerprints()[0] == data.fingerprints()[0]
    assert data.take([0]).fingerprints()[0] == open_data((images, TARGETS)).fingerprints()[0]


def test_the_whole_fingerprint_changes_with_rows_labels_order_and_names():
    data = open_data((PICTURES, TARGETS))
    others = [
        open_data((PICTURES[::-1], TARGETS)),
        open_data((PICTURES, TARGETS[::-1])),
        open_data((PICTURES, words())),
        data.take(np.arange(17)),
    ]
    prints = {data.fingerprint(), *(other.fingerprint() for other in others)}
    assert len(prints) == 5
    assert open_data((PICTURES.copy(), TARGETS)).fingerprint() == data.fingerprint()


# ---------------------------------------------------------------------------------------------- items

Pair = namedtuple("Pair", "picture kind weight")
PICTURE = PICTURES[0]


@pytest.mark.parametrize(
    ("item", "fill", "keys"),
    [
        ((PICTURE, 3), {}, (0, 1)),
        ([PICTURE, np.int64(3)], {}, (0, 1)),
        ((3, PICTURE), {}, (1, 0)),
        ((torch.tensor(PICTURE), torch.tensor(3), "a.png"), {2: ""}, (0, 1)),
        ((Image.fromarray(PICTURE), np.array([3]), [1, 9]), {2: 0}, (0, 1)),
        (Pair(PICTURE, 3, 0.5), {"weight": 1.0}, ("picture", "kind")),
        (
            {"id": 5, "image": PICTURE, "mask": PICTURE, "label": 3},
            {"id": -1, "mask": None},
            ("image", "label"),
        ),
    ],
)
def test_an_item_is_built_in_the_form_of_another(item, fill, keys):
    fields = ItemFields.of(item)
    assert (fields.image, fields.label) == keys
    assert fields.label_of(item) == 3
    built = fields.build(PICTURES[1], 2, like=item, fill=fill)
    assert type(built) is type(item)
    assert len(built) == len(item)
    assert type(fields.image_of(built)) is type(fields.image_of(item))
    assert np.array_equal(np.asarray(fields.image_of(built)), PICTURES[1])
    assert fields.label_of(built) == 2
    old, new = (
        x[fields.label] if isinstance(x, dict) else list(x)[1 if keys[1] != 0 else 0] for x in (item, built)
    )
    assert type(old) is type(new)
    assert getattr(old, "dtype", None) == getattr(new, "dtype", None)
    assert np.shape(old) == np.shape(new)
    assert fields.label_of(item) == 3


def test_a_field_without_a_value_is_refused_with_the_remedy():
    fields = ItemFields.of({"image": PICTURE, "label": 3, "path": "a.png"})
    with pytest.raises(
        InvalidRequest, match=r"a field 'path' beside image and label.*fill=\{'path': value\}"
    ):
        fields.build(PICTURE, 3, like={"image": PICTURE, "label": 3, "path": "a.png"})


def test_string_labels_and_transformed_images_are_put_in_as_they_are():
    item = {"image": PICTURE, "label": np.str_("cat")}
    built = ItemFields.of(item).build(torch.ones(3), "elephant", like=item)
    assert built["label"] == "elephant"
    assert isinstance(built["label"], np.str_)
    assert torch.equal(built["image"], torch.ones(3))
    assert item["label"] == "cat"


def test_the_known_label_tells_its_field():
    assert ItemFields.of((PICTURE, 17, 3), label_value=3).label == 2
    assert ItemFields.of((PICTURE, 17, 3), label=2).others == (1,)


def test_a_doubtful_item_asks_for_a_name():
    with pytest.raises(InvalidData, match=r"several fields of an item may be the label.*Name it with label="):
        ItemFields.of({"image": PICTURE, "a": 1, "b": 2})
    with pytest.raises(InvalidData, match="no image was found among the fields of an item"):
        ItemFields.of((1, 2))
    with pytest.raises(InvalidRequest, match=r'the items have no field .imge.. Did you mean "image"'):
        ItemFields.of({"image": PICTURE, "label": 1}, image="imge")
