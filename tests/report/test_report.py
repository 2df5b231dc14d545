"""The report: what it says first, that nothing is missing, and that the page needs nothing beside it."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthaug import LabeledData, Samples, open_data
from synthaug.generators import About, Achieved
from synthaug.judging import (
    ARMS,
    ArmResult,
    Choice,
    Comparison,
    Curation,
    Effect,
    Evaluation,
    Judged,
    Plan,
    Preparation,
    Setup,
    Standing,
    words,
)
from synthaug.metrics import Fidelity, Interval, Scores, detectable_gain, paired_interval, verdict
from synthaug.modalities.image import ImageForm
from synthaug.report import pick_judged, pick_pictures, write_report

NAMES = ("T-shirt/top", "<script>alert(1)</script>", 'a|b "c" & d')
HISTORY = [
    *(
        {"step": step, "seconds": 0.1 * step, "kl loss": 1 / step, "adversarial": float(step)}
        for step in range(1, 400)
    ),
    {"step": 400, "seconds": 40.0, "event": "recovered", "learning_rate_factor": 0.5},
]


def evaluation(
    gain: float,
    candidate: str = "real + synthetic",
    fidelity: Fidelity | None = None,
    replicates: int = 1,
    p_value: float | None = None,
) -> Evaluation:
    """An evaluation whose candidate differs from the baseline by ``gain``, up to a little noise per seed."""
    noise = np.random.default_rng(0).normal(0, 0.002, (len(ARMS), 4))

    def scores(arm: int, centre: float) -> tuple[Scores, ...]:
        values = [float(v) for v in centre + noise[arm]]
        return tuple(Scores(v, v, (v, None, v - 0.1), 0.0625, 0.125) for v in values)

    arms = tuple(
        ArmResult(arm.name, arm.synthetic, arm.about, arm.augmentation, 600, s, s, (1.0,) * 4)
        for i, arm in enumerate(ARMS)
        for s in [
            scores(i, 0.8 + gain if arm.name == candidate else 0.79 if arm.synthetic else 0.8 - 0.01 * i)
        ]
    )
    differences = [
        (a.name, paired_interval(a.values("accuracy"), arms[0].values("accuracy")).within(-1, 1))
        for a in arms[1:]
    ]
    return Evaluation(
        metric="accuracy",
        classes=NAMES,
        seeds=(1, 2, 3, 4),
        replicates=replicates,
        arms=arms,
        baseline="real",
        candidate=candidate,
        comparisons=tuple(Comparison(name, d, p_value, verdict(d, p_value)) for name, d in differences),
        rows={part: dict.fromkeys(NAMES, 400) for part in ("training", "validation", "test", "synthetic")},
        setup=Setup(
            "folder photos", "built-in classifier", 600, 0.25, 64, 1234, replicates, ("mixup", "CutMix")
        ),
        generator=About("cvae", "f00d" * 16, NAMES, "9x11 RGB", 400, 40.0, False, Achieved("Not much.")),
        environment={"torch": "2.13.0"},
        seconds={"classifiers": 12.0},
        fidelity=fidelity,
    )


def refusing(found: Evaluation) -> Evaluation:
    """The evaluation after a choice that had refused what it found to be best."""
    own = Standing(found.candidate, True, 6, 0.8, 0.7, Interval(0.01, -0.01, 0.03, 30))
    choice = Choice(found.baseline, found.candidate, False, None, (own,), 9)
    plan = Plan(
        accepted=False,
        baseline=found.baseline,
        candidate=found.candidate,
        augmentation=None,
        family="cvae",
        settings={},
        candidate_share=0.25,
        curated=False,
        annealed=False,
        classifier_steps=600,
        metric=found.metric,
        choice=choice,
        seconds={},
        cost=9.0,
        data="0" * 64,
        base=found.baseline,
        preparation=Preparation(
            found.baseline, 600, ImageForm(9, 11, 3, "HWC", "uint8", 0.0, 255.0), (1, 1, 1)
        ),
    )
    return replace(found, plan=plan)


@pytest.fixture(scope="module")
def planted() -> tuple[LabeledData, Samples]:
    """Training rows of three classes, and a pool of exact copies of some of them."""
    images = np.random.default_rng(1).integers(0, 256, (30, 9, 11, 3), dtype=np.uint8)
    train = open_data((images, np.array(NAMES)[np.arange(30) % 3]))
    return train, copies(train, np.arange(12))


def copies(data: LabeledData, rows: np.ndarray) -> Samples:
    """These rows as if a generator had made them."""
    names = np.array(data.classes.names)[data.labels[rows]]
    return Samples(data.read(rows), names, data.classes, data.form.fitted(data.read()), {"class": names})


class _Page(HTMLParser):
    """Tags with attributes, and the text of each heading."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("h1", "h2"):
            self.headings.append("")

    def handle_data(self, data: str) -> None:
        if self.headings and self.tags[-1][0] in ("h1", "h2") and not self.headings[-1]:
            self.headings[-1] = data


