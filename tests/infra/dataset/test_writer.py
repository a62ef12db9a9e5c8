"""Which columns of a shard have dictionaries: all but those of which nearly every value is another one."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from infra.dataset.writer import DISTINCT, ShardWriter

OWN = pa.schema(
    [
        *((name, pa.string()) for name in sorted(DISTINCT)),
        ("token_count", pa.int64()),
        ("plain", pa.string()),
        ("group", pa.struct([("a", pa.float64()), ("deep", pa.struct([("text", pa.int32())]))])),
        ("list", pa.large_list(pa.list_(pa.string()))),
        ("pair", pa.list_(pa.int8(), 2)),
        ("map", pa.map_(pa.string(), pa.list_(pa.float32()))),
    ]
)


def test_columns_of_any_type_have_dictionaries_but_the_distinct_ones(tmp_path: Path) -> None:
    row = {
        "text": "a", "id": "b", "url": "c", "token_count": 1, "plain": "d", "group": {"a": 1.0, "deep": {"text": 2}},
        "list": [["a"], ["a"]], "pair": [1, 2], "map": [("k", [1.0])],
    }  # fmt: skip
    writer = ShardWriter(tmp_path, "part-00000.parquet", OWN)
    writer.write(pa.RecordBatch.from_pylist([row] * 3, OWN))
    writer.close()
    with pq.ParquetFile(tmp_path / "part-00000.parquet") as file:
        group = file.metadata.row_group(0)
        columns = [group.column(number) for number in range(group.num_columns)]
        assert file.read().to_pylist() == [row] * 3
    without = {column.path_in_schema for column in columns if not column.has_dictionary_page}
    assert without == DISTINCT and len(columns) == 11
