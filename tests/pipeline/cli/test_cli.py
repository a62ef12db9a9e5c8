"""The command line: help with an example for each command, lists behind one option, answers as one JSON document."""

import os
import shlex
import subprocess
import threading
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest

from pipeline.cli.app import GO_ON, INTERRUPTED, main
from pipeline.cli.command import spread
from pipeline.cli.table import COMMANDS
from pipeline.cli.work import opened
from tests.files import python
from tests.pipeline.command import all_commands, answer, refinery

MOST = 60
HEAVY = {"apache_beam", "fasttext", "numba", "numpy", "pyarrow", "ray", "rich", "torch", "trafilatura"}


def commands(group: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group of commands, by its name."""
    for name, command in group.commands.items():
        yield (*above, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*above, name))


EVERY = dict(commands(all_commands()))
GROUPS = [(), *(name for name, command in EVERY.items() if hasattr(command, "commands"))]


def id_of(name: tuple[str, ...]) -> str:
    return " ".join(name) or "refinery"


@pytest.mark.parametrize("name", EVERY, ids=id_of)
def test_every_command_has_help_with_an_example(name: tuple[str, ...]) -> None:
    command = EVERY[name]
    assert f"Example: refinery {' '.join(name)} " in command.help + " "
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.name not in ("help", "seed"):
            assert parameter.help, f"{' '.join(name)} --{parameter.name} has no help"


@pytest.mark.parametrize("name", EVERY, ids=id_of)
def test_the_first_line_of_help_is_one_short_sentence(name: tuple[str, ...]) -> None:
    first = EVERY[name].help.split("\n\n")[0]
    assert len(first) <= MOST and first.endswith(".") and first.count(".") == 1, first
    command = first.split()[0]
    assert command[0].isupper() and not command.endswith(("s", "ing", "ed")) and command not in ("A", "An", "The"), (
        first
    )


@pytest.mark.parametrize("name", GROUPS, ids=id_of)
def test_no_line_of_the_list_of_commands_is_cut(
    name: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([*name, "--help"])
    shown = capsys.readouterr().out
    assert "..." not in shown.partition("Commands:")[2] and max(map(len, shown.splitlines())) <= 80
    for below, command in EVERY.items():
        if below[:-1] == name:
            assert f"  {below[-1]} " in shown and command.help.split("\n\n")[0] in shown


@pytest.mark.parametrize("name", [(), *EVERY], ids=id_of)
def test_the_example_can_be_copied(
    name: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal of 80 columns: a shell reads the lines as the example, and the command takes it."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([*name, "--help"])
    lines = capsys.readouterr().out.partition("Example:\n")[2].partition("\n\n")[0].splitlines()
    assert lines and max(map(len, lines)) <= 80
    done = subprocess.run(
        ["bash", "-c", 'set -f; refinery() { printf "%s\\n" "$@"; }\n' + "\n".join(lines)],
        capture_output=True,
        text=True,
    )
    words = done.stdout.splitlines()
    command = all_commands() if not name else EVERY[name]
    assert (done.returncode, done.stderr) == (0, "")
    assert words == shlex.split(command.help.partition("Example: ")[2])[1:]
    for group in name:
        assert words.pop(0) == group
    if name not in GROUPS:
        assert command.make_context(name[-1], words).params or not command.params


def test_the_promised_commands_are_there() -> None:
    assert {
        "run", "ingest", "extract", "filter", "dedup", "mix", "tokenize", "compare", "explain", "recipes",
        "verify", "status", "report", "fit", "train", "freeze", "branch", "evaluate", "generate", "measure",
        "readmit", "takedown", "calibrate", "estimate", "export", "rejects", "join", "snapshots",
        "submit", "audit", "calibrate-experts", "export-model", "plan-training", "plan-data", "scaling", "index",
    } == {name[0] for name in EVERY}  # fmt: skip


def test_the_version_is_the_packages() -> None:
    assert refinery("--version").strip() == f"refinery {version('refinery')}"


@pytest.mark.parametrize(("given", "used"), [(None, "1"), ("3", "3")])
def test_small_products_are_of_one_thread_unless_told_otherwise(
    given: str | None, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    with pytest.raises(SystemExit):
        main(["--version"])
    assert os.environ["OPENBLAS_NUM_THREADS"] == used


def test_the_shell_can_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_REFINERY_COMPLETE": "complete_bash", "COMP_WORDS": "refinery to", "COMP_CWORD": "1"}.items():
        monkeypatch.setenv(name, value)
    assert refinery().split() == ["tokenize"]


def test_the_shell_can_complete_the_options_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "refinery export --col"
    for name, value in {"_REFINERY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "2"}.items():
        monkeypatch.setenv(name, value)
    assert refinery().split() == ["--columns"]


def test_the_table_says_of_each_command_what_its_help_says() -> None:
    for name, (_, about) in COMMANDS.items():
        assert EVERY[name,].help.split("\n\n")[0] == about


def test_only_the_module_of_the_command_is_imported() -> None:
    code = (
        "import sys\n"
        "from pipeline.cli.app import main\n"
        "try:\n    main(['export', '--help'])\n"
        "except SystemExit as stop:\n    assert stop.code == 0\n"
        "print(sorted({row[0].partition(':')[0] for row in COMMANDS.values()"
        " if f'pipeline.cli.{row[0].partition(\":\")[0]}' in sys.modules}))\n"
    )
    assert python(f"from pipeline.cli.table import COMMANDS\n{code}").splitlines()[-1] == "['results']"


def test_help_loads_nothing_that_takes_long() -> None:
    code = (
        "import sys\n"
        "from pipeline.cli.app import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as stop:\n    assert stop.code == 0\n"
        f"print(sorted({HEAVY} & set(sys.modules)))\n"
    )
    printed = python(code)
    assert printed.splitlines()[-1] == "[]"
    assert "  run " in printed


def test_workers_are_as_many_as_the_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    with opened("local", None, json=False) as engine:
        assert engine.workers == 3
    with opened("local", 2, json=False) as engine:
        assert engine.workers == 2


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--input", "a", "b", "--out", "c"], ["--input", "a", "--input", "b", "--out", "c"]),
        (["--out", "c", "--input", "a"], ["--out", "c", "--input", "a"]),
        (["--input", "a", "--input", "b"], ["--input", "a", "--input", "b"]),
        (["--input"], ["--input"]),
        (["x", "--json"], ["x", "--json"]),
    ],
)
def test_several_values_may_follow_one_option(given: list[str], meant: list[str]) -> None:
    assert spread(given, {"--input"}) == meant


def test_json_is_one_document() -> None:
    names = [row["name"] for row in answer("recipes", "list")]
    assert {"yi", "falcon", "ccnet"} <= set(names)
    assert answer("recipes", "show", "yi")["name"] == "yi"
    assert len(answer("recipes", "signals")) > 80


def test_recipes_can_be_compared_by_line() -> None:
    told = refinery("recipes", "diff", "falcon", "yi")
    assert "-  label language with lid.176.ftz, keeps en" in told
    assert refinery("recipes", "diff", "yi", "yi").strip() == "no difference"


class Stopped(threading.Condition):
    """An interrupt comes while the lock is taken back, as a signal may."""

    def _acquire_restore(self, state: Any) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_in_the_midst_of_a_lock_stops_as_any_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(**_: Any) -> None:
        condition = Stopped(threading.Lock())
        with condition:
            condition.wait(0)

    monkeypatch.setattr("pipeline.cli.app.app", command)
    with pytest.raises(SystemExit) as left:
        main([])
    assert left.value.code == INTERRUPTED
    assert GO_ON in capsys.readouterr().err


def test_another_error_is_not_taken_for_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(**_: Any) -> None:
        raise RuntimeError("release unlocked lock")

    monkeypatch.setattr("pipeline.cli.app.app", command)
    with pytest.raises(RuntimeError, match="release unlocked lock"):
        main([])
