"""Generators and data sets to and from the Hugging Face Hub, as the folders they are.

What leaves is a copy of the files that belong to the output, with a card. Training rows leave only when that is
said. Nothing is fetched that could run: JSON, safetensors and text.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from synthaug.data.readers.recorded import record_beside
from synthaug.data.readers.written import (
    PROVENANCE_FILE,
    RECORD_KEY,
    files_within,
    found_provenance,
    layout_of,
    read_provenance,
)
from synthaug.errors import HubError, InvalidData, InvalidRequest, SynthaugError, UnsupportedKind
from synthaug.files.cards import Card, columns_card, with_licence
from synthaug.files.formats import CALL, read_record
from synthaug.files.saved import is_saved_set
from synthaug.generators.artifact import CARD, MANIFEST, check_files, write_generator
from synthaug.generators.card import model_card
from synthaug.generators.generator import Generator
from synthaug.outputs import RECORD, atomic_write_text, one_error
from synthaug.wording import one_line, table_cell, without_tokens

_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_FILES = ["*.json", "*.jsonl", "*.safetensors", "*.md"]  # all that a saved generator may consist of
_ROWS = 1000  # at a time


def push(
    source: Any,
    name: str,
    *,
    license: str | None = None,
    private: bool | None = None,
    token: str | bool | None = None,
    include_rows: bool = False,
) -> str:
    """The address of a repository that now holds a saved generator or a data set with synthetic rows.

    The repository is made where there is none; files of the same name are replaced. Beside the rows go a card and
    the recipe that makes them again. Folders that the data were read from are not named.

    Args:
        source: a generator, or the folder of a saved one; an output of `synthaug.expand` or of sampling (a folder, a
            parquet file or a saved Hugging Face set; the latter goes as parquet); or a map-style Hugging Face
            set, or a dictionary of its splits, with columns of provenance.
        name: ``owner/name``.
        license: as the Hub spells it, e.g. ``cc-by-4.0``; the card says "not stated" without it.
        private: whether only its owner sees it; as the owner has set it when None.
        token: of the hub; the one stored on this machine when None.
        include_rows: let real rows leave: those in a data set, or those that a generator keeps.

    Raises:
        InvalidRequest: a name without owner, or real rows without ``include_rows``.
        InvalidData: neither a generator nor a data set with synthetic rows of synthaug.
        InvalidArtifact: a generator whose files have changed.
        HubError: the hub cannot be reached or refuses.
    """
    import huggingface_hub

    with staged(source, name, license, include_rows) as (work, kind), _one_error(f"push to {name}", token):
        api = huggingface_hub.HfApi(token=token, library_name="synthaug")
        api.create_repo(name, repo_type=kind, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=name,
            repo_type=kind,
            folder_path=work,
            commit_message="Upload with synthaug",
        )
        return f"{api.endpoint}/{'datasets/' if kind == 'dataset' else ''}{name}"


@contextmanager
def staged(source: Any, name: str, license: str | None, include_rows: bool) -> Iterator[tuple[Path, str]]:
    """A folder of copies of all that `push` would upload, and the kind of repository: ``model`` or ``dataset``.

    Raises:
        InvalidRequest, InvalidData, InvalidArtifact: as `push` does.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f'"{name}" was given to push to. A repository is called "owner/name".')
    unreadable = one_error(
        InvalidData, "What is to be pushed cannot be read", "Ask for the right to read it."
    )
    with TemporaryDirectory() as folder:
        work = Path(folder)
        try:
            with unreadable:
                kind, rows = _stage(source, work, name)
        except SynthaugError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if not isinstance(source, str | os.PathLike):
                raise
            raise InvalidData(
                f"{source} does not hold what its record says ({type(error).__name__}: {one_line(str(error))}). Write "
                "it again."
            ) from error
        if rows and not include_rows:
            raise InvalidRequest(f"{rows} Pass include_rows=True (--include-rows) if they may be seen there.")
        if license:
            card = (work / CARD).read_text(encoding="utf-8")
            (work / CARD).write_text(with_licence(card, license), encoding="utf-8")
        yield work, kind


def _stage(source: Any, work: Path, name: str) -> tuple[str, str]:
    if isinstance(source, Generator):
        write_generator(source, work)
        return "model", _stage_generator(work, work, name)
    if not isinstance(source, str | os.PathLike):
        return "dataset", _stage_columns(source, work)
    if (Path(source) / MANIFEST).is_file():
        return "model", _stage_generator(Path(source), work, name)
    return "dataset", _stage_output(Path(source), work)


