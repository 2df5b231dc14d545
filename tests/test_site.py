"""The pages of the site: every block is run, what is searched for is found, and it is built without a warning."""

from __future__ import annotations

import html
import importlib.util
import inspect
import json
import logging
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import datasets
import huggingface_hub
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import synthaug
from synthaug import judging
from synthaug.cli import main
from synthaug.data import training_rows
from synthaug.recipes import shipped

ROOT = Path(synthaug.__file__).parents[1]
DOCS = ROOT / "docs"
ELSEWHERE = {"architecture", "family", "frameworks", "modality", "photographs", "tables"}
"""Pages whose blocks other tests run."""

PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in [*DOCS.glob("*.md"), *DOCS.glob("questions/*.md")]
    if path.stem not in ELSEWHERE
)
QUICK = {
    "fit": ["--steps", "2"],
    "choose": ["--steps", "2", "--classifier-steps", "2", "--judge-steps", "2", "--folds", "2"],
    "evaluate": [
        "--steps",
        "2",
        "--classifier-steps",
        "2",
        "--judge-steps",
        "2",
        "--folds",
        "2",
        "--seeds",
        "2",
    ],
}
"""What commands are cut down by."""

ASKED = {
    "which_rows": [
        "which rows are synthetic after resampling",
        "How to get index for original dataset after SMOTE",
        "How to get sample_indices_ from SMOTE",
        "index original SMOTE",
        "Identify generated examples",
    ],
    "rare_class": [
        "exactly n rows of a rare class",
        "Fast, exact rows of the rare class",
        "balance the dataset",
        "Faster conditional sampling",
        "conditional sampling slow",
        "conditional sampling not working",
    ],
    "checkpoint": [
        "Just sample from a checkpoint",
        "Would you write a [sample.py]",
        "generate images trained checkpoint",
        "How to generate images?",
        "load a checkpoint and visualize some generated images",
    ],
    "own_data": [
        "Using my own dataset",
        "Own data set, with labels",
        "make the VAE conditional on a label",
        "conditional on a label",
    ],
    "epochs": [
        "how many epochs",
        "Best number of epochs",
        "early stopping",
        "best model",
        "Best model, not last",
        "Saving best model",
        "Using best model",
    ],
    "losses": ["losses as data", "Losses as data; progress", "Extraction of loss values", "progress bar"],
    "resume": ["stop training and go on", "Stop and go on", "resume", "checkpointing", "Model Checkpoints"],
    "worse": [
        "Why is it worse with synthetic data?",
        "why worse with synthetic data",
        "Question regarding CTGAN for data synthesis and classification",
        "data synthesis and classification",
        "accuracy dropped CTGAN",
    ],
    "share": [
        "Exact share when mixing; resume; per epoch",
        "mix data sets exact share",
        "Recommended way of mixing datasets?",
        "Mixing Datasets",
        "per-epoch resampling",
        "interleave",
        "interleave_datasets",
    ],
    "distributed": [
        "Custom batch sampler under DDP",
        "Dataloader with custom batch sampler",
        "batch sampler Lightning",
    ],
    "same_augmentation": [
        "Same augmentation in every epoch",
        "Workers produce identical augmentations per batch position across epochs",
        "albumentations worker",
    ],
    "balanced": [
        "Balanced sampling in torch",
        "balanced sampling PyTorch",
        "PyTorch utilities sampler",
        "WeightedRandomSampler",
    ],
}
"""The twelve questions, as they were asked in the trackers of other packages, and words that people search with."""


