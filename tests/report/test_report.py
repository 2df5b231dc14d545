"""The report: what it says first, that nothing is missing, and that the page needs nothing beside it."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from evaluated import evaluated, write_page
from PIL import Image

from synthaug import LabeledData, Samples, open_data
from synthaug.generators import About, Achieved
from synthaug.judging import (
    ARMS,
    LADDER,
    PLAIN,
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
    called,
    longer,
    on_top,
    plain_name,
    power,
    words,
)
from synthaug.metrics import (
    Fidelity,
    Interval,
    Scores,
    detectable_gain,
    differences_needed,
    paired_interval,
    verdict,
)
from synthaug.modalities.image import ImageForm
from synthaug.report import mistaken_rows, pick_judged, pick_pictures, recall_rows, write_report

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
            self.headings[-1] = data.replace("\u00a0", " ")


@pytest.fixture(scope="module")
def folder(planted: tuple[LabeledData, Samples], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report")
    found = evaluation(0.03, fidelity=Fidelity(0.97, None, (0.9, None, 1.1), 0.8, 0.88))
    write_report(found, pick_pictures(*planted), path, history=HISTORY)
    return path


def test_what_a_run_could_have_seen_is_said_and_too_small_is_no_advice() -> None:
    sharp = evaluation(0.0)
    assert repr(sharp).startswith("Evaluation(real + synthetic over real: ")
    assert len(repr(sharp)) < 160
    told = words.summary(sharp)
    assert "With 4 seeds, and scores that vary as these, this run could have seen a gain of 0." in told
    assert " points or more, in four of five such runs." in told
    assert words.answer(sharp) == "No evidence"  # less than a point could have been seen
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
    assert words.answer(blunt) == "Too small to tell"
    assert blunt.worth.startswith("Too small to tell: ")
    assert blunt.advice.startswith(
        "Too small to tell whether synthetic rows help here, as 25 % of each batch."
    )
    assert f"could have seen a gain of {gain:.1f} points or more" in blunt.advice
    least, most = differences_needed(blunt.differences("real + synthetic"), 0.01)
    assert blunt.advice.endswith(f"for one of 1 point take {least} to {most:,} seeds, as far as 4 can tell.")
    assert not re.search("[Tt]rain with|[Dd]o not use", blunt.advice + blunt.worth)
    assert words.role(blunt, blunt.arm(blunt.candidate)) == "too small to tell"
    assert {used for _, _, used in words.parts_of_worth(blunt) if used} == {"too small to tell"}


def test_where_every_test_row_is_recognised_without_help_it_is_said_first() -> None:
    found = evaluated(2, 3)
    arm = found.arm("real")
    whole = replace(arm, test=tuple(replace(of, accuracy=1.0, balanced_accuracy=1.0) for of in arm.test))
    easy = replace(found, arms=tuple(whole if of.name == "real" else of for of in found.arms))
    n = sum(found.rows["test"].values())
    assert easy.worth.startswith(f"All {n:,} test rows are recognised with your rows as they are")


def test_trainings_that_differ_alike_see_no_less_than_a_test_row() -> None:
    found = replace(evaluation(0.0), rows={"test": {"a": 10, "b": 20}})
    even = tuple(replace(arm, test=(arm.test[0],) * 4) for arm in found.arms)
    base = next(arm for arm in even if arm.name == "real")
    even = tuple(replace(base, name=arm.name, synthetic=arm.synthetic) for arm in even)
    alike = replace(
        found,
        arms=even,
        comparisons=tuple(Comparison.of(arm, base, "accuracy", 1) for arm in even if arm.name != "real"),
    )
    assert power.too_small(alike)
    assert "one of 30 test rows is at least 3.3 points: less cannot be seen" in alike.advice


def test_two_seeds_claim_nothing_about_classes() -> None:
    found = evaluation(0.0)
    assert power.tells_of_classes(found)
    two = tuple(replace(arm, validation=arm.validation[:2], test=arm.test[:2]) for arm in found.arms)
    few = replace(
        found,
        seeds=(1, 2),
        arms=two,
        comparisons=tuple(Comparison.of(arm, two[0], "accuracy", 1) for arm in two[1:]),
    )
    assert "2 seeds cannot tell how single classes differ" in power.about_classes(few)
    assert all(row["points"] == row["interval"] == "" for row in recall_rows(few))
    assert [row["name"] for row in recall_rows(few)] == [NAMES[0], NAMES[2]]  # no order by what is not known


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
            "Do not use synthetic rows here: without them, your rows as they are (real), the score is "
            "3.0 points higher than with 25 % of each batch.",
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
    ids = {attrs["id"] for _, attrs in page.tags if attrs.get("id")}
    elsewhere = [address for address in addresses if address and not address.startswith("data:")]
    assert len(addresses) > len(elsewhere)
    assert {address.removeprefix("#") for address in elsewhere} == ids  # the contents, whole
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
        text = re.sub("</?span[^>]*>", "", (folder / file).read_text())
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


def test_numbers_can_be_taken_from_the_page_itself(tmp_path: Path) -> None:
    found = evaluated(3, 4)
    page = _Page(write_page(found, tmp_path).read_text())
    files = {}
    for _, attrs in page.tags:
        if (name := attrs.get("download")) and (address := attrs["href"]):
            text = base64.b64decode(address.split(",")[1]).decode()
            files[name] = list(csv.DictReader(io.StringIO(text)))
    assert set(files) == {"scores.csv", "classes.csv", "mistakes.csv"}
    own = [float(line["accuracy"]) for line in files["scores.csv"] if line["arm"] == found.candidate]
    assert own == found.arm(found.candidate).values("accuracy")
    assert [line["class"] for line in files["classes.csv"]] == [*found.classes] * len(found.arms)
    told = {(line["class"], line["taken_for"]): int(line["times"]) for line in files["mistakes.csv"]}
    assert told[found.classes[2], found.classes[0]] > 0


def test_what_was_taken_for_what_is_told_and_drawn_for_few_classes(tmp_path: Path) -> None:
    few, many = evaluated(3, 4), evaluated(40, 4)
    of, other, without, _ = mistaken_rows(few)[0]
    arm = few.arm(few.baseline)
    assert float(without) == pytest.approx(
        100 * arm.mistaken[of][other] / (4 * few.rows["test"][of]), abs=0.05
    )
    for found, squares in ((few, 2), (many, 0)):
        text = write_page(found, tmp_path).read_text()
        assert "What was taken for what" in text
        assert len(re.findall('class="small square"', text)) == squares
    assert "taken for" in (tmp_path / "report.md").read_text()
    rows = re.findall(r'<td class="name">.*?</tr>', write_page(few, tmp_path).read_text(), re.S)[:3]
    told = [[int(cell or 0) for cell in re.findall(r'class="cell[^>]*>(\d*)<', row)] for row in rows]
    assert all(abs(sum(row) - 100) <= 2 for row in told)
    assert all(row[k] == max(row) for k, row in enumerate(told))


def test_many_classes_and_caveats_are_folded_and_nothing_is_missing(tmp_path: Path) -> None:
    found = evaluated(40, 4)
    text = write_page(found, tmp_path).read_text()
    open_rows, folded = text.split("The 30 classes between them")
    assert len(re.findall('<div class="recall">', open_rows)) == 10
    assert len(re.findall('<div class="recall">', folded)) == 30
    assert re.search(
        f"<details[^>]*><summary>[^<]*</summary>\\s*<p[^>]*>{re.escape(words.caveat(found)[:40])}", text
    )
    assert "of the first 20 of 40 classes" in text


def test_every_table_axis_and_picture_is_labelled(tmp_path: Path) -> None:
    text = write_page(evaluated(3, 4), tmp_path).read_text()
    for table in re.findall("<table.*?</table>", text, re.S):
        titles = re.findall("<th[^>]*>(.*?)</th>", table)
        assert titles
        assert all(titles)
    assert all("alt=" in image for image in re.findall("<img.*?>", text))
    assert all("aria-label=" in chart for chart in re.findall("<svg.*?>", text))
    assert "Points against two random changes of ten (policy)" in text


def test_every_arm_has_a_plain_name_of_its_own() -> None:
    plain = [plain_name(arm.name) for arm in LADDER]
    assert None not in plain
    assert len(set(plain)) == len(plain)
    assert set(PLAIN) <= {arm.name for arm in LADDER}
    mixed = on_top(ARMS[0], 0.25, "curated warp, far", ", falling to 0")
    assert called(mixed.name) == (
        "25 % synthetic rows, let pass by judges, falling to 0 (real + 25 % curated warp, far, falling to 0)"
    )
    assert called(longer(ARMS[0]).name) == "your rows as they are, 1.5 times the steps (real, longer)"


def test_intervals_stand_where_the_axis_says(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    zero = float(re.findall(r'class="grid zero" style="left:([\d.]+)%"', text)[0])
    found = evaluation(0.03)
    dots = [float(at) for at in re.findall(r'class="dot" style="left:([\d.]+)%"', text)]
    means = [0.0, *(c.difference.mean for c in found.comparisons)]  # the baseline has its own
    assert len(dots) == len(means) == len(ARMS)
    assert len(re.findall('<i class="bar"', text)) == len(means) - 1
    scale = np.polyfit(means, dots, 1)
    np.testing.assert_allclose(np.polyval(scale, means), dots, atol=0.02)
    assert np.polyval(scale, 0) == pytest.approx(zero, abs=0.02)
