"""What sentences call arms and options: plain words, and in brackets the term that results and requests use."""

from __future__ import annotations

import re

from synthaug.judging.protocol import JUDGED, ON_BOTH
from synthaug.wording import percents

PLAIN = {
    "real": "your rows as they are",
    "real + classical": "small shifts and turns",
    "elastic, weak": "shifts, turns and weak bends",
    "elastic, medium": "shifts, turns and bends",
    "elastic, strong": "shifts, turns and strong bends",
    "policy": "two random changes of ten",
    "mixup": "rows blended in pairs",
    "CutMix": "boxes of rows pasted into others",
    "longer": "1.5 times the steps",
    "generator's time": "the steps that the generator's time would pay for",
    "duplicates": "copies in place of synthetic rows",
    "SMOTE": "points between neighbouring rows in place of synthetic ones",
    "oversampling": "classes drawn evenly",
    "oversampling + classical": "classes drawn evenly, small shifts and turns",
    "class weights": "rare classes counting more",
    "logit adjustment": "a loss that allows for rare classes",
    "adjusted thresholds": "decisions that allow for rare classes",
    "mixup, re-weighted": "rows blended in pairs, rare classes counting more at the end",
    "real + synthetic": "a share of synthetic rows",
    "both": "a share of synthetic rows, small shifts and turns",
    "both, elastic": "a share of synthetic rows, shifts, turns and bends",
    "both, policy": "a share of synthetic rows, two random changes of ten",
    "both, soft labels": "a share of synthetic rows with the labels of judges",
    "both, oversampled": "a share of synthetic rows, classes drawn evenly",
}
"""The arms of `synthaug.judging.LADDER` by their terms; one of a user's own is called what its maker calls it."""

_EVENLY, _LONGER, _FALLING, _CURATED = "oversampling + ", ", longer", ", falling to 0", "curated "
_MIXED = re.compile(rf"(?P<base>.+) \+ (?P<share>\d+%) (?P<kind>.+?)(?P<falling>{_FALLING})?")


def plain_name(term: str) -> str | None:
    """An arm or option in plain words; None where it has no name but its term.

    >>> plain_name("policy + 25% cvae"), plain_name("real, longer"), plain_name("mine")
    ('two random changes of ten, 25 % synthetic rows', 'your rows as they are, 1.5 times the steps', None)
    """
    if term in PLAIN:
        return PLAIN[term]
    if mixed := _MIXED.fullmatch(term):
        base = "" if mixed["base"] == "real" else f"{plain_name(mixed['base']) or mixed['base']}, "
        return f"{base}{percents(mixed['share'])} {_of_kind(mixed['kind'])}{mixed['falling'] or ''}"
    if term.endswith(_LONGER):
        base = term.removesuffix(_LONGER)
        return f"{plain_name(base) or base}, {PLAIN['longer']}"
    if term.startswith(_EVENLY):
        rest = term.removeprefix(_EVENLY)
        return f"{PLAIN['oversampling']}, {plain_name(rest) or rest}"
    return None


def _of_kind(kind: str) -> str:
    """What is mixed in, in plain words."""
    passed = ", let pass by judges" if kind.startswith(_CURATED) else ""
    if kind == JUDGED:
        return "unlabelled rows as judged"
    return f"synthetic rows{' learned from unlabelled rows too' if ON_BOTH in kind else ''}{passed}"


def called(term: str) -> str:
    """An arm or option as sentences and tables call it: in plain words, with its term in brackets.

    >>> called("real + 25% cvae"), called("mine")
    ('25 % synthetic rows (real + 25 % cvae)', '“mine”')
    """
    plain = plain_name(term)
    return f"“{percents(term)}”" if plain is None else f"{plain} ({percents(term)})"