@pytest.fixture(scope="module")
def folder(planted: tuple[LabeledData, Samples], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report")
    found = evaluation(0.03, fidelity=Fidelity(0.97, None, (0.9, None, 1.1), 0.8, 0.88))
    write_report(found, pick_pictures(*planted), path, history=HISTORY)
    return path


def test_what_a_run_could_have_seen_is_said_and_too_small_is_no_advice() -> None:
    sharp = evaluation(0.0)
    told = words.summary(sharp)
    assert re.search(r"4 seeds find a gain of 0\.\d points or more in four of five such runs", told)
    assert "unseen" not in sharp.advice  # less than a point could have been seen
    noise = np.random.default_rng(1).normal(0, 0.05, 4)
    arms = tuple(
        replace(
            arm, test=tuple(replace(s, accuracy=s.accuracy + e) for s, e in zip(arm.test, noise, strict=True))
        )
        if arm.name == "real + synthetic"
        else arm
        for arm in sharp.arms
    )
    comparisons = tuple(Comparison.of(arm, arms[0], "accuracy", 1) for arm in arms if arm.name != "real")
    blunt = replace(sharp, arms=arms, comparisons=comparisons)
    assert blunt.verdict == "no evidence"
    gain = 100 * detectable_gain(blunt.differences("real + synthetic"))
    assert gain > 5
    assert f"A gain below {gain:.1f} points may well have gone unseen here." in blunt.advice
    assert re.search(r"to find one of 1 point takes \d+\.", words.summary(blunt))
    assert "Do not use" not in blunt.advice


@pytest.mark.parametrize(
    ("gain", "candidate", "expected"),
    [
        (
            0.03,
            "real + synthetic",
            "Use synthetic rows here: as 25 % of each batch they raise accuracy by 3.0 points.",
        ),
        (
            0.03,
            "both",
            "Use synthetic rows here, together with augmentation: as 25 % of each batch they raise "
            "accuracy by 3.0 points.",
        ),
        (
            0.0,
            "real + synthetic",
            "Nothing shows that synthetic rows help here, as 25 % of each batch: train without them.",
        ),
        (
            -0.03,
            "real + synthetic",
            "Do not use synthetic rows here: without them, “real” scores 3.0 points more than with 25 % of each batch.",
        ),
    ],
    ids=["helps", "helps with augmentation", "no evidence", "harms"],
)
def test_every_format_says_first_what_to_do(
    gain: float, candidate: str, expected: str, tmp_path: Path
) -> None:
    found = evaluation(gain, candidate)
    assert found.advice == words.advice(found)
    about = re.sub(r"\d+\.\d points", "N points", expected)
    assert re.sub(r"\d+\.\d points", "N points", words.advice(found)) == about
    write_report(found, [], tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert text.startswith(f"# {words.worth(found)}\n")
    assert words.advice(found) in text
    page = _Page((tmp_path / "report.html").read_text())
    assert page.headings[0] == words.worth(found)
    document = json.loads((tmp_path / "report.json").read_text())
    assert list(document.items())[:2] == [("worth", words.worth(found)), ("advice", words.advice(found))]
    assert document["verdict"] == found.verdict


def test_the_json_is_the_evaluation(folder: Path) -> None:
    document = json.loads((folder / "report.json").read_text())
    assert Evaluation.from_dict(document) == evaluation(
        0.03, fidelity=Fidelity(0.97, None, (0.9, None, 1.1), 0.8, 0.88)
    )


def test_the_page_runs_nothing_and_fetches_nothing(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    page = _Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    addresses = [
        v for _, attrs in page.tags for k, v in attrs.items() if k in ("src", "href", "srcset", "data")
    ]
    assert addresses
    assert all(address and address.startswith("data:image/png;base64,") for address in addresses)
    assert "@import" not in text
    assert "url(" not in text
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]


def test_class_names_are_shown_as_they_are(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "a|b &#34;c&#34; &amp; d" in text
    assert "| a\\|b" in (folder / "report.md").read_text()


@pytest.mark.parametrize("file", ["report.md", "report.html"])
def test_losers_caveats_and_the_way_back_are_told(file: str, folder: Path) -> None:
    text = re.sub(r"\s+", " ", (folder / file).read_text())
    for arm in ARMS:
        assert arm.name in text
    for said in (
        "the intervals leave out how much another generator",
        "picked on validation rows",
        "the difference is taken seed by seed",
        "95 of 100 such intervals",
        "folder photos",
        "built-in classifier",
        "1234",
        "mixup; CutMix",
        "f00d" * 16,
        "1, 2, 3, 4",
        "not measurable",
        "harms",
    ):
        assert said in text, said


def test_worst_class_calibration_and_the_room_that_test_rows_leave_are_told(folder: Path) -> None:
    for file in ("report.md", "report.html"):
        text = (folder / file).read_text()
        for said in ("Worst class", "0.062", "0.125", "test of signs"):
            assert said.lower() in text.lower(), said
        # Wilson's interval of 400 test rows
        assert re.search(r"8\d\.\d \(7\d–8\d\)", text)


def test_the_page_says_what_the_verdict_rests_on() -> None:
    text = [words.summary(e) + words.caveat(e) for e in (evaluation(0.03), evaluation(0.03, p_value=0.2))]
    assert "rests on Student's t alone" in text[0]
    assert "lies wholly above zero." in text[0]
    assert "but the test of signs does not confirm it (p = 0.200)" in text[1]
    for p_value in (None, 0.01):
        refused = words.summary(refusing(evaluation(0.03, p_value=p_value)))
        assert "lies wholly above zero, but cross-validation had not found a gain" in refused
    several = words.caveat(evaluation(0.03, replicates=4))
    assert "4 generators, trained apart" in several
    assert "leave out" not in several


def test_pictures_show_each_synthetic_row_above_its_nearest_training_row(
    planted: tuple[LabeledData, Samples], folder: Path
) -> None:
    train, pool = planted
    chosen = pick_pictures(train, pool, per_class=3)
    assert [of.name for of in chosen] == list(train.classes)
    for of in chosen:
        assert of.real.shape == (6, 9, 11, 3)
        np.testing.assert_array_equal(of.synthetic, of.nearest)  # the pool is copies
    strips = [
        np.array(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))
        for tag, attrs in _Page((folder / "report.html").read_text()).tags
        if tag == "img" and (address := attrs["src"])
    ]
    assert len(strips) == 12  # two of real rows, one synthetic, one nearest for each of three classes
    np.testing.assert_array_equal(strips[2], strips[3])
    np.testing.assert_array_equal(strips[2][:, :11, :3], pick_pictures(train, pool)[0].synthetic[0])


def test_the_page_shows_what_judges_would_leave_out_and_why(
    planted: tuple[LabeledData, Samples], tmp_path: Path
) -> None:
    train, pool = planted
    reason = np.array(["", "agreement", "copies"])[pool.class_indices]
    effects = (
        Effect("agreement", dict(zip(train.classes, (0, 4, 0), strict=True)), 0.9, 0.8),
        Effect("copies", dict(zip(train.classes, (0, 0, 4), strict=True)), 0.8, None),
    )
    curation = Curation(reason == "", reason, np.zeros((12, 3), np.float32), effects)
    judged = pick_judged(pool, curation, per_class=3)
    assert [(of.judged, dict(of.dropped)) for of in judged] == [
        (4, {"agreement": 0, "copies": 0}),
        (4, {"agreement": 4, "copies": 0}),
        (4, {"agreement": 0, "copies": 4}),
    ]
    assert [(len(of.passing), len(of.failing)) for of in judged] == [(3, 0), (0, 3), (0, 3)]
    write_report(replace(evaluation(0.0), judged=Judged(12, effects)), [], tmp_path, judged=judged)
    page, text = ((tmp_path / name).read_text() for name in ("report.html", "report.md"))
    assert "0 of 4 pass, 4 copies of training rows" in page
    for row in ("Look like another class | 33.3 % | 0.90 → 0.80", "33.3 % | 0.80 → not measurable"):
        assert row in text


def test_pictures_of_grey_rows_and_of_a_class_without_samples_are_drawn(
    shapes: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    train = open_data(shapes)
    only = np.flatnonzero(train.labels == 0)[:4]
    write_report(evaluation(0.0), pick_pictures(train, copies(train, only)), tmp_path)
    assert "none in the pool" in (tmp_path / "report.html").read_text()


def test_each_loss_has_its_curve_and_events_have_none(folder: Path, tmp_path: Path) -> None:
    text = (folder / "report.html").read_text()
    curves = re.findall(r'aria-label="([^"]*)"><polyline points="([^"]*)"', text)
    assert [label for label, _ in curves] == ["kl loss from 0.75 to 0.00251", "adversarial from 1.5 to 399"]
    rising = np.array([point.split(",") for point in curves[1][1].split()], float)
    assert len(rising) == 200
    assert rising[0].tolist() == [0, 100]
    assert rising[-1].tolist() == [100, 0]
    write_report(evaluation(0.0), [], tmp_path, history=HISTORY[-1:])
    assert "How the generator was trained" not in (tmp_path / "report.html").read_text()


def test_intervals_stand_where_the_axis_says(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    zero = float(re.findall(r'class="grid zero" style="left:([\d.]+)%"', text)[0])
    found = evaluation(0.03)
    dots = [float(at) for at in re.findall(r'class="dot" style="left:([\d.]+)%"', text)]
    means = [c.difference.mean for c in found.comparisons]
    assert len(dots) == len(means) == len(ARMS) - 1
    scale = np.polyfit(means, dots, 1)
    np.testing.assert_allclose(np.polyval(scale, means), dots, atol=0.02)
    assert np.polyval(scale, 0) == pytest.approx(zero, abs=0.02)
