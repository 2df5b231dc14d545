from __future__ import annotations

import numpy as np
import pytest

from synthaug.data.labeled import open_data
from synthaug.errors import InvalidRequest
from synthaug.generators.generator import Generator
from synthaug.training.train import train_generator

Arrays = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def interpolating(shapes: Arrays) -> Generator:
    return Generator(
        train_generator(open_data(shapes), "cvae", options={"sampling": "interpolation"}, steps=3)
    )


@pytest.fixture(scope="module")
def plain(shapes: Arrays) -> Generator:
    return Generator(train_generator(open_data(shapes), "cvae", steps=3))


@pytest.mark.parametrize("sampling", ["posterior", "interpolation"])
def test_rows_near_training_rows_are_the_same_in_any_request(interpolating: Generator, sampling: str) -> None:
    generator = interpolating.adjusted({"sampling": sampling})
    whole = generator.sample({"lying": 40, "standing": 3}, seed=7).samples
    assert np.array_equal(whole[33:40], generator.sample_rows("lying", 33, 40, seed=7).samples)
    streamed = [part.samples for part in generator.stream({"standing": 3, "lying": 40}, seed=7, batch_size=5)]
    assert np.array_equal(np.concatenate(streamed)[3:], whole[:40])


def test_sampling_adjusted_is_sampling_fitted(interpolating: Generator, plain: Generator) -> None:
    prior = interpolating.adjusted({"sampling": "prior"})
    assert not prior.contains_training_rows
    assert np.array_equal(prior.sample(5).samples, plain.sample(5).samples)
    assert prior.fingerprint == plain.fingerprint
    back = prior.adjusted({"temperature": 0.5}).adjusted({"temperature": 0.85})
    assert back.fingerprint == prior.fingerprint


def test_other_settings_of_sampling_are_another_generator(plain: Generator) -> None:
    cooler = plain.adjusted({"temperature": 0.1})
    assert cooler.fingerprint != plain.fingerprint
    assert not np.array_equal(cooler.sample(5).samples, plain.sample(5).samples)
    assert np.array_equal(plain.sample(5).samples, plain.sample(5).samples)


def test_settings_that_take_another_training_are_refused(plain: Generator) -> None:
    with pytest.raises(
        InvalidRequest, match=r"\['latent'\] of a trained cvae.*only \['neighbours', 'sampling'"
    ):
        plain.adjusted({"latent": 3})
    with pytest.raises(InvalidRequest, match=r"does not keep.*Fit one with options="):
        plain.adjusted({"sampling": "posterior"})
    with pytest.raises(InvalidRequest, match='"temperature" of the family "cvae" cannot be -1'):
        plain.adjusted({"temperature": -1})