def save_pictures(place: Path, rows: np.ndarray, names: list[str]) -> None:
    for at, (row, name) in enumerate(zip(rows, names, strict=True)):
        (place / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(row).save(place / name / f"{at:04}.png")


def save_studies(place: Path) -> None:
    """Files of DICOM by finding, of ten patients."""
    pydicom = pytest.importorskip("pydicom", reason="needs the extra medical")
    scan = pydicom.dcmread(pydicom.data.get_testdata_file("MR_small.dcm", download=False))
    for at in range(20):
        folder = place / ("ill", "well")[at % 2]
        folder.mkdir(parents=True, exist_ok=True)
        scan.PatientID = f"p{at // 2}"
        scan.save_as(folder / f"{at}.dcm")


@pytest.fixture(scope="module")
def clothes() -> tuple[np.ndarray, list[str]]:
    """Bags, shirts and few sneakers of the bundled images."""
    data = training_rows(synthaug.open_data("bundled:fashion-mnist"))
    chosen = [
        (row, name)
        for name, n in (("Bag", 30), ("Shirt", 30), ("Sneaker", 12))
        for row in np.flatnonzero(data.labels == data.classes.position(name))[:n]
    ]
    return data.read([row for row, _ in chosen]), [name for _, name in chosen]


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Pages that set up a log leave none behind."""
    root, own = logging.getLogger(), logging.getLogger("synthaug")
    handlers, levels = list(root.handlers), (root.level, own.level)
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(levels[0])
    own.setLevel(levels[1])


@pytest.fixture
def world(
    clothes: tuple[np.ndarray, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """A folder with all that pages speak of, and the names that stand for a reader's own things."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTHAUG_CACHE", str(tmp_path / "cache"))
    images, names = clothes
    save_pictures(tmp_path / "photos", images, names)
    more = training_rows(synthaug.open_data("bundled:fashion-mnist")).read(range(900, 940))
    save_pictures(tmp_path / "more_photos", more, ["any"] * len(more))
    rng = np.random.default_rng(0)
    scans = rng.integers(0, 4096, (40, 28, 28)).astype(np.uint16)
    save_pictures(tmp_path, scans, ["scans"] * 40)
    lines = [f"scans/{at:04}.png,{('ill', 'well')[at % 2]},p{at // 2 // 2}" for at in range(40)]
    (tmp_path / "scans.csv").write_text("\n".join(["path,finding,patient", *lines]) + "\n")
    doses, jobs = rng.lognormal(size=40).round(2), rng.choice(["nurse", "clerk"], 40)
    visits = [
        f"{dose},{job},{('ill', 'well')[at % 2]}"
        for at, (dose, job) in enumerate(zip(doses, jobs, strict=True))
    ]
    (tmp_path / "visits.csv").write_text("\n".join(["dose,job,finding", *visits]) + "\n")
    np.savez(tmp_path / "photos.npz", X=images, y=names)
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["Bag", "Shirt", "Sneaker"])
    )
    rows = {"image": [Image.fromarray(image) for image in images], "label": names}
    datasets.Dataset.from_dict(rows, features).save_to_disk(str(tmp_path / "clothes"))
    synthaug.sample(
        synthaug.fit((images, names), steps=2, progress=False), 30, out="pool.parquet", progress=False
    )

    class Augmented(torch.utils.data.Dataset[Any]):
        def __init__(self, images: np.ndarray, labels: list[str], transform: Any) -> None:
            self.images, self.labels, self.transform = images, labels, transform

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, row: int) -> Any:
            return self.transform(image=self.images[row])["image"], self.labels[row]

    def make_model(seed: int) -> Any:
        torch.manual_seed(seed)
        model = torch.nn.Linear(28 * 28, 3)
        return model, torch.optim.SGD(model.parameters(), lr=0.1)

    pushed: list[str] = []
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", lambda api, name, **asked: None)
    monkeypatch.setattr(
        huggingface_hub.HfApi, "upload_folder", lambda api, *, repo_id, **_: pushed.append(repo_id)
    )
    monkeypatch.setattr(sys, "argv", sys.argv)  # programs are given arguments of their own
    quick = synthaug.Protocol(steps=2, classifier_steps=2, judge_steps=2, folds=2, seeds=2)
    monkeypatch.setattr(judging, "judge_unlabelled", partial(judging.judge_unlabelled, protocol=quick))
    return {
        "quick": quick,
        "pushed": pushed,
        "images": images,
        "labels": names,
        "Augmented": Augmented,
        "make_model": make_model,
        "train_for": lambda model, optimizer, loader, steps: next(iter(loader)),
    }


def shortened(code: str) -> str:
    """The same with budgets of two steps."""
    code = re.sub(r"(?:minutes=\d+|steps=\d{2,})", "steps=2, progress=False", code)
    code = re.sub(r"num_workers=\d", "num_workers=0", code)
    return re.sub(
        r"synthaug\.(choose|evaluate)\(([^,()]+), ",
        r"synthaug.\1(\2, protocol=quick, jobs=1, progress=False, ",
        code,
    )


def run_line(line: str) -> None:
    """A line of a shell block, cut down; one of `pip`, which would change where the tests run, is not run."""
    program, *arguments = shlex.split(line.replace("s3://", "memory://"), comments=True)
    if program == "pip":
        return
    if program == "python":
        sys.argv = [*arguments, "--steps", "2", "--seeds", "1"]
        runpy.run_path(str(ROOT / arguments[0]), run_name="__main__")
        return
    assert program == "synthaug", line
    arguments = [re.sub(r"^--minutes$", "--steps", each) for each in arguments]
    if "--steps" in arguments:
        arguments[arguments.index("--steps") + 1] = "2"
    elif arguments[0] in QUICK:
        arguments += QUICK[arguments[0]]
    elif arguments[:2] == ["run", "expand-then-train"]:
        arguments += ["--set", "fit.minutes=0.01"]
    done = CliRunner().invoke(main, [*arguments, "-q"], catch_exceptions=False)
    assert done.exit_code == 0, (line, done.stderr)


