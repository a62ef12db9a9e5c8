"""`dedup`: removes copies over the whole pool, with evidence for each removal.

Retrieve (keys or MinHash bands are grouped in a reduction), verify (candidate pairs are compared by their shingles),
decide (survivor selection), apply (an aligned pass over the documents). Intermediate tables are datasets with receipts
of their own in `OUT/.work`, deleted when the result is committed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.candidates import Candidates, edge_rows
from dedup.components import node_set
from dedup.exact import KeepOne, key_table
from dedup.minhash import MinHash, band_table, shingle_table
from dedup.paragraphs import KEPT_LINES, LINES, KeepUnique, line_table, surviving_text
from dedup.substring import DUPLICATE_WINDOWS, WINDOWS, KeepRepeated, remaining_text, window_table
from dedup.survivors import select_survivors, unlinked_pairs
from dedup.tables import BANDS, DECISIONS, EDGES, JOIN, KEYS, NODES, document_numbers, node_table
from dedup.verify import AttachShingles, Verify
from infra.dataset.build import already_made
from infra.dataset.manifest import InputRef, Kind
from infra.dataset.reader import Dataset, Part, Source
from infra.engines.task import Output, Reducer, Task
from infra.hashing import sha256_json
from pipeline.job.carried import Carried, carried
from pipeline.job.context import Context
from pipeline.job.tables import Tables
from pipeline.recipes.recipe import Stage
from pipeline.stages.dedup_apply import ApplyCuts, ApplyDecisions
from pipeline.steps.dedup import Dedup

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NumberedPart:
    """A partition of documents with its number, and (for some tasks) the rows to read."""

    part: Any
    index: int
    wanted: tuple[int, ...] = field(default=(), repr=False)

    @property
    def fingerprint(self) -> str:
        return sha256_json([self.part.fingerprint, self.index, self.wanted])

    def numbered(self) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Yields batches with the row number in the shard of their first row."""
        row = 0
        for batch in self.part.batches():
            yield batch, row
            row += batch.num_rows


@dataclass(frozen=True)
class Numbered:
    """A source of numbered parts; `wanted`: the sorted document numbers to read (None: all)."""

    source: Source
    wanted: Numbers | None = None

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return self.source.refs

    def parts(self) -> Sequence[Part]:
        return self._parts

    @cached_property
    def _parts(self) -> list[NumberedPart]:
        parts = []
        for index, part in enumerate(self.source.parts()):
            rows: tuple[int, ...] = ()
            if self.wanted is not None:
                low, high = np.searchsorted(self.wanted, [index << 32, (index + 1) << 32])
                rows = tuple(self.wanted[low:high].tolist())
            parts.append(NumberedPart(part, index, rows))
        return parts


@dataclass(frozen=True)
class TableTask:
    """A pure function from a batch of documents to a batch of a table, as a task. `name` identifies the function in the
    fingerprint."""

    name: str
    schema: pa.Schema
    function: Callable[[pa.RecordBatch, NumberedPart, int], pa.RecordBatch]

    @property
    def fingerprint(self) -> str:
        return f"dedup:{self.name}"

    def __call__(self, part: NumberedPart) -> Iterator[Output]:
        for batch, first_row in part.numbered():
            yield Output(self.function(batch, part, first_row))


@dataclass(frozen=True)
class Keys:
    by: Any

    def __call__(self, batch: pa.RecordBatch, part: NumberedPart, first_row: int) -> pa.RecordBatch:
        return key_table(batch, part.index, first_row, self.by)


@dataclass(frozen=True)
class Bands:
    params: MinHash

    def __call__(self, batch: pa.RecordBatch, part: NumberedPart, first_row: int) -> pa.RecordBatch:
        return band_table(batch, part.index, first_row, self.params)


@dataclass(frozen=True)
class Shingles:
    params: MinHash

    def __call__(self, batch: pa.RecordBatch, part: NumberedPart, first_row: int) -> pa.RecordBatch:
        return shingle_table(batch, part.index, first_row, self.params, np.array(part.wanted, np.int64))


@dataclass(frozen=True)
class Windows:
    tokens: int

    def __call__(self, batch: pa.RecordBatch, part: NumberedPart, first_row: int) -> pa.RecordBatch:
        return window_table(batch, part.index, first_row, self.tokens)


def nodes(batch: pa.RecordBatch, part: NumberedPart, first_row: int) -> pa.RecordBatch:
    """The documents of a batch that have an edge, with the columns that survivor policies compare."""
    table = node_table(batch, part.index, first_row)
    numbers = document_numbers(table["shard"].to_numpy(), table["row"].to_numpy())
    return table.filter(pa.array(np.isin(numbers, np.array(part.wanted, np.int64))))


