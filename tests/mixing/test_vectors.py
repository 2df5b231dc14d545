"""Vectors are mixed as images are: in loaders, in the step, and refused where they are of another scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from synthaug import BatchMixer, Generator, Samples, fit, mix
from synthaug.errors import SpecMismatch

N, D = 64, 9
SCALES = np.array([1, 10, 100, 1000, 1, 1, 5, 50, 0.1], np.float32)


@pytest.fixture(scope="module")
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    X = rng.lognormal(size=(N, D)).astype(np.float32) * SCALES
    return torch.from_numpy(X), torch.arange(N) % 2


@pytest.fixture(scope="module")
def maker(rows: tuple[torch.Tensor, torch.Tensor]) -> Generator:
    return fit(rows, steps=300, progress=False)


@pytest.fixture(scope="module")
def samples(maker: Generator) -> Samples:
    return maker.sample(40)


def loader(X: torch.Tensor, y: torch.Tensor) -> DataLoader:
    return DataLoader(TensorDataset(X, y), batch_size=16, shuffle=True)


def test_a_loader_of_vectors_gets_the_share_in_every_batch(rows, samples) -> None:
    mixed = mix(loader(*rows), samples, ratio=0.25, flag=True)
    real = {tuple(row) for row in rows[0].tolist()}
    for X, y, synthetic in mixed:
        assert X.shape == (16, D)
        assert X.dtype == torch.float32
        assert int(synthetic.sum()) == 4
        assert [tuple(row) in real for row in X.tolist()] == [not made for made in synthetic.tolist()]
        assert set(y.tolist()) <= {0, 1}


@pytest.mark.parametrize("source", ["samples", "maker"])
def test_the_step_mixes_vectors(source: str, request: pytest.FixtureRequest, rows) -> None:
    X, y = rows[0][:16], rows[1][:16]
    made, labels = BatchMixer(request.getfixturevalue(source), ratio=0.5)((X, y))
    assert (made != X).any(dim=1).sum() == 8
    assert torch.equal(labels, y)
    assert torch.equal(X, rows[0][:16])


@pytest.mark.parametrize(
    "change", [lambda X: (X - X.mean(0)) / X.std(0), lambda X: X / 255, lambda X: X.double()]
)
def test_vectors_of_another_scale_or_dtype_are_refused(change, rows, samples) -> None:
    with pytest.raises(SpecMismatch, match="real and synthetic rows differ"):
        mix(loader(change(rows[0]), rows[1]), samples, ratio=0.25)


def test_a_few_rows_of_heavy_tails_are_no_other_scale(rows, samples) -> None:
    low = rows[0].sum(dim=1).argsort()[:20]
    mix(loader(rows[0][low], rows[1][low]), samples, ratio=0.25)


def test_missing_cells_are_no_chance() -> None:
    X = torch.from_numpy(np.random.default_rng(1).normal(size=(N, D)).astype(np.float32))
    X[::3, 2] = torch.nan
    y = torch.arange(N) % 2
    items = TensorDataset(X, y)
    made = fit(items, steps=20, progress=False).sample(20)
    assert np.isnan(made.samples[:, 2]).any()
    for batch, _ in mix(DataLoader(items, batch_size=16), made, ratio=0.25):
        assert len(batch) == 16
