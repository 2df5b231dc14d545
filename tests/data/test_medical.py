"""DICOM and NIfTI files, those that pydicom and nibabel ship: their values, their frames and slices, their groups."""

import gzip
import json
import pickle
import shutil
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from nibabel.testing import data_path
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

import synthaug
from synthaug import SynthaugWarning, open_data
from synthaug.cli import main
from synthaug.data import ScanOptions, is_scan, scans, stratified
from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind

CT, MR = get_testdata_file("CT_small.dcm", download=False), get_testdata_file("MR_small.dcm", download=False)
X_RAYS = sorted(str(path) for path in Path(CT).parent.glob("dicomdirtests/77654033/CR*/*"))
ANATOMY = str(Path(data_path) / "anatomical.nii")
OVER_TIME = str(Path(data_path) / "functional.nii")
PACKED = str(Path(data_path) / "example4d.nii.gz")
SPLIT = ScanOptions(frames="split")


def shipped(name):
    return get_testdata_file(name, download=False)


def pixels(path, options=SPLIT):
    images = scans([str(path)], options).images
    form = images.form()
    read = images.read(np.arange(len(images)), form)
    for row in range(len(images)):
        kind = images.kind(row)
        assert (kind.height, kind.width, kind.channels, kind.dtype) == (
            form.height,
            form.width,
            form.channels,
            str(read.dtype),
        )
    return read


def stored(path):
    """The numbers in a DICOM file as pydicom gives them, nothing done to them."""
    return pydicom.dcmread(path).pixel_array


def changed(path, out, numbers=None, **elements):
    """A DICOM file with other elements, and perhaps other numbers."""
    whole = pydicom.dcmread(path)
    for name, value in elements.items():
        if value is None and name in whole:
            delattr(whole, name)
        elif value is not None:
            setattr(whole, name, value)
    if numbers is not None:
        whole.PixelData = numbers.tobytes()
        whole.Rows, whole.Columns = numbers.shape[-2:]
        if numbers.ndim == 3:
            whole.NumberOfFrames = len(numbers)
    whole.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole.save_as(out)
    return str(out)


# ----------------------------------------------------------------------------------------- what is a scan


@pytest.mark.parametrize(
    "path",
    [
        *(CT, MR, X_RAYS[0], ANATOMY, PACKED, str(Path(data_path) / "nifti1.hdr")),
        str(Path(data_path) / "example_nifti2.nii.gz"),
    ],
)
def test_scans_are_known_by_their_names_or_their_content(path, tmp_path):
    assert is_scan(path)
    if not path.endswith(".gz"):
        shutil.copy(path, tmp_path / "scan")
        assert is_scan(tmp_path / "scan")


def test_other_files_are_no_scans(tmp_path):
    names = [
        Path(data_path) / "tiny.mnc",
        Path(data_path) / "README.rst",
        Path(CT).parent / "dicomdirtests" / "DICOMDIR",
    ]
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_bytes(b"DICM")
    assert not any(
        map(is_scan, [*names, tmp_path / "empty", tmp_path / "short", tmp_path, tmp_path / "gone"])
    )


# --------------------------------------------------------------------------------------------- DICOM values


def test_hounsfield_units_are_whole_numbers_of_sixteen_bits():
    found = pixels(CT)
    assert (found.dtype, found.shape) == (np.int16, (1, 128, 128))
    assert np.array_equal(found[0], stored(CT).astype(int) - 1024)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "MR_small.dcm",
            "MR_small_bigendian.dcm",
            "MR_small_expb.dcm",
            "MR_small_implicit.dcm",
            "MR_small_RLE.dcm",
        ),
        *("MR_small_jp2klossless.dcm", "MR_small_padded.dcm"),
    ],
)
def test_sixteen_bits_are_kept_in_every_encoding(name):
    found = pixels(shipped(name))
    assert found.dtype == np.int16
    assert found.dtype.isnative
    assert np.array_equal(found[0], stored(MR))


