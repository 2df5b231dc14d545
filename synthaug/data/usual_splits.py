"""What splits are called in the wild."""

from __future__ import annotations

_USUAL = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "test": ("test", "testing", "evaluation"),
}
_SPLITS = {name: split for split, names in _USUAL.items() for name in names}

SPLITS = tuple(_USUAL)
"""The splits there are, in their order."""

SPLIT_NAMES = tuple(_SPLITS)
"""Every usual name of a split, in lower case."""


def usual_split(name: str) -> str | None:
    """The split that a name stands for, whatever its case: "train", "validation" or "test"; None for other names.

    >>> usual_split("Training"), usual_split("val"), usual_split("cat")
    ('train', 'validation', None)
    """
    return _SPLITS.get(name.casefold())
