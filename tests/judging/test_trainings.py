"""Trainings in processes of their own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from synthaug.judging.trainings import in_processes


def test_paths_of_a_task_mean_what_they_mean_to_the_caller_though_workers_live_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "name.txt").write_text(name)
        monkeypatch.chdir(folder)
        tasks = [partial(Path.read_text, Path("name.txt"))] * 4
        assert list(in_processes(tasks, 2)) == [name] * 4
