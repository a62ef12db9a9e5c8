"""How a reduction is cut: how many partitions it has, and which parts are spread together.

Both follow from the data alone, so that every engine, with any number of workers, makes the same files. What counts is
the size of rows in memory, not of the compressed shards: a partition is held in memory whole. Of D bytes,

- a partition holds D / 64, though at least 16 MiB and at most 256 MiB (unless a key alone has more);
- a group of parts holds as much, or one part.

So a small reduction has few files, one that takes a worker a minute has work for 64, and a terabyte has 4,096 groups
by 4,096 partitions: 16.8 million pieces of 64 KiB.
"""

import math
from collections.abc import Iterator, Sequence

from infra.dataset.reader import Dataset

LEAST_BYTES, MOST_BYTES, AT_ONCE = 16 * 2**20, 256 * 2**20, 64
# So many shards of a dataset are opened, evenly spaced, to measure how wide a row is.
MEASURED_SHARDS = 8


def partitions_for(inputs: Sequence[Dataset]) -> int:
    """How many partitions a reduction over these inputs needs."""
    size = sum(bytes_of(dataset) for dataset in inputs)
    return max(1, math.ceil(size / piece_bytes(size)))


def piece_bytes(size: int) -> int:
    """How many bytes of rows a partition has, or a group of parts, where all rows have `size`."""
    return min(MOST_BYTES, max(LEAST_BYTES, size // AT_ONCE))


def bytes_of(dataset: Dataset) -> int:
    """What the rows of a dataset take in memory, by the width of a row in a few of its shards."""
    return math.ceil(dataset.manifest.shards.sums.rows * row_bytes(dataset))


def row_bytes(dataset: Dataset) -> float:
    """The mean size of a row in memory: of the first rows of up to eight shards, evenly spaced."""
    parts = dataset.parts()
    filled = [number for number, shard in enumerate(dataset.manifest.shards) if shard.rows]
    step = max(1, len(filled) // MEASURED_SHARDS)
    size = rows = 0
    for number in filled[::step][:MEASURED_SHARDS]:
        batch = next(parts[number].batches())
        size, rows = size + batch.nbytes, rows + batch.num_rows
    return size / rows if rows else 0.0


def groups_of(dataset: Dataset, size: int) -> Iterator[range]:
    """The numbers of a dataset's shards, those that follow each other together up to about `size` bytes of rows. Each
    group has rows, whatever shards without any there are."""
    width = row_bytes(dataset)
    first, held = 0, 0.0
    for number, shard in enumerate(dataset.manifest.shards):
        if held and held + shard.rows * width > size:
            yield range(first, number)
            first, held = number, 0.0
        held += shard.rows * width
    if held:
        yield range(first, len(dataset.manifest.shards))
