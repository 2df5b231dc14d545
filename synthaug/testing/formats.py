"""What every format of rows on disk has to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synthaug.data import Classes, open_data
from synthaug.files import FORMATS, Card, Format, RowBlock, write_rows
from synthaug.generators import PROVENANCE_COLUMNS, real_provenance, synthetic_provenance
from synthaug.modalities import Form
from synthaug.modalities.image import ImageForm
from synthaug.modalities.table import TableForm, columns_of_array, infer_columns, rows_of_table, table_of_rows

_IMAGES = (
    ImageForm(9, 8, 1, "HW", "uint8", 0.0, 255.0),
    ImageForm(8, 9, 3, "HWC", "uint8", 0.0, 255.0),
    ImageForm(8, 9, 4, "CHW", "uint8", 0.0, 255.0),
    ImageForm(8, 9, 1, "CHW", "uint16", 0.0, 65535.0),
    ImageForm(8, 9, 1, "HW", "float32", 0.0, 1.0),
)
_CLASSES = Classes(("T-shirt/top", "test", "é|é"), (4, 0, 9))
_BESIDE = pa.table(
    {
        "seed": pa.array([1, None, 3, -4], "int16"),
        "patient": ["p1", "", None, 'a "quoted", name'],
        "weight": pa.array([0.1, None, float("nan"), -0.0]),
        "came": pa.array([0, None, 1, 2], pa.timestamp("us", "UTC")),
        "tags": [["a", None], [], None, ["b"]],
    }
)
_CELLS = pa.table(
    {
        "age": pa.array([3, None, -1, 9, 3, 4], "int16"),
        "class": pa.array([0.1, None, -0.0, 1e9, 0.1, 7.5], "float32"),
        "dose": pa.DictionaryArray.from_arrays(
            pa.array([2, 0, None, 2, 0, 0], "int8"), ["low", "a, b", "", "unused"], ordered=True
        ),
        "site": pa.array(["é", None, "", "x", "x", "é"], "large_string"),
        "code": pa.DictionaryArray.from_arrays(pa.array([1, 0, 1, 1, 0, 0], "int8"), pa.array([7, 3])),
        "seen": pa.array([None, 1, 10**12, 0, 1, 0], pa.timestamp("ms", "Europe/Berlin")),
        "day": pa.array([0, 86_400_000, None, 0, 0, 0], pa.date64()),
        "well": [True, None, False, True, False, True],
    }
)
_VECTORS = np.array([[0.5, np.nan, 2.0], [1.0, 0.0, -0.0]] * 3, "float32")
_GENERATOR = "ab" * 32
_REQUEST = {"kind": "test", "add": [["test", 2]]}


def check_format(format: Format, folder: Path) -> None:
    """Checks a format on rows of every form that it holds, of classes with names that no file may have.

    Rows have further columns, one of which is called as one of ours. `open_data` reads the formats of `FORMATS`, too:
    there labels, splits and further columns have to be as they were.

    Args:
        format: what to check.
        folder: an existing, empty folder to write into.

    Raises:
        AssertionError: naming what it does not keep.
    """
    held = [form for form in _forms() if format.holds(form)]
    assert held, f'"{format.name}" holds rows of no form'
    for number, form in enumerate(held):
        for splits in (False, True):
            place = folder / f"{number}-{'with' if splits else 'without'}-splits"
            _check_rows(format, form, place, splits=splits)


def _check_rows(format: Format, form: Form, place: Path, *, splits: bool) -> None:
    outputs = [_written(format, form, place / name, splits=splits) for name in ("one", "two")]
    first, second = (
        {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
        if out.is_dir()
        else out.read_bytes()
        for out in outputs
    )
    assert first == second, "equal rows gave other bytes"
    out, blocks = outputs[0], list(_blocks(form, splits=splits))
    assert format.recognises(out), "it does not recognise what it wrote"
    record = format.record(out)
    assert record is not None, "its record is lost"
    assert record["request"] == _REQUEST, "the request in its record is another"
    assert Card.from_dict(record["card"]) == _card(form, splits=splits), "the card in its record is another"
    columns = format.open(out)
    assert ("split" in columns.table) == splits, "splits were lost or made up"
    numbers = np.arange(sum(map(len, blocks)))
    read, backwards = form.of_cells(columns.read(numbers)), form.of_cells(columns.read(numbers[::-1]))
    assert backwards.tobytes() == read[::-1].tobytes(), "rows come in another order than they were asked for"
    names = [*PROVENANCE_COLUMNS, *(["split"] if splits else [])]
    found = _told(read, {name: columns.table[name] for name in names})
    wanted = [
        row
        for block in blocks
        for row in _told(
            block.images, {**block.provenance, **({} if block.splits is None else {"split": block.splits})}
        )
    ]
    if splits:  # each of which may lie on its own
        found, wanted = sorted(found), sorted(wanted)
    assert found == wanted, "a row or its provenance was changed"
    if format.name in FORMATS:
        _check_opened(out, blocks, form, splits=splits)


def _check_opened(out: Path, blocks: list[RowBlock], form: Form, *, splits: bool) -> None:
    """What a user finds who opens an output."""
    data = open_data(out)
    named = [(data.classes[k], data.classes.values[k]) for k in data.labels.tolist()]
    labels = np.concatenate([block.labels for block in blocks]).tolist()
    told = [(_CLASSES.names[k], _CLASSES.values[k]) for k in labels]
    assert sorted(named) == sorted(told), "labels or names of classes were changed"
    assert data.synthetic is not None, "it does not say which rows are synthetic"
    assert sorted(data.synthetic.tolist()) == [False] * 4 + [True] * 2, (
        "synthetic rows are taken for real ones"
    )
    assert (data.splits is not None) == splits, "splits were lost or made up"
    assert data.beside is not None, "further columns were lost"
    expected = blocks[0].beside
    assert expected is not None
    known = {name: data.beside.schema.field(name).type for name in data.beside.column_names}
    told_of = dict(zip(expected.column_names, expected.schema.types, strict=True))
    assert known == told_of, "the type of a further column was changed"
    real = data.take(np.flatnonzero(~data.synthetic)).beside
    assert real is not None
    real = real.select(expected.column_names)
    found = sorted(map(repr, real.to_pylist()))
    assert found == sorted(map(repr, expected.to_pylist())), "a further column was changed"
    made = data.take(np.flatnonzero(data.synthetic)).beside
    assert made is not None
    further = [made[name] for name in _BESIDE.column_names]
    assert all(column.null_count == 2 for column in further), "a further column is made up in synthetic rows"
    if isinstance(form, ImageForm):
        assert data.form.shape == form.shape or form.layout == "CHW", "the form was changed"
        return
    assert data.form.why_not(form) is None, "the form was changed"
    rows = np.concatenate([block.images for block in blocks])
    same = np.sort(data.fingerprints()) == np.sort(form.fingerprints(rows))
    assert same.all(), "a row was changed"
    if isinstance(form, TableForm) and form.container == "frame":
        cells = table_of_rows(blocks[1].images, form.columns)
        assert made.select(cells.column_names).to_pylist() == cells.to_pylist(), "a synthetic row was changed"


def _told(images: np.ndarray, columns: Mapping[str, np.ndarray]) -> list[tuple[Any, ...]]:
    """Rows as values that can be compared."""
    parts = [columns[name].tolist() for name in sorted(columns)]
    return [(image.tobytes(), *row) for image, *row in zip(images, *parts, strict=True)]


def _written(format: Format, form: Form, folder: Path, *, splits: bool) -> Path:
    folder.mkdir(parents=True)
    blocks, card = _blocks(form, splits=splits), _card(form, splits=splits)
    file = write_rows(folder, format, blocks, card, _REQUEST)
    return folder if file is None else folder / file


def _blocks(form: Form, *, splits: bool) -> Iterator[RowBlock]:
    """Four real rows, then two synthetic ones of the second class."""
    rng = np.random.default_rng(0)
    beside = _BESIDE
    if isinstance(form, ImageForm):
        assert form.high is not None, "the forms are fitted"
        images = (rng.random((6, *form.shape)) * form.high).astype(form.dtype)
    elif isinstance(form, TableForm) and form.container == "frame":
        images = rows_of_table(_CELLS, form.columns)
        beside = pa.table(
            {name: table[name] for table in (_CELLS[:4], _BESIDE) for name in table.column_names}
        )
    else:
        images = _VECTORS
    whole = RowBlock(
        images[:4],
        np.array([0, 0, 2, 1]),
        ["x/a.png", "y/a.jpg", "row 2 of a.parquet", "../été.png"],
        real_provenance(4),
        np.array(["train", "test", "train", "train"]) if splits else None,
        beside=beside,
    )
    yield whole
    yield replace(
        whole,
        images=images[4:],
        labels=np.array([1, 1]),
        names=["synthetic-5-0.png", "synthetic-5-1.png"],
        provenance=synthetic_provenance(_GENERATOR, 5, "test", np.arange(2)),
        splits=np.array(["train", "train"]) if splits else None,
        beside=None,
    )


def _forms() -> list[Form]:
    """Forms of images, of a table and of vectors."""
    columns = infer_columns(_CELLS)
    table = TableForm(columns, container="frame").fitted(rows_of_table(_CELLS, columns))
    vectors = TableForm(columns_of_array(_VECTORS), "float32").fitted(_VECTORS)
    return [*_IMAGES, table, vectors]


def _card(form: Form, *, splits: bool) -> Card:
    real = {"T-shirt/top": 1 if splits else 2, "test": 1, "é|é": 1}
    copied = {"test": 1} if splits else {}
    return Card(_CLASSES, form, "arrays", _GENERATOR, "cvae", 5, real, {"test": 2}, copied)