def test_a_slope_that_is_no_whole_number_makes_floats_and_low_is_white_is_turned():
    header = pydicom.dcmread(X_RAYS[0])
    assert (header.PhotometricInterpretation, header.BitsStored) == ("MONOCHROME1", 12)
    turned = 4095 - header.pixel_array.astype(np.float64)
    expected = turned * float(header.RescaleSlope) + float(header.RescaleIntercept)
    found = pixels(X_RAYS[0])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_what_is_turned_stays_in_its_range(tmp_path, signed):
    dtype, ends = ("int16", (-2048, 2047)) if signed else ("uint16", (0, 4095))
    numbers = np.linspace(*ends, 64 * 64).astype(dtype).reshape(64, 64)
    about = {
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": int(signed),
        "PhotometricInterpretation": "MONOCHROME1",
    }
    path = changed(
        MR, tmp_path / "a.dcm", numbers, SmallestImagePixelValue=None, LargestImagePixelValue=None, **about
    )
    found = pixels(path)
    assert found.dtype == dtype
    assert np.array_equal(found[0].astype(int), sum(ends) - numbers.astype(int))


@pytest.mark.parametrize(
    ("bits", "slope", "intercept", "dtype"),
    [
        (12, 1, -1024, "int16"),
        (16, 1, 0, "uint16"),
        (12, 2, 0, "uint16"),
        (16, 2, 0, "int16"),
        (12, 0.5, 0, "float32"),
    ],
)
def test_the_dtype_follows_from_what_the_header_says(tmp_path, bits, slope, intercept, dtype):
    numbers = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    about = {"BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": 0}
    path = changed(
        MR,
        tmp_path / "a.dcm",
        numbers,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        SmallestImagePixelValue=None,
        LargestImagePixelValue=None,
        **about,
    )
    found = pixels(path)
    assert found.dtype == dtype
    assert np.array_equal(found[0], numbers * float(slope) + intercept)


def test_values_that_sixteen_bits_do_not_hold_are_refused_and_not_cut(tmp_path):
    numbers = np.full((64, 64), 40000, np.uint16)
    about = {"PixelRepresentation": 0, "RescaleSlope": 1, "RescaleIntercept": -1024}
    path = changed(
        MR, tmp_path / "a.dcm", numbers, SmallestImagePixelValue=None, LargestImagePixelValue=None, **about
    )
    with pytest.raises(InvalidData, match=r"a\.dcm cannot be read .*reach from 38976 to 38976, beyond int16"):
        pixels(path)


def test_a_table_of_values_is_applied(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [256, 0, 16], "US"
    table.LUTData = (np.arange(256, dtype=np.uint16) * 200).tobytes()
    table["LUTData"].VR = "OW"
    numbers = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) % 256
    about = {"BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0, "ModalityLUTSequence": [table]}
    path = changed(
        MR, tmp_path / "a.dcm", numbers, SmallestImagePixelValue=None, LargestImagePixelValue=None, **about
    )
    found = pixels(path)
    assert found.dtype == np.uint16
    assert np.array_equal(found[0], numbers * 200)


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("SC_rgb_rle.dcm", (1, 100, 100, 3), "uint8"),
        ("SC_rgb_rle_16bit.dcm", (1, 100, 100, 3), "uint16"),
        ("SC_rgb_rle_2frame.dcm", (2, 100, 100, 3), "uint8"),
        ("SC_rgb_dcmtk_+eb+cy+np.dcm", (1, 100, 100, 3), "uint8"),
        ("SC_ybr_full_422_uncompressed.dcm", (1, 100, 100, 3), "uint8"),
        ("examples_rgb_color.dcm", (1, 240, 320, 3), "uint8"),
        ("examples_palette.dcm", (1, 350, 800, 3), "uint16"),
        ("examples_overlay.dcm", (1, 300, 484), "uint16"),
    ],
)
def test_colours_come_as_red_green_and_blue(name, shape, dtype):
    found = pixels(shipped(name))
    assert (found.shape, found.dtype) == (shape, dtype)


