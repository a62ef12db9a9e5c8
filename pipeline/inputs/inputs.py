"""Resolves `--input` arguments: archives (WARC, WET, ARC), documents (Parquet, JSONL), or our datasets.

Names in our data never contain a machine's paths (`names.py`), so neither the order of the arguments nor the location
of the folder matters.
"""

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from infra.dataset.manifest import MANIFEST, InputRef
from infra.dataset.reader import Dataset
from infra.dataset.receipts import RECEIPTS
from infra.errors import UsageError
from infra.http.address import split_address
from infra.remote import check_local, is_remote_input
from infra.storage import MAGIC, ObjectPath, place, read_json
from pipeline.inputs.columns import Columns
from pipeline.inputs.kinds import ARCHIVES, DOCUMENTS, URL_LIST, check_archive, is_wanted
from pipeline.inputs.names import file_names, is_url
from pipeline.inputs.places import places_of
from pipeline.inputs.versions import file_states, is_sha256, is_still

# Files of a snapshot whose sizes are asked for.
MAX_ASKED = 1000
_SHOWN_NAMES = 5


@dataclass(frozen=True)
class InputFile:
    """A user's file. `path`: where it is, or its address; `name`: its name in manifests and in `file_path`; `version`:
    its sha256, or what else tells its states apart (`versions.py`); `size`: in bytes, where it is known;
    `seen`: its state when it was hashed, and of a file of a snapshot when its size was asked for."""

    path: str
    name: str
    version: str
    size: int | None = None
    seen: str = field(default="", compare=False)

    @property
    def ref(self) -> InputRef:
        return InputRef(self.name, self.version)


@dataclass(frozen=True)
class FileSource:
    """What all sources of a user's files have: their references, and the paths that they were read at, by name."""

    files: tuple[InputFile, ...]

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return tuple(file.ref for file in self.files)

    def places(self) -> dict[str, str]:
        return places_of((file.name, file.path) for file in self.files)


@dataclass(frozen=True)
class Inputs:
    """The inputs of a command, sorted by name, so that the order of the arguments does not matter. `columns`: the names
    of the columns of `documents`. `notes`: for people, what of a folder is not read."""

    archives: tuple[InputFile, ...] = ()
    documents: tuple[InputFile, ...] = ()
    datasets: tuple[Dataset, ...] = ()
    columns: Columns = field(default_factory=Columns)
    notes: tuple[str, ...] = field(default=(), compare=False)


def read_inputs(arguments: Sequence[str], columns: Columns | None = None) -> Inputs:
    """Expands files, globs and folders, and finds the version of each file. Raises UsageError if nothing is found or a
    file is of no known kind, and for names of columns where no file has columns."""
    return _found(arguments, columns, hashed=True)


def find_inputs(arguments: Sequence[str], columns: Columns | None = None) -> Inputs:
    """The same without reading the files: in place of a hash of its bytes each has one of its size."""
    return _found(arguments, columns, hashed=False)


