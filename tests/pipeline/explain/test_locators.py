"""Evidence goes by locators: ids repeat, and the same documents in another order leave the same ones."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.dataset.reader import Dataset
from infra.dataset.schema import LEDGER
from pipeline.explain.lookup import Survivors
from tests.files import write_rows
from tests.pipeline.command import refinery
from tests.pipeline.here import explained, run_here, takedown_here
from tests.pipeline.pages import sentences
from tests.pipeline.recipe_texts import recipe, stage, step

URL = stage("url", "dedup", step("dedup", method="url"))
TEXT = stage("text", "dedup", step("dedup", method="text"))


def minhash(policy: str) -> str:
    return stage("near", "dedup", step("dedup", method="minhash", options={"policy": policy}))


def pool() -> list[dict[str, Any]]:
    """Exact and near copies, of several addresses and spellings, with their own ids."""
    draw = random.Random(5)
    rows = []
    for number in range(24):
        text = " ".join(sentences(number, 12))
        for copy in range(draw.randrange(1, 5)):
            near = text if copy % 2 else f"{text} Copy {copy} of it."
            rows.append({"text": near, "url": f"http://h{copy}.example/{number}", "id": f"n{number}-{copy}"})
    return rows


def kept(folder: Path, name: str, rows: list[dict[str, Any]], *stages: str) -> set[str]:
    (folder / "r.toml").write_text(recipe("r", *stages))
    made = run_here(folder / "r.toml", write_rows(folder / name / "docs.jsonl", rows), folder / f"out-{name}")
    return set(made.last.to_arrow(["id"])["id"].to_pylist())


@pytest.mark.parametrize("policy", ["content", "longest"])
def test_another_order_leaves_the_same_documents(policy: str, tmp_path: Path) -> None:
    rows = pool()
    other = random.Random(1).sample(rows, len(rows))
    first, second = (kept(tmp_path, name, each, TEXT, minhash(policy)) for name, each in (("a", rows), ("b", other)))
    assert first == second and 0 < len(first) < len(rows)


def test_explain_names_the_copies_of_the_document_asked_for(tmp_path: Path) -> None:
    """All ids are the same, as a user's column may have it."""
    rows = [
        {"text": f"Page {number} as {spelling}.", "url": url, "id": "same"}
        for number in range(3)
        for spelling, url in (
            ("plain", f"http://bücher.example/{number}".replace("bücher", "xn--bcher-kva")),
            ("odd", f"https://BÜCHER.example:443/{number}#top"),
        )
    ]
    assert len(kept(tmp_path, "a", rows, URL)) == 1
    for number in range(3):
        copy = explained(f"https://BÜCHER.example:443/{number}#top", tmp_path / "out-a")
        assert copy["rejected_by"] == ["url/copy_url"]
        assert [each["url"] for each in copy["duplicates"]] == [f"http://xn--bcher-kva.example/{number}"]
        survivor = explained(f"http://xn--bcher-kva.example/{number}", tmp_path / "out-a")
        assert survivor["state"] == "kept"
        assert [each["url"] for each in survivor["duplicates"]] == [f"https://BÜCHER.example:443/{number}#top"]
    text = refinery("rejects", "--run", tmp_path / "out-a", "--rule", "url/copy_url", "--n", "3")
    assert all(f"copy of http://xn--bcher-kva.example/{number}" in text for number in range(3))


def test_a_takedown_redacts_the_survivors_that_are_gone_and_no_other(tmp_path: Path) -> None:
    rows = [
        {"text": f"Page {number} as {copy}.", "url": f"http{'s' * copy}://x.example/{number}", "id": "same"}
        for number in range(2)
        for copy in range(2)
    ]
    kept(tmp_path, "a", rows, URL)
    (tmp_path / "list.txt").write_text("x%2Eexample/0\n")
    takedown_here(tmp_path / "out-a", tmp_path / "without", tmp_path / "list.txt")
    ledger = Dataset(tmp_path / "without" / "01-url").ledger().to_pylist()
    left = [row for row in ledger if row["rule"] == "copy_url"]
    assert [(row["survivor"], row["survivor_path"] is None) for row in left] == [("same", False)]


def test_a_ledger_of_an_earlier_version_names_survivors_by_id(tmp_path: Path) -> None:
    rows = [{"text": "One.", "url": f"http{'s' * copy}://x.example/0", "id": f"n{copy}"} for copy in range(2)]
    kept(tmp_path, "a", rows, URL)
    folder = tmp_path / "out-a" / "01-url"
    (part,) = (folder / "ledger").glob("part-*.parquet")
    old = [
        name for name in LEDGER.names if not name.startswith("survivor_") and name not in ("via", "measure", "bands")
    ]
    pq.write_table(pq.read_table(part).select(old), part)
    dataset = Dataset(folder)
    (line,) = dataset.ledger().to_pylist()
    assert line["survivor_path"] is None and dataset.ledger_parts()[0].schema().equals(LEDGER)
    found = Survivors(dataset.parts(), [line]).of(line)
    assert found is not None and found["id"] == line["survivor"] != line["id"]
    assert pa.concat_tables([dataset.ledger(), LEDGER.empty_table()]).num_rows == 1
