"""Processes that train one generator together, on CPUs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import synthaug
from synthaug.errors import InvalidRequest
from synthaug.families import Phase
from synthaug.training import Ranks, ranks, run_loop, together

SCRIPT = """
import json, os, sys
import numpy as np
import torch
sys.path.insert(0, sys.argv[2])
import synthaug
from synthaug.training import ranks, together
from test_ranks import straight

place, rank = sys.argv[1], os.environ["RANK"]
data = synthaug.open_data("bundled:digits")
with together() as several:
    assert (several.world, several.rank) == (2, int(rank))
    line = straight()
    generator = synthaug.fit(data, "cgan", steps=12, out=place + "/gen", progress=False)
    again = synthaug.fit(data, "cgan", steps=12, out=place + "/gen", progress=False)
    assert again.fingerprint == generator.fingerprint
    try:
        synthaug.fit(data, minutes=1, progress=False)
    except synthaug.SynthaugError as error:
        assert "Give steps=" in str(error)
    else:
        raise AssertionError("minutes were taken")
assert ranks().world == 1
told = {"line": line, "generator": generator.fingerprint, "losses": generator.history[-2]}
open(place + f"/{rank}.json", "w").write(json.dumps(told))
"""


class Line(nn.Module):
    """A straight line through points."""

    def __init__(self) -> None:
        super().__init__()
        self.slope, self.at = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.ones(()))
        self.register_buffer("seen", torch.zeros(()))

    def loss(self, batch, progress, rng):
        self.seen += 1
        x, y = batch
        error = ((x @ self.slope + self.at - y) ** 2).mean()
        return error, {"loss": error}


def straight() -> list[float]:
    """The weights after some steps over whole batches of eight."""
    line = Line()
    points = torch.randn(16, 8, 3, generator=torch.Generator().manual_seed(0))
    values = points.sum(-1)
    phase = Phase("line", tuple(line.parameters()), line.loss, lr=0.1)
    found = run_loop(line, [phase], lambda kind, step: (points[step], values[step]), steps=16, seed=0)
    return [*found.average.slope.tolist(), float(found.average.at), float(found.average.seen)]


def test_two_processes_take_the_steps_that_one_takes_and_end_with_one_generator(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, str(script), str(tmp_path), str(Path(__file__).parent)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first["line"] == second["line"]
    assert first["line"] == pytest.approx(straight(), abs=1e-5)
    assert first["generator"] == second["generator"] == synthaug.load(tmp_path / "gen").fingerprint
    figures = [{k: v for k, v in told["losses"].items() if k != "seconds"} for told in (first, second)]
    assert figures[0] == figures[1]
    assert len(figures[0]) > 1


def test_one_process_alone_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with together() as several:
        assert several == ranks() == Ranks()
    assert several.told("x") == "x"
    assert several.mean({"a": 1.0}) == {"a": 1.0}
    rows = torch.arange(7)
    shares = [Ranks(rank, 3).own_rows(rows) for rank in range(3)]
    assert sorted(torch.cat(shares).tolist()) == rows.tolist()


def test_without_distributed_torch_a_launch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(torch.distributed, "is_available", lambda: False)
    with pytest.raises(InvalidRequest, match=r"without torch\.distributed"), together():
        pass
