"""What the commands that work on data share: how they open an engine, and what they say of damage."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from pipeline.cli.console import quiet_stdout, say
from pipeline.cli.progress import ProgressScreen

if TYPE_CHECKING:
    from infra.dataset.manifest import Manifest
    from infra.engines.engine import Engine
    from infra.http.limits import HttpLimits
    from pipeline.recipes.recipe import Recipe


@contextmanager
def opened(engine: str, workers: int | None, json: bool, limits: "HttpLimits | None" = None) -> "Iterator[Engine]":
    """The engine by its name, with its progress on stderr; with `json`, stdout stays clean for the one document.
    `limits`: of what all of its workers together ask over http."""
    from infra.engines.open import open_engine
    from infra.http.budget import serve_budget
    from infra.http.limits import HttpLimits

    with (
        quiet_stdout(json),
        ProgressScreen() as screen,
        serve_budget(limits or HttpLimits(), screen.note),
        open_engine(engine, workers, screen.report) as made,
    ):
        made.say = screen.note
        yield made


def chosen(recipe: str, changes: Sequence[str] | None) -> "Recipe":
    """The recipe of `--recipe`, changed by `--set`."""
    from pipeline.recipes.changes import read_changes
    from pipeline.recipes.parse import load_recipe

    return load_recipe(recipe, read_changes(changes or ()))


def report_damage(manifests: "Sequence[Manifest]") -> None:
    """Exit code 1 where input was damaged: the work is done, and what could not be read is in the ledger."""
    found = {
        rule: number
        for manifest in manifests
        for rule, number in manifest.rejected_by.items()
        if rule.startswith(("ingest/damage/", "read/"))
    }
    if found:
        total = sum(found.values())
        what = "damaged range or unreadable line" if total == 1 else "damaged ranges and unreadable lines"
        rules = ", ".join(f"{rule} {number:,}" for rule, number in sorted(found.items()))
        say(f"{total:,} {what} of the input: {rules}; all else was read. The ledger has file and offset of each; "
            "because of them the exit code is 1")  # fmt: skip
        raise typer.Exit(1)
