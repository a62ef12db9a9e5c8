"""`dedup` by `substring`: copies of a long run are cut, the rest of each page is kept, empty documents are rejected."""

from pathlib import Path

import pytest

from infra.dataset.manifest import check_invariant
from infra.engines.open import open_engine
from pipeline.inputs.inputs import read_inputs
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.stages.run import run
from tests.files import write_rows
from tests.pipeline.published_pages import article, made_words
from tests.pipeline.recipe_texts import dedup


@pytest.mark.parametrize(("engine", "workers"), [("local", 1), ("local", 2), ("beam", 1)])
def test_spans_are_cut_from_every_document(engine: str, workers: int, tmp_path: Path) -> None:
    quoted = " ".join(made_words("z", 55))
    texts = {"one": f"{article(1)}\n{quoted}", "two": f"{quoted}\n{article(2)}", "quote": quoted, "other": article(3)}
    for number, names in enumerate((("one", "quote"), ("two", "other"))):
        write_rows(tmp_path / f"{number}.jsonl", [{"id": name, "text": texts[name]} for name in names])
    recipe = parse_recipe({"name": "spans", "stage": [dedup("cut", "substring")]}, "here")
    context = Context(recipe, open_engine(engine, workers), {})
    done = run(context, read_inputs([str(tmp_path)]), tmp_path / "out").last
    kept = {row["id"]: row["text"].strip() for row in done.to_arrow().to_pylist()}
    assert kept == {"one": article(1), "two": article(2), "other": article(3)}
    assert [(row["id"], row["rule"]) for row in done.ledger().to_pylist()] == [("quote", "nothing_left")]
    check_invariant(done.manifest)
