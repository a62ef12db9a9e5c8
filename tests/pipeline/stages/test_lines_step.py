"""`dedup` by `paragraphs`: lines and spans of lines, in the pool or in blocks of files, on any engine, in any order."""

import random
from pathlib import Path
from typing import Any

import pytest

from dedup.paragraphs import c4_lines
from infra.dataset.manifest import check_invariant
from infra.dataset.reader import Dataset
from infra.engines.open import open_engine
from infra.errors import UsageError
from pipeline.inputs.inputs import read_inputs
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.stages.run import run
from pipeline.steps.dedup import Dedup
from tests.files import write_rows
from tests.pipeline.recipe_texts import stage, step

# Files by name, of two snapshots; each page has a line of its own.
FILES = {"a": "S1", "b": "S1", "c": "S1", "d": "S2", "e": "S2"}
SPAN = "It was so.\nThey went home.\nThe end came."


def made(folder: Path, out: str, engine: str = "local", workers: int = 1, **options: Any) -> Dataset:
    lines = stage("lines", "dedup", step("dedup", method="paragraphs", options=options))
    recipe = parse_recipe({"name": "lines", "stage": [lines]}, "here")
    with open_engine(engine, workers) as opened:
        return run(Context(recipe, opened, {}), read_inputs([str(folder / "in")]), folder / out).last


def write(folder: Path, pages: dict[str, list[str]]) -> None:
    """`pages`: of each file."""
    (folder / "in").mkdir(parents=True)
    for name, texts in pages.items():
        rows = [{"id": f"{name}{n}", "text": text, "dump": FILES[name]} for n, text in enumerate(texts)]
        write_rows(folder / "in" / f"{name}.jsonl", rows)


def texts_of(dataset: Dataset) -> dict[str, str]:
    return {row["id"]: row["text"] for row in dataset.to_arrow(["id", "text"]).to_pylist()}


def files_of(dataset: Dataset) -> list[str]:
    return [file.sha256 for file in dataset.manifest.all_files()]


def own(name: str) -> str:
    return f"This line is of {name!r} alone."


def test_blocks_of_files(tmp_path: Path) -> None:
    """A line of `a` and `b` goes from a block that has both; of `c` and `d` it does not: these are of two snapshots."""
    write(tmp_path, {name: [f"{own(name)}\n{'one' if name in 'ab' else 'two'}"] for name in FILES})
    found = {
        block: {name[0] for name, text in texts_of(made(tmp_path, f"out{block}", block=block)).items() if "\n" in text}
        for block in (0, 1, 2)
    }
    assert found == {0: set(), 1: {*FILES}, 2: {"c"}}


def test_one_copy_of_a_span_stays(tmp_path: Path) -> None:
    write(tmp_path, {name: [f"{own(name)}\n{SPAN}", f"{SPAN}\nand more of {name}"] for name in FILES})
    options = {"lines": 3, "keep": "first", "normalise": "c4"}
    done = made(tmp_path, "out", **options)
    check_invariant(done.manifest)
    whole = [text for text in texts_of(done).values() if SPAN in text]
    assert len(whole) == 1 and len(texts_of(done)) == 2 * len(FILES)
    assert sum(text.count("They went home.") for text in texts_of(done).values()) == 1
    each = made(tmp_path, "each", **options, block=1)
    assert [name[0] for name, text in texts_of(each).items() if SPAN in text] == [*FILES]
    every = made(tmp_path, "every", lines=3)
    assert not any("home" in text for text in texts_of(every).values())


def mixed(seed: int) -> dict[str, list[str]]:
    draw = random.Random(seed)
    common = [f"Line {number} is of many pages." for number in range(30)]

    def page(name: str, number: int) -> str:
        begin = draw.randrange(26)
        return "\n".join([*common[begin : begin + draw.randrange(1, 5)], own(f"{name}{number}")][draw.randrange(2) :])

    return {name: [page(name, number) for number in range(12)] for name in FILES}


@pytest.mark.parametrize("options", [{"block": 2}, {"block": 2, "keep": "first", "lines": 2}], ids=str)
@pytest.mark.parametrize(("engine", "workers"), [("local", 3), pytest.param("beam", 1, marks=pytest.mark.long)])
def test_the_same_on_every_engine_and_with_any_workers(
    engine: str, workers: int, options: dict[str, Any], tmp_path: Path
) -> None:
    write(tmp_path, mixed(1))
    one = made(tmp_path, "one", **options)
    assert len(one.ledger()) < 60 and texts_of(one) != texts_of(made(tmp_path, "pool", **options | {"block": 0}))
    assert files_of(made(tmp_path, "other", engine, workers, **options)) == files_of(one)


@pytest.mark.parametrize("keep", ["none", "first"])
def test_the_order_of_documents_changes_no_text(keep: str, tmp_path: Path) -> None:
    """In other files, too, where the pool is one block; of each line one is left where one is to stay."""
    pages = [text for texts in mixed(2).values() for text in texts]
    found = []
    for number in range(3):
        order = random.Random(number).sample(pages, len(pages)) if number else pages
        dealt = [order[place::3] for place in range(3)]
        write(tmp_path / str(number), dict(zip("abc", dealt, strict=True)))
        done = made(tmp_path / str(number), "out", keep=keep, normalise="c4", lines=1)
        found.append(sorted(texts_of(done).values()))
    assert found[0] == found[1] == found[2]
    lines = [line for text in found[0] for line in c4_lines(text).split("\n")]
    every = [line for text in pages for line in c4_lines(text).split("\n")]
    assert sorted(lines) == (sorted({*every}) if keep == "first" else sorted(x for x in every if every.count(x) == 1))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lines": 0}, "lines is 0; give at least 1"),
        ({"block": -1}, "block is -1; give a number of files, or 0"),
        ({"keep": "one"}, "keep is 'one'"),
        ({"normalise": "C4"}, "normalise is 'C4'"),
        ({"within_document": "last"}, "within_document is 'last'"),
    ],
)
def test_what_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=f"dedup paragraphs: {said}"):
        Dedup("lines", "paragraphs", options).checked_options()
