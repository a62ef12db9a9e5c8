"""A range of a run: the rows that it has, of no more row groups than may have them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dedup.index.keys import bits_for, part_range, parts_of, prefixes, to_arrow, to_numpy
from dedup.index.tables import BANDS, DOCUMENTS, table_of
from infra.dataset.manifest import Header, InputRef, Kind, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.engines.task import Output
from pipeline.index.runs import Alive, RangePart, Ranges, Stored, in_order

ROWS, GROUP, BITS = 2000, 64, 2
DRAW = np.random.default_rng(3)
HASHES = np.sort(DRAW.integers(0, 2**64 - 1, ROWS, dtype=np.uint64, endpoint=True))
KEYS = np.frombuffer(DRAW.bytes(16 * ROWS), "S16")


class Bands:
    """The rows of a part as a task."""

    schema = BANDS.with_metadata({"row_group_rows": str(GROUP)})
    fingerprint = "test:bands"

    def __call__(self, part: RangePart):  # type: ignore[no-untyped-def]
        mine = parts_of(HASHES, BITS) == part.number
        size = int(mine.sum())
        columns = {
            "hash": HASHES[mine],
            "key": KEYS[mine],
            "snapshot": np.arange(size) % 3,
            "kept": np.ones(size, bool),
        }
        yield Output(table_of(BANDS, columns))


@pytest.fixture
def run(tmp_path: Path) -> Stored:
    header = Header(Kind.TABLE, "index.bands", RecipeRef("index", "0" * 64), {}, (InputRef("made", "rows"),))
    return Stored.of(LocalEngine().map_shards(Bands(), [Ranges((), BITS)], tmp_path / "run", header))


def test_ranges_of_other_sizes(run: Stored) -> None:
    """Parts of a snapshot are fewer, or more, than the shards of a run."""
    assert run.bits == BITS and len(Dataset(Path(run.folder)).parts()) == 4
    for bits in range(6):
        found = [RangePart((run,), part, bits).table(BANDS)["hash"].to_numpy() for part in range(1 << bits)]
        assert np.array_equal(np.concatenate(found), HASHES)
        for part, hashes in enumerate(found):
            low, high = part_range(part, bits)
            assert np.array_equal(hashes, HASHES[(np.uint64(low) <= HASHES) & (np.uint64(high) >= HASHES)])


def test_only_row_groups_that_may_have_what_is_wanted_are_read(run: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    run.rows(0, 0)  # opens the manifest, whose table of files is Parquet too
    true = pq.ParquetFile.read_row_group

    def counted(file: pq.ParquetFile, group: int, **named: object) -> pa.Table:
        read.append(group)
        return true(file, group, **named)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    wanted = np.sort(np.append(HASHES[[5, 700, 701, 1999]], np.uint64(1)))
    assert np.array_equal(run.rows(0, 2**64 - 1, wanted)["hash"].to_numpy(), HASHES[[5, 700, 701, 1999]])
    assert len(read) == 3
    assert run.rows(0, 2**64 - 1, np.empty(0, np.uint64)).num_rows == 0
    assert len(read) == 3


def test_rows_that_count() -> None:
    """Not those of removed snapshots, nor of contents and documents that were taken down."""
    size = 12
    columns = {
        "key": KEYS[:size], "snapshot": np.arange(size) % 3, "place": np.arange(size) << 32,
        "kept": np.ones(size, bool),
        **{name: np.zeros(size, np.int64) for name in ("text_hash", "url_hash", "tokens", "warc_offset")},
        **dict.fromkeys(("id", "file_path"), pa.array(["x"] * size)),
    }  # fmt: skip
    documents = pa.Table.from_batches([table_of(DOCUMENTS, columns)])
    gone = (
        documents.take([1, 4, 3]).select(["key", "snapshot", "place"]).append_column("content", [[True, False, True]])
    )
    alive = Alive.of([0, 1], gone)
    assert [n >> 32 for n in alive.of_documents(documents)["place"].to_pylist()] == [0, 6, 7, 9, 10]
    assert [n >> 32 for n in alive.of_contents(documents)["place"].to_pylist()] == [0, 4, 6, 7, 9, 10]
    assert Alive.of([0, 1, 2], None).of_documents(documents).num_rows == size


def test_keys_sort_as_their_numbers() -> None:
    """In numpy and in Arrow, with zero bytes at either end."""
    numbers = [0, 1, 255, 256, 2**64, 2**127, 2**128 - 1, 0xFF << 120]
    keys = np.array([n.to_bytes(16, "big") for n in reversed(numbers)], "S16")
    table = pa.table({"key": to_arrow(keys)})
    assert np.array_equal(to_numpy(in_order(table, "key")["key"]), np.sort(keys))
    assert prefixes(np.sort(keys)).tolist() == [n >> 64 for n in sorted(numbers)]
    assert [bits_for(rows, 10) for rows in (0, 1, 10, 11, 20, 21, 81)] == [0, 0, 0, 1, 1, 2, 4]
