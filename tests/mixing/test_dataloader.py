"""Mixed loaders: what is kept of the plain loader, what comes in, and what is refused at the door."""

from __future__ import annotations

import copy
import math
import multiprocessing
import pickle
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from numbered import (
    CLASSES,
    SIDE,
    Items,
    OwnLoader,
    Pair,
    Pictures,
    is_synthetic,
    lists,
    normalised,
    number,
    pictures,
    pool,
    seen,
    tensors,
    to_tensor,
)
from PIL import Image
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import synthaug
from synthaug import ImageForm, mix
from synthaug.errors import InvalidData, InvalidRequest, Leakage, SpecMismatch, UnsupportedKind
from synthaug.modalities.image import fingerprints

# ---------------------------------------------------------------------------------------------- what comes in


@pytest.mark.parametrize("batch_size", [1, 7, 16])
def test_replacing_keeps_labels_sizes_and_the_order_of_the_real_rows(batch_size):
    plain = DataLoader(tensors(), batch_size, shuffle=True, generator=torch.Generator().manual_seed(3))
    mixed = mix(plain, pool(), ratio=0.25)
    plain.generator.manual_seed(3)
    expected = seen(plain)
    plain.generator.manual_seed(3)
    found = seen(mixed)
    assert len(mixed) == len(plain) == len(found)
    assert [[y for _, y in batch] for batch in found] == [[y for _, y in batch] for batch in expected]
    for before, after in zip(expected, found, strict=True):
        assert all(a == b or a[0] >= 10_000 for a, b in zip(after, before, strict=True))
    synthetic = sum(x >= 10_000 for batch in found for x, _ in batch)
    assert abs(synthetic - 15) <= 1


def test_a_synthetic_row_is_one_of_the_pool_of_its_class_unchanged():
    samples = pool()
    mixed = mix(DataLoader(tensors(), 16), samples, ratio=0.5)
    rows = [(x, int(y)) for batch in mixed for x, y in zip(*batch, strict=True) if is_synthetic(x)]
    assert len(rows) == 30
    for image, label in rows:
        same = np.flatnonzero((samples.samples == image.numpy()).all((1, 2)))
        assert samples.labels[same].tolist() == [label]


def test_appending_shows_every_real_row_once_and_grows_the_batches():
    mixed = mix(DataLoader(tensors(), 16), pool(), ratio=0.2, mode="append")
    found = seen(mixed)
    assert [x for batch in found for x, _ in batch if x < 10_000] == list(range(60))
    assert [len(batch) for batch in found] == [20, 20, 20, 15]
    assert [y for batch in found for x, y in batch if x >= 10_000] != []


def test_epochs_of_a_plain_for_loop_differ_and_a_fresh_mix_repeats_them():
    def epochs():
        mixed = mix(DataLoader(tensors(), 16), pool(), ratio=0.5, seed=4)
        return [seen(mixed) for _ in range(3)]

    first, second, third = epochs()
    assert first != second != third != first
    assert epochs() == [first, second, third]


@pytest.mark.parametrize("persistent", [False, True])
def test_batches_are_the_same_for_any_number_of_workers(persistent):
    def run(workers):
        data = tensors()
        # A generator given to the loader itself would be moved by starting workers too.
        order = RandomSampler(data, generator=torch.Generator().manual_seed(0))
        keep = persistent and workers > 0
        plain = DataLoader(data, 16, sampler=order, num_workers=workers, persistent_workers=keep)
        mixed = mix(plain, pool(), ratio=0.4)
        return [seen(mixed) for _ in range(2)]

    alone = run(0)
    assert alone[0] != alone[1]
    assert run(1) == alone
    assert run(2) == alone


def test_a_mixed_loader_works_with_spawned_workers():
    context = multiprocessing.get_context("spawn")
    plain = DataLoader(Pictures(6, transform=to_tensor), 3, num_workers=1, multiprocessing_context=context)
    mixed = mix(plain, pool(), ratio=0.34)
    alone = mix(DataLoader(Pictures(6, transform=to_tensor), 3), pool(), ratio=0.34)
    assert seen(mixed) == seen(alone)


