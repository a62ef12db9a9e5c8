"""The manifest of a dataset: what it holds, what it was made of, and the invariant that its counts obey.

A manifest is deterministic (no times, hosts, absolute paths) and is written last, by rename: a folder with a
`manifest.json` is complete. `check_invariant` is called before every write, so a manifest whose counts
do not add up is never on disk. The files themselves are listed in a table beside it (`files.py`), which it names by
its hash.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from infra.dataset.files import FileKind, FileList, FileRef, FileTable, Shard, Sums, TableRef, table_in_memory
from infra.errors import UsageError, WorkError
from infra.hashing import readable_json, sha256_file, sha256_json
from infra.storage import StoreError

FORMAT = "refinery.dataset/2"
# Read, not written: its manifest lists the files itself.
EARLIER_FORMAT = "refinery.dataset/1"
MANIFEST = "manifest.json"
# How a dataset was made: places, times, costs.
RUN = "run.json"
TOKEN_PATTERN = "refinery.pretokens/1"
# The parameter that says how many rows of the inputs are read.
LIMIT = "limit"
# The parameters that follow from how much is read: a dataset that grows may change them. What they decide of a
# partition is in the fingerprint of its part.
EXTENT = (LIMIT, "split_bytes")


class Kind(StrEnum):
    RECORDS = "records"
    DOCUMENTS = "documents"
    TABLE = "table"
    TOKENS = "tokens"


@dataclass(frozen=True)
class RecipeRef:
    """The recipe that made a dataset; `sha256` covers its thresholds and the sha256 of each model it uses."""

    name: str
    sha256: str


@dataclass(frozen=True)
class InputRef:
    """A dataset (by its stage and the sha256 of its manifest) or a file (by its name and sha256)."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Header:
    """What is known before the work starts. Two runs into one folder must agree on all of it."""

    kind: Kind
    stage: str
    recipe: RecipeRef
    params: Mapping[str, Any]
    inputs: tuple[InputRef, ...]
    # Not written. None: a folder that was made of other inputs is refused. Else its finished partitions are used again,
    # and those of these folders.
    reuse: tuple[Path, ...] | None = field(default=None, compare=False)

    def as_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "kind": self.kind.value,
            "stage": self.stage,
            "recipe": asdict(self.recipe),
            "params": dict(self.params),
            # not by `asdict`, which takes half a second for the files of a snapshot
            "inputs": [{"name": ref.name, "sha256": ref.sha256} for ref in self.inputs],
        }

    @property
    def sha256(self) -> str:
        return sha256_json(self.as_dict())

    @property
    def decisive(self) -> dict[str, Any]:
        """What decides the bytes of a partition: neither the other inputs, nor how far they are read."""
        params = {name: value for name, value in self.params.items() if name not in EXTENT}
        return {name: value for name, value in self.as_dict().items() if name != "inputs"} | {"params": params}


@dataclass(frozen=True)
class Manifest:
    """See `docs/formats.md`. `counts`: in, out, rejected and more; `funnel`: what remained after each step."""

    header: Header
    schema: tuple[tuple[str, str], ...]
    table: FileTable
    counts: Mapping[str, int]
    rejected_by: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    domains: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    funnel: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        return self.header.kind

    @property
    def stage(self) -> str:
        return self.header.stage

    @property
    def recipe(self) -> RecipeRef:
        return self.header.recipe

    @property
    def params(self) -> Mapping[str, Any]:
        return self.header.params

    @property
    def inputs(self) -> tuple[InputRef, ...]:
        return self.header.inputs

    @property
    def parts(self) -> int:
        """How many partitions the dataset has."""
        return self.table.parts

    @property
    def shards(self) -> FileList[Shard]:
        return self.table.of(FileKind.SHARD)

    @property
    def ledger(self) -> FileList[Shard]:
        """The ledgers with rows: a partition that rejected nothing has none."""
        return self.table.of(FileKind.LEDGER)

    @property
    def files(self) -> FileList[FileRef]:
        """What is neither a shard nor a ledger."""
        return self.table.of(FileKind.FILE)

    def all_files(self) -> Iterator[Shard | FileRef]:
        return iter(self.table)

    def as_dict(self) -> dict[str, Any]:
        sums = self.table.sums
        body: dict[str, Any] = {
            **self.header.as_dict(),
            "schema": [{"name": name, "type": kind} for name, kind in self.schema],
            "parts": self.parts,
            "shards": asdict(sums[FileKind.SHARD]),
            "ledger": asdict(sums[FileKind.LEDGER]),
            "other_files": {"files": sums[FileKind.FILE].files, "bytes": sums[FileKind.FILE].bytes},
            "files": asdict(self.table.ref),
            "counts": dict(self.counts),
            "rejected_by": dict(self.rejected_by),
            "languages": {name: dict(value) for name, value in self.languages.items()},
            "domains": {name: dict(value) for name, value in self.domains.items()},
            "funnel": [dict(row) for row in self.funnel],
            "token_pattern": TOKEN_PATTERN,
        }
        assert not set(body) & set(self.extra), "extra fields must not hide the manifest's own"
        return body | dict(self.extra)

    def to_bytes(self) -> bytes:
        return readable_json(self.as_dict())

    @staticmethod
    def from_dict(body: Mapping[str, Any], folder: Path) -> "Manifest":
        """`folder`: the dataset's. Raises KeyError, TypeError or ValueError when `body` is not of this format."""
        if body["format"] not in (FORMAT, EARLIER_FORMAT):
            raise ValueError(f"format is {body['format']!r}, not {FORMAT!r}")
        header = Header(
            kind=Kind(body["kind"]),
            stage=str(body["stage"]),
            recipe=RecipeRef(**body["recipe"]),
            params=body["params"],
            inputs=tuple(InputRef(ref["name"], ref["sha256"]) for ref in body["inputs"]),
        )
        known = {"token_pattern", "parts", "shards", "ledger", "other_files", "files", *header.as_dict()}
        known |= {item.name for item in fields(Manifest)}
        return Manifest(
            header=header,
            schema=tuple((column["name"], column["type"]) for column in body["schema"]),
            table=_listed(body) if body["format"] == EARLIER_FORMAT else _table(body, folder),
            counts=body["counts"],
            rejected_by=body["rejected_by"],
            languages=body["languages"],
            domains=body["domains"],
            funnel=tuple(body["funnel"]),
            extra={name: value for name, value in body.items() if name not in known},
        )

    @staticmethod
    def read(folder: Path) -> "Manifest":
        """The manifest in `folder` (or at a manifest file's own path). UsageError when it is missing or broken."""
        path = manifest_path(folder)
        try:
            return Manifest.from_dict(json.loads(path.read_bytes()), path.parent)
        except FileNotFoundError:
            raise UsageError(f"{path.parent} is not a finished dataset: it has no {MANIFEST}") from None
        except StoreError:
            raise
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"no field {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
            raise UsageError(f"{path} cannot be read as a manifest: {reason}") from None


