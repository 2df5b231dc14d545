from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from synthaug import Generator, Samples, fit, load, open_data
from synthaug.errors import (
    InvalidArtifact,
    InvalidData,
    InvalidRequest,
    Leakage,
    OutputExists,
    SynthaugWarning,
)
from synthaug.families import FAMILIES
from synthaug.generators import MANIFEST, ROWS, WEIGHTS, read_generator
from synthaug.training import BUDGET, CHECKPOINT, Training, train

Arrays = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request: pytest.FixtureRequest, shapes: Arrays) -> Generator:
    return train(open_data(shapes), Training(request.param, steps=6))


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_a_seed_decides_every_weight(trained: Generator, shapes: Arrays) -> None:
    torch.manual_seed(123)
    again = train(open_data(shapes), Training(trained.family.name, steps=6))
    other = train(open_data(shapes), Training(trained.family.name, steps=6, seed=1))
    assert same_weights(trained.family, again.family)
    assert not same_weights(trained.family, other.family)


def test_training_leaves_the_global_random_state_alone(shapes: Arrays) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(open_data(shapes), Training("cvae", steps=1))
    assert torch.equal(torch.rand(3), expected)


def test_the_order_of_a_request_the_batch_size_and_the_other_classes_change_no_byte(
    trained: Generator,
) -> None:
    alone = trained.sample({"standing": 70}, seed=3)
    after = trained.sample({"lying": 5, "standing": 70}, seed=3)
    before = trained.sample({"standing": 70, "lying": 5}, seed=3)
    np.testing.assert_array_equal(after.samples[5:], alone.samples)
    np.testing.assert_array_equal(before.samples[:70], alone.samples)
    np.testing.assert_array_equal(before.samples[70:], after.samples[:5])
    for size in (1, 7, 64):
        starts = range(0, 70, size)
        parts = [trained.sample_rows("standing", n, min(70, n + size), seed=3) for n in starts]
        assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
        rows = Samples.join(parts)
        np.testing.assert_array_equal(rows.samples, alone.samples)
        np.testing.assert_array_equal(rows.provenance["index"], alone.provenance["index"])
    np.testing.assert_array_equal(
        trained.sample_rows("standing", 33, 40, seed=3).samples, alone.samples[33:40]
    )
    assert not np.array_equal(trained.sample({"standing": 70}, seed=4).samples, alone.samples)


def test_samples_come_in_the_form_of_the_data_with_labels_and_provenance(
    trained: Generator, shapes: Arrays
) -> None:
    samples = trained.sample({"standing": 2, "lying": 1}, seed=9)
    assert samples.samples.shape == (3, 12, 10)
    assert samples.samples.dtype == np.uint8
    assert samples.labels.tolist() == ["standing", "standing", "lying"]
    assert samples.counts == {"lying": 1, "standing": 2}
    assert samples.provenance["index"].tolist() == [0, 1, 0]
    assert set(samples.provenance["generator"]) == {trained.fingerprint}
    assert set(samples.provenance["seed"]) == {9}
    assert samples[samples.labels == "lying"].counts == {"lying": 1, "standing": 0}


def test_integer_and_bool_labels_keep_their_encoding_and_answer_to_their_names(shapes: Arrays) -> None:
    images, names = shapes
    for encode, key in ((lambda y: np.where(y == "lying", 7, -2), "7"), (lambda y: y == "lying", True)):
        labels = encode(names)
        generator = train(open_data((images, labels)), Training("cvae", steps=1))
        samples = generator.sample({key: 2})
        assert samples.labels.dtype == labels.dtype
        assert samples.labels.tolist() == [labels[0]] * 2


def test_a_saved_generator_is_the_same_generator(trained: Generator, tmp_path: Path) -> None:
    trained.save(tmp_path / "gen")
    trained.save(tmp_path / "gen")  # the same again is no work and no error
    loaded = load(tmp_path / "gen")
    assert loaded.fingerprint == trained.fingerprint
    assert loaded.history == trained.history
    np.testing.assert_array_equal(loaded.sample(40).samples, trained.sample(40).samples)
    np.testing.assert_array_equal(loaded.trained_on, trained.trained_on)


