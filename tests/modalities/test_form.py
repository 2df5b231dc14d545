from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from synthaug import ImageForm
from synthaug.errors import InvalidData, SpecMismatch

FORMS = [
    ImageForm(9, 11, 1, "HW", "uint8"),
    ImageForm(8, 8, 3, "HWC", "uint8"),
    ImageForm(10, 8, 4, "CHW", "uint8"),
    ImageForm(8, 9, 1, "HW", "uint16"),
    ImageForm(8, 8, 3, "CHW", "float32"),
    ImageForm(8, 13, 3, "HWC", "float64"),
]


def images_of(form: ImageForm, seed: int = 0, n: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if form.dtype.startswith("float"):
        return rng.random((n, *form.shape)).astype(form.dtype)
    return rng.integers(0, np.iinfo(form.dtype).max, (n, *form.shape), dtype=form.dtype, endpoint=True)


@pytest.mark.parametrize("form", FORMS, ids=str)
@given(seed=st.integers(0, 100))
def test_decoding_an_encoded_row_gives_it_back(form: ImageForm, seed: int) -> None:
    images = images_of(form, seed)
    fitted = form.fitted(images)
    given_rows = images.copy()
    encoded = fitted.encode(images)
    np.testing.assert_array_equal(images, given_rows)
    assert encoded.shape == (5, *fitted.encoded)
    assert encoded.dtype == torch.float32
    assert -1 <= encoded.min() <= encoded.max() <= 1
    back = fitted.decode(encoded)
    assert back.dtype == images.dtype
    assert back.shape == images.shape
    np.testing.assert_allclose(
        back, images, atol=0 if form.dtype == "uint8" else 1e-6 + 0.01 * (back.max() > 1)
    )


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_decoding_on_a_device_gives_the_same_rows_but_for_rounding(form: ImageForm) -> None:
    images = images_of(form)
    fitted = form.fitted(images)
    tensors = 1.2 * fitted.encode(images)
    expected, found = fitted.decode(tensors), fitted.decode_on_device(tensors).numpy()
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert fitted.high is not None
    step = 1 if form.dtype.startswith("u") else 1e-6 * fitted.high
    assert np.abs(found.astype(float) - expected.astype(float)).max() <= step


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_form_survives_its_own_json(form: ImageForm) -> None:
    fitted = form.fitted(images_of(form))
    assert ImageForm.from_dict(fitted.to_dict()) == fitted


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, 0.9, (0, 1)), (-0.2, 1.0, (-1, 1)), (0.0, 254.0, (0, 255)), (-3.0, 7.0, (-3, 7))],
)
def test_the_span_of_floats_is_the_convention_that_holds_them(
    low: float, high: float, expected: object
) -> None:
    images = np.linspace(low, high, 64, dtype=np.float32).reshape(1, 8, 8)
    form = ImageForm(8, 8, 1, "HW", "float32").fitted(images)
    assert (form.low, form.high) == expected


def test_a_12_bit_scan_spans_12_bits() -> None:
    images = np.linspace(0, 3900, 64).astype(np.uint16).reshape(1, 8, 8)
    assert ImageForm(8, 8, 1, "HW", "uint16").fitted(images).high == 4095


def test_values_outside_the_range_are_clipped_when_decoded() -> None:
    fitted = ImageForm(8, 8, 1, "HW", "uint8").fitted(np.zeros((1, 8, 8), np.uint8))
    assert fitted.decode(torch.full((1, 1, 8, 8), 7.0)).max() == 255


def test_rows_that_cannot_be_encoded_are_refused_in_words() -> None:
    form = ImageForm(8, 8, 1, "HW", "float32")
    with pytest.raises(InvalidData, match="NaN or infinite"):
        form.fitted(np.full((1, 8, 8), np.nan, np.float32))
    with pytest.raises(InvalidData, match="nothing to learn"):
        form.fitted(np.zeros((3, 8, 8), np.float32))
    fitted = form.fitted(np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8))
    with pytest.raises(SpecMismatch, match=r"HW 8x8 float32.*9x8 float32 were given"):
        fitted.encode(np.zeros((1, 9, 8), np.float32))
