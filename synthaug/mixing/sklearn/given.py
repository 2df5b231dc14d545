"""``X`` and ``y`` as scikit-learn has them, and how synthetic rows come among them in the same containers."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from synthaug.data.classes import Classes, Label, plain_label
from synthaug.data.readers.tables import arrow_of
from synthaug.errors import InvalidData, SpecMismatch
from synthaug.generators.samples import Samples
from synthaug.mixing.probes import look_of
from synthaug.modalities.base import Form
from synthaug.modalities.table.cells import rows_of_table, table_of_rows
from synthaug.modalities.table.form import TableForm
from synthaug.modalities.table.inference import infer_columns, with_levels_of
from synthaug.wording import quoted

_REMEDY = "Put the sampler before what scales or reshapes X, or train the generator on rows like these"


def is_frame(X: Any) -> bool:
    """Whether ``X`` is a data frame, or a series, as pandas has them."""
    return hasattr(X, "iloc")


@dataclass(frozen=True)
class Features:
    """The rows of ``X``.

    Attributes:
        given: as they were given.
        rows: a data frame without sparse columns, or an array ``(n, ...)``.
    """

    given: Any
    rows: Any

    @classmethod
    def of_frame(cls, frame: Any) -> Features:
        """The rows of a data frame."""
        sparse = {
            name: kind.subtype
            for name, kind in frame.dtypes.items()
            if isinstance(kind, _pandas().SparseDtype)
        }
        return cls(frame, frame.astype(sparse) if sparse else frame)

    def __len__(self) -> int:
        return len(self.rows)

    def as_form(self, form: Form) -> tuple[np.ndarray, Form]:
        """``(n, *shape)`` raw rows as they come among rows of a form, and the form that they have.

        The form of a table differs in the levels of its categories alone, where these rows have others.

        Raises:
            SpecMismatch: rows of another shape or kind, or other columns.
        """
        if isinstance(form, TableForm) and form.container == "frame":
            return self._as_table(form)
        rows = np.asarray(self.rows)
        flat = rows.shape[1:] == (int(np.prod(form.shape)),)
        rows = rows.reshape(len(rows), *form.shape) if flat else rows
        if isinstance(form, TableForm):
            if rows.shape[1:] != form.shape or not np.can_cast(form.dtype, rows.dtype, "same_kind"):
                raise SpecMismatch(
                    f"X has rows of {_shape(rows)} {rows.dtype}, and the synthetic ones are {form}, {form.dtype}. "
                    f"{_REMEDY}"
                )
            return rows.astype(form.dtype), form
        return rows, form

    def like(self, samples: Samples) -> Any:
        """Synthetic rows as those of ``X``: a frame of its columns and dtypes where they hold the values, or an array.

        Raises:
            SpecMismatch: rows that differ in shape, dtype or range.
        """
        form, made = samples.form, samples.samples
        real, _ = self.as_form(form)
        if isinstance(form, TableForm) and form.container == "frame":
            names = [str(name) for name in self.rows.columns]
            frame = table_of_rows(made, form.columns).select(names).to_pandas()
            frame.columns = self.rows.columns
            return _cast(frame, self.given.dtypes)
        kind = np.asarray(self.rows).dtype
        # Fetched data are often int64 or float64; what is only stored in a wider type is not another range.
        made = made.astype(kind) if isinstance(form, TableForm) or np.can_cast(made.dtype, kind) else made
        if not isinstance(form, TableForm):
            look_of(made, [end.astype(made.dtype) for end in form.ends]).require_fit(look_of(real), _REMEDY)
        if not is_frame(self.rows):
            return made.reshape(len(made), *self.rows.shape[1:])
        frame = type(self.given)(made.reshape(len(made), -1), columns=self.given.columns)
        return _cast(frame, self.given.dtypes)

    def joined(self, made: Any, order: np.ndarray) -> Any:
        """The rows of ``X`` and then those made, in this order; a list where a list was given."""
        if is_frame(self.given):
            parts = [self.given] if made is None else [self.given, made]
            return _pandas().concat(parts).iloc[order].reset_index(drop=True)
        both = self.rows if made is None else np.concatenate([self.rows, made])
        return both[order].tolist() if isinstance(self.given, list) else both[order]

    def _as_table(self, form: TableForm) -> tuple[np.ndarray, Form]:
        own = [column.name for column in form.columns]
        if not is_frame(self.rows):
            raise SpecMismatch(
                f"X is an array, and synthetic rows are those of a table with the columns {quoted(own)}. Give X as a "
                "DataFrame with these"
            )
        table = arrow_of(self.rows)
        if beyond := [name for name in table.column_names if name not in own]:
            raise SpecMismatch(
                f"X has the columns {quoted(beyond)}, which synthetic rows do not have; they have {quoted(own)}. "
                "Train a generator on X, or leave these out"
            )
        kinds = {column.name: column.kind for column in form.columns if column.name in table.column_names}
        columns = with_levels_of(form.columns, infer_columns(table, kinds=kinds))
        return rows_of_table(table, columns), replace(form, columns=columns)


@dataclass(frozen=True)
class Targets:
    """The labels in ``y``.

    Attributes:
        given: as they were given.
        y: ``(n,)`` one label a row.
        labels: the same as plain values.
        hot: whether each row of ``given`` is 1 at its class and 0 elsewhere.
    """

    given: Any
    y: np.ndarray
    labels: list[Label]
    hot: bool = False

    @classmethod
    def of(cls, y: Any) -> Targets:
        """One label a row, or a row of them with a single 1.

        Raises:
            InvalidData: a target that is not one class a row.
        """
        found = np.asarray(y)
        if found.ndim == 2 and found.shape[1] == 1:
            found = found[:, 0]
        hot = found.ndim == 2
        try:
            if found.dtype != object:
                assert_all_finite(found, input_name="y")
                check_classification_targets(found)
            if hot and (found.sum(axis=1) != 1).any():
                raise ValueError("Multilabel and multioutput targets are not supported. Give one class a row")
            own = found.argmax(axis=1) if hot else column_or_1d(found)
        except ValueError as error:
            raise InvalidData(str(error)) from None
        labels = [plain_label(label) for label in own]
        if len(kinds := {type(label).__name__ for label in labels}) > 1:
            raise InvalidData(
                f"y holds labels of several types, {quoted(sorted(kinds))}: convert them to one"
            )
        return cls(y, own, labels, hot)

    @property
    def classes(self) -> Classes:
        """The classes that have rows."""
        return Classes.of_labels(self.labels)

    @property
    def counts(self) -> dict[Label, int]:
        """Rows of each class, in the order of the classes."""
        places = self.classes
        counts = dict.fromkeys(places.values, 0)
        for label in self.labels:
            counts[label] += 1
        return counts

    def joined(self, made: list[Label], order: np.ndarray) -> Any:
        """The labels and then those of synthetic rows, in this order, as ``y`` was given."""
        theirs = np.array(made, None if self.y.dtype.kind == "U" and made else self.y.dtype)
        both = np.concatenate([self.y, theirs])[order]
        if self.hot:
            both = np.eye(np.asarray(self.given).shape[1], dtype=np.asarray(self.given).dtype)[both]
        if not is_frame(self.given):
            return both.tolist() if isinstance(self.given, list) else both
        if self.given.ndim == 2:
            return _cast(type(self.given)(both, columns=self.given.columns), self.given.dtypes)
        return type(self.given)(both, name=self.given.name, dtype=self.given.dtype)


def _pandas() -> Any:
    """The module that whoever gives a frame has imported."""
    return sys.modules["pandas"]


def _cast(frame: Any, dtypes: Any) -> Any:
    """A frame in these dtypes, where they hold its values."""
    for name, kind in dtypes.items():
        column = frame[name]
        known, levels = column.notna(), getattr(kind, "categories", None)
        if column.dtype == kind or not (levels is None or column[known].isin(levels).all()):
            continue
        try:
            cast = column.astype(kind)
            # a float that is cut to an integer is another value
            kept = kind.kind not in "biu" or cast[known].astype(column.dtype).equals(column[known])
        except (TypeError, ValueError):  # a fraction or a missing cell, of which the dtype has none
            kept = False
        if kept:
            frame[name] = cast
    return frame


def _shape(rows: np.ndarray) -> str:
    return "x".join(map(str, rows.shape[1:]))
