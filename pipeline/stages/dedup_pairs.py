"""Near copies, from documents to edges: bands retrieve candidate pairs, their shingle sets prove them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from dedup.candidates import Candidates
from dedup.components import node_set
from dedup.minhash import MinHash, band_table, shingle_table
from dedup.policy import columns_read, goes_by_content
from dedup.tables import BANDS, BANDS_BY_CONTENT, EDGES, JOIN, numbers_of
from dedup.verify import AttachShingles, Verify
from infra.dataset.reader import Dataset
from infra.engines.task import Output
from pipeline.stages.dedup_work import Numbers, Work


def edges_of(work: Work, options: dict[str, Any], params: MinHash) -> list[Dataset]:
    """EDGES of the pool, in several datasets."""
    by_content = goes_by_content(options["policy"])
    made = partial(band_table, params=params, by_content=by_content)
    schema = BANDS_BY_CONTENT if by_content else BANDS
    columns = ("text", *(columns_read("content") if by_content else ()))
    bands = work.table("bands", f"bands:{params}:{by_content}", schema, made, columns)
    candidates = work.reduce("candidates", [bands], Candidates(), JOIN)
    if options["verify"]:
        return [verified_edges(work, "", options, params, candidates)]
    return [work.tables.map("edges", AsEdges(), candidates)]


def verified_edges(work: Work, suffix: str, options: dict[str, Any], params: MinHash, candidates: Dataset) -> Dataset:
    """The candidate pairs whose shingle sets reach the similarity threshold."""
    wanted = candidate_ends(candidates)
    made = partial(shingle_table, params=params)
    shingles = work.table(f"shingles{suffix}", f"shingles:{params}", JOIN, made, ["text"], wanted)
    attached = work.reduce(f"attached{suffix}", [candidates, shingles], AttachShingles(), JOIN)
    verify = Verify(options["threshold"], options["measure"])
    return work.reduce(f"edges{suffix}", [attached, shingles], verify, EDGES)


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


def candidate_ends(candidates: Dataset) -> Numbers:
    """The sorted, distinct document numbers of all candidate pairs."""
    tables = (part.table(["key", "shard", "row"]) for part in candidates.parts())
    return node_set((table["key"].to_numpy(), numbers_of(table)) for table in tables)
