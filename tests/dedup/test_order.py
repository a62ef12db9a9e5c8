"""The same documents in another order: the same survive, by every policy but "first"."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.candidates import Candidates
from dedup.equal_sets import EqualSets
from dedup.exact import ExactKey, key_table
from dedup.keep import KeepOne
from dedup.minhash import MinHash, band_rows, signature_table
from dedup.policy import Policy, content_hashes, preference_columns, preference_order
from dedup.rank import ranks
from dedup.survivors import Link, select_survivors
from dedup.tables import DECISIONS, PAIRS, SAME, node_table, numbers_of
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


def test_of_many_equal_documents_each_id_has_a_hash_of_its_own() -> None:
    """Or the place would decide between two: of 200,000 copies of one page it did in one pool of seven."""
    hashes = content_hashes(documents(["the same"] * 5000))
    assert np.unique(hashes).size == hashes.size
    assert np.unique(hashes >> np.uint64(32)).size == 1


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
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("batch_rows", [1, 100])
@pytest.mark.parametrize("policy", POLICIES)
def test_candidate_pairs(policy: Policy, batch_rows: int, texts: list[str], draw: random.Random) -> None:
    rows: list[tuple[Any, ...]] = [(text, f"http://x.example/{number}", None) for number, text in enumerate(texts)]
    found = []
    for order in (list(range(len(rows))), draw.sample(range(len(rows)), len(rows))):
        signed = signature_table(batch_in(order, rows), 0, 0, MinHash(2, 2), policy)
        pairs = reduce(Candidates(), [band_rows(signed)], PAIRS, batch_rows)
        same = reduce(EqualSets(policy), [signed.drop_columns(["rank", "bands"])], SAME, batch_rows)
        for table in (pairs, same):
            ends = zip((table["key"].to_numpy() & 0xFFFFFFFF).tolist(), numbers_of(table).tolist())
            found.append({(order[a], order[b]) for a, b in ends})
    assert found[:2] == found[2:]


ZONES = st.none() | st.timedeltas(timedelta(hours=-12), timedelta(hours=12)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)
# As archives have them, and as people write them: with fractions, other zones, the day alone, a blank, none at all.
DATES = st.none() | st.one_of(
    st.datetimes(datetime(1000, 1, 1), datetime(2900, 1, 1)).map(lambda date: date.strftime("%Y-%m-%dT%H:%M:%SZ")),
    st.datetimes(datetime(1000, 1, 2), datetime(2900, 1, 1), timezones=ZONES).map(lambda date: date.isoformat()),
    st.datetimes(datetime(1000, 1, 2), datetime(2900, 1, 1)).map(str),
    st.dates(date(1000, 1, 1), date(2900, 1, 1)).map(str),
    st.sampled_from(["", "yesterday", "2024-13-45"]),
)
# Some differ by less than eight bytes hold.
QUALITIES = st.floats(-9, 9) | st.sampled_from([0.5, 0.5 + 1e-12, 0.5 - 1e-12])


@given(st.lists(st.tuples(st.sampled_from(["a", "b b", "c c c"]), DATES, st.none() | QUALITIES), max_size=9))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("policy", [*POLICIES, "first"])
def test_rank_is_the_order_of_the_policy(policy: Policy, rows: list[tuple[str, str | None, float | None]]) -> None:
    batch = documents(
        [text for text, _, _ in rows],
        url=[f"http://x.example/{number}" for number in range(len(rows))],
        date=pa.array([each for _, each, _ in rows], pa.string()),
        signals=pa.array([{"quality": quality} for _, _, quality in rows], pa.struct([("quality", pa.float64())])),
    )
    rank = ranks(preference_columns(batch, policy), policy)
    nodes = node_table(batch, 0, 0, policy)
    order = pc.sort_indices(pa.Table.from_batches([nodes]), sort_keys=preference_order(policy)).to_numpy()
    assert np.lexsort((np.arange(len(rows)), rank)).tolist() == order.tolist()


@pytest.mark.parametrize("wrong", ["2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "2024-01-00T00:00:00Z",
                                   "2024-13-01T00:00:00Z", "0000-01-01T00:00:00Z", "2024-01-01T25:00:00Z"])  # fmt: skip
def test_what_is_no_date_is_none_beside_any_others(wrong: str) -> None:
    """What a date is does not depend on the others of its batch, be all written as archives do or not."""
    for others in ([], ["2023-01-01T00:00:00Z"], ["2023-01-01"]):
        dates = pa.array([wrong, *others], pa.string())
        found = preference_columns(documents(["a"] * len(dates), date=dates), "newest")["date"]
        assert found.to_pylist() == [None] + ["2023-01-01T00:00:00Z"] * len(others)


def test_near_copies_go_by_the_order_that_leads_in_a_bucket() -> None:
    """Qualities that differ by less than a rank holds are one: what leads survives, and no copy of it is left."""
    batch = documents(["a"] * 3, url=["x", "y", "z"], signals=[{"quality": q} for q in (0.5, 0.5 + 1e-12, 0.5 - 1e-12)])
    assert len(set(preference_columns(batch, "best")["quality"].to_pylist())) == 1


@given(st.lists(st.datetimes(datetime(1000, 1, 2), datetime(2900, 1, 1), timezones=ZONES), min_size=2, max_size=8))
@settings(deadline=None)
@pytest.mark.parametrize("policy", ["newest", "oldest"])
def test_dates_are_compared_as_moments(policy: Policy, dates: list[datetime]) -> None:
    """Whatever their zones; a date without one is in UTC."""
    batch = documents(["a"] * len(dates), date=pa.array([each.isoformat() for each in dates], pa.string()))
    nodes = node_table(batch, 0, 0, policy)
    order = pc.sort_indices(pa.Table.from_batches([nodes]), sort_keys=preference_order(policy)).to_numpy().tolist()
    seconds = [(each if each.tzinfo else each.replace(tzinfo=UTC)).replace(microsecond=0) for each in dates]
    found = [seconds[number] for number in order]
    assert found == sorted(seconds, reverse=policy == "newest")
