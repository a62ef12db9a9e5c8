"""The recipes for one job: each does it and nothing else, on what it is for, and without any model."""

from pathlib import Path

import pytest

from pipeline.recipes.parse import load_recipe
from pipeline.stages.run import Run
from tests.files import write_rows
from tests.pipeline.here import run_here
from tests.pipeline.pages import article, sentences, write_warc

ORIGINAL = "\n".join(sentences(1, 40))
TEXTS = [ORIGINAL, "\n".join(sentences(2, 40)), ORIGINAL, ORIGINAL + "\nOne more line.", "short"]
ROWS = [{"id": str(number), "text": text} for number, text in enumerate(TEXTS)]


def given(kind: str, folder: Path) -> Path:
    if kind == "dataset":
        return run_here(Path("exact"), given("jsonl", folder), folder / "before").folder
    return write_rows(folder / f"given.{kind}", ROWS)


def ids(run: Run) -> list[str]:
    return [str(name) for name in run.last.to_arrow(["id"])["id"].to_pylist()]


@pytest.mark.parametrize("name", ["extract", "exact", "minhash"])
def test_no_model_is_named(name: str) -> None:
    assert load_recipe(name).model_names() == []


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "jsonl.gz"])
def test_exact_copies_go_and_nothing_else(kind: str, tmp_path: Path) -> None:
    run = run_here(Path("exact"), given(kind, tmp_path), tmp_path / "out", tmp_path)
    assert ids(run) == ["0", "1", "3", "4"]
    (row,) = run.last.ledger().to_pylist()
    assert (row["id"], row["rule"], row["survivor"]) == ("2", "copy_text", "0")


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "dataset"])
def test_near_copies_go_and_nothing_else(kind: str, tmp_path: Path) -> None:
    run = run_here(Path("minhash"), given(kind, tmp_path), tmp_path / "out", tmp_path)
    assert ids(run) == ["0", "1", "4"]
    assert all(row["similarity"] >= 0.8 for row in run.last.ledger().to_pylist())


def test_archives_are_extracted_first(tmp_path: Path) -> None:
    pages = [("http://a.example/1", article(1)), ("http://b.example/1", article(1)), ("http://a.example/2", article(2))]
    archive = write_warc(tmp_path / "a.warc.gz", pages)
    extracted = run_here(Path("extract"), archive, tmp_path / "extract", tmp_path)
    texts = extracted.last.to_arrow(["url", "text"]).to_pylist()
    assert [row["url"] for row in texts] == [url for url, _ in pages] and texts[0]["text"] == texts[1]["text"]
    for name in ("exact", "minhash"):
        run = run_here(Path(name), archive, tmp_path / name, tmp_path)
        assert run.last.to_arrow(["url"])["url"].to_pylist() == ["http://a.example/1", "http://a.example/2"]