class SnapshotFile(Protocol):
    """A file of a published snapshot: its name from the bucket's root, its address, and the snapshot."""

    @property
    def name(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def snapshot(self) -> str: ...


def inputs_of_snapshot(files: Iterable[SnapshotFile]) -> tuple[InputFile, ...]:
    """The archives of a snapshot as inputs. A published file does not change, so its snapshot is its version, wherever
    it is read. Of up to 1,000 files the states are asked for, so that they are split as files on disk are, and that
    one which does change is noticed; of more each is one part."""
    ordered = sorted(files, key=lambda file: file.name)
    states = file_states([file.url for file in ordered], hashed=False) if len(ordered) <= MAX_ASKED else {}

    def input_file(file: SnapshotFile) -> InputFile:
        state = states.get(file.url)
        version = f"snapshot:{file.snapshot}"
        return InputFile(file.url, file.name, version, state.size if state else None, state.version if state else "")

    return tuple(map(input_file, ordered))


def _found(arguments: Sequence[str], columns: Columns | None, hashed: bool) -> Inputs:
    columns = columns or Columns()
    files: set[str] = set()
    datasets: dict[str, Dataset] = {}
    notes: list[str] = []
    for argument in arguments:
        folder = place(argument)
        if is_url(argument) and not isinstance(folder, ObjectPath):
            files.add(_address(argument))
            continue
        finished = _dataset_folder(folder)
        if finished:
            dataset = Dataset(finished)
            datasets[dataset.refs[0].sha256] = dataset
        else:
            files |= set(_files(argument, columns, notes))
    documents = sorted(path for path in files if _kind_of(path, (*DOCUMENTS, *URL_LIST)))
    archives = sorted(files.difference(documents))
    ordered = sorted(datasets.values(), key=lambda dataset: (dataset.manifest.stage, dataset.refs[0].sha256))
    if not (archives or documents or ordered):
        raise UsageError(
            "no input: give --input a WARC, WET or ARC file, a Parquet or JSONL file, or a dataset's folder"
        )
    if columns.renamed and not documents:
        raise UsageError("--text-column, --id-column and --url-column are for Parquet and JSONL files: there are none")
    return Inputs(_named(archives, hashed), _named(documents, hashed), tuple(ordered), columns, tuple(notes))


def as_known(inputs: Inputs, refs: Iterable[InputRef]) -> Inputs:
    """The inputs with each file by the version that it had before, if it is in the same state: what a folder was made
    of by sha256 stays so when the input grows beyond what is hashed."""
    before = {ref.name: ref.sha256 for ref in refs}

    def known(file: InputFile) -> InputFile:
        version = before.get(file.name, file.version)
        other_kind = is_sha256(version) != is_sha256(file.version)
        return replace(file, version=version) if other_kind and is_still(file.path, version) else file

    archives, documents = (tuple(map(known, files)) for files in (inputs.archives, inputs.documents))
    return replace(inputs, archives=archives, documents=documents)


def dataset_in(path: Path) -> Dataset:
    """Returns the finished dataset at `path`, or the last one of the finished run there. Raises UsageError if there is
    neither."""
    found = _dataset_folder(path)
    if found is None and (path / "recipe.json").is_file():
        raise UsageError(f"{path} is a run that is not finished: run the same `refinery run` command again")
    if found is None:
        raise UsageError(f"{path} is neither a finished dataset nor a finished run")
    return Dataset(found)


def _dataset_folder(path: Path) -> Path | None:
    """The dataset at `path`: the folder itself, its manifest's folder, or the last dataset of a finished run."""
    if path.name == MANIFEST and path.is_file():
        return path.parent
    if (path / MANIFEST).is_file():
        return path
    run = read_json(path / "run.json") if path.is_dir() else None
    if isinstance(run, dict) and "last" in run and (path / str(run["last"]) / MANIFEST).is_file():
        return path / str(run["last"])
    return None


def _address(argument: str) -> str:
    """An address as an input. UsageError for one that names neither an archive nor documents."""
    if argument.lower().startswith(("http:", "https:")):
        split_address(argument)
    if not is_remote_input(argument):
        check_local(argument, "--input")
    return argument


def _kind_of(place: str, endings: tuple[str, ...]) -> bool:
    return (urlsplit(place).path if is_url(place) else place).lower().endswith(endings)


def _files(argument: str, columns: Columns, notes: list[str]) -> list[str]:
    path = place(argument)
    if path.is_file():
        if not path.name.lower().endswith((*ARCHIVES, *DOCUMENTS, *URL_LIST)):
            check_archive(path, argument)
        return [_real(path)]
    if path.is_dir():
        if (path / RECEIPTS).is_dir():
            raise UsageError(f"{argument} is an unfinished dataset or run: run the command that makes it again")
        below = [p for p in path.rglob("*") if p.is_file() and not made_by_us(p, path)]
        wanted = [p for p in below if is_wanted(p, columns)]
        if not wanted:
            raise UsageError(
                f"{argument} contains no WARC, WET, ARC, Parquet or JSONL file and is not a finished dataset"
            )
        notes += _passed_over(argument, path, {*below}.difference(wanted))
        return [_real(p) for p in wanted]
    found = _matching(path) if isinstance(path, ObjectPath) else _glob(argument)
    if not found:
        raise UsageError(f"{argument}: no such file, and no file matches it as a pattern")
    return found


def _glob(argument: str) -> list[str]:
    found = [name for name in glob.glob(argument, recursive=True) if Path(name).is_file()]  # noqa: PTH207 (absolute patterns)
    return [os.path.realpath(name) for name in found]


def _matching(pattern: ObjectPath) -> list[str]:
    """The objects that match: from the folder on that the pattern names, only what is below it is listed."""
    folder = next((each for each in pattern.parents if not MAGIC.search(each.key)), None)
    if folder is None or not MAGIC.search(pattern.key):
        return []
    return [str(path) for path in folder.glob(pattern.relative_to(folder).as_posix()) if path.is_file()]


def _real(path: Path) -> str:
    return str(path) if isinstance(path, ObjectPath) else os.path.realpath(path)


def made_by_us(path: Path, root: Path) -> bool:
    """Whether a file below `root` belongs to a run or dataset that is also below `root`."""
    return any((parent / RECEIPTS).is_dir() for parent in path.parents if parent.is_relative_to(root))


def _passed_over(argument: str, folder: Path, others: Iterable[Path]) -> list[str]:
    """A line that names the files of a folder that are not read, other than hidden ones."""
    names = sorted(p.relative_to(folder).as_posix() for p in others)
    names = [name for name in names if not any(level.startswith(".") for level in name.split("/"))]
    if not names:
        return []
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return [f"not read of {argument}: {', '.join(names[:_SHOWN_NAMES])}{more} (neither archives nor documents)"]


def _named(places: Sequence[str], hashed: bool) -> tuple[InputFile, ...]:
    names, states = file_names(places), file_states(places, hashed)
    found = [InputFile(p, names[p], states[p].version, states[p].size, states[p].seen) for p in places]
    return tuple(sorted(found, key=lambda file: file.name))
