"""Arrays are pictures, signals, text or tables by what they are, and what values they hold is looked at."""

import datasets
import numpy as np
import pandas as pd
import pytest
import torch

import synthaug
from synthaug import SynthaugWarning, open_data
from synthaug.errors import InvalidData, UnsupportedKind

RNG = np.random.Generator(np.random.Philox(0))
N = 12
LABELS = [0, 1] * (N // 2)


def floats(*shape, low=0.0, high=1.0):
    return RNG.uniform(low, high, (N, *shape)).astype(np.float32)


# ----------------------------------------------------------------------------------------------- signals

SIGNALS = {
    "an electrocardiogram": floats(12, 100),
    "channels last": floats(100, 12),
    "a long one": floats(12, 1000, low=-3, high=3),
    "one channel": floats(1, 500),
    "three axes of acceleration": floats(3, 128, low=-2, high=2),
    "nine channels": floats(128, 9),
    "few steps, but standardised": RNG.normal(size=(N, 12, 50)),
    "two channels of sound": (floats(2, 4000, low=-1) * 30000).astype(np.int16),
    "whole numbers": RNG.integers(0, 1000, (N, 8, 200)),
}


@pytest.mark.parametrize("kind", SIGNALS)
@pytest.mark.parametrize("form", ["array", "tensor", "list", "items", "hugging face"])
def test_signals_are_no_pictures_unless_that_is_said(kind, form):
    x = SIGNALS[kind]
    dtype = str(x.dtype)
    source = {
        "array": lambda: (x, LABELS),
        "tensor": lambda: (torch.tensor(x), LABELS),
        "list": lambda: (list(x), LABELS),
        "items": lambda: list(zip(x, LABELS, strict=True)),
        "hugging face": lambda: datasets.Dataset.from_dict(
            {"image": x, "label": LABELS},
            features=datasets.Features(
                {"image": datasets.Array2D(x.shape[1:], dtype), "label": datasets.Value("int64")}
            ),
        ),
    }[form]()
    steps = rf"{min(x.shape[1:])} channels and {max(x.shape[1:])} steps"
    said = rf"these are signals of {steps}.*not supported yet.*X\[\.\.\., None\]"
    with pytest.raises(UnsupportedKind, match=said):
        open_data(source)
    if min(x.shape[1:]) >= 8:
        assert np.array_equal(open_data((x[..., None], LABELS)).read()[..., 0], x)


@pytest.mark.parametrize(
    "shape", [(12, 10), (10, 31), (8, 64), (64, 8), (33, 65), (28, 28), (9, 13), (8, 8), (16, 100), (100, 16)]
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64", "int64"])
def test_pictures_of_usual_shapes_are_pictures(shape, dtype):
    x = (floats(*shape) * 255).astype(dtype)
    data = open_data((x, LABELS))
    assert data.form.shape == shape
    assert np.array_equal(data.read(), x)


@pytest.mark.parametrize("shape", [(12, 100), (8, 200), (200, 9)])
def test_bytes_of_any_proportions_are_pictures(shape):
    assert open_data(((floats(*shape) * 255).astype(np.uint8), LABELS)).form.shape == shape


@pytest.mark.parametrize("shape", [(28, 28), (8, 31), (31, 10)])
def test_standardised_pictures_are_pictures(shape):
    assert open_data((RNG.normal(size=(N, *shape)), LABELS)).form.shape == shape


# ------------------------------------------------------------------------------------------- text, tables

TEXTS = ["a good film", "a bad film"] * (N // 2)


@pytest.mark.parametrize(
    "x",
    [TEXTS, tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, object), pd.Series(TEXTS)],
    ids=lambda x: type(x).__name__,
)
def test_text_is_refused_as_text(x):
    with pytest.raises(
        UnsupportedKind, match="row 0 of X is text, 'a good film'; text is not supported yet"
    ) as refused:
        open_data((x, LABELS))
    assert "table" not in str(refused.value)


def test_paths_are_refused_with_a_remedy_that_works(tmp_path):
    from PIL import Image

    paths = [str(tmp_path / f"{row}.png") for row in range(N)]
    pictures = RNG.integers(0, 256, (N, 9, 9), dtype=np.uint8)
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    with pytest.raises(UnsupportedKind, match=r"open them first: \[PIL\.Image\.open\(path\) for path in X\]"):
        open_data((paths, LABELS))
    assert np.array_equal(open_data(([Image.open(path) for path in paths], LABELS)).read(), pictures)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (
            np.zeros((N, 64), np.uint8),
            r"X of shape \(12, 64\) uint8 may hold pictures.*X\.reshape\(-1, 8, 8\)",
        ),
        (np.zeros(N), r"X of shape \(12,\)"),
        ([np.zeros(30), np.zeros(29)] * 6, r"row 0 has the shape \(30,\), and others have another"),
        (np.zeros((N, 3, 4, 8, 8)), r"X of shape \(12, 3, 4, 8, 8\)"),
    ],
)
def test_rows_of_numbers_that_may_be_anything_are_refused(x, said):
    with pytest.raises(UnsupportedKind, match=said):
        open_data((x, LABELS))


