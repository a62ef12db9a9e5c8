"""The rows of a partition in order, also where they are more than memory is meant to hold.

A partition is cut so that its rows fit (`sizes.py`), but rows of equal key are never parted, and one key may have
gigabytes: a page with millions of copies. Then the rows are sorted part by part, each part is written to this machine's
disk, and the parts are merged as they are read. The order is the same either way: by the given columns, equal rows as
they came.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.storage import disk_errors, scratch_folder

# So many bytes of rows are sorted at once: more than any partition has whose keys are many.
HELD_BYTES = 384 * 2**20
# The rows of a batch that is yielded, and of one of a written part.
BATCH_ROWS, RUN_ROWS = 65536, 16384
# An array of strings holds less than 2 GiB, and so does what is taken from several.
SMALL_ARRAYS = 2**30
LARGE = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}
_RUN = "_run"

SortKeys = Sequence[tuple[str, str]]


def sorted_rows(tables: Sequence[pa.Table], keys: SortKeys) -> Iterator[pa.RecordBatch]:
    """Batches of up to `BATCH_ROWS` rows of all tables, of which there is one at least; a column that a table lacks is
    null there. Of two equal rows the one of the earlier table, or that came earlier in it, is first."""
    schema = pa.unify_schemas([table.schema for table in tables], promote_options="default")
    groups = [*grouped(tables)]
    del tables  # so that rows that were read into memory are held once, in one array a column
    if len(groups) == 1:
        yield from _sorted(groups.pop(), keys, schema, BATCH_ROWS)
        return
    with ExitStack() as stack:
        runs: list[Path] = []
        while groups:
            path = scratch_folder() / f"run-{uuid.uuid4().hex}.arrow"
            stack.callback(path.unlink, missing_ok=True)
            write_run(path, _sorted(groups.pop(0), keys, schema, RUN_ROWS), schema)
            runs.append(path)
        yield from merged([*map(read_run, runs)], keys)


def grouped(tables: Sequence[pa.Table]) -> Iterator[list[pa.Table]]:
    """Tables that are sorted at once, in their order: up to `HELD_BYTES`, or one."""
    held: list[pa.Table] = []
    size = 0
    for table in tables:
        if held and size + table.nbytes > HELD_BYTES:
            yield held
            held, size = [], 0
        held.append(table)
        size += table.nbytes
    yield held


def _sorted(tables: list[pa.Table], keys: SortKeys, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of these tables in order, `rows` at a time. The list is emptied."""
    table = combined(pa.concat_tables([schema.empty_table(), *tables], promote_options="default"))
    tables.clear()
    order = pc.sort_indices(table, sort_keys=list(keys))
    for start in range(0, len(order), rows):
        for batch in table.take(order.slice(start, rows)).to_batches():
            yield as_before(batch, schema)


def combined(table: pa.Table) -> pa.Table:
    """A table with one array a column. Where its strings may together be too long for one array, they are large
    strings."""
    if table.nbytes >= SMALL_ARRAYS:
        fields = [field.with_type(LARGE.get(field.type, field.type)) for field in table.schema]
        table = table.cast(pa.schema(fields))
    return table.combine_chunks()


def as_before(rows: pa.RecordBatch | pa.Table, schema: pa.Schema) -> pa.RecordBatch | pa.Table:
    """A batch or a table whose strings are as they were before `combined`."""
    return rows if rows.schema == schema else rows.cast(schema)


def write_run(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
    with disk_errors(path.parent), pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def read_run(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as reader:
        yield from reader


def merged(runs: Sequence[Iterator[pa.RecordBatch]], keys: SortKeys) -> Iterator[pa.RecordBatch]:
    """Sorted runs as one; of equal rows those of an earlier run are first. Of each run one batch is in memory: what is
    not beyond the last row of any batch whose run goes on is in its final place."""
    fronts: list[pa.Table | None] = [None] * len(runs)
    going = [True] * len(runs)
    while True:
        for number, run in enumerate(runs):
            front = fronts[number]
            while going[number] and (front is None or not front.num_rows):
                batch = next(run, None)
                going[number] = batch is not None
                front = fronts[number] = None if batch is None else pa.Table.from_batches([batch])
        filled = [number for number, front in enumerate(fronts) if front is not None and front.num_rows]
        if not filled:
            return
        parts = [front for front in fronts if front is not None and front.num_rows]
        sizes = [part.num_rows for part in parts]
        table = pa.concat_tables(parts).combine_chunks()
        order = pc.sort_indices(table, sort_keys=list(keys)).to_numpy()
        ends = np.cumsum(sizes)
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(len(order))
        last = [places[end - 1] for number, end in zip(filled, ends, strict=True) if going[number]]
        ready = int(min(last)) + 1 if last else len(order)
        taken = np.bincount(np.searchsorted(ends, order[:ready], side="right"), minlength=len(filled))
        for number, part, count in zip(filled, parts, taken.tolist(), strict=True):
            fronts[number] = part.slice(count)
        yield from table.take(pa.array(order[:ready])).combine_chunks().to_batches(max_chunksize=BATCH_ROWS)