def find_generator(name: str | Path, *, revision: str | None = None, token: str | bool | None = None) -> Path:
    """The folder of a saved generator: ``name`` itself where it is on disk, else a copy of ``owner/name``.

    Args:
        name: a folder, or a repository where no folder of that name is there.
        revision: branch, tag or commit of the repository.
        token: of the hub; the one stored on this machine when None.

    Raises:
        InvalidRequest: a revision of a folder.
        HubError: the hub cannot be reached, or has no such repository.
    """
    import huggingface_hub

    path, asked = Path(name), Path(name).as_posix()
    # gen/best beside a folder gen/ is a mistyped path, not a repository.
    here = os.path.lexists(path) or not _NAME.fullmatch(asked) or path.parent.is_dir()
    if here:
        if revision is not None:
            raise InvalidRequest(
                f'revision="{revision}" was asked for, but {path} is a folder. Leave it out.'
            )
        return path
    with _one_error(f'load "{asked}", which is no folder here', token):
        found: str = huggingface_hub.snapshot_download(
            asked, revision=revision, token=token, allow_patterns=_FILES, library_name="synthaug"
        )
    return Path(found)


@contextmanager
def _one_error(what: str, token: str | bool | None) -> Iterator[None]:
    import huggingface_hub.errors as hub

    reasons = (OSError, ValueError, hub.HFValidationError, vars(hub)["HTTPError"])
    try:
        yield
    except SynthaugError:
        raise
    except reasons as error:
        said = one_line(next(iter(str(error).strip().splitlines()), type(error).__name__))
        safe = without_tokens(said, token)
        remedy = "Check the name, the network and the token (hf auth login)."
        if isinstance(error, hub.OfflineModeIsEnabled) or "HF_HUB_OFFLINE" in str(error):
            remedy = "HF_HUB_OFFLINE is set: unset it to use the hub."
        elif isinstance(error, hub.RevisionNotFoundError):
            remedy = "Check the revision."
        # Where the token is in what went wrong, such as one with a line end, it is in its traceback, too.
        cause = error if without_tokens(str(error), token) == str(error) else None
        raise HubError(f"Cannot {what}: {safe.rstrip('.')}. {remedy}") from cause


# ------------------------------------------------------------ copies of what belongs to an output
# Each returns what there is to say about real rows in it, or nothing.


def _stage_generator(path: Path, work: Path, name: str) -> str:
    manifest = check_files(path)
    for file in manifest["files"] if path != work else ():
        shutil.copyfile(path / file, work / file)
    data = manifest["data"] | {"origin": _last(manifest["data"]["origin"])}
    text = json.dumps(manifest | {"data": data}, indent=2, ensure_ascii=False)
    atomic_write_text(work / MANIFEST, text + "\n")
    # A card that was edited is the better one.
    own = path / CARD
    card = own.read_text(encoding="utf-8") if own.is_file() else model_card(manifest)
    (work / CARD).write_text(card.replace("OWNER/NAME", name), encoding="utf-8")
    return "The files of the generator contain training rows." if manifest["contains_training_rows"] else ""