@pytest.mark.parametrize("transform", [None, lambda image: torch.from_numpy(np.invert(image, out=image))])
def test_changing_items_in_place_does_not_change_the_pool(transform):
    samples = pool()
    before = samples.samples.copy()
    mixed = mix(DataLoader(tensors(), 16), samples, ratio=0.5, transform=transform)
    first = [mixed.dataset[60 + row][0] for row in range(15)]
    expected = [image.clone() for image in first]
    for image in first:
        image.zero_()
    assert all(torch.equal(mixed.dataset[60 + row][0], expected[row]) for row in range(15))
    assert (samples.samples == before).all()


# ----------------------------------------------------------------------------------- what is kept of a loader


def test_class_and_settings_are_kept_and_the_plain_loader_is_untouched():
    plain = OwnLoader(
        tensors(), 7, shuffle=True, drop_last=True, collate_fn=lists, generator=torch.Generator(), timeout=0
    )
    plain.colour = "blue"
    before = dict(vars(plain))
    mixed = mix(plain, pool(), ratio=0.3)
    assert type(mixed) is OwnLoader
    changed = {name for name, value in vars(mixed).items() if value is not before[name]}
    assert changed == {"dataset", "batch_sampler"}
    assert vars(plain) == before
    assert len(mixed) == len(plain) == 8
    assert isinstance(mixed.dataset, ConcatDataset)
    assert mixed.dataset.datasets[0] is plain.dataset
    assert (len(plain.dataset), len(mixed.dataset)) == (60, 75)


def test_mixing_after_the_first_pass_over_persistent_workers_takes_effect():
    plain = DataLoader(tensors(), 16, num_workers=1, persistent_workers=True)
    seen(plain)
    found = seen(mix(plain, pool(), ratio=0.5))
    assert sum(x >= 10_000 for batch in found for x, _ in batch) == 30
    assert all(x < 10_000 for batch in seen(plain) for x, _ in batch)


def test_mixing_does_not_move_the_random_streams():
    class Noisy(Pictures):
        def __getitem__(self, row):
            torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
            return super().__getitem__(row)

    def streams():
        return torch.rand(1).item(), np.random.rand(), random.random()  # noqa: NPY002

    def reset():
        torch.manual_seed(0), np.random.seed(0), random.seed(0)  # noqa: NPY002

    reset()
    expected = streams()
    reset()
    mix(DataLoader(Noisy(kind="array", transform=torch.from_numpy), 8), pool(), ratio=0.5)
    assert streams() == expected


def test_ratio_zero_is_a_copy_of_the_plain_loader():
    plain = DataLoader(tensors(), 16)
    mixed = mix(plain, pool(), ratio=0)
    assert mixed is not plain
    assert mixed.dataset is plain.dataset
    assert seen(mixed) == seen(plain)


@pytest.mark.parametrize(
    "sampler",
    [
        lambda data: {"sampler": WeightedRandomSampler([1.0, 5, 1] * 20, 90), "batch_size": 9},
        lambda data: {"sampler": SubsetRandomSampler(range(10, 50)), "batch_size": 9},
        lambda data: {"batch_sampler": BatchSampler(RandomSampler(data), 9, drop_last=True)},
        lambda data: {"batch_sampler": [[0, 1, 2, 3], [5], [], [7, 7, 7, 7, 7, 8]]},
    ],
)
def test_any_sampler_keeps_its_order_of_rows(sampler):
    data = tensors()
    plain = DataLoader(data, **sampler(data), collate_fn=list)
    mixed = mix(plain, pool(), ratio=0.5)
    torch.manual_seed(1)
    expected = [[number(x) for x, _ in batch] for batch in plain]
    torch.manual_seed(1)
    found = [[number(x) for x, _ in batch] for batch in mixed]
    assert [len(b) for b in found] == [len(b) for b in expected]
    pairs = [(a, b) for after, before in zip(found, expected, strict=True) for a, b in zip(after, before)]  # noqa: B905
    assert all(a == b for a, b in pairs if a < 10_000)
    assert abs(sum(a >= 10_000 for a, _ in pairs) - len(pairs) / 2) <= 1