@pytest.mark.filterwarnings("ignore::synthaug.SynthaugWarning")  # generators of two steps make poor samples
@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_runs(page: str, world: dict[str, Any]) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    if page == "medical.md":
        save_studies(Path("studies"))
    for language, code in re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.M | re.S):
        if language == "python":
            exec(shortened(code), world)
        elif language == "bash":
            for line in code.splitlines():
                run_line(line)
        elif language == "yaml":  # a file, whose name it begins with
            name = code.splitlines()[0].removeprefix("# ")
            Path(name).write_text(re.sub(r"minutes: \d+", "steps: 2", code), encoding="utf-8")
    assert world["pushed"] == re.findall(r"^synthaug push \S+ (\S+)$", text, flags=re.M)


def test_no_block_is_one_that_no_test_runs() -> None:
    """But two that picture folders; toml is read by the tests of its page, and no test would run indented ones."""
    pictured = {("questions/own_data.md", "text"), ("architecture.md", "")}
    for path in [*DOCS.glob("*.md"), *DOCS.glob("questions/*.md")]:
        page = path.relative_to(DOCS).as_posix()
        fences = re.findall(r"^( *(?:```|~~~).*)$", path.read_text(encoding="utf-8"), flags=re.M)
        for fence in fences[::2]:
            run = re.fullmatch(r"```(python|bash|yaml|toml|\{[\w-]+\}.*)", fence)
            assert run or (page, fence.removeprefix("```")) in pictured, (page, fence)


def test_commands_and_options_that_sentences_name_are_there() -> None:
    options = {name for command in main.commands.values() for of in command.params for name in of.opts}
    for path in [*DOCS.glob("*.md"), *DOCS.glob("questions/*.md")]:
        prose = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
        for code in re.findall(r"`([^`]+)`", prose):
            program, *rest = code.split()
            if program == "synthaug" and rest:
                command = main.commands[rest[0]]
                command.make_parser(click.Context(command)).parse_args(shlex.split(code)[2:])
            elif program.startswith("--"):
                assert program in options, (path.name, code)


def test_api_names_everything_that_is_public() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\.\. auto\w+:: ([\w.]+)$", text, flags=re.M))
    assert set(synthaug.__all__) <= named


def written() -> Iterator[tuple[str, str]]:
    """Names and texts of pages, programs, and templates: all that may name a paper."""
    for folder in ("docs", "synthaug", "benchmarks"):
        for path in (ROOT / folder).rglob("*"):
            own = path.suffix in (".md", ".py", ".jinja") and path.name != "references.md"
            if own and not path.relative_to(ROOT).parts[1].endswith("_built"):
                yield path.name, " ".join(path.read_text(encoding="utf-8").split())


