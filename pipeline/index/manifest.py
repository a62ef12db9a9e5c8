"""`index.json`: what an index has, and how it is changed: under the folder's lock, by one replacement of the file.

Runs are written before the file names them, and removed after it names them no more; what a killed command leaves is
not named, and goes at the next change. So a reader, and whoever comes after a kill, sees the old index or the new one.

Every byte has a hash: `index.json` one of its own over the rest of it, runs those in `index.json`, and the file of the
documents that were taken down its own in its name. What earlier versions wrote has neither, and is read.
"""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from dedup.index.decide import Policy
from dedup.index.pairs import LEADERS
from dedup.index.tables import GONE as GONE_ROWS
from dedup.minhash import MinHash
from dedup.verify import Verify
from infra.dataset.manifest import MANIFEST
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from infra.hashing import readable_json, sha256_bytes, sha256_file, sha256_json
from infra.names import meant
from infra.storage import StoreError, disk_errors, is_locked, lock, read_json, remove_folder, write_bytes, write_last
from pipeline.index.runs import Alive, Stored

FORMAT = "refinery.index/1"
INDEX, RUNS, WORK, GONE = "index.json", "runs", "work", "gone"
KINDS = ("contents", "bands", "documents")
# What `counts` of a snapshot has at least.
COUNTS = frozenset({"contents", "documents", "tokens", "kept", "kept_tokens"})
# And, where documents were taken down since: how many, how many of these were kept, and the tokens of the latter.
TAKEN, TAKEN_KEPT, TAKEN_TOKENS = "taken_down", "taken_down_kept", "taken_down_kept_tokens"
SHA256 = re.compile(r"[0-9a-f]{64}")
_RUN = re.compile(rf"\d{{5,}}-({'|'.join(KINDS)})")
# earlier versions: without the sha256 of its bytes
_GONE = re.compile(rf"{GONE}/\d{{5,}}(?:-([0-9a-f]{{64}}))?\.parquet")
T = TypeVar("T")


@dataclass(frozen=True)
class IndexParameters:
    """What all snapshots of an index have in common."""

    bands: int = 14
    """Bands of a signature."""

    rows: int = 8
    """Values of each band."""

    ngram: int = 5
    """Words of each shingle."""

    threshold: float = 0.8
    """The least Jaccard similarity of shingle sets by which documents are duplicates."""

    leaders: int = LEADERS
    """How many contents of a bucket the others are compared with."""

    def __post_init__(self) -> None:
        MinHash(self.bands, self.rows, self.ngram)
        Verify(self.threshold)
        if self.leaders < 1:
            raise UsageError(f"leaders of an index is {self.leaders}; give at least 1")

    @property
    def minhash(self) -> MinHash:
        return MinHash(self.bands, self.rows, self.ngram)


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that was added. `source`: the sha256 of its dataset's manifest."""

    number: int
    name: str
    source: str
    policy: str
    copies: int
    counts: Mapping[str, int]

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy) or not self.counts.keys() >= COUNTS:
            raise ValueError(f"no snapshot: {self}")

    @property
    def rows(self) -> int:
        """The documents that its runs have once they are merged."""
        return self.counts["documents"] - self.counts.get(TAKEN, 0)

    def without(self, taken: Mapping[str, int]) -> "Snapshot":
        """With these added to the counts of documents that were taken down."""
        added = {name: self.counts.get(name, 0) + count for name, count in taken.items()}
        return replace(self, counts={**self.counts, **added})


@dataclass(frozen=True)
class IndexRun:
    """A run: the folder `runs/NAME`, its manifest's sha256, and the level of merging that it is on."""

    name: str
    kind: str
    level: int
    sha256: str
    rows: int
    bytes: int

    def __post_init__(self) -> None:
        named = _RUN.fullmatch(self.name)
        if named is None or named[1] != self.kind or not SHA256.fullmatch(self.sha256) or self.level < 0:
            raise ValueError(f"no run: {self}")

    def is_of(self, snapshot: Snapshot) -> bool:
        """Whether it was made when the snapshot was added, and so has nothing else."""
        return self.level == 0 and self.name == f"{snapshot.number:05d}-{self.kind}"

    @classmethod
    def of(cls, dataset: Dataset, kind: str, level: int) -> "IndexRun":
        sums = dataset.manifest.shards.sums
        return cls(dataset.folder.name, kind, level, dataset.refs[0].sha256, sums.rows, sums.bytes)


