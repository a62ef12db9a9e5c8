"""docs/reading.md: the result is read as it says, with each program that is installed, and its commands run."""

import ast
import io
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.dataset.reader import Dataset
from tests.pipeline.command import ROOT, refinery
from tests.pipeline.here import run_here
from tests.pipeline.pages import write_crawl
from tests.pipeline.recipe_texts import BRIEF

PAGE = (ROOT / "docs/reading.md").read_text()
PROGRAMS = ("duckdb", "polars", "datasets", "pandas", "refinery")


def section(title: str) -> str:
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ )", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def blocks(title: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in `out`, with two shards."""
    folder = tmp_path_factory.mktemp("reading")
    write_crawl(folder / "crawl", each=20)
    (folder / "brief.toml").write_text(BRIEF)
    run_here(folder / "brief.toml", folder / "crawl", folder / "out")
    (folder / "list.txt").write_text("http://host5.example/5\n")
    return folder


def last_value(code: str) -> Any:
    """What the last line of an example gives."""
    tree = ast.parse(code)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr)
    space: dict[str, Any] = {}
    exec(compile(tree, "docs/reading.md", "exec"), space)
    return eval(compile(ast.Expression(last.value), "docs/reading.md", "eval"), space)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_example_of_each_program_reads_the_result(
    program: str, world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip(program)
    monkeypatch.chdir(world)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    examples = blocks("Parquet with other tools", "python")
    (code,) = (block for block in examples if re.search(rf"(import|from) {program}", block))
    found = last_value(code)
    if program == "duckdb":
        rules = {
            f"{line['step']}/{line['rule']}": 0
            for path in (world / "out").glob("[0-9]*")
            for line in Dataset(path).ledger().to_pylist()
        }
        assert {rule for rule, _ in found.fetchall()} == set(rules)  # of each stage, and of each once
        (first,) = (line for line in code.splitlines() if "final" in line)
        assert len(last_value(f"import duckdb\n{first}").fetchall()) == 5
    elif program == "refinery":
        assert found.num_rows == documents(world)
    else:
        assert len(found) == documents(world)


def documents(world: Path) -> int:
    return Dataset(world / "out/final").manifest.counts["out"]


def test_pyarrow_reads_the_pattern(world: Path) -> None:
    """The schema of the shards is one, with the struct of signals."""
    import pyarrow.dataset

    files = sorted(map(str, (world / "out/final").glob("part-*.parquet")))
    table = pyarrow.dataset.dataset(files).to_table()
    assert table.equals(Dataset(world / "out/final").to_arrow()) and len(files) == 2


@pytest.mark.parametrize("title", ["JSONL, text, one Parquet file: `export`", "See what a rule rejected: `rejects`"])
def test_the_commands_run_as_written(title: str, world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (block,) = blocks(title, "")
    (tmp_path / "out").symlink_to(world / "out")
    for line in block.splitlines():
        printed = ""
        for command in line.partition(" #")[0].split(" | "):
            monkeypatch.setattr(sys, "stdin", io.StringIO(printed))
            words = shlex.split(command)[1:]
            printed = refinery(*inside(tmp_path, words, "--run", "--out"))
        assert printed or "--out" in words


def inside(folder: Path, words: list[str], *options: str) -> list[str]:
    """The words of a command, with what follows these options as a name in `folder`, but for `-`."""
    pairs = zip(["", *words], words, strict=False)
    return [str(folder / word) if before in options and word != "-" else word for before, word in pairs]


def test_explain_runs_as_written(world: Path) -> None:
    (block,) = blocks("Explain documents: `explain`", "")
    for line in block.splitlines():
        for shown, there in (("example.org/1", "host0.example/0"), ("example.org/2", "host0.example/14")):
            line = line.replace(f"https://{shown}", f"http://{there}")
        words = shlex.split(line.partition(" #")[0].replace("https://example.org/", "http://host0.example/0"))
        assert "http://host" in refinery(*inside(world, words[1:], "--run", "--from"))
