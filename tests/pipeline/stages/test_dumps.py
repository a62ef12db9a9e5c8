"""Survivors of every method know the snapshots in which their copies were found, whatever the order and the workers."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import refinery as rf
from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset
from infra.engines.engine import Engine
from infra.engines.local import LocalEngine
from infra.engines.open import open_engine
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.stages.stages import run_stage
from tests.dedup.support import english
from tests.pipeline.command import made
from tests.pipeline.datasets import document, make_dataset, record

FAMILIES, SNAPSHOTS, SIZE = 12, 5, 60
ENGINES = [pytest.param(name, marks=pytest.mark.long) for name in ("ray 2", "beam 1")]


def pages(**more: Any) -> list[dict[str, Any]]:
    """Captures of some pages in some snapshots; of the last family there is one."""
    draw = random.Random(7)
    rows = []
    for number in range(SIZE):
        family = FAMILIES if number == SIZE - 1 else draw.randrange(FAMILIES)
        text = " ".join(english(family, 100))
        dump = f"CC-{draw.randrange(SNAPSHOTS)}"
        rows.append(document(number, text=text, url=f"http://x.example/{family}", dump=dump, copies=1, snapshots=1))
    return [{**row, **more} for row in rows]


def through(source: Dataset, out: Path, method: str, engine: Engine | None = None, **options: Any) -> Dataset:
    step = {"kind": "dedup", "method": method, "options": options}
    recipe = parse_recipe({"name": "x", "stage": [{"name": "x", "command": "dedup", "step": [step]}]}, "x")
    return run_stage(Context(recipe, engine or LocalEngine(), {}), recipe.stages[0], source, out)


def lists(dataset: Dataset) -> dict[str, tuple[int, int, list[str] | None]]:
    columns = ["id", "copies", "snapshots", "dumps"]
    return {row["id"]: tuple(row[name] for name in columns[1:]) for row in dataset.to_arrow(columns).to_pylist()}


def expected(rows: Sequence[dict[str, Any]], kept: Sequence[str]) -> dict[str, tuple[int, int, list[str] | None]]:
    found = {}
    for row in rows:
        if row["id"] in kept:
            same = [other for other in rows if other["text"] == row["text"]]
            names = sorted({other["dump"] for other in same})
            found[row["id"]] = len(same), len(names), names if len(same) > 1 else None
    return found


@pytest.mark.parametrize("method", ["text", "url", "minhash"])
def test_survivors_have_the_names_in_any_order(method: str, tmp_path: Path) -> None:
    rows = pages()
    first = lists(through(make_dataset(tmp_path / "rows", "x", rows, []), tmp_path / "one", method))
    assert first == expected(rows, list(first)) and len(first) == FAMILIES + 1
    shuffled = [dict(row) for row in rows]
    random.Random(1).shuffle(shuffled)
    for number, row in enumerate(shuffled):
        row["warc_offset"] = number
    other = make_dataset(tmp_path / "shuffled", "x", shuffled, [], cuts=(7, 20, 21, 50))
    assert lists(through(other, tmp_path / "other", method)) == first


@pytest.mark.parametrize("name", ["local 2", *ENGINES])
@pytest.mark.parametrize("method", ["text", "minhash"])
def test_the_same_bytes_on_any_engine(method: str, name: str, tmp_path: Path) -> None:
    source = make_dataset(tmp_path / "rows", "x", pages(), [], cuts=(7, 20, 21, 50))
    through(source, tmp_path / "one", method)
    kind, _, workers = name.partition(" ")
    with open_engine(kind, int(workers)) as engine:
        through(source, tmp_path / "other", method, engine)
    assert made(tmp_path / "one") == made(tmp_path / "other")


def test_a_second_deduplication_adds_to_the_list(tmp_path: Path) -> None:
    """Of two pools that were deduplicated alone: the survivor has the snapshots of both lists."""
    rows = pages()
    halves = [
        through(make_dataset(tmp_path / f"half-{n}", "x", rows[n::2], []), tmp_path / f"out-{n}", "text")
        for n in range(2)
    ]
    both = [row for half in halves for row in half.to_arrow().to_pylist()]
    for number, row in enumerate(both):
        row["warc_offset"] = number
    found = lists(through(make_dataset(tmp_path / "both", "x", both, []), tmp_path / "out", "text", policy="first"))
    whole = expected(rows, list(found))
    # of a document that met no other copy its own snapshot is known, and no list
    assert found == {ident: counts if counts[0] > 1 else (1, 1, None) for ident, counts in whole.items()}


def test_records_have_a_list_too(tmp_path: Path) -> None:
    digests = ["sha1:A", "sha1:A", "sha1:A", "sha1:B"]
    rows = [
        record(number, dump=f"CC-{number % 2}", content_digest=digest, copies=1, snapshots=1)
        for number, digest in enumerate(digests)
    ]
    source = make_dataset(tmp_path / "rows", "x", rows, [], kind=Kind.RECORDS)
    kept = through(source, tmp_path / "out", "payload", policy="first").to_arrow(["copies", "dumps"]).to_pylist()
    assert kept == [{"copies": 3, "dumps": ["CC-0", "CC-1"]}, {"copies": 1, "dumps": None}]


def test_documents_of_no_snapshot_have_no_list(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text('{"text": "a b c"}\n{"text": "a b  c"}\n{"text": "d", "dump": "x"}\n')
    run = rf.run("exact", tmp_path / "docs.jsonl", tmp_path / "out", workers=1)
    kept = run.last.to_arrow(["copies", "snapshots", "dumps"]).to_pylist()
    assert kept == [{"copies": copies, "snapshots": 1, "dumps": None} for copies in (2, 1)]
