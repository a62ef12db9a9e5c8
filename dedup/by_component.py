"""Decisions as a reduction by component: the edges and nodes of a component come together, and are decided there.

First a reduction by document puts the component's number, its smallest document, on each node and on each edge
(`ByComponent`). Then a reduction by component decides some whole components at a time. Memory: the largest component,
or `COMPONENT_ROWS`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dedup.policy import Policy, preference_fields
from dedup.survivors import Link, select_survivors
from dedup.tables import (
    LOCATION,
    DocumentNumbers,
    batch_of,
    numbers_of,
    places,
    run_starts,
    stretched,
    values,
)

# So many rows are decided together, rounded up to whole components: most have two or three documents.
COMPONENT_ROWS = 1 << 16
# The component of document `key`: its smallest document. At (-1, -1), so that it comes before what is said of it.
LABELS = pa.schema([("key", pa.int64()), *LOCATION, ("label", pa.int64())])


def members_schema(policy: Policy) -> pa.Schema:
    """Nodes and edges of a graph of copies. A node: (shard, row), and what the policy compares; `other` is -1. An edge:
    (shard, row) is one end, `other` the number of the other; `similarity` and `bands` are null where nothing was
    measured."""
    own = [("other", pa.int64()), ("similarity", pa.float64()), ("bands", pa.int16())]
    return pa.schema([("key", pa.int64()), *LOCATION, *own, *preference_fields(policy)])


def label_rows(nodes: DocumentNumbers, labels: DocumentNumbers) -> pa.RecordBatch:
    return batch_of(LABELS, {"key": nodes, **places(np.full(nodes.size, -1)), "label": labels})


def member_nodes(signed: pa.RecordBatch, policy: Policy, wanted: DocumentNumbers) -> pa.RecordBatch:
    """Those of a batch of documents that are `wanted` (sorted, distinct numbers), as `members_schema` keyed by
    themselves. The batch has their places and `preference_fields`, as `signed_schema` does."""
    numbers = numbers_of(signed)
    low, high = np.searchsorted(wanted, [numbers[0], numbers[-1] + 1]) if numbers.size else (0, 0)
    table = signed.filter(pa.array(np.isin(numbers, wanted[low:high], assume_unique=True)))
    own = {"key": numbers_of(table), "other": np.full(table.num_rows, -1)}
    nothing = {"similarity": pa.nulls(table.num_rows, pa.float64()), "bands": pa.nulls(table.num_rows, pa.int16())}
    return batch_of(members_schema(policy), {**dict(zip(table.schema.names, table.columns)), **own, **nothing})


def member_edges(
    a: DocumentNumbers, b: DocumentNumbers, similarity: pa.Array, bands: pa.Array, policy: Policy
) -> pa.RecordBatch:
    """Edges as `members_schema` keyed by a; none from a document to itself."""
    nothing = {field.name: pa.nulls(a.size, field.type) for field in preference_fields(policy)}
    given = {**nothing, "key": a, **places(a), "other": b, "similarity": similarity, "bands": bands}
    return batch_of(members_schema(policy), given).filter(pa.array(a != b))


@dataclass(frozen=True)
class ByComponent:
    """Reducer over LABELS and `members_schema` by document, to the latter with the component as `key`. Documents
    without a label are left out. Memory: one batch."""

    policy: Policy

    @property
    def fingerprint(self) -> str:
        return f"dedup.by_component.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        schema = members_schema(self.policy)
        document, component = np.full(1, -1), np.full(1, -1)  # of the last label, which may speak of the next batch
        for batch in rows:
            naming = values(batch, "row") < 0
            at = stretched(naming)
            keys, labels = values(batch, "key"), batch["label"].fill_null(-1).to_numpy()
            documents, components = np.concatenate([document, keys])[at], np.concatenate([component, labels])[at]
            document, component = documents[-1:], components[-1:]
            labelled = pa.array(~naming & (documents == keys))
            columns = {name: batch[name] for name in schema.names} | {"key": pa.array(components)}
            made = batch_of(schema, columns).filter(labelled)
            if made.num_rows:
                yield made


@dataclass(frozen=True)
class Decide:
    """Reducer over `members_schema` by component, to DECISIONS."""

    policy: Policy
    link: Link

    @property
    def fingerprint(self) -> str:
        return f"dedup.by_component.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for members in whole_components(rows):
            nodes, a, b, edges = nodes_and_edges(members)
            similarity = edges["similarity"].fill_null(float("nan")).to_numpy()
            bands = edges["bands"].fill_null(-1).to_numpy()
            yield select_survivors(nodes, a, b, similarity, self.policy, self.link, bands)


def whole_components(rows: Iterator[pa.RecordBatch], most: int | None = None) -> Iterator[pa.Table]:
    """The rows, sorted by component, in tables of whole components: `most` rows (COMPONENT_ROWS), or one component."""
    most = COMPONENT_ROWS if most is None else most
    held: list[pa.RecordBatch] = []
    size, last = 0, -1
    for batch in rows:
        if not batch.num_rows:
            continue
        keys = values(batch, "key")
        begins = int(run_starts(keys)[-1])
        if size + batch.num_rows > most and (begins or keys[0] != last) and size + begins:
            yield pa.Table.from_batches([*held, batch.slice(0, begins)])
            held, size = [], 0
            batch = batch.slice(begins)
        held.append(batch)
        size, last = size + batch.num_rows, int(keys[-1])
    if held:
        yield pa.Table.from_batches(held)


def nodes_and_edges(members: pa.Table) -> tuple[pa.Table, DocumentNumbers, DocumentNumbers, pa.Table]:
    """(the nodes, one end of each edge, the other, the edges) of `members_schema`."""
    node = values(members, "other") < 0
    edges = members.filter(pa.array(~node))
    return members.filter(pa.array(node)), numbers_of(edges), values(edges, "other"), edges