def test_ranks_of_a_distributed_sampler_get_plans_of_their_own():
    data = TensorDataset(torch.from_numpy(pictures(60)), torch.zeros(60, dtype=torch.int64))

    def places(rank):
        sampler = DistributedSampler(data, num_replicas=2, rank=rank, shuffle=False)
        mixed = mix(DataLoader(data, 10, sampler=sampler), pool(values=(0,)), ratio=0.5)
        return [[x >= 10_000 for x, _ in batch] for batch in seen(mixed)]

    assert places(0) != places(1)
    assert places(0) == places(0)


def test_set_epoch_reaches_the_sampler_and_gives_back_that_epoch():
    data = tensors()
    sampler = DistributedSampler(data, num_replicas=1, rank=0)
    mixed = mix(DataLoader(data, 16, sampler=sampler), pool(), ratio=0.5)
    epochs = []
    for epoch in range(3):
        mixed.batch_sampler.set_epoch(epoch)
        assert sampler.epoch == epoch
        epochs.append(seen(mixed))
    mixed.batch_sampler.set_epoch(1)
    assert seen(mixed) == epochs[1]


def test_a_resumed_run_that_only_sets_the_samplers_epoch_meets_the_same_plan():
    def loader():
        sampler = DistributedSampler(tensors(), num_replicas=1, rank=0)
        return mix(DataLoader(tensors(), 16, sampler=sampler), pool(), ratio=0.5)

    through = loader()
    for epoch in range(3):
        through.sampler.set_epoch(epoch)
        last = seen(through)
    resumed = loader()
    resumed.sampler.set_epoch(2)
    assert seen(resumed) == last


def test_what_survives_preparation_still_mixes():
    """Libraries rebuild a loader from data set, batch sampler and collate function, and shard its batches."""
    mixed = mix(OwnLoader(tensors(), 16, collate_fn=lists), pool(), ratio=0.5)
    rebuilt = DataLoader(mixed.dataset, batch_sampler=mixed.batch_sampler, collate_fn=mixed.collate_fn)
    fresh = mix(OwnLoader(tensors(), 16, collate_fn=lists), pool(), ratio=0.5)
    assert seen(rebuilt) == seen(fresh)
    assert (mixed.batch_sampler.batch_size, mixed.batch_sampler.drop_last) == (16, False)
    mixed.batch_sampler.sampler = range(59, -1, -1)
    assert [y for batch in seen(rebuilt) for _, y in batch] == [i % 3 for i in range(59, -1, -1)]


def test_growing_batches_do_not_claim_a_fixed_size():
    mixed = mix(DataLoader(tensors(), 16), pool(), ratio=0.5, mode="append")
    assert mixed.batch_sampler.batch_size is None


def test_a_mixed_loader_can_be_copied_and_pickled():
    mixed = mix(DataLoader(Pictures(transform=to_tensor), 16), pool(), ratio=0.5)
    again = pickle.loads(pickle.dumps((mixed.dataset, mixed.batch_sampler)))
    expected = seen(copy.deepcopy(mixed))
    assert seen(DataLoader(again[0], batch_sampler=again[1])) == expected == seen(mixed)


# --------------------------------------------------------------------------------------------- kinds of items


