"""A trained generator as a folder: manifest, weights, fingerprints. JSON and safetensors, never pickle.

The manifest lists each file's SHA-256 and everything needed to rebuild the generator without running stored
code: family name and settings, codec, classes, seed and steps spent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from safetensors.torch import load_file, save

from synthaug.errors import InvalidArtifact, InvalidRequest
from synthaug.families import FAMILIES, build
from synthaug.files.formats import table_cell
from synthaug.modalities.image.codec import ImageCodec
from synthaug.outputs import atomic_write_bytes, atomic_write_text, sha256_file
from synthaug.training.history import HISTORY
from synthaug.training.train import Trained

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
FINGERPRINTS = "fingerprints.safetensors"
ROWS = "rows.safetensors"
"""The training rows of families that keep some, apart from the weights."""
CARD = "README.md"

_LIBRARIES = ("synthaug", "torch", "numpy", "safetensors")


_ROWS = "exemplars"  # the buffer of such families


class _Manifest(BaseModel):
    format_version: int
    family: str
    config: dict[str, Any]
    codec: dict[str, Any]
    classes: list[str]
    values: list[bool | int | str]
    seed: int
    steps: int
    seconds: float
    data: dict[str, Any]
    contains_training_rows: bool
    achieved: dict[str, Any] = {}
    libraries: dict[str, str]
    files: dict[str, str]


def state_files(trained: Trained) -> dict[str, bytes]:
    """The family's weights, and the training rows it keeps if it does, as safetensors files by name."""
    state = {name: tensor.contiguous() for name, tensor in trained.family.state_dict().items()}
    files = {WEIGHTS: save({name: tensor for name, tensor in state.items() if name != _ROWS})}
    return files | ({ROWS: save({_ROWS: state[_ROWS]})} if trained.family.keeps_rows else {})


