"""Checks where a command may write a file or folder beside the datasets: a model, a report, a recipe.

Never over, into or around an input; an existing file is replaced only if we made it: a model with its card beside it, a
report with our mark in its head, a recipe with a calibration. Whether the place is writable is tested before the work,
which may take hours.
"""

import tomllib
from collections.abc import Iterable
from pathlib import Path

from infra.errors import UsageError
from infra.storage import place, read_json, write_bytes, writing
from pipeline.models.store import CARD
from pipeline.recipes.shipped import shipped

# The first bytes of a report hold this.
REPORT_MARK = b'<meta name="generator" content="refinery report">'
HEAD_BYTES = 2_000


def check_model_place(out: Path, inputs: Iterable[Path]) -> None:
    """Raises UsageError unless a model may be written to `out`, a file or a folder, and its card beside it."""
    check_apart(out, inputs)
    card = out.with_name(f"{out.name}{CARD}")
    check_apart(card, inputs)
    if (holds_something(out) or card.exists()) and not is_card(card):
        raise UsageError(f"{out} exists and has no model card: choose another --out, or delete it first")
    check_writable(out)


def check_report_place(out: Path) -> None:
    """Raises UsageError unless a report may be written to `out`."""
    if out.is_dir():
        raise UsageError(f"{out} is a folder: give --out the name of the HTML file to write")
    if holds_something(out) and REPORT_MARK not in head(out):
        raise UsageError(f"{out} exists and is not one of our reports: choose another --out, or delete it first")
    check_writable(out)


def check_recipe_place(out: Path, recipe: str) -> None:
    """Raises UsageError unless a calibrated recipe may be written to `out`."""
    check_apart(out, [place(recipe)])
    if out.stem in shipped():
        raise UsageError(f"--out {out}: {out.stem!r} is the name of a shipped recipe: choose another file name")
    if holds_something(out) and not is_calibrated(out):
        raise UsageError(f"{out} exists and is not a calibrated recipe: choose another --out, or delete it first")
    check_writable(out)


def check_apart(out: Path, inputs: Iterable[Path]) -> None:
    """Raises UsageError if `out` is one of the inputs, is inside one, or contains one."""
    there = out.resolve()
    for each in inputs:
        here = each.resolve()
        if each.exists() and (there.is_relative_to(here) or here.is_relative_to(there)):
            raise UsageError(f"--out {out} is, is inside or contains the input {each}: choose another --out")


def check_writable(out: Path) -> None:
    """Raises UsageError unless a file can be made beside `out`."""
    trial = out.with_name(".refinery-trial")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(trial, b"")
        trial.unlink()


def holds_something(path: Path) -> bool:
    """Whether `path` has content to lose: a file that is not empty, or a folder with anything in it."""
    with writing(path):
        return any(path.iterdir()) if path.is_dir() else path.exists() and path.stat().st_size > 0


def head(path: Path) -> bytes:
    with writing(path), path.open("rb") as file:
        return file.read(HEAD_BYTES)


def is_card(path: Path) -> bool:
    card = read_json(path) if path.is_file() else None
    return isinstance(card, dict) and {"model", "about", "command"} <= card.keys()


def is_calibrated(path: Path) -> bool:
    try:
        return "calibration" in tomllib.loads(path.read_bytes().decode())
    except (OSError, ValueError, RecursionError):
        return False