@pytest.mark.parametrize(
    ("item", "image_of", "label_of", "fill"),
    [
        (lambda x, y: (x, y), lambda i: i[0], lambda i: i[1], None),
        (lambda x, y: [x, y], lambda i: i[0], lambda i: i[1], None),
        (lambda x, y: Pair(x, y), lambda i: i.image, lambda i: i.label, None),
        (lambda x, y: {"label": y, "image": x}, lambda i: i["image"], lambda i: i["label"], None),
        (lambda x, y: (x, y, "file.png"), lambda i: i[0], lambda i: i[1], {2: ""}),
        (
            lambda x, y: {"x": torch.tensor(x), "y": torch.tensor(y), "id": 1},
            lambda i: i["x"],
            lambda i: i["y"],
            {"id": -1},
        ),
        (lambda x, y: (Image.fromarray(x), np.int64(y)), lambda i: i[0], lambda i: i[1], None),
    ],
    ids=["tuple", "list", "namedtuple", "dict", "triple", "tensors", "pil"],
)
def test_a_synthetic_item_has_the_structure_of_a_real_one(item, image_of, label_of, fill):
    data = Items([item(x, i % 3) for i, x in enumerate(pictures(12))])
    mixed = mix(
        DataLoader(data, 4, collate_fn=list), pool(), ratio=0.5, items=synthaug.Items(fill=fill or {})
    )
    items = [i for batch in mixed for i in batch]
    made = [i for i in items if is_synthetic(image_of(i))]
    assert len(made) == 6
    for one in made:
        assert type(one) is type(data[0])
        assert type(image_of(one)) is type(image_of(data[0]))
        assert type(label_of(one)) is type(label_of(data[0]))
        if fill:
            assert all(one[key] == value for key, value in fill.items())
        if isinstance(one, dict):
            assert list(one) == list(data[0])


def test_a_field_without_a_value_is_refused_with_the_remedy():
    data = Items([(x, i % 3, i) for i, x in enumerate(pictures(12))])
    with pytest.raises(InvalidRequest, match=r"fields 2 .*pass items=synthaug\.Items\(fill=\{2: \.\.\.\}\)"):
        mix(DataLoader(data, 4), pool(), ratio=0.5, items=synthaug.Items(label=1))


@pytest.mark.parametrize("values", [("cat", "dog", "owl"), (5, -1, 100)])
def test_labels_may_be_strings_or_any_ints(values):
    data = Items([(x, values[i % 3]) for i, x in enumerate(pictures(12))])
    found = seen(mix(DataLoader(data, 6), pool(values=values), ratio=0.5))
    assert [y for batch in found for _, y in batch] == [values[i % 3] for i in range(12)]


def test_a_data_set_that_reads_batches_at_once_is_still_asked_for_batches():
    class Batched(Items):
        asked = ()

        def __getitems__(self, rows):
            self.asked = (*self.asked, tuple(rows))
            return [self._items[row] for row in rows]

    data = Batched([(x, i % 3) for i, x in enumerate(pictures(12))])
    mixed = mix(DataLoader(data, 6), pool(), ratio=0.5)
    found = seen(mixed)
    assert [y for batch in found for _, y in batch] == [i % 3 for i in range(12)]
    assert list(data.asked[-2:]) == [tuple(x for x, _ in batch if x < 10_000) for batch in found]


# ----------------------------------------------------------------------------------------------------- labels


def test_labels_are_taken_from_where_a_data_set_keeps_them_without_reading_it():
    class Counting(Pictures):
        reads = 0

        def __getitem__(self, row):
            Counting.reads += 1
            return super().__getitem__(row)

    data = Counting(300, transform=to_tensor)
    nested = Subset(ConcatDataset([Subset(data, range(10, 300)), data]), range(2, 400))
    Counting.reads = 0
    mix(DataLoader(Subset(data, range(2, 300)), 4), pool(), ratio=0.5)
    assert Counting.reads <= 80
    mixed = mix(DataLoader(nested, 4), pool(), ratio=0.5, transform=to_tensor)
    assert Counting.reads <= 150
    assert [y for batch in seen(mixed) for _, y in batch] == [nested[i][1] for i in range(398)]


def test_kept_labels_that_disagree_with_the_items_are_not_believed():
    data = Items([(x, i % 3) for i, x in enumerate(pictures(12))])
    data.targets = [0] * 12
    found = seen(mix(DataLoader(data, 6), pool(), ratio=0.5))
    assert [y for batch in found for _, y in batch] == [i % 3 for i in range(12)]


@pytest.mark.parametrize("values", [(0, 1, 2), ("cat", "dog", "owl")])
def test_samples_may_have_the_labels_from_before_or_after_a_target_transform(values):
    data = Pictures(12, transform=to_tensor, target_transform=CLASSES.__getitem__)
    found = seen(mix(DataLoader(data, 6), pool(values=values), ratio=0.5))
    pairs = [pair for batch in found for pair in batch]
    assert [y for _, y in pairs] == [CLASSES[i % 3] for i in range(12)]
    assert all(y == CLASSES[(x - 10_000) % 3] for x, y in pairs if x >= 10_000)


