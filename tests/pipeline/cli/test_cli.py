"""The command line: help with an example for each verb, lists behind one option, answers as one JSON document."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from pipeline.cli.app import app
from pipeline.cli.command import spread
from tests.pipeline.command import answer, refinery


def commands(group: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*above, name))
        else:
            yield (*above, name), command


VERBS = list(commands(typer.main.get_command(app)))


@pytest.mark.parametrize(
    ("words", "command"), VERBS, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_verb_has_help_with_an_example(words: tuple[str, ...], command: Any) -> None:
    assert f"Example: refinery {' '.join(words)}" in command.help
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.name not in ("help", "seed"):
            assert parameter.help, f"{' '.join(words)} --{parameter.name} has no help"


def test_the_promised_verbs_are_there() -> None:
    found = {words[0] for words, _ in VERBS}
    assert {
        "run", "ingest", "extract", "filter", "dedup", "mix", "tokenize", "compare", "explain", "recipes",
        "verify", "status", "report", "fit", "train", "freeze", "branch", "evaluate", "generate", "measure",
        "readmit", "takedown", "calibrate",
    } == found  # fmt: skip


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
