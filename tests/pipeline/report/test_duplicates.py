"""What the report warns of after a deduplication: large clusters, chains, hosts of which hardly anything is left."""

from typing import Any

import pyarrow as pa
import pytest

from pipeline.report.duplicates import Duplicates, all_clusters, all_hosts, by_cluster, by_host, warnings

LEDGER = pa.schema(
    [(name, pa.string()) for name in ("rule", "url", "survivor", "survivor_path")]
    + [("survivor_offset", pa.int64()), ("similarity", pa.float64()), ("via", pa.string())]
)  # fmt: skip


def found(removed: list[dict[str, Any]], kept: list[str]) -> Duplicates:
    table = pa.Table.from_pylist(removed, LEDGER)
    hosts = [by_host(table["url"], "removed"), by_host(pa.chunked_array([kept], pa.string()), "kept")]
    return Duplicates("1: near", all_clusters([by_cluster(table)]), all_hosts(hosts), True)


def copy(number: int, rule: str, **more: Any) -> dict[str, Any]:
    row = {
        "rule": rule,
        "url": f"http://h{number}.example/",
        "survivor": "one",
        "survivor_path": "a",
        "similarity": 0.9,
    }
    return row | {"survivor_offset": 0} | more


@pytest.mark.parametrize(
    ("rule", "told"),
    [("copy_minhash", True), ("older_jaccard", True), ("within_shingles", True), ("copy_text", False)],
)
def test_a_large_cluster_of_near_copies_is_told(rule: str, told: bool) -> None:
    """Of exact copies only where it is a hundredth of all documents."""
    others = [f"http://o{n}.example/" for n in range(99_002)]
    assert not list(warnings(found([copy(n, rule) for n in range(998)], others)))
    lines = list(warnings(found([copy(n, rule) for n in range(999)], others)))
    assert lines == (["1: near: 1,000 documents became one, one"] if told else [])


@pytest.mark.parametrize("rule", ["copy_text", "copy_url", "copy_payload", "older_text"])
def test_exact_copies_that_are_a_share_of_all_documents_are_told(rule: str) -> None:
    others = [f"http://o{n}.example/" for n in range(99_001)]
    assert not list(warnings(found([copy(n, rule) for n in range(998)], others[:1])))
    lines = list(warnings(found([copy(n, rule) for n in range(999)], others)))
    assert lines == ["1: near: 1,000 documents became one, one"]


def test_a_chain_is_told_from_ten_documents_on() -> None:
    near = [copy(n, "copy_minhash", via="x" if n < 5 else None) for n in range(9)]
    (line,) = warnings(found(near, []))
    assert line.startswith("1: near: 10 documents became one, one; 55.6\xa0% of the copies are similar to others only")
    assert not list(warnings(found(near[1:], [])))


def test_a_host_of_which_hardly_anything_is_left_is_told() -> None:
    removed = [copy(n, "copy_text", url=f"https://Mirror.example/{n}") for n in range(950)]
    assert list(warnings(found(removed, ["http://mirror.example/"] * 50))) == [
        "1: near: 95.0\xa0% of the 1,000 documents of mirror.example were copies"
    ]
    assert not list(warnings(found(removed, ["http://mirror.example/"] * 49)))  # not a thousand
    assert not list(warnings(found(removed, ["http://mirror.example/"] * 150)))  # not nine tenths
    without = [row | {"url": None} for row in removed]  # no host is named that there is not
    assert list(warnings(found(without * 2, []))) == ["1: near: 1,901 documents became one, one"]
