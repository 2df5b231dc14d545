"""Arrow tables of all kinds of columns, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from synthaug.modalities.table import (
    TableForm,
    infer_columns,
    rows_of_table,
)

Rng = np.random.Generator
DAY = 86_400 * 10**6


def dictionary(levels: list[Any], ordered: bool = False) -> Callable[[Rng, int, np.ndarray], pa.Array]:
    def make(rng: Rng, n: int, missing: np.ndarray) -> pa.Array:
        codes = pa.array(
            rng.integers(0, len(levels) - 1, n).astype(np.int8), mask=missing
        )  # the last is unused
        return pa.DictionaryArray.from_arrays(codes, pa.array(levels), ordered=ordered)

    return make


def array(values: Callable[[Rng, int], Any], kind: Any) -> Callable[[Rng, int, np.ndarray], pa.Array]:
    def make(rng: Rng, n: int, missing: np.ndarray) -> pa.Array:
        return pa.array(values(rng, n), mask=missing).cast(kind)

    return make


def words(rng: Rng, n: int) -> np.ndarray:
    return rng.choice(["", "a", "é", "a b", "B"], n)


def inflated(rng: Rng, n: int) -> np.ndarray:
    return np.where(rng.random(n) < 0.4, 0.0, rng.lognormal(size=n))


MAKERS: dict[str, Callable[[Rng, int, np.ndarray], pa.Array]] = {
    "normal": array(lambda rng, n: rng.normal(size=n), pa.float64()),
    "float32": array(lambda rng, n: rng.normal(size=n).astype(np.float32), pa.float32()),
    "float16": array(lambda rng, n: rng.normal(size=n).astype(np.float16), pa.float16()),
    "heavy": array(lambda rng, n: np.clip(rng.standard_cauchy(n) ** 9, -3e38, 3e38), pa.float64()),
    "tiny": array(lambda rng, n: rng.integers(0, 50, n) * 5e-324, pa.float64()),
    "near": array(lambda rng, n: 1.0 + rng.integers(0, 50, n) * 2.0**-52, pa.float64()),
    "inflated": array(inflated, pa.float64()),
    "constant": array(lambda rng, n: np.full(n, -0.0), pa.float64()),
    "few": array(lambda rng, n: rng.choice([-1.5, 2.0, 7.25], n), pa.float64()),
    "int8": array(lambda rng, n: rng.integers(-128, 128, n), pa.int8()),
    "int64": array(lambda rng, n: rng.integers(-(2**53), 2**53, n), pa.int64()),
    "uint64": array(lambda rng, n: rng.integers(0, 2**53, n), pa.uint64()),
    "counts": array(lambda rng, n: rng.poisson(1.0, n), pa.uint16()),
    "boolean": array(lambda rng, n: rng.random(n) < 0.3, pa.bool_()),
    "text": array(words, pa.string()),
    "large": array(words, pa.large_string()),
    "view": array(words, pa.string_view()),
    "levels": dictionary(["low", "mid", "high", "unused"], ordered=True),
    "codes": dictionary([3, 1, 2, 9]),
    "days": array(lambda rng, n: rng.integers(-9000, 9000, n).astype(np.int32), pa.date32()),
    "midnights": array(lambda rng, n: rng.integers(-9000, 9000, n) * DAY, pa.timestamp("us")),
    "zoned": array(lambda rng, n: rng.integers(0, 2**40, n), pa.timestamp("ms", "Europe/Berlin")),
    "micros": array(lambda rng, n: rng.integers(0, 2**51, n), pa.timestamp("us")),
    "date64": array(lambda rng, n: rng.integers(0, 9000, n) * 86_400_000, pa.date64()),
}


@st.composite
def tables(draw: st.DrawFn, names: tuple[str, ...] = tuple(MAKERS)) -> pa.Table:
    """Tables of any kinds of columns, some with missing cells, of few or many rows."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.sampled_from([1, 2, 5, 19, 80, 300]))
    made = {}
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=6, unique=True)):
        missing = (rng.random(n) < 0.2) & draw(st.booleans())
        missing[rng.integers(n)] = False
        whole = MAKERS[name](rng, n, missing)
        made[name] = pa.chunked_array([whole[: n // 2], whole[n // 2 :]])
    return pa.table(made)


def fitted_of(table: pa.Table) -> tuple[TableForm, np.ndarray]:
    columns = infer_columns(table)
    rows = rows_of_table(table, columns)
    return TableForm(columns, container="frame").fitted(rows), rows


def frame_of(**columns: Any) -> pa.Table:
    return pa.table(columns)