def test_the_same_picture_in_other_colour_spaces_has_the_same_colours():
    plain = pixels(shipped("SC_rgb_rle.dcm"))[0].astype(int)
    for name in ("SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_ybr_full_422_uncompressed.dcm"):
        assert np.abs(pixels(shipped(name))[0].astype(int) - plain).mean() < 3, name


# -------------------------------------------------------------------------------------------------- windows


def test_nothing_is_windowed_unless_that_is_asked_for():
    centre, width = 40, 400
    values = stored(CT).astype(int) - 1024
    found = pixels(CT, ScanOptions(window=(centre, width)))
    assert found.dtype == np.uint8
    shares = np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    assert np.array_equal(found[0], np.rint(shares * 255))
    assert (found[0][values <= centre - 0.5 - (width - 1) / 2] == 0).all()
    assert (found[0][values > centre - 0.5 + (width - 1) / 2] == 255).all()


def test_the_window_of_a_file_is_its_first_one_and_low_is_white_is_turned_after_it():
    header = pydicom.dcmread(X_RAYS[0])
    values = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
    shares = np.clip((values - (header.WindowCenter - 0.5)) / (header.WindowWidth - 1) + 0.5, 0, 1)
    assert np.array_equal(pixels(X_RAYS[0], ScanOptions(window="file"))[0], 255 - np.rint(shares * 255))
    two = pydicom.dcmread(shipped("examples_overlay.dcm"))
    first = (float(two.WindowCenter[0]), float(two.WindowWidth[0]))
    path = shipped("examples_overlay.dcm")
    assert np.array_equal(pixels(path, ScanOptions(window="file")), pixels(path, ScanOptions(window=first)))


def test_a_file_without_a_window_is_named():
    for path in (CT, ANATOMY):
        with pytest.raises(InvalidData, match="has no window of its own: say one"):
            pixels(path, ScanOptions(window="file"))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, ScanOptions()),
        ("frames=split", SPLIT),
        ("frames=split,axis=1", ScanOptions("split", 1)),
        ("window=40:400, axis=0", ScanOptions(None, 0, (40.0, 400.0))),
        ("window=-600:1500", ScanOptions(window=(-600.0, 1500.0))),
        ("window=file", ScanOptions(window="file")),
        ({"frames": "split", "window": (40, 400)}, ScanOptions("split", 2, (40.0, 400.0))),
    ],
)
def test_options_are_said_as_text_or_as_a_mapping(said, expected):
    assert ScanOptions.of(said) == expected


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("frame=split", "scans= says 'frame'. Did you mean \"frames\""),
        ("frames=all", "taken are frames=split, axis=0, 1 or 2, and window=CENTRE:WIDTH"),
        ("axis=3", "taken are frames=split"),
        ("axis=z", "taken are frames=split"),
        ("window=40", "taken are frames=split"),
        ("window=40:0", "with a width above 1"),
        ({"window": (1, 2, 3)}, "taken are frames=split"),
        ("", "scans= says ''"),
    ],
)
def test_other_options_are_refused(said, message):
    with pytest.raises(InvalidRequest, match=message):
        ScanOptions.of(said)


# --------------------------------------------------------------------------------------------------- frames


def test_several_frames_are_refused_or_split_as_is_asked():
    path = shipped("SC_rgb_rle_2frame.dcm")
    with pytest.raises(
        UnsupportedKind, match=r'2frame\.dcm holds 2 frames; .*frames="split".*--scans frames=split'
    ):
        scans([path]).images.form()
    found = scans([CT, path], SPLIT)
    assert found.files.tolist() == [0, 1, 1]
    assert found.groups.tolist() == [CT, path, path]
    assert [found.images.name(row) for row in range(3)] == [CT, f"{path}[0]", f"{path}[1]"]
    assert np.array_equal(pixels(path), stored(path))


