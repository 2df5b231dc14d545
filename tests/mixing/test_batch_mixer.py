"""Mixing in the training step: same class, the right share, keyed by the step."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
import torch
from numbered import CLASSES, Levels, is_synthetic, number, pictures, pool, to_tensor
from torch.utils.data import DataLoader, TensorDataset

import synthaug
from synthaug import BatchMixer, Classes, ImageForm, linear, off_after
from synthaug.errors import InvalidData, InvalidRequest, Leakage, SpecMismatch, UnsupportedKind
from synthaug.generators import Selection
from synthaug.mixing import Supply
from synthaug.modalities.image import fingerprints
from synthaug.seeding import numpy_rng
from synthaug.testing import planted_generator

Pair = namedtuple("Pair", "image label")


def batch(n, seed=0):
    labels = numpy_rng(seed, "test").integers(0, 3, n)
    return torch.from_numpy(pictures(n)), torch.from_numpy(labels)


def made(images):
    return [is_synthetic(image) for image in images]


@pytest.mark.parametrize("n", [1, 2, 7, 64])
@pytest.mark.parametrize("ratio", [0.25, 0.6])
def test_rows_give_way_to_rows_of_their_class_at_the_share(n, ratio):
    mixer = BatchMixer(pool(per_class=40), ratio=ratio)
    total = 0
    for step in range(60):
        images, labels = batch(n, step)
        before = images.clone()
        new, same = mixer((images, labels))
        assert torch.equal(images, before)
        assert same is labels
        synthetic = np.array(made(new))
        assert ratio * n - 1 < synthetic.sum() < ratio * n + 1
        for k in range(3):
            due = ratio * (labels == k).sum().item()
            assert due - 1 < synthetic[labels.numpy() == k].sum() < due + 1
        for x, old, y, is_made in zip(new, images, labels, synthetic, strict=True):
            assert (number(x) - 10_000) % 3 == y if is_made else torch.equal(x, old)
        used = [number(x) for x in new if is_synthetic(x)]
        assert len(set(used)) == len(used)
        total += synthetic.sum()
    assert abs(total - 60 * n * ratio) < 4 * np.sqrt(60) / 2


def test_every_row_of_a_small_batch_is_replaced_equally_often():
    images, labels = torch.from_numpy(pictures(4)), torch.tensor([0, 0, 1, 2])
    mixer = BatchMixer(pool(), ratio=0.25)
    count = np.sum([made(mixer((images, labels))[0]) for _ in range(600)], axis=0)
    assert np.abs(count - 150).max() < 4.5 * np.sqrt(600 * 0.25 * 0.75)


def test_a_step_gives_the_same_rows_whatever_came_before_and_state_is_the_step():
    through = BatchMixer(pool(), ratio=0.5, seed=3)
    steps = [through(batch(8))[0] for _ in range(5)]
    assert not torch.equal(steps[0], steps[1])
    fresh = BatchMixer(pool(), ratio=0.5, seed=3)
    assert torch.equal(fresh(batch(8), step=4)[0], steps[4])
    resumed = BatchMixer(pool(), ratio=0.5, seed=3)
    resumed.load_state_dict(through.state_dict())
    assert torch.equal(resumed(batch(8))[0], through(batch(8))[0])
    other = BatchMixer(pool(), ratio=0.5, seed=4)
    assert not torch.equal(other(batch(8), step=4)[0], steps[4])


@pytest.mark.parametrize(
    ("wrap", "images", "weight", "flag"),
    [
        (lambda x, y: [x, y], lambda b: b[0], lambda b: b[2], lambda b: b[3]),
        (
            lambda x, y: {"label": y, "image": x},
            *(lambda b, k=k: b[k] for k in ("image", "weight", "synthetic")),
        ),
        (Pair, lambda b: b.image, lambda b: b.weight, lambda b: b.synthetic),
    ],
    ids=["list", "dict", "namedtuple"],
)
def test_batches_of_any_kind_keep_it_and_carry_marks_when_asked(wrap, images, weight, flag):
    x, y = batch(8)
    plain = BatchMixer(pool(), ratio=0.5)(wrap(x, y), step=0)
    assert type(plain) is type(wrap(x, y))
    assert len(plain) == 2
    mixed = BatchMixer(pool(), ratio=0.5, weight=0.5, flag=True)(wrap(x, y), step=0)
    assert torch.equal(images(mixed), images(plain))
    assert flag(mixed).tolist() == made(images(mixed)) == (weight(mixed) == 0.5).tolist()


def test_an_empty_batch_passes():
    mixer = BatchMixer(pool(), ratio=0.5, flag=True)
    for _ in range(2):
        x, _y, synthetic = mixer((torch.empty(0, 8, 8, dtype=torch.uint8), torch.empty(0, dtype=torch.int64)))
        assert len(x) == len(synthetic) == 0
        assert sum(mixer(batch(4))[2]) == 2


def test_shares_by_class_and_schedules_over_steps():
    x, y = torch.from_numpy(pictures(60)), torch.arange(60) % 3
    mixed = BatchMixer(pool(), ratio={"cat": 0.5, 1: 0.25})((x, y))[0]
    assert np.bincount(y[made(mixed)], minlength=3).tolist() == [10, 5, 0]
    fading = BatchMixer(pool(), ratio=linear(0.5, 0.0, steps=5))
    assert [sum(made(fading((x, y))[0])) for _ in range(7)] == [30, 24, 18, 12, 6, 0, 0]


def test_live_rows_are_made_for_their_labels_by_a_stream_of_the_step():
    calls = []

    def make(labels, rng):
        calls.append((labels.tolist(), torch.rand(1, generator=rng).item()))
        assert not torch.is_grad_enabled()
        return labels[:, None, None].expand(-1, 8, 8).to(torch.uint8) + 200

    mixer = BatchMixer(make, ratio=0.5)
    x, y = batch(16)
    x[:] = 0
    mixed, _ = mixer((x, y))
    rows = mixed.amax((1, 2))
    assert (rows > 0).sum() == 8
    assert rows[rows > 0].tolist() == [200 + k for k in calls[0][0]] == (200 + y[rows > 0]).tolist()
    mixer((x, y))
    mixer((x, y), step=0)
    assert calls[2] == calls[0] != calls[1]


def test_it_mixes_what_a_loader_with_workers_gives():
    data = TensorDataset(torch.from_numpy(pictures(24)), torch.arange(24) % 3)
    mixer = BatchMixer(pool(), ratio=0.5)
    found = [mixer(b) for b in DataLoader(data, 10, num_workers=1)]
    assert [sum(made(x)) for x, _ in found] == [5, 5, 2]
    assert [y for _, labels in found for y in labels.tolist()] == [i % 3 for i in range(24)]


def test_a_transform_brings_samples_to_the_form_of_a_batch():
    x = torch.stack([to_tensor(image) for image in pictures(12)])
    mixed, _ = BatchMixer(pool(), ratio=0.5, transform=to_tensor)((x, torch.arange(12) % 3))
    assert sum(made(mixed)) == 6
    with pytest.raises(SpecMismatch, match=r"Real: array of float32, 1x8x8.*array of uint8, 8x8.*transform="):
        BatchMixer(pool(), ratio=0.5)((x, torch.arange(12) % 3))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: BatchMixer(pool(), ratio=1.0), InvalidRequest, "below 1"),
        (lambda: BatchMixer(pool(), ratio=off_after(0.5, epochs=3)), InvalidRequest, "give it in steps"),
        (lambda: BatchMixer(pool(), ratio={"cow": 0.5}), InvalidRequest, "There is no class 'cow'"),
        (
            lambda: BatchMixer(pool(), ratio=0.5)(5),
            UnsupportedKind,
            "a batch of type int was given; taken are tuples.* and dicts",
        ),
        (
            lambda: BatchMixer(pool(), ratio=0.5)((batch(4)[0], torch.tensor([7] * 4))),
            InvalidRequest,
            "There is no class 7",
        ),
        (
            lambda: BatchMixer(pool()[pool().class_indices > 0], ratio=0.9)(
                (batch(4)[0], torch.zeros(4).long())
            ),
            InvalidRequest,
            'no row of "cat", which the batch has',
        ),
        (
            lambda: BatchMixer(pool(), ratio=0.5)((batch(3)[0], torch.eye(3))),
            UnsupportedKind,
            "soft and multi-hot labels",
        ),
        (
            lambda: BatchMixer(lambda labels, rng: torch.zeros(len(labels), 8, 8), ratio=0.5)(batch(4)),
            SpecMismatch,
            r"of torch.uint8 were needed; the synthetic ones are \(2, 8, 8\) of torch.float32",
        ),
    ],
)
def test_what_cannot_be_mixed_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_string_classes_may_come_as_lists_of_labels():
    named = replace(pool(), classes=Classes(CLASSES, CLASSES), labels=np.array(CLASSES * 5))
    x, y = batch(6)
    words = [CLASSES[k] for k in y]
    mixed = BatchMixer(named, ratio=0.5)({"image": x, "label": words})
    assert mixed["label"] is words
    assert all(
        (number(i) - 10_000) % 3 == k for i, k in zip(mixed["image"], y, strict=True) if is_synthetic(i)
    )


# ---------------------------------------------------------------------------------- rows that a generator makes


def black(n):
    return torch.zeros(n, 8, 8, dtype=torch.uint8), torch.arange(n) % 3


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_generator_makes_rows_of_the_class_of_each_where_the_batch_is(device):
    mixer = BatchMixer(Levels(device), ratio=0.5, flag=True)
    seen = set()
    for _ in range(6):
        x, y, synthetic = mixer(black(24))
        assert synthetic.sum() == 12
        assert torch.equal(x.amax((1, 2)) > 0, synthetic)
        assert torch.equal(x[synthetic][:, 0, 0] // 64 - 1, y[synthetic])
        seen |= {tuple(x[synthetic][:, 0, 0].tolist())}
    assert len(seen) == 6


def test_what_a_generator_makes_in_a_step_follows_from_seed_and_step_alone():
    def rows(seed, step, before=0):
        mixer = BatchMixer(Levels(), ratio=0.5, seed=seed)
        for _ in range(before):
            mixer(black(6))
        torch.rand(1)
        return mixer(black(24), step=step)[0]

    state = torch.get_rng_state()
    expected = rows(3, 5)
    torch.set_rng_state(state)
    assert torch.equal(expected, rows(3, 5, before=2))
    assert not torch.equal(expected, rows(3, 6))
    assert not torch.equal(expected, rows(4, 5))


def test_the_transform_is_applied_to_each_row_that_a_generator_makes():
    def tensor(image):
        assert image.shape == (8, 8)
        return image.unsqueeze(0).float() / 255

    x, y = black(24)
    batch = x.unsqueeze(1).float(), y
    batch[0][:, :, 0, 0] = 1.0
    mixed, _ = BatchMixer(Levels(), ratio={"cat": 0.5, 2: 0.25}, transform=tensor)(batch)
    changed = (mixed != batch[0]).any((1, 2, 3))
    assert np.bincount(y[changed], minlength=3).tolist() == [4, 0, 2]
    with pytest.raises(SpecMismatch, match=r"Real: array of float32, 1x8x8.*array of uint8, 8x8.*transform="):
        BatchMixer(Levels(), ratio=0.5)(batch)


@pytest.mark.parametrize("source", [Levels, lambda **known: replace(pool(), **known)])
def test_a_first_batch_of_held_out_rows_is_refused_in_any_form(source):
    def planes(image):
        return torch.as_tensor(image).unsqueeze(0).float() / 255

    x, y = torch.from_numpy(pictures(9)), torch.arange(9) % 3
    known = source(held_out=fingerprints(pictures(9)[[4]], "HW"))
    for images, transform in ((x, None), (x.unsqueeze(1).float() / 255, planes)):
        mixer = BatchMixer(known, ratio=0.5, transform=transform)
        with pytest.raises(
            Leakage, match=r"1 of the 9 rows .* in the batch .*first is row 4\): mix training"
        ):
            mixer((images, y))
        mixer((images[:4], y[:4]))


def test_a_trained_generator_is_a_source_and_its_rows_train(shapes):
    images, names = shapes
    generator = synthaug.fit((images, names), steps=3, progress=False)
    x, y = torch.from_numpy(images[:16]), list(names[:16])
    mixer = BatchMixer(generator, ratio=0.5, flag=True)
    mixed, labels, synthetic = mixer([x, y])
    assert (mixed.dtype, mixed.shape, labels) == (x.dtype, x.shape, y)
    assert torch.equal((mixed != x).any(2).any(1), synthetic)
    head = torch.nn.Linear(120, 2)
    head(mixed.flatten(1).float()).sum().backward()
    assert generator.to("cpu") is generator
    moved = generator.to("meta")
    assert (moved.device, generator.device) == (torch.device("meta"), torch.device("cpu"))
    assert (moved.classes, moved.form, moved.family.name) == (generator.classes, generator.form, "cvae")
    noise, positions = torch.randn(5, *generator.noise_shape), torch.zeros(5, dtype=torch.int64)
    made = generator.make(positions, noise)
    near = np.abs(made.numpy().astype(int) - generator.from_noise(generator.classes[0], noise))
    assert near.max() <= 1


def test_a_source_that_is_none_is_refused():
    with pytest.raises(UnsupportedKind, match="a source of type int was given; taken are samples, a gen"):
        BatchMixer(5, ratio=0.5)
    with pytest.raises(InvalidData, match=r"no file or folder pool\.npz; `synthaug sample`"):
        BatchMixer("pool.npz", ratio=0.5)
    with pytest.raises(InvalidRequest, match="let the function make them as they shall be"):
        BatchMixer(lambda labels, rng: labels, ratio=0.5, transform=to_tensor)
    with pytest.raises(InvalidRequest, match=r"There is no class 'cta'\. Did you mean \"cat\"\?"):
        BatchMixer(Levels(), ratio={"cta": 0.5})


def test_a_curated_generator_gives_only_rows_that_passed():
    maker = planted_generator(("cat", "dog"), (0, 1), ImageForm(8, 8, 1, "HW", "uint8", 0.0, 255.0))
    kept = maker.keeping(Selection(3, {"cat": np.array([4, 9]), "dog": np.array([2])}))
    passed = {row.tobytes() for row in kept.sample({"cat": 2, "dog": 1}, seed=3).samples}
    images, _ = BatchMixer(kept, ratio=0.5, seed=0)((torch.from_numpy(pictures(12)), torch.arange(12) % 2))
    found = [image.numpy().tobytes() for image in images]
    assert sum(row in passed for row in found) == 6


def test_a_plan_for_no_rows_leaves_the_batch():
    images, labels = batch(4)
    same, known = BatchMixer(Supply(None))((images, labels))
    assert torch.equal(same, images)
    assert torch.equal(known, labels)
