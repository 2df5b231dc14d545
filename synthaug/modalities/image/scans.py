"""Pictures in medical files by row number: DICOM, and slices of NIfTI volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthaug.modalities.image.dicom import dicom_frames, dicom_header, dicom_kind, read_dicom
from synthaug.modalities.image.form import Layout
from synthaug.modalities.image.images import Images, Kind
from synthaug.modalities.image.medical import AS_STORED, Plane, ScanOptions, named, require_few
from synthaug.modalities.image.nifti import is_nifti, nifti_kind, nifti_slices, read_nifti


@dataclass(frozen=True)
class Scans(Images):
    """Pictures in medical files, with the values that the files give them: rescaled, inverted where low is white."""

    planes: Sequence[Plane] = ()
    options: ScanOptions = AS_STORED

    def __len__(self) -> int:
        return len(self.planes)

    def name(self, row: int) -> str:
        """The file of a row, and the frame or slice where it holds several."""
        plane = self.planes[row]
        if plane.of == 1:
            return plane.path
        return f"{plane.path}[{', '.join(':' if place is None else str(place) for place in plane.at)}]"

    def _kind(self, row: int) -> Kind:
        plane = self.planes[row]
        with named(plane.path):
            return (nifti_kind if is_nifti(plane.path) else dicom_kind)(plane, self.options)

    def _array(self, row: int) -> tuple[np.ndarray, Layout]:
        plane = self.planes[row]
        with named(plane.path):
            pixels = (read_nifti if is_nifti(plane.path) else read_dicom)(plane, self.options)
        return pixels, "HW" if pixels.ndim == 2 else "HWC"


def planes_of(path: str, options: ScanOptions) -> list[Plane]:
    """The pictures in a medical file.

    Raises:
        InvalidData: a file that cannot be read.
        UnsupportedKind: several time points that are not to be split; a package that is not here.
    """
    with named(path):
        if is_nifti(path):
            return nifti_slices(path, options)
        n = 1 if options.frames is None else dicom_frames(dicom_header(path))
        require_few(n)
        return [Plane(path, (frame,), n) for frame in range(n)]
