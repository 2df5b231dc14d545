"""What was written as synthetic rows comes back as the samples that were written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pictured import PICTURED, SUFFIX
from torch.utils.data import DataLoader

import synthaug
from synthaug import open_data
from synthaug.errors import InvalidData, Leakage
from synthaug.files import Place, Stored, read_record, write_samples
from synthaug.modalities.image import fingerprints
from synthaug.testing import planted_generator

COUNTS = {"dog": 3, "T-shirt/top": 2}


def same(found, expected):
    assert (found.samples == expected.samples).all()
    assert found.samples.dtype == expected.samples.dtype
    assert found.labels.tolist() == expected.labels.tolist()
    assert (found.classes, found.form) == (expected.classes, expected.form)
    for name, column in expected.provenance.items():
        assert found.provenance[name].tolist() == column.tolist(), name


@pytest.mark.parametrize("format", PICTURED)
@pytest.mark.parametrize("layout", ["HW", "CHW", "HWC"])
def test_samples_come_back_from_every_format_and_layout_as_they_were_made(tmp_path, format, layout):
    form = replace(planted_generator().form, layout=layout, channels=1 if layout == "HW" else 3)
    generator = planted_generator(values=(4, 0, 7), form=form)
    out = write_samples(generator, COUNTS, Place(tmp_path / f"out{SUFFIX[format]}", format), seed=5)
    found, expected = Stored.at(out).samples(), generator.sample(COUNTS, seed=5)
    order = np.lexsort((found.provenance["index"], found.class_indices))
    wanted = np.lexsort((expected.provenance["index"], expected.class_indices))
    same(found[order], expected[wanted])


@pytest.mark.parametrize("format", PICTURED)
def test_only_synthetic_rows_of_an_expanded_set_come_back_and_other_splits_are_held_out(tmp_path, format):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (12, 8, 9), np.uint8), np.array(["cat", "dog", "T-shirt/top"] * 4)
    source = tmp_path / "in.npz"
    np.savez(source, X=X, y=y, split=np.array(["train"] * 9 + ["test"] * 3))
    generator = planted_generator(("T-shirt/top", "cat", "dog"))
    place = tmp_path / f"out{SUFFIX[format]}"
    out = synthaug.expand(source, generator, to="2x", out=place, format=format, progress=False)
    assert read_record(out)["card"]["copied"] == {"test": 3}
    found = Stored.at(out).samples()
    assert len(found) == 9
    assert found.provenance["synthetic"].all()
    assert (found.samples == generator.sample(dict.fromkeys(generator.classes, 3)).samples).all()
    assert sorted(found.held_out) == sorted(open_data((X[9:], y[9:])).fingerprints())


@pytest.mark.parametrize("format", PICTURED)
def test_samples_still_know_the_held_out_rows_when_they_come_back_and_mixing_refuses_them(tmp_path, format):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (9, 8, 9), np.uint8)
    held_out = fingerprints(images[[5, 2]], "HW")
    generator = planted_generator(held_out=held_out, values=(0, 1, 2))
    out = write_samples(generator, 3, Place(tmp_path / f"out{SUFFIX[format]}", format))
    assert sorted(Stored.at(out).held_out) == sorted(Stored.at(out).samples().held_out) == sorted(held_out)
    rows = list(zip(images, [0, 1, 2] * 3, strict=True))
    with pytest.raises(Leakage, match=r"2 of the 9 rows .*first is row 2\)"):
        synthaug.mix(DataLoader(rows, batch_size=3), out)
    synthaug.mix(DataLoader(rows[6:], batch_size=3), out)


def test_what_holds_no_synthetic_rows_of_ours_is_refused(tmp_path):
    with pytest.raises(InvalidData, match="there is no file or folder"):
        Stored.at(tmp_path / "nothing")
    np.savez(tmp_path / "plain.npz", X=np.zeros((2, 8, 8), np.uint8), y=[0, 1])
    with pytest.raises(InvalidData, match="was not written by synthaug expand or sample"):
        Stored.at(tmp_path / "plain.npz")
