"""Pools that differ from another by one thing."""

from pathlib import Path
from typing import Any

from benchmarks.budget_pools import alike
from benchmarks.distributions import write_rows


def rows(name: str, language: str, lengths: list[int]) -> list[dict[str, Any]]:
    """Documents of so many pieces of 100 characters."""
    return [
        {"id": f"{name}{number}#{piece}", "language": language, "text": f"{name}{number} {piece} ".ljust(100, "x")}
        for number, pieces in enumerate(lengths)
        for piece in range(pieces)
    ]


def test_alike_has_whole_documents_of_the_other_pool_and_the_same_of_other_languages(tmp_path: Path) -> None:
    english, chinese = rows("yi", "en", [3, 4]), rows("zh", "zh", [2])
    falcon = rows("falcon", "en", [1, 2, 3, 4, 5, 6, 7])
    write_rows(tmp_path / "yi.jsonl.gz", english + chinese)
    write_rows(tmp_path / "falcon.jsonl.gz", falcon)
    found = list(alike(tmp_path))
    assert [row for row in found if row["language"] == "zh"] == chinese
    taken = [row for row in found if row["language"] == "en"]
    whole = {row["id"].split("#")[0] for row in taken}
    assert taken and sorted(row["id"] for row in taken) == sorted(
        row["id"] for row in falcon if row["id"].split("#")[0] in whole
    )
    assert len(english) <= len(taken) < len(english) + 7 and len(whole) < 7
