"""From verified edges to decisions: which documents of the pool survive, and what removes the others.

The components of the edges are found (`dedup_components.py`); then nodes and edges meet by component, and each
partition decides its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dedup.by_component import ByComponent, Decide, member_edges, member_nodes, members_schema
from dedup.named import NAMES, NameEvidence, via_table
from dedup.policy import Policy, preference_fields
from dedup.tables import DECISIONS, PLACES, batch_of, distinct, numbers_of, places, values
from infra.dataset.reader import Dataset, ShardReader, SideBySide
from infra.engines.task import Output
from pipeline.stages.dedup_components import ends_of, labels_of
from pipeline.stages.dedup_parts import OfShards, large_batches
from pipeline.stages.dedup_work import Reduce, Work


def decisions_of(work: Work, options: dict[str, Any], edges: Sequence[Dataset], signatures: Dataset) -> Dataset:
    """DECISIONS for the documents that have an edge to another in one of these datasets of EDGES. `signatures`: what
    the policy compares, as `dedup_pairs.signatures_of`."""
    members = members_of(work, options, edges, signatures)
    decided = work.reduce("decided", [members], Decide(options["policy"], options["link"]), DECISIONS)
    if options["link"] != "component":
        return decided
    through = work.tables.map("through", Through(), decided)
    if not through.manifest.shards.sums.rows:
        return decided
    names = work.of_some("via", "via", DECISIONS, via_rows, NAMES, through)
    return work.tables.reduce("decided-via", [names, decided], "evidence", Reduce(NameEvidence(), DECISIONS))


def members_of(work: Work, options: dict[str, Any], edges: Sequence[Dataset], signatures: Dataset) -> Dataset:
    """`members_schema` with the component as `key`: the edges, and the documents that have one."""
    policy = options["policy"]
    ends = ends_of(work.tables, len(work.source.parts()), edges)
    labels = labels_of(work.tables, ends, edges)
    nodes = work.tables.map("nodes", Nodes(policy), signatures, work.by_group(ends, PLACES, "ends-by-group"))
    linked = work.tables.map("linked", AsMembers(policy, options["measure"]), SideBySide(tuple(edges)))
    return work.reduce("members", [labels, nodes, linked], ByComponent(policy), members_schema(policy))


@dataclass(frozen=True)
class Nodes:
    """`members_schema` of the documents that have an edge, each with itself as `key`, of their signatures."""

    policy: Policy

    @property
    def fingerprint(self) -> str:
        return f"dedup:nodes:{self.policy}"

    @property
    def schema(self) -> pa.Schema:
        return members_schema(self.policy)

    def __call__(self, part: ShardReader, ends: OfShards) -> Iterator[Output]:
        wanted = numbers_of(ends.table())
        names = ["shard", "row", *(field.name for field in preference_fields(self.policy))]
        for batch in large_batches(part, names) if wanted.size else ():
            yield Output(member_nodes(batch, self.policy, wanted))


@dataclass(frozen=True)
class AsMembers:
    """EDGES as `members_schema`, with one measure of similarity."""

    policy: Policy
    measure: str

    @property
    def fingerprint(self) -> str:
        return f"dedup:as-members:{self.policy}:{self.measure}"

    @property
    def schema(self) -> pa.Schema:
        return members_schema(self.policy)

    def __call__(self, part: Any) -> Iterator[Output]:
        for batch in part.table(["a", "b", self.measure, "bands"]).combine_chunks().to_batches():
            a, b, similarity = values(batch, "a"), values(batch, "b"), batch[self.measure]
            yield Output(member_edges(a, b, similarity, batch["bands"], self.policy))


def via_rows(documents: pa.RecordBatch, first: int, through: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    yield via_table(documents, first >> 32, first & 0xFFFFFFFF, distinct(numbers_of(through)))


@dataclass(frozen=True)
class Through:
    """The places of the documents through which another is a copy of its survivor, of DECISIONS."""

    schema: pa.Schema = PLACES
    fingerprint: str = "dedup:through"

    def __call__(self, part: ShardReader) -> Iterator[Output]:
        table = part.table(["key", "evidence"])
        through = table.filter(pc.not_equal(table["key"], table["evidence"]))
        if through.num_rows:
            yield Output(batch_of(PLACES, places(distinct(values(through, "evidence")))))