def test_every_paper_that_is_named_is_among_the_references() -> None:
    """By its title; by an author and the year; and by a name alone, such as Wilson's interval."""
    listed = " ".join((DOCS / "references.md").read_text(encoding="utf-8").split())
    entries = listed.split(" - ")
    titled = re.compile(
        r'\b(?:19|20)\d\d,? "([A-Za-z][^"]{17,140})"|"([A-Za-z][^"]{17,140})",? (?:19|20)\d\d\b'
    )
    dated = re.compile(r"\b([A-Z][a-z]+)(?:(?:,| and| &) [A-Z][a-z]+)*(?: et al\.)?,? \(?((?:19|20)\d\d)\b")
    no_people = {
        "Arrow",
        "CUDA",
        "DATA",
        "MNIST",
        "NumPy",
        "Omniglot",
        "PyTorch",
        "Pythae",
        "Python",
        "README",
    }
    titles, authors, names = {}, {}, {}
    for file, text in written():
        titles |= {(found[1] or found[2]).lower(): file for found in titled.finditer(text)}
        authors |= {found.groups(): file for found in dated.finditer(text)}
        names |= {found[1]: file for found in re.finditer(r"\b([A-Z][A-Za-z]+)'s\b", text)}
    assert min(len(titles), len(authors), len(names)) > 5
    assert {title: file for title, file in titles.items() if title not in listed.lower()} == {}
    assert {
        (name, year): file
        for (name, year), file in authors.items()
        if not any(name in entry and year in entry for entry in entries)
    } == {}
    assert {name: file for name, file in names.items() if name not in listed and name not in no_people} == {}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without running its gallery, which is run where it is built for people."""
    for needed in ("sphinx", "furo", "myst_parser", "sphinx_gallery"):
        if importlib.util.find_spec(needed) is None:  # not imported: one of them changes the log of all
            pytest.skip(f"{needed} is not installed")
    out = tmp_path_factory.mktemp("site")
    built = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-D", "plot_gallery=0"]
    done = subprocess.run(
        [*built, "-d", str(out / "trees"), str(DOCS), str(out / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


SEARCHING = """
var DOCUMENTATION_OPTIONS = {}, SPHINX_HIGHLIGHT_ENABLED = false, window = globalThis;
var document = {getElementById: () => null}, _ready = () => {}, _ = (text) => text;
%s
const asked = %s;
const found = (words) => Search._performSearch(...Search._parseQuery(words)).reverse().map(([page]) => page);
console.log(JSON.stringify(asked.map(found)));
"""
"""The scripts of the search page without the page: what they find, best first."""


def searched(site: Path, asked: list[str]) -> list[list[str]]:
    """Pages that the search box lists for each, by the site's own scripts and scores."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, which runs the scripts of the search page")
    names = ("_static/searchtools.js", "_static/language_data.js", "searchindex.js")
    scripts = "\n".join((site / name).read_text(encoding="utf-8") for name in names)
    program = SEARCHING % (scripts, json.dumps(asked))
    done = subprocess.run([node, "-"], input=program, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_each_question_is_found_by_its_own_words(site: Path) -> None:
    """Its page is among the first three of what the search box lists."""
    asked = [(page, question) for page, questions in ASKED.items() for question in questions]
    found = searched(site, [question for _, question in asked])
    low = {
        question: listed
        for (page, question), listed in zip(asked, found, strict=True)
        if f"questions/{page}" not in listed[:3]
    }
    assert low == {}


def test_names_are_found_in_the_reference_first(site: Path) -> None:
    names = ["open_data", "BalancedSampler", "worker_seeding", "Protocol"]
    assert [listed[0] for listed in searched(site, names)] == ["api"] * len(names)


def test_settings_recipes_and_results_stand_on_the_site(site: Path) -> None:
    recipes = (site / "recipes.html").read_text(encoding="utf-8")
    for name in shipped():
        assert f'id="{name}"' in recipes
    assert "balanced accuracy {np.mean(scores)" in html.unescape(re.sub("<[^>]+>", "", recipes))
    families = (site / "families.html").read_text(encoding="utf-8")
    assert "how many rows&#39; worth of belief" in families or "rows’ worth of belief" in families
    results = (site / "results.html").read_text(encoding="utf-8")
    assert "What limits the gain" in results
    assert "Follow the result" not in results


def test_what_pages_import_and_name_is_in_the_reference(site: Path) -> None:
    told = set(re.findall(r'\bid="(synthaug\.[\w.]+)"', (site / "api.html").read_text(encoding="utf-8")))
    parts = [path.relative_to(ROOT).with_suffix("").parts for path in (ROOT / "synthaug").rglob("*.py")]
    told |= {".".join(part for part in each if part != "__init__") for each in parts}  # modules
    told.add("synthaug.json")  # a file
    unnamed = {}
    for path in [*DOCS.glob("*.md"), *DOCS.glob("questions/*.md"), *DOCS.glob("gallery/*.py")]:
        text = path.read_text(encoding="utf-8")
        named = set(re.findall(r"\bsynthaug(?:\.[A-Za-z_]\w*)+", text))
        for module, names in re.findall(r"^from (synthaug(?:\.\w+)*) import ([\w, ]+)$", text, flags=re.M):
            named |= {f"{module}.{name}" for name in names.split(", ")}
        unnamed |= {name: path.name for name in named - told}
    assert unnamed == {}


def test_links_inside_the_site_lead_somewhere(site: Path) -> None:
    """To a file that is there, and to a place on it where the link names one."""
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    places = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in pages.items()}
    for page, text in pages.items():
        for address in re.findall(r'(?:href|src)="([^"]+)"', text):
            if re.match(r"https?:|mailto:|data:", address):
                continue
            path, _, place = html.unescape(address).partition("#")
            target = (page.parent / path.partition("?")[0]).resolve() if path else page
            assert target.exists(), (page.name, address)
            assert not place or target.suffix != ".html" or place in places[target], (page.name, address)


def test_every_page_says_in_its_docstring_or_title_what_it_is() -> None:
    for page in PAGES:
        assert (DOCS / page).read_text(encoding="utf-8").startswith("# "), page
    for path in (DOCS / "gallery").glob("plot_*.py"):
        assert inspect.cleandoc(path.read_text(encoding="utf-8")).startswith('"""'), path.name
