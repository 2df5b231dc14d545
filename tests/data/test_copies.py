"""Rows that are there twice are counted as a plain comparison of all pairs counts them."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import datasets
import numpy as np
import pyarrow as pa
from hypothesis import given, settings, strategies as st

import synthaug
from synthaug.data import copies_of

_SPLITS = ("train", "validation", "test")


def kept(numbers: dict[str, list[int]]) -> datasets.DatasetDict:
    """Rows of a few pictures, by their numbers, in splits."""
    drawn = np.random.default_rng(0).integers(0, 256, (9, 8, 8), dtype=np.uint8)
    features = datasets.Features(
        image=datasets.Array2D((8, 8), "uint8"), label=datasets.ClassLabel(names=["a", "b"])
    )
    rows = {
        split: {"image": drawn[of], "label": [k % 2 for k in range(len(of))]} for split, of in numbers.items()
    }
    return datasets.DatasetDict(
        {split: datasets.Dataset.from_dict(of, features) for split, of in rows.items()}
    )


_ROWS = st.lists(st.integers(0, 8), min_size=2, max_size=8)


@settings(max_examples=25)
@given(st.tuples(_ROWS, _ROWS, _ROWS))
def test_copies_are_those_that_pairs_of_rows_show(rows: tuple[list[int], ...]) -> None:
    numbers = dict(zip(_SPLITS, rows, strict=True))
    found = copies_of(synthaug.open_data(kept(numbers)))
    within = {split: sum(n - 1 for n in Counter(of).values()) for split, of in numbers.items()}
    assert found["within"] == {split: n for split, n in within.items() if n}
    across = {
        (first, second): sum(number in numbers[second] for number in numbers[first])
        for first, second in combinations(_SPLITS, 2)
    }
    told = {(a, b): n for a, others in found["across"].items() for b, n in others.items()}
    assert told == {pair: n for pair, n in across.items() if n}
    assert len(found["examples"]) == len(found["within"]) + len(told)
    assert found["synthetic"] is None


def test_synthetic_rows_are_told_apart_from_real_ones() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (8, 8, 8), dtype=np.uint8)

    class Made(tuple[np.ndarray, list[str]]):
        provenance: dict[str, list[bool]]

    bigger = Made((rows[[0, 1, 2, 3, 0, 4, 4, 5]], ["a", "b"] * 4))
    bigger.provenance = {"synthetic": [False] * 4 + [True] * 4}
    found = copies_of(synthaug.open_data(bigger))
    assert found["synthetic"] == {"of real rows": 1, "of each other": 1}
    assert found["within"] == {}
    assert found["examples"] == ["row 4 is row 0", "row 6 is row 5"]


def test_rows_of_a_table_that_are_equal_by_chance_are_not_counted() -> None:
    few = {"sex": ["f", "m"] * 20, "finding": ["ill", "well"] * 20}
    assert copies_of(synthaug.open_data(pa.table(few), label="finding"))["within"] == {}
    ages = [1.5 * k for k in range(39)] + [0.0]
    told = pa.table(few | {"age": ages, "sex": ["f"] * 40})
    assert copies_of(synthaug.open_data(told, label="finding"))["within"] == {"train": 1}
