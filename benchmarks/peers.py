"""Pythae's VAE and its trainer beside ours: images a second, and seconds to the same held-out reconstruction error.

Bundled Fashion-MNIST, batches of 64, the same encoder and decoder, in channels-last memory on both sides, learning rate
2e-3 on both. What differs is what each library adds: Pythae its loader, Adam, and a loss of unit variance without
labels; ours its choice of rows, fused AdamW with a schedule, a moving average, and the calibrated likelihood with a
prior of each class. A second comparison runs Pythae's model and loss in our loop, so that only the trainers differ.
Batches of our loop are balanced, every class equally often, while Pythae goes through all rows in a new order each
epoch; the set has equally many rows of each class.

They take turns, some epochs of Pythae's at a time, in one process on one thread; time is processor time without
evaluation. The error is the mean squared one of test rows decoded from the mean of their posterior, in our loop with
the moving average of the weights, as it is used. The aim is what Pythae has reached at the end; seconds to it are to
the first evaluation, once a turn, that is no worse.

    pip install --no-deps -r benchmarks/requirements-peers.txt
    python benchmarks/peers.py
"""

from __future__ import annotations

import contextlib
import copy
import importlib.metadata
import importlib.util
import io
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from record import RESULTS, write_results
from torch import Tensor, nn

from synthaug import open_data
from synthaug.data import part
from synthaug.families import Batch, Loss, Phase
from synthaug.modalities.image import Decoder, Encoder, Pyramid, default_base
from synthaug.training import Batches, Training, run_loop

BATCH, LATENT, LR = 64, 32, 2e-3
TURNS = 10  # as often as our loop shows its average


