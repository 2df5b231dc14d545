"""Every block of `docs/frameworks.md`, run as it stands: the share has to arrive in the training step."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

import synthaug
from synthaug import Classes, ImageForm, Samples
from synthaug.errors import UnsupportedKind
from synthaug.generators import synthetic_provenance

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "frameworks.md").read_text()
ROWS, SIDE, BATCH = 64, 8, 8
CLASSES, FORM = Classes(("cat", "dog"), (0, 1)), ImageForm(SIDE, SIDE, 1, "HW", "uint8", 0.0, 255.0)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*pin_memory.*no accelerator is found"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning"),  # Lightning's own use of torch
]


def numbered(n: int, marker: int) -> np.ndarray:
    """Pictures with a marker and their number in two pixels, bright and dark ones in two others."""
    images = np.random.default_rng(marker).integers(60, 200, (n, SIDE, SIDE), dtype=np.uint8)
    images[:, 0, 0], images[:, 0, 1] = marker, np.arange(n)
    images[:, 1, 0], images[:, 1, 1] = 0, 255
    return images


def scaled(image: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).float().div(255).unsqueeze(0)


class Pictures(Dataset[Any]):
    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Any = scaled) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> Any:
        return self.transform(self.images[row]), int(self.labels[row])


class Augmented(Pictures):
    def __getitem__(self, row: int) -> Any:
        label = int(self.labels[row])
        return scaled(self.transform(image=self.images[row], label=label)["image"]), label


class Probe(nn.Module):
    """A classifier that writes down which rows it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(SIDE * SIDE, len(CLASSES))
        self.batches: list[list[tuple[bool, int]]] = []

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> Any:
        assert self.training
        marks = (x[:, 0, 0, :2] * 255).round().int().tolist()
        self.batches.append([(marker > 127, number) for marker, number in marks])
        scores = self.head(x.flatten(1))
        if labels is None:
            return scores
        return {"loss": nn.functional.cross_entropy(scores, labels), "logits": scores}

    @property
    def synthetic(self) -> list[int]:
        return [sum(made for made, _ in batch) for batch in self.batches]


class Marked:
    """Behind the face of a generator: pictures marked 255, with numbers."""

    classes, form, noise_shape = CLASSES, FORM, (1,)
    held_out = np.empty(0, np.uint64)
    device = torch.device("cpu")

    def make(self, positions: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(numbered(len(positions), 255))


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    return {
        "x": torch.stack([scaled(r["image"]) for r in rows]),
        "labels": torch.tensor([r["label"] for r in rows]),
    }


def collate_pairs(pairs: list[Any]) -> dict[str, torch.Tensor]:
    return {"x": torch.stack([x for x, _ in pairs]), "labels": torch.tensor([y for _, y in pairs])}


def pieces() -> dict[str, Any]:
    """What the page calls the user's own: 64 real rows, marked 0, and 20 synthetic ones, marked 255."""
    torch.manual_seed(0)
    images, labels = numbered(ROWS, 0), np.arange(ROWS) % 2
    made = numbered(20, 255)
    position = np.arange(20) % 2
    about = synthetic_provenance("abc", 0, "", np.arange(20)) | {"class": np.array(CLASSES.names)[position]}
    model = Probe()
    return {
        "images": images,
        "labels": labels,
        "dataset": Pictures(images, labels),
        "samples": Samples(made, position, CLASSES, FORM, about),
        "generator": Marked(),
        "model": model,
        "probe": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "collate": collate,
        "collate_pairs": collate_pairs,
        "Augmented": Augmented,
    }


def blocks(section: str) -> list[str]:
    text = re.split(rf"^## {section}$", PAGE, flags=re.M)[1].split("\n## ")[0]
    found = re.findall(r"^```python\n(.*?)^```", text, flags=re.M | re.S)
    assert found
    return found


IMPORTS, POOL = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)[:2]


def run(*code: str, **more: Any) -> dict[str, Any]:
    names = pieces() | {"__name__": __name__} | more
    for block in (IMPORTS, *code):
        exec(block, names)
    return names


