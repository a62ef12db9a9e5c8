"""Any order of documents and files leaves the same documents, texts and evidence, through all kinds of copies."""

import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import parsed
from tests.dedup.support import edited, english
from tests.files import write_rows


def pool(documents: int) -> list[dict[str, Any]]:
    """Pages of their own, copies of them by address and by text, near copies, and pages that quote lines and runs."""
    draw = random.Random(3)
    quotes = [" ".join(english(9000 + number, draw.randrange(40, 90))) for number in range(20)]
    rows: list[dict[str, Any]] = []
    for number in range(documents):
        words = english(number, 160)
        lines = [" ".join(words[begin : begin + 20]) + "." for begin in range(0, 160, 20)]
        if number % 3 == 0:
            lines[4:4] = [draw.choice(quotes)]
        if number % 4 == 0:
            begin = draw.randrange(12)
            lines += [f"Line {begin + place} is at the foot of many pages." for place in range(5)]
        text = "\n".join(lines)
        match number % 10:
            case 1:
                text = rows[draw.randrange(len(rows))]["text"]
            case 2 | 3:
                other = rows[draw.randrange(len(rows))]["text"].split(" ")
                text = " ".join(edited(other, draw.choice([0.005, 0.01, 0.03]), number, lambda x: f"w{x}"))
        url = f"http://a.example/{number - 1 if number % 10 == 5 else number}"
        rows.append({"id": f"<{number}>", "url": url, "text": text, "date": f"2024-01-{number % 28 + 1:02}"})
    return rows


def found_of(rows: list[dict[str, Any]], folder: Path, *words: str) -> dict[str, Any]:
    source = write_rows(folder / "rows.jsonl", rows)
    module, args = parsed("dedup_order", ["--texts", str(source), *words])
    found: dict[str, Any] = module.run(args)
    assert ("every order leaves the same" in "\n".join(module.show(found))) == found["passed"]
    return found


@pytest.mark.parametrize(
    ("documents", "orders"), [(60, "2"), pytest.param(6000, "5", marks=pytest.mark.long)], ids=["few", "many"]
)
def test_the_same_in_any_order(documents: int, orders: str, tmp_path: Path) -> None:
    found = found_of(pool(documents), tmp_path, "--orders", orders)
    assert found["passed"] and len(found["orders"]) == int(orders)
    removed = found["removed"]
    assert min(removed[name] for name in ("url", "text", "minhash")) >= documents // 20
    assert found["changed"] > documents // 10 and found["left"] + sum(removed.values()) == documents
