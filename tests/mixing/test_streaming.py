"""Synthetic rows in a stream: exact rows whoever reads them, exact resume, real rows untouched."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import chain

import datasets
import numpy as np
import pytest
import torch
from datasets.distributed import split_dataset_by_node
from PIL import Image
from torch.utils.data import DataLoader

import synthaug
from synthaug import ImageForm, Items, mix
from synthaug.errors import InvalidData, InvalidRequest, Leakage, SpecMismatch, UnsupportedKind
from synthaug.generators import PROVENANCE_COLUMNS, Selection
from synthaug.mixing import MixOptions, Supply, mix_stream
from synthaug.modalities.image import fingerprints
from synthaug.seeding import derive, numpy_rng
from synthaug.testing import planted_generator

# Interleaving forks inside a process with threads of its own; the workers only read.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

CLASSES = ("T-shirt/top", "été", "bag")
FORM = ImageForm(8, 9, 1, "HW", "uint8", 0.0, 255.0, "pil")
RUN = 32  # rows of a class that are made together


def planted(classes=CLASSES, values=(0, 1, 2), form=FORM, held_out=None):
    """A generator that was trained on 6, 3 and 1 rows of its classes."""
    made = planted_generator(classes, values, form, held_out=held_out)
    return replace(made, data=made.data | {"counts": dict(zip(classes, (6, 3, 1), strict=True))})


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


def mixed(seed=0, source=None, *, n=90, shards=3, ratio=0.4, **items):
    return mix(real(n, shards), source or planted(), ratio=ratio, seed=seed, items=Items(**items))


def key(row):
    return (np.asarray(row["image"]).tobytes(), row["label"], *(row[name] for name in PROVENANCE_COLUMNS))


def keys(stream):
    return [key(row) for row in stream]


def plain(rows):
    """The real ones of some keys, in any order."""
    return sorted(row[:2] for row in rows if not row[2])


def made(rows):
    return [row for row in rows if row[2]]


def first(rows):
    return rows[0]


def loaded(stream, workers, **more):
    return keys(DataLoader(stream, batch_size=1, collate_fn=first, num_workers=workers, **more))


def again(row):
    """The synthetic row that is made from the provenance of a key alone."""
    name, index, seed = row[5], row[6], row[4]
    return planted().sample_rows(name, index, index + 1, seed=seed).samples.tobytes()


def by_shard(rows, shards):
    """The synthetic rows of each shard of the plan, in the order in which they were read."""
    found = defaultdict(list)
    for row in made(rows):
        round_of_class = RUN * (6, 3, 1)[CLASSES.index(row[5])]
        found[row[6] // round_of_class % shards].append(row)
    return found


def assert_same_plan(rows, others, shards):
    """Two readers of a shard got the same rows in the same order, as far as both went."""
    ours, theirs = by_shard(rows, shards), by_shard(others, shards)
    assert set(ours) & set(theirs)
    for shard in set(ours) & set(theirs):
        n = min(len(ours[shard]), len(theirs[shard]))
        assert ours[shard][:n] == theirs[shard][:n]


REAL = sorted((np.asarray(row["image"]).tobytes(), row["label"]) for row in real())


# --------------------------------------------------------------------------------------- the synthetic rows


def test_each_synthetic_row_says_how_to_make_it_again():
    stream = mixed(5, ratio=0.6)
    rows = made(keys(stream))
    assert len(rows) > 90
    assert {row[3] for row in rows} == {planted().fingerprint}
    assert {row[4] for row in rows} == {5}
    assert all(CLASSES[row[1]] == row[5] for row in rows)
    assert all(row[0] == again(row) for row in rows)
    assert stream.features["label"].names == list(CLASSES)
    assert isinstance(stream.features["image"], datasets.Image)


def test_classes_take_turns_in_the_proportions_of_the_training_rows():
    labels = [row[1] for row in made(keys(mixed(ratio=0.6, shards=1)))]
    assert len(labels) > 100
    for n in range(10, len(labels) + 1):
        shares = np.bincount(labels[:n], minlength=3) / n
        assert np.abs(shares - [0.6, 0.3, 0.1]).max() <= 2 / n


def test_the_synthetic_rows_have_no_end_and_none_comes_twice():
    rows = keys(mixed(1, n=200, shards=1, ratio=0.8))
    synthetic = made(rows)
    assert len(rows) - len(synthetic) == 200
    assert len(synthetic) > 2 * 10 * RUN, "more than two rounds of the plan"
    assert len(set(synthetic)) == len(synthetic)
    assert np.bincount([row[1] for row in synthetic[: 10 * RUN]]).tolist() == [6 * RUN, 3 * RUN, RUN]
    for place in range(3):
        assert [row[6] for row in synthetic if row[1] == place] == list(
            range(sum(row[1] == place for row in synthetic))
        )


@pytest.mark.parametrize("shards", [1, 3, 8])
def test_the_rows_do_not_depend_on_workers(shards):
    whole = keys(mixed(shards=shards))
    assert plain(whole) == REAL
    for workers in {1, min(shards, 2)}:
        rows = loaded(mixed(shards=shards), workers)
        assert plain(rows) == REAL
        assert len(set(rows)) == len(rows)
        assert_same_plan(rows, whole, shards)
        assert all(row[0] == again(row) for row in made(rows))


@pytest.mark.parametrize("world", [2, 3])
def test_nodes_share_the_rows_without_a_repetition(world):
    whole = keys(mixed())
    parts = [keys(split_dataset_by_node(mixed(), rank, world)) for rank in range(world)]
    rows = list(chain(*parts))
    assert plain(rows) == REAL
    assert len(set(rows)) == len(rows)
    assert all(made(part) for part in parts)
    assert all(row[0] == again(row) for row in made(rows))
    if world == 2:  # does not divide the three shards: the nodes take turns in the very same rows
        assert sorted(rows) == sorted(whole)
        return
    assert_same_plan(rows, whole, shards=3)
    before = [keys(mix(split_dataset_by_node(real(), rank, 3), planted(), ratio=0.4)) for rank in range(3)]
    assert len(by_shard(rows, 3)) == 3
    assert_same_plan(rows, list(chain(*before)), shards=3)


@pytest.mark.parametrize("nodes", [1, 4])
def test_rows_are_made_together_and_no_run_is_made_by_two_shards(nodes):
    calls, runs = [], defaultdict(set)
    for rank in range(nodes):
        source = planted()
        share = split_dataset_by_node(real(400, shards=4), rank, nodes) if nodes > 1 else real(400, 4)
        stream = mix(share, source, ratio=0.6)
        before = source.family.calls
        for row in made(keys(stream)):
            runs[rank].add((row[5], row[6] // RUN))
        calls.append(source.family.calls - before)
    assert len(set(chain(*runs.values()))) == sum(map(len, runs.values()))
    # The library reads two rows ahead of those that it hands out, in each shard.
    assert sum(calls) <= sum(map(len, runs.values())) + 2 * 4


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


def in_epoch_2():
    stream = mixed(n=30)
    stream.set_epoch(2)
    return stream


def on_one_of_three_nodes():
    return mix(split_dataset_by_node(real(60), 1, 3), planted(), ratio=0.6)


@pytest.mark.parametrize(("make", "step"), [(mixed, 13), (in_epoch_2, 17), (on_one_of_three_nodes, 17)])
def test_a_stream_resumes_at_the_exact_row_however_often_it_is_interrupted(make, step):
    whole = keys(make())
    for stop in range(1, len(whole), step):
        assert resumed(make, [stop]) == whole
        assert resumed(make, [stop, 9]) == whole
    assert resumed(make, [len(whole) // 13] * 12) == whole


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
    stream = mixed(n=1500, shards=1, ratio=0.6)
    rows = iter(stream)
    for _ in range(2000):
        next(rows)
    source = planted()
    rest = mixed(0, source, n=1500, shards=1, ratio=0.6)
    rest.load_state_dict(stream.state_dict())
    before = source.family.calls
    found = [key(row) for row, _ in zip(rest, range(20), strict=False)]
    assert found == [key(next(rows)) for _ in range(20)]
    assert len(made(found)) > 5
    assert source.family.calls - before <= 6, "one run of each class, and the next ones at most"


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_brings_new_rows_also_to_workers_that_live_on_and_to_what_was_made_of_the_stream(workers):
    stream = mixed()
    derived = split_dataset_by_node(stream.shuffle(seed=0, buffer_size=4), 0, 1)
    more = {"persistent_workers": True} if workers else {}
    for read in (stream, derived):
        loader = DataLoader(read, batch_size=1, collate_fn=first, num_workers=workers, **more)
        epochs = []
        for epoch in (0, 1, 2, 1):
            stream.set_epoch(epoch)
            epochs.append(sorted(keys(loader)))
        assert epochs[1] == epochs[3]
        assert not set(made(epochs[0])) & set(made(epochs[1]))
        assert not set(made(epochs[1])) & set(made(epochs[2]))
        assert [plain(rows) for rows in epochs] == [REAL] * 4
        assert {row[4] for row in made(epochs[1])} == {derive(0, "epoch", 1)}
        assert {row[4] for row in made(epochs[0])} == {0}


def test_an_epoch_draws_anew_where_synthetic_rows_come():
    stream, patterns = mixed(), []
    for epoch in (0, 1, 2):
        stream.set_epoch(epoch)
        patterns.append(tuple(row["synthetic"] for row in stream))
    assert len(set(patterns)) == 3


def test_a_spawned_worker_reads_the_same_rows():
    pictures = np.stack([np.asarray(row["image"]) for row in real(60)])
    generator = synthaug.fit((pictures, [CLASSES[row["label"]] for row in real(60)]), steps=2, progress=False)
    stream = mix(real(20, shards=2), generator, ratio=0.5)
    stream.set_epoch(3)
    forked = loaded(stream, 1, multiprocessing_context="fork")
    assert loaded(stream, 1, multiprocessing_context="forkserver") == forked
    assert {row[4] for row in made(forked)} == {derive(0, "epoch", 3)}
    for row in made(forked):
        name, index, seed = row[5], row[6], row[4]
        assert row[0] == generator.sample_rows(name, index, index + 1, seed=seed).samples.tobytes()


# ---------------------------------------------------------------------------------------------- the mixture


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_real_row_comes_once_and_unchanged_between_synthetic_ones(workers):
    rows = loaded(mixed(), workers)
    assert plain(rows) == REAL
    assert {row[3:] for row in rows if not row[2]} == {("", -1, "", -1)}
    synthetic = made(rows)
    assert len(set(synthetic)) == len(synthetic)
    assert 0.2 < len(synthetic) / len(rows) < 0.6
    assert {row[4] for row in synthetic} == {0}
    assert all(row[0] == again(row) for row in synthetic)


def test_the_share_is_the_ratio_in_every_class():
    rows = [row for seed in range(12) for row in keys(mixed(seed))]
    for label in range(3):
        share = np.mean([row[2] for row in rows if row[1] == label])
        assert abs(share - 0.4) < 0.09


def test_features_format_and_shards_of_the_real_stream_are_kept():
    given = real(shards=3)
    after = mix(given.with_format("torch"), planted(), ratio=0.4)
    assert after.num_shards == 3
    assert {name: after.features[name] for name in given.features} == given.features
    assert list(after.features) == [*given.features, *PROVENANCE_COLUMNS]
    rows = list(after)
    assert all(isinstance(row["image"], torch.Tensor) and row["image"].shape == (1, 8, 9) for row in rows)
    assert {type(row["label"]) for row in rows} == {torch.Tensor}
    assert any(row["synthetic"] for row in rows)


def test_other_columns_are_null_or_filled():
    assert all((row["file"] is None) == row["synthetic"] for row in mixed())
    assert all((row["file"] == "made") == row["synthetic"] for row in mixed(fill={"file": "made"}))
    with pytest.raises(InvalidRequest, match=r'Items\(fill=\.\.\.\) names "fil".* Did you mean "file"'):
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
    found = [row for row in mix(rows.to_iterable_dataset(), planted(), ratio=0.4) if not row["synthetic"]]
    assert len(found) == 4
    assert all((np.asarray(row["image"]) == stored).all() for row in found)


def test_arrays_keep_their_kind():
    kinds = datasets.Features({"scan": datasets.Array2D((8, 9), "float32"), "kind": datasets.Value("string")})
    source = planted(values=("a", "b", "c"), form=ImageForm(8, 9, 1, "HW", "float32", 0.0, 1.0))
    scans = numpy_rng(0, "scans").random((12, 8, 9), dtype=np.float32)
    rows = datasets.Dataset.from_dict({"scan": scans, "kind": ["a", "b", "c"] * 4}, features=kinds)
    items = Items(label="kind", image="scan")
    after = mix(rows.to_iterable_dataset(), source, ratio=0.5, items=items)
    found = list(after.with_format("numpy"))
    assert {row["scan"].shape for row in found} == {(8, 9)}
    assert {row["kind"] for row in found if row["synthetic"]} <= {"a", "b", "c"}
    assert any(row["synthetic"] for row in found)
    real_ones = [row["scan"] for row in found if not row["synthetic"]]
    assert np.array_equal(np.stack(real_ones), scans)


def test_images_that_are_not_decoded_are_refused():
    raw = real().cast_column("image", datasets.Image(decode=False))
    for items in (None, Items(image="image", label="label")):
        with pytest.raises(UnsupportedKind, match=r'"image" are not decoded.*cast_column to Image\(\)'):
            mix(raw, planted(), ratio=0.4, items=items)


def test_a_curated_generator_has_no_rows_without_end() -> None:
    rows = {name: np.arange(40) for name in CLASSES}
    with pytest.raises(InvalidRequest, match="takes rows without end, and there are no more than were kept"):
        mix(real(), planted().keeping(Selection(0, rows)), ratio=0.4)


def test_a_stream_that_is_split_by_node_is_mixed_on_each_without_a_repetition():
    parts = []
    for rank in range(3):
        node = mix(split_dataset_by_node(real(shards=3), rank, 3), planted(), ratio=0.4)
        node.set_epoch(1)
        parts.append(keys(node))
    rows = list(chain(*parts))
    assert plain(rows) == REAL
    assert len(set(rows)) == len(rows)
    assert all(made(part) for part in parts)
    assert {row[4] for row in made(rows)} == {derive(0, "epoch", 1)}


def test_interleaving_by_hand_with_several_sources_gives_rows_of_each():
    streams = [mixed(seed, shards=2) for seed in (1, 2)]
    both = datasets.interleave_datasets(
        streams, probabilities=[0.5, 0.5], seed=0, stopping_strategy="all_exhausted_without_replacement"
    )
    assert sorted(keys(both)) == sorted(keys(streams[0]) + keys(streams[1]))


def test_no_cache_takes_one_stream_for_another(tmp_path):
    def gathered(seed, source):
        stream = mix(real(12, shards=1), source, ratio=0.4, seed=seed)
        return datasets.Dataset.from_generator(
            lambda stream: iter(stream), gen_kwargs={"stream": stream}, cache_dir=str(tmp_path)
        )

    darker = planted(form=replace(FORM, high=127.0))
    assert darker.fingerprint == planted().fingerprint, "the form alone tells them apart"
    sums = [
        tuple(int(np.asarray(row["image"]).sum()) for row in gathered(*case) if row["synthetic"])
        for case in [(0, planted()), (1, planted()), (0, darker)]
    ]
    assert all(sums)
    assert len(set(sums)) == 3


def test_a_stream_caches_no_row(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    assert len(keys(mixed())) > 90
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.stat().st_size == 0 for path in files)  # the library's own lock


def test_ratio_zero_gives_the_real_rows_marked_as_real():
    rows = keys(mix(real(), planted(), ratio=0))
    assert [row[:2] for row in rows] == [(np.asarray(row["image"]).tobytes(), row["label"]) for row in real()]
    assert not any(row[2] for row in rows)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda: mixed(ratio=1), InvalidRequest, "at least 0 and below 1"),
        (lambda: mixed(ratio=-0.1), InvalidRequest, "at least 0 and below 1"),
        (lambda: mixed(ratio={"bag": 0.5}), InvalidRequest, "of a stream only one share for all classes"),
        (
            lambda: mixed(ratio=synthaug.linear(0.5, 0.0, epochs=3)),
            InvalidRequest,
            "of a stream only one share for all classes, that stays",
        ),
        (
            lambda: mix(real(), planted().sample_rows("bag", 0, 2), ratio=0.1),
            UnsupportedKind,
            "samples were given .*: give the generator",
        ),
        (
            lambda: mix_stream([1], Supply.of(planted()), MixOptions(ratio=0.1)),
            UnsupportedKind,
            "a list was given",
        ),
        (
            lambda: mix(real().map(lambda row: row), planted(), ratio=0.1),
            InvalidData,
            r"pass features= to the map\(\)",
        ),
        (
            lambda: mix(mixed(), planted(), ratio=0.1),
            InvalidRequest,
            r'column "class".*before it was expanded or mixed',
        ),
        (
            lambda: mixed(source=planted(classes=("cat", "été", "bag"))),
            InvalidRequest,
            'the generator lacks "T-shirt/top", the data set lacks "cat"',
        ),
        (
            lambda: mixed(source=planted(form=ImageForm(8, 8, 1, "HW", "uint8", 0.0, 255.0))),
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
    source = planted(held_out=fingerprints(third[None], "HW"))
    with pytest.raises(
        Leakage, match=r"1 of the 64 rows looked at in the stream .*first is row 2\): mix training"
    ):
        mixed(source=source)


def test_a_held_out_row_far_down_the_stream_is_refused_when_it_comes():
    far = np.asarray(list(real())[80]["image"])
    stream = mixed(source=planted(held_out=fingerprints(far[None], "HW")))
    with pytest.raises(Leakage, match="1 of the 1 rows looked at in the stream are held out from the"):
        list(stream)
    assert len(list(mixed(source=planted(held_out=fingerprints(far[None], "HW")), ratio=0))) == 90


def test_a_held_out_row_of_an_array_column_is_known_by_the_range_of_the_generator():
    kinds = datasets.Features({"scan": datasets.Array2D((8, 9), "float32"), "label": datasets.Value("int64")})
    scans = numpy_rng(0, "scans").uniform(-1, 1, (100, 8, 9)).astype(np.float32)
    scans[90] = abs(scans[90])  # alone it would pass for a row of the range 0 to 1
    rows = {"scan": scans, "label": [0, 1] * 50}
    stream = datasets.Dataset.from_dict(rows, features=kinds).to_iterable_dataset()
    form = ImageForm(8, 9, 1, "HW", "float32", -1.0, 1.0)
    known = planted(form=form, held_out=fingerprints(scans[[90]], "HW", scans))
    with pytest.raises(Leakage, match="in the stream are held out"):
        list(mix(stream, known, ratio=0.3))
