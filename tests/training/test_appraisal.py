from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from synthaug import LabeledData, open_data
from synthaug.errors import InvalidData, Leakage
from synthaug.families import Family, Phase, build
from synthaug.testing import image_form
from synthaug.training import Appraiser, Training, train

Arrays = tuple[np.ndarray, np.ndarray]


class Replay(Family):
    """Stands for a generator: gives back training rows, as the noise picks them, or one row of a class only."""

    name = "replay"

    def __init__(self, rows: Tensor, labels: Tensor, flat: tuple[int, ...] = (), swap: bool = False) -> None:
        super().__init__(image_form(tuple(rows.shape[1:])), [1] * int(labels.max() + 1), ())  # type: ignore[arg-type]
        self.rows, self.labels, self.flat, self.swap = rows, labels, flat, swap
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (1,)

    def phases(self) -> list[Phase]:
        return []

    def sample(self, labels: Tensor, noise: Tensor) -> Tensor:
        made = []
        for label, z in zip(labels.tolist(), noise[:, 0], strict=True):
            of = self.rows[self.labels == ((label + 1) % 2 if self.swap else label)]
            made.append(of[0 if label in self.flat else int(torch.special.ndtr(z) * len(of))])
        return torch.stack(made)


@pytest.fixture(scope="module")
def real(shapes: Arrays) -> LabeledData:
    return open_data(shapes)


def replay(real: LabeledData, **how: object) -> Replay:
    rows = real.form.fitted(real.read()).encode(real.read())
    return Replay(rows, torch.from_numpy(real.labels), **how)  # type: ignore[arg-type]


def appraiser(real: LabeledData, *, held_out: bool, steps: int = 3000) -> Appraiser:
    known, kept = real.take(np.arange(80 if held_out else 120)), real.take(np.arange(80, 120))
    form = real.form.fitted(real.read())
    return Appraiser(known, kept if held_out else None, form, steps=steps, seed=0)


def test_real_rows_are_as_varied_as_real_rows_and_one_row_is_not(
    real: LabeledData,
) -> None:
    judge = appraiser(real, held_out=False)
    assert judge.spread(replay(real)) == pytest.approx(
        dict.fromkeys(judge.spread(replay(real)), 1.0), abs=0.3
    )
    flat = judge.spread(replay(real, flat=(1,)))
    assert flat["standing"] < 0.01
    assert flat["lying"] > 0.7


def test_classes_that_are_all_alike_are_noticed(real: LabeledData) -> None:
    same = replay(real)
    same.labels = torch.from_numpy(np.random.default_rng(0).permutation(real.labels))
    found = appraiser(real, held_out=False).spread(same)
    assert found["the difference between classes"] < 0.5
    assert found["lying"] > 0.7


def test_samples_of_the_right_class_score_higher_than_those_of_the_wrong_one(
    real: LabeledData,
) -> None:
    judge = appraiser(real, held_out=True)
    assert judge.score(replay(real)) > 0.9
    assert judge.score(replay(real, swap=True)) < 0.1
    assert judge.score(replay(real)) == judge.score(replay(real))


def test_nothing_is_scored_without_held_out_rows_or_in_a_small_budget(
    real: LabeledData,
) -> None:
    assert appraiser(real, held_out=False).scoring() is None
    assert appraiser(real, held_out=True, steps=900).scoring() is None
    few, more = (appraiser(real, held_out=True).scoring() for _ in range(2))
    assert few is not None
    assert more is not None
    assert few.noise == more.noise > 0.02


@pytest.mark.parametrize("held_out", [True, False])
def test_what_was_achieved_is_said_in_words_and_figures(real: LabeledData, held_out: bool) -> None:
    found = appraiser(real, held_out=held_out).achieved(replay(real, flat=(0,)))
    assert found.agreement == pytest.approx(1.0, abs=0.1)
    assert found.class_diversity["lying"] < 0.01 < found.class_diversity["standing"]
    assert found.novelty is not None
    assert found.novelty < 0.2  # they are copies
    assert "least in lying (0.00)" in found.text
    assert ("On 40 held-out rows" in found.text) is held_out
    assert (found.held_out is not None) is held_out
    assert ("No rows were held out" in found.text) is not held_out
    assert appraiser(real, held_out=held_out, steps=9).achieved(replay(real)).text.startswith("Not judged: 9")


def test_validation_rows_are_matched_by_the_names_of_their_classes(shapes: Arrays) -> None:
    images, labels = shapes
    known = open_data((images[:80], labels[:80]))
    upright = labels[80:] == "standing"
    validation = open_data(
        (images[80:][upright], np.where(np.arange(upright.sum()) % 2, "standing", "unknown"))
    )
    made = train(known, Training(steps=2), validation=validation)
    assert made.achieved.chosen_step == 2
    assert set(validation.fingerprints()) == set(made.held_out)
    strange = open_data((images[80:], np.where(labels[80:] == "lying", "x", "y")))
    with pytest.raises(InvalidData, match='classes "x", "y", none of which is trained on'):
        train(known, Training(steps=2), validation=strange)
    with pytest.raises(Leakage, match="training and validation rows"):
        train(known, Training(steps=2), validation=known)


def test_a_family_is_built_to_be_judged(real: LabeledData) -> None:
    family = build("cvae", image_form((1, 12, 10)), (40, 40)).eval()
    assert all(np.isfinite(value) for value in appraiser(real, held_out=False).spread(family).values())


def test_large_pictures_are_judged_after_fewer_steps_which_are_as_much_work() -> None:
    """64x64 in colour is nearly 16 times 28x28: a choice gives it some dozens of steps, and drops what is not known."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = rng.integers(0, 60, (120, 64, 64, 3), dtype=np.uint8) + (
        180 * labels[:, None, None, None]
    ).astype(np.uint8)
    large = open_data((images, labels))
    form = large.form.fitted(large.read())
    for steps, judged in ((19, False), (20, True)):
        found = Appraiser(large, None, form, steps=steps, seed=0).achieved(replay(large, swap=True))
        assert (found.agreement is not None) is judged
    assert found.agreement is not None
    assert found.agreement < 0.5
    small = appraiser(open_data((images[:, ::4, ::4, 0], labels)), held_out=False, steps=299)
    assert "too few to learn" in small.achieved(replay(small.real)).text
