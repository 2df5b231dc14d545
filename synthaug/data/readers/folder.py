"""A folder of class folders, perhaps below split folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.readers.base import IMAGE_SUFFIXES, Source, group_array
from synthaug.errors import InvalidData
from synthaug.modalities.image.pictures import Images, Pictures
from synthaug.outputs import decode_name

_SPLIT_FOLDERS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation"}
_SPLIT_FOLDERS["test"] = "test"


def read_folder(path: Path, group: Any) -> Source:
    """The pictures below the class folders of a folder, which give the labels."""
    folders = _subfolders(path)
    if not folders:
        loose = any(name.lower().endswith(IMAGE_SUFFIXES) for name in os.listdir(path))
        found = "images without class folders" if loose else "no class folders"
        raise InvalidData(f"{path} holds {found}; put the images of each class into a folder of its name")
    nested = [name for name in folders if name in _SPLIT_FOLDERS and _subfolders(path / name)]
    if not ("train" in nested or (nested and set(folders) <= set(_SPLIT_FOLDERS))):
        files, targets = _class_folders(path)
        return Source(_files(files), targets, f"folder {path}", groups=group_array(group, len(files)))
    others = [name for name in folders if name not in nested]
    if others:
        raise InvalidData(
            f"{path} holds the split folder {nested[0]} beside {', '.join(others)}, which has no class "
            "folders or is no split; move it, or point to one split"
        )
    files, targets, splits = [], [], []
    for name in sorted(nested, key=list(_SPLIT_FOLDERS).index):
        new_files, new_targets = _class_folders(path / name)
        files += new_files
        targets += new_targets
        splits += [_SPLIT_FOLDERS[name]] * len(new_files)
    return Source(
        _files(files),
        targets,
        f"folder {path}",
        splits=np.array(splits),
        groups=group_array(group, len(files)),
    )


def _files(paths: list[str]) -> Images:
    return Pictures(names=paths.__getitem__, entries=paths)


def _subfolders(path: Path) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _class_folders(path: Path) -> tuple[list[str], list[str]]:
    """The image files below every class folder, at any depth, and the decoded name of each one's class."""
    files: list[str] = []
    targets: list[str] = []
    for name in sorted(_subfolders(path), key=decode_name):
        found = [
            os.path.join(where, file)
            for where, _, names in os.walk(path / name, followlinks=True)
            for file in names
            if file.lower().endswith(IMAGE_SUFFIXES) and not file.startswith(".")
        ]
        if not found:
            raise InvalidData(f"the class folder {path / name} holds no image; fill it or remove it")
        files += sorted(found)
        targets += [decode_name(name)] * len(found)
    return files, targets
