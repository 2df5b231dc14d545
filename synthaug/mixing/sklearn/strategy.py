"""How many rows each class gets, in the words of imbalanced-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from synthaug.data.classes import Label
from synthaug.errors import InvalidRequest, SynthaugWarning
from synthaug.files.expansion import BALANCE_COST
from synthaug.wording import did_you_mean, quoted

Strategy: TypeAlias = str | float | Mapping[Any, int] | Callable[[np.ndarray], Mapping[Any, int]]
"""What ``sampling_strategy`` can be: a word, a share of two classes, totals, or what gives totals for labels."""

_WORDS = ("auto", "minority", "not minority", "not majority", "all")


def added_rows(strategy: Strategy, counts: Mapping[Label, int], y: np.ndarray) -> dict[Label, int]:
    """Rows to add to each class that is targeted, which may be none, in the order of the classes.

    Args:
        strategy: ``"auto"`` and ``"not majority"`` fill up every class but the largest to its size, ``"minority"`` the
            smallest, ``"not minority"`` all but the smallest, ``"all"`` all; a number in (0, 1] is, of two classes,
            what the smaller is to have for each row of the larger; ``{label: total}``; or a function of ``y`` that
            gives such a mapping.
        counts: rows of each class, by label.
        y: ``(n,)`` labels, for a function.

    Raises:
        InvalidRequest: a strategy that is none of these, an unknown label, or a total below what is there.

    Example:
        >>> added_rows("auto", {"cat": 8, "dog": 3, "owl": 5}, np.empty(0))
        {'dog': 5, 'owl': 3}
        >>> added_rows({"owl": 6}, {"cat": 8, "dog": 3, "owl": 5}, np.empty(0))
        {'owl': 1}
    """
    if isinstance(strategy, str):
        return _by_word(strategy, counts)
    if isinstance(strategy, float | int | np.number) and not isinstance(strategy, bool):
        return _by_share(float(strategy), counts)
    totals: Any = strategy(y) if callable(strategy) else strategy
    if not isinstance(totals, Mapping):
        raise InvalidRequest(
            f"sampling_strategy={strategy!r} was given; it is one of {quoted(_WORDS)}, a number in (0, 1], totals "
            'such as {"cat": 100}, or a function of y that gives these'
        )
    return _by_totals(totals, counts)


def warn_of_inequality(added: Mapping[Label, int], counts: Mapping[Label, int], stacklevel: int) -> None:
    """Warn where only some classes get synthetic rows, which has a measured cost."""
    getting = sum(n > 0 for n in added.values())
    if 0 < getting < len(counts):
        warnings.warn(
            f"{BALANCE_COST} The remedy: weigh the classes in the estimator, as class_weight='balanced' does, and give "
            "every class the same share of synthetic rows, ratio=0.25",
            SynthaugWarning,
            stacklevel=stacklevel + 1,
        )


def _by_word(word: str, counts: Mapping[Label, int]) -> dict[Label, int]:
    if word == "majority":
        raise InvalidRequest(
            "sampling_strategy='majority' was given, and rows are added, not taken away: the largest class is full"
        )
    if word not in _WORDS:
        raise InvalidRequest(
            f"sampling_strategy={word!r} was given; it is one of {quoted(_WORDS)}.{did_you_mean(word, _WORDS)}"
        )
    largest, smallest = _largest(counts), min(counts, key=counts.__getitem__)
    targeted = {
        "all": list(counts),
        "minority": [smallest],
        "not minority": [label for label in counts if label != smallest],
    }.get(word, [label for label in counts if label != largest])
    return {label: counts[largest] - counts[label] for label in targeted}


def _by_share(share: float, counts: Mapping[Label, int]) -> dict[Label, int]:
    if len(counts) != 2 or not 0 < share <= 1:
        raise InvalidRequest(
            f"sampling_strategy={share:g} was given for {len(counts)} classes; a number in (0, 1] says of two classes "
            "how many rows the smaller is to have for each row of the larger. For more classes give totals, or a "
            "share of synthetic rows, ratio="
        )
    largest = _largest(counts)
    added = {label: int(counts[largest] * share - n) for label, n in counts.items() if label != largest}
    if min(added.values()) <= 0:
        raise InvalidRequest(
            f"sampling_strategy={share:g} was given, and the smaller class has as many rows already: give more, up to 1"
        )
    return added


def _by_totals(totals: Mapping[Any, Any], counts: Mapping[Label, int]) -> dict[Label, int]:
    added: dict[Any, int] = {}
    for key, total in totals.items():
        if key not in counts:
            raise InvalidRequest(
                f"sampling_strategy names the class {key!r}, which y does not have."
                f"{did_you_mean(str(key), map(str, counts))}"
            )
        if not isinstance(total, int | np.integer) or total < counts[key]:
            raise InvalidRequest(
                f"sampling_strategy asks for {total!r} rows of the class {key!r}, which has {counts[key]}; totals are "
                "whole numbers, at least what is there, since rows are added only"
            )
        added[key] = int(total) - counts[key]
    return {label: added[label] for label in counts if label in added}


def _largest(counts: Mapping[Label, int]) -> Label:
    return max(counts, key=counts.__getitem__)
