"""What is asked where real and synthetic rows meet: transforms, colours, ranges, labels that are kept twice."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset

import synthaug
from synthaug.errors import InvalidData, InvalidRequest, SpecMismatch, SynthaugWarning, UnsupportedKind
from synthaug.generators import Samples
from synthaug.mixing import Supply
from synthaug.mixing.sklearn import SyntheticRows
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


class Joined(Dataset[Any]):
    def __init__(self, datasets: Any) -> None:
        self.datasets = datasets

    def __len__(self) -> int:
        return sum(map(len, self.datasets))

    def __getitem__(self, row: int) -> Any:
        return self.datasets[row % len(self.datasets)][row // len(self.datasets)]


class Around(Wrap):
    """A wrapper with a transform of its own, as splits have that are augmented in training only."""

    def __init__(self, dataset: Any, transform: Any) -> None:
        super().__init__(dataset)
        self.transform = transform

    def __getitem__(self, row: int) -> Any:
        image, label = self.dataset[row]
        return self.transform(image), label


@pytest.mark.parametrize(
    "around",
    [
        lambda of: of,
        lambda of: Subset(of, range(40)),
        lambda of: ConcatDataset([of, of]),
        Wrap,
        lambda of: Wrap(Subset(ConcatDataset([of, of]), range(60))),
        lambda of: ConcatDataset([Wrap(of), Subset(of, range(20))]),
        lambda of: Joined([of, of]),
        lambda of: Around(Subset(of, range(30)), lambda image: image),
        lambda of: Around(Wrap(of), lambda image: image),
    ],
    ids=[
        "plain",
        "subset",
        "concat",
        "wrapped",
        "wrapped subset of concat",
        "concat of both",
        "joined in another way",
        "wrapped with another transform",
        "wrapped twice",
    ],
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


def test_transforms_within_one_another_are_applied_in_turn_or_as_many_as_are_left_to_do() -> None:
    class Plain(Dataset[Any]):
        def __init__(self) -> None:
            self.transform = lambda image: torch.from_numpy(image).float().div(255)

        def __len__(self) -> int:
            return 20

        def __getitem__(self, row: int) -> Any:
            return self.transform(np.full((8, 8), 10 * row, np.uint8)), row % 2

    def standardised(image: torch.Tensor) -> torch.Tensor:
        return (image - 0.5) / 0.1

    loader = DataLoader(Around(Plain(), standardised), batch_size=20)
    form = ImageForm(8, 8, 1, "HW", "float32", 0.0, 1.0, "tensor")
    bytes_ = samples(np.full((20, 8, 8), 100, np.uint8))
    floats = Samples(bytes_.samples / np.float32(255), bytes_.labels, CLASSES, form, bytes_.provenance)
    for made in (bytes_, floats):  # trained without any transform, or on what the inner data set hands out
        images, _, flags = next(iter(synthaug.mix(loader, made, ratio=0.5, flag=True)))
        assert torch.allclose(images[flags], torch.tensor((100 / 255 - 0.5) / 0.1))


def test_a_transform_without_chance_does_not_explain_chance() -> None:
    class Both(Bright):
        def __init__(self) -> None:
            super().__init__("augment")
            self.transform = lambda image: image

        def __getitem__(self, row: int) -> Any:
            image, label = super().__getitem__(row)
            return self.transform(image), label

    made = samples(np.full((40, 8, 8), 25, np.uint8))
    with pytest.warns(SynthaugWarning, match="no `transform` of the data set that does so was found") as said:
        synthaug.mix(DataLoader(Both(), batch_size=20), made, ratio=0.5)
    assert said[0].filename == __file__


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


def test_bytes_of_0_to_255_do_not_meet_bytes_of_0_and_1_either() -> None:
    real = [(image, row % 2) for row, image in enumerate(coloured([(9, 9, 9)], 20)[..., 0])]
    narrow = samples(np.tile(np.eye(8, dtype=np.uint8), (20, 1, 1)))
    with pytest.raises(SpecMismatch, match="values 0 to 1"):
        synthaug.mix(DataLoader(real, batch_size=4), narrow)  # type: ignore[arg-type]


@pytest.mark.parametrize("right", ["samples", "targets"])
def test_of_labels_that_are_kept_twice_only_rows_that_differ_are_read(right: str) -> None:
    reads = []

    class Read(Kept):
        def __getitem__(self, row: int) -> Any:
            reads.append(row)
            label = self.samples[row][1] if right == "samples" else self.targets[row]
            return torch.full((8, 8), row % 250, dtype=torch.uint8), label

    dataset = Read()
    dataset.samples[517] = (517, 1 - dataset.samples[517][1])
    plain = [label for _, labels in DataLoader(dataset, batch_size=20) for label in labels.tolist()]
    reads.clear()
    mixed = synthaug.mix(DataLoader(dataset, batch_size=20), samples(np.full((40, 8, 8), 25, np.uint8)))
    assert len(reads) < 100
    assert [label for _, labels in mixed for label in labels.tolist()] == plain


def test_samples_alone_say_the_labels_without_decoding() -> None:
    class Read(Kept):
        reads = 0

        def __getitem__(self, row: int) -> Any:
            Read.reads += 1
            return super().__getitem__(row)

    dataset = Read()
    del dataset.targets
    synthaug.mix(DataLoader(dataset, batch_size=20), samples(np.full((40, 8, 8), 25, np.uint8)))
    assert Read.reads < 100


def test_given_labels_are_compared_with_those_that_are_kept() -> None:
    dataset, made = Kept(), samples(np.full((40, 8, 8), 25, np.uint8))
    given = list(dataset.targets)
    given[517] = 1 - given[517]
    with pytest.raises(InvalidData, match=r"Items\(labels=\.\.\.\) says 0 for row 517 .* has the label 1"):
        synthaug.mix(DataLoader(dataset, batch_size=20), made, items=synthaug.Items(labels=given))
    dataset.targets[200] = 1  # what is kept is out of date, what is given is right
    right = [label for _, label in dataset.samples]
    synthaug.mix(DataLoader(dataset, batch_size=20), made, items=synthaug.Items(labels=right))


def test_no_class_in_common_names_both_sides_and_what_names_would_come_from() -> None:
    made = samples(np.full((40, 8, 8), 25, np.uint8))
    named = Samples(made.samples, made.labels, synthaug.Classes(("cat", "dog"), ("cat", "dog")), made.form,
                    {**made.provenance, "class": np.array(["cat", "dog"] * 20)})  # fmt: skip
    dataset: Any = Kept()
    with pytest.raises(
        InvalidRequest, match=r'has "0", "1", and .* "cat", "dog"\. .* dataset\.classes'
    ) as error:
        synthaug.mix(DataLoader(dataset, batch_size=20), named)
    assert "\n" not in str(error.value)
    dataset.classes = ["cat", "dog"]
    assert len(synthaug.mix(DataLoader(dataset, batch_size=20), named)) == 50
    synthaug.mix(DataLoader(Kept(), batch_size=20), named, ratio=0.0)


def test_a_class_without_synthetic_rows_names_the_ratio_that_leaves_it_out() -> None:
    dataset: Any = Kept()
    dataset.samples[7], dataset.targets[7] = (7, 9), 9
    made = samples(np.full((40, 8, 8), 25, np.uint8))
    with pytest.raises(InvalidRequest, match='no row of "9"') as error:
        synthaug.mix(DataLoader(dataset, batch_size=20), made)
    remedy = str(error.value).partition("ratio={")[2].partition("}")[0]
    mixed = synthaug.mix(DataLoader(dataset, batch_size=20), made, ratio=eval(f"{{{remedy}}}"), flag=True)
    flags = torch.cat([flag for _, _, flag in mixed])
    assert flags.float().mean() == pytest.approx(0.25, abs=0.01)
    assert not flags[7]


@pytest.mark.parametrize(
    "label", [lambda k: torch.tensor(float(k)), lambda k: torch.tensor([float(k)]), lambda k: [k]]
)
def test_whole_floats_and_lists_of_one_are_taken_and_given_back(label: Any) -> None:
    made = samples(np.full((40, 8, 8), 25, np.uint8))
    real = [(torch.full((8, 8), 7, dtype=torch.uint8), label(row % 2)) for row in range(20)]
    plain = [labels for _, labels in DataLoader(real, batch_size=5)]  # type: ignore[arg-type]
    mixed = [labels for _, labels, _ in synthaug.mix(DataLoader(real, batch_size=5), made, flag=True)]  # type: ignore[arg-type]
    torch.testing.assert_close(mixed, plain, rtol=0, atol=0)


class Flow(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([(torch.full((8, 8), 7, dtype=torch.uint8), 5 * row) for row in range(20)])


@pytest.mark.parametrize("kind", ["rows", "a stream", "workers"])
def test_a_plan_without_synthetic_rows_still_gives_the_marks(kind: str) -> None:
    data: Any = Flow() if kind == "a stream" else list(Flow())
    loader = DataLoader(data, batch_size=6, num_workers=int(kind == "workers"))
    assert synthaug.mix(loader, Supply(None)) is loader
    marked = list(synthaug.mix(loader, Supply(None), flag=True, weight=0.5))
    for (images, labels), found in zip(loader, marked, strict=True):
        assert torch.equal(found[0], images)
        assert torch.equal(found[1], labels)
        assert found[2].tolist() == [1.0] * len(labels)
        assert not found[3].any()


@pytest.mark.parametrize(
    ("loader", "message"),
    [([1], "an object of type list"), (DataLoader([1], batch_size=None), "batch_size=None")],  # type: ignore[arg-type]
)
def test_a_plan_without_synthetic_rows_does_not_take_what_cannot_be_mixed(loader: Any, message: str) -> None:
    for options in ({}, {"flag": True}):
        with pytest.raises(UnsupportedKind, match=message):
            synthaug.mix(loader, Supply(None), **options)


def test_a_generator_is_taken_by_its_folder_wherever_rows_are(tmp_path: Any) -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8)
    labels = np.arange(20) % 2
    synthaug.fit((images, labels), steps=2, progress=False).save(tmp_path / "gen")
    batch = torch.from_numpy(images), torch.from_numpy(labels)
    assert not torch.equal(synthaug.BatchMixer(tmp_path / "gen", ratio=0.5)(batch)[0], batch[0])
    assert len(SyntheticRows(str(tmp_path / "gen"), ratio=0.5).fit_resample(images, labels)[0]) == 40
    (tmp_path / "else").mkdir()
    with pytest.raises(InvalidData, match=r"synthaug\.Plan\.load\("):
        synthaug.BatchMixer(tmp_path / "else")


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


FLAGS: list[dict[str, Any]] = [
    {"overfit_batches": 2}, {"overfit_batches": 0.34}, {"limit_train_batches": 2}, {"fast_dev_run": 2},
    {"max_steps": 2}, {"use_distributed_sampler": False}, {"accumulate_grad_batches": 2}, {"val_check_interval": 2},
    {"reload_dataloaders_every_n_epochs": 1, "max_epochs": 2},
]  # fmt: skip


@pytest.mark.parametrize("flags", FLAGS, ids=str)
@pytest.mark.parametrize("mode", ["replace", "append"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_flags_of_lightning_that_build_a_loader_again_keep_the_mix(
    flags: dict[str, Any], mode: Any, shuffle: bool, tmp_path: Any
) -> None:
    lightning = pytest.importorskip("lightning.pytorch")
    x, y = torch.zeros(48, 1, 8, 8), torch.arange(48) % 2
    x[..., 4:] = 1
    form = ImageForm(8, 8, 1, "CHW", "float32", 0.0, 1.0, "tensor")
    made = samples(np.zeros((20, 8, 8), np.uint8))
    made = Samples(1 - x[:20].numpy(), made.labels, CLASSES, form, made.provenance)
    seen: list[tuple[int, int]] = []

    class Net(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(64, 2)

        def training_step(self, batch: Any, _: int) -> Any:
            flat = batch[0].flatten(1)
            synthetic = int((flat[:, 0] == 1).sum())
            seen.append((len(flat) - synthetic, synthetic))
            return torch.nn.functional.cross_entropy(self.layer(flat), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    real = torch.utils.data.TensorDataset(x, y)
    loader = synthaug.mix(DataLoader(real, batch_size=8, shuffle=shuffle), made, ratio=0.25, mode=mode)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            **{"max_epochs": 1} | flags, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(Net(), loader)
    assert set(seen) <= ({(6, 2)} if mode == "replace" else {(8, 2), (8, 3)})
    assert len(seen) == {"max_epochs": 12}.get(list(flags)[-1], 2 if next(iter(flags)) in _SHORT else 6)


_SHORT = ("overfit_batches", "limit_train_batches", "fast_dev_run", "max_steps")
