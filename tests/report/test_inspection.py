"""The page on a data set or an output: it shows what the facts say, and nothing of what names hold is obeyed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from inspected import STRANGE, expanded, photographs, strange, visits
from PIL import Image

import synthaug
from synthaug.cli import main
from synthaug.errors import InvalidRequest, OutputExists
from synthaug.report import inspection, pick_rows

_VOID = {"meta", "img", "wbr", "input", "br"}


class Structure(HTMLParser):
    """The tags of a page, each of which has to be closed, and what they are said to be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def text_of(page: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page.split("</style>")[1])))


def numbers_of(page: str, caption: str) -> list[list[str]]:
    """The cells of the table with this caption, line by line."""
    table = page[page.index(f"<caption><span>{caption}") :].split("</table>")[0]
    lines = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.S) for line in table.split("<tr>")[1:]]
    return [[re.sub(r"<[^>]*>", "", cell).strip() for cell in line] for line in lines]


def looked_at(source: Any, out: Path, **said: Any) -> tuple[Mapping[str, Any], str]:
    found = synthaug.inspect(source, out=out, **said)
    page = Path(found["page"]).read_text(encoding="utf-8")
    structure = Structure(page)
    assert structure.open == []
    assert [f"#{of['id']}" for of in structure.all("h2")] == [of["href"] for of in structure.all("a")]
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", page)  # nothing from elsewhere
    assert "url(" not in page
    assert len(structure.all("script")) == 0
    assert page.count("<table") == page.count("<caption>")  # each table says what it is
    assert all(of.get("alt") for of in structure.all("img"))
    return found, page


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pictures")
    return expanded(photographs(place / "photos"), place / "bigger")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("table")
    return expanded(visits(place / "visits.csv"), place / "bigger.parquet", label="finding")


def test_of_an_output_all_is_shown_that_the_facts_say(pictures: Path, tmp_path: Path) -> None:
    found, page = looked_at(pictures, tmp_path / "page")
    text = text_of(page)
    assert f"{found['rows']} rows of 10 classes, {sum(found['synthetic'].values())} synthetic" in text
    rows = numbers_of(page, "Rows of each class")[1:]
    assert [line[0] for line in rows] == list(found["classes"])
    for name, _, real, made, both in rows:
        assert int(made) == found["synthetic"][name]
        assert int(both) == found["classes"][name] == int(real) + int(made)
    assert f"has {found['imbalance of real rows']['ratio']:g} times as many" in text
    assert numbers_of(page, "Rows of each split")[1:] == [
        [name, str(n), f"{n / found['rows']:.0%}".replace("%", "\u00a0%")]
        for name, n in found["splits"].items()
    ]
    assert found["copies"]["within"]["train"] == 1
    assert found["copies"]["across"] == {"train": {"test": 1}}
    assert ["Of train in test, too", "1"] in numbers_of(page, "Rows that are copies of others")
    assert numbers_of(page, "Sizes")[1][:2] == ["12 × 16", str(found["rows"])]
    assert page.count("Synthetic rows of ") == page.count("Real rows of ") == 10
    record = found["record"]
    assert record["again"] == f"synthaug run {pictures} --out again"
    assert record["again"] in text
    assert all(part["sha256"] in text for part in record["parts"])
    assert found["card"]["generator"] in text
    assert f"torch {record['versions']['torch']}" in text
    assert json.dumps(record["request"], indent=1) in unescape(page)
    assert "gen" not in json.dumps(record["request"]["format"])
    assert str(pictures.parent / "photos") not in page.replace(found["card"]["origin"], "")


def test_of_a_table_the_columns_are_shown(table: Path, tmp_path: Path) -> None:
    found, page = looked_at(table, tmp_path / "page")
    assert [name for name, _ in numbers_of(page, "What each column holds")] == list(found["columns"])
    assert "Columns of real and synthetic rows side by side" in page
    assert 'id="pictures"' not in page
    assert 'id="sizes"' not in page
    assert "a job with &lt;b&gt;tags" in page
    assert found["record"]["again"] in text_of(page)


def test_of_samples_alone_no_row_is_real(pictures: Path, tmp_path: Path) -> None:
    synthaug.sample(pictures.parent / "gen", 3, out=tmp_path / "samples.npz", progress=False)
    found, page = looked_at(tmp_path / "samples.npz", tmp_path / "page")
    assert found["synthetic"] == found["classes"]
    assert "30 rows of 10 classes, all synthetic" in text_of(page)
    assert "real rows alone" not in text_of(page)
    assert "each class has equally many" in text_of(page)
    assert page.count('<i class="of-real"') == 0
    assert page.count('<i class="of-synthetic"') == 10


def test_of_a_data_set_without_synthetic_rows_the_page_has_no_part_on_them(tmp_path: Path) -> None:
    found, page = looked_at(str(photographs(tmp_path / "photos")), tmp_path / "page")
    assert page.count('<i class="of-real"') == 10
    assert page.count('<i class="of-synthetic"') == 0
    assert "synthetic" not in found
    assert "synthetic" not in text_of(page).lower().replace("synthaug", "")
    assert 'id="made"' not in page
    assert numbers_of(page, "Files and rows that were left out")[1:] == [[".txt files", "1"]]
    assert numbers_of(page, "Rows of each class")[1][0] == next(iter(found["classes"]))
    assert "Real rows of " in page
    rows = synthaug.open_data(str(visits(tmp_path / "visits.csv")), label="finding")
    _, table = looked_at(rows, tmp_path / "page of a table")
    assert "Values of each column" in table


