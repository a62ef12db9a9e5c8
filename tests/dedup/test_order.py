"""The same documents in another order: the same survive, by every policy but "first"."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.candidates import Candidates
from dedup.exact import ExactKey, key_table
from dedup.keep import KeepOne
from dedup.minhash import MinHash, band_table
from dedup.policy import Policy
from dedup.survivors import Link, select_survivors
from dedup.tables import BANDS_BY_CONTENT, DECISIONS, JOIN, batch_of, node_table, numbers_of
from tests.dedup.support import documents, reduce

POLICIES: list[Policy] = ["content", "longest", "newest", "oldest", "best"]
TEXTS = ["a b", "a  b", "a b ", "c d e", "c  d e", "x"]
URLS = ["http://x.example/a", "https://X.example/a#b", "http://x.example./a", "http://y.example/", None]
DOCUMENT = st.tuples(st.sampled_from(TEXTS), st.sampled_from(URLS), st.sampled_from([None, "2020", "2021"]))


def batch_in(order: list[int], rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    """The documents in this order; their ids stay theirs."""
    return documents(
        [rows[number][0] for number in order],
        url=pa.array([rows[number][1] for number in order], pa.string()),
        date=pa.array([rows[number][2] for number in order], pa.string()),
        id=[f"n{number}" for number in order],
    )


def left(batch: pa.RecordBatch, decisions: pa.Table) -> Counter[str]:
    gone = {row["row"] for row in decisions.to_pylist() if row["row"] >= 0 and not row["kept"]}
    return Counter(ident for row, ident in enumerate(batch["id"].to_pylist()) if row not in gone)


@given(st.lists(DOCUMENT, max_size=16), st.sampled_from(POLICIES), st.sampled_from(["text", "url"]), st.randoms())
@settings(max_examples=150, deadline=None)
def test_exact_copies(rows: list[tuple[Any, ...]], policy: Policy, by: ExactKey, draw: random.Random) -> None:
    orders = [list(range(len(rows))), draw.sample(range(len(rows)), len(rows))]
    kept = []
    for batch in (batch_in(order, rows) for order in orders):
        decisions = reduce(KeepOne(policy), [key_table(batch, 0, 0, by, policy)], DECISIONS)
        kept.append(left(batch, decisions))
    assert kept[0] == kept[1]


def test_of_one_address_the_plainest_spelling_stays() -> None:
    rows = [("z", "HTTP://X.example/a?", None), ("y", "http://x.example/a", None), ("x", "http://x.example./a", None)]
    for order in ([0, 1, 2], [2, 0, 1]):
        batch = batch_in(order, rows)
        keys = key_table(batch, 0, 0, "url", "content")
        assert left(batch, reduce(KeepOne("content"), [keys], DECISIONS)) == Counter(["n1"])


@pytest.mark.parametrize("link", ["direct", "component"])
@pytest.mark.parametrize("policy", POLICIES)
@given(st.randoms())
@settings(max_examples=20, deadline=None)
def test_near_copies(policy: Policy, link: Link, draw: random.Random) -> None:
    edges = [(draw.randrange(12), draw.randrange(12)) for _ in range(14)]
    rows = [(draw.choice(TEXTS), draw.choice(URLS), draw.choice([None, "2020"])) for _ in range(12)]
    kept = []
    for order in (list(range(12)), draw.sample(range(12), 12)):
        batch, place = batch_in(order, rows), np.argsort(order)
        pairs = np.array([(place[a], place[b]) for a, b in edges if a != b], np.int64).reshape(-1, 2)
        nodes = node_table(batch, 0, 0, policy)
        made = select_survivors(nodes, pairs[:, 0], pairs[:, 1], np.ones(len(pairs)), policy, link)
        kept.append(left(batch, pa.Table.from_batches([made])))
    assert kept[0] == kept[1]


@given(st.lists(st.sampled_from(["one two three", "one  two three", "four five", "six"]), max_size=14), st.randoms())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_candidate_pairs(batch_rows: int, texts: list[str], draw: random.Random) -> None:
    rows: list[tuple[Any, ...]] = [(text, f"http://x.example/{number}", None) for number, text in enumerate(texts)]
    found = []
    for order in (list(range(len(rows))), draw.sample(range(len(rows)), len(rows))):
        bands = band_table(batch_in(order, rows), 0, 0, MinHash(2, 2), by_content=True)
        pairs = reduce(
            Candidates(), [batch_of(BANDS_BY_CONTENT, dict(zip(bands.schema.names, bands)))], JOIN, batch_rows
        )
        ends = zip((pairs["key"].to_numpy() & 0xFFFFFFFF).tolist(), numbers_of(pairs).tolist())
        found.append({frozenset((order[a], order[b])) for a, b in ends})
    assert found[0] == found[1]
