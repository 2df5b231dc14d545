"""A row is decoded, checked and hashed once where all rows fit into memory, and read right where they do not."""

import pickle

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from synthaug import open_data
from synthaug.errors import InvalidData, InvalidRequest

N = 18
LABELS = np.arange(N) % 2  # in the order of the files: those of "a" come first
PICTURES = np.random.Generator(np.random.Philox(0)).integers(0, 256, (N, 9, 11, 3), dtype=np.uint8)
ROW_BYTES = 9 * 11 * 3


@pytest.fixture
def folder(tmp_path):
    """PNG files ``00.png`` to ``17.png`` in the class folders a and b."""
    path = tmp_path / "set"
    for row, picture in enumerate(PICTURES):
        place = path / ("a" if row < N // 2 else "b")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{row:02}.png")
    return path


@pytest.fixture
def table(folder):
    """The same files as a parquet table in the Hugging Face image layout."""
    path = folder.with_suffix(".parquet")
    files = sorted(folder.glob("*/*.png"))
    encoded = [{"bytes": file.read_bytes(), "path": None} for file in files]
    parquet.write_table(
        pyarrow.table({"image": encoded, "label": [file.parent.name for file in files]}), path
    )
    return path


def reference():
    return open_data((PICTURES, np.repeat(["a", "b"], N // 2)))


def everything(data):
    """Every way to come to the pixels of all rows, in an order of its own."""
    view = data.take(np.arange(N)[::-1])
    steps = [
        data.check,
        data.read,
        lambda: data.read([3, 3, 17]),
        data.fingerprints,
        data.fingerprint,
        view.check,
        view.read,
        view.fingerprints,
        lambda: view.take([4, 0, 4]).read(),
        lambda: data.take([5]).fingerprints(),
        lambda: data.detached().read(),
        data.check_images,
    ]
    return [steps, steps[::-1], [*steps[5:], *steps[:5]]]


def test_the_counter_counts_what_pillow_decodes(folder, decodes):
    file = str(folder / "a" / "00.png")
    with Image.open(file) as image:
        assert image.size == (11, 9)
    assert not decodes
    for _ in range(2):
        with Image.open(file) as image:
            np.asarray(image.convert("L")), np.asarray(image)
    assert decodes == {file: 2}


@pytest.mark.parametrize("order", range(3))
@pytest.mark.parametrize("size", [None, (14, 8)])
@pytest.mark.parametrize("kind", ["folder", "table"])
def test_each_picture_of_a_small_set_is_decoded_once(kind, size, order, request, decodes):
    data = open_data(request.getfixturevalue(kind), image_size=size)
    assert not decodes
    for step in everything(data)[order]:
        step()
        assert max(decodes.values()) == 1
    assert len(decodes) == N
    if size is None:
        assert np.array_equal(data.read(), PICTURES)
    assert np.array_equal(data.read([2, 2, 0]), data.read()[[2, 2, 0]])
    assert max(decodes.values()) == 1


def test_only_the_rows_that_are_asked_for_are_decoded(folder, decodes):
    data = open_data(folder)
    data.take([2, 16]).read()
    data.take([16, 4]).fingerprints()
    data.read([2])
    assert decodes == {str(folder / file): 1 for file in ("a/02.png", "a/04.png", "b/16.png")}


def test_to_write_into_rows_that_were_read_changes_no_other_reading(folder):
    for memory in (2**29, 0):
        data = open_data(folder, memory=memory)
        for _ in range(2):
            rows = data.read()
            assert np.array_equal(rows, PICTURES)
            rows[:] = 0
        data.take([3]).read()[:] = 0
        assert np.array_equal(data.fingerprints(), reference().fingerprints())


def test_a_set_is_kept_up_to_the_bytes_that_it_may_take(folder, decodes):
    for memory, most in ((N * ROW_BYTES, 1), (N * ROW_BYTES - 1, 3)):
        decodes.clear()
        data = open_data(folder, memory=memory)
        for _ in range(3):
            assert np.array_equal(data.read(), PICTURES)
        assert set(decodes.values()) == {most}


ROWS = [None, [], [0], [17, 3, 3, -1], slice(4, 12, 3), np.arange(N)[::-1], LABELS == 1]


@pytest.mark.parametrize("memory", [0, 2**29])
@pytest.mark.parametrize("kind", ["folder", "table"])
@pytest.mark.parametrize("rows", ROWS, ids=str)
def test_rows_are_read_right_with_and_without_memory(rows, kind, memory, request):
    data = open_data(request.getfixturevalue(kind), memory=memory)
    for _ in range(2):
        found = data.read(rows)
        assert np.array_equal(found, PICTURES if rows is None else PICTURES[rows])
        assert (found.shape[1:], found.dtype) == ((9, 11, 3), np.uint8)
    if rows is not None:
        view, expected = data.take(rows), reference().take(rows)
        assert np.array_equal(view.read(), PICTURES[rows])
        assert np.array_equal(view.labels, expected.labels)
        assert np.array_equal(view.fingerprints(), expected.fingerprints())
        assert np.array_equal(data.read(), PICTURES)


@pytest.mark.parametrize("memory", [0, 2**29])
def test_a_whole_set_has_one_fingerprint_with_and_without_memory(folder, memory):
    data = open_data(folder, memory=memory)
    assert data.fingerprint() == reference().fingerprint()
    data.check()
    assert data.fingerprint() == reference().fingerprint()
    assert pickle.loads(pickle.dumps(data)).fingerprint() == reference().fingerprint()


def test_without_memory_what_was_found_out_of_a_row_is_kept(folder, decodes):
    data = open_data(folder, memory=0)
    data.check()
    assert set(decodes.values()) == {1}
    data.check()
    data.take([3, 1]).check_images()
    data.fingerprints()
    data.take(np.arange(N)[::-1]).fingerprint()
    assert (len(decodes), set(decodes.values())) == (N, {1})
    data.read()
    assert set(decodes.values()) == {2}


@pytest.mark.parametrize("memory", [0, 2**29])
def test_a_set_of_more_rows_than_are_read_at_a_time_is_read_right(tmp_path, memory):
    n = 1100
    pictures = np.random.Generator(np.random.Philox(1)).integers(0, 256, (n, 8, 8), dtype=np.uint8)
    for row, picture in enumerate(pictures):
        place = tmp_path / ("a" if row < 500 else "b")
        place.mkdir(exist_ok=True)
        Image.fromarray(picture).save(place / f"{row:04}.png", compress_level=0)
    data, expected = open_data(tmp_path, memory=memory), open_data((pictures, np.arange(n) % 2))
    data.check()
    assert np.array_equal(data.fingerprints(), expected.fingerprints())
    assert np.array_equal(data.read(), pictures)
    assert np.array_equal(data.take(np.arange(n)[::-1]).read(), pictures[::-1])


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("memory", [0, 2**29])
def test_floats_in_files_have_one_fingerprint_in_every_view(tmp_path, memory, checked):
    # Within [0, 1] but for one picture, which decides what all are hashed as.
    pictures = PICTURES[..., 0].astype(np.float32) / 255
    pictures[11] *= 200
    for row, picture in enumerate(pictures):
        place = tmp_path / ("a" if row < N // 2 else "b")
        place.mkdir(exist_ok=True)
        Image.fromarray(picture).save(place / f"{row:02}.tif")
    expected = open_data((pictures, LABELS)).fingerprints()
    data = open_data(tmp_path, memory=memory)
    assert data.form.dtype == "float32"
    if checked:
        data.check()
    assert np.array_equal(data.take([3, 0]).fingerprints(), expected[[3, 0]])
    assert np.array_equal(data.fingerprints(), expected)
    assert np.array_equal(data.read(), pictures)
    assert np.array_equal(data.take([3, 0]).detached().fingerprints(), expected[[3, 0]])


@pytest.mark.parametrize("memory", [0, 2**29])
def test_a_broken_picture_is_named_as_often_as_it_is_met_and_spoils_no_other(folder, memory):
    broken = folder / "b" / "13.png"
    broken.write_bytes(broken.read_bytes()[:-300])
    data = open_data(folder, memory=memory)
    for step in (
        data.check,
        data.check,
        data.read,
        data.fingerprints,
        data.detached,
        data.take([2, 13]).read,
    ):
        with pytest.raises(InvalidData, match=r"13\.png cannot be read as an image"):
            step()
    sound = np.delete(np.arange(N), 13)
    view = data.take(sound)
    view.check()
    assert np.array_equal(view.read(), PICTURES[sound])
    assert np.array_equal(view.fingerprints(), reference().fingerprints()[sound])


@pytest.mark.parametrize("memory", [0, 2**29])
def test_detached_rows_need_their_source_no_more(folder, memory):
    data = open_data(folder, memory=memory)
    rows = np.array([17, 3, 4])
    view = data.take(rows)
    names, whole = [view.name(row) for row in range(3)], view.fingerprint()
    detached = view.detached()
    assert detached.source is None
    sent = pickle.dumps(detached)
    assert len(sent) < 3 * ROW_BYTES + 5000
    for file in folder.glob("*/*.png"):
        file.unlink()
    for found in (detached, pickle.loads(sent)):
        assert np.array_equal(found.read(), PICTURES[rows])
        assert np.array_equal(found.take([2]).read(), PICTURES[[4]])
        assert found.fingerprint() == whole
        assert [found.name(row) for row in range(3)] == names
        assert (found.classes, found.labels.tolist(), found.form) == (data.classes, [1, 0, 0], data.form)
        found.check_images()


def test_a_process_is_sent_no_rows_that_it_can_read_itself(folder):
    data = open_data(folder)
    before = data.read()
    sent = pickle.dumps(data)
    assert before[0].tobytes() not in sent
    np.testing.assert_array_equal(pickle.loads(sent).read(), before)


def test_memory_is_a_number_of_bytes_and_said_where_a_set_is_opened(folder):
    for memory in (-1, "1GB", None):
        with pytest.raises(InvalidRequest, match="it is a number of bytes"):
            open_data(folder, memory=memory)
    with pytest.raises(InvalidRequest, match=r"belongs? where (it|the data set) is opened first"):
        open_data(open_data(folder), memory=0)
