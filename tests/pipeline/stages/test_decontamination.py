"""Decontamination in a run: documents with a benchmark's words are rejected, and the ledger lists its items."""

from pathlib import Path

import pytest

from pipeline.fit.benchmarks import fit_benchmarks
from pipeline.stages.run import Run
from tests.files import write_rows
from tests.pipeline.here import explained, run_here
from tests.pipeline.pages import sentences
from tests.pipeline.recipe_texts import judge, recipe, stage, step

ITEMS = {
    "q1": "Natalia sold clips to forty-eight of her friends in April, and then half as many clips in May.",
    "q2": "If two trains leave one station at noon and meet again at three, how far is it between them?",
    "q3": "Why does the moon rise later every night than it did the night before, and by how much?",
}
WITHIN = {"clean": [], "one": ["q1"], "two": ["q3", "q2"], "quoted": ["q2"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("decontamination")
    rows = [{"id": name, "question": text} for name, text in ITEMS.items()]
    (folder / "models").mkdir()
    fit_benchmarks([write_rows(folder / "toy.jsonl.gz", rows)], folder / "models" / "benchmarks")
    documents = []
    for number, (name, items) in enumerate(WITHIN.items()):
        # "quoted" has an item in so long a text that its share is below the bound
        texts = sentences(number, 300 if name == "quoted" else 6)
        for item in items:
            texts.insert(len(texts) // 2, ITEMS[item].upper() if name == "two" else ITEMS[item])
        documents.append({"id": name, "text": "\n".join(texts)})
    label = step("label", what="contamination", model="benchmarks")
    decontaminate = stage("clean", "filter", label, judge("benchmarks", {"signal": "contamination", "max": 0.05}))
    (folder / "recipe.toml").write_text(recipe("decontaminate", decontaminate))
    given = write_rows(folder / "given.jsonl", documents)
    return folder, run_here(folder / "recipe.toml", given, folder / "out", folder / "models")


def test_the_ledger_lists_the_items(world: tuple[Path, Run]) -> None:
    _, done = world
    ledger = {row["id"]: row for row in done.last.ledger().to_pylist()}
    assert {name: sorted((row["survivor"] or "").split(", ")) for name, row in ledger.items()} == {
        "one": ["toy:q1"],
        "two": ["toy:q2", "toy:q3"],
    }
    for row in ledger.values():
        assert (row["step"], row["rule"], row["threshold"]) == ("benchmarks", "max_contamination", 0.05)
        assert row["value"] > 0.05


def test_the_rest_is_kept_with_its_share(world: tuple[Path, Run]) -> None:
    _, done = world
    shares = {row["id"]: row["signals"]["contamination"] for row in done.last.to_arrow().to_pylist()}
    assert shares.keys() == {"clean", "quoted"}
    assert shares["clean"] == 0 < shares["quoted"] <= 0.05


def test_explain_lists_them_too(world: tuple[Path, Run]) -> None:
    folder, _ = world
    (rejected,) = explained("two", folder / "out", models=folder / "models")["steps"][-1:]
    assert sorted(rejected["evidence"].split(", ")) == ["toy:q2", "toy:q3"]
    assert "evidence" not in explained("clean", folder / "out", models=folder / "models")["steps"][-1]