def test_one_label_for_all_rows_is_refused():
    for y in (np.array(3), 3, None):
        with pytest.raises(InvalidData, match="12 images and None labels were given"):
            open_data((floats(9, 9), y))


# ------------------------------------------------------------------------------------------------ integers

WIDE = {
    "int64": ((0, 255), "int64", "uint8"),
    "int32": ((0, 255), "int32", "uint8"),
    "int8": ((0, 127), "int8", "uint8"),
    "12 bits": ((0, 4095), "int32", "uint16"),
    "Hounsfield units": ((-1024, 3071), "int64", "int16"),
    "uint64": ((0, 255), "uint64", "uint8"),
}


@pytest.mark.parametrize("kind", WIDE)
@pytest.mark.parametrize("form", ["array", "tensor", "items", "ragged"])
def test_whole_values_of_any_width_are_kept_in_as_few_bits_as_hold_them(kind, form):
    (low, high), wide, narrow = WIDE[kind]
    x = RNG.integers(low, high + 1, (N, 9, 11)).astype(wide)
    x[0, 0, :2] = low, high
    if form == "ragged":
        x = [*x[:6], *x[6:, :8]]
        data = open_data((x, LABELS), image_size=(9, 11))
        assert data.form.dtype == narrow
        assert np.array_equal(data.read([0, 1]), x[:2])
        return
    if form == "tensor" and wide == "uint64":
        return
    source = {"array": (x, LABELS), "items": list(zip(x, LABELS, strict=True))}
    data = open_data((torch.tensor(x), LABELS) if form == "tensor" else source[form])
    assert data.form.dtype == narrow
    assert np.array_equal(data.read(), x)


@pytest.mark.parametrize("form", ["array", "tensor", "items"])
def test_a_larger_set_of_wide_integers_is_as_wide(form):
    x = RNG.integers(0, 256, (N, 9, 9))
    source = {
        "array": lambda: (x, LABELS),
        "tensor": lambda: (torch.tensor(x), LABELS),
        "items": lambda: torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(LABELS)),
    }[form]()
    larger = synthaug.expand(source, synthaug.fit(source, steps=1, progress=False), to="2x")
    images = torch.stack([larger[row][0] for row in range(2 * N)]) if form == "items" else larger[0]
    assert str(images.dtype).endswith("int64")
    assert np.array_equal(np.asarray(images)[:N], x)
    assert 0 <= images.min() <= images.max() <= 255


@pytest.mark.parametrize("values", [(0, 65536), (-1, 40000)])
def test_integers_that_no_picture_holds_are_refused(values):
    x = np.zeros((N, 9, 9), np.int64)
    x[0, 0, :2] = values
    with pytest.raises(UnsupportedKind, match=r'dtype int64 were found.*convert with X\.astype\("float32"\)'):
        open_data((x, LABELS))
    assert open_data((x.astype("float32"), LABELS)).form.dtype == "float32"


# -------------------------------------------------------------------------------------------------- ranges


@pytest.mark.parametrize(("high", "factor"), [(1, 255), (7, 36), (16, 15), (31, 8)])
def test_a_narrow_range_of_bytes_is_warned_of_with_a_remedy_that_works(high, factor):
    x = RNG.integers(0, high + 1, (N, 9, 9), dtype=np.uint8)
    with pytest.warns(
        SynthaugWarning, match=rf"uint8 images of arrays reach from 0 to {high}, .* X \* {factor}$"
    ):
        open_data((x, LABELS)).check()
    stretched = x * factor
    assert stretched.dtype == np.uint8
    assert np.array_equal(stretched // factor, x)
    open_data((stretched, LABELS)).check()


def test_the_remedy_for_bools_gives_pictures_of_the_whole_range():
    x = RNG.random((N, 9, 9)) < 0.5
    with pytest.raises(UnsupportedKind, match=r'convert with X\.astype\("uint8"\) \* 255$'):
        open_data((x, LABELS))
    data = open_data((x.astype("uint8") * 255, LABELS))
    data.check()
    assert set(np.unique(data.read())) == {0, 255}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "int64"])
@pytest.mark.parametrize("value", [0, 1])
def test_rows_of_one_value_are_refused(dtype, value):
    data = open_data((np.full((N, 9, 9), value, dtype), LABELS))
    with pytest.raises(
        InvalidData, match=f"every pixel of every image of arrays is {value}: there is nothing to learn"
    ):
        data.check()


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_other_ranges_are_learnt_and_not_warned_of(dtype):
    open_data(((floats(9, 9) * 20).astype(dtype), LABELS)).check()


def test_a_part_has_the_range_of_its_own_rows():
    x = np.concatenate([RNG.integers(0, 256, (N, 9, 9)), RNG.integers(0, 2, (N, 9, 9))]).astype(np.uint8)
    data = open_data((x, LABELS * 2))
    data.check()
    data.take(slice(0, N)).detached().check()
    for part in (data.take(slice(N, None)), data.take(slice(N, None)).detached()):
        with pytest.warns(SynthaugWarning, match="reach from 0 to 1"):
            part.check()