def test_one_flipped_byte_is_noticed(trained: Generator, tmp_path: Path) -> None:
    trained.save(tmp_path / "gen")
    weights = bytearray((tmp_path / "gen" / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (tmp_path / "gen" / WEIGHTS).write_bytes(weights)
    with pytest.raises(InvalidArtifact, match=r"weights.safetensors is not the file that was saved.*Copy"):
        read_generator(tmp_path / "gen")


def test_a_newer_manifest_and_a_missing_one_are_refused(trained: Generator, tmp_path: Path) -> None:
    trained.save(tmp_path / "gen")
    manifest = json.loads((tmp_path / "gen" / MANIFEST).read_text())
    assert manifest["contains_training_rows"] is (trained.family.name == "warp")
    assert (tmp_path / "gen" / ROWS).exists() is manifest["contains_training_rows"]
    newer = manifest["format_version"] + 1
    (tmp_path / "gen" / MANIFEST).write_text(json.dumps(manifest | {"format_version": newer}))
    with pytest.raises(InvalidArtifact, match=f"format version {newer}.*Upgrade"):
        read_generator(tmp_path / "gen")
    with pytest.raises(InvalidArtifact, match="folder is not there"):
        read_generator(tmp_path / "nowhere")
    for broken in (manifest | {"files": {}}, {"format_version": 1}, manifest | {"config": {"latent": 3}}):
        (tmp_path / "gen" / MANIFEST).write_text(json.dumps(broken))
        with pytest.raises(InvalidArtifact):
            read_generator(tmp_path / "gen")
    (tmp_path / "gen" / MANIFEST).write_text("{")
    with pytest.raises(InvalidArtifact, match="is not a manifest"):
        read_generator(tmp_path / "gen")


def test_a_finished_fit_is_not_done_again_and_another_one_is_refused(shapes: Arrays, tmp_path: Path) -> None:
    out = tmp_path / "gen"
    first = fit(shapes, steps=2, out=out, progress=False)
    before = (out / WEIGHTS).stat().st_mtime_ns
    assert fit(shapes, steps=2, out=out, progress=False).fingerprint == first.fingerprint
    assert (out / WEIGHTS).stat().st_mtime_ns == before
    with pytest.raises(OutputExists, match="steps"):
        fit(shapes, steps=3, out=out, progress=False)
    fit(shapes, steps=3, out=out, progress=False, overwrite=True)
    assert not (tmp_path / "gen.partial").exists()
    assert list((out / "grids").glob("*.png"))
    assert not (out / CHECKPOINT).exists()


def test_requests_that_cannot_be_met_are_refused_and_leave_nothing(shapes: Arrays, tmp_path: Path) -> None:
    images, labels = shapes
    cases = [
        (dict(family="cvea"), InvalidRequest, "Did you mean"),
        (dict(steps=0), InvalidRequest, "at least 1"),
        (dict(minutes=-1.0), InvalidRequest, "positive"),
        (dict(steps=3, minutes=1.0), InvalidRequest, "Give one budget"),
        (dict(device="cuda:7"), InvalidRequest, "Try --device cpu"),
        (dict(options={"latnet": 1}), InvalidRequest, "Did you mean"),
    ]
    for arguments, error, text in cases:
        with pytest.raises(error, match=text):
            fit(
                shapes,
                out=tmp_path / "gen",
                progress=False,
                **{"steps": 1} | arguments if "minutes" not in arguments else arguments,
            )
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidRequest, match="no split"):
        fit(open_data(shapes, train_split="tset"), steps=1, out=tmp_path / "gen", progress=False)
    with pytest.raises(InvalidData, match="single class"):
        fit(
            (images[labels == "lying"], labels[labels == "lying"]),
            steps=1,
            out=tmp_path / "gen",
            progress=False,
        )
    assert list(tmp_path.iterdir()) == []


def test_large_images_ask_for_a_size_and_say_what_it_costs() -> None:
    large = np.random.default_rng(0).integers(0, 255, (12, 140, 130), dtype=np.uint8)
    data = open_data((large, [0, 1] * 6))
    with pytest.raises(
        InvalidRequest, match=r"140x130.*(hours|minutes) here.*(minutes|seconds) as HW 64x64.*image_size=64"
    ):
        Training("cvae").describe(data)
    kept = open_data((large, [0, 1] * 6), image_size=(140, 130))
    assert Training("cvae").describe(kept)["form"].startswith("HW 140x130 uint8")
    small = open_data((large, [0, 1] * 6), image_size=16)
    assert Training("cvae", steps=5).describe(small)["budget"] == "5 steps"


def test_held_out_rows_may_not_be_trained_on(shapes: Arrays) -> None:
    data = open_data(shapes)
    with pytest.raises(Leakage, match="training and held-out rows"):
        train(data, Training("cvae", steps=1), held_out=data.take(np.arange(3)))


@pytest.mark.filterwarnings("ignore:.*too few to learn from")
def test_minutes_become_steps_that_can_be_taken_again(shapes: Arrays, tmp_path: Path) -> None:
    data, training = open_data(shapes), Training("cvae", minutes=0.05)
    (tmp_path / "first").mkdir()
    first = train(data, training, folder=tmp_path / "first")
    budget = json.loads((tmp_path / "first" / BUDGET).read_text())
    assert budget["steps"] == first.steps == budget["plans"][-1][1]
    again = train(data, training, folder=tmp_path / "first")
    assert same_weights(first.family, again.family)
    # the plans alone decide: another training by them, and by one more in its middle
    for name, plans in (("same", budget["plans"]), ("more", [[0, 40], [10, 30], [20, 50]])):
        weights = []
        for run in range(2):
            place = tmp_path / f"{name}{run}"
            place.mkdir()
            (place / BUDGET).write_text(json.dumps({**budget, "plans": plans}))
            made = train(data, training, folder=place)
            assert made.steps == plans[-1][1]
            weights.append(made.family)
        assert same_weights(*weights)
        if name == "same":
            assert same_weights(first.family, weights[0])


def test_minutes_that_are_too_few_are_said(shapes: Arrays) -> None:
    with pytest.warns(
        SynthaugWarning, match=r"0.01 minutes are about \d+ steps of cgan here.*would take about"
    ):
        train(open_data(shapes), Training("cgan", minutes=0.01))


SCRIPT = """
import sys, numpy as np, torch
torch.set_num_threads(1)
import synthaug
saved = np.load(sys.argv[1])
synthaug.fit((saved["X"], saved["y"]), sys.argv[2], steps=120, out=sys.argv[3], progress=False)
"""


@pytest.mark.parametrize("family", FAMILIES)
def test_fit_killed_and_called_again_ends_with_the_same_bits(
    family: str, shapes: Arrays, tmp_path: Path
) -> None:
    np.savez(tmp_path / "data.npz", X=shapes[0], y=shapes[1])
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path / "data.npz"), family]
    history = tmp_path / "killed.partial" / "history.jsonl"
    process = subprocess.Popen([*command, str(tmp_path / "killed")])
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (not history.exists() or history.read_bytes().count(b"\n") < 45):
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed").exists()
    resumed = fit(shapes, family, steps=120, out=tmp_path / "killed", progress=False)
    whole = fit(shapes, family, steps=120, out=tmp_path / "whole", progress=False)
    assert resumed.fingerprint == whole.fingerprint
    assert (tmp_path / "killed" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    [event] = [line for line in resumed.history if line.get("event") == "resumed"]
    assert event["step"] >= 36
    assert 0 <= event["lost_steps"] <= 6
