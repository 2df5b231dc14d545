from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from synthaug import Classes, Generator, LabeledData, Plan, Samples, fit, load, open_data
from synthaug.errors import InvalidArtifact, InvalidRequest, SynthaugWarning
from synthaug.families import FAMILIES
from synthaug.generators import Achieved, HeldOutAccuracy, Selection
from synthaug.training import BUDGET, Training, train

Arrays = tuple[np.ndarray, np.ndarray]

FULL = Achieved(
    "All of it.", 0.9, 0.8, 0.7, {"lying": 0.6, "standing": 0.1 + 0.2}, HeldOutAccuracy(20, 0.5, 0.75), 3
)


@pytest.fixture(scope="module")
def interpolating(shapes: Arrays) -> Generator:
    return train(open_data(shapes), Training("cvae", {"sampling": "interpolation"}, steps=3))


@pytest.fixture(scope="module")
def plain(shapes: Arrays) -> Generator:
    return train(open_data(shapes), Training("cvae", steps=3))


@pytest.fixture(
    scope="module",
    params=[*((name, {}) for name in FAMILIES), ("cvae", {"sampling": "interpolation"})],
    ids=str,
)
def trained(request: pytest.FixtureRequest, shapes: Arrays) -> Generator:
    """One of each family that has met no held-out row, and of which much is known."""
    data: LabeledData = open_data(shapes)
    family, options = request.param
    made = train(
        data.take(np.arange(100)),
        Training(family, options, steps=3, seed=2),
        held_out=data.take(np.arange(100, 120)),
    )
    return replace(made, achieved=FULL)


def assert_same(found: Generator, wanted: Generator) -> None:
    """The same in everything that can be asked of a generator."""
    assert found.fingerprint == wanted.fingerprint
    assert found.state_files() == wanted.state_files()
    assert type(found.family) is type(wanted.family)
    assert found.family.config == wanted.family.config
    assert not found.family.training
    assert not any(parameter.requires_grad for parameter in found.family.parameters())
    for name in ("form", "classes", "seed", "steps", "seconds", "history", "data", "achieved", "about"):
        assert getattr(found, name) == getattr(wanted, name), name
    assert [type(value) for value in found.classes.values] == [type(v) for v in wanted.classes.values]
    for name in ("trained_on", "held_out"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        assert ours.dtype == theirs.dtype == np.uint64
        np.testing.assert_array_equal(ours, theirs)
    ours, theirs = (maker.sample({"standing": 35, "lying": 2}, seed=5) for maker in (found, wanted))
    np.testing.assert_array_equal(ours.samples, theirs.samples)
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    np.testing.assert_array_equal(ours.held_out, theirs.held_out)
    assert {k: v.tolist() for k, v in ours.provenance.items()} == {
        k: v.tolist() for k, v in theirs.provenance.items()
    }


def test_a_saved_generator_is_in_everything_the_same_after_load(trained: Generator, tmp_path: Path) -> None:
    assert len(trained.held_out) == 20
    state = torch.random.get_rng_state()
    trained.save(tmp_path / "gen")
    loaded = load(tmp_path / "gen", device="cpu")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert_same(loaded, trained)
    loaded.save(tmp_path / "again")
    files = sorted(path.name for path in (tmp_path / "gen").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "again").iterdir())
    assert all((tmp_path / "gen" / n).read_bytes() == (tmp_path / "again" / n).read_bytes() for n in files)


@pytest.mark.parametrize("values", [(True, False), (7, -2), ("a/b", "é")])
def test_labels_of_every_kind_are_the_same_after_load(
    plain: Generator, values: tuple, tmp_path: Path
) -> None:
    wanted = replace(plain, classes=Classes(plain.classes.names, values))
    wanted.save(tmp_path / "gen")
    assert_same(load(tmp_path / "gen", device="cpu"), wanted)


