"""Progress: a bar where somebody watches, and a line now and then where nobody does."""

from __future__ import annotations

import logging
import re
import sys
from types import SimpleNamespace

import pytest

import synthaug
from synthaug import progress
from synthaug.progress import bar


def counted(n: int = 5, **how: object) -> None:
    with bar(n, shown=True, of="training", unit="step", **how) as shown:  # type: ignore[arg-type]
        for _ in range(n):
            shown.update()


def test_what_ends_within_a_minute_writes_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    counted()
    assert capsys.readouterr() == ("", "")


def test_where_nobody_watches_whole_lines_tell_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    counted(initial=0)
    out, told = capsys.readouterr()
    assert out == ""
    assert "\r" not in told
    lines = told.splitlines()
    assert len(lines) >= 5
    assert all(line.startswith("training: ") for line in lines)
    assert re.search(r"100%.* 5/5 ", lines[-1])


def test_bars_within_bars_write_lines_as_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    with bar(2, shown=True, of="choice") as outer:
        for _ in range(2):
            counted()
            outer.update()
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert all(line.startswith(("choice: ", "training: ")) for line in told.splitlines())


@pytest.mark.parametrize("stderr", [None, SimpleNamespace(write=len, flush=bool)])
def test_what_stands_in_for_stderr_need_not_be_a_file(
    stderr: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    with bar(3, shown=False) as shown:
        shown.update(3)
    counted()


def test_on_a_terminal_it_is_one_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    counted()
    assert capsys.readouterr().err.count("\n") == 1


def test_a_training_on_a_cluster_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    for shown in (True, False):
        synthaug.fit("bundled:digits", "warp", steps=3, progress=shown)
        told = capsys.readouterr().err
        assert ("3/3" in told) is shown
        assert bool(told) is shown


def test_lines_are_logged_whether_they_are_shown_or_not(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    assert any(isinstance(each, logging.NullHandler) for each in logging.getLogger("synthaug").handlers)
    for shown in (True, False):
        with bar(2, shown=shown, of="choice") as counting, caplog.at_level(logging.INFO, "synthaug"):
            counting.update()
        told = capsys.readouterr().err.splitlines()
        assert bool(told) is shown
    with caplog.at_level(logging.INFO, "synthaug"), bar(2, shown=False, of="choice") as counting:
        counting.update(2)
    assert capsys.readouterr().err == ""
    assert "choice: 100%" in caplog.messages[-1]