def test_each_frame_has_its_own_slope(tmp_path):
    numbers = np.arange(3 * 64 * 64, dtype=np.uint16).reshape(3, 64, 64) % 4096
    frames = []
    for slope in (1, 2, 3):
        values, frame = Dataset(), Dataset()
        values.RescaleSlope, values.RescaleIntercept = slope, 0
        frame.PixelValueTransformationSequence = [values]
        frames.append(frame)
    about = {
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PerFrameFunctionalGroupsSequence": frames,
    }
    path = changed(
        MR, tmp_path / "a.dcm", numbers, SmallestImagePixelValue=None, LargestImagePixelValue=None, **about
    )
    images = scans([path], SPLIT).images
    for row, slope in enumerate((1, 2, 3)):
        assert np.array_equal(images.read(np.array([row]), images.form())[0], numbers[row] * slope)


# ---------------------------------------------------------------------------------------------------- groups


def test_patients_are_offered_as_groups():
    files = [*X_RAYS, CT, shipped("SC_rgb_rle_2frame.dcm")]
    assert scans(files, SPLIT, "PatientID").groups.tolist() == ["77654033"] * 3 + ["1CT1"] + ["ID1"] * 2
    assert len(set(scans(files, SPLIT, "StudyInstanceUID").groups)) >= 3
    assert scans(files).groups is None


def test_groups_that_are_no_field_or_not_there_are_refused(tmp_path):
    with pytest.raises(
        InvalidRequest, match=r"group='PatientId' is no DICOM keyword.*Did you mean \"PatientID\""
    ):
        scans([CT], group="PatientId")
    path = changed(MR, tmp_path / "a.dcm", PatientID="")
    with pytest.raises(InvalidData, match=r"a\.dcm has no PatientID; remove it, or group by another field"):
        scans([CT, path], group="PatientID")
    with pytest.raises(InvalidRequest, match=r"anatomical\.nii is NIfTI, which has no such fields"):
        scans([ANATOMY], group="PatientID")


# ----------------------------------------------------------------------------------------------------- NIfTI


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_slices_of_a_volume_lie_along_the_axis_that_is_asked_for(axis):
    volume = np.asanyarray(nibabel.load(ANATOMY).dataobj)
    found = scans([ANATOMY], ScanOptions(axis=axis))
    assert len(found.images) == volume.shape[axis]
    read = pixels(ANATOMY, ScanOptions(axis=axis))
    assert read.dtype == np.int16
    assert np.array_equal(read, np.moveaxis(volume, axis, 0))
    assert set(found.groups) == {ANATOMY}
    assert f"along axis {axis}" in found.notes[0]
    assert found.images.name(3) == f"{ANATOMY}[{', '.join('3' if a == axis else ':' for a in range(3))}]"


def test_the_third_axis_is_taken_where_none_is_said():
    assert pixels(ANATOMY, ScanOptions()).shape == (25, 33, 41)


@pytest.mark.parametrize("path", [OVER_TIME, PACKED])
def test_volumes_over_time_are_refused_or_split(path):
    whole = np.asanyarray(nibabel.load(path).dataobj)
    with pytest.raises(UnsupportedKind, match=rf'holds {whole.shape[3]} volumes; .*frames="split"'):
        scans([path])
    found = pixels(path)
    assert len(found) == whole.shape[2] * whole.shape[3]
    expected = whole.transpose(3, 2, 0, 1).reshape(-1, *whole.shape[:2])
    assert np.array_equal(found, expected.astype(found.dtype))
    assert found.dtype == ("int16" if path == PACKED else "float32")  # one has a slope of 0.075


