from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from synthaug import Classes, ImageForm, Samples, open_data
from synthaug.data import part
from synthaug.errors import InvalidData, InvalidRequest, SynthaugWarning
from synthaug.judging import Curation, Judges, curated_pool
from synthaug.training import train_classifier

CLASSES = ("ant", "bee", "cat")
CENTRES = 4.0 * np.eye(3, 6, dtype=np.float32)


@dataclass(frozen=True)
class Nearest:
    """Classifies by the distance to the means of the classes; its features are the rows."""

    means: np.ndarray
    sharpness: float = 0.5
    prior: np.ndarray = field(default_factory=lambda: np.ones(3))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        gap = np.linalg.norm(self.features(images)[:, None] - self.means, axis=2)
        weights = self.prior * np.exp(-self.sharpness * (gap - gap.min(axis=1, keepdims=True)) ** 2)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def features(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1)


def train_nearest(rows: np.ndarray, labels: np.ndarray, seed: int) -> Nearest:
    flat = rows.reshape(len(rows), -1)
    return Nearest(np.stack([flat[labels == label].mean(axis=0) for label in range(3)]))


def clouds(n: int, seed: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """n rows of each of three classes, normal around centres that are 5.7 apart."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), n)
    return (CENTRES[labels] + spread * rng.standard_normal((3 * n, 6))).astype(np.float32), labels


@pytest.fixture(scope="module")
def judges() -> Judges:
    return Judges.fit(*clouds(100, 0), 3, train_nearest)


def share_kept(found: Curation) -> float:
    return float(found.keep.mean())


def test_held_out_real_rows_are_kept(judges: Judges) -> None:
    assert share_kept(judges.curate(*clouds(200, 1), CLASSES)) >= 0.85


def test_shuffled_labels_are_dropped_for_disagreement(judges: Judges) -> None:
    rows, labels = clouds(100, 2)
    found = judges.curate(rows, (labels + 1) % 3, CLASSES)
    assert (found.reason == "agreement").mean() > 0.95


def test_noise_far_from_all_real_rows_is_dropped(judges: Judges) -> None:
    rows = np.random.default_rng(3).uniform(-20, 20, (300, 6)).astype(np.float32)
    labels = np.arange(300) % 3
    assert share_kept(judges.curate(rows, labels, CLASSES)) < 0.05
    # Also where each is given the label it looks like most.
    likeliest = judges.curate(rows, labels, CLASSES).soft_labels.argmax(axis=1)
    assert share_kept(judges.curate(rows, likeliest, CLASSES, ["outliers"])) < 0.05


class HalfBlind(Nearest):
    """Sees the first half of a row only."""

    def features(self, images: np.ndarray) -> np.ndarray:
        return images[:, :3]


def test_noise_that_judges_do_not_see_is_dropped_by_its_pixels() -> None:
    judges = Judges.fit(*clouds(40, 0), 3, lambda *given: HalfBlind(train_nearest(*given).means[:, :3]))
    rows, labels = clouds(50, 1)
    usual = judges.curate(rows, labels, CLASSES, ["outliers"])
    rows[:, 3:] = np.random.default_rng(2).uniform(-12, 12, (150, 3))
    noisy = judges.curate(rows, labels, CLASSES, ["outliers"])
    np.testing.assert_array_equal(noisy.soft_labels, usual.soft_labels)
    assert share_kept(usual) > 0.85
    assert share_kept(noisy) < 0.1


def test_copies_go_however_likely_they_are(judges: Judges) -> None:
    rows, labels = clouds(100, 0)
    found = judges.curate(rows, labels, CLASSES, ["copies"])
    assert (found.reason == "copies").all()
    nearly = rows + np.float32(0.01)
    assert (judges.curate(nearly, labels, CLASSES, ["copies"]).reason == "copies").all()
    assert judges.curate(*clouds(200, 1), CLASSES, ["copies"]).keep.mean() > 0.99


def test_borderline_rows_stay(judges: Judges) -> None:
    # Towards another class, so that the label is less likely than for nine tenths of real rows, yet not wrong.
    rows, labels = clouds(400, 4)
    probability = judges.curate(rows, labels, CLASSES).soft_labels[np.arange(len(rows)), labels]
    low, usual = np.quantile(probability, [0.07, 0.3])
    borderline = (probability > low) & (probability < usual)
    assert borderline.sum() > 200
    found = judges.curate(rows[borderline], labels[borderline], CLASSES, ["agreement"])
    assert share_kept(found) > 0.9


def test_each_filter_tells_what_it_did_to_what_was_left(judges: Judges) -> None:
    rows, labels = clouds(50, 5)
    labels[:10] = 1
    rows[50:60] = 30
    rows[100:110] = clouds(100, 0)[0][200:210]
    found = judges.curate(rows, labels, CLASSES)
    assert [effect.name for effect in found.effects] == ["agreement", "outliers", "copies"]
    for effect in found.effects:
        own = found.reason == effect.name
        assert effect.dropped == {name: int(own[labels == i].sum()) for i, name in enumerate(CLASSES)}
    assert sum(sum(effect.dropped.values()) for effect in found.effects) + found.keep.sum() == len(rows)
    assert found.effects[2].dropped["cat"] >= 8
    assert found.effects[0].diversity_after > found.effects[1].diversity_after  # the far rows are gone


def test_collapse_shows_as_low_diversity_where_every_row_passes(judges: Judges) -> None:
    varied, narrow = (judges.curate(*clouds(100, 6, spread), CLASSES, ["agreement"]) for spread in (1, 0.1))
    assert share_kept(narrow) == 1
    assert narrow.effects[0].diversity_after < 0.2
    assert varied.effects[0].diversity_after == pytest.approx(1, abs=0.15)


def test_soft_labels_are_distributions_and_follow_the_label(judges: Judges) -> None:
    rows, labels = clouds(50, 7)
    soft = judges.curate(rows, labels, CLASSES).soft_labels
    assert soft.dtype == np.float32
    assert soft.shape == (150, 3)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    assert (soft.argmax(axis=1) == labels).mean() > 0.95


def test_no_judge_is_asked_about_rows_it_has_seen_and_lone_rows_are_seen_by_all() -> None:
    rows, labels = clouds(9, 8)
    rows, labels = rows[:19], labels[:19]  # one row of the last class
    seen = []

    def train(some: np.ndarray, own: np.ndarray, seed: int) -> Nearest:
        seen.append({row.tobytes() for row in some})
        return train_nearest(some, own, seed)

    judges = Judges.fit(rows, labels, 3, train)
    assert all(rows[18].tobytes() in each for each in seen)
    for row in rows[:18]:
        assert sum(row.tobytes() in each for each in seen) == 2
    assert judges.curate(rows[18:] + np.float32(0.5), labels[18:], CLASSES).keep.all()


def test_equal_rows_are_held_out_together() -> None:
    rows, labels = clouds(6, 9)
    rows, labels = np.repeat(rows, 3, axis=0), np.repeat(labels, 3)
    seen = []

    def train(some: np.ndarray, own: np.ndarray, seed: int) -> Nearest:
        seen.append([row.tobytes() for row in some])
        return train_nearest(some, own, seed)

    Judges.fit(rows, labels, 3, train)
    assert {each.count(row.tobytes()) for each in seen for row in rows} == {0, 3}


def test_rare_classes_are_not_held_to_what_frequent_ones_reach() -> None:
    rows, labels = clouds(100, 11)

    def train(some: np.ndarray, own: np.ndarray, seed: int) -> Nearest:
        return replace(train_nearest(some, own, seed), sharpness=0.1, prior=np.bincount(own, minlength=3))

    # Of the last class eight rows are left: like any classifier of so few, this one finds it unlikely.
    judges = Judges.fit(rows[:208], labels[:208], 3, train)
    fresh, asked = clouds(200, 12)
    assert judges.curate(fresh, asked, CLASSES, ["agreement"]).keep[asked == 2].mean() > 0.8


def test_the_outcome_is_decided_by_the_seed() -> None:
    one, two, other = (Judges.fit(*clouds(10, 0), 3, train_nearest, seed=seed) for seed in (0, 0, 1))
    soft = [judges.curate(*clouds(20, 1), CLASSES).soft_labels for judges in (one, two, other)]
    np.testing.assert_array_equal(soft[0], soft[1])
    assert (soft[0] != soft[2]).any()


def test_five_images_of_each_of_ten_classes_suffice_for_the_built_in_classifier() -> None:
    data = part(open_data("bundled:fashion-mnist"), "train")
    firsts = np.concatenate([np.flatnonzero(data.labels == k)[:10] for k in range(10)])
    encoded = data.form.fitted(data.read(slice(0, 8))).encode(data.read(firsts)).numpy()
    labels = data.labels[firsts]
    known = np.arange(100) % 10 < 5

    def train(rows: np.ndarray, own: np.ndarray, seed: int) -> object:
        batches = [(torch.from_numpy(rows), torch.from_numpy(own))]
        return train_classifier(batches, 15, seed, n_classes=10)

    judges = Judges.fit(encoded[known], labels[known], 10, train)
    found = judges.curate(encoded[~known], labels[~known], data.classes)
    assert share_kept(found) >= 0.7
    wrong = judges.curate(encoded[~known], (labels[~known] + 5) % 10, data.classes)
    assert share_kept(wrong) < share_kept(found)
    assert not judges.curate(encoded[known], labels[known], data.classes).keep.any()


def test_what_cannot_be_judged_is_refused(judges: Judges) -> None:
    rows, labels = clouds(4, 13)
    with pytest.raises(InvalidRequest, match="1 folds"):
        Judges.fit(rows, labels, 3, train_nearest, folds=1)
    with pytest.raises(InvalidData, match="no class has two"):
        Judges.fit(rows[::4], labels[::4], 3, train_nearest)
    with pytest.raises(InvalidRequest, match=r'no filter "agrement". Did you mean "agreement"'):
        judges.curate(rows, labels, CLASSES, ["agrement"])
    with pytest.raises(InvalidRequest, match=r'"dog".*no real row'):
        judges.curate(rows, np.full(12, 3), (*CLASSES, "dog"))


class InUnits(ImageForm):
    """Rows that are encoded to the units of the clouds."""

    def encode(self, images: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(images.reshape(len(images), -1).astype(np.float32) - 128) / 10


class AsTheyAre(ImageForm):
    """Rows that need no encoding."""

    def encode(self, images: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(images)


class Sequences:
    """Behind the face of a generator: endless sequences of rows, of which a share has a wrong label, by class."""

    classes = Classes(CLASSES, CLASSES)
    form: ImageForm = InUnits(1, 6, 1, "CHW", "uint8", 0.0, 255.0)

    def __init__(self, bad: Mapping[str, float] | None = None) -> None:
        self.bad = {**dict.fromkeys(CLASSES, 1 / 3), **(bad or {})}

    def sample_rows(self, name: str, start: int, stop: int, *, seed: int = 0) -> Samples:
        label, rows = CLASSES.index(name), []
        for index in range(start, stop):
            rng = np.random.default_rng([label, index])
            true = (label + (rng.random() < self.bad[name])) % 3
            rows.append(128 + 10 * (CENTRES[true] + rng.standard_normal(6)))
        count = stop - start
        return Samples(
            samples=np.rint(rows).astype(np.uint8).reshape(-1, 1, 1, 6),
            labels=np.array([name] * count),
            classes=self.classes,
            form=self.form,
            provenance={"class": np.array([name] * count), "index": np.arange(start, stop)},
        )


def test_a_pool_has_exactly_the_rows_asked_for_in_the_order_of_their_sequences(judges: Judges) -> None:
    pool, told = curated_pool(Sequences(), judges, {"bee": 30, "ant": 12, "cat": 0})
    assert pool.counts == {"ant": 12, "bee": 30, "cat": 0}
    assert pool.labels.tolist() == ["bee"] * 30 + ["ant"] * 12
    assert (np.diff(pool.provenance["index"][:30]) > 0).all()
    assert judges.curate(pool.form.encode(pool.samples).numpy(), pool.class_indices, CLASSES).keep.all()
    assert told.soft_labels.shape == (42, 3)


def test_fewer_rows_are_a_prefix_of_more(judges: Judges) -> None:
    few, many = (curated_pool(Sequences(), judges, n)[0] for n in (30, 110))
    for name in CLASSES:
        ours, theirs = (pool.provenance["index"][pool.labels == name] for pool in (few, many))
        np.testing.assert_array_equal(ours, theirs[:30])


def test_of_each_class_what_was_kept_and_dropped_adds_up_to_what_was_looked_at(judges: Judges) -> None:
    pool, told = curated_pool(Sequences(), judges, 50)
    for name in CLASSES:
        dropped = sum(counts[name] for counts in told.dropped.values())
        assert told.kept[name] + dropped == told.looked_at[name]
        assert told.looked_at[name] == pool.provenance["index"][pool.labels == name].max() + 1
        assert told.kept[name] == 50
        assert {effect.name: effect.dropped[name] for effect in told.effects} == {
            reason: counts[name] for reason, counts in told.dropped.items()
        }
    assert all(effect.diversity_after is not None for effect in told.effects)


def test_a_short_class_is_filled_up_with_the_likeliest_of_the_others_and_named(judges: Judges) -> None:
    maker = Sequences({"ant": 0.0, "bee": 0.95, "cat": 0.0})
    with pytest.warns(SynthaugWarning, match=r'"bee": \d+% of 40\)') as said:
        pool, told = curated_pool(maker, judges, 20, attempts=2)
    assert len(said) == 1
    assert pool.counts == dict.fromkeys(CLASSES, 20)
    assert told.looked_at["bee"] == 40
    assert told.kept["bee"] + told.filled["bee"] == 20
    assert told.filled["ant"] == told.filled["cat"] == 0
    index = pool.provenance["index"][pool.labels == "bee"]
    assert (np.diff(index) > 0).all()
    whole = judges.curate(
        maker.form.encode(maker.sample_rows("bee", 0, 40).samples).numpy(), np.ones(40, int), CLASSES
    )
    left_out = np.setdiff1d(np.arange(40), index)
    assert not whole.keep[left_out].any()
    filled = index[~whole.keep[index]]
    assert whole.soft_labels[filled, 1].min() >= whole.soft_labels[left_out, 1].max()


def test_copies_fill_up_last(judges: Judges) -> None:
    copies = clouds(100, 0)[0][:40]
    others = clouds(100, 0)[0][100:140]  # of another class

    class Copies(Sequences):
        form = AsTheyAre(1, 6, 1, "CHW", "float32")

        def sample_rows(self, name: str, start: int, stop: int, *, seed: int = 0) -> Samples:
            made = super().sample_rows(name, start, stop, seed=seed)
            index = made.provenance["index"]
            return replace(
                made, samples=np.where((index % 2)[:, None], copies[index % 40], 2 * others[index % 40])
            )

    with pytest.warns(SynthaugWarning, match="0% of 80"):
        pool, _ = curated_pool(Copies(), judges, {"ant": 20}, filters=("agreement", "copies"))
    assert (pool.provenance["index"] % 2 == 0).all()


def test_nothing_is_said_where_all_goes_well(judges: Judges) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curated_pool(Sequences(), judges, 20)


def test_an_impossible_pool_is_refused(judges: Judges) -> None:
    with pytest.raises(InvalidRequest, match=r'no class "bea". Did you mean "bee"'):
        curated_pool(Sequences(), judges, {"bea": 2})
    with pytest.raises(InvalidRequest, match="0 curated samples"):
        curated_pool(Sequences(), judges, 0)