@dataclass(frozen=True)
class Index:
    """One state of an index. `next`: the number of its next snapshot, run or file; `gone`: the file of the documents
    that were taken down, with the sha256 of its bytes in its name."""

    folder: Path
    parameters: IndexParameters = field(default_factory=IndexParameters)
    next: int = 0
    snapshots: tuple[Snapshot, ...] = ()
    runs: tuple[IndexRun, ...] = ()
    gone: str | None = None

    def __post_init__(self) -> None:
        if self.gone is not None and not _GONE.fullmatch(self.gone):
            raise ValueError(f"no file of the documents that were taken down: {self.gone}")

    @property
    def sha256(self) -> str:
        """Of all that `index.json` says; it has this too."""
        return sha256_json(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "parameters": asdict(self.parameters),
            "next": self.next,
            "snapshots": [asdict(snapshot) for snapshot in self.snapshots],
            "runs": [asdict(run) for run in self.runs],
            "gone": self.gone,
        }

    def run_folder(self, name: str) -> Path:
        return self.folder / RUNS / name

    def dataset(self, run: IndexRun) -> Dataset:
        """The dataset of a run. UsageError if it is not there, or another one."""
        dataset = Dataset(self.run_folder(run.name))
        path = dataset.folder / MANIFEST
        if not path.is_file() or sha256_file(path) != run.sha256:
            raise UsageError(f"{self.folder}: the run {run.name} is damaged or missing: {self.mending(run)}")
        return dataset

    def mending(self, run: IndexRun) -> str:
        """What helps against damage of a run."""
        mine = [snapshot.name for snapshot in self.snapshots if run.is_of(snapshot)]
        again = f", or remove the snapshot {mine[0]} (`refinery index remove`) and add it again" if mine else ""
        return f"restore it from a copy{again}"

    def stored(self, kind: str) -> tuple[Stored, ...]:
        return tuple(Stored.of(self.dataset(run)) for run in self.runs if run.kind == kind)

    @property
    def gone_sha256(self) -> str | None:
        """Of the bytes of `gone`; None where an earlier version wrote it."""
        named = _GONE.fullmatch(self.gone or "")
        return named[1] if named else None

    def gone_rows(self) -> pa.Table | None:
        """GONE, or None. UsageError if the file is damaged or missing."""
        if self.gone is None:
            return None
        path = self.folder / self.gone
        try:
            content = path.read_bytes()
            if self.gone_sha256 not in (None, sha256_bytes(content)):
                raise UsageError(f"{path}: not as it was written (its sha256 differs): restore it from a copy")
            return pq.read_table(io.BytesIO(content)).select(GONE_ROWS.names).cast(GONE_ROWS)
        except StoreError:
            raise
        except FileNotFoundError:
            raise UsageError(f"{path}: missing: restore it from a copy") from None
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"{path}: cannot be read ({reason}): restore it from a copy") from None

    @property
    def alive(self) -> Alive:
        return Alive.of([snapshot.number for snapshot in self.snapshots], self.gone_rows())

    def named(self, name: str) -> Snapshot:
        """UsageError if there is no snapshot of this name."""
        for snapshot in self.snapshots:
            if snapshot.name == name:
                return snapshot
        there = ", ".join(snapshot.name for snapshot in self.snapshots) or "none"
        raise UsageError(f"{self.folder} has no snapshot {name!r}; there are: {there}")

    def with_gone(self, rows: pa.Table) -> "Index":
        """This state with these documents taken down besides. The file is written; `save` names it."""
        before = self.gone_rows()
        content = io.BytesIO()
        pq.write_table(pa.concat_tables([before, rows]) if before is not None else rows, content)
        path = f"{GONE}/{self.next:05d}-{sha256_bytes(content.getvalue())}.parquet"
        (self.folder / GONE).mkdir(exist_ok=True)
        write_bytes(self.folder / path, content.getvalue())
        return replace(self, gone=path, next=self.next + 1)

    def save(self) -> None:
        """Make this the state of the folder, which this process holds, and remove what it does not name."""
        with disk_errors(self.folder):
            write_last(self.folder / INDEX, readable_json(self.as_dict() | {"sha256": self.sha256}))
        self.clear()

    def clear(self) -> None:
        """Remove what this state does not name. Only under the folder's lock."""
        named = {run.name for run in self.runs}
        runs, gone = self.folder / RUNS, self.folder / GONE
        for path in [*runs.iterdir()] if runs.is_dir() else ():
            if path.name not in named:
                remove_folder(path)
        for path in [*gone.iterdir()] if gone.is_dir() else ():
            if f"{GONE}/{path.name}" != self.gone:
                path.unlink()
        remove_folder(self.folder / WORK)