def test_a_target_transform_among_the_same_labels_is_refused_as_ambiguous():
    def reversed_label(label):
        return 2 - label

    data = Pictures(12, transform=to_tensor, target_transform=reversed_label)
    with pytest.raises(
        InvalidRequest, match=r"its labels on reading.* pass these as items=synthaug\.Items\(labels="
    ):
        mix(DataLoader(data, 6), pool(), ratio=0.5)
    mixed = mix(
        DataLoader(data, 6), pool(), ratio=0.5, items=synthaug.Items(labels=[2 - i % 3 for i in range(12)])
    )
    pairs = [pair for batch in seen(mixed) for pair in batch]
    assert all(y == (x - 10_000) % 3 for x, y in pairs if x >= 10_000)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0] * 5, "one int, str or bool for each of the 60 rows"),
        (np.zeros((60, 3)), "one int, str or bool for each of the 60 rows"),
        ([0] * 60, r"Items\(labels=\.\.\.\) says 0 for row 1 .*whose item has the label 1"),
    ],
)
def test_labels_that_do_not_belong_to_the_rows_are_refused(labels, message):
    with pytest.raises(InvalidData, match=message):
        mix(DataLoader(tensors(), 6), pool(), ratio=0.5, items=synthaug.Items(labels=labels))


def test_soft_labels_are_refused_by_name():
    data = TensorDataset(torch.from_numpy(pictures(6)), torch.eye(3).repeat(2, 1))
    with pytest.raises(UnsupportedKind, match="soft and multi-hot labels"):
        mix(DataLoader(data, 6), pool(), ratio=0.5)


def test_a_class_missing_from_the_samples_is_refused_by_name():
    two = pool(values=(0, 1))
    with pytest.raises(InvalidRequest, match=r'hold no row of "2"\. Sample at least one row of each class'):
        mix(DataLoader(tensors(), 6), two, ratio=0.5)
    none_of_owl = pool()[pool().class_indices != 2]
    with pytest.raises(InvalidRequest, match='hold no row of "owl"'):
        mix(DataLoader(tensors(), 6), none_of_owl, ratio=0.5)
    with pytest.raises(InvalidRequest, match='hold no row of "cat", "dog", "owl"'):
        mix(DataLoader(tensors(), 6), pool()[:0], ratio=0.5)


# ------------------------------------------------------------------------------------------------- transforms


@pytest.mark.parametrize("container", ["array", "pil"])
@pytest.mark.parametrize("wrap", [lambda data: data, lambda data: Subset(data, range(5, 50))])
def test_the_data_sets_own_transform_is_applied_to_synthetic_rows_as_the_data_set_gives_it(container, wrap):
    def of_pil(image):
        assert isinstance(image, Image.Image)
        return normalised(image)

    mixed = mix(DataLoader(wrap(Pictures(transform=of_pil)), 9), pool(container=container), ratio=0.5)
    batch = torch.cat([x for x, _ in mixed])
    synthetic = torch.stack([x for x in batch if is_synthetic((x + 1) / 2)])
    assert abs(len(synthetic) - len(batch) / 2) <= 1
    assert (synthetic.amin((1, 2, 3)) == -1).all()
    assert (synthetic.amax((1, 2, 3)) == 1).all()


def test_samples_of_a_generator_that_saw_transformed_items_are_not_transformed_again():
    form = ImageForm(SIDE, SIDE, 1, "CHW", "float32", -1.0, 1.0, "tensor")
    images = torch.stack([normalised(x) for x in pictures(15, first=10_000)]).numpy()
    samples = replace(pool(), samples=images, form=form)
    mixed = mix(DataLoader(Pictures(transform=normalised), 20), samples, ratio=0.5)
    values = torch.cat([x for x, _ in mixed])
    assert (values.min(), values.max()) == (-1, 1)
    assert sum(is_synthetic((x + 1) / 2) for x in values) == 30