def _table(body: Mapping[str, Any], folder: Path) -> FileTable:
    ref = TableRef(**body["files"])
    if Path(ref.path).name != ref.path:
        raise ValueError(f"path {ref.path!r} leaves the dataset's folder")
    sums = {FileKind.SHARD: "shards", FileKind.LEDGER: "ledger", FileKind.FILE: "other_files"}
    return FileTable(folder, ref, int(body["parts"]), {kind: Sums(**body[name]) for kind, name in sums.items()})


def _listed(body: Mapping[str, Any]) -> FileTable:
    """The files that a manifest of the earlier format lists: each partition has a ledger, of no rows where nothing was
    rejected, and there may be partitions of tokens without a shard."""
    shards = [Shard(**shard) for shard in body["shards"]]
    ledger = [Shard(**shard) for shard in body["ledger"]]
    parts = {shard.path: part for part, shard in enumerate(shards)}
    if ledger:  # the ledger of a partition is named as its shard
        number = {Path(each.path).stem: part for part, each in enumerate(ledger)}
        parts = {shard.path: number.get(Path(shard.path).stem, part) for part, shard in enumerate(shards)}
    rows: list[tuple[FileKind, int | None, Shard | FileRef]] = [
        *((FileKind.SHARD, parts[shard.path], shard) for shard in shards),
        *((FileKind.LEDGER, part, each) for part, each in enumerate(ledger)),
        *((FileKind.FILE, None, FileRef(**file)) for file in body["files"]),
    ]
    return table_in_memory(rows, len(ledger) or len(shards))


def manifest_path(path: Path) -> Path:
    return path if path.name == MANIFEST else path / MANIFEST


def manifest_ref(folder: Path) -> InputRef:
    """How another manifest names this dataset: by its stage, and the sha256 of its manifest file."""
    return InputRef(Manifest.read(folder).stage, sha256_file(manifest_path(folder)))


def check_invariant(manifest: Manifest) -> None:
    """Raises WorkError unless the counts obey the conservation invariant of the manifest's kind."""
    counts = manifest.counts
    rows = manifest.shards.sums.rows
    equal: list[tuple[str, int, int]] = [("rows in shards = out", rows, counts["out"])]
    if manifest.kind in (Kind.RECORDS, Kind.DOCUMENTS):
        skipped = sum(number for name, number in counts.items() if name.startswith("skipped/"))
        accounted = counts["out"] + counts.get("rejected", 0) + skipped
        equal.append(("in = out + rejected + skipped", counts["in"], accounted))
        equal.append(("documents in the ledger = rejected", counts["ledger_documents"], counts.get("rejected", 0)))
    if manifest.kind is Kind.RECORDS and "bytes/file" in counts:
        parts = sum(counts.get(f"bytes/{part}", 0) for part in ("members", "damaged", "beyond_limit"))
        equal.append(("members + damaged + beyond the limit = file size", parts, counts["bytes/file"]))
    if manifest.kind is Kind.TOKENS:
        tokens = manifest.shards.sums.tokens
        equal.append(("tokens in shards = tokens of documents", tokens, counts["tokens"]))
    for invariant, left, right in equal:
        if left != right:
            raise WorkError(
                f"stage {manifest.stage!r} breaks its invariant ({invariant}): {left} is not {right}; "
                "nothing was committed"
            )