def write_artifact(trained: Trained, folder: Path) -> None:
    """Writes weights, fingerprints, history, card and manifest into an existing folder; the manifest comes last."""
    # safetensors has no uint64 in torch; the bits are kept
    prints = {"trained_on": trained.trained_on, "held_out": trained.held_out}
    files = {
        **state_files(trained),
        FINGERPRINTS: save({k: torch.from_numpy(v.view(np.int64).copy()) for k, v in prints.items()}),
        HISTORY: "".join(json.dumps(line) + "\n" for line in trained.history).encode(),
    }
    for name, content in files.items():
        atomic_write_bytes(folder / name, content)
    manifest = {
        "format_version": FORMAT_VERSION,
        "family": trained.family.name,
        "config": asdict(trained.family.config),
        "codec": trained.codec.to_dict(),
        "classes": list(trained.classes),
        "values": [_plain(value) for value in trained.values],
        "seed": trained.seed,
        "steps": trained.steps,
        "seconds": trained.seconds,
        "data": trained.data,
        "contains_training_rows": trained.family.keeps_rows,
        "achieved": trained.achieved,
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    atomic_write_bytes(folder / CARD, model_card(manifest).encode(errors="backslashreplace"))
    atomic_write_text(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def model_card(manifest: Mapping[str, Any]) -> str:
    """What a generator is, as the Hugging Face Hub shows it: a YAML header and a page for people."""
    counts: Mapping[str, int] = manifest["data"]["counts"]
    rows = "".join(f"| {table_cell(name)} | {n} |\n" for name, n in counts.items())
    codec = ImageCodec.from_dict(manifest["codec"])
    contains = (
        "**yes**: whoever has them has rows of the data set" if manifest["contains_training_rows"] else "no"
    )
    return (
        "---\n"
        "library_name: synthaug\n"
        "tags:\n- synthaug\n- synthetic\n- data-augmentation\n- image-generation\n"
        "---\n"
        "# A generator of labelled images\n\n"
        f"A {manifest['family']} trained with synthaug on "
        f"{sum(counts.values())} labelled images, to make more of them for training.\n\n"
        "```python\n"
        "import synthaug\n\n"
        'generator = synthaug.load("OWNER/NAME")  # or the folder of these files\n'
        f"samples = generator.sample({json.dumps(dict.fromkeys(counts, 10), ensure_ascii=False)}, seed=0)\n"
        "```\n\n"
        f"| class | training rows |\n|---|---:|\n{rows}\n"
        f"- Form of a row: {codec.spec}\n"
        f"- Training: {manifest['steps']} steps with seed {manifest['seed']}\n"
        f"- What it achieved: {table_cell(manifest['achieved'].get('text', 'not judged'))}\n"
        f"- Weights: SHA-256 `{manifest['files'][WEIGHTS]}`\n"
        f"- Training rows in these files: {contains}\n"
        "- Privacy: no differential privacy; samples can resemble training rows\n"
        "- Licence: not stated\n\n"
        "Its rows are for training. Do not test on them. Whether they help depends on the data and the "
        "classifier: `synthaug evaluate` measures it.\n"
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a saved generator.

    Raises:
        InvalidArtifact: no manifest, not JSON, or of a newer format version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        found = "the folder is not there" if not folder.exists() else f"there is no {MANIFEST} in it"
        raise InvalidArtifact(
            f"A saved generator was expected in {folder}, but {found}. `synthaug fit` makes one."
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        found_version = int(found["format_version"])
        if found_version <= FORMAT_VERSION:
            _Manifest.model_validate(found)
    except (ValueError, KeyError, TypeError) as error:
        reason = "; ".join(str(error).splitlines()[:3])
        raise InvalidArtifact(f"{path} is not a manifest ({reason}). Copy the generator again.") from None
    if found_version > FORMAT_VERSION:
        raise InvalidArtifact(
            f"{path} has format version {found_version}, this synthaug reads up to {FORMAT_VERSION}. Upgrade synthaug."
        )
    manifest: dict[str, Any] = found
    listed = {WEIGHTS, FINGERPRINTS, HISTORY} | ({ROWS} if manifest["contains_training_rows"] else set())
    if set(manifest["files"]) != listed:
        raise InvalidArtifact(
            f"{path} lists the files {sorted(manifest['files'])}; a generator of its kind has {sorted(listed)}. "
            "Copy the generator again."
        )
    return manifest


def check_files(folder: Path) -> dict[str, Any]:
    """The manifest of a saved generator, after checking every file against it.

    Raises:
        InvalidArtifact: a file is missing or its bytes have changed, or the manifest cannot be read.
    """
    manifest = read_manifest(folder)
    for name, expected in manifest["files"].items():
        if not (folder / name).is_file():
            raise InvalidArtifact(f"{folder / name} is missing. Copy the generator again.")
        if (found := sha256_file(folder / name)) != expected:
            raise InvalidArtifact(
                f"{folder / name} is not the file that was saved: its SHA-256 is {found[:16]}..., the manifest "
                f"says {expected[:16]}.... Copy the generator again."
            )
    return manifest


def read_artifact(folder: Path) -> Trained:
    """A saved generator, after checking every file against the manifest.

    Raises:
        InvalidArtifact: a file is missing or its bytes have changed, or the manifest cannot be read.
    """
    manifest = check_files(folder)
    if manifest["family"] not in FAMILIES:
        raise InvalidArtifact(
            f'{folder} holds a family "{manifest["family"]}", which this synthaug does not have.'
        )
    names = (WEIGHTS, ROWS) if manifest["contains_training_rows"] else (WEIGHTS,)
    try:
        codec = ImageCodec.from_dict(manifest["codec"])
        with torch.random.fork_rng(devices=[]):
            counts = tuple(manifest["data"]["counts"].values())
            family = build(manifest["family"], codec.shape, counts, manifest["config"])
        family.load_state_dict({k: v for name in names for k, v in load_file(folder / name).items()})
    except (InvalidRequest, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidArtifact(f"The weights in {folder} do not fit its manifest: {reason}") from None
    prints = {k: v.numpy().view(np.uint64) for k, v in load_file(folder / FINGERPRINTS).items()}
    return Trained(
        family=family.to(memory_format=torch.channels_last).eval().requires_grad_(False),  # type: ignore[call-overload]
        codec=codec,
        classes=tuple(manifest["classes"]),
        values=tuple(manifest["values"]),
        seed=manifest["seed"],
        steps=manifest["steps"],
        seconds=manifest["seconds"],
        history=[json.loads(line) for line in (folder / HISTORY).read_text(encoding="utf-8").splitlines()],
        data=manifest["data"],
        trained_on=prints["trained_on"],
        held_out=prints["held_out"],
        achieved=manifest.get("achieved", {}),
    )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
