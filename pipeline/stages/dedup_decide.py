"""From verified edges to decisions: which documents of the pool survive, and what removes the others.

The components of the edges are found (`dedup_components.py`); then nodes and edges meet by component, and each
partition decides its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.by_component import ByComponent, Decide, Unlinked, member_edges, member_nodes, members_schema
from dedup.components import node_set
from dedup.named import NAMES, NameEvidence, via_table
from dedup.policy import Policy, columns_read
from dedup.tables import DECISIONS, JOIN, numbers_of, values
from infra.dataset.reader import Dataset, SideBySide
from infra.engines.task import Output
from pipeline.stages.dedup_components import ends_of, labels_of
from pipeline.stages.dedup_work import Numbers, Reduce, Work


def decisions_of(work: Work, options: dict[str, Any], edges: Sequence[Dataset]) -> Dataset:
    """DECISIONS for the documents that have an edge to another in one of these datasets of EDGES."""
    members = members_of(work, options, edges)
    decided = work.reduce("decided", [members], Decide(options["policy"], options["link"]), DECISIONS)
    through = others_between(decided) if options["link"] == "component" else np.empty(0, np.int64)
    if not through.size:
        return decided
    names = work.table("via", "via", DECISIONS, via_table, NAMES, through)
    return work.tables.reduce("decided-via", [names, decided], "evidence", Reduce(NameEvidence(), DECISIONS))


def pairs_with_the_best(work: Work, options: dict[str, Any], edges: Sequence[Dataset]) -> Dataset:
    """Candidate pairs, as JOIN: of each component the document that the policy prefers, and a member without an edge
    to it."""
    members = members_of(work, options, edges, "-first")
    return work.reduce("pairs-best", [members], Unlinked(options["policy"]), JOIN)


def members_of(work: Work, options: dict[str, Any], edges: Sequence[Dataset], suffix: str = "") -> Dataset:
    """`members_schema` with the component as `key`: the edges, and the documents that have one."""
    policy = options["policy"]
    ends = ends_of(work.tables, len(work.source.parts()), edges, suffix)
    labels = labels_of(work.tables, ends, edges, suffix)
    nodes = nodes_of(work, ends, policy, suffix)
    linked = work.tables.map(f"linked{suffix}", AsMembers(policy, options["measure"]), SideBySide(tuple(edges)))
    return work.reduce(f"members{suffix}", [labels, nodes, linked], ByComponent(policy), members_schema(policy))


def nodes_of(work: Work, ends: Dataset, policy: Policy, suffix: str = "") -> Dataset:
    """`members_schema` of the documents that have an edge, each with itself as `key`."""
    wanted = np.concatenate([numbers_of(part.table()) for part in ends.parts()])
    made = partial(member_nodes, policy=policy)
    return work.table(f"nodes{suffix}", f"nodes:{policy}", members_schema(policy), made, columns_read(policy), wanted)


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
        for batch in part.table(["a", "b", self.measure]).combine_chunks().to_batches():
            similarity = batch[self.measure]
            yield Output(member_edges(values(batch, "a"), values(batch, "b"), similarity, self.policy))


def others_between(decisions: Dataset) -> Numbers:
    """The sorted numbers of the documents through which another is a copy of its survivor."""
    tables = (part.table(["key", "evidence"]) for part in decisions.parts())
    through = (table.filter(pc.not_equal(table["key"], table["evidence"])) for table in tables)
    return node_set((values(table, "evidence"), np.empty(0, np.int64)) for table in through)
