"""Exact duplicates: keys, and the reducer that keeps one document of each."""

import pickle
import random

import pyarrow as pa
import pytest

from dedup.exact import KeepOne, digest, key_table, normalise_text
from dedup.tables import DECISIONS, batch_of
from tests.dedup.support import documents, reduce


def removed(table: pa.Table) -> dict[str, str]:
    """id of the removed → id of its survivor."""
    rows = table.to_pylist()
    return {f"id-{row['row']}": row["survivor"] for row in rows if not row["kept"]}


def test_normalisation_keeps_what_tells_texts_apart() -> None:
    assert normalise_text(" a\t b\r\n\u3000c ") == "a b c"
    assert normalise_text("e\u0301") == normalise_text("é")
    assert len({normalise_text(text) for text in ("A b", "a b", "a, b", "a 1", "a 2")}) == 5


def test_digest_is_xxh3_128_of_utf8() -> None:
    # the test vector of xxHash for no input and seed 0, most significant byte first
    assert digest("").hex() == "99aa06d3014798d86001c324468d497f"
    assert len({digest(text) for text in ("\ud800", "\udfff", "?")}) == 3


def test_documents_without_text_or_address_have_no_key() -> None:
    batch = documents(["a", None, "", "b"], url=[None, "http://x/1", "  ", "http://x/1"])
    assert key_table(batch, 0, 0, "text")["row"].to_pylist() == [0, 2, 3]
    assert key_table(batch, 3, 10, "url")["row"].to_pylist() == [11, 13]


def test_columns_that_documents_lack_have_defaults() -> None:
    row = key_table(documents(["ab"]), 2, 5, "text").to_pylist()[0]
    assert (row["shard"], row["row"], row["chars"], row["copies"], row["snapshots"]) == (2, 5, 2, 1, 1)
    assert row["quality"] is None and row["date"] is None


@pytest.mark.parametrize(
    "policy, survivor",
    [("first", "id-0"), ("longest", "id-1"), ("newest", "id-3"), ("oldest", "id-2"), ("best", "id-4")],
)
def test_policies(policy: str, survivor: str) -> None:
    batch = documents(
        ["a b", "a   b", "a b", "a b", "a b"],
        date=["2020-05-01", None, "2019-01-01", "2021-01-01", ""],
        signals=[{"quality": value} for value in (0.1, None, float("nan"), 0.2, 0.3)],
    )
    table = reduce(KeepOne(policy), [key_table(batch, 0, 0, "text")], DECISIONS)
    assert set(removed(table).values()) == {survivor}
    assert table["kept"].to_pylist().count(True) == 1


def test_survivor_counts_copies_and_snapshots() -> None:
    batch = documents(["x", "x", "y", "x"], dump=["A", "B", "A", "A"], copies=pa.array([1, 4, 1, 1], pa.int32()))
    table = reduce(KeepOne(), [key_table(batch, 0, 0, "text")], DECISIONS)
    kept = [row for row in table.to_pylist() if row["kept"]]
    assert [(row["row"], row["copies"], row["snapshots"], row["similarity"]) for row in kept] == [(0, 6, 2, None)]
    assert {row["similarity"] for row in table.to_pylist() if not row["kept"]} == {1.0}


def test_equal_key_with_another_check_is_another_text() -> None:
    batch = key_table(documents(["x", "y", "x", "y", "z"]), 0, 0, "text")
    same = batch_of(batch.schema, {**{n: batch[n] for n in batch.schema.names}, "key": pa.array([7] * 5, pa.uint64())})
    assert removed(reduce(KeepOne(), [same], DECISIONS, 2)) == {"id-2": "id-0", "id-3": "id-1"}


@pytest.mark.parametrize("batch_rows", [1, 3, 1000])
def test_result_does_not_depend_on_batches_or_input_order(batch_rows: int) -> None:
    draw = random.Random(1)
    texts = [str(draw.randrange(40)) for _ in range(100)]
    expected = {f"id-{i}": f"id-{texts.index(text)}" for i, text in enumerate(texts) if texts.index(text) != i}
    table = key_table(documents(texts), 0, 0, "text")
    shuffled = table.take(pa.array(draw.sample(range(100), 100)))
    assert removed(reduce(KeepOne(), [shuffled], DECISIONS, batch_rows)) == expected


def test_a_giant_group_is_linear() -> None:
    size = 200_000
    table = reduce(KeepOne(), [key_table(documents(["x"] * size), 0, 0, "text")], DECISIONS, 1000)
    assert table.num_rows == size
    assert [row["copies"] for row in table.filter(table["kept"]).to_pylist()] == [size]


def test_reducers_are_picklable_and_know_their_arguments() -> None:
    reducer = pickle.loads(pickle.dumps(KeepOne("newest")))
    assert reducer.fingerprint == KeepOne("newest").fingerprint != KeepOne("oldest").fingerprint
