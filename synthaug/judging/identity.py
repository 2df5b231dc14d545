"""What tells one training function of a user from another, so that a kept result is never taken for that of another."""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any
from uuid import uuid4

import numpy as np
import torch

from synthaug.judging.preparation import as_plain

_PROCESS = uuid4().hex
_OF_PYTHON = 1 << 9  # the flag of classes that are not part of a library in C
_SEEN: dict[
    int, Any
] = {}  # what cannot be told from others but by being itself: it stays, so that its id does


def identity_of(train: Any) -> list[str] | None:
    """The name of a training function, and a digest of what decides what it does, as far as that can be looked at.

    That is its source, what it closes over, its defaults, what a partial or a method is bound to, and what it uses of
    its own module: plain values, arrays, functions and classes. A function that closes over anything else is equal to
    itself only, and in this process only.
    """
    if train is None:
        return None
    named = train.func if isinstance(train, functools.partial) else train
    name = [str(getattr(named, part, "")) for part in ("__module__", "__qualname__")]
    return [*name, hashlib.sha256(_told(train, ()).encode()).hexdigest()]


def identity_of_own(augmentations: Mapping[str, Any], arms: Sequence[Any]) -> dict[str, Any]:
    """What tells augmentations and arms of a user from others; nothing where there are none."""
    found: dict[str, Any] = {}
    if augmentations:
        found["augmentations"] = {name: as_plain(pipeline) for name, pipeline in augmentations.items()}
    if arms:
        found["arms"] = [[arm.name, hashlib.sha256(_told(arm, ()).encode()).hexdigest()] for arm in arms]
    return found


def _told(value: Any, above: tuple[int, ...]) -> str:
    """A text that is the same for values that do the same."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic):
        return f"{type(value).__name__} {value!r}"
    if id(value) in above:  # such as a function that calls itself
        return f"the one {len(above) - above.index(id(value))} above"
    above = (*above, id(value))
    if isinstance(value, list | tuple):
        parts: Any = list(value)
    elif isinstance(value, set | frozenset):
        parts = sorted(_told(part, above) for part in value)
    elif isinstance(value, Mapping):
        parts = [part for pair in value.items() for part in pair]
    elif isinstance(value, functools.partial):
        parts = [value.func, value.args, value.keywords]
    elif isinstance(value, types.MethodType):
        parts = [value.__func__, value.__self__]
    elif is_dataclass(value) and not isinstance(value, type):
        parts = [type(value), *(getattr(value, each.name) for each in fields(value))]
    elif isinstance(value, types.FunctionType) and (text := _source(value.__code__)):
        parts = [text, *_beside_source(value)]
    elif isinstance(value, type) and ((text := _source(value)) or not value.__flags__ & _OF_PYTHON):
        parts = [value.__module__, value.__qualname__, text]
    elif isinstance(value, types.ModuleType | types.BuiltinFunctionType):
        parts = [getattr(value, "__module__", None), value.__name__]
    elif isinstance(value, np.ndarray) and value.dtype != object:
        parts = [value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    elif isinstance(value, torch.Tensor) and value.dtype != torch.bfloat16:  # which NumPy does not have
        parts = [value.detach().cpu().numpy()]
    else:
        _SEEN[id(value)] = value
        parts = [_PROCESS, id(value)]
    return f"{type(value).__name__} [{', '.join(_told(part, above) for part in parts)}]"


def _source(of: Any) -> str | None:
    """The source of a function's code or of a class; None where there is none."""
    try:
        return inspect.getsource(of)
    except (OSError, TypeError):
        return None


def _beside_source(function: types.FunctionType) -> list[Any]:
    """What decides what a function does beside its source."""
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:  # not filled yet
            cells.append(None)
    # several may stand on one line
    code = _code(function.__code__) if function.__name__ == "<lambda>" else None
    known = {name: function.__globals__.get(name) for name in sorted(_names(function.__code__))}
    used = {
        name: value
        for name, value in known.items()
        if isinstance(value, bool | int | float | str | bytes)
        or (isinstance(value, types.FunctionType | type) and value.__module__ == function.__module__)
    }
    return [code, cells, function.__defaults__, function.__kwdefaults__, used]


def _names(code: types.CodeType) -> set[str]:
    inner = [_names(const) for const in code.co_consts if isinstance(const, types.CodeType)]
    return set(code.co_names).union(*inner)


def _code(code: types.CodeType) -> list[Any]:
    consts = [_code(const) if isinstance(const, types.CodeType) else const for const in code.co_consts]
    return [code.co_code, code.co_names, consts]