def pythae_vae(shape: tuple[int, int, int]) -> nn.Module:
    """Pythae's VAE around the networks of our `cvae`, which lose their labels."""
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    base = default_base(*shape[1:])
    pyramid = Pyramid.of(*shape[1:], base, cap=4 * base)

    class Encoding(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = Encoder(shape[0], pyramid)
            features = self.encoder.channels * self.encoder.area
            self.posterior = nn.Sequential(nn.Linear(features, 256), nn.SiLU(), nn.Linear(256, 2 * LATENT))

        def forward(self, x: Tensor) -> Any:
            mean, log_variance = self.posterior(self.encoder(x).flatten(1)).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=log_variance.clamp(-10, 5))

    class Decoding(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.condition = nn.Sequential(nn.Linear(LATENT, 128), nn.SiLU())
            self.decoder = Decoder(shape, 128, pyramid)

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.decoder(self.condition(z)))

    config = VAEConfig(input_dim=shape, latent_dim=LATENT, reconstruction_loss="mse")
    model: nn.Module = VAE(model_config=config, encoder=Encoding(), decoder=Decoding())
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def pythae_trainer(model: nn.Module, rows: Tensor, labels: Tensor, folder: str) -> Any:
    """Pythae's trainer of the model, ready for its first epoch."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    config = BaseTrainerConfig(
        output_dir=folder,
        per_device_train_batch_size=BATCH,
        num_epochs=1000,
        learning_rate=LR,
        no_cuda=True,
    )
    trainer = BaseTrainer(model, BaseDataset(rows, labels), training_config=config)
    trainer.prepare_training()
    return trainer


class Turns:
    """Our loop and theirs in turn: each tenth of our run, where it shows its average, theirs runs as many steps."""

    def __init__(
        self, theirs: Callable[[], object], error: Callable[[Any], float], their_error: Callable[[], float]
    ):
        self.theirs, self.error, self.their_error = theirs, error, their_error
        self.seconds: dict[str, list[float]] = {"ours": [], "pythae": []}
        self.errors: dict[str, list[float]] = {"ours": [], "pythae": []}
        self.since = 0.0

    def run(self, module: nn.Module, phases: list[Phase], batch: Batches, steps: int) -> None:
        """Spends the budget of ours, and as many steps of theirs."""
        with tempfile.TemporaryDirectory() as folder:
            self.since = time.process_time()
            run_loop(module, phases, batch, steps=steps, seed=0, folder=Path(folder), preview=self._hand_over)

    def _hand_over(self, average: nn.Module, step: int) -> None:
        self.seconds["ours"].append(time.process_time() - self.since)
        start = time.process_time()
        self.theirs()
        self.seconds["pythae"].append(time.process_time() - start)
        self.errors["ours"].append(self.error(average))
        self.errors["pythae"].append(self.their_error())
        click.echo(
            {name: (round(of[-1], 2), round(self.errors[name][-1], 5)) for name, of in self.seconds.items()}
        )
        self.since = time.process_time()


def measure(epochs: int) -> dict[str, Any]:
    """Figures of both comparisons, so many epochs of theirs a turn."""
    data = open_data("bundled:fashion-mnist")
    train, test = part(data, "train").detached(), part(data, "test")
    images = train.read()
    form = train.form.fitted(images)
    rows, labels = form.encode(images), torch.from_numpy(train.labels)
    kept, kept_labels = form.encode(test.read()), torch.from_numpy(test.labels)

    asked = Training("cvae", {"latent": LATENT, "lr": LR, "batch_size": BATCH}, device="cpu")
    batch, ours = Batches(train, form, BATCH, 0), asked.untrained(train)
    torch.manual_seed(0)
    peer = pythae_vae(form.encoded)
    in_our_loop = copy.deepcopy(peer)

    def elbo(batch: Batch, progress: float, rng: torch.Generator) -> Loss:
        loss = in_our_loop({"data": batch[0]}).loss
        return loss, {"loss": loss}

    @torch.inference_mode()
    def error(decoded: Callable[[Tensor, Tensor], Tensor]) -> float:
        pairs = zip(kept.split(256), kept_labels.split(256), strict=True)
        squares = [(decoded(x, y) - x).square().sum() for x, y in pairs]
        return float(sum(squares) / kept.numel())

    def of_ours(model: Any) -> float:
        return error(lambda x, y: model._decode(model._encode(x, y)[0], y))

    def of_peer(model: Any) -> float:
        model.eval()
        return error(lambda x, _: model.decoder(model.encoder(x).embedding).reconstruction)

    each = epochs * math.ceil(
        len(train) / BATCH
    )  # steps in a turn; the last batch of an epoch of theirs is short
    phase = Phase("elbo", list(in_our_loop.parameters()), elbo, lr=LR, batch="balanced")
    runs = {
        "our cvae": (ours, ours.phases(), of_ours),
        "their model and loss": (in_our_loop, [phase], of_peer),
    }
    comparisons = []
    for name, (module, phases, of) in runs.items():
        theirs = copy.deepcopy(peer)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            trainer = pythae_trainer(theirs, rows, labels, folder)

            def epoch(trainer: Any = trainer) -> None:
                for _ in range(epochs):
                    trainer.train_step(1)

            def their_error(theirs: nn.Module = theirs) -> float:
                return of_peer(theirs)

            turns = Turns(epoch, of, their_error)
            turns.run(module, phases, batch, TURNS * each)
            shares = profile(epoch)
        images = {"ours": each * BATCH, "pythae": epochs * len(train)}
        speeds = {side: [images[side] / s for s in turns.seconds[side]] for side in images}
        aim = turns.errors["pythae"][-1]
        ours_to, theirs_to = (reached(aim, turns.seconds[side], turns.errors[side]) for side in images)
        comparisons.append(
            {
                "in_our_loop": name,
                "images_per_second": {side: summary(of_side) for side, of_side in speeds.items()},
                "ours_over_pythae": summary(
                    [a / b for a, b in zip(speeds["ours"], speeds["pythae"], strict=True)]
                ),
                "aim": aim,
                "seconds_to_the_aim": {"ours": ours_to, "pythae": theirs_to},
                "errors": turns.errors,
                "where_pythae_spends": shares,
            }
        )
    return {
        "rows": len(train),
        "test_rows": len(test),
        "batch_size": BATCH,
        "turns": TURNS,
        "epochs_per_turn": epochs,
        "comparisons": comparisons,
    }


def reached(aim: float, seconds: list[float], errors: list[float]) -> float | None:
    """Seconds to the first turn at whose end the error was no worse; None if there was none."""
    return next((sum(seconds[: n + 1]) for n, error in enumerate(errors) if error <= aim), None)


def profile(call: Callable[[], object]) -> dict[str, float]:
    """Shares of the time of a call, by what it was spent on."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        call()
        whole = time.perf_counter() - start
    spent = dict.fromkeys(("convolutions and matrix products", "loader", "optimizer", "rest"), 0.0)
    totals = {event.key: event for event in profiler.key_averages()}
    for key, event in totals.items():
        if key.startswith("enumerate(DataLoader)"):
            spent["loader"] += event.cpu_time_total / 1e6
        elif key.startswith("Optimizer.step"):
            spent["optimizer"] += event.cpu_time_total / 1e6
        elif key in ("aten::mkldnn_convolution", "aten::convolution_backward", "aten::addmm", "aten::mm"):
            spent["convolutions and matrix products"] += event.cpu_time_total / 1e6
    spent["rest"] = whole - sum(spent.values())
    return {name: round(value / whole, 3) for name, value in spent.items()}


def summary(values: list[float]) -> dict[str, float]:
    """Quartiles, and of how many."""
    quartiles = statistics.quantiles(values, n=4)
    names = ("lower_quartile", "median", "upper_quartile")
    return {name: round(value, 3) for name, value in zip(names, quartiles, strict=True)} | {"n": len(values)}


@click.command()
@click.option("--epochs", default=2, show_default=True, help="Of Pythae in a turn.")
@click.option("--out", default=RESULTS / "peers.json", type=click.Path(path_type=Path))
def main(epochs: int, out: Path) -> None:
    """Compares, where Pythae is installed, and writes one file."""
    if importlib.util.find_spec("pythae") is None:
        click.echo("Skipped: pythae is not installed (see benchmarks/requirements-peers.txt).")
        return
    torch.set_num_threads(1)
    found = measure(epochs)
    version = importlib.metadata.version("pythae")
    write_results(out, {"pythae": version, "threads": 1, "load_average": os.getloadavg(), **found})


if __name__ == "__main__":
    main()