@pytest.mark.parametrize(
    ("dtype", "slope", "inter", "expected"),
    [
        ("uint8", None, None, "uint8"),
        ("int8", None, None, "int16"),
        ("int16", None, None, "int16"),
        ("uint16", None, None, "uint16"),
        ("float32", None, None, "float32"),
        ("float64", None, None, "float64"),
        ("int16", 1, -1024, "int16"),
        ("uint8", 3, 0, "uint16"),
        ("int16", 0.5, 3, "float32"),
        (">i2", None, None, "int16"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_values_of_volumes_are_kept(tmp_path, dtype, slope, inter, expected, packed):
    values = np.random.Generator(np.random.Philox(0)).integers(0, 100, (9, 10, 11)).astype(dtype)
    image = nibabel.Nifti1Image(values, np.eye(4), dtype=np.dtype(dtype))
    image.header.set_slope_inter(slope or 1, inter or 0)
    path = tmp_path / ("a.nii.gz" if packed else "a.nii")
    raw = image.header.copy()
    raw["vox_offset"] = 352
    content = (
        raw.binaryblock + b"\0" * 4 + values.astype(values.dtype.newbyteorder(raw.endianness)).tobytes("F")
    )
    path.write_bytes(gzip.compress(content) if packed else content)
    found = pixels(path)
    assert found.dtype == expected
    np.testing.assert_allclose(
        found, np.moveaxis(values.astype(float) * (slope or 1) + (inter or 0), 2, 0), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("dtype", "said"), [("int32", "int32"), ("complex64", "complex64"), ("uint32", "uint32")]
)
def test_values_that_are_neither_bytes_nor_sixteen_bits_nor_floats_are_refused(tmp_path, dtype, said):
    nibabel.Nifti1Image(np.ones((9, 9, 9), dtype), np.eye(4), dtype=dtype).to_filename(tmp_path / "a.nii")
    with pytest.raises(
        InvalidData, match=rf"a\.nii holds values of {said}; taken are 8 and 16 bits and floats"
    ):
        scans([str(tmp_path / "a.nii")]).images.form()


def test_a_single_slice_is_one_row_without_a_group(tmp_path):
    values = np.arange(90, dtype=np.uint8).reshape(9, 10)
    for number, shape in enumerate(((9, 10), (9, 10, 1), (9, 10, 1, 1))):
        path = tmp_path / f"{number}.nii"
        nibabel.Nifti1Image(values.reshape(shape), np.eye(4)).to_filename(path)
        found = scans([str(path)])
        assert (len(found.images), found.groups, found.images.name(0)) == (1, None, str(path))
        assert np.array_equal(pixels(path, ScanOptions())[0], values)


def test_a_volume_that_changes_is_read_anew(tmp_path):
    path = tmp_path / "a.nii.gz"
    for value in (1, 2):
        nibabel.Nifti1Image(np.full((9, 9, 2), value, np.uint8), np.eye(4)).to_filename(path)
        assert (pixels(path, ScanOptions()) == value).all()


# ---------------------------------------------------------------------------------------------- what is refused

REFUSED = {
    "liver_1frame.dcm": "holds a mask of one bit; taken are pictures of 8 and 16 bits",
    "rtdose_1frame.dcm": "holds 32 bits a pixel",
    "reportsi.dcm": "is a DICOM file without a picture; leave it out",
    "rtplan.dcm": "is a DICOM file without a picture",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused_by_name(name):
    with pytest.raises(InvalidData, match=f"{name} {REFUSED[name]}"):
        pixels(shipped(name))


@pytest.mark.parametrize("name", ["MR_truncated.dcm", "MR_small_jpeg_ls_lossless.dcm", "no_meta.dcm"])
def test_what_cannot_be_decoded_is_refused_by_name_in_one_line(name):
    with pytest.raises(
        InvalidData, match=rf"{name} (cannot be read as a medical image|is compressed as JPEG-LS)"
    ) as error:
        pixels(shipped(name))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".dcm", ".nii", ".nii.gz"])
@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 5000])
def test_files_that_only_are_called_like_scans_are_refused_by_name(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert is_scan(path)
    with pytest.raises(
        InvalidData, match=rf"a{suffix} cannot be read as a medical image: .*Remove or replace it"
    ):
        pixels(path)


@pytest.mark.parametrize("path", [ANATOMY, PACKED])
def test_a_volume_that_ends_early_is_refused_by_name(tmp_path, path):
    short = tmp_path / Path(path).name
    short.write_bytes(Path(path).read_bytes()[:-5000])
    with pytest.raises(InvalidData, match=f"{short.name} cannot be read as a medical image"):
        pixels(short)


@pytest.mark.parametrize(("package", "path"), [("pydicom", CT), ("nibabel", ANATOMY)])
def test_a_package_that_is_not_here_is_named_in_one_line(monkeypatch, package, path):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        UnsupportedKind, match=rf'and {package}, .*, is not here: pip install "synthaug\[medical\]"$'
    ):
        scans([path]).images.form()


