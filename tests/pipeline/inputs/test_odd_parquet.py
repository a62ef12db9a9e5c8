"""Odd Parquet files: any type of column is read and kept, and damage costs its row group alone."""

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.dataset.manifest import check_invariant
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.inputs.columns import Columns
from pipeline.inputs.documents import DocumentFilePart, open_documents
from pipeline.inputs.inputs import read_inputs
from tests.pipeline.command import refinery

TEXTS = ["one", "two", "three"]
NANOSECONDS = pa.array([1, None, 1_600_000_000_000_000_001], pa.timestamp("ns"))
FAR = pa.array([2**62, None, 0], pa.timestamp("us"))
NOT_UTF8 = pa.array([b"caf\xe9", None, b"x"], pa.binary()).cast(pa.binary()).view(pa.string())
RECIPE = """name = "plain"
about = "one step over documents"

[[stage]]
name = "filter"
command = "filter"

  [[stage.step]]
  kind = "rewrite"
  edit = "limit_newlines"
"""
KINDS: dict[str, pa.Array] = {
    "bool": pa.array([True, None, False]),
    "int8": pa.array([1, None, -1], pa.int8()),
    "uint64": pa.array([2**64 - 1, None, 0], pa.uint64()),
    "float16": pa.array([1.5, None, -2.0], pa.float16()),
    "float32": pa.array([1.5, None, float("nan")], pa.float32()),
    "decimal128": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("-7.00")], pa.decimal128(20, 2)),
    "decimal256": pa.array([decimal.Decimal("9" * 50), None, decimal.Decimal(1)], pa.decimal256(60, 0)),
    "date32": pa.array([datetime.date(2020, 1, 2), None, datetime.date(1, 1, 1)]),
    "date64": pa.array([0, None, 86_400_000], pa.date64()),
    "time32": pa.array([1, None, 2], pa.time32("ms")),
    "time64": pa.array([1, None, 2], pa.time64("ns")),
    "timestamp of nanoseconds": NANOSECONDS,
    "timestamp far away": FAR,
    "timestamp of a zone": pa.array([1, None, 2], pa.timestamp("us", "Europe/Paris")),
    "timestamp of no zone": pa.array([1, None, 2], pa.timestamp("us", "Nowhere/Else")),
    "duration": pa.array([1, None, 2], pa.duration("ns")),
    "binary": pa.array([b"\xff\0", None, b""], pa.binary()),
    "fixed binary": pa.array([b"abcd", None, b"\xff\xff\xff\xff"], pa.binary(4)),
    "large binary": pa.array([b"\xff", None, b"x"], pa.large_binary()),
    "string": pa.array(["\ud7ff\0", None, ""]),
    "large string": pa.array(["a", None, "b"], pa.large_string()),
    "string view": pa.array(["a", None, "b" * 40], pa.string_view()),
    "binary view": pa.array([b"a", None, b"b" * 40], pa.binary_view()),
    "list of views": pa.array([["a"], None, ["b" * 40]], pa.list_(pa.string_view())),
    "struct of views": pa.array([{"a": "x"}, None, {"a": None}], pa.struct([("a", pa.string_view())])),
    "not utf-8": NOT_UTF8,
    "dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
    "dictionary of numbers": pa.array([7, None, 7]).dictionary_encode(),
    "list": pa.array([[1, None], None, []], pa.list_(pa.int32())),
    "large list": pa.array([["a"], None, []], pa.large_list(pa.string())),
    "fixed list": pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32(), 2)),
    "list of not utf-8": pa.ListArray.from_arrays(pa.array([0, 2, 2, 3], pa.int32()), NOT_UTF8),
    "list of dictionary": pa.array([["a"], None, ["b", "a"]], pa.list_(pa.dictionary(pa.int32(), pa.string()))),
    "struct": pa.array([{"a": 1, "b": {"c": "x"}}, None, {"a": None, "b": None}]),
    "struct of not utf-8": pa.StructArray.from_arrays([NOT_UTF8], names=["a"]),
    "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "null": pa.nulls(3),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16), None, bytes(range(16))], pa.binary(16))),
}


