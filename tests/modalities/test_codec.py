from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthaug.errors import InvalidData, SpecMismatch
from synthaug.modalities.image.codec import ImageCodec
from synthaug.modalities.image.spec import ImageSpec

FORMS = [
    ImageSpec(9, 11, 1, "HW", "uint8"),
    ImageSpec(8, 8, 3, "HWC", "uint8"),
    ImageSpec(10, 8, 4, "CHW", "uint8"),
    ImageSpec(8, 9, 1, "HW", "uint16"),
    ImageSpec(8, 8, 3, "CHW", "float32"),
    ImageSpec(8, 13, 3, "HWC", "float64"),
]


def images_of(spec: ImageSpec, seed: int = 0, n: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if spec.dtype.startswith("float"):
        return rng.random((n, *spec.shape)).astype(spec.dtype)
    return rng.integers(0, np.iinfo(spec.dtype).max, (n, *spec.shape), dtype=spec.dtype, endpoint=True)


@pytest.mark.parametrize("spec", FORMS, ids=str)
@given(seed=st.integers(0, 100))
def test_decoding_an_encoded_row_gives_it_back(spec: ImageSpec, seed: int) -> None:
    images = images_of(spec, seed)
    codec = ImageCodec.fit(images, spec)
    given_rows = images.copy()
    encoded = codec.encode(images)
    np.testing.assert_array_equal(images, given_rows)
    assert encoded.shape == (5, *codec.shape)
    assert encoded.dtype == torch.float32
    assert -1 <= encoded.min() <= encoded.max() <= 1
    back = codec.decode(encoded)
    assert back.dtype == images.dtype
    assert back.shape == images.shape
    np.testing.assert_allclose(
        back, images, atol=0 if spec.dtype == "uint8" else 1e-6 + 0.01 * (back.max() > 1)
    )


@pytest.mark.parametrize("spec", FORMS, ids=str)
def test_decoding_on_a_device_gives_the_same_rows_but_for_rounding(spec: ImageSpec) -> None:
    images = images_of(spec)
    codec = ImageCodec.fit(images, spec)
    tensors = 1.2 * codec.encode(images)
    expected, found = codec.decode(tensors), codec.decode_on_device(tensors).numpy()
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert codec.spec.high is not None
    step = 1 if spec.dtype.startswith("u") else 1e-6 * codec.spec.high
    assert np.abs(found.astype(float) - expected.astype(float)).max() <= step


@pytest.mark.parametrize("spec", FORMS, ids=str)
def test_a_codec_survives_its_own_json(spec: ImageSpec) -> None:
    codec = ImageCodec.fit(images_of(spec), spec)
    assert ImageCodec.from_dict(codec.to_dict()) == codec


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, 0.9, (0, 1)), (-0.2, 1.0, (-1, 1)), (0.0, 254.0, (0, 255)), (-3.0, 7.0, (-3, 7))],
)
def test_the_span_of_floats_is_the_convention_that_holds_them(
    low: float, high: float, expected: object
) -> None:
    images = np.linspace(low, high, 64, dtype=np.float32).reshape(1, 8, 8)
    spec = ImageCodec.fit(images, ImageSpec(8, 8, 1, "HW", "float32")).spec
    assert (spec.low, spec.high) == expected


def test_a_12_bit_scan_spans_12_bits() -> None:
    images = np.linspace(0, 3900, 64).astype(np.uint16).reshape(1, 8, 8)
    assert ImageCodec.fit(images, ImageSpec(8, 8, 1, "HW", "uint16")).spec.high == 4095


def test_values_outside_the_range_are_clipped_when_decoded() -> None:
    codec = ImageCodec.fit(np.zeros((1, 8, 8), np.uint8), ImageSpec(8, 8, 1, "HW", "uint8"))
    assert codec.decode(torch.full((1, 1, 8, 8), 7.0)).max() == 255


def test_rows_that_cannot_be_encoded_are_refused_in_words() -> None:
    spec = ImageSpec(8, 8, 1, "HW", "float32")
    with pytest.raises(InvalidData, match="NaN or infinite"):
        ImageCodec.fit(np.full((1, 8, 8), np.nan, np.float32), spec)
    with pytest.raises(InvalidData, match="nothing to learn"):
        ImageCodec.fit(np.zeros((3, 8, 8), np.float32), spec)
    codec = ImageCodec.fit(np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8), spec)
    with pytest.raises(SpecMismatch, match=r"HW 8x8 float32.*9x8 float32 were given"):
        codec.encode(np.zeros((1, 9, 8), np.float32))