def test_a_given_transform_goes_before_the_data_sets_own():
    def of_array(image):
        assert isinstance(image, np.ndarray)
        return to_tensor(image)

    def unusable(image):
        assert isinstance(image, Image.Image)
        return to_tensor(image)

    mixed = mix(DataLoader(Pictures(transform=unusable), 20), pool(), ratio=0.5, transform=of_array)
    assert sum(is_synthetic(x) for batch, _ in mixed for x in batch) == 30


def test_an_albumentations_transform_is_called_by_name():
    import albumentations as A

    class ByName(Pictures):
        def __getitem__(self, row):
            return self.transform(image=self.data[row])["image"], self.targets[row]

    data = ByName(transform=A.Compose([A.ToFloat(max_value=255.0)]))
    samples = replace(pool(), held_out=fingerprints(pictures(1, first=500), "HW"))
    mixed = mix(DataLoader(data, 20), samples, ratio=0.5)
    assert sum(is_synthetic(x) for batch, _ in mixed for x in batch) == 30
    with pytest.raises(Leakage):
        mix(DataLoader(data, 20), replace(samples, held_out=fingerprints(data.data, "HW")), ratio=0.5)


def test_the_check_of_ranges_is_not_fooled_by_random_transforms():
    generator = torch.Generator().manual_seed(0)

    def jitter(image):
        x = normalised(image) * (0.7 + 0.6 * torch.rand(1, generator=generator))
        return x + 0.1 * torch.randn(x.shape, generator=generator)

    for _ in range(20):
        mix(DataLoader(Pictures(30, transform=jitter), 6), pool(), ratio=0.5)


def test_a_generator_that_uses_little_of_its_range_yet_is_let_in():
    form = ImageForm(SIDE, SIDE, 1, "CHW", "float32", -1.0, 1.0, "tensor")
    grey = replace(pool(), samples=np.zeros((15, *form.shape), np.float32), form=form)
    data = TensorDataset(torch.stack([normalised(x) for x in pictures(60)]), torch.arange(60) % 3)
    mix(DataLoader(data, 6), grey, ratio=0.5)


# ---------------------------------------------------------------------------------------- refused at the door


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x, r"after the transform, tensor of uint8, 8x8, values 0 to 255"),
        (lambda x: to_tensor(x), r"values -1 to 1\. Synthetic: after the transform, .*values 0 to 1"),
        (lambda x: to_tensor(x) * 255, r"values 0 to 255"),
        (lambda x: normalised(x)[:, :6], r"1x8x8.*1x6x8"),
        (lambda x: normalised(x).double(), r"float32.*float64"),
        (lambda x: normalised(x)[0], r"1x8x8.*, 8x8"),
        (lambda x: x["image"], r"after the transform, an error \(IndexError"),
    ],
    ids=["nothing", "range", "bytes", "shape", "dtype", "rank", "error"],
)
def test_rows_that_do_not_look_alike_are_refused_with_both_printed(change, words):
    data = TensorDataset(torch.stack([normalised(x) for x in pictures(60)]), torch.arange(60) % 3)
    with pytest.raises(SpecMismatch, match=words) as error:
        mix(DataLoader(data, 6), pool(), ratio=0.5, transform=change)
    assert "Real: tensor of float32, 1x8x8, values -1 to 1" in str(error.value)
    assert "Pass transform=, a function from a row of the samples (HW 8x8 uint8" in str(error.value)


def test_without_any_transform_the_mismatch_names_the_remedy():
    data = TensorDataset(torch.stack([normalised(x) for x in pictures(60)]), torch.arange(60) % 3)
    with pytest.raises(
        SpecMismatch, match=r"Synthetic: as they are, tensor of uint8, 8x8, values 0 to 255. Pass transform="
    ):
        mix(DataLoader(data, 6), pool(), ratio=0.5)