def part_of(path: Path) -> DocumentFilePart:
    (part,) = open_documents(read_inputs([str(path)]).documents, Columns()).parts()
    return part


def read(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    part = part_of(path)
    rows = [row for batch in part.batches() for row in batch.select(["text", "warc_offset"]).to_pylist()]
    return rows, [reject.rule for _, reject in part.rejects]


def texts_of(path: Path) -> tuple[list[str], list[str]]:
    rows, faults = read(path)
    return [row["text"] for row in rows], faults


def test_columns_of_any_type_are_kept_through_a_stage(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS, **KINDS}), tmp_path / "a.parquet")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    refinery("run", "--recipe", tmp_path / "recipe.toml", "--input", tmp_path / "a.parquet", "--out", tmp_path / "out")
    dataset = Dataset(tmp_path / "out" / "final")
    check_invariant(dataset.manifest)
    made, there = dataset.to_arrow(["text", *KINDS]), pq.read_table(tmp_path / "a.parquet")
    assert made["text"].to_pylist() == TEXTS
    for kind in KINDS:
        if "utf-8" in kind:
            assert "caf\ufffd" in repr(made[kind].to_pylist())
        elif made[kind].type == there[kind].type:
            same = made[kind].combine_chunks().equals(there[kind].combine_chunks())
            assert same or kind == "float32", kind  # NaN is no number
        else:
            assert made[kind].null_count == there[kind].null_count, kind


@pytest.mark.parametrize("name", ["url", "date", "id", "title", "language_score"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_column_of_ours_may_have_any_type(tmp_path: Path, name: str, kind: str) -> None:
    pq.write_table(pa.table({"text": TEXTS, name: KINDS[kind]}), tmp_path / "a.parquet")
    part = part_of(tmp_path / "a.parquet")
    (batch,) = part.batches()
    assert batch["text"].to_pylist() == TEXTS and not part.rejects
    batch.validate(full=True)


@pytest.mark.parametrize("kind", ["string", "binary", "large_binary", "large_string", "string_view", "dictionary"])
def test_texts_of_every_type_of_text(tmp_path: Path, kind: str) -> None:
    values = pa.array([*TEXTS, "caf\u00e9"])
    column = values.dictionary_encode() if kind == "dictionary" else values.cast(getattr(pa, kind)())
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    assert texts_of(tmp_path / "a.parquet") == ([*TEXTS, "caf\u00e9"], [])


@pytest.mark.parametrize("kind", ["list", "int8", "struct", "map", "fixed binary"])
def test_a_text_that_is_none_is_refused_with_its_type(tmp_path: Path, kind: str) -> None:
    pq.write_table(pa.table({"text": KINDS[kind]}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=r"column `text` is .* not text"):
        part_of(tmp_path / "a.parquet")


@pytest.mark.parametrize("names", [["text", "text"], ["n", "n", "text"], ["url", "text", "url"]])
def test_columns_of_one_name_are_refused(tmp_path: Path, names: list[str]) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array(TEXTS)] * len(names), names=names), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=f"has two columns called '{max(names, key=names.count)}': rename one"):
        part_of(tmp_path / "a.parquet")


ODD_NAMES = ["", " ", "a.b", "x" * 3000, "\n", "__index_level_0__", "signals", "file_path", "warc_offset", "copies"]


def test_columns_of_any_name_are_kept(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS, **{name: [1, 2, 3] for name in ODD_NAMES}}), tmp_path / "a.parquet")
    part = part_of(tmp_path / "a.parquet")
    (batch,) = part.batches()
    assert batch["text"].to_pylist() == TEXTS and not part.rejects
    kept = [column for column in batch.columns if column.to_pylist() == [1, 2, 3]]
    assert len(kept) == len(ODD_NAMES)


