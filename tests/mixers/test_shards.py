"""Token shards: Megatron-Core's bytes exactly, read back exactly, and no damaged index gets past the reader."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from mixers.shards import DOCUMENT_COLUMNS, TokenShardReader, TokenShardWriter

EOD = 2
GOLDEN_DOCUMENT_COLUMNS = ([5, 6, 2], [2], [258, 2])
# Written by IndexedDatasetBuilder of megatron-core 0.16.1 from GOLDEN_DOCUMENT_COLUMNS, one add_document for each.
GOLDEN_INDEX = {
    "uint16": """
        4d4d49444944580000 0100000000000000 08 0300000000000000 0400000000000000
        03000000 01000000 02000000
        0000000000000000 0600000000000000 0800000000000000
        0000000000000000 0100000000000000 0200000000000000 0300000000000000""",
    "int32": """
        4d4d49444944580000 0100000000000000 04 0300000000000000 0400000000000000
        03000000 01000000 02000000
        0000000000000000 0c00000000000000 1000000000000000
        0000000000000000 0100000000000000 0200000000000000 0300000000000000""",
}
GOLDEN_DATA = {
    "uint16": "0500 0600 0200 0200 0201 0200",
    "int32": "05000000 06000000 02000000 02000000 02010000 02000000",
}


def write(folder: Path, documents: list[list[int]], dtype: str = "uint16", name: str = "part-00000") -> Path:
    writer = TokenShardWriter(folder, name, dtype, 60_000, EOD)
    for tokens in documents:
        writer.add(np.array(tokens, dtype=dtype))
    assert writer.close() is not None
    return folder / name


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
def test_bytes_are_those_of_megatron_core(tmp_path: Path, dtype: str) -> None:
    writer = TokenShardWriter(tmp_path, "part", dtype, 60_000, EOD)
    assert [writer.add(np.array(tokens, dtype=dtype)) for tokens in GOLDEN_DOCUMENT_COLUMNS] == [0, 3, 4]
    written = writer.close()
    index, data = (tmp_path / "part.idx").read_bytes(), (tmp_path / "part.bin").read_bytes()
    assert index == bytes.fromhex(GOLDEN_INDEX[dtype]) and data == bytes.fromhex(GOLDEN_DATA[dtype])
    assert written is not None and (written.documents, written.tokens) == (3, 6)
    for file, content in ((written.idx, index), (written.bin, data)):
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert {path.name for path in tmp_path.iterdir()} == {written.bin.path, written.idx.path}


@settings(max_examples=30, deadline=None)
@given(
    documents=st.lists(st.lists(st.integers(3, 59_999), max_size=20), min_size=1, max_size=20),
    dtype=st.sampled_from(["uint16", "int32"]),
)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, documents: list[list[int]], dtype: str) -> None:
    ended = [[*tokens, EOD] for tokens in documents]
    reader = TokenShardReader(write(tmp_path_factory.mktemp("shard"), ended, dtype))
    assert [reader.document(i).tolist() for i in range(len(reader))] == ended
    assert reader.dtype == dtype and reader.tokens == sum(map(len, ended)) == len(reader.data)
    assert reader.offsets.tolist() == [sum(map(len, ended[:i])) for i in range(len(ended))]
    reader.check_tokens(60_000, EOD)
    for index in (-1, len(ended)):
        with pytest.raises(IndexError):
            reader.document(index)


def test_views_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        TokenShardReader(write(tmp_path, [[7, EOD]])).document(0)[0] = 1


def test_a_shard_without_documents_is_no_shard(tmp_path: Path) -> None:
    assert TokenShardWriter(tmp_path, "part", "uint16", 100, EOD).close() is None
    assert list(tmp_path.iterdir()) == []


def test_abandon_leaves_nothing_and_an_unfinished_shard_has_no_final_name(tmp_path: Path) -> None:
    writer = TokenShardWriter(tmp_path, "part", "uint16", 100, EOD)
    writer.add(np.array([EOD], dtype=np.uint16))
    assert not (tmp_path / "part.bin").exists() and not (tmp_path / "part.idx").exists()
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tokens", [[], [5], [100, EOD], [-1, EOD]])
def test_the_writer_refuses_what_is_no_document(tmp_path: Path, tokens: list[int]) -> None:
    with pytest.raises(AssertionError):
        TokenShardWriter(tmp_path, "part", "int32", 100, EOD).add(np.array(tokens, dtype=np.int32))


def test_every_cut_of_the_index_and_of_the_tokens_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [list(tokens) for tokens in GOLDEN_DOCUMENT_COLUMNS])
    for file in (path.with_suffix(".idx"), path.with_suffix(".bin")):
        whole = file.read_bytes()
        for damaged in (*(whole[:end] for end in range(len(whole))), whole + b"\0"):
            file.write_bytes(damaged)
            with pytest.raises(UsageError, match="tokenize again"):
                TokenShardReader(path)
        file.write_bytes(whole)
    TokenShardReader(path)


def test_every_flipped_bit_of_the_index_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [list(tokens) for tokens in GOLDEN_DOCUMENT_COLUMNS])
    index = path.with_suffix(".idx")
    whole = index.read_bytes()
    for bit in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        index.write_bytes(damaged)
        with pytest.raises(UsageError) as caught:
            TokenShardReader(path)
        assert "\n" not in str(caught.value)


def test_missing_files_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, [[7, EOD]])
    path.with_suffix(".bin").unlink()
    with pytest.raises(UsageError, match=r"no part-00000\.bin"):
        TokenShardReader(path.with_suffix(".idx"))
    with pytest.raises(UsageError, match=r"no other\.idx"):
        TokenShardReader(tmp_path / "other")


def test_tokens_of_another_tokenizer_are_noticed(tmp_path: Path) -> None:
    reader = TokenShardReader(write(tmp_path, [[7, EOD], [59_000, EOD]]))
    with pytest.raises(UsageError, match="another tokenizer"):
        reader.check_tokens(60_000, 3)
    with pytest.raises(UsageError, match="59000"):
        reader.check_tokens(1000, EOD)


def test_documents_parquet_has_the_columns_of_the_contract() -> None:
    contract = ["id", "url", "domain", "source", "shard", "offset", "length"]
    assert DOCUMENT_COLUMNS.names[: len(contract)] == contract
