"""`dedup` by `substring`: copies of a long run are cut, the rest of each page is kept, empty documents are rejected."""

import random
from pathlib import Path
from typing import Any

import pytest

from dedup import segments
from infra.dataset.manifest import check_invariant
from infra.dataset.reader import Dataset
from infra.engines.open import open_engine
from pipeline.inputs.inputs import read_inputs
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.stages.run import run
from tests.dedup.spans import counted
from tests.files import write_rows
from tests.pipeline.command import made as files_made
from tests.pipeline.command import refinery
from tests.pipeline.kills import Moment, kill_and_go_on
from tests.pipeline.published_pages import article, made_words
from tests.pipeline.recipe_texts import stage, step

QUOTED = " ".join(made_words("z", 55))
TEXTS = {"one": f"{article(1)}\n{QUOTED}", "two": f"{QUOTED}\n{article(2)}", "quote": QUOTED, "other": article(3)}


def made(folder: Path, out: str, engine: str = "local", workers: int = 1, **options: Any) -> Dataset:
    spans = stage("spans", "dedup", step("dedup", name="cut", method="substring", options=options))
    recipe = parse_recipe({"name": "spans", "stage": [spans]}, "here")
    with open_engine(engine, workers) as opened:
        return run(Context(recipe, opened, {}), read_inputs([str(folder / "in")]), folder / out).last


def write(folder: Path, texts: dict[str, str], files: int = 2) -> None:
    (folder / "in").mkdir()
    for number in range(files):
        rows = [{"id": name, "text": text} for name, text in list(texts.items())[number::files]]
        write_rows(folder / "in" / f"{number}.jsonl", rows)


def texts_of(dataset: Dataset) -> dict[str, str]:
    return {row["id"]: row["text"].strip() for row in dataset.to_arrow(["id", "text"]).to_pylist()}


def files_of(dataset: Dataset) -> list[str]:
    return [file.sha256 for file in dataset.manifest.all_files()]


@pytest.mark.parametrize(("engine", "workers"), [("local", 1), ("local", 2), ("beam", 1)])
def test_spans_are_cut_from_every_document(engine: str, workers: int, tmp_path: Path) -> None:
    write(tmp_path, TEXTS)
    done = made(tmp_path, "out", engine, workers)
    assert texts_of(done) == {"one": article(1), "two": article(2), "other": article(3)}
    assert [(row["id"], row["rule"]) for row in done.ledger().to_pylist()] == [("quote", "nothing_left")]
    check_invariant(done.manifest)


def test_what_is_done_with_spans(tmp_path: Path) -> None:
    write(tmp_path, TEXTS, 1)
    first = made(tmp_path, "first", keep="first")
    without = {"one": article(1), "two": article(2), "other": article(3)}
    whole = [name for name, text in texts_of(first).items() if QUOTED in text]
    assert len(whole) == 1 and texts_of(first) == without | {name: TEXTS[name] for name in whole}
    masked = texts_of(made(tmp_path, "masked", action="mask", keep="first"))
    assert masked == {
        name: text if name in whole else text.replace(QUOTED, "[…]").strip() for name, text in TEXTS.items()
    }
    by_bytes = made(tmp_path, "bytes", bytes=len(QUOTED.encode()), keep="first")
    assert texts_of(by_bytes) == texts_of(first)
    dropped = made(tmp_path, "dropped", action="drop", share=0.9)
    assert texts_of(dropped) == {name: text for name, text in TEXTS.items() if name != "quote"}
    (row,) = dropped.ledger().to_pylist()
    assert (row["id"], row["rule"], row["value"], row["threshold"]) == ("quote", "repeated_share", 1.0, 0.9)


def mixed(documents: int) -> dict[str, str]:
    """Documents of passages, of which each occurs in some, with words of their own."""
    draw = random.Random(7)
    passages = [" ".join(made_words(f"p{number}x", draw.randrange(30, 90))) for number in range(40)]
    return {
        f"d{number:03}": "\n".join(
            " ".join([draw.choice(passages), *made_words(f"own{number}x{part}x", draw.randrange(3, 20))])
            for part in range(4)
        )
        for number in range(documents)
    }


@pytest.mark.parametrize("most_different", [1024, 2])
def test_the_same_on_every_engine_and_with_any_workers(
    most_different: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "MOST_DIFFERENT", most_different)  # of this process
    texts = mixed(120)
    write(tmp_path, texts, 7)
    one = made(tmp_path, "one")
    left = counted(list(texts.values()), 50, 20)
    assert texts_of(one) == {name: text.strip() for name, text in zip(texts, left) if text is not None}
    assert set(texts_of(one).values()) != set(texts.values())
    if most_different == 1024:
        assert files_of(made(tmp_path, "three", workers=3)) == files_of(one)
        assert files_of(made(tmp_path, "beam", "beam")) == files_of(one)
    else:
        assert files_of(made(tmp_path, "again")) == files_of(one)


@pytest.mark.parametrize("keep", ["none", "first"])
def test_neither_the_order_nor_the_files_change_a_text(keep: str, tmp_path: Path) -> None:
    texts, found = mixed(60), []
    for number, files in enumerate((1, 7, 3)):
        folder = tmp_path / str(number)
        folder.mkdir()
        order = random.Random(number).sample([*texts], len(texts))
        write(folder, {name: texts[name] for name in order} if number else texts, files)
        found.append(texts_of(made(folder, "out", keep=keep)))
    assert found[0] == found[1] == found[2] != {name: text.strip() for name, text in texts.items()}


MOMENTS: dict[str, Moment] = {
    "segments are decided, not sorted by shard": ("infra.engines.shuffle", "sort_rows", "leave", 1, ""),
    "the texts to compare are made": ("pipeline.stages.dedup_work", "Work.reduce", "enter", 2, "Work("),
    "spans are known, not applied": ("pipeline.stages.dedup_work", "Work.to_shards", "leave", 2, ""),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_goes_on(moment: str, tmp_path: Path) -> None:
    write(tmp_path, mixed(40), 3)
    words: list[object] = ["run", "--recipe", "substring", "--input", tmp_path / "in"]
    refinery(*words, "--out", tmp_path / "whole")
    assert kill_and_go_on(MOMENTS[moment], words, tmp_path / "killed") == (files_made(tmp_path / "whole"), [], [])
