"""The table of deduplication: each number beside its bar, what misses one, and one run of all of it."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import parsed
from benchmarks.dedup_table import show, table
from tests.dedup.support import english
from tests.files import write_rows

SCALE = {
    "documents": 1000, "a_cpu_second": 5000, "decided_a_cpu_second": 6000, "peak_memory_bytes": 3 << 20,
    "passes": [
        {"pass": name, "cpu_seconds": seconds, "rows": rows}
        for name, seconds, rows in [
            ("signatures", 9, 1000), ("edges-same", 9, 10), ("bands", 1, 14_000), ("candidates", 2, 99),
            ("wanted", 0.99, 100), ("sets-places", 0.5, 100), ("sets", 1, 100), ("edges", 0.49, 40), ("wanted-2", 1, 8),
        ]
    ],
}  # fmt: skip
FOREST = {"what": "forest", "documents": 9, "cpu": 1.0, "peak": 5 << 20}
FOUND: dict[str, Any] = {
    "signatures": {
        "per_second": {"this project, fineweb 14 x 8": 19_999.0, "datatrove": 65.0}, "times_ours": {"datatrove": 307.7}
    },
    "near": SCALE,
    "exact": SCALE | {"decided_a_cpu_second": 84_499},
    "components": {
        "rows": [
            FOREST | {"edges": 1_000_000, "bytes a document": 21.0, "right": True},
            FOREST | {"edges": 10_000_000, "bytes a document": 16.1, "right": True},
            FOREST | {"edges": 100_000_000, "bytes a document": 8.0, "right": False},
        ]
    },
    "spans": {"megabytes_a_second": {"tokens: stage": 20.0, "bytes: stage": 19.9, "one suffix array": 3.5}},
}  # fmt: skip


def test_what_is_beside_what() -> None:
    rows = {row.what: row for row in table(FOUND)}
    assert [row.passed for row in rows.values() if row.passed is not None] == [
        False, True, False, True, False, False, True, False
    ]  # fmt: skip
    assert rows["candidates, from bands"].found == "200 documents/s"
    assert rows["proof: sets of candidates read, compared"].found == "50 documents/s"
    assert rows["near copies: the stage up to decisions"].bar == "5 x Marin's 1,191 = 5,955"
    assert "WRONG" in rows["components of 100,000,000 edges"].found
    assert rows["the same, datatrove"].found == "65 texts/s, 307.7 times the CPU"


@pytest.mark.long
def test_one_run_of_all(tmp_path: Path) -> None:
    texts = write_rows(tmp_path / "texts.jsonl", [{"text": " ".join(english(seed, 200))} for seed in range(30)])
    words = ["--texts", texts, "--documents", 2000, "--edges", 20_000, "--members", 500, "--repeats", 1]
    module, args = parsed("dedup_table", [str(word) for word in words])
    found = module.run(args)
    assert [row["what"] for row in found["rows"]][1] == "candidates, from bands"
    text = "\n".join(show(found))
    assert "; right | the planted ones | passed |" in text and text.count("MB/s") >= 3
