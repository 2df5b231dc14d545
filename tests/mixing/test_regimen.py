"""A plan in one line: augmented before the data set's own transform, classes evenly, synthetic rows, in any loader."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from planted import plan_for
from torch.utils.data import ConcatDataset, DataLoader, Dataset, DistributedSampler, Subset, TensorDataset

import synthaug
from synthaug import Plan, open_data
from synthaug.errors import InvalidArtifact, InvalidRequest, SpecMismatch, SynthaugWarning, UnsupportedKind
from synthaug.mixing import BalancedSampler
from synthaug.mixing.albumentations import A
from synthaug.mixing.transforms import Chain
from synthaug.modalities.image import ImageForm, image_augmentations
from synthaug.modalities.image.augment import OnImages
from synthaug.testing import planted_generator

FORM = ImageForm(12, 12, 1, "HW", "uint8", 0.0, 255.0)
X = np.random.default_rng(0).integers(0, 255, (60, 12, 12), np.uint8)
Y = [0] * 40 + [1] * 15 + [2] * 5
CLASSES = ("cat", "dog", "owl")


def plan(arm: str = "policy", *, accepted: bool = False, form: ImageForm = FORM, x: np.ndarray = X) -> Plan:
    """A plan that an imagined choice came to, for the rows above."""
    made = planted_generator(CLASSES, (0, 1, 2), form) if accepted else None
    return plan_for((x, np.array(CLASSES)[Y]), arm, made)


class Rows(Dataset[Any]):
    """Rows with names, and a transform as of torchvision or albumentations."""

    classes: ClassVar = list(CLASSES)

    def __init__(self, transform: Any = None, *, kind: str = "array") -> None:
        self.targets, self.transform, self.kind = list(Y), transform, kind

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        image: Any = X[row].copy()
        if self.kind == "pil":
            image = Image.fromarray(image)
        if isinstance(self.transform, A.BaseCompose):
            return self.transform(image=image)["image"], self.targets[row]
        return (image if self.transform is None else self.transform(image)), self.targets[row]


def as_tensor(image: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(image, np.float32))[None] / 255 - 0.5


def images_of(loader: Any) -> torch.Tensor:
    return torch.cat([torch.as_tensor(batch[0]).float() for batch in loader])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rows(),
        lambda: Rows(kind="pil", transform=as_tensor),
        lambda: Rows(transform=as_tensor),
        lambda: Rows(transform=A.Compose([A.Normalize(mean=0.5, std=0.5)])),
        lambda: Subset(Rows(transform=as_tensor), range(60)),
        lambda: ConcatDataset([Rows(transform=as_tensor), Rows(transform=as_tensor)]),
        lambda: TensorDataset(torch.from_numpy(X), torch.tensor(Y)),
        lambda: list(zip(X, Y, strict=True)),
    ],
    ids=["plain", "PIL", "transform", "albumentations", "Subset", "ConcatDataset", "TensorDataset", "list"],
)
@pytest.mark.parametrize("accepted", [False, True], ids=["augmentation", "and synthetic rows"])
def test_images_are_augmented_before_what_the_data_set_does_to_them(make: Any, accepted: bool) -> None:
    dataset = make()
    plain = images_of(DataLoader(make(), batch_size=20))
    loader = DataLoader(dataset, batch_size=20)
    applied = plan(accepted=accepted).apply(loader)
    assert type(applied) is DataLoader
    first, second = images_of(applied), images_of(applied)
    assert first.shape == plain.shape
    assert first.dtype == plain.dtype
    assert not torch.equal(first, second)
    changed = (first != plain).flatten(1).any(1).float().mean()
    assert changed > 0.6  # an operation may leave an image as it is
    low, high = (0, 255) if plain.max() > 1 else (-1, 1)
    assert low <= first.min() < first.max() <= high
    torch.testing.assert_close(images_of(loader), plain)  # the given loader is as it was


def test_synthetic_rows_are_augmented_as_real_ones_are() -> None:
    loader = DataLoader(Rows(transform=as_tensor), batch_size=20)
    made = plan(accepted=True)
    applied, twice = made.apply(loader), []
    for _ in range(2):
        applied.batch_sampler.set_epoch(0)
        twice.append(images_of(applied))
    mixed = torch.cat([batch[2] for batch in synthaug.mix(loader, made, flag=True)])
    assert mixed.sum() == 15
    for rows in (mixed, ~mixed):
        assert (twice[0][rows] != twice[1][rows]).flatten(1).any(1).float().mean() > 0.6


def test_real_rows_are_never_changed_in_place() -> None:
    x = X.copy()
    loader = DataLoader(TensorDataset(torch.from_numpy(x), torch.tensor(Y)), batch_size=20)
    list(plan().apply(loader))
    assert (x == X).all()
    pipeline = plan().transform()
    for image in x:
        pipeline(image=image)
    assert (x == X).all()


def test_a_plan_without_augmentation_gives_the_loader_as_it_is() -> None:
    loader = DataLoader(Rows(), batch_size=20)
    assert plan("real").apply(loader) is loader
    image = X[0]
    assert (plan("real").transform()(image=image)["image"] == image).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_and_epochs_draw_differently_and_runs_alike(workers: int) -> None:
    same = [(X[0], 0)] * 16
    loader = DataLoader(same, batch_size=4, num_workers=workers)  # type: ignore[arg-type]
    applied = plan("elastic, medium").apply(loader)

    def run() -> torch.Tensor:
        torch.manual_seed(7)
        return torch.cat([images_of(applied) for _ in range(2)])

    drawn = run()
    assert len(torch.unique(drawn.flatten(1), dim=0)) == 32
    if workers:  # in one process streams go on
        assert torch.equal(drawn, run())


def test_ranks_that_are_known_only_in_their_processes_draw_differently(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = pickle.dumps(
        plan("elastic, medium").transform()
    )  # before ranks are known, as by torch.multiprocessing.spawn
    drawn = []
    for rank in ("0", "1", "1"):
        monkeypatch.setenv("RANK", rank)
        pipeline = pickle.loads(sent)
        torch.manual_seed(3)
        drawn.append(np.stack([pipeline(image=image)["image"] for image in X[:10]]))
    assert (drawn[0] != drawn[1]).any()
    assert (drawn[1] == drawn[2]).all()


def test_the_transform_can_be_written_and_read_and_sent() -> None:
    pipeline = plan().transform()
    copies = [
        A.from_dict(json.loads(json.dumps(A.to_dict(pipeline)))),
        pickle.loads(pickle.dumps(pipeline)),
    ]
    torch.manual_seed(3)
    drawn = [[each(image=image)["image"] for image in X[:20]] for each in (pipeline, *copies)]
    for other in drawn[1:]:
        assert all((a == b).all() for a, b in zip(drawn[0], other, strict=True))


def test_a_pipeline_of_another_version_of_the_library_is_refused_not_reinterpreted() -> None:
    made = plan().preparation
    assert made is not None
    assert made.pipeline is not None
    other = replace(made, pipeline={**made.pipeline, "__version__": "1.4.24"})
    with pytest.raises(InvalidArtifact, match=f"by albumentations 1.4.24, and {A.__version__} is installed"):
        other.transform()


@pytest.mark.parametrize(
    ("dtype", "convert"),
    [
        ("uint16", lambda x: x.astype(np.uint16) * 16),
        ("float32", lambda x: x.astype(np.float32) / 255),
        ("float64", lambda x: x / 127.5 - 1),
    ],
)
def test_images_keep_dtype_and_range(dtype: str, convert: Any) -> None:
    x = convert(X)
    form = ImageForm(12, 12, 1, "HW", dtype).fitted(x)
    pipeline = plan("policy", form=form, x=x).transform()
    changed = np.stack([pipeline(image=image)["image"] for image in x])
    assert changed.dtype == dtype
    assert form.low is not None
    assert form.high is not None
    assert form.low <= changed.min() < changed.max() <= form.high
    assert abs(changed.mean() - x.mean()) < 0.15 * (form.high - form.low)


def test_the_pipeline_changes_images_as_the_judged_augmentation_does() -> None:
    rows = open_data("bundled:digits").take(np.arange(150))
    form = rows.form.fitted(rows.read())
    encoded = form.encode(rows.read())
    for name, augment in image_augmentations(encoded, rows.labels).items():
        pipeline = augment.pipeline(form)
        one_by_one = form.encode(np.stack([pipeline(image=image)["image"] for image in rows.read()]))
        together = [augment(encoded, seed) for seed in range(8)]
        moved = [float((each - encoded).std()) for each in together]
        assert float((one_by_one - encoded).std()) == pytest.approx(np.mean(moved), rel=0.15), name
        assert float(one_by_one.mean()) == pytest.approx(
            np.mean([float(e.mean()) for e in together]), abs=0.05
        )


# ------------------------------------------------------------------------------------------------ classes evenly


@pytest.mark.parametrize("accepted", [False, True])
def test_classes_are_drawn_evenly_where_that_is_the_plan(accepted: bool) -> None:
    loader = DataLoader(Rows(), batch_size=20, shuffle=True)
    applied = plan("oversampling + policy", accepted=accepted).apply(loader)
    drawn = Counter(k for _ in range(20) for batch in applied for k in batch[1].tolist())
    assert sum(drawn.values()) == 1200
    assert all(abs(n - 400) < 80 for n in drawn.values())
    again = plan("oversampling + policy", accepted=accepted).apply(loader)
    firsts = [next(iter(each))[1].tolist() for each in (again, plan("oversampling").apply(loader))]
    assert firsts[0] == firsts[1]


def test_ranks_share_what_is_drawn() -> None:
    labels = np.array(Y)
    whole = list(BalancedSampler(labels, seed=3))
    parts = [list(BalancedSampler(labels, 3, rank, 2)) for rank in range(2)]
    assert [row for pair in zip(*parts, strict=True) for row in pair] == whole
    own = DistributedSampler(Rows(), num_replicas=2, rank=1)  # type: ignore[arg-type]
    applied = plan("oversampling").apply(DataLoader(Rows(), batch_size=10, sampler=own))
    assert len(applied) == 3
    sampler = BalancedSampler(labels, seed=3)
    first, second = list(sampler), list(sampler)
    sampler.set_epoch(0)
    assert first == list(sampler) != second


def test_what_a_loader_cannot_do_is_refused_with_what_can() -> None:
    class Batches(torch.utils.data.BatchSampler):
        pass

    loader = DataLoader(Rows(), batch_sampler=Batches(range(60), 20, False))
    with pytest.raises(InvalidRequest, match="batch sampler of its own"):
        plan("oversampling").apply(loader)

    class Stream(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(zip(X, Y, strict=True))

    with pytest.raises(InvalidRequest, match=r"put plan.transform\(\) before"):
        plan().apply(DataLoader(Stream(), batch_size=20))
    with pytest.raises(UnsupportedKind, match="list was given"):
        plan().apply([1, 2])


@pytest.mark.parametrize(
    "sampler", [list(range(20, 40)), torch.utils.data.RandomSampler(range(60), num_samples=8)]
)
def test_rows_that_another_sampler_leaves_out_are_never_drawn(sampler: Any) -> None:
    with pytest.raises(InvalidRequest, match="a sampler of its own"):
        plan("oversampling").apply(DataLoader(Rows(), batch_size=10, sampler=sampler))


def test_a_part_that_does_not_use_its_transform_is_augmented_too() -> None:
    class Deaf(Rows):
        def __getitem__(self, row: int) -> tuple[Any, int]:
            return X[row].copy(), self.targets[row]

    for parts in ([Rows(lambda x: x), Deaf(lambda x: x)], [Deaf(lambda x: x), Rows(lambda x: x)]):
        applied = plan().apply(DataLoader(ConcatDataset(parts), batch_size=60))
        changed = (images_of(applied) != torch.from_numpy(np.concatenate([X, X]))).flatten(1).any(1)
        assert changed[:60].float().mean() > 0.6
        assert changed[60:].float().mean() > 0.6


def test_colours_by_number_are_changed_as_colours() -> None:
    palette = Image.fromarray(X[0]).convert("RGB").quantize(16)
    made = OnImages(A.HorizontalFlip(p=1.0))(palette)
    assert made.mode == "RGB"
    assert (np.asarray(made) == np.asarray(palette.convert("RGB"))[:, ::-1]).all()


def test_wide_whole_numbers_come_back_as_they_were() -> None:
    rows: Any = [(x.astype(np.int64), k) for x, k in zip(X, Y, strict=True)]
    batch, _ = next(iter(plan().apply(DataLoader(rows, batch_size=20))))
    assert batch.dtype == torch.int64


def test_a_target_goes_through_with_its_image() -> None:
    chain = Chain(lambda image: image + 1, lambda image, target: (image, target))
    assert chain(1, "label") == (2, "label")


def test_batches_that_cannot_be_blended_are_refused() -> None:
    for rows in (Rows(), [{"image": as_tensor(x), "label": k} for x, k in zip(X, Y, strict=True)],
                 [(as_tensor(x), k + 1) for x, k in zip(X, Y, strict=True)]):  # fmt: skip
        with pytest.raises((InvalidRequest, SpecMismatch), match=r"positions in the 3 classes|come before"):
            plan("mixup").apply(DataLoader(rows, batch_size=60))  # type: ignore[arg-type]


def test_a_loader_over_a_hugging_face_set_with_synthetic_rows_is_told_what_works() -> None:
    dataset = hub().with_transform(lambda batch: batch)
    made = plan(accepted=True)
    with pytest.raises(InvalidRequest, match=r"plan.apply\(dataset\)"):
        made.apply(DataLoader(dataset, batch_size=10))
    assert len(made.apply(dataset)) == 60


def test_images_that_the_plan_was_not_chosen_for_are_refused() -> None:
    normalised = [(as_tensor(x), k) for x, k in zip(X, Y, strict=True)]
    with pytest.raises(SpecMismatch, match="has to come before what converts or normalises"):
        plan().apply(DataLoader(normalised, batch_size=20))  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------- blends and losses


@pytest.mark.parametrize("arm", ["mixup", "CutMix"])
def test_rows_of_a_batch_are_blended(arm: str) -> None:
    applied = plan(arm).apply(DataLoader(Rows(transform=as_tensor), batch_size=20, shuffle=True))
    soft = torch.cat([labels for _ in range(4) for _, labels in applied])
    assert soft.shape == (240, 3)
    torch.testing.assert_close(soft.sum(1), torch.ones(240))
    assert ((soft > 0).sum(1) > 1).any()


@pytest.mark.parametrize("arm", ["class weights", "logit adjustment", "mixup, re-weighted", "real"])
def test_the_loss_of_a_plan_is_that_of_its_arm(arm: str) -> None:
    made = plan(arm)
    logits, labels = (
        torch.randn(6, 3, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0, 0, 0, 1, 1, 2]),
    )
    plain = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    assert torch.allclose(made.loss()(logits, labels), plain) == (arm in ("real", "mixup, re-weighted"))
    assert torch.allclose(made.loss()(logits, labels, 1.0), plain) == (arm == "real")
    if arm != "real":
        with pytest.warns(SynthaugWarning, match=r"plan.loss\(\)"):
            made.apply(DataLoader(Rows(transform=as_tensor), batch_size=20))
    assert made.steps == 40


def test_thresholds_of_a_plan_are_moved_by_its_own_decision() -> None:
    plain, made = plan("real"), plan("adjusted thresholds")
    logits, labels = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([0])
    assert torch.allclose(made.loss()(logits, labels), torch.nn.functional.cross_entropy(logits, labels))
    found = np.array([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25]])
    often = np.array(made.preparation.counts)
    assert plain.decide(found).tolist() == [0, 0]
    assert made.decide(torch.from_numpy(found)).tolist() == (found / often).argmax(axis=1).tolist()
    assert made.decide(found).tolist() != [0, 0]
    assert made.decide(torch.from_numpy(found).requires_grad_()).tolist() == made.decide(found).tolist()
    for wrong in (found[:, :2], np.log(found), found[0], 2 * found, found * [[np.nan]]):
        with pytest.raises(InvalidRequest, match=r"Probabilities \(N, 3\)"):
            made.decide(wrong)
    with pytest.warns(SynthaugWarning, match=r"plan.decide\(probabilities\)"):
        made.apply(DataLoader(Rows(transform=as_tensor), batch_size=20))


# ---------------------------------------------------------------------------------------------------- Hugging Face


def hub(**more: Any) -> datasets.Dataset:
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
    content = {"image": [Image.fromarray(x) for x in X], "label": Y}
    return datasets.Dataset.from_dict({**content, **more}, features=datasets.Features({**kinds}))


@pytest.mark.parametrize("accepted", [False, True])
def test_a_hugging_face_data_set_is_augmented_as_it_is_read(accepted: bool) -> None:
    def own(batch: Any) -> Any:
        batch["pixels"] = [as_tensor(image) for image in batch.pop("image")]
        return batch

    dataset = hub()
    for made, key in ((dataset, "image"), (dataset.with_transform(own), "pixels")):
        applied = plan(accepted=accepted).apply(made)
        first, second = ([np.asarray(row[key]) for row in applied] for _ in range(2))
        assert len(first) == 60
        assert np.mean([(a != b).any() for a, b in zip(first, second, strict=True)]) > 0.6
        assert first[0].dtype == np.asarray(made[0][key]).dtype
    loader = DataLoader(dataset.with_transform(own), batch_size=20)
    if not accepted:
        over = plan().apply(loader)
        assert not torch.equal(*(torch.cat([batch["pixels"] for batch in over]) for _ in range(2)))
    with pytest.raises(UnsupportedKind, match="with_transform"):
        plan().apply(dataset.with_format("torch"))


def test_a_column_of_arrays_is_augmented_too() -> None:
    kinds = datasets.Features({"x": datasets.Array2D((12, 12), "uint8"), "y": datasets.Value("int64")})
    dataset = datasets.Dataset.from_dict({"x": list(X), "y": Y}, features=kinds)
    changed = [np.asarray(row["x"]) for row in plan().apply(dataset)]
    assert changed[0].shape == (12, 12)
    assert np.mean([(a != b).any() for a, b in zip(changed, X, strict=True)]) > 0.6


def test_rare_classes_of_a_hugging_face_data_set_are_repeated() -> None:
    applied = plan("oversampling").apply(hub())
    assert Counter(applied["label"]) == {0: 40, 1: 40, 2: 40}
    seen = {np.asarray(image).tobytes() for image in applied["image"]}
    assert seen == {x.tobytes() for x in X}


def test_a_stream_is_augmented_as_it_passes() -> None:
    stream = hub().to_iterable_dataset()
    applied = plan().apply(stream)
    changed = [np.asarray(row["image"]) for row in applied]
    assert len(changed) == 60
    assert np.mean([(a != b).any() for a, b in zip(changed, X, strict=True)]) > 0.6
    with pytest.raises(InvalidRequest, match="streaming=True"):
        plan("oversampling").apply(stream)


# ------------------------------------------------------------------------------------------------- another process


def test_a_plan_is_applied_from_its_folder(tmp_path: Path) -> None:
    generator = synthaug.fit((X, Y), steps=2, progress=False)
    made = plan("oversampling + policy", accepted=True).with_generator(generator)
    made.write(tmp_path)
    again = Plan.load(tmp_path)
    assert again == made
    loader = DataLoader(Rows(), batch_size=20)
    batches = []
    for each in (made, again):
        torch.manual_seed(5)
        batches.append(images_of(each.apply(loader)))
    assert torch.equal(*batches)


def test_an_arm_of_the_user_is_not_applied_but_said() -> None:
    own = replace(plan().preparation, known=False, arm="mine")
    with pytest.raises(InvalidRequest, match="“mine”, an arm of your own"):
        replace(plan(), preparation=own).apply(DataLoader(Rows(), batch_size=20))
