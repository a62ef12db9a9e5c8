"""Rewrites a dataset without the documents of a list: rows removed from its shards, its ledger, its token shards.

In the first dataset of a run that has it, a listed document becomes one anonymous ledger row (step `takedown`, no URL,
no id, no file; its `warc_offset` is a serial number); if an earlier dataset has that row, the document is dropped
without a trace. So the counts keep the invariant of their kind, and the output of one stage is still the input of the
next.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.dataset import schema as schemas
from infra.dataset.build import Extras
from infra.dataset.files import FileRef
from infra.dataset.manifest import InputRef, Kind, Manifest
from infra.dataset.reader import BATCH_ROWS, Dataset, ShardReader
from infra.dataset.receipts import Totals
from infra.engines.task import Output
from infra.errors import WorkError
from infra.hashing import sha256_file, sha256_json
from infra.ledger import ledger_batch
from infra.storage import place, readable
from mixers.shards import TokenShardReader
from pipeline.inputs.reread import documents_in
from pipeline.revise.listed import Listed
from pipeline.stages.tokenize import MODEL, ROWS, TABLE, TokenSink, gathered, on_disk, open_tokenizer

STEP, RULE = "takedown", "listed"
# Replaces, in a ledger, the survivor of a copy if that survivor was taken down.
REDACTED = "takedown"

# File, offset and id: with several sources, two of them may have a file of one name.
Key = tuple[str, int, str]


# The columns of a ledger row that say which document its survivor is, and the one that was its evidence.
SURVIVOR = ["survivor", "survivor_path", "survivor_offset"]
VIA = "via"


@dataclass(frozen=True)
class Gone:
    """The removed documents as a ledger names survivors: by place; in ledgers of an earlier version, which lack it, by
    id, which other documents may have too."""

    places: frozenset[tuple[str, int]]
    ids: frozenset[str]

    def is_survivor_of(self, row: Mapping[str, Any], listed: Listed) -> bool:
        """Whether a ledger row names one, or an id of the list, as the survivor."""
        if row["survivor_path"] is None:
            return row["survivor"] in self.ids
        return (row["survivor_path"], row["survivor_offset"]) in self.places or row["survivor"] in listed.ids

    def is_evidence_of(self, row: Mapping[str, Any], listed: Listed) -> bool:
        """Whether a ledger row names one, or an id of the list, as the document that it was similar to."""
        via = row[VIA]
        return via is not None and (via in self.ids or via in listed.ids or via in self._names)

    @cached_property
    def _names(self) -> frozenset[str]:
        """Of documents without an id."""
        return frozenset(f"{path}:{offset}" for path, offset in self.places)


@dataclass(frozen=True)
class TokenPart:
    """One partition of a tokens dataset: its rows of documents.parquet with the tokens of each; `name` None: empty."""

    folder: str
    name: str | None
    sha256: str

    @property
    def fingerprint(self) -> str:
        return self.sha256

    def check(self) -> None:
        if self.name and sha256_file(place(self.folder) / self.name) != self.sha256:
            raise WorkError(f"{self.folder}/{self.name} has changed since it was written: make its dataset again")

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yields batches of ROWS, in the order of the shard."""
        if self.name is None:
            return
        folder = place(self.folder)
        table = pq.read_table(readable(folder / TABLE), filters=[("shard", "=", self.name)])
        with on_disk(folder / self.name, self.sha256) as shard:
            data = TokenShardReader(shard).data
            for part in table.combine_chunks().to_batches(max_chunksize=BATCH_ROWS):
                spans = zip(part["offset"].to_pylist(), part["length"].to_pylist(), strict=True)
                tokens = pa.array([data[start : start + length] for start, length in spans], pa.list_(pa.int32()))
                columns = [tokens if name == "tokens" else part[name] for name in ROWS.names]
                yield pa.RecordBatch.from_arrays(columns, schema=ROWS)


@dataclass(frozen=True)
class Whole:
    """One partition of a dataset with its ledger."""

    part: ShardReader | TokenPart
    ledger: ShardReader

    @property
    def fingerprint(self) -> str:
        return sha256_json([self.part.fingerprint, self.ledger.fingerprint])

    def check(self) -> None:
        self.ledger.check()


@dataclass(frozen=True)
class WithLedger:
    """A dataset, each partition with its ledger, as a source; passes on the `places` of its inputs."""

    dataset: Dataset

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return self.dataset.refs

    def places(self) -> dict[str, str]:
        return self.dataset.places()

    def parts(self) -> list[Whole]:
        return [Whole(part, ledger) for part, ledger in zip(parts_of(self.dataset), self.dataset.ledger_parts())]


def parts_of(dataset: Dataset) -> Sequence[ShardReader | TokenPart]:
    """The partitions of a dataset, as many as its ledger has; a partition without tokens has no shard."""
    if dataset.kind is not Kind.TOKENS:
        return dataset.parts()
    sums = {shard.path: shard.sha256 for shard in dataset.manifest.shards}
    names = [f"part-{index:05d}.bin" for index in range(dataset.manifest.parts)]
    return [TokenPart(str(dataset.folder), name if name in sums else None, sums.get(name, "empty")) for name in names]


