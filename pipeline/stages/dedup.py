"""`dedup`: removes copies over the whole pool, with evidence for each removal.

Retrieve (keys or MinHash bands are grouped in a reduction), verify (candidate pairs are compared by their shingles),
decide (survivor selection), apply (an aligned pass over the documents). Intermediate tables are datasets with receipts
of their own in `OUT/.work`, deleted when the result is committed; in them a document is its number, eight bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.candidates import Candidates, edge_rows
from dedup.components import node_set
from dedup.exact import NORMALISE, key_table
from dedup.keep import KeepOne, KeyBySurvivor
from dedup.marks import READ
from dedup.minhash import MinHash, band_table, shingle_table
from dedup.paragraphs import KEPT_LINES, LINES, KeepUnique, line_table, surviving_text
from dedup.policy import Policy, columns_read, goes_by_content
from dedup.survivors import select_survivors, unlinked_pairs
from dedup.tables import (
    BANDS,
    BANDS_BY_CONTENT,
    DECISIONS,
    EDGES,
    JOIN,
    keys_schema,
    node_table,
    nodes_schema,
    numbers_of,
)
from dedup.verify import AttachShingles, Verify
from infra.dataset.build import already_made
from infra.dataset.manifest import InputRef, Kind
from infra.dataset.reader import Dataset, Source
from infra.engines.task import Output, Task
from infra.hashing import sha256_json
from pipeline.job.carried import Carried, carried
from pipeline.job.context import Context
from pipeline.job.tables import Tables
from pipeline.recipes.recipe import Stage
from pipeline.stages.dedup_apply import ApplyCuts, ApplyDecisions
from pipeline.stages.dedup_spans import ApplySpans, cut_of, repeated_spans
from pipeline.stages.dedup_work import Numbers, Work
from pipeline.steps.dedup import Dedup


def nodes(batch: pa.RecordBatch, shard: int, first_row: int, policy: Policy, wanted: Numbers) -> pa.RecordBatch:
    """The documents of a batch that have an edge, with the columns that the policy compares."""
    table = node_table(batch, shard, first_row, policy)
    return table.filter(pa.array(np.isin(numbers_of(table), wanted)))


@dataclass(frozen=True)
class Edges:
    """The whole pool's edges and nodes: a source of one partition, itself."""

    edges: tuple[Dataset, ...]
    nodes: Dataset

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return tuple(ref for dataset in (*self.edges, self.nodes) for ref in dataset.refs)

    @property
    def fingerprint(self) -> str:
        return sha256_json([ref.sha256 for ref in self.refs])

    def parts(self) -> list["Edges"]:
        return [self]

    def edge_table(self) -> pa.Table:
        return pa.concat_tables([dataset.to_arrow(["a", "b", "jaccard"]) for dataset in self.edges])


@dataclass(frozen=True)
class Decide:
    """Selects the survivors of the whole pool, in one process with 16 bytes a node."""

    policy: Any
    link: Any
    schema: pa.Schema = DECISIONS

    @property
    def fingerprint(self) -> str:
        return f"dedup:decide:{self.policy}:{self.link}"

    def __call__(self, part: Edges) -> Iterator[Output]:
        edges, table = part.edge_table(), part.nodes.to_arrow()
        if edges.num_rows:
            similarity = pc.fill_null(edges["jaccard"], float("nan")).to_numpy()
            a, b = edges["a"].to_numpy(), edges["b"].to_numpy()
            made = select_survivors(table, a, b, similarity, self.policy, self.link)
            yield Output(made)


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
        decisions = [paragraph_decisions(work, options)]
        task = ApplyCuts(
            step.name, context.recipe.sha256, brought or Carried(), "line", "no_unique_line", surviving_text
        )
    elif step.method == "substring":
        cut = cut_of(options)
        decisions = repeated_spans(work, cut.windows)
        task = ApplySpans(step.name, context.recipe.sha256, brought or Carried(), cut)
    else:
        decide_by = minhash_decisions if step.method == "minhash" else exact_decisions
        decisions = [decide_by(work, options)]
        threshold = options.get("threshold") if options.get("verify", True) else None
        task = ApplyDecisions(step.name, step.method, threshold, context.recipe.sha256, brought)
    return context.engine.map_shards(task, [source, *decisions], out, header)


