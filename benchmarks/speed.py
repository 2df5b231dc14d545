"""How far is training, and sampling, from the fastest loop one would write by hand?

Bundled Fashion-MNIST, batches of 64 rows of 28x28, one process. Training: the loop of `synthaug.fit` as users get it
(rows chosen and encoded as it goes, history, checkpoints, guards) beside a bare loop of the same modules, losses, fused
AdamW, augmentation and moving average on tensors that were encoded before, with rows that were chosen before. The two
take turns within one run of ours: each round is a twentieth of the budget, so that every one of ours holds one
checkpoint. A real run has one in some 200 steps, so a round costs a little more than that. Sampling: `Generator.sample`
beside the forward pass alone, in blocks of the same size.

Time is the processor time of the process, which its neighbours on the machine change little; on several threads it is
wall time. Beside it stands what share a step reaches of the machine's matrix-multiply rate, and of the rate of a large
3x3 convolution (where torch multiplies matrices with MKL and convolves with oneDNN, the second can be the higher),
both measured in the same rounds. Operations are those of convolutions and matrix products, padding included.

    python benchmarks/speed.py
"""

from __future__ import annotations

import copy
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
import torch.nn.functional as F
from record import RESULTS, write_results
from torch.utils.flop_counter import FlopCounterMode

from synthaug import LabeledData, open_data
from synthaug.data import part
from synthaug.families import FAMILIES, Batch, BatchKind, Family
from synthaug.modalities.image import Decoder, Encoder
from synthaug.training import Appraiser, Batches, Training, run_loop, train

MATRIX = 1024
CHANNELS, SIDE, BATCH = 128, 28, 64
BLOCK = 32
"""Rows that a generator makes at once."""


