"""From verified edges to decisions: which documents of the pool survive, and what removes the others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.components import node_set
from dedup.policy import Policy, columns_read
from dedup.survivors import select_survivors
from dedup.tables import DECISIONS, node_table, nodes_schema, numbers_of
from infra.dataset.manifest import InputRef
from infra.dataset.reader import Dataset
from infra.engines.task import Output
from infra.hashing import sha256_json
from pipeline.stages.dedup_work import Numbers, Work


def decisions_of(work: Work, options: dict[str, Any], edges: Sequence[Dataset]) -> Dataset:
    """DECISIONS for the documents that have an edge in one of these datasets of EDGES."""
    pool = Edges(tuple(edges), nodes_of(work, "nodes", edges, options["policy"]))
    return work.tables.map("decisions", Decide(options["policy"], options["link"]), pool)


def nodes_of(work: Work, name: str, edges: Sequence[Dataset], policy: Policy) -> Dataset:
    wanted = node_set((ends(dataset), np.empty(0, np.int64)) for dataset in edges)
    made = partial(nodes, policy=policy)
    return work.table(name, f"nodes:{policy}", nodes_schema(policy), made, columns_read(policy), wanted)


def ends(edges: Dataset) -> Numbers:
    """The sorted, distinct document numbers of all edges."""
    tables = (part.table(["a", "b"]) for part in edges.parts())
    return node_set((table["a"].to_numpy(), table["b"].to_numpy()) for table in tables)


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