def assert_a_quarter_in_every_batch(probe: Probe, epochs: int = 1) -> None:
    assert [len(batch) for batch in probe.batches] == [BATCH] * (epochs * ROWS // BATCH)
    assert probe.synthetic == [2] * (epochs * ROWS // BATCH)
    for epoch in range(epochs):
        seen = probe.batches[epoch * ROWS // BATCH : (epoch + 1) * ROWS // BATCH]
        real = [number for batch in seen for made, number in batch if not made]
        assert len(set(real)) == len(real) == ROWS * 3 // 4


def hugging_face() -> Any:
    import datasets

    p = pieces()
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
    )
    return datasets.Dataset.from_dict(
        {"image": list(p["images"]), "label": p["labels"].tolist()}, features=features
    )


def test_every_block_of_python_on_the_page_is_run_here() -> None:
    sections = re.findall(r"^## (.*)$", PAGE, flags=re.M)
    assert sections == ["PyTorch", "A plan", "In the training step", "accelerate", "Lightning Fabric",
                        "Lightning Trainer", "Hugging Face datasets", "Hugging Face Trainer", "scikit-learn",
                        "albumentations"]  # fmt: skip
    assert 2 + sum(len(blocks(section)) for section in sections) == PAGE.count("```python")


def test_the_pool_is_made_as_the_page_says() -> None:
    names = run(POOL.replace("minutes=10", "steps=2, progress=False"))
    assert names["samples"].counts == {"0": 200, "1": 200}


def test_plain_pytorch() -> None:
    assert_a_quarter_in_every_batch(run(*blocks("PyTorch"))["probe"])


@pytest.fixture
def plan_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a plan for the page's rows: the policy, classes evenly, a quarter of samples."""
    from planted import plan_for

    p = pieces()
    generator = synthaug.fit((p["images"], p["labels"]), steps=2, progress=False)
    (tmp_path / "plan").mkdir()
    plan_for((p["images"], p["labels"]), "oversampling + policy", generator).write(tmp_path / "plan")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "plan"


def test_a_plan(plan_folder: Path) -> None:
    names = run(*blocks("A plan"))
    assert [len(batch) for batch in names["probe"].batches] == [BATCH] * (ROWS // BATCH)
    drawn = [i for batch in names["loader"].batch_sampler for i in batch]
    assert sum(i >= ROWS for i in drawn) == ROWS // 4


def test_a_plan_with_accelerate_and_lightning_and_the_trainer(plan_folder: Path, tmp_path: Path) -> None:
    """Prepared, set up or handed over, the loader of a plan goes on as it was."""
    pytest.importorskip("accelerate", reason="needs the extra accelerate")
    from accelerate import Accelerator
    from torch.utils.data import DataLoader

    plan, p = synthaug.Plan.load(plan_folder), pieces()
    loader = plan.apply(DataLoader(p["dataset"], batch_size=BATCH, shuffle=True, num_workers=1))
    plain = torch.cat([x for x, _ in loader])
    prepared = Accelerator(cpu=True).prepare(loader)
    assert sum(len(x) for x, _ in prepared) == ROWS
    fabric = pytest.importorskip("lightning.fabric", reason="needs the extra lightning")
    (setup,) = [fabric.Fabric(accelerator="cpu", devices=1).setup_dataloaders(loader)]
    again = torch.cat([x for x, _ in setup])
    assert again.shape == plain.shape
    assert not torch.equal(again, plain)

    transformers = pytest.importorskip("transformers", reason="needs the extra trainer")
    applied = plan.apply(hugging_face())
    model = Probe()
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "out"), per_device_train_batch_size=BATCH, num_train_epochs=1, report_to=[],
        remove_unused_columns=False, use_cpu=True, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    transformers.Trainer(model, arguments, train_dataset=applied, data_collator=collate).train()
    assert sum(map(len, model.batches)) == len(applied) == ROWS


def test_in_the_training_step() -> None:
    assert_a_quarter_in_every_batch(run(*blocks("In the training step"))["probe"])


def test_accelerate_in_one_process() -> None:
    pytest.importorskip("accelerate", reason="needs the extra accelerate")
    assert_a_quarter_in_every_batch(run(*blocks("accelerate"))["probe"])


def ranks(code: str, tmp_path: Path) -> list[list[list[tuple[bool, int]]]]:
    """The batches that each of two processes trained on, started by torchrun over gloo."""
    script = tmp_path / "train.py"
    script.write_text(
        "import json, os, sys\n"
        f"sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}, {str(Path(__file__).parent)!r}]\n"
        "import torch\ntorch.set_num_threads(1)\n"
        "from test_frameworks import *\n"
        "globals().update(pieces())\n"
        f"{IMPORTS}\n{code}\n"
        f"open({str(tmp_path)!r} + '/rank' + os.environ['RANK'], 'w').write(json.dumps(probe.batches))\n"
        # Threads of gloo may still run when Python tears down, which aborts a process that has done its work.
        "torch.distributed.barrier()\nos._exit(0)\n"
    )
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    done = subprocess.run(
        [sys.executable, *launch],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads((tmp_path / f"rank{rank}").read_text()) for rank in (0, 1)]
    return [[[(bool(made), number) for made, number in batch] for batch in batches] for batches in found]


def assert_two_ranks_share_one_epoch(both: list[list[list[tuple[bool, int]]]]) -> None:
    for batches in both:
        assert [len(batch) for batch in batches] == [BATCH] * (ROWS // BATCH // 2)
        assert [sum(made for made, _ in batch) for batch in batches] == [2] * (ROWS // BATCH // 2)
    real = [number for batches in both for batch in batches for made, number in batch if not made]
    assert len(set(real)) == len(real) == ROWS * 3 // 4, (
        "no real row comes twice, and none is lost but the replaced"
    )


def test_accelerate_in_two_processes_shares_one_mixed_epoch(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="needs the extra accelerate")
    in_order = "synthaug.mix(DataLoader(dataset, batch_size=8), samples, ratio=0.25)"
    again = f"loader = accelerator.prepare({in_order})\nfor x, y in loader:\n    model(x)\n"
    both = ranks(blocks("accelerate")[0] + again, tmp_path)
    half = ROWS // BATCH // 2
    shuffled = [batches[:half] for batches in both]
    assert_two_ranks_share_one_epoch(shuffled)
    synthetic = [number for batches in shuffled for batch in batches for made, number in batch if made]
    assert max(np.bincount(synthetic)) == 1, "a pool of 20 gives 16 different rows"
    # Of rows in their order, the two ranks together get what one process gets.
    alone = run(f"for x, y in {in_order}:\n    model(x)")["probe"].batches
    assert sorted(batch for batches in both for batch in batches[half:]) == sorted(alone)


def test_fabric_in_two_processes_takes_the_users_distributed_sampler(tmp_path: Path) -> None:
    pytest.importorskip("lightning", reason="needs the extra lightning")
    (code,) = blocks("Lightning Fabric")
    code, changed = re.subn(r"devices=1\)", 'devices=2, strategy="ddp")\nfabric.launch()', code)
    sampler = "sampler=torch.utils.data.DistributedSampler(dataset)"
    code, sampled = re.subn(r"shuffle=True", sampler, code)
    code, kept = re.subn(
        r"setup_dataloaders\(loader", "setup_dataloaders(loader, use_distributed_sampler=False", code
    )
    assert changed == sampled == kept == 1
    assert_two_ranks_share_one_epoch(ranks(code, tmp_path))


@pytest.mark.slow
def test_lightning_trainer_in_two_processes_takes_the_users_distributed_sampler(tmp_path: Path) -> None:
    pytest.importorskip("lightning", reason="needs the extra lightning")
    (code,) = blocks("Lightning Trainer")
    line = re.compile(r"^loader = (DataLoader.*)shuffle=True\)\nloader = (synthaug.mix\()loader", flags=re.M)
    sampler = "sampler=torch.utils.data.DistributedSampler(dataset))"
    code, sampled = line.subn(rf"Classifier.train_dataloader = lambda self: \2\1{sampler}", code)
    two = f'devices=2, strategy="ddp", use_distributed_sampler=False, default_root_dir={str(tmp_path)!r}'
    code, changed = re.subn(r"devices=1", two, code)
    code, fitted = re.subn(r"fit\(Classifier\(\), loader", "fit(Classifier()", code)
    assert sampled == changed == fitted == 1
    assert_two_ranks_share_one_epoch(ranks(code, tmp_path))


def test_a_loader_that_was_prepared_first_is_refused_by_the_name_of_who_did() -> None:
    pytest.importorskip("accelerate", reason="needs the extra accelerate")
    pytest.importorskip("lightning", reason="needs the extra lightning")
    setup = "loader = DataLoader(dataset, batch_size=8)\n"
    fabric = (
        'from lightning.fabric import Fabric\nloader = Fabric(accelerator="cpu").setup_dataloaders(loader)\n'
    )
    accelerate = "from accelerate import Accelerator\nloader = Accelerator(cpu=True).prepare(loader)\n"
    for name, code in (("lightning", fabric), ("accelerate", accelerate)):
        with pytest.raises(UnsupportedKind, match=rf"prepared by {name}\w* already.*mix the plain loader"):
            run(setup + code + "synthaug.mix(loader, samples, ratio=0.25)")


def test_fabric() -> None:
    pytest.importorskip("lightning", reason="needs the extra lightning")
    assert_a_quarter_in_every_batch(run(*blocks("Lightning Fabric"))["probe"])


def test_lightning_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning", reason="needs the extra lightning")
    monkeypatch.chdir(tmp_path)
    assert_a_quarter_in_every_batch(run(*blocks("Lightning Trainer"))["probe"])


def test_hugging_face_datasets() -> None:
    (code,) = blocks("Hugging Face datasets")
    rows = run(code, rows=hugging_face())["rows"]
    assert sum(rows["synthetic"]) == ROWS // 4
    assert rows["label"][:] == [0, 1] * (ROWS // 2)


def test_hugging_face_trainer_by_the_data_set_and_by_the_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers", reason="needs the extra transformers")
    pytest.importorskip("accelerate", reason="needs the extra transformers")
    monkeypatch.chdir(tmp_path)
    once, each_epoch = blocks("Hugging Face Trainer")
    cpu = 'TrainingArguments("out", use_cpu=True, report_to="none", save_strategy="no", '
    once = once.replace('TrainingArguments("out", ', cpu)
    names = run(once, rows=hugging_face())
    probe = names["probe"]
    assert sum(map(len, probe.batches)) == ROWS
    assert sum(probe.synthetic) == ROWS // 4
    probe.batches.clear()
    names["arguments"].num_train_epochs = 2
    exec(each_epoch, names)
    assert_a_quarter_in_every_batch(probe, epochs=2)
    halves = probe.batches[: ROWS // BATCH], probe.batches[ROWS // BATCH :]
    replaced = [{n for batch in half for made, n in batch if not made} for half in halves]
    assert replaced[0] != replaced[1], "each epoch replaces other rows"


@pytest.mark.slow
def test_hugging_face_trainer_in_two_processes_shares_one_mixed_epoch(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra transformers")
    pytest.importorskip("accelerate", reason="needs the extra transformers")
    once, each_epoch = blocks("Hugging Face Trainer")
    cpu = f'TrainingArguments({str(tmp_path / "out")!r}, use_cpu=True, report_to="none", save_strategy="no", '
    once, built = re.subn(r'TrainingArguments\(\s*"out", ', cpu, once)
    once, left_out = re.subn(r"^trainer.train\(\)$", "", once, flags=re.M)
    assert built == left_out == 1
    assert_two_ranks_share_one_epoch(ranks(f"rows = hugging_face()\n{once}\n{each_epoch}", tmp_path))


def test_scikit_learn() -> None:
    names = run(*blocks("scikit-learn"))
    synthetic = names["X"][:, 0, 0] == 255
    assert synthetic.tolist() == [False] * ROWS + [True] * (len(names["X"]) - ROWS)
    assert np.bincount(names["y"][synthetic]).tolist() in ([10, 11], [11, 10], [11, 11])
    assert names["forest"].predict(names["images"].reshape(ROWS, -1)).tolist() == names["labels"].tolist()


def test_albumentations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from synthaug.files import FORMATS, Card, RowBlock, write_rows

    monkeypatch.chdir(tmp_path)
    samples = pieces()["samples"]
    block = RowBlock(samples.samples, samples.class_indices, [""] * 20, samples.provenance)
    card = Card(CLASSES, samples.form, "", "abc", "cvae", 0, {}, samples.counts, {})
    name = write_rows(tmp_path, FORMATS["parquet"], [block], card, {})
    assert name is not None
    (tmp_path / name).rename(tmp_path / "pool.parquet")
    probe = run(*blocks("albumentations"))["probe"]
    assert sum(map(len, probe.batches)) == ROWS
    assert 6 <= sum(probe.synthetic) <= 28, "a quarter of 64 in expectation"