def damaged(folder: Path, compression: str = "zstd", checksums: bool = False, group: int = 1) -> Path:
    """Four row groups of 500, of which one has bytes changed in the middle of its texts."""
    path = folder / "a.parquet"
    rows = [f"{number} {number * 7919**5:x}" * 3 for number in range(2000)]
    pq.write_table(
        pa.table({"text": rows, "n": range(2000)}), path, row_group_size=500, compression=compression,
        use_dictionary=False, write_page_checksum=checksums,
    )  # fmt: skip
    chunk = pq.read_metadata(path).row_group(group).column(0)
    content = bytearray(path.read_bytes())
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    content[middle : middle + 16] = bytes(byte ^ 255 for byte in content[middle : middle + 16])
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "brotli", "lz4", "none"])
@pytest.mark.parametrize("group", [0, 1, 3])
def test_damage_costs_its_row_group_alone(tmp_path: Path, compression: str, group: int) -> None:
    rows, faults = read(damaged(tmp_path, compression, checksums=True, group=group))
    lost = range(group * 500, group * 500 + 500)
    assert [row["warc_offset"] for row in rows] == [number for number in range(2000) if number not in lost]
    assert faults == ["damage/parquet"]


def test_a_damaged_header_of_a_page(tmp_path: Path) -> None:
    path = damaged(tmp_path, checksums=True)
    content = bytearray(path.read_bytes())
    chunk = pq.read_metadata(path).row_group(2).column(1)
    content[chunk.data_page_offset : chunk.data_page_offset + 12] = b"\xff" * 12
    path.write_bytes(content)
    part = part_of(path)
    assert sum(batch.num_rows for batch in part.batches()) == 1000
    assert [(row["warc_offset"], row["warc_length"], reject.rule) for row, reject in part.rejects] == [
        (500, 500, "damage/parquet"),
        (1000, 500, "damage/parquet"),
    ]


def test_a_run_over_damage_accounts_for_it(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    words = ("run", "--recipe", tmp_path / "recipe.toml", "--input", damaged(tmp_path, checksums=True))
    refinery(*words, "--out", tmp_path / "out", code=1)
    manifest = Dataset(tmp_path / "out" / "final").manifest
    check_invariant(manifest)
    assert manifest.rejected_by == {"read/damage/parquet": 1}
    assert (manifest.counts["in"], manifest.counts["out"]) == (1501, 1500)


@pytest.mark.parametrize("cut", [0, 1, 12, -9, -1])
def test_a_file_without_its_end_is_refused_in_a_line(tmp_path: Path, cut: int) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[:cut])
    with pytest.raises(UsageError, match=r"a\.parquet cannot be read as Parquet: "):
        part_of(tmp_path / "a.parquet")


@pytest.mark.parametrize("cut", [0, 1, 12, -9, -1])
def test_a_file_without_its_end_beside_others_costs_itself_alone(tmp_path: Path, cut: int) -> None:
    for name in ("a", "b", "c"):
        pq.write_table(pa.table({"text": TEXTS, "n": range(len(TEXTS))}), tmp_path / f"{name}.parquet")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "b.parquet").read_bytes()[:cut])
    parts = open_documents(read_inputs([str(tmp_path)]).documents, Columns()).parts()
    assert [sum(batch.num_rows for batch in part.batches()) for part in parts] == [len(TEXTS), 0, len(TEXTS)]
    assert [(row["file_path"], reject.rule) for part in parts for row, reject in part.rejects] == [
        ("b.parquet", "damage/parquet")
    ]


def test_rows_that_are_no_documents(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one", None, "", "two"]}), tmp_path / "a.parquet")
    assert texts_of(tmp_path / "a.parquet") == (["one", "", "two"], ["no_text"])


def test_empty_row_groups_and_files(tmp_path: Path) -> None:
    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(tmp_path / "a.parquet", schema) as writer:
        for texts in (["one"], [], ["two"]):
            writer.write_table(pa.table({"text": texts}, schema))
    assert texts_of(tmp_path / "a.parquet") == (["one", "two"], [])
    pq.write_table(pa.table({"text": []}, schema), tmp_path / "b.parquet")
    assert texts_of(tmp_path / "b.parquet") == ([], [])


def test_the_same_rows_as_json(tmp_path: Path) -> None:
    rows = [{"text": text, "n": number, "tags": [text]} for number, text in enumerate(TEXTS)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    read = [
        [batch.select(["text", "n", "tags", "token_count"]).to_pylist() for batch in part_of(tmp_path / name).batches()]
        for name in ("a.parquet", "a.jsonl")
    ]
    assert read[0] == read[1]
