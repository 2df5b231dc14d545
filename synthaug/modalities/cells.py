"""What can be a row in an item or a batch, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from synthaug.modalities.arrays import as_array
from synthaug.modalities.image.cells import is_image


def is_vector(value: Any) -> bool:
    """Whether a value can be a vector: an array or tensor of several numbers along one axis."""
    array = as_array(value)
    return isinstance(array, np.ndarray) and array.ndim == 1 and array.size > 1 and array.dtype.kind in "biuf"


def rows_among(fields: Mapping[Any, Any]) -> list[Any]:
    """The keys of fields that can be a row: images; where there are none vectors; else those of a single float."""
    images = [key for key, value in fields.items() if is_image(value)]
    vectors = [key for key, value in fields.items() if is_vector(value)]
    return images or vectors or [key for key, value in fields.items() if _is_lone_float(value)]


def _is_lone_float(value: Any) -> bool:
    """Whether a value is a vector of one column, which no label is."""
    array = as_array(value)
    return isinstance(array, np.ndarray) and array.shape == (1,) and array.dtype.kind == "f"
