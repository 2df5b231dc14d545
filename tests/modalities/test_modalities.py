"""Every kind of rows keeps the contract, and the house names none."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import synthaug
from synthaug.modalities import Form
from synthaug.modalities.image import ImageForm
from synthaug.modalities.table import TableForm, columns_of_array
from synthaug.testing import MODALITY_CHECKS, check_modality, table_form

ROOT = Path(synthaug.__file__).parent


def table_rows() -> tuple[Form, np.ndarray]:
    rng = np.random.default_rng(1)
    form = table_form()
    encoded = form.backbone().settled(*random_open(form, rng))
    return form, form.decode(encoded)


def random_open(form, rng):
    nets = form.backbone()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = nets.decoder(4)
    opened = decoder(torch.from_numpy(rng.normal(size=(24, 4)).astype(np.float32)))
    return opened.detach(), torch.from_numpy(rng.normal(size=(24, nets.noise)).astype(np.float32))


def vectors(dtype: str) -> tuple[Form, np.ndarray]:
    rows = np.random.default_rng(2).normal(0, 20, size=(16, 100)).astype(dtype)
    return TableForm(columns_of_array(rows), dtype), rows


def images(form: ImageForm) -> tuple[Form, np.ndarray]:
    rng = np.random.default_rng(3)
    if form.dtype == "float32":
        return form, rng.random((12, *form.shape), dtype=np.float32)
    return form, rng.integers(0, np.iinfo(form.dtype).max + 1, (12, *form.shape)).astype(form.dtype)


CASES = {
    "grey": lambda: images(ImageForm(9, 12, 1, "HW", "uint8")),
    "colour": lambda: images(ImageForm(8, 8, 3, "HWC", "uint8")),
    "deep": lambda: images(ImageForm(8, 10, 1, "CHW", "uint16")),
    "floats": lambda: images(ImageForm(8, 10, 3, "CHW", "float32")),
    "table": table_rows,
    "vectors": lambda: vectors("float32"),
    "whole vectors": lambda: vectors("int64"),
}


@pytest.mark.parametrize("check", MODALITY_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", CASES)
def test_every_kind_keeps_the_contract(case: str, check: Callable[[Form, np.ndarray], None]) -> None:
    form, rows = CASES[case]()
    check(form.fitted(rows), rows)


def test_a_kind_that_breaks_the_contract_is_told_what_it_does_not_keep() -> None:
    class Careless(ImageForm):
        def fingerprints(self, images: np.ndarray, ends: np.ndarray | None = None) -> np.ndarray:
            return np.zeros(len(images), np.uint64)

    _, rows = images(ImageForm(9, 12, 1, "HW", "uint8"))
    with pytest.raises(AssertionError):
        check_modality(Careless(9, 12, 1, "HW", "uint8"), rows)


KNOW_ONE = {
    "data/embedded.py",
    "data/items.py",
    "data/opening.py",
    "data/readers",
    "data/unlabelled.py",
    "files",
    "judging/loaders.py",
    "judging/preparation.py",
    "mixing/albumentations.py",
    "mixing/expand.py",
    "mixing/huggingface",
    "mixing/sklearn",
    "mixing/tables.py",
    "mixing/pool.py",
    "mixing/torch/views.py",
    "testing",
}
"""Where something is done to rows of one kind alone: readers and formats, albumentations, data frames."""


def test_only_what_is_about_one_kind_knows_it() -> None:
    """Families, training, generators, metrics, report and the choice ask the form."""
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("modalities/") or any(name.startswith(known) for known in KNOW_ONE):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not node.module.startswith(
                    ("synthaug.modalities.image", "synthaug.modalities.table")
                ), name