@dataclass(frozen=True)
class TakedownTask:
    """Rewrites one partition without what is listed. `before`: keys in the ledger of an earlier dataset; `removed`:
    all removed documents, which no row may have as a survivor."""

    listed: Listed
    before: frozenset[Key] = field(repr=False)
    removed: Gone = field(repr=False)
    schema: pa.Schema = field(repr=False)

    @property
    def fingerprint(self) -> str:
        return sha256_json([STEP, self.listed.sha256, sorted(self.before), sorted(self.removed.places)])

    def __call__(self, whole: Whole) -> Iterator[Output]:
        gone: dict[Key, None] = {}
        kept = tokens = 0
        for rows in whole.part.batches():
            listed = self.listed.rows(rows)
            gone |= dict.fromkeys(keys_where(rows, listed))
            rest = rows.filter(pc.invert(pa.array(listed))) if any(listed) else rows
            kept += rest.num_rows
            tokens += pc.sum(rest["length"]).as_py() or 0 if "tokens" in rest.schema.names else 0
            yield Output(rest)
        ledger, earlier, lines = self._ledger(whole.ledger)
        gone |= dict.fromkeys(lines)
        new = [key for key in gone if key not in self.before]
        rejected = documents_in(ledger)
        rows = [
            {"step": STEP, "rule": RULE, "recipe": sha256} for sha256 in [*earlier, *[self.listed.sha256] * len(new)]
        ]
        taken = ledger_batch({**row, "warc_offset": serial} for serial, row in enumerate(rows))
        for batch in ledger.to_batches():
            yield Output(None, batch)
        counts = {"in": kept + rejected + len(rows), "rejected": rejected + len(rows)}
        yield Output(None, taken, counts | ({"tokens": tokens} if "tokens" in self.schema.names else {}))

    def _ledger(self, part: ShardReader) -> tuple[pa.Table, list[str], list[Key]]:
        """The rows to keep, with removed survivors redacted; the recipes of earlier takedowns; the keys removed."""
        table = part.table()
        taken = pc.is_null(table["file_path"])
        earlier = table.filter(taken)["recipe"].to_pylist()
        table = table.filter(pc.invert(taken))
        listed = self.listed.rows(table)
        gone = keys_where(table, listed)
        table = table.filter(pc.invert(pa.array(listed, pa.bool_())))
        rows = table.select([*SURVIVOR, VIA]).to_pylist()
        named = pa.array([self.removed.is_survivor_of(row, self.listed) for row in rows], pa.bool_())
        through = pa.array([self.removed.is_evidence_of(row, self.listed) for row in rows], pa.bool_())
        changes = zip((*SURVIVOR, VIA), (REDACTED, None, None, REDACTED), (named, named, named, through), strict=True)
        for name, other, where in changes:
            field = schemas.LEDGER.field(name)
            column = pc.if_else(where, pa.scalar(other, field.type), table[name])
            table = table.set_column(table.schema.get_field_index(name), field, column)
        return table, earlier, gone


@dataclass(frozen=True)
class TokensTask(TakedownTask):
    """The same for token shards; `path`: the tokenizer beside them."""

    path: str = field(default="", compare=False)

    def open_sink(self, folder: Path, index: int) -> TokenSink:
        return TokenSink(folder, index, open_tokenizer(self.path))


def keys_where(rows: pa.RecordBatch | pa.Table, chosen: Sequence[bool]) -> list[Key]:
    if not any(chosen):
        return []
    here = rows.select(["file_path", "warc_offset", "id"]).filter(pa.array(chosen))
    return [(row["file_path"], row["warc_offset"], row["id"] or "") for row in here.to_pylist()]


def task_for(dataset: Dataset, listed: Listed, before: frozenset[Key], removed: Gone) -> TakedownTask:
    if dataset.kind is Kind.TOKENS:
        return TokensTask(listed, before, removed, ROWS, str(dataset.folder / MODEL))
    return TakedownTask(listed, before, removed, dataset.schema)


def carry_over(manifest: Manifest, listed: Listed, model: Path) -> Extras:
    """Copies from the old manifest: counts of what never was a document, the plan, the pool's findings."""

    def extras(folder: Path, totals: Totals) -> tuple[dict[str, Any], list[FileRef]]:
        for name, number in manifest.counts.items():
            if "/" in name:
                totals.counts[name] = number
                totals.counts["in"] += number if name.startswith("skipped/") else 0
        extra = redacted(manifest.extra, listed)
        if manifest.kind is not Kind.TOKENS:
            return extra, []
        files, shares = gathered(folder, totals, str(model))
        return {**extra, "shares": shares}, files

    return extras


def redacted(value: Any, listed: Listed) -> Any:
    """Returns a JSON value in which every string that is a listed URL or id is replaced by REDACTED."""
    if isinstance(value, Mapping):
        return {redacted(name, listed): redacted(inner, listed) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner, listed) for inner in value]
    return REDACTED if isinstance(value, str) and listed.entry(value, value) else value
