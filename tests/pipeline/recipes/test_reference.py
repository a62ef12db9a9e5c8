"""docs/reference.md is what the program prints, and what it says of options is true."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from infra.errors import UsageError
from pipeline.extract.extractors.table import EXTRACTORS
from pipeline.recipes.stage_keys import CHANGED_FILE, STAGE_FILE, STAGE_OPTIONS, WHOLE_FILE, draw_options
from pipeline.steps.dedup import Dedup
from pipeline.steps.extract import engine_options
from pipeline.steps.option import REQUIRED, Option
from pipeline.steps.pool import PoolRule
from pipeline.steps.table import STEPS, read_step
from tests.pipeline.command import ROOT, refinery

PAGE = (ROOT / "docs" / "reference.md").read_text()
TERM = {"signal": "words", "at": [1, 2], "add": [0, 1]}
# The least that a step of each kind needs.
LEAST: dict[str, dict[str, Any]] = {
    "gate": {},
    "extract": {"engine": "resiliparse"},
    "label": {"what": "language", "model": "m"},
    "judge": {},
    "combine": {"signal": "quality", "terms": [TERM]},
    "prune": {"judge": "a"},
    "rewrite": {"edit": "mask_pii"},
    "pool": {"method": "quantile"},
    "dedup": {"method": "text"},
}
# Values of the types that the page has, each with one that is not of the type.
TYPES: dict[str, tuple[Any, Any]] = {
    "text": ("m", 5),
    "number": (0.5, "x"),
    "whole number": (5, "x"),
    "true or false": (True, 1),
    "list": ([], 5),
    "list of texts": (["en"], "en"),
    "list of tables": ([], 5),
    "table": ({}, 5),
}


def test_the_page_is_what_the_command_prints() -> None:
    assert refinery("recipes", "reference") == PAGE, "refinery recipes reference > docs/reference.md"


def test_every_link_has_a_place() -> None:
    headings = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in re.findall(r"^#+ (.*)$", PAGE, re.M)}
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        file, _, place = target.partition("#")
        assert (ROOT / "docs" / file).exists() if file else place in headings, target


@pytest.mark.parametrize("kind", STEPS)
def test_the_keys_of_a_kind_are_those_that_it_reads(kind: str) -> None:
    least = {"kind": kind, **LEAST[kind]}
    read_step(least, "here")
    for key in STEPS[kind].keys:
        if key.default == REQUIRED:
            with pytest.raises(UsageError):
                read_step({name: value for name, value in least.items() if name != key.name}, "here")
        _, wrong = TYPES[key.type]
        with pytest.raises(UsageError, match=key.name):
            read_step({**least, key.name: wrong}, "here")


def every_option() -> Iterator[Option]:
    yield from (*WHOLE_FILE, *CHANGED_FILE, *STAGE_FILE, *draw_options())
    for options in STAGE_OPTIONS.values():
        yield from options
    for step in STEPS.values():
        yield from step.keys
    for method in (Dedup, PoolRule):
        yield from (option for name in method.methods for option in method.options_of(name))
    for engine in EXTRACTORS:
        yield from engine_options(engine)


def test_every_option_has_a_line_a_type_and_an_entry() -> None:
    for option in every_option():
        assert option.about and option.type, option
        assert f"| `{option.name}` | {option.type} |" in PAGE