def test_scans_can_be_sent_to_another_process():
    found = scans([CT, shipped("SC_rgb_rle_2frame.dcm")], SPLIT)
    again = pickle.loads(pickle.dumps(found.images))
    assert np.array_equal(
        again.read(np.array([0]), again.form()), found.images.read(np.array([0]), found.images.form())
    )
    assert again.name(2) == found.images.name(2)


def test_what_the_package_warns_of_is_kept_from_the_user(recwarn):
    pixels(shipped("MR_small_padded.dcm"))
    assert not recwarn.list
    assert issubclass(SynthaugWarning, UserWarning)


# ------------------------------------------------------------------------------------------------- whole folders


@pytest.fixture
def patients(tmp_path):
    """DICOM files of four patients in two classes: 16 bit, some without a suffix, one with the suffix of a picture."""
    numbers = np.random.Generator(np.random.Philox(1)).integers(-1000, 3000, (12, 16, 16)).astype(np.int16)
    for row, picture in enumerate(numbers):
        place = tmp_path / "set" / ("ill" if row < 6 else "well")
        place.mkdir(parents=True, exist_ok=True)
        name = f"{row:02}{('.dcm', '', '.IMA')[row % 3]}"
        changed(CT, place / name, picture, PatientID=f"p{row // 3}", RescaleIntercept=0)
    return tmp_path / "set", numbers


def test_a_folder_of_scans_is_read_with_all_its_bits(patients):
    folder, numbers = patients
    data = open_data(folder)
    assert data.counts == {"ill": 6, "well": 6}
    assert data.form.dtype == "int16"
    assert np.array_equal(data.read(), numbers)
    assert data.name(1).endswith("ill/01")
    assert data.groups is None
    data.check()
    grouped = open_data(folder, group="PatientID")
    assert grouped.groups.tolist() == [f"p{row // 3}" for row in range(12)]


def test_sixteen_bits_go_from_the_file_to_the_samples(patients):
    folder, numbers = patients
    generator = synthaug.fit(open_data(folder), steps=2, progress=False)
    samples = generator.sample(3).samples
    assert samples.dtype == np.int16
    assert numbers.min() <= samples.min() <= samples.max() <= numbers.max()
    x, y = synthaug.expand(open_data(folder), generator, to="2x")
    assert (x.dtype, len(x), len(y)) == (np.int16, 24, 24)
    assert np.array_equal(x[:12], numbers)


