"""Every block of README and docs does what it says: shell and Python are run, TOML and JSON are read.

Each page has a copy of the world of its own. A line that reads what another page makes has that made first.
"""

import contextlib
import importlib.util
import io
import json
import re
import shlex
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.parquet as pq
import pytest
from torch.distributed.run import get_args_parser

from benchmarks.__main__ import parsed
from pipeline.metric.grid_file import read_grid
from pipeline.models.combination import load_combination
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.steps.table import read_step
from tests.examples.pages import OWN_TESTS, Block, all_pages, blocks, shell_lines, spans
from tests.examples.shell import Line, Terminal, check_text, logical_lines
from tests.files import ROOT
from tests.pipeline.command import all_commands, refinery
from trainer.branches.overrides import apply_overrides
from trainer.config import Config

LANGUAGES = {"sh", "python", "toml", "json", "jsonl", "diff", "text"}
# What the tests cannot do: a line that begins so, why, and what is checked in its place (`check_unrun`).
NOT_RUN = {
    "make ": "minutes, and the network: the target is there",
    "python3.11 -m venv": "makes an environment",
    ".venv/bin/pip": "the network: what it installs is there",
    "refinery-env/bin/": "the network: the extra is there",
    "python -m benchmarks": "labelled data and other projects' programs: the options are there",
    'A="': "options of the benchmarks below it",
    "refinery train --data tokens --config base": "several GPUs: the options are there",
    "torchrun": "several machines: the options are there",
}
# Packages that are not ours; where they are not installed, the files and columns that the block names are looked for.
FOREIGN = ("duckdb", "polars", "datasets")
# Of these the lines are much like those of other pages and of `--help`, and slow.
SLOW = ("docs/models.md", "docs/trainer.md")
UNRUN = [line for line in shell_lines() if line.text.startswith(tuple(NOT_RUN))]
PAGES = [
    pytest.param(page, marks=[pytest.mark.long] if page in SLOW else [])
    for page in sorted({line.page for line in {*shell_lines()} - {*UNRUN}})
]
TINY = ROOT / "trainer/configs/tiny.toml"


def test_every_block_says_its_language() -> None:
    found = [*blocks()]
    untold = [f"{block.page}:{block.line}" for block in found if block.language not in LANGUAGES]
    assert not untold, f"write ```sh, ```text or another of {sorted(LANGUAGES)}: {', '.join(untold)}"
    print(f"\n{len(found)} blocks: {dict(Counter(block.language for block in found))}")
    print(f"{len(shell_lines())} lines of shell, {len(UNRUN)} of them not run")


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("page", PAGES)
def test_every_line_of_shell(page: str, folder: Path) -> None:
    assert type_page(page, folder) > 0


@pytest.mark.long
def test_the_training_with_all_its_steps(folder: Path) -> None:
    assert type_page("docs/journeys/training.md", folder) > 0


def type_page(page: str, folder: Path) -> int:
    """How many lines were run; each must end well and print what fits."""
    run = 0
    terminal = Terminal(folder, [*shell_lines(page), *shell_lines()])
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text)
        for line in logical_lines(block.text) if block.language == "sh" else ():
            if not line.startswith(tuple(NOT_RUN)):
                check_text(line, terminal.type(line))
                run += 1
    return run


