"""Streams of synthetic rows: exact rows whoever reads them, exact resume, real rows untouched."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import chain

import datasets
import numpy as np
import pytest
import torch
from datasets.distributed import split_dataset_by_node
from PIL import Image
from torch.utils.data import DataLoader

from synthaug.errors import InvalidData, InvalidRequest, Leakage, SpecMismatch, UnsupportedKind
from synthaug.generators.samples import PROVENANCE_COLUMNS, Samples
from synthaug.mixing.huggingface.stream import mix_stream, stream_dataset
from synthaug.modalities.image.fingerprint import fingerprints
from synthaug.modalities.image.spec import ImageSpec
from synthaug.seeding import derive, numpy_rng

# Interleaving forks inside a process with threads of its own; the workers only read.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

CLASSES = ("T-shirt/top", "été", "bag")
SPEC = ImageSpec(8, 9, 1, "HW", "uint8", 0.0, 255.0, "pil")


@dataclass
class Noise:
    """Noise that is a function of (seed, class, index), behind the face of a trained generator."""

    classes: tuple = CLASSES
    values: tuple = (0, 1, 2)
    spec: ImageSpec = SPEC
    fingerprint: str = "ab" * 32
    held_out: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    training_counts: dict = field(default_factory=lambda: {"T-shirt/top": 6, "été": 3, "bag": 1})
    made: int = 0

    def row(self, name, index, seed):
        pixels = numpy_rng(seed, name, index).integers(0, 256, self.spec.shape)
        return (pixels / 255 * self.spec.high).astype(self.spec.dtype)

    def sample_rows(self, name, start, stop, *, seed=0):
        self.made += stop - start
        n = stop - start
        return Samples(
            np.stack([self.row(name, i, seed) for i in range(start, stop)]),
            np.full(n, self.values[self.classes.index(name)]),
            self.classes,
            self.values,
            self.spec,
            {
                "synthetic": np.ones(n, bool),
                "generator": np.array([self.fingerprint] * n),
                "seed": np.full(n, seed, np.int64),
                "class": np.array([name] * n),
                "index": np.arange(start, stop),
            },
        )


def real(n=90, shards=3):
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(CLASSES)),
            "file": datasets.Value("string"),
        }
    )
    pictures = numpy_rng(0, "real").integers(0, 256, (n, 8, 9), dtype=np.uint8)
    columns = {
        "image": [Image.fromarray(picture) for picture in pictures],
        "label": [[0, 0, 0, 0, 0, 0, 1, 1, 1, 2][i % 10] for i in range(n)],
        "file": [f"{i}.png" for i in range(n)],
    }
    return datasets.Dataset.from_dict(columns, features=features).to_iterable_dataset(num_shards=shards)


def key(row):
    return (np.asarray(row["image"]).tobytes(), row["label"], *(row[name] for name in PROVENANCE_COLUMNS))


def keys(stream):
    return [key(row) for row in stream]


def first(rows):
    return rows[0]


def loaded(stream, workers, **more):
    return keys(DataLoader(stream, batch_size=1, collate_fn=first, num_workers=workers, **more))


COUNTS = {"T-shirt/top": 70, "été": 40, "bag": 5}


def test_a_stream_holds_exactly_the_rows_asked_for_and_each_says_how_to_make_it_again():
    stream = stream_dataset(Noise(), COUNTS, seed=5, shards=4)
    rows = list(stream)
    assert Counter(row["class"] for row in rows) == COUNTS
    assert {(row["class"], row["index"]) for row in rows} == {
        (k, i) for k, n in COUNTS.items() for i in range(n)
    }
    for row in rows:
        assert row["synthetic"]
        assert row["generator"] == "ab" * 32
        assert CLASSES[row["label"]] == row["class"]
        assert (np.asarray(row["image"]) == Noise().row(row["class"], row["index"], 5)).all()
    assert stream.features["label"].names == list(CLASSES)
    assert isinstance(stream.features["image"], datasets.Image)


def test_classes_take_turns_in_proportion():
    labels = [row["label"] for row in stream_dataset(Noise(), {0: 60, 1: 30, 2: 10}, shards=1)]
    for n in range(10, 101):
        shares = np.bincount(labels[:n], minlength=3) / n
        assert np.abs(shares - [0.6, 0.3, 0.1]).max() <= 2 / n


@pytest.mark.parametrize("shards", [1, 3, 8])
def test_the_rows_do_not_depend_on_shards_or_workers(shards):
    whole = sorted(keys(stream_dataset(Noise(), COUNTS, shards=2)))
    stream = stream_dataset(Noise(), COUNTS, shards=shards)
    assert sorted(keys(stream)) == whole
    if shards >= 2:
        assert sorted(loaded(stream, 2)) == whole


@pytest.mark.parametrize("world", [2, 3])
def test_nodes_share_the_rows_without_a_repetition(world):
    stream = stream_dataset(Noise(), COUNTS, shards=4)
    parts = [keys(split_dataset_by_node(stream, rank, world)) for rank in range(world)]
    assert sorted(chain(*parts)) == sorted(keys(stream))


def test_large_counts_are_made_once_by_all_shards_together():
    source = Noise()
    stream = stream_dataset(source, {0: 200, 1: 170}, shards=4)
    parts = [keys(split_dataset_by_node(stream, rank, 4)) for rank in range(4)]
    assert [len(set(part)) for part in parts] == [len(part) for part in parts]
    assert source.made <= 370 + 2 * 31


def test_without_counts_the_stream_has_no_end_and_the_proportions_of_the_training_rows():
    stream = stream_dataset(Noise(), seed=1, shards=2)
    rows = list(stream.take(1000))
    assert np.bincount([row["label"] for row in rows]).tolist() == [600, 300, 100]
    assert len(set(map(key, rows))) == 1000
    other = list(split_dataset_by_node(stream, 1, 2).take(1000))
    assert not {key(row) for row in other} & {
        key(row) for row in split_dataset_by_node(stream, 0, 2).take(1000)
    }


def mixed(seed=0, source=None, **more):
    return mix_stream(real(), source or Noise(), ratio=0.4, seed=seed, **more)


def resumed(make, stops):
    """The rows of a run that is killed after each of some numbers of rows, each time read on by a new process."""
    rows, state = [], None
    for stop in [*stops, None]:
        stream = make()
        if state is not None:
            stream.load_state_dict(state)
        for n, row in enumerate(stream, 1):
            rows.append(key(row))
            state = stream.state_dict()
            if n == stop:
                break
    return rows


@pytest.mark.parametrize("make", [lambda: stream_dataset(Noise(), COUNTS, shards=3), mixed])
def test_a_stream_resumes_at_the_exact_row_however_often_it_is_interrupted(make):
    whole = keys(make())
    for stop in range(1, len(whole), 13):
        assert resumed(make, [stop]) == whole
        assert resumed(make, [stop, 9]) == whole
    assert resumed(make, [7] * 12) == whole


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_loader_resumes_a_mixed_stream_in_the_middle_of_an_epoch(workers):
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed")

    def loader():
        return stateful.StatefulDataLoader(mixed(), batch_size=4, collate_fn=keys, num_workers=workers)

    whole = list(loader())
    first_part, batches = loader(), []
    for batch in first_part:
        batches.append(batch)
        if len(batches) == 5:
            state = first_part.state_dict()
            break
    rest = loader()
    rest.load_state_dict(state)
    assert batches + list(rest) == whole


def test_resuming_makes_only_the_runs_that_are_read_on():
    stream = stream_dataset(Noise(), {0: 3200}, shards=1)
    rows = iter(stream)
    for _ in range(3000):
        next(rows)
    source = Noise()
    again = stream_dataset(source, {0: 3200}, shards=1)
    again.load_state_dict(stream.state_dict())
    assert key(next(iter(again))) == key(next(rows))
    assert source.made == 32


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_brings_new_rows_also_to_workers_that_live_on_and_to_what_was_made_of_the_stream(workers):
    stream = stream_dataset(Noise(), COUNTS, shards=2)
    derived = split_dataset_by_node(stream.shuffle(seed=0, buffer_size=4), 0, 1)
    more = {"persistent_workers": True} if workers else {}
    for read in (stream, derived):
        loader = DataLoader(read, batch_size=1, collate_fn=first, num_workers=workers, **more)
        epochs = []
        for epoch in (0, 1, 2, 1):
            stream.set_epoch(epoch)
            epochs.append(sorted(keys(loader)))
        assert epochs[1] == epochs[3]
        assert not set(epochs[0]) & set(epochs[1])
        assert not set(epochs[1]) & set(epochs[2])
        assert [len(rows) for rows in epochs] == [115] * 4
        assert {row[4] for row in epochs[1]} == {derive(0, "epoch", 1)}
    assert {row[4] for row in epochs[0]} == {0}


def test_a_spawned_worker_reads_the_same_rows():
    stream = stream_dataset(Noise(), {0: 3, 1: 2}, shards=2)
    stream.set_epoch(3)
    context = {"multiprocessing_context": "forkserver"}
    assert sorted(loaded(stream, 1, **context)) == sorted(loaded(stream, 0))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_real_row_comes_once_and_unchanged_between_synthetic_ones(workers):
    rows = loaded(mixed(), workers)
    before = sorted((np.asarray(row["image"]).tobytes(), row["label"]) for row in real())
    assert sorted(row[:2] for row in rows if not row[2]) == before
    assert {row[3:] for row in rows if not row[2]} == {("", -1, "", -1)}
    made = [row for row in rows if row[2]]
    assert len(set(made)) == len(made)
    assert 0.2 < len(made) / len(rows) < 0.6
    assert all(row[0] == Noise().row(row[5], row[6], 0).tobytes() for row in made)


def test_the_share_is_the_ratio_in_every_class():
    rows = [row for seed in range(12) for row in keys(mixed(seed))]
    for label in range(3):
        share = np.mean([row[2] for row in rows if row[1] == label])
        assert abs(share - 0.4) < 0.09


def test_features_format_and_shards_of_the_real_stream_are_kept():
    plain = real(shards=3)
    after = mix_stream(plain.with_format("torch"), Noise(), ratio=0.4)
    assert after.num_shards == 3
    assert {name: after.features[name] for name in plain.features} == plain.features
    assert list(after.features) == [*plain.features, *PROVENANCE_COLUMNS]
    rows = list(after)
    assert all(isinstance(row["image"], torch.Tensor) and row["image"].shape == (1, 8, 9) for row in rows)
    assert {type(row["label"]) for row in rows} == {torch.Tensor}
    assert any(row["synthetic"] for row in rows)


def test_other_columns_are_null_or_filled():
    assert all((row["file"] is None) == row["synthetic"] for row in mixed())
    assert all((row["file"] == "made") == row["synthetic"] for row in mixed(fill={"file": "made"}))
    with pytest.raises(InvalidRequest, match=r'fill= names "fil".* Did you mean "file"'):
        mixed(fill={"fil": ""})


def test_a_lossy_file_is_handed_on_as_it_is(tmp_path):
    picture = numpy_rng(0, "jpeg").integers(0, 256, (8, 9), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.jpg", quality=30)
    stored = np.asarray(Image.open(tmp_path / "a.jpg"))
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
    )
    rows = datasets.Dataset.from_dict(
        {"image": [str(tmp_path / "a.jpg")] * 4, "label": [0] * 4}, features=features
    )
    found = [
        row for row in mix_stream(rows.to_iterable_dataset(), Noise(), ratio=0.4) if not row["synthetic"]
    ]
    assert len(found) == 4
    assert all((np.asarray(row["image"]) == stored).all() for row in found)


def test_images_that_are_not_decoded_and_arrays_keep_their_kind():
    raw = real().cast_column("image", datasets.Image(decode=False))
    stream = stream_dataset(Noise(), {0: 1}, features=raw.features)
    assert set(next(iter(stream))["image"]) == {"bytes", "path"}
    kinds = datasets.Features({"scan": datasets.Array2D((8, 9), "float32"), "kind": datasets.Value("string")})
    source = Noise(values=("a", "b", "c"), spec=ImageSpec(8, 9, 1, "HW", "float32", 0.0, 1.0))
    scans = numpy_rng(0, "scans").random((12, 8, 9), dtype=np.float32)
    rows = datasets.Dataset.from_dict({"scan": scans, "kind": ["a", "b", "c"] * 4}, features=kinds)
    after = mix_stream(rows.to_iterable_dataset(), source, ratio=0.5, label="kind", image="scan")
    found = list(after.with_format("numpy"))
    assert {row["scan"].shape for row in found} == {(8, 9)}
    assert {row["kind"] for row in found if row["synthetic"]} <= {"a", "b", "c"}
    assert sum(not row["synthetic"] for row in found) == 12


@pytest.mark.parametrize(
    "strategy", ["first_exhausted", "all_exhausted", "all_exhausted_without_replacement"]
)
def test_the_stopping_strategies_are_those_of_interleave_datasets(strategy):
    rows = keys(mixed(counts=COUNTS, stopping_strategy=strategy))
    found = [len({row for row in rows if row[2] is kind}) for kind in (False, True)]
    if strategy == "first_exhausted":
        assert found[0] == 90 or found[1] == 115
        assert len(set(rows)) == len(rows)
    else:
        assert found == [90, 115]
        assert (len(rows) == 205) == (strategy == "all_exhausted_without_replacement")


def test_a_stream_that_is_split_by_node_is_mixed_on_each_without_a_repetition():
    parts = []
    for rank in range(3):
        node = mix_stream(split_dataset_by_node(real(shards=3), rank, 3), Noise(), ratio=0.4)
        node.set_epoch(1)
        parts.append(keys(node))
    rows = list(chain(*parts))
    assert sorted(row[:2] for row in rows if not row[2]) == sorted(
        (np.asarray(row["image"]).tobytes(), row["label"]) for row in real()
    )
    assert len(set(rows)) == len(rows)
    assert {row[4] for row in rows if row[2]} == {derive(0, "epoch", 1)}


def test_interleaving_by_hand_with_several_sources_gives_rows_of_each():
    streams = [stream_dataset(Noise(), COUNTS, seed=seed, shards=2) for seed in (1, 2)]
    both = datasets.interleave_datasets(
        streams, probabilities=[0.5, 0.5], seed=0, stopping_strategy="all_exhausted_without_replacement"
    )
    assert sorted(keys(both)) == sorted(keys(streams[0]) + keys(streams[1]))


def test_no_cache_takes_one_stream_for_another(tmp_path):
    def gathered(seed, source):
        stream = stream_dataset(source, {0: 3}, seed=seed, shards=1)
        return datasets.Dataset.from_generator(
            lambda stream: iter(stream), gen_kwargs={"stream": stream}, cache_dir=str(tmp_path)
        )

    sums = [
        tuple(int(np.asarray(row["image"]).sum()) for row in gathered(*case))
        for case in [(0, Noise()), (1, Noise()), (0, Noise(spec=replace(Noise().spec, high=127.0)))]
    ]
    assert len(set(sums)) == 3


def test_a_stream_caches_no_row(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    assert len(keys(mixed())) > 90
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.stat().st_size == 0 for path in files)  # the library's own lock


def test_ratio_zero_gives_the_real_rows_marked_as_real():
    rows = keys(mix_stream(real(), Noise(), ratio=0))
    assert [row[:2] for row in rows] == [(np.asarray(row["image"]).tobytes(), row["label"]) for row in real()]
    assert not any(row[2] for row in rows)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda: mixed(stopping_strategy="all_exhausted"), InvalidRequest, "they do not: give counts="),
        (lambda: mix_stream(real(), Noise(), ratio=1), InvalidRequest, "at least 0 and below 1"),
        (lambda: stream_dataset(Noise(), {0: 1}, shards=0), InvalidRequest, "0 shards were asked for"),
        (lambda: stream_dataset(Noise(), {"boot": 1}), InvalidRequest, "There is no class 'boot'"),
        (
            lambda: mix_stream(real(), Noise().sample_rows("bag", 0, 2), ratio=0.1),
            UnsupportedKind,
            "samples were given .*: give the generator",
        ),
        (lambda: mix_stream([1], Noise(), ratio=0.1), UnsupportedKind, "a list was given"),
        (
            lambda: mix_stream(real().map(lambda row: row), Noise(), ratio=0.1),
            InvalidData,
            r"pass features= to the map\(\)",
        ),
        (
            lambda: mix_stream(mixed(), Noise(), ratio=0.1),
            InvalidRequest,
            r'column "class".*before it was expanded or mixed',
        ),
        (
            lambda: mixed(source=Noise(classes=("cat", "été", "bag"))),
            InvalidRequest,
            'the generator lacks "T-shirt/top", the data set lacks "cat"',
        ),
        (
            lambda: mixed(source=Noise(spec=ImageSpec(8, 8, 1, "HW", "uint8", 0.0, 255.0))),
            SpecMismatch,
            r"Real: array of uint8, 8x9, .*Synthetic: array of uint8, 8x8, .*Train",
        ),
        (lambda: mixed(image="picture"), InvalidRequest, "no field 'picture'"),
    ],
)
def test_what_cannot_be_streamed_is_refused_with_the_remedy(change, error, message):
    with pytest.raises(error, match=message):
        change()


def test_rows_that_are_held_out_are_refused():
    third = np.asarray(list(real())[2]["image"])
    source = Noise(held_out=fingerprints(third[None], "HW"))
    with pytest.raises(Leakage, match=r"1 of the first 64 rows .*first is row 2\): mix training rows only"):
        mixed(source=source)


def test_a_held_out_row_far_down_the_stream_is_refused_when_it_comes():
    far = np.asarray(list(real())[80]["image"])
    stream = mixed(source=Noise(held_out=fingerprints(far[None], "HW")))
    with pytest.raises(Leakage, match="of the label 0, is held out from the"):
        list(stream)
    assert len(list(mix_stream(real(), Noise(held_out=fingerprints(far[None], "HW")), ratio=0))) == 90


def test_a_held_out_row_of_an_array_column_is_known_by_the_range_of_the_generator():
    kinds = datasets.Features({"scan": datasets.Array2D((8, 9), "float32"), "label": datasets.Value("int64")})
    source = Noise(spec=ImageSpec(8, 9, 1, "HW", "float32", -1.0, 1.0))
    scans = numpy_rng(0, "scans").uniform(-1, 1, (100, 8, 9)).astype(np.float32)
    scans[90] = abs(scans[90])  # alone it would pass for a row of the range 0 to 1
    rows = {"scan": scans, "label": [0, 1] * 50}
    stream = datasets.Dataset.from_dict(rows, features=kinds).to_iterable_dataset()
    known = replace(source, held_out=fingerprints(scans[[90]], "HW", scans))
    with pytest.raises(Leakage, match="of the label 0, is held out"):
        list(mix_stream(stream, known, ratio=0.3))