def test_a_window_is_said_on_the_command_line(patients, tmp_path, capsys):
    folder, numbers = patients
    with pytest.raises(SystemExit) as ended:
        main(["inspect", str(folder), "--scans", "window=0:1000", "--group", "PatientID", "--json"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 12
    data = open_data(folder, scans="window=0:1000")
    assert data.form.dtype == "uint8"
    shares = np.clip((numbers + 0.5) / 999 + 0.5, 0, 1)
    assert np.array_equal(data.read(), np.rint(shares * 255))


def test_slices_of_a_volume_stay_on_one_side_of_a_split(tmp_path):
    rng = np.random.Generator(np.random.Philox(2))
    for name in ("ill", "well"):
        for number in range(4):
            (tmp_path / name).mkdir(exist_ok=True)
            volume = nibabel.Nifti1Image(rng.integers(0, 4000, (16, 16, 9)).astype(np.int16), np.eye(4))
            volume.to_filename(tmp_path / name / f"{number}.nii.gz")
    data = open_data(tmp_path)
    assert data.counts == {"ill": 36, "well": 36}
    assert len(set(data.groups)) == 8
    assert "along axis 2" in data.reading.notes[0]
    assert open_data(tmp_path, scans={"axis": 0}).counts == {"ill": 64, "well": 64}
    parts = stratified(data, {"train": 0.5, "test": 0.5}, seed=0)
    assert not set(data.groups[parts["train"]]) & set(data.groups[parts["test"]])


def test_scans_in_split_folders_have_the_splits_of_their_files(tmp_path):
    for split, n in (("train", 3), ("test", 2)):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(n):
                shutil.copy(shipped("SC_rgb_rle_2frame.dcm"), tmp_path / split / name / f"{number}.dcm")
    data = open_data(tmp_path, scans="frames=split")
    assert {split: int((data.splits == split).sum()) for split in ("train", "test")} == {
        "train": 12,
        "test": 8,
    }
    assert len(set(data.groups)) == 10


def test_a_broken_scan_in_a_folder_is_named_before_training(patients):
    folder, _ = patients
    (folder / "ill" / "99.dcm").write_bytes(b"text")
    data = open_data(folder)
    with pytest.raises(InvalidData, match=r"99\.dcm cannot be read as a medical image"):
        data.check()


def test_scans_beside_pictures_are_refused(patients):
    folder, numbers = patients
    Image.fromarray(numbers[0].astype(np.uint8)).save(folder / "ill" / "a.png")
    with pytest.raises(InvalidData, match="holds medical files beside other pictures"):
        open_data(folder)


@pytest.mark.parametrize("where", ["beside", "above", "alone"])
def test_a_table_may_list_scans(patients, tmp_path, where):
    folder, numbers = patients
    flat = tmp_path / "flat"
    (flat / "train").mkdir(parents=True)
    place = {"beside": flat, "above": flat / "train", "alone": flat}[where]
    files = sorted(path for path in folder.glob("*/*"))
    for file in files:
        shutil.copy(file, place / file.name)
    below = "" if where == "beside" else f"{place.relative_to(flat)}/".removeprefix("./")
    lines = [f"{below}{file.name},{'ab'[row % 2]},s{row // 3}" for row, file in enumerate(files)]
    table = flat / ("scans.csv" if where == "alone" else "metadata.csv")
    table.write_text("\n".join(["file_name,finding,patient", *lines]) + "\n")
    data = open_data(table if where == "alone" else flat, label="finding", group="patient")
    assert data.form.dtype == "int16"
    assert np.array_equal(data.read(), numbers)
    assert [data.classes[k] for k in data.labels] == ["a", "b"] * 6
    assert data.groups.tolist() == [f"s{row // 3}" for row in range(12)]


def test_what_a_table_says_of_a_file_holds_for_all_its_frames(tmp_path):
    for number in range(4):
        shutil.copy(shipped("SC_rgb_rle_2frame.dcm"), tmp_path / f"{number}.dcm")
    lines = [f"{number}.dcm,{'ab'[number % 2]},{number}" for number in range(4)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,age", *lines]) + "\n")
    data = open_data(tmp_path, scans="frames=split")
    assert [data.classes[k] for k in data.labels] == ["a", "a", "b", "b"] * 2
    assert data.beside["age"].to_pylist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(set(data.groups)) == 4


def test_files_that_hold_no_picture_are_listed_and_left_out_as_broken_ones_are(patients):
    folder, numbers = patients
    shutil.copy(shipped("reportsi.dcm"), folder / "ill" / "99.dcm")
    (folder / "well" / "00.dcm").write_bytes(b"text")
    assert len(open_data(folder).broken()) == 2
    with pytest.warns(SynthaugWarning, match="2 of the pictures of .* cannot be decoded and are left out"):
        data = open_data(folder, skip_broken=True)
    assert np.array_equal(data.read(), numbers)