@pytest.mark.parametrize("line", UNRUN, ids=lambda line: f"{line.page} {line.text[:60]}")
def test_what_is_not_run_is_there(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    text, words = line.text, line.text.split("#")[0].split()
    if text.startswith("make "):
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif text.startswith("python -m benchmarks"):
        for command in text.split("#")[0].split("&&"):
            with pytest.raises(SystemExit):
                parsed(command.split()[3], ["--help"])
            options = {word for word in command.split() if word.startswith("--")}
            assert options <= {*re.findall(r"--[\w-]+", capsys.readouterr().out)}
    elif "refinery train" in text:
        launcher, _, command = text.partition("refinery train")
        options = {word for word in command.split(" -- ")[0].split() if word.startswith("--")}
        assert options <= {*re.findall(r"--[\w-]+", refinery("train", "--help"))}
        if launcher:
            get_args_parser().parse_args([*launcher.replace("\\\n", " ").split()[1:], "refinery"])
    else:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert {*re.findall(r"refinery\[([\w,]+)\]", text)} <= {*extras}
        for name in re.findall(r"(?:-r|--constraint) (\S+)", text):
            assert (ROOT / name).is_file()


def of_language(language: str) -> list[Any]:
    found = [block for block in blocks() if block.language == language and block.page not in OWN_TESTS]
    return [pytest.param(block, id=f"{block.page}:{block.line}") for block in found]


@pytest.mark.parametrize("block", of_language("python"))
def test_every_block_of_python(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that reads a run reads that of the laptop's journey."""
    if re.search(r"""(?<!out=)["']out["'/]""", block.text):
        Terminal(folder, shell_lines("docs/journeys/laptop.md")).make("out")
    monkeypatch.chdir(folder)
    missing = [name for name in FOREIGN if f"{name}" in imported(block.text) and not importlib.util.find_spec(name)]
    if missing:
        check_named(block.text)
        return
    with mock.patch("infra.engines.open.cores", return_value=1), contextlib.redirect_stdout(io.StringIO()):
        exec(compile(block.text, block.page, "exec"), {"__name__": "__main__"})


def imported(code: str) -> set[str]:
    return set(re.findall(r"^\s*(?:import|from) (\w+)", code, re.MULTILINE))


def check_named(code: str) -> None:
    """In the working directory, the files that the code names are there, with the columns that it names."""
    patterns = re.findall(r"""['"](out/[^'"]+)['"]""", code)
    files = [sorted(Path().glob(pattern)) for pattern in patterns]
    assert patterns and all(files), patterns
    columns = {name for found in files for name in pq.read_schema(found[0]).names}
    assert {"url", "language", "token_count", "signals", "step", "rule"} & {*re.findall(r"\w+", code)} <= columns


@pytest.mark.parametrize("block", of_language("toml"))
def test_every_block_of_toml(block: Block, tmp_path: Path) -> None:
    """A recipe or stages of one, a step, a grid of distributions, or the overrides of a branch."""
    text = block.text
    if block.file:
        (tmp_path / block.file).write_text(text)
        if "[cells." in text:
            assert read_grid(tmp_path / block.file).cells
            return
        assert load_recipe(str(tmp_path / block.file)).stages
        return
    if text.lstrip().startswith("{"):
        text = f"step = [{text.strip()}]"
    elif text.lstrip().startswith("[[stage.step]]"):
        text = f'[[stage]]\nname = "here"\ncommand = "filter"\n{text}'
    body = tomllib.loads(text)
    if "stage" in body:
        assert parse_recipe({"name": "here", "about": "", **body}, block.page).stages
    elif "step" in body:
        for step in body["step"]:
            assert read_step(step, block.page).kind == step["kind"]
    else:
        config = apply_overrides(Config.read(TINY), body, 40)
        assert config != Config.read(TINY)


@pytest.mark.parametrize("block", of_language("json"))
def test_every_block_of_json(block: Block, tmp_path: Path) -> None:
    """The file of a combination."""
    assert json.loads(block.text)["format"].startswith("refinery.combination/")
    (tmp_path / "here.json").write_text(block.text)
    assert load_combination(tmp_path / "here.json").terms


def test_the_list_of_what_is_not_run_is_short() -> None:
    for begins in NOT_RUN:
        assert any(line.text.startswith(begins) for line in shell_lines()), f"{begins!r} is in no block any more"


def test_pages_with_tests_of_their_own_have_them() -> None:
    assert {*OWN_TESTS} <= {*all_pages()}
    for page, test in OWN_TESTS.items():
        assert page in (ROOT / test).read_text()


@pytest.mark.parametrize("line", [*spans()], ids=lambda line: f"{line.page} {line.text[:60]}")
def test_commands_in_the_text_are_there(line: Line) -> None:
    """With the options that they are written with."""
    command: Any = all_commands()
    words = shlex.split(line.text)[1:]
    while words and hasattr(command, "commands") and not words[0].startswith("-") and words[0].islower():
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "--install-completion"}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known
