"""A trained generator as a folder: manifest, weights, fingerprints. JSON and safetensors, never pickle.

The manifest lists each file's SHA-256 and everything needed to rebuild the generator without running stored
code: family name and settings, form, classes, seed and steps spent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from synthaug.data.classes import Classes
from synthaug.errors import InvalidArtifact, InvalidRequest
from synthaug.families import build, is_known
from synthaug.generators.card import model_card
from synthaug.generators.facts import Achieved
from synthaug.generators.generator import ROWS, WEIGHTS, Generator, Selection, at_rest
from synthaug.modalities.known import form_of
from synthaug.outputs import atomic_write_bytes, atomic_write_text, one_error, open_output, sha256_file
from synthaug.wording import one_line, quoted

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
FINGERPRINTS = "fingerprints.safetensors"
HISTORY = "history.jsonl"
CARD = "README.md"

_UNFIT = (
    *(
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        RuntimeError,
        ArithmeticError,
        MemoryError,
    ),
    SafetensorError,
)
"""What manifests of anybody lead to where they do not describe the files beside them."""

_LIBRARIES = ("synthaug", "torch", "numpy", "safetensors")


class _Manifest(BaseModel):
    format_version: int
    family: str
    config: dict[str, Any]
    form: dict[str, Any]
    classes: list[str]
    values: list[bool | int | str]
    seed: int
    steps: int
    seconds: float
    data: dict[str, Any]
    contains_training_rows: bool
    kept: dict[str, Any] | None
    achieved: Achieved
    libraries: dict[str, str]
    files: dict[str, str]


def save_generator(generator: Generator, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes the generator as a folder of its own, which appears whole.

    Raises:
        OutputExists: something else is there and ``overwrite`` is false.
    """
    with open_output(path, generator.identity, overwrite=overwrite) as output:
        if not output.finished:
            write_generator(generator, output.work)
            output.commit()