def read_index(folder: Path) -> Index:
    """The state of an index. UsageError if there is none, it is damaged, or of another version."""
    path = folder / INDEX
    if not path.is_file():
        raise UsageError(f"{folder} is no index (it has no {INDEX}): refinery index add {folder} DATASET makes one")
    found = read_json(path)
    damaged = UsageError(f"{path} is damaged: restore it from a copy, or add all snapshots to a new index")
    if not isinstance(found, dict):
        raise damaged
    if found.get("format", FORMAT) != FORMAT:
        raise UsageError(
            f"{path} is not of the format {FORMAT}: use the version that made it, or restore it from a copy if it is "
            "damaged"
        )
    try:
        index = _index_of(folder, found)
        if found.get("sha256", index.sha256) != index.sha256:
            raise damaged
    except (TypeError, ValueError, UsageError):
        raise damaged from None
    return index


def is_hashed(folder: Path) -> bool:
    """Whether `index.json` has its sha256; those that earlier versions wrote have none."""
    return "sha256" in (read_json(folder / INDEX) or {})


def _index_of(folder: Path, found: dict[str, Any]) -> Index:
    """TypeError, ValueError or UsageError unless it has just what `Index.as_dict` gives, and its sha256 if any."""
    if found.keys() - {"sha256"} != Index(folder).as_dict().keys():
        raise ValueError("other fields than an index has")
    return Index(
        folder,
        _made(IndexParameters, found["parameters"]),
        _typed(found["next"], int),
        tuple(_made(Snapshot, each) for each in _typed(found["snapshots"], list)),
        tuple(_made(IndexRun, each) for each in _typed(found["runs"], list)),
        found["gone"],
    )


def _made(kind: type[T], found: Any) -> T:
    """A dataclass of numbers and names from its JSON."""
    known: tuple[Field[Any], ...] = fields(kind)  # type: ignore[arg-type]
    if _typed(found, dict).keys() != {each.name for each in known}:
        raise ValueError("other fields than it has")
    values = {each.name: _typed(found[each.name], each.type) for each in known}
    return kind(**values)


def _typed(value: Any, kind: Any) -> Any:
    """The value, of just this type, which JSON keeps. TypeError for another."""
    if kind == Mapping[str, int]:
        return {name: _typed(count, int) for name, count in _typed(value, dict).items()}
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise TypeError(f"{value!r} is no {kind}")
    return value


def open_or_new(folder: Path, given: Mapping[str, Any]) -> Index:
    """The index in a folder, or a new one. `given`: parameters that the user names. UsageError where the index has
    other ones."""
    if not (folder / INDEX).is_file():
        if folder.exists() and any(path.name not in (RUNS, WORK, ".lock") for path in folder.iterdir()):
            raise UsageError(f"{folder} has files and is no index: name a new folder")
        return Index(folder, IndexParameters(**_checked(given)))
    index = read_index(folder)
    _checked(given)
    for name, value in given.items():
        own = getattr(index.parameters, name)
        if own != value:
            raise UsageError(
                f"{folder} was made with --{name} {own}, not {value}: leave --{name} out, or make another index"
            )
    return index


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by name. UsageError for one that there is not, or of another type."""
    types = {each.name: each.type for each in fields(IndexParameters)}
    for name, value in given.items():
        if name not in types:
            raise UsageError(f"an index has no parameter {name!r}; {meant(name, sorted(types))}")
        try:
            _typed(value, types[name])
        except TypeError:
            wanted = "a number" if types[name] is float else "a whole number"
            raise UsageError(f"{name} of an index is {value!r}; give {wanted}") from None
    return dict(given)


PARAMETERS = tuple(each.name for each in fields(IndexParameters))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the index for a change. UsageError if another command is changing it."""
    if folder.is_file():
        raise UsageError(f"{folder} is a file: give the folder of an index")
    if folder.exists() and is_locked(folder):
        raise UsageError(f"another command is changing {folder}: run this one again when that has ended")
    with lock(folder):
        yield


@contextmanager
def held_index(folder: Path) -> Iterator[Index]:
    """The index in a folder, held for a change. UsageError if there is none (then nothing is made of the folder), or
    if another command is changing it."""
    read_index(folder)
    with held(folder):
        yield read_index(folder)


@contextmanager
def reading(index: Index) -> Iterator[None]:
    """A command that reads an index without holding it. Its runs may be merged, or removed, by another command
    meanwhile: then a UsageError says so, and not that a run is missing."""
    try:
        yield
    except UsageError:
        if read_index(index.folder).sha256 == index.sha256:
            raise
        raise UsageError(f"another command has changed {index.folder} meanwhile: run this one again") from None
