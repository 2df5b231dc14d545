"""Pages as a browser draws them, on a phone and a desk, by day and by night: nothing sticks out, no word is broken."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from evaluated import evaluated, write_page
from inspected import expanded, photographs, strange, visits

import synthaug

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (400, 1280)
SCHEMES = {"dark": 0, "light": 1}

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no chromium, chromium-browser or google-chrome on the path"
)

MEASURE = """
<script>
addEventListener("load", () => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  const root = document.documentElement, width = root.clientWidth;
  const told = (e) => `${e.tagName}.${e.className} ${e.textContent.trim().slice(0, 40)}`;
  const lines = (of) => new Set([...of.getClientRects()].map((box) => Math.round(box.top / 4))).size;
  const scrolled = (e) => e.closest(".scroll, pre");
  const outside = [], sticking = [], broken = [];
  for (const e of document.querySelectorAll("main *")) {
    const box = e.getBoundingClientRect();
    if (box.width && !scrolled(e) && (box.right > width + 1 || box.left < -1)) outside.push(told(e));
    const block = !["inline", "contents"].includes(getComputedStyle(e).display) && e instanceof HTMLElement;
    if (block && !scrolled(e) && e.scrollWidth > e.clientWidth + 1 && e.clientWidth) sticking.push(told(e));
  }
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode()); ) {
    if (text.parentElement.closest(".long, pre, svg, style")) continue;
    for (const word of text.data.matchAll(/[\\p{L}\\p{N}]{2,}/gu)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      if (lines(range) > 1) broken.push(word[0]);
    }
  }
  for (const part of document.querySelectorAll("main .whole")) {
    if (lines(part) > 1) broken.push(part.textContent);
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const paper = getComputedStyle(document.body).backgroundColor;
  const page = root.scrollWidth;
  parent.postMessage({ width, page, outside, sticking, broken, dark, paper }, "*");
});
</script>
"""

FRAMES = """<!doctype html><body><script>
addEventListener("message", (event) => {
  const told = document.createElement("pre");
  told.textContent = "FOUND " + JSON.stringify(event.data) + " END";
  document.body.append(told);
});
</script>"""


def drawn(page: Path, scheme: str) -> dict[int, dict[str, Any]]:
    """What is found on a page in a frame of each of the `WIDTHS`."""
    assert BROWSER is not None
    measured = page.with_name("measured.html")
    measured.write_text(page.read_text().replace("</body>", MEASURE + "</body>"))
    frames = page.with_name("frames.html")
    frame = '<iframe src="measured.html" style="width:{}px;height:900px;border:0"></iframe>'
    frames.write_text(FRAMES + "".join(map(frame.format, WIDTHS)))
    how = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--dump-dom",
        "--hide-scrollbars",
        "--virtual-time-budget=20000",
    ]
    how += [f"--user-data-dir={page.with_name('profile')}", "--window-size=1400,1000"]
    how += [f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"]
    ran = subprocess.run([BROWSER, *how, frames.as_uri()], capture_output=True, text=True, timeout=180)
    found = [json.loads(unescape(text)) for text in re.findall(r"FOUND (.*?) END</pre>", ran.stdout)]
    assert len(found) == len(WIDTHS), ran.stderr[-2000:]
    return {of["width"]: of for of in found}


def _report(n_classes: int, seeds: int) -> Callable[[Path], Path]:
    return lambda place: write_page(evaluated(n_classes, seeds, spread=0.03, gain=0.01), place)


def _of_images(place: Path) -> Path:
    return looked_at(expanded(photographs(place / "photos"), place / "bigger"), place)


def _of_a_table(place: Path) -> Path:
    return looked_at(expanded(visits(place / "visits.csv"), place / "bigger.parquet", label="finding"), place)


def _of_strange_names(place: Path) -> Path:
    return looked_at(strange(), place)


def looked_at(source: Any, place: Path) -> Path:
    return Path(synthaug.inspect(source, out=place / "page")["page"])


PAGES: dict[str, Callable[[Path], Path]] = {
    "report of 2 classes": _report(2, 10),
    "report of 10 classes": _report(10, 2),
    "report of 120 classes": _report(120, 10),
    "10 classes of images": _of_images,
    "a table": _of_a_table,
    "strange names": _of_strange_names,
}


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return PAGES[request.param](tmp_path_factory.mktemp("page"))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_sticks_out_and_no_word_is_broken(page: Path, scheme: str) -> None:
    found = drawn(page, scheme)
    assert set(found) == set(WIDTHS)
    for width, of in found.items():
        assert of["dark"] == (scheme == "dark")
        assert (of["paper"] == "rgb(22, 24, 28)") == of["dark"]
        assert of["page"] <= width
        assert of["outside"] == []
        assert of["sticking"] == []
        assert of["broken"] == []


def test_what_sticks_out_and_what_is_broken_is_found(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(
        "<!doctype html><body style='margin:0'><main><div style='width:1300px'>wide</div>"
        "<p style='width:3em;overflow-wrap:anywhere'>Sneakers</p><p style='width:2em'>Ankleboots</p></main></body>"
    )
    for of in drawn(page, "light").values():
        assert of["page"] >= 1300
        assert [told.split()[0] for told in of["outside"]] == ["DIV."]
        assert [told.split()[1] for told in of["sticking"]] == ["Ankleboots"]
        assert of["broken"] == ["Sneakers"]