def write_generator(generator: Generator, folder: Path) -> None:
    """Writes weights, fingerprints, history, card and manifest into an existing folder; the manifest comes last."""
    # safetensors has no uint64 in torch; the bits are kept
    prints = {"trained_on": generator.trained_on, "held_out": generator.held_out}
    files = {
        **generator.state_files(),
        FINGERPRINTS: save({k: torch.from_numpy(v.view(np.int64).copy()) for k, v in prints.items()}),
        HISTORY: "".join(json.dumps(line) + "\n" for line in generator.history).encode(),
    }
    for name, content in files.items():
        atomic_write_bytes(folder / name, content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = described(generator) | {"files": sums}
    atomic_write_bytes(folder / CARD, model_card(manifest).encode(errors="backslashreplace"))
    atomic_write_text(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def described(generator: Generator) -> dict[str, Any]:
    """What a manifest says of a generator, but for its files."""
    return {
        "format_version": FORMAT_VERSION,
        "family": generator.family.name,
        "config": asdict(generator.family.config),
        "form": generator.form.to_dict(),
        "classes": list(generator.classes),
        "values": [_plain(value) for value in generator.classes.values],
        "seed": generator.seed,
        "steps": generator.steps,
        "seconds": generator.seconds,
        "data": generator.data,
        "contains_training_rows": generator.family.keeps_rows,
        "kept": None if generator.kept is None else generator.kept.to_dict(),
        "achieved": asdict(generator.achieved),
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a saved generator.

    Raises:
        InvalidArtifact: no manifest, one that cannot be read, not JSON, or of another format version.
    """
    path = folder / MANIFEST
    with _readable(path):
        if not path.is_file():
            found = "the folder is not there" if not folder.exists() else f"there is no {MANIFEST} in it"
            raise InvalidArtifact(
                f"A saved generator was expected in {folder}, but {found}. `synthaug fit` makes one."
            )
        content = path.read_bytes()
    try:
        found = json.loads(content.decode())
        found_version = int(found["format_version"])
        if found_version == FORMAT_VERSION:
            _Manifest.model_validate(found)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = one_line("; ".join(str(error).splitlines()[:3]))
        raise InvalidArtifact(f"{path} is not a manifest ({reason}). Copy the generator again.") from None
    if found_version != FORMAT_VERSION:
        remedy = "Upgrade synthaug" if found_version > FORMAT_VERSION else "Fit the generator again"
        raise InvalidArtifact(
            f"{path} has format version {found_version}, this synthaug reads {FORMAT_VERSION}. {remedy}."
        )
    manifest: dict[str, Any] = found
    listed = {WEIGHTS, FINGERPRINTS, HISTORY} | ({ROWS} if manifest["contains_training_rows"] else set())
    if set(manifest["files"]) != listed:
        raise InvalidArtifact(
            f"{path} lists the files {quoted(sorted(manifest['files']))}; a generator of its kind has "
            f"{quoted(sorted(listed))}. Copy the generator again."
        )
    return manifest


def check_files(folder: Path) -> dict[str, Any]:
    """The manifest of a saved generator, after checking every file against it.

    Raises:
        InvalidArtifact: a file is missing or its bytes have changed, or the manifest cannot be read.
    """
    manifest = read_manifest(folder)
    for name, expected in manifest["files"].items():
        with _readable(folder / name):
            if not (folder / name).is_file():
                raise InvalidArtifact(f"{folder / name} is missing. Copy the generator again.")
            found = sha256_file(folder / name)
        if found != expected:
            raise InvalidArtifact(
                f"{folder / name} is not the file that was saved: its SHA-256 is {found[:16]}..., the manifest "
                f"says {expected[:16]}.... Copy the generator again."
            )
    return manifest


def read_generator(folder: Path) -> Generator:
    """A saved generator, on the CPU, after checking every file against the manifest.

    Raises:
        InvalidArtifact: a file is missing or its bytes have changed, or the manifest cannot be read.
    """
    manifest = check_files(folder)
    if not is_known(manifest["family"]):
        raise InvalidArtifact(
            f'{folder} holds a family "{manifest["family"]}", which this synthaug does not have. If it is that of '
            "another package, install that."
        )
    try:
        return _rebuilt(folder, manifest)
    except (InvalidRequest, *_UNFIT) as error:
        reason = one_line(next(iter(str(error).splitlines()), type(error).__name__))
        raise InvalidArtifact(
            f"The files in {folder} do not fit its manifest: {reason}. Copy the generator again."
        ) from None


def _rebuilt(folder: Path, manifest: Mapping[str, Any]) -> Generator:
    names = (WEIGHTS, ROWS) if manifest["contains_training_rows"] else (WEIGHTS,)
    form = form_of(manifest["form"])
    if not len(manifest["classes"]) == len(manifest["values"]) == len(manifest["data"]["counts"]):
        raise ValueError("its classes, their values and their counts are not as many")
    counts = tuple(manifest["data"]["counts"].values())
    state = {k: v for name in names for k, v in load_file(folder / name).items()}
    made = partial(build, manifest["family"], form, counts, manifest["config"])
    family = at_rest(made, state)
    prints = {k: v.numpy().view(np.uint64) for k, v in load_file(folder / FINGERPRINTS).items()}
    return Generator(
        family=family,
        form=form,
        classes=Classes(tuple(manifest["classes"]), tuple(manifest["values"])),
        seed=manifest["seed"],
        steps=manifest["steps"],
        seconds=manifest["seconds"],
        history=[json.loads(line) for line in (folder / HISTORY).read_text(encoding="utf-8").splitlines()],
        data=manifest["data"],
        trained_on=prints["trained_on"],
        held_out=prints["held_out"],
        achieved=TypeAdapter(Achieved).validate_python(manifest["achieved"]),
        kept=None if manifest["kept"] is None else Selection.from_dict(manifest["kept"]),
    )


def _readable(path: Path) -> AbstractContextManager[None]:
    remedy = "Copy the generator again, or ask for the right to read it."
    return one_error(InvalidArtifact, f"{path} cannot be read", remedy)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