def lines(batch: pa.RecordBatch, part: NumberedPart, first_row: int) -> pa.RecordBatch:
    return line_table(batch, part.index, first_row, 0)


@dataclass(frozen=True)
class Reduce:
    """Adapts a reducer of `dedup/`, which yields batches, to the engine."""

    inner: Any
    schema: pa.Schema

    @property
    def fingerprint(self) -> str:
        return str(self.inner.fingerprint)

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        for batch in self.inner(partition, rows):
            yield Output(batch)


@dataclass(frozen=True)
class Forward:
    """Yields rows unchanged: used to repartition decisions like the shards of their documents, in document order."""

    schema: pa.Schema
    fingerprint: str = "dedup:forward"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        del partition
        for batch in rows:
            yield Output(batch.select(self.schema.names))


@dataclass(frozen=True)
class EdgesPart:
    """The whole pool's edges and nodes as one partition."""

    edges: tuple[Dataset, ...]
    nodes: Dataset

    @property
    def fingerprint(self) -> str:
        return sha256_json([ref.sha256 for dataset in (*self.edges, self.nodes) for ref in dataset.refs])

    def edge_table(self) -> pa.Table:
        return pa.concat_tables([dataset.to_arrow() for dataset in self.edges])


@dataclass(frozen=True)
class Edges:
    edges: tuple[Dataset, ...]
    nodes: Dataset

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return tuple(ref for dataset in (*self.edges, self.nodes) for ref in dataset.refs)

    def parts(self) -> list[EdgesPart]:
        return [EdgesPart(self.edges, self.nodes)]


@dataclass(frozen=True)
class Decide:
    """Selects the survivors of the whole pool, in one process with 16 bytes a node."""

    policy: Any
    link: Any
    schema: pa.Schema = DECISIONS

    @property
    def fingerprint(self) -> str:
        return f"dedup:decide:{self.policy}:{self.link}"

    def __call__(self, part: EdgesPart) -> Iterator[Output]:
        edges, table = part.edge_table(), part.nodes.to_arrow()
        if edges.num_rows:
            similarity = pc.fill_null(edges["jaccard"], float("nan")).to_numpy()
            a, b = edges["a"].to_numpy(), edges["b"].to_numpy()
            made = select_survivors(table, a, b, similarity, self.policy, self.link)
            yield Output(made)


@dataclass(frozen=True)
class Work:
    """One deduplication: its step, its documents, and its intermediate tables."""

    step: Dedup
    source: Source
    tables: Tables

    def map(self, name: str, task: Task, source: Source) -> Dataset:
        return self.tables.map(name, task, source)

    def reduce(self, name: str, tables: list[Dataset], key: str, reducer: Reducer) -> Dataset:
        return self.tables.reduce(name, tables, key, reducer)

    def to_shards(self, name: str, table: Dataset) -> Dataset:
        """Repartitions a table with a `shard` column like the documents of its rows."""
        return self.tables.reduce(name, [table], "shard", Forward(table.schema), len(self.source.parts()))


def dedup_stage(context: Context, stage: Stage, source: Source, out: Path) -> Dataset:
    """Removes copies by the stage's one dedup step. Raises UsageError for options that the method does not have."""
    step = cast("Dedup", stage.steps[0])  # the parser allows no other in a dedup stage
    options = step.checked_options()
    kind = Kind.RECORDS if step.method == "payload" else Kind.DOCUMENTS
    header = context.header(stage, kind, source.refs)
    if done := already_made(out, header):
        return done
    work = Work(step, source, Tables.of(context, stage.name, out))
    task: Task
    brought = carried(source) if kind is Kind.DOCUMENTS else None
    if step.method == "paragraphs":
        decisions = paragraph_decisions(work, options)
        task = ApplyCuts(
            step.name, context.recipe.sha256, brought or Carried(), "line", "no_unique_line", surviving_text
        )
    elif step.method == "substring":
        decisions = repeated_windows(work, options)
        sizes = (("size", options["tokens"]), ("min_characters", options["characters"]))
        task = ApplyCuts(
            step.name, context.recipe.sha256, brought or Carried(), "token", "nothing_left", remaining_text, sizes
        )
    else:
        decide_by = minhash_decisions if step.method == "minhash" else exact_decisions
        decisions = decide_by(work, options)
        threshold = options.get("threshold") if options.get("verify", True) else None
        task = ApplyDecisions(step.name, step.method, threshold, context.recipe.sha256, brought)
    return context.engine.map_shards(task, [source, decisions], out, header)


