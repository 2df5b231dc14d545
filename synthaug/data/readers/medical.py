"""Medical files: which files are some, their pictures as rows, and the fields of theirs that group rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthaug.data.readers.base import IMAGE_SUFFIXES, Columns, Reading, Source, group_array
from synthaug.errors import InvalidData, InvalidRequest
from synthaug.modalities.image.dicom import dicom_header
from synthaug.modalities.image.images import Images
from synthaug.modalities.image.medical import AS_STORED, Plane, ScanOptions
from synthaug.modalities.image.nifti import is_nifti
from synthaug.modalities.image.scans import Scans, planes_of
from synthaug.wording import did_you_mean

_SUFFIXES = (".dcm", ".dicom", ".ima", ".nii", ".nii.gz")
_USUAL = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "AccessionNumber", "InstitutionName")


@dataclass(frozen=True)
class ScanRows:
    """Pictures of medical files as rows.

    Attributes:
        images: N pictures, read on demand.
        files: ``(N,)`` int64, the file of each by its number among those that were given.
        groups: ``(N,)`` what the rows of a field that was asked for have in it; else the file of each where one holds
            several; else None.
        notes: how they are read, a sentence each.
    """

    images: Images
    files: np.ndarray
    groups: np.ndarray | None
    notes: tuple[str, ...]


def is_scan(path: str | os.PathLike[str]) -> bool:
    """Whether a file is of DICOM or NIfTI, by its name or by how it begins."""
    path = os.fspath(path)
    if os.path.basename(path).startswith("DICOMDIR"):  # a list of files
        return False
    if path.lower().endswith(_SUFFIXES):
        return True
    try:
        with open(path, "rb") as file:
            head = file.read(132)
        return head[128:] == b"DICM" or is_nifti(path)
    except OSError:
        return False


def scans(paths: Sequence[str], options: ScanOptions = AS_STORED, group: str | None = None) -> ScanRows:
    """The pictures in medical files, in the order of the files.

    Args:
        paths: files of which each `is_scan`.
        options: how they are read.
        group: a DICOM keyword, such as ``PatientID``, whose values are groups.

    Raises:
        InvalidData: a file that cannot be read, or lacks the field.
        InvalidRequest: what is no DICOM keyword, or is asked of NIfTI.
        UnsupportedKind: a package that is not here; several volumes in a file where frames are not to be split.
    """
    fields = None if group is None else [_field(path, group) for path in paths]
    planes: list[Plane] = []
    files: list[int] = []
    for number, path in enumerate(paths):
        found = planes_of(path, options)
        planes += found
        files += [number] * len(found)
    groups = None
    if fields is not None:
        groups = np.array([fields[number] for number in files])
    elif len(planes) > len(paths):
        groups = np.array([paths[number] for number in files])
    return ScanRows(
        Scans(planes=planes, options=options), np.array(files, np.int64), groups, _notes(paths, options)
    )


def read_scans(
    files: Sequence[str],
    targets: Sequence[Any],
    columns: Columns,
    origin: str,
    splits: Sequence[str] | None = None,
) -> Source:
    """The pictures in medical files as rows with the labels and splits of their files.

    Args:
        files: of which each `is_scan`.
        targets: the label of each file.
        columns: how they are read; a group is a DICOM keyword, or one group name a row.
        origin: what to call them in a message.
        splits: the split of each file.
    """
    by_field = columns.group if isinstance(columns.group, str) else None
    found = scans(files, columns.scans, by_field)
    groups = found.groups
    if columns.group is not None and by_field is None:
        groups = group_array(columns.group, len(found.images))
    return Source(
        found.images,
        [targets[number] for number in found.files],
        origin,
        splits=None if splits is None else np.array(splits)[found.files],
        groups=groups,
        reading=Reading("medical files", notes=found.notes),
    )


def with_scans(source: Source, files: Sequence[str], columns: Columns) -> Source:
    """A source with the pictures in medical files as its rows, where the file of each of its rows is one.

    Raises:
        InvalidData: some are, and others are not.
    """
    chosen = [not file.lower().endswith(IMAGE_SUFFIXES) and is_scan(file) for file in files]
    if not any(chosen):
        return source
    if not all(chosen):
        raise InvalidData(
            f"{source.origin} lists medical files beside other pictures, {files[chosen.index(True)]} and "
            f"{files[chosen.index(False)]} for two; take the rows of one kind out"
        )
    found = scans(files, columns.scans)
    of = found.files
    return replace(
        source,
        images=found.images,
        targets=[source.targets[number] for number in of],
        splits=None if source.splits is None else source.splits[of],
        groups=found.groups if source.groups is None else source.groups[of],
        beside=None if source.beside is None else source.beside.take(of),
        reading=replace(source.reading, notes=(*source.reading.notes, *found.notes)),
    )


def _field(path: str, keyword: str) -> str:
    if is_nifti(path):
        raise InvalidRequest(
            f"group={keyword!r} was given, but {path} is NIfTI, which has no such fields: leave it out, and the slices "
            "of a volume are a group, or pass one group name per row"
        )
    header = dicom_header(path)
    from pydicom.datadict import tag_for_keyword

    if tag_for_keyword(keyword) is None:
        raise InvalidRequest(f"group={keyword!r} is no DICOM keyword.{did_you_mean(keyword, _USUAL)}")
    value = str(header.get(keyword) or "").strip()
    if not value:
        raise InvalidData(f"{path} has no {keyword}; remove it, or group by another field")
    return value


def _notes(paths: Sequence[str], options: ScanOptions) -> tuple[str, ...]:
    notes = []
    if any(map(is_nifti, paths)):
        notes.append(
            f"Rows are slices of NIfTI volumes along axis {options.axis}, as they are stored; those of a volume are a "
            "group."
        )
    if options.window is not None:
        notes.append(f"What is in the window {options.window} became 0 to 255.")
    return tuple(notes)