@pytest.mark.parametrize(
    "data",
    [
        tensors(),
        Pictures(),
        Pictures(transform=normalised),
        Subset(Pictures(transform=normalised), range(60)),
        TensorDataset(torch.from_numpy(pictures(60))[:, None] / 255, torch.arange(60) % 3),
    ],
    ids=["tensors", "pil", "transformed", "subset", "floats"],
)
def test_rows_that_are_held_out_are_refused(data):
    looks_like = (
        None if isinstance(data, Pictures | Subset) else lambda x: torch.as_tensor(x).to(data[0][0].dtype)
    )
    held_out = fingerprints(pictures(60)[[17, 23]], "HW")
    with pytest.raises(
        Leakage, match=r"2 of the 60 rows looked at in the loader's data set .*first is row 17"
    ):
        mix(
            DataLoader(data, 6, collate_fn=list),
            replace(pool(), held_out=held_out),
            ratio=0.5,
            transform=looks_like,
        )


def test_rows_that_the_sampler_cannot_draw_may_be_held_out():
    samples = replace(pool(), held_out=fingerprints(pictures(60)[:20], "HW"))
    train = SubsetRandomSampler(range(20, 60))
    weighted = WeightedRandomSampler([0.0] * 20 + [1.0] * 40, 60)
    for sampler in (train, weighted):
        assert seen(mix(DataLoader(tensors(), 6, sampler=sampler), samples, ratio=0.5))
    with pytest.raises(Leakage):
        mix(DataLoader(tensors(), 6), samples, ratio=0.5)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(())


class Columns(Items):
    def __getitems__(self, rows):
        return {"image": [self._items[row][0] for row in rows]}


def prepared() -> DataLoader:
    kind = type("DataLoaderShard", (DataLoader,), {"__module__": "accelerate.data_loader"})
    return kind(tensors(), 6)


@pytest.mark.parametrize(
    ("loader", "error", "message"),
    [
        (lambda: [1, 2], UnsupportedKind, "type list was given to mix; taken are .*a torch DataLoader"),
        (lambda: DataLoader(Stream(), 6), InvalidData, "the loader's stream has no rows"),
        (
            lambda: DataLoader(tensors(), batch_size=None),
            UnsupportedKind,
            "batch_size=None.*give it a batch_size",
        ),
        (prepared, UnsupportedKind, "prepared by accelerate already.*mix the plain loader, then prepare"),
        (
            lambda: mix(DataLoader(tensors(), 6), pool(), ratio=0.5),
            InvalidRequest,
            "mixed already: mix the plain loader",
        ),
        (lambda: DataLoader(Items([]), 6, sampler=[]), InvalidData, "no rows to draw"),
        (lambda: DataLoader(Columns(tensors()), 6), UnsupportedKind, r"whole batch \(dict\).*in collate_fn"),
    ],
    ids=["list", "stream", "unbatched", "prepared", "mixed", "empty", "columns"],
)
def test_a_loader_that_cannot_be_mixed_is_refused_with_the_remedy(loader, error, message):
    with pytest.raises(error, match=message):
        mix(loader(), pool(), ratio=0.5)


@pytest.mark.parametrize("ratio", [-0.1, 1, math.nan])
def test_a_ratio_outside_zero_to_one_is_refused(ratio):
    with pytest.raises(InvalidRequest, match="at least 0 and below 1"):
        mix(DataLoader(tensors(), 6), pool(), ratio=ratio)


@pytest.mark.parametrize("data", [tensors(), Subset(tensors(), range(60)), Pictures(transform=to_tensor)])
def test_rows_read_together_are_those_read_one_by_one(data):
    mixed = mix(DataLoader(data, 16), pool(), ratio=0.5)
    batch = next(iter(mixed.batch_sampler))
    together, alone = mixed.dataset.__getitems__(batch), [mixed.dataset[row] for row in batch]
    assert [type(item) for item in together] == [type(item) for item in alone]
    for (x, y), (image, label) in zip(together, alone, strict=True):
        assert torch.equal(x, image)
        assert (type(y), int(y)) == (type(label), int(label))


def test_changing_a_label_in_place_does_not_change_the_next_ones():
    mixed = mix(DataLoader(tensors(), 16), pool(), ratio=0.5)
    mixed.dataset[60][1].fill_(9)
    assert [int(mixed.dataset[60 + row][1]) for row in range(6)] == [0, 1, 2, 0, 1, 2]
