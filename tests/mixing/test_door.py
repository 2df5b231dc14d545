"""What is asked where real and synthetic rows meet: transforms, colours, ranges, labels that are kept twice."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

import synthaug
from synthaug.errors import SpecMismatch, SynthaugWarning, UnsupportedKind
from synthaug.generators import Samples
from synthaug.modalities.image import ImageForm

CLASSES = synthaug.Classes(("0", "1"), (0, 1))


def samples(images: np.ndarray) -> Samples:
    """As many rows of class 0 as of class 1."""
    form = ImageForm(*images.shape[1:3], images.shape[3] if images.ndim == 4 else 1,
                     "HWC" if images.ndim == 4 else "HW", str(images.dtype), 0.0, 255.0)  # fmt: skip
    n = len(images)
    labels = np.arange(n) % 2
    about = {
        "synthetic": np.ones(n, bool), "generator": np.array(["g"] * n), "seed": np.zeros(n, np.int64),
        "class": labels.astype(str), "index": np.arange(n) // 2,
    }  # fmt: skip
    return Samples(images, labels, CLASSES, form, about)


class Bright(Dataset[Any]):
    """Dark pictures, of which every other reading is inverted; in ``transform`` or in a way of its own."""

    def __init__(self, attribute: str = "transform") -> None:
        setattr(self, attribute, lambda image: 255 - image if torch.rand(1) < 0.5 else image)
        self._name = attribute

    def __len__(self) -> int:
        return 40

    def __getitem__(self, row: int) -> Any:
        image = np.full((8, 8), 20 + row % 7, np.uint8)
        return getattr(self, self._name)(image), row % 2


class Wrap(Dataset[Any]):
    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> Any:
        return self.dataset[row]


@pytest.mark.parametrize(
    "around",
    [
        lambda of: of,
        lambda of: Subset(of, range(40)),
        lambda of: ConcatDataset([of, of]),
        Wrap,
        lambda of: Wrap(Subset(ConcatDataset([of, of]), range(60))),
        lambda of: ConcatDataset([Wrap(of), Subset(of, range(20))]),
    ],
    ids=["plain", "subset", "concat", "wrapped", "wrapped subset of concat", "concat of both"],
)
def test_the_transform_of_a_data_set_is_found_in_whatever_wraps_it(around: Any) -> None:
    made = samples(np.full((40, 8, 8), 25, np.uint8))
    loader = synthaug.mix(DataLoader(around(Bright()), batch_size=20), made, ratio=0.5, flag=True)
    torch.manual_seed(0)
    bright = torch.cat([image.float().mean((1, 2))[synthetic] > 128 for image, _, synthetic in loader])
    assert 0.2 < bright.float().mean() < 0.8


def test_chance_that_no_transform_explains_is_said() -> None:
    made = samples(np.full((40, 8, 8), 25, np.uint8))
    with pytest.warns(SynthaugWarning, match=r"differs when it is read again.*Pass transform="):
        synthaug.mix(DataLoader(Bright("augment"), batch_size=20), made, ratio=0.5)
    synthaug.mix(DataLoader(Bright("augment"), batch_size=20), made, ratio=0.5, transform=lambda image: image)


def coloured(colours: list[tuple[int, int, int]], n: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 20, (n, 8, 8, 3))
    return (np.array(colours)[np.arange(n) % len(colours)][:, None, None] + noise).astype(np.uint8)


def test_pictures_in_bgr_are_said_and_others_are_not() -> None:
    colours = [(220, 30, 30), (200, 90, 20)]
    real = [(image, row % 2) for row, image in enumerate(coloured(colours, 40))]
    swapped = [(image[..., ::-1].copy(), label) for image, label in real]
    made = samples(coloured(colours, 40, seed=1))
    synthaug.mix(DataLoader(real, batch_size=8), made)  # type: ignore[arg-type]
    with pytest.warns(SynthaugWarning, match="red and blue changed places"):
        synthaug.mix(DataLoader(swapped, batch_size=8), made)  # type: ignore[arg-type]
    grey = samples(coloured([(120, 124, 118), (90, 92, 95)], 40, seed=1))
    like_grey = [(image, row % 2) for row, image in enumerate(coloured([(118, 124, 120), (95, 92, 90)], 40))]
    synthaug.mix(DataLoader(like_grey, batch_size=8), grey)  # type: ignore[arg-type]


def test_bytes_of_0_and_1_do_not_meet_bytes_of_0_to_255() -> None:
    real = [(np.eye(8, dtype=np.uint8), row % 2) for row in range(20)]
    with pytest.raises(SpecMismatch, match="values 0 to 1"):
        synthaug.mix(DataLoader(real, batch_size=4), samples(coloured([(9, 9, 9)], 20)[..., 0]))  # type: ignore[arg-type]


class Kept(Dataset[Any]):
    """Labels are kept twice, and those that items have are corrected in one place."""

    def __init__(self) -> None:
        self.samples = [(row, row % 2) for row in range(1000)]
        self.targets = [label for _, label in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, row: int) -> Any:
        return torch.full((8, 8), row % 250, dtype=torch.uint8), self.samples[row][1]


def test_labels_that_are_kept_twice_and_differ_are_read_from_the_items() -> None:
    dataset = Kept()
    dataset.samples[517] = (517, 1 - dataset.samples[517][1])  # one of a thousand
    made = samples(np.full((40, 8, 8), 25, np.uint8))
    plain = [label for _, labels in DataLoader(dataset, batch_size=20) for label in labels.tolist()]
    mixed = synthaug.mix(DataLoader(dataset, batch_size=20), made, ratio=0.5)
    assert [label for _, labels in mixed for label in labels.tolist()] == plain


@pytest.mark.parametrize("given", ["batch_size=None", "another kind"])
def test_what_cannot_be_mixed_names_batch_mixer_which_works_there(given: str) -> None:
    made = samples(np.full((40, 8, 8), 25, np.uint8))
    batches = [(torch.zeros(4, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))] * 3

    class Prefetch:
        def __init__(self, of: Any) -> None:
            self.of = of

    loader = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedKind, match=r"synthaug\.BatchMixer\(samples, ratio=0\.25\)"):
        synthaug.mix(loader if given == "batch_size=None" else Prefetch(loader), made)
    mixer = synthaug.BatchMixer(made, ratio=0.25)
    assert [int((mixer(batch)[0].amax((1, 2)) > 0).sum()) for batch in loader] == [1, 1, 1]


@pytest.mark.parametrize("transform", [None, lambda image: image.bfloat16()])
def test_bfloat16_is_mixed_in_loaders_and_in_batches(transform: Any) -> None:
    x, y = torch.rand(40, 1, 8, 8), torch.arange(40) % 2
    generator = synthaug.fit((x, y), steps=2, progress=False)
    made = generator.sample(20)
    real = [(image.bfloat16(), int(label)) for image, label in zip(x, y, strict=True)]
    for mixed in (
        next(iter(synthaug.mix(DataLoader(real, batch_size=8), made, ratio=0.5, transform=transform))),  # type: ignore[arg-type]
        synthaug.BatchMixer(made, ratio=0.5, transform=transform)((x[:8].bfloat16(), y[:8])),
        synthaug.BatchMixer(generator, ratio=0.5, transform=transform)((x[:8].bfloat16(), y[:8])),
    ):
        assert mixed[0].dtype == torch.bfloat16
        assert mixed[0].shape == (8, 1, 8, 8)


def test_a_batch_mixer_takes_the_same_rows_with_a_transform_that_changes_nothing() -> None:
    x, y = torch.rand(48, 1, 8, 8), torch.arange(48) % 2
    made = synthaug.fit((x, y), steps=2, progress=False).sample(10, seed=1)
    plain = synthaug.BatchMixer(made, ratio=0.5)((x[:8], y[:8]))
    changed = synthaug.BatchMixer(made, ratio=0.5, transform=lambda image: image)((x[:8], y[:8]))
    assert torch.equal(plain[0], changed[0])


@pytest.mark.parametrize("flag", ["overfit_batches", "limit_train_batches", "fast_dev_run"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_flags_of_lightning_that_build_a_loader_again_keep_the_mix(
    flag: str, shuffle: bool, tmp_path: Any
) -> None:
    lightning = pytest.importorskip("lightning.pytorch")
    x, y = torch.zeros(48, 1, 8, 8), torch.arange(48) % 2
    x[..., 4:] = 1
    form = ImageForm(8, 8, 1, "CHW", "float32", 0.0, 1.0, "tensor")
    made = samples(np.zeros((20, 8, 8), np.uint8))
    made = Samples(1 - x[:20].numpy(), made.labels, CLASSES, form, made.provenance)
    seen = []

    class Net(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(64, 2)

        def training_step(self, batch: Any, _: int) -> Any:
            seen.append((batch[0].flatten(1)[:, 0] == 1).sum().item())
            return torch.nn.functional.cross_entropy(self.layer(batch[0].flatten(1)), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    real = torch.utils.data.TensorDataset(x, y)
    loader = synthaug.mix(DataLoader(real, batch_size=8, shuffle=shuffle), made, ratio=0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, default_root_dir=tmp_path, **{flag: 2},
        )  # fmt: skip
        trainer.fit(Net(), loader)
    assert seen == [2, 2]
