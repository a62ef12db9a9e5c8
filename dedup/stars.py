"""Connected components in rounds of two reductions, for graphs that do not fit on one machine (Kiveris et al.,
"Connected Components in MapReduce and Beyond", SoCC 2014: large-star and small-star, alternating).

Both look at one node and its neighbours at a time, of which they need the smallest first: so a reduction by node,
sorted by neighbour, streams whatever the number of neighbours. Large-star connects a node's larger neighbours to its
smallest (itself among them), small-star its smaller neighbours and itself. Neither joins components or splits one, and
in the end each is a star around its smallest document. The paper proves log² n rounds; it and our tests see log n.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup.tables import LOCATION, DocumentNumbers, batch_of, numbers_of, places, run_starts, values

# An edge from the document `key` to that at (shard, row).
STARS = pa.schema([("key", pa.int64()), *LOCATION])


def star_rows(key: DocumentNumbers, other: DocumentNumbers) -> pa.RecordBatch:
    """Edges from key[i] to other[i]."""
    return batch_of(STARS, {"key": key, **places(other)})


def both_ways(a: DocumentNumbers, b: DocumentNumbers) -> pa.RecordBatch:
    """Edges between a[i] and b[i], from either side; none from a document to itself."""
    apart = a != b
    a, b = a[apart], b[apart]
    return star_rows(np.concatenate([a, b]), np.concatenate([b, a]))


def large_stars(rows: Iterator[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Of edges from both sides, sorted: an edge from each larger neighbour of a node to the smallest, and one from each
    node without a smaller neighbour to itself; and how many edges are not those of a star around its smallest document.

    Where these are none the result has each document with the smallest of its component.
    """
    for key, other, smallest, first in _neighbours(rows):
        least = np.minimum(key, smallest)
        larger, root = other > key, first & (other > key)
        loose = int(np.count_nonzero(~first & (least < key)))
        yield star_rows(np.concatenate([other[larger], key[root]]), np.concatenate([least[larger], key[root]])), loose


def small_stars(rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Of edges to smaller documents, sorted: edges of each node and its neighbours to the smallest, from both sides.
    Edges from a document to itself are left out."""
    for key, other, smallest, first in _neighbours(rows):
        yield both_ways(np.where(first, key, other), smallest)


def _neighbours(
    rows: Iterator[pa.RecordBatch],
) -> Iterator[tuple[DocumentNumbers, DocumentNumbers, DocumentNumbers, npt.NDArray[np.bool_]]]:
    """(key, neighbour, the key's smallest neighbour, whether this is it) for each distinct edge, in batches; without
    edges from a document to itself."""
    last_key = last_other = last_smallest = np.full(1, -1)
    for batch in rows:
        key, other = values(batch, "key"), numbers_of(batch)
        apart = key != other
        # the edge before these, so that nothing depends on where a batch ends
        key, other = np.concatenate([last_key, key[apart]]), np.concatenate([last_other, other[apart]])
        if key.size == 1:
            continue
        starts = run_starts(key)
        smallest = other[starts]
        smallest[0] = last_smallest[0]
        smallest = np.repeat(smallest, np.diff(starts, append=key.size))
        first = np.zeros(key.size, np.bool_)
        first[starts] = True
        fresh = np.zeros(key.size, np.bool_)
        fresh[run_starts(key, other)] = True
        fresh[0] = False
        last_key, last_other, last_smallest = key[-1:], other[-1:], smallest[-1:]
        yield key[fresh], other[fresh], smallest[fresh], first[fresh]
