"""The keys of a recipe's file, and of a stage's table in it, by its command."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from infra.errors import UsageError
from mixers.targets import DrawConfig
from pipeline.steps.option import REQUIRED, Option, field_docs, type_of, written

NAME = Option("name", "the recipe's name in manifests; that of no shipped recipe", default="the file's name")
ABOUT = Option("about", "a line that says what it is")
WHOLE_FILE = (
    NAME,
    ABOUT,
    Option("stage", "the [stages](#stages), in order", "list of tables", REQUIRED),
    Option("calibration", "what `refinery calibrate` wrote down of its thresholds", "list of tables"),
)
CHANGED_FILE = (
    Option("extends", "a shipped recipe by name, or a .toml file by its path from this one", default=REQUIRED),
    NAME,
    ABOUT,
    Option("set", "[changes](#changes): paths with their new values", "table"),
    Option(
        "insert",
        "`step` or `stage` (tables), and where: `before`, `after` or `in_place_of` the step or stage of a path",
        "list of tables",
    ),
)
STAGE_FILE = (
    Option("name", "names its folder, and paths to it; unlike all others of the recipe", default="its command"),
    Option("command", "what it does: one of the table below", default=REQUIRED),
    Option("step", "the [steps](#steps), in order", "list of tables", "[]"),
)
# What each command does.
COMMANDS_ABOUT: dict[str, str] = {
    "ingest": "an index of the pages of archives: records",
    "extract": "the text of records: documents; the last step is an `extract`",
    "filter": "labels, rules and edits of documents; or one rule over the whole pool",
    "dedup": "copies, over the whole pool; exactly one `dedup` step",
    "mix": "a balanced draw of documents",
    "tokenize": "documents to shards of tokens",
}
STAGE_OPTIONS: dict[str, tuple[Option, ...]] = {
    "ingest": (),
    "extract": (
        Option(
            "audit",
            "the share of pages, 0 to 1, that no prefilter rejects: the audit sample (with a baseline more long pages)",
            "number",
        ),
        Option(
            "audit_pages",
            "of a small input about so many pages are sampled: the share is larger then",
            "whole number",
            "0",
        ),
        Option(
            "baseline",
            "a shipped recipe: the sample goes through its rules too, so that what it would keep can be estimated",
        ),
    ),
    "filter": (Option("carried", "signals of steps that the documents bring along from elsewhere", "list of texts"),),
    "dedup": (),
    "mix": (
        Option("draw", "shares, floors and caps of the draw: see [draw](#draw)", "table", "{}"),
        Option(
            "tokenizer",
            "the model that counts the tokens, by its name in the model folder; without it a fixed pattern counts",
        ),
    ),
    "tokenize": (Option("tokenizer", "the model, by its name in the model folder", default=REQUIRED),),
}
# Keys of a stage that had another name in earlier versions.
FORMER_KEYS = {"verb": "command", "control": "audit"}


def current_keys(source: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """A stage's table with the keys of today for the former ones, so that recipes of earlier versions can be read."""
    for former, key in FORMER_KEYS.items():
        if former in source and key in source:
            raise UsageError(f"{place}: {former} is the former name of {key}: leave one of the two out")
    return {FORMER_KEYS.get(name, name): value for name, value in source.items()}


DRAW_TYPES = {"tokens": 'whole number, or `"max"`', "grades": "list of tables", "temperature": "number"}


def draw_options() -> tuple[Option, ...]:
    """The settings of a stage's `draw`."""
    about, defaults = field_docs(DrawConfig), DrawConfig().as_params()
    return tuple(
        Option(
            each.name,
            about[each.name],
            DRAW_TYPES.get(each.name) or type_of(value),
            "" if value is None else written(value),
        )
        for each, value in ((each, defaults[each.name]) for each in fields(DrawConfig))
    )