class Bare:
    """The loop one would write by hand for one family: a call is some steps."""

    def __init__(self, module: Family, batch: Batches, steps: int) -> None:
        self.module, self.phases = module, module.phases()
        self.optimizers = [
            torch.optim.AdamW(p.parameters, lr=p.lr, betas=p.betas, weight_decay=p.weight_decay, fused=True)
            for p in self.phases
        ]
        average = copy.deepcopy(module).requires_grad_(False)
        self.averaged, self.current = list(average.parameters()), list(module.parameters())
        self.rng = torch.Generator().manual_seed(0)
        # As many batches as there are rows, one after another.
        kind = self.phases[0].batch
        batches = [batch(kind, step) for step in range(min(steps, len(batch.data) // BATCH))]
        self.encoded = torch.cat([images for images, _ in batches])
        self.labels = torch.cat([labels for _, labels in batches])
        self.chosen = torch.randint(len(self.labels), (4 * steps, BATCH), generator=self.rng)
        self.taken = 0
        module.train()

    def __call__(self, steps: int) -> None:
        """So many steps."""
        for _ in range(steps):
            for phase, optimizer in zip(self.phases, self.optimizers, strict=True):
                if len(self.phases) > 1:
                    for parameter in self.current:
                        parameter.requires_grad_(False)
                    for parameter in phase.parameters:
                        parameter.requires_grad_(True)
                rows = self.chosen[self.taken % len(self.chosen)]
                self.taken += 1
                loss, _ = phase.loss((self.encoded[rows], self.labels[rows]), 0.5, self.rng)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            torch._foreach_lerp_(self.averaged, self.current, 0.01)


class Turns:
    """The batches of our loop; every ``every`` steps it stops the clock and lets the others have their turn."""

    def __init__(
        self, batch: Batches, bare: Bare, every: int, clock: Callable[[], float], compiled: Bare | None
    ) -> None:
        self.batch, self.bare, self.every, self.clock, self.compiled = batch, bare, every, clock, compiled
        self.ours: list[float] = []
        self.floor: list[float] = []
        self.matrix: list[float] = []
        self.convolution: list[float] = []
        self.lowered: list[float] = []
        self.step = -1
        self.since = 0.0

    def __call__(self, kind: BatchKind, step: int) -> Batch:
        """The batch of a step, perhaps after a round of the others."""
        if step != self.step and step % self.every == 0:
            if self.step >= 0:
                self.ours.append((self.clock() - self.since) / self.every)
                self.floor.append(seconds(lambda: self.bare(self.every), self.clock) / self.every)
                self.matrix.append(matrix_rate(self.clock))
                self.convolution.append(convolution_rate(self.clock))
                if self.compiled is not None:
                    turn = self.compiled
                    self.lowered.append(seconds(lambda: turn(self.every), self.clock) / self.every)
            self.since = self.clock()
        self.step = step
        return self.batch(kind, step)


def seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    """That a call takes."""
    start = clock()
    call()
    return clock() - start


def matrix_rate(clock: Callable[[], float]) -> float:
    """GFLOP/s of a product of two square float32 matrices."""
    a, b = torch.ones(MATRIX, MATRIX), torch.ones(MATRIX, MATRIX)
    return 10 * 2 * MATRIX**3 / seconds(lambda: [a @ b for _ in range(10)], clock) / 1e9


@torch.inference_mode()
def convolution_rate(clock: Callable[[], float]) -> float:
    """GFLOP/s of a 3x3 convolution that keeps its many channels, in channels-last memory."""
    x = torch.ones(BATCH, CHANNELS, SIDE, SIDE).to(memory_format=torch.channels_last)
    kernel = torch.ones(CHANNELS, CHANNELS, 3, 3).to(memory_format=torch.channels_last)
    operations = 2 * 9 * CHANNELS**2 * SIDE**2 * BATCH
    F.conv2d(x[:1], kernel, padding=1)
    return operations / seconds(lambda: F.conv2d(x, kernel, padding=1), clock) / 1e9


def training(
    data: LabeledData, family: str, steps: int, clock: Callable[[], float], compiling: bool
) -> dict[str, Any]:
    """Figures of our loop, of the bare one, and of the bare one compiled where that is asked for."""
    asked, rows = Training(family, device="cpu"), data.detached()
    images = rows.read()
    form = rows.form.fitted(images)
    module, other = asked.untrained(rows), asked.untrained(rows)
    batch = Batches(rows, form, module.config.batch_size, 0)
    for each in (module, other):
        if each.keeps_rows:
            each.remember(form.encode(images), torch.from_numpy(rows.labels))
    bare = Bare(other, batch, steps)
    bare(5)
    with FlopCounterMode(display=False) as counter:
        bare(1)
    flops = counter.get_total_flops()
    compiled, compilation = compile_bare(asked, batch, steps) if compiling else (None, {})
    turns = Turns(batch, bare, steps // 20, clock, compiled)
    appraiser = Appraiser(rows, None, form, steps=steps, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        run_loop(
            module, module.phases(), turns, steps=steps, seed=0, folder=Path(folder), spread=appraiser.spread
        )
    rates = [flops / each / 1e9 for each in turns.ours]
    found = {
        "family": family,
        "ours_ms_per_step": summary([1e3 * value for value in turns.ours]),
        "bare_ms_per_step": summary([1e3 * value for value in turns.floor]),
        "ours_over_bare": summary([a / b for a, b in zip(turns.ours, turns.floor, strict=True)]),
        "mflop_per_step": round(flops / 1e6),
        "matrix_gflops": summary(turns.matrix),
        "convolution_gflops": summary(turns.convolution),
        "share_of_matrix_rate": summary([a / b for a, b in zip(rates, turns.matrix, strict=True)]),
        "share_of_convolution_rate": summary([a / b for a, b in zip(rates, turns.convolution, strict=True)]),
    }
    if compiled is not None:
        gains = [a / b for a, b in zip(turns.floor, turns.lowered, strict=True)]
        saved = statistics.median(turns.floor) - statistics.median(turns.lowered)
        seconds_to_compile = compilation["seconds_to_compile"]
        found["compiled"] = compilation | {
            "bare_over_compiled": summary(gains),
            # None where a compiled step is no faster
            "seconds_of_training_to_earn_it_back": round(
                seconds_to_compile / (saved / statistics.median(turns.floor))
            )
            if saved > 0
            else None,
        }
    return found


def compile_bare(asked: Training, batch: Batches, steps: int) -> tuple[Bare, dict[str, float]]:
    """A bare loop whose convolutional networks are compiled, and how long that took."""
    module = asked.untrained(batch.data)
    for each in module.modules():
        if isinstance(each, Encoder | Decoder):
            each.compile()
    bare = Bare(module, batch, steps)
    # Compilers run in processes of their own, so this is wall time.
    took = seconds(lambda: bare(2), time.perf_counter)
    return bare, {"seconds_to_compile": round(took, 1)}


def sampled(data: LabeledData, family: str, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Figures of sampling, and of the forward pass alone."""
    generator, per_class = train(data, Training(family, steps=30, device="cpu")), 128
    blocks = len(generator.classes) * per_class // BLOCK
    labels = [torch.full((BLOCK,), n % len(generator.classes)) for n in range(blocks)]
    noise = [torch.randn(BLOCK, *generator.noise_shape) for _ in range(blocks)]

    @torch.inference_mode()
    def bare() -> None:
        for label, one in zip(labels, noise, strict=True):
            generator.family.sample(label, one)

    ours, floor = [], []
    for turn in range(rounds + 1):
        a, b = seconds(lambda: generator.sample(per_class, seed=1), clock), seconds(bare, clock)
        if turn:
            ours.append(a)
            floor.append(b)
    rows = per_class * len(generator.classes)
    return {
        "family": family,
        "ours_rows_per_second": summary([rows / value for value in ours]),
        "bare_rows_per_second": summary([rows / value for value in floor]),
        "ours_over_bare": summary([a / b for a, b in zip(ours, floor, strict=True)]),
    }


def summary(values: list[float]) -> dict[str, float]:
    """Quartiles, and of how many."""
    quartiles = statistics.quantiles(values, n=4)
    names = ("lower_quartile", "median", "upper_quartile")
    return {name: round(value, 3) for name, value in zip(names, quartiles, strict=True)} | {"n": len(values)}


@click.command()
@click.option(
    "--steps", default=1000, show_default=True, help="Budget of each training run; a round is a 20th."
)
@click.option("--rounds", default=15, show_default=True, help="Of sampling.")
@click.option("--threads", default=1, show_default=True)
@click.option("--family", "families", multiple=True, default=tuple(FAMILIES))
@click.option("--compile", "compiled", multiple=True, help="A family to time torch.compile with.")
@click.option("--out", default=RESULTS / "speed", type=click.Path(path_type=Path))
def main(
    steps: int, rounds: int, threads: int, families: tuple[str, ...], compiled: tuple[str, ...], out: Path
) -> None:
    """Measures every family, and writes a file for each."""
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    data = part(open_data("bundled:fashion-mnist"), "train")
    for family in families:
        sampling_of = sampled(data, family, rounds, clock)
        training_of = training(data, family, steps, clock, family in compiled)
        click.echo((sampling_of, training_of))
        write_results(
            out / f"{family}.json",
            {
                "about": "medians of interleaved rounds; processor time on one thread, wall time on more",
                "load_average": os.getloadavg(),
                "threads": threads,
                "rows": len(data),
                "batch_size": BATCH,
                "steps_per_round": steps // 20,
                "training": training_of,
                "sampling": sampling_of,
            },
        )


if __name__ == "__main__":
    main()