def test_a_generator_pickles_with_what_it_keeps_and_touches_no_global_stream(trained: Generator) -> None:
    assert_same(pickle.loads(pickle.dumps(trained)), trained)
    curated = trained.keeping(Selection(5, {"lying": np.array([1, 40]), "standing": np.array([3])}))
    state = torch.random.get_rng_state()
    copied = pickle.loads(pickle.dumps(curated))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert copied.kept is not None
    assert copied.kept.fingerprint() == curated.kept.fingerprint()
    asked = {"lying": 2, "standing": 1}
    np.testing.assert_array_equal(copied.sample(asked, seed=5).samples, curated.sample(asked, seed=5).samples)


def test_a_generator_is_copied_to_another_device_and_stays_where_it_is(trained: Generator) -> None:
    assert trained.to("cpu") is trained
    before = trained.sample(3).samples
    elsewhere = trained.to("meta")
    assert {tensor.device.type for tensor in elsewhere.family.state_dict().values()} == {"meta"}
    assert elsewhere.device.type == "meta"
    assert trained.device.type == "cpu"
    assert elsewhere.steps == trained.steps
    assert elsewhere.classes == trained.classes
    np.testing.assert_array_equal(trained.sample(3).samples, before)
    with pytest.raises(InvalidRequest, match=r'device "nowhere" cannot be used.*Try --device cpu'):
        trained.to("nowhere")


def test_a_generator_that_keeps_some_rows_gives_these_and_no_others(trained: Generator) -> None:
    rows = {"lying": np.array([1, 2, 40]), "standing": np.array([0, 33])}
    curated = trained.keeping(Selection(5, rows))
    whole = trained.sample({"standing": 34, "lying": 41}, seed=5)
    found = curated.sample({"standing": 2, "lying": 3}, seed=5)
    of = np.concatenate([rows["standing"], 34 + rows["lying"]])
    np.testing.assert_array_equal(found.samples, whole.samples[of])
    np.testing.assert_array_equal(found.labels, whole.labels[of])
    for name, column in found.provenance.items():
        np.testing.assert_array_equal(column, whole.provenance[name][of])
    assert curated.numbers("lying", 1, 3).tolist() == [2, 40]
    np.testing.assert_array_equal(curated.sample_rows("lying", 1, 3, seed=5).samples, found.samples[3:])
    assert curated.fingerprint == trained.fingerprint
    for asked, seed in (({"lying": 4}, 5), ({"standing": 3, "lying": 1}, 5), ({"lying": 1}, 6)):
        with pytest.raises(InvalidRequest, match=r"of seed 5 were curated\. Ask for fewer, of that seed"):
            curated.sample(asked, seed=seed)
    with pytest.raises(InvalidRequest, match=r'\("lying": 3 of 4; "standing": 2 of 9\)'):
        curated.require({"lying": 4, "standing": 9}, 5)
    again = trained.sample_rows(np.str_("lying"), 0, 41, seed=5)  # a text as provenance has it
    np.testing.assert_array_equal(again.samples, whole.samples[34:])
    assert trained.kept is None
    assert_same(curated.keeping(None), trained)


def test_a_selection_is_told_by_its_seed_and_its_rows_whatever_their_order() -> None:
    one, two = np.array([1, 2]), np.array([3])
    known = Selection(0, {"a": one, "b": two}).fingerprint()
    assert Selection(0, {"b": two, "a": one}).fingerprint() == known
    assert Selection(1, {"a": one, "b": two}).fingerprint() != known
    assert Selection(0, {"a": two, "b": one}).fingerprint() != known


@pytest.mark.parametrize("sampling", ["posterior", "interpolation"])
def test_rows_near_training_rows_are_the_same_in_any_request(interpolating: Generator, sampling: str) -> None:
    generator = interpolating.adjusted({"sampling": sampling})
    whole = generator.sample({"lying": 40, "standing": 3}, seed=7).samples
    assert np.array_equal(whole[33:40], generator.sample_rows("lying", 33, 40, seed=7).samples)
    pieces = [generator.sample_rows("lying", start, start + 5, seed=7) for start in range(0, 40, 5)]
    assert np.array_equal(Samples.join(pieces).samples, whole[:40])
    other = generator.sample({"standing": 3, "lying": 40}, seed=7).samples
    assert np.array_equal(other[3:], whole[:40])
    assert np.array_equal(other[:3], whole[40:])