def _stage_output(path: Path, work: Path) -> str:
    if not path.exists():
        raise InvalidData(f"There is no file or folder {path}.")
    record = read_record(path)
    if record is None or "card" not in record:
        raise InvalidData(
            f"{path} is neither a saved generator nor a data set that synthaug wrote. Other data sets go to the "
            "hub with its own tools."
        )
    card = Card.from_dict(record["card"])
    record["card"]["origin"] = _last(card.origin)
    record.pop(CALL, None)  # places on this machine are nobody's concern
    if path.is_dir() and not is_saved_set(path):
        _copy_folder(path, work, record)
    elif path.is_dir():
        import datasets

        _write_parquet(datasets.load_from_disk(str(path)), work)
    elif path.suffix.lower() == ".npz":
        raise InvalidRequest(f"{path} is an .npz file, which the hub does not read. Write .parquet instead.")
    elif record_beside(path) is not None:
        raise InvalidRequest(
            f"{path} is a .csv file, of whose types the hub knows nothing. Write .parquet instead."
        )
    else:
        _copy_parquet(path, work, record)
    (work / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    text = (path / CARD).read_text(encoding="utf-8") if (path / CARD).is_file() else card.markdown()
    for told in filter(None, (card.origin, table_cell(card.origin))):
        text = text.replace(told, table_cell(record["card"]["origin"]))
    (work / CARD).write_text(text, encoding="utf-8", errors="backslashreplace")
    real = sum(card.real.values()) + sum(card.copied.values())
    return f"{path} contains {real} real rows." if real else ""


def _copy_folder(path: Path, work: Path, record: Mapping[str, Any]) -> None:
    """The files of a folder that its table names, and no other that has come to lie there."""
    layout = layout_of(record)
    rows = read_provenance(path)["file" if layout is None else layout.image or ""]
    for file in (*files_within(path, rows), PROVENANCE_FILE, CARD):
        place = path / file
        if not Path(os.path.realpath(place)).is_relative_to(os.path.realpath(path)):
            raise InvalidData(
                f"{place} is a link that leads out of its folder, so it is not pushed. Remove it."
            )
        if place.is_file():
            (work / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(place, work / file)


def _stage_columns(source: Any, work: Path) -> str:
    import datasets

    if not isinstance(source, datasets.Dataset | datasets.DatasetDict):
        raise UnsupportedKind(
            f"a {type(source).__name__} was given to push; taken are the path of a generator or of an output, "
            "and map-style Hugging Face data sets"
        )
    parts = source if isinstance(source, datasets.DatasetDict) else {"train": source}
    real, origins = 0, set()
    made: dict[str, int] = {}
    for rows in parts.values():
        names = found_provenance(rows.features.arrow_schema)
        if names is None:
            raise InvalidData(
                "The data set has no columns of provenance, so it holds no synthetic rows of synthaug. Push it "
                "with its own push_to_hub."
            )
        stored = rows.with_format("numpy", columns=list(names.values()))[:]
        table = {name: stored[own] for name, own in names.items()}
        synthetic = np.asarray(table["synthetic"], bool)
        real += int((~synthetic).sum())
        classes = np.asarray(table["class"])[synthetic].astype(str)
        for name, n in zip(*np.unique(classes, return_counts=True), strict=True):
            made[str(name)] = made.get(str(name), 0) + int(n)
        weights, seeds = np.asarray(table["generator"])[synthetic], np.asarray(table["seed"])[synthetic]
        origins |= set(zip(weights.tolist(), seeds.tolist(), strict=True))
    _write_parquet(source, work)
    recipe = [{"generator": generator, "seed": seed} for generator, seed in sorted(origins)]
    record = {"real": real, "synthetic": made, "made_by": recipe}
    (work / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (work / CARD).write_text(columns_card(real, made, recipe), encoding="utf-8", errors="backslashreplace")
    return f"The data set contains {real} real rows." if real else ""


def _write_parquet(source: Any, work: Path) -> None:
    import datasets
    import pyarrow.parquet as pq
    from datasets.table import embed_table_storage

    (work / "data").mkdir()
    parts = source if isinstance(source, datasets.DatasetDict) else {"train": source}
    for name, rows in parts.items():
        schema = rows.features.arrow_schema
        with pq.ParquetWriter(work / "data" / f"{name}.parquet", schema) as writer:
            for table in rows.with_format("arrow").iter(_ROWS):
                # Images that are files here go along.
                writer.write_table(embed_table_storage(table.cast(schema)).cast(schema))


def _copy_parquet(path: Path, work: Path, record: Mapping[str, Any]) -> None:
    """The rows of a parquet output with this record, in a file for each split, as the Hub tells them apart."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    (work / "data").mkdir()
    layout = layout_of(record)
    column = "split" if layout is None else layout.split
    file = pq.ParquetFile(path)
    known = file.schema_arrow
    schema = known.with_metadata({**known.metadata, RECORD_KEY: json.dumps(record).encode()})
    with ExitStack() as stack:
        stack.enter_context(file)
        writers: dict[str, Any] = {}
        for group in range(file.num_row_groups):
            table = file.read_row_group(group).cast(schema)
            splits = table[column] if column in known.names else pa.array(["train"] * len(table))
            for split in pc.unique(splits).to_pylist():
                if split not in writers:
                    place = work / "data" / f"{re.sub(r'[^A-Za-z0-9_]', '_', split)}.parquet"
                    writers[split] = stack.enter_context(pq.ParquetWriter(place, schema))
                writers[split].write_table(table.filter(pc.equal(splits, split)))


def _last(origin: str) -> str:
    """What data were read from, without the folders it lies in."""
    return origin.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
