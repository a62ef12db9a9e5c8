"""`index remove`: a snapshot, or listed documents, are taken out of an index.

What is removed counts no more from then on, and its rows go when their runs are merged. Decisions that were made about
other documents are not undone: what was removed in favour of a document that is now gone stays removed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Set
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.index.keys import to_numpy
from dedup.index.sketch import url_hashes
from dedup.index.tables import DOCUMENTS, GONE
from pipeline.index.manifest import TAKEN, TAKEN_KEPT, TAKEN_TOKENS, Index, held_index
from pipeline.index.runs import Ranges


def remove_snapshot(folder: Path, name: str) -> Index:
    """The index without a snapshot. UsageError if there is none of this name."""
    with held_index(folder) as index:
        gone = index.named(name)
        left = tuple(snapshot for snapshot in index.snapshots if snapshot != gone)
        # its own runs, as long as they are not merged, go at once: they may be what is damaged
        changed = replace(index, snapshots=left, runs=tuple(run for run in index.runs if not run.is_of(gone)))
        if not left:
            changed = replace(changed, runs=(), gone=None)
        changed.save()
        return changed


def take_down(folder: Path, urls: Set[str], ids: Set[str]) -> int:
    """Take the documents with these normalised URLs, or ids, out of the index; how many they were.

    Reads the documents of all runs.
    """
    with held_index(folder) as index:
        alive = index.alive
        hashes = np.sort(url_hashes(pa.array(sorted(urls), pa.string())))
        wanted = pa.array(sorted(ids), pa.string())
        bits = max((run.bits for run in index.stored("documents")), default=0)
        found, count = [], 0
        taken: dict[int, Counter[str]] = defaultdict(Counter)  # by the number of the snapshot
        for part in Ranges(index.stored("documents"), bits).parts():
            rows = alive.of_documents(part.table(DOCUMENTS))
            hit = np.isin(rows["url_hash"].to_numpy(), hashes)
            hit |= pc.is_in(rows["id"], wanted).to_numpy()
            if hit.any():
                found.append(_gone(rows, hit))
                count += int(hit.sum())
                for number, counts in _counted(rows.filter(pa.array(hit))):
                    taken[number].update(counts)
        if found:
            changed = index.with_gone(pa.concat_tables(found))
            left = tuple(each.without(taken[each.number]) for each in changed.snapshots)
            replace(changed, snapshots=left).save()
        return count


def _counted(rows: pa.Table) -> Iterator[tuple[int, dict[str, int]]]:
    """Of each snapshot that has some of these rows of DOCUMENTS what `report` says of them."""
    for number in pc.unique(rows["snapshot"]).to_pylist():
        mine = rows.filter(pc.equal(rows["snapshot"], number))
        kept = mine.filter(mine["kept"])
        tokens = pc.sum(kept["tokens"]).as_py() or 0
        yield number, {TAKEN: mine.num_rows, TAKEN_KEPT: kept.num_rows, TAKEN_TOKENS: tokens}


def _gone(rows: pa.Table, hit: np.ndarray) -> pa.Table:
    """GONE of the rows that are hit; `content`: no other document of the snapshot has the content."""
    snapshots = rows["snapshot"].to_numpy()
    keys = to_numpy(rows["key"])
    order = np.lexsort((snapshots, keys))
    starts = np.flatnonzero(np.append(True, (keys[order][1:] != keys[order][:-1]) | (np.diff(snapshots[order]) != 0)))
    whole = np.empty(keys.size, np.bool_)
    whole[order] = np.repeat(np.logical_and.reduceat(hit[order], starts), np.diff(starts, append=keys.size))
    chosen = rows.filter(pa.array(hit)).select(["key", "snapshot", "place"])
    return chosen.append_column("content", pa.array(whole[hit])).cast(GONE)
