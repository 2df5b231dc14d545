"""What every way into a loader or a data set has to keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from synthaug.errors import InvalidRequest, Leakage, SpecMismatch
from synthaug.mixing import Adapter, MixOptions, Supply
from synthaug.modalities.image import ImageForm
from synthaug.testing.planted import planted_generator

Make: TypeAlias = Callable[[np.ndarray, list[int]], Any]
"""Images ``(N, 8, 8)`` uint8 and labels 0, 1, 2 to a loader or data set over them."""

Read: TypeAlias = Callable[[Any], Sequence[tuple[np.ndarray, int]]]
"""All rows of a loader or data set, once, as images ``(8, 8)`` and labels."""

_FORM = ImageForm(8, 8, 1, "HW", "uint8", 0.0, 255.0)
_NAMES = ("cat", "dog", "owl")
_N, _SHARE = 60, 0.5


def check_adapter(adapter: Adapter, make: Make, read: Read) -> None:
    """Checks that an adapter mixes what was asked for, and refuses what may not be mixed.

    Args:
        adapter: what to check.
        make: makes what it takes.
        read: reads its rows, real and synthetic ones alike.

    Raises:
        AssertionError: naming what it does not keep.
    """
    images, labels = _real()
    given = make(images, labels)
    assert adapter.recognises(given), "it does not recognise what it is for"
    before = _bytes(read(given))
    mixed = adapter.mix(given, Supply(_generator()), MixOptions(ratio=_SHARE, seed=3))
    assert type(mixed) is type(given), f"a {type(given).__name__} became a {type(mixed).__name__}"
    assert _bytes(read(given)) == before, "what was given was changed"
    rows = read(mixed)
    real = [row for row in rows if np.asarray(row[0]).tobytes() in {image.tobytes() for image in images}]
    made = len(rows) - len(real)
    assert made, "there are no synthetic rows"
    assert abs(made - _SHARE * len(rows)) <= 0.15 * len(rows), f"{made} of {len(rows)} rows are synthetic"
    known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert all(known[np.asarray(image).tobytes()] == label for image, label in real), (
        "a real row has another label"
    )
    assert {label for _, label in rows} == set(labels), "a class was lost, or made up"
    again = adapter.mix(make(images, labels), Supply(_generator()), MixOptions(ratio=_SHARE, seed=3))
    assert _bytes(read(again)) == _bytes(rows), "equal seeds gave other rows"
    none = adapter.mix(make(images, labels), Supply(_generator()), MixOptions(ratio=0.0))
    assert _bytes(read(none)) == before, "a ratio of 0 changed the rows"
    _check_options(adapter, lambda: make(images, labels), read)
    _check_refusals(adapter, lambda: make(images, labels), images)


def _check_options(adapter: Adapter, fresh: Callable[[], Any], read: Read) -> None:
    """What an adapter takes has to do something."""

    def rows(**asked: Any) -> list[tuple[bytes, int]]:
        options = MixOptions(**{"ratio": _SHARE, "seed": 3} | asked)
        return _bytes(read(adapter.mix(fresh(), Supply(_generator()), options)))

    plain, real = rows(), _bytes(read(fresh()))
    for name, value in {"seed": 4, "exact": False, "mode": "append"}.items():
        if name in adapter.takes and not (name == "mode" and _refused(lambda: rows(mode="append"))):
            assert rows(**{name: value}) != plain, f"{name}= is taken and does nothing"
    if "pool" in adapter.takes:
        made = {row for row in rows(pool=1) if row not in set(real)}
        assert len(made) <= len(_NAMES), "pool= is taken and does nothing"


def _refused(ask: Callable[[], Any]) -> bool:
    try:
        ask()
    except InvalidRequest:
        return True
    return False


def _check_refusals(adapter: Adapter, fresh: Callable[[], Any], images: np.ndarray) -> None:
    half = MixOptions(ratio=_SHARE)
    others = planted_generator(("bat", "cow"), ("bat", "cow"), _FORM)
    _refuses(adapter, fresh(), Supply(others), half, InvalidRequest, "classes that the generator lacks")
    larger = planted_generator(_NAMES, (0, 1, 2), ImageForm(9, 9, 1, "HW", "uint8", 0.0, 255.0))
    _refuses(adapter, fresh(), Supply(larger), half, SpecMismatch, "rows of another size")
    seen = planted_generator(_NAMES, (0, 1, 2), _FORM, held_out=_FORM.fingerprints(images[:5]))
    _refuses(adapter, fresh(), Supply(seen), half, Leakage, "rows that were held out")
    _refuses(adapter, fresh(), Supply(_generator()), MixOptions(ratio=1.5), InvalidRequest, "a ratio above 1")
    asked = {"mode": "append", "exact": False, "weight": 0.5, "flag": True, "refresh": 0.5}
    for name, value in asked.items():
        if name not in adapter.takes:
            options = MixOptions(ratio=_SHARE, **{name: value})  # type: ignore[arg-type]
            _refuses(adapter, fresh(), Supply(_generator()), options, InvalidRequest, f"{name}={value}")


def _refuses(
    adapter: Adapter,
    given: Any,
    supply: Supply,
    options: MixOptions,
    error: type[Exception],
    what: str,
) -> None:
    try:
        adapter.mix(given, supply, options)
    except error:
        return
    raise AssertionError(f"it did not refuse {what}")


def _real() -> tuple[np.ndarray, list[int]]:
    """Different pictures, each with the lowest and the highest value in it."""
    images = np.random.default_rng(0).integers(0, 256, (_N, 8, 8), dtype=np.uint8)
    images[:, 0, 0], images[:, 0, 1] = 0, 255
    return images, [row % 3 for row in range(_N)]


def _generator() -> Any:
    return planted_generator(_NAMES, (0, 1, 2), _FORM)


def _bytes(rows: Sequence[tuple[np.ndarray, int]]) -> list[tuple[bytes, int]]:
    return [(np.asarray(image).tobytes(), label) for image, label in rows]