def test_nothing_of_what_names_hold_is_obeyed(tmp_path: Path) -> None:
    rows, labels = strange()
    generator = synthaug.fit((rows, labels), steps=2, progress=False)
    bigger = synthaug.expand((rows, labels), generator, to="2x")
    _, page = looked_at(bigger, tmp_path / "page")
    for name in ("<script>alert(1)</script>", r"two\nlines", r"left\u202ethgir"):
        assert escape(name) in re.sub(r"</?span[^>]*>|<wbr>", "", page)
    assert "\u202e" not in page  # what turns text around is shown, and turns nothing
    assert "<bdi>" in page
    assert f'<span class="long">{STRANGE[-1]}</span>' in page
    assert 'id="made"' not in page  # in memory there is no record


def test_what_cannot_be_read_is_named_and_nothing_else_is_lost(tmp_path: Path) -> None:
    source = photographs(tmp_path / "photos")
    broken = next((source / "train").iterdir()) / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n, and no more")
    found, page = looked_at(str(source), tmp_path / "page")
    assert found["copies"]["across"] == {"train": {"test": 1}}
    assert "1 cannot be read" in page
    assert "broken.png cannot be read as an image" in text_of(page)
    assert 'id="pictures"' not in page


def test_sizes_are_counted_where_they_differ_and_as_they_are_stored(tmp_path: Path) -> None:
    for k, name in enumerate(["cat", "dog"]):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for row in range(6):
            pixels = np.random.default_rng(10 * k + row).integers(0, 256, (10 + row, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{row}.png")
    found, page = looked_at(str(tmp_path / "photos"), tmp_path / "page")
    assert found["sizes"] == {f"{10 + row}x20": 2 for row in range(6)}
    assert "6 sizes, from 10 to 15 pixels high and 20 to 20 wide" in page
    assert "image_size" in text_of(page)  # what to do about it
    opened = synthaug.open_data(str(tmp_path / "photos"), image_size=16)
    found, page = looked_at(opened, tmp_path / "resized")
    assert found["sizes"] == {f"{10 + row}x20": 2 for row in range(6)}
    assert "Real rows of cat" in page


def test_no_more_rows_are_decoded_for_pictures_than_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    n, classes = 3000, 30
    rows = np.random.default_rng(0).integers(0, 256, (n, 8, 8), dtype=np.uint8)
    data = synthaug.open_data((rows, np.arange(n) % classes))
    data.check_images()
    read: list[int] = []
    whole = type(data).read
    monkeypatch.setattr(type(data), "read", lambda self, at=None: read.extend(at) or whole(self, at))
    assert len(pick_rows(data)) == 20
    assert len(read) == 160


def test_large_rows_are_shown_small() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (4, 300, 600), dtype=np.uint8)
    data = synthaug.open_data((rows, ["a", "b"] * 2))
    data.check_images()
    assert pick_rows(data)[0].real.shape == (2, 56, 112, 3)


def test_many_classes_and_parts_are_folded() -> None:
    counts = {f"class {k}": 5 for k in range(200)}
    parts = [{"rows": 5, "split": None, "sha256": f"{k:064x}"} for k in range(100)]
    card = {"origin": "x", "family": "cvae", "generator": "0" * 64, "seed": 0, "copied": {}}
    found: dict[str, Any] = {
        "kind": "expanded data set",
        "origin": "x",
        "rows": 1000,
        "form": "rows",
        "read as": "",
        "left out": {},
        "notes": [],
        "broken": [f"{k}.png is broken" for k in range(50)],
        "splits": {},
        "classes": counts,
        "imbalance": None,
        "sizes": {},
        "copies": None,
        "fingerprint": None,
        "card": card,
        "record": {"parts": parts, "again": None},
    }
    page = inspection(found)
    assert Structure(page).open == []
    assert "180 more classes" in page
    assert "80 more parts" in page
    assert "50 cannot be read, of which these are the first" in page
    assert "no command makes it again" in " ".join(page.split())


def test_an_equal_page_is_left_as_it_is_and_another_refused(tmp_path: Path) -> None:
    rows, labels = strange()
    found, _ = looked_at((rows, labels), tmp_path / "page")
    written = Path(found["page"]).stat().st_mtime_ns
    synthaug.inspect((rows, labels), out=tmp_path / "page")
    assert Path(found["page"]).stat().st_mtime_ns == written
    with pytest.raises(OutputExists):
        synthaug.inspect((rows[:-4], labels[:-4]), out=tmp_path / "page")
    synthaug.inspect((rows[:-4], labels[:-4]), out=tmp_path / "page", overwrite=True)
    assert Path(found["page"]).stat().st_mtime_ns != written


def test_a_page_is_not_written_into_what_it_is_of(pictures: Path) -> None:
    with pytest.raises(InvalidRequest, match="lies in"):
        synthaug.inspect(pictures, out=pictures / "page")


def test_the_command_writes_the_page_and_tells_of_imbalance_and_copies(
    pictures: Path, tmp_path: Path
) -> None:
    def done(*arguments: object) -> str:
        found = CliRunner().invoke(main, ["inspect", *map(str, arguments)], catch_exceptions=False)
        assert found.exit_code == 0, found.stderr
        return " ".join(found.stdout.split())

    assert "page" in done(pictures, "--out", tmp_path / "page")
    assert (tmp_path / "page" / "inspect.html").is_file()
    told = done(pictures)
    assert re.search(r'imbalance \d+\.?\d* to 1, "', told)
    assert "copies 1 within train, 1 of train in test" in told
    assert "made again with synthaug run" in told
    assert "class rows synthetic" in told
    assert done(pictures, "--train-split", "train").startswith(
        "kind expanded data set"
    )  # said of, it is the same
    assert '"kind": "expanded data set"' in done(pictures, "--out", tmp_path / "not", "--dry-run", "--json")
    assert not (tmp_path / "not").exists()