def exact_decisions(work: Work, options: dict[str, Any]) -> Source:
    by: Any = work.step.method
    policy = options["policy"]
    read = READ if by == "text" else (NORMALISE[by][0],)
    made, columns = partial(key_table, by=by, policy=policy), (*read, *columns_read(policy))
    keys = work.table("keys", f"keys:{by}:{policy}", keys_schema(policy), made, columns)
    decisions = work.reduce("decisions", [keys], KeepOne(policy), DECISIONS)
    if policy != "first":
        decisions = work.reduce("by-survivor", [decisions], KeyBySurvivor(), DECISIONS)
    return work.applicable(decisions)


def minhash_decisions(work: Work, options: dict[str, Any]) -> Source:
    params = MinHash(options["bands"], options["rows"], options["ngram"])
    by_content = goes_by_content(options["policy"])
    made = partial(band_table, params=params, by_content=by_content)
    schema = BANDS_BY_CONTENT if by_content else BANDS
    columns = (*READ, *(columns_read("content") if by_content else ()))
    bands = work.table("bands", f"bands:{params}:{by_content}", schema, made, columns)
    candidates = work.reduce("candidates", [bands], Candidates(), JOIN)
    if options["verify"]:
        edges = [verified_edges(work, "", options, params, candidates)]
        if options["policy"] not in CENTRES and options["link"] == "direct":
            edges.append(edges_to_the_best(work, options, params, edges[0]))
    else:
        edges = [work.tables.map("edges", AsEdges(), candidates)]
    pool = Edges(tuple(edges), nodes_of(work, "nodes", edges, options["policy"]))
    return work.applicable(work.tables.map("decisions", Decide(options["policy"], options["link"]), pool))


# The policies whose best document of a bucket is the centre of its star.
CENTRES = ("content", "first")


def nodes_of(work: Work, name: str, edges: Sequence[Dataset], policy: Policy) -> Dataset:
    wanted = node_set((ends(dataset), np.empty(0, np.int64)) for dataset in edges)
    made = partial(nodes, policy=policy)
    return work.table(name, f"nodes:{policy}", nodes_schema(policy), made, columns_read(policy), wanted)


def verified_edges(work: Work, suffix: str, options: dict[str, Any], params: MinHash, candidates: Dataset) -> Dataset:
    """The candidate pairs whose shingle sets reach the similarity threshold."""
    wanted = candidate_ends(candidates)
    made = partial(shingle_table, params=params)
    shingles = work.table(f"shingles{suffix}", f"shingles:{params}", JOIN, made, READ, wanted)
    attached = work.reduce(f"attached{suffix}", [candidates, shingles], AttachShingles(), JOIN)
    verify = Verify(options["threshold"], options["measure"])
    return work.reduce(f"edges{suffix}", [attached, shingles], verify, EDGES)


def edges_to_the_best(work: Work, options: dict[str, Any], params: MinHash, edges: Dataset) -> Dataset:
    """Buckets are stars around one document; if the policy prefers another, its pairs are verified too."""
    first = Edges((edges,), nodes_of(work, "nodes-first", [edges], options["policy"]))
    pairs = work.tables.map("pairs-best", Unlinked(options["policy"]), first)
    return verified_edges(work, "-best", options, params, pairs)


@dataclass(frozen=True)
class Unlinked:
    """Pairs of a component's best document and a member without an edge to it, as candidates."""

    policy: Any
    schema: pa.Schema = JOIN

    @property
    def fingerprint(self) -> str:
        return f"dedup:unlinked:{self.policy}"

    def __call__(self, part: Edges) -> Iterator[Output]:
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
            other = pa.array(numbers_of(batch))
            yield Output(pa.RecordBatch.from_arrays([batch["key"], other, empty, empty], schema=EDGES))


def ends(edges: Dataset) -> Numbers:
    """The sorted, distinct document numbers of all edges."""
    tables = (part.table(["a", "b"]) for part in edges.parts())
    return node_set((table["a"].to_numpy(), table["b"].to_numpy()) for table in tables)


def candidate_ends(candidates: Dataset) -> Numbers:
    """The sorted, distinct document numbers of all candidate pairs."""
    tables = (part.table(["key", "shard", "row"]) for part in candidates.parts())
    return node_set((table["key"].to_numpy(), numbers_of(table)) for table in tables)


def paragraph_decisions(work: Work, options: dict[str, Any]) -> Source:
    counted = work.table("lines", "lines", LINES, partial(line_table, block=0), ["text"])
    unique = work.reduce("unique", [counted], KeepUnique(options["within_document"]), KEPT_LINES)
    return work.to_shards(unique, KEPT_LINES)