def exact_decisions(work: Work, options: dict[str, Any]) -> Dataset:
    keys = work.map("keys", TableTask(f"keys:{work.step.method}", KEYS, Keys(work.step.method)), Numbered(work.source))
    made = work.reduce("decisions", [keys], "key", Reduce(KeepOne(options["policy"]), DECISIONS))
    return work.to_shards("by-shard", made)


def minhash_decisions(work: Work, options: dict[str, Any]) -> Dataset:
    params = MinHash(options["bands"], options["rows"], options["ngram"])
    bands = work.map("bands", TableTask(f"bands:{params}", BANDS, Bands(params)), Numbered(work.source))
    candidates = work.reduce("candidates", [bands], "key", Reduce(Candidates(), JOIN))
    if options["verify"]:
        edges = [verified_edges(work, "", options, params, candidates)]
        if options["policy"] != "first" and options["link"] == "direct":
            edges.append(edges_to_the_best(work, options, params, edges[0]))
    else:
        edges = [work.map("edges", AsEdges(), candidates)]
    pool = Edges(tuple(edges), nodes_of(work, "nodes", edges))
    made = work.map("decisions", Decide(options["policy"], options["link"]), pool)
    return work.to_shards("by-shard", made)


def nodes_of(work: Work, name: str, edges: Sequence[Dataset]) -> Dataset:
    wanted = node_set((ends(dataset, "a", "b"), np.empty(0, np.int64)) for dataset in edges)
    return work.map(name, TableTask("nodes", NODES, nodes), Numbered(work.source, wanted))


def verified_edges(work: Work, suffix: str, options: dict[str, Any], params: MinHash, candidates: Dataset) -> Dataset:
    """The candidate pairs whose shingle sets reach the similarity threshold."""
    wanted = ends(candidates, "key", "other")
    task = TableTask(f"shingles:{params}", JOIN, Shingles(params))
    shingles = work.map(f"shingles{suffix}", task, Numbered(work.source, wanted))
    attached = work.reduce(f"attached{suffix}", [candidates, shingles], "key", Reduce(AttachShingles(), JOIN))
    verify = Verify(options["threshold"], options["measure"])
    return work.reduce(f"edges{suffix}", [attached, shingles], "key", Reduce(verify, EDGES))


def edges_to_the_best(work: Work, options: dict[str, Any], params: MinHash, edges: Dataset) -> Dataset:
    """Buckets are stars around their first document; if the policy prefers another, its pairs are verified too."""
    first = Edges((edges,), nodes_of(work, "nodes-first", [edges]))
    pairs = work.map("pairs-best", Unlinked(options["policy"]), first)
    return verified_edges(work, "-best", options, params, pairs)


@dataclass(frozen=True)
class Unlinked:
    """Pairs of a component's best document and a member without an edge to it, as candidates."""

    policy: Any
    schema: pa.Schema = JOIN

    @property
    def fingerprint(self) -> str:
        return f"dedup:unlinked:{self.policy}"

    def __call__(self, part: EdgesPart) -> Iterator[Output]:
        edges = part.edge_table()
        best, member = unlinked_pairs(part.nodes.to_arrow(), edges["a"].to_numpy(), edges["b"].to_numpy(), self.policy)
        if best.size:
            yield Output(edge_rows(best, member))


@dataclass(frozen=True)
class AsEdges:
    """Takes candidates as edges without verification, as some published recipes do."""

    schema: pa.Schema = EDGES
    fingerprint: str = "dedup:as-edges"

    def __call__(self, part: Any) -> Iterator[Output]:
        for batch in part.batches():
            empty = pa.nulls(batch.num_rows, pa.float64())
            yield Output(pa.RecordBatch.from_arrays([batch["key"], batch["other"], empty, empty], schema=EDGES))


def ends(edges: Dataset, a: str, b: str) -> Numbers:
    """The sorted, distinct document numbers of all edges."""
    batches = (batch for part in edges.parts() for batch in part.batches([a, b]))
    return node_set((batch[a].to_numpy(), batch[b].to_numpy()) for batch in batches)


def paragraph_decisions(work: Work, options: dict[str, Any]) -> Dataset:
    counted = work.map("lines", TableTask("lines", LINES, lines), Numbered(work.source))
    unique = work.reduce("unique", [counted], "key", Reduce(KeepUnique(options["within_document"]), KEPT_LINES))
    return work.to_shards("by-shard", unique)


def repeated_windows(work: Work, options: dict[str, Any]) -> Dataset:
    task = TableTask(f"windows:{options['tokens']}", WINDOWS, Windows(options["tokens"]))
    windows = work.map("windows", task, Numbered(work.source))
    repeated = work.reduce("repeated", [windows], "key", Reduce(KeepRepeated(), DUPLICATE_WINDOWS))
    return work.to_shards("by-shard", repeated)