def test_sampling_adjusted_is_sampling_fitted(interpolating: Generator, plain: Generator) -> None:
    assert interpolating.about.contains_training_rows
    prior = interpolating.adjusted({"sampling": "prior"})
    assert not prior.about.contains_training_rows
    assert np.array_equal(prior.sample(5).samples, plain.sample(5).samples)
    assert prior.fingerprint == plain.fingerprint
    back = prior.adjusted({"temperature": 0.5}).adjusted({"temperature": 0.85})
    assert back.fingerprint == prior.fingerprint


def test_other_settings_of_sampling_are_another_generator(plain: Generator) -> None:
    cooler = plain.adjusted({"temperature": 0.1})
    assert cooler.fingerprint != plain.fingerprint
    assert not np.array_equal(cooler.sample(5).samples, plain.sample(5).samples)
    assert np.array_equal(plain.sample(5).samples, plain.sample(5).samples)


def test_settings_of_sampling_are_kept_by_save_and_pickle(interpolating: Generator, tmp_path: Path) -> None:
    wanted = interpolating.adjusted({"sampling": "posterior", "temperature": 0.3})
    wanted.save(tmp_path / "gen")
    for found in (load(tmp_path / "gen", device="cpu"), pickle.loads(pickle.dumps(wanted))):
        assert_same(found, wanted)
        assert_same(found.adjusted({"sampling": "prior"}), wanted.adjusted({"sampling": "prior"}))


def test_settings_that_take_another_training_are_refused(plain: Generator) -> None:
    with pytest.raises(InvalidRequest, match=r'"latent" of a trained cvae.*only "neighbours", "sampling"'):
        plain.adjusted({"latent": 3})
    with pytest.raises(InvalidRequest, match=r"does not keep.*Fit one with it \(options="):
        plain.adjusted({"sampling": "posterior"})
    with pytest.raises(InvalidRequest, match='"temperature" of the family "cvae" cannot be -1'):
        plain.adjusted({"temperature": -1})


LOADING = """
import json, sys
import synthaug
synthaug.load(sys.argv[1])
print(json.dumps(sorted(sys.modules)))
"""


def test_loading_a_generator_imports_nothing_that_trains_judges_mixes_or_reports(
    plain: Generator, tmp_path: Path
) -> None:
    plain.save(tmp_path / "gen")
    command = [sys.executable, "-W", "error", "-c", LOADING, str(tmp_path / "gen")]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert "synthaug.generators.generator" in found
    folders = ("synthaug.training.", "synthaug.judging.", "synthaug.mixing.", "synthaug.report.")
    inside = {module for module in found if module.startswith(folders)}
    # the defaults of `fit`, `choose` and `evaluate`, which are numbers
    assert inside <= {"synthaug.judging.protocol", "synthaug.training.pace"}
    heavy = {"sklearn", "scipy", "albumentations", "datasets", "joblib", "accelerate", "jinja2"}
    assert not heavy & set(found)


def test_minutes_leave_a_budget_beside_a_generator_and_no_plan(shapes: Arrays, tmp_path: Path) -> None:
    out = tmp_path / "gen"
    with pytest.warns(SynthaugWarning, match="too few to learn from"):
        made = fit(shapes, minutes=0.01, out=out, progress=False)
    budget = json.loads((out / BUDGET).read_text())
    assert (budget["minutes"], budget["steps"]) == (0.01, made.steps)
    assert not (out / "plan.json").exists()
    with pytest.raises(InvalidArtifact, match=r"holds no plan \(plan\.json\).*synthaug\.choose"):
        Plan.load(out)
    assert load(out, device="cpu").fingerprint == made.fingerprint
