"""All that a recipe may have, as Markdown: `docs/reference.md` is what this prints, and a test holds it to that.

Everything is read from where it is defined: the table of steps, their keys, the methods' and the extractors' options.
"""

import sys
from collections.abc import Iterable, Iterator

from filters.catalog import EDITS
from pipeline.extract.extractors.table import EXTRACTORS
from pipeline.models.scorers import SCORERS
from pipeline.recipes import stage_keys
from pipeline.steps import dedup, pool
from pipeline.steps.dedup import Dedup
from pipeline.steps.extract import engine_options
from pipeline.steps.option import REQUIRED, Option
from pipeline.steps.pool import PoolRule
from pipeline.steps.step import Step
from pipeline.steps.table import STEPS, kinds_in

HEAD = """# Reference of recipes

All that a recipe may have, with types, units and defaults. `refinery recipes reference` prints this page, and a test
holds the file to the program. [Recipes](recipes.md) explains how one is written and what the shipped ones are;
[signals](signals.md) has what rules may name, and `refinery recipes signals` lists it."""

RULES = (
    ("a comparison, `>=` or `<=`; equal passes", '`"words >= 50"`'),
    (
        "a table of one rule: `signal`, `min` or `max`, and if needed `source` and `languages`",
        '`{ signal = "words", min = 50, source = "Gopher A.1.1" }`',
    ),
    (
        "a table of comparisons that share `source` or `languages`",
        '`{ languages = ["de"], rules = ["words >= 50", "words <= 9000"] }`',
    ),
)

CHANGES = """A recipe is changed by `--set PATH=VALUE` (repeatable), by `changes={PATH: VALUE}` in Python, by `[set]`
in a file with `extends`. `refinery recipes show RECIPE --paths` lists the paths of a recipe with their values. A step
without a `name` is called by its method, edit, label or signal, or else by its kind."""
PATHS = (
    ("`STAGE.STEP.SIGNAL.min`, `STAGE.STEP.SIGNAL.max`", "a number; `off` takes the rule out"),
    ("`STAGE.STEP.SIGNAL.min.LANGUAGE`", "the same, for one language of rules that have languages"),
    ("`STAGE.STEP.KEY`", "a key of the step; another method or engine starts with the defaults of its options"),
    ("`STAGE.STEP.OPTION`", "an option of the step's method or engine"),
    ("`STAGE.KEY`", "a key of the stage; of a draw `STAGE.draw.SETTING`"),
    ("`STAGE.STEP`, `STAGE`", "`off` takes the step or the stage out"),
    ("`name`, `about`", "a text"),
)

# Edits that are made from one function; of the others the function says it.
EDITS_ABOUT = {
    "mask_card": "Numbers of payment cards that pass Luhn's check -> 4111111111111111, Visa's test number.",
    "mask_chinese_id": "Chinese identity numbers that pass their check -> the example of GB 11643-1999.",
    "mask_spanish_id": "Spanish identity numbers (DNI, NIE) that pass their check -> 00000000T.",
    "mask_french_id": "French social security numbers that pass their check -> 255081416802538.",
    "mask_italian_id": "Italian tax codes that pass their check -> RSSMRA85T10A562S.",
    "mask_american_id": "American social security numbers after their label -> 987-65-4320, which is never issued.",
    "mask_polish_id": "Polish PESEL numbers after their label -> 44051401359.",
    "mask_german_id": "German tax numbers after their label -> 86095742719, a test number.",
    "c4_tfds_lines": "Keeps the lines that C4 keeps, as the program that made it does: 5 words, an end mark.",
    "c4_lines": "Keeps the lines that C4 keeps, as datatrove counts: 3 words, an end mark.",
    "c4_any_ending_lines": "The same without asking for an end mark, as FineWeb does.",
}


def reference_text() -> str:
    return "\n\n".join([HEAD, *_file(), *_steps(), *_methods(), *_extractors(), *_labels(), *_rest()]) + "\n"


def _file() -> Iterator[str]:
    yield "## The file"
    yield _options(stage_keys.WHOLE_FILE)
    yield "A file that changes another recipe has instead:"
    yield _options(stage_keys.CHANGED_FILE)
    yield f"### Changes\n\n{CHANGES}"
    yield _table(("path", "value"), PATHS)
    yield "## Stages"
    yield _options(stage_keys.STAGE_FILE)
    rows = [
        (f"`{name}`", about, ", ".join(map(_code, kinds_in(name)))) for name, about in stage_keys.COMMANDS_ABOUT.items()
    ]
    yield _table(("command", "makes", "kinds of step"), rows)
    for command, options in stage_keys.STAGE_OPTIONS.items():
        if options:
            yield f"Of `{command}` alone:\n\n{_options(options)}"
    yield f"### Draw\n\n{_options(stage_keys.draw_options())}"


def _steps() -> Iterator[str]:
    yield "## Steps"
    name = Option(
        "name", "its name in ledgers, counts and paths", default="its method, edit, label or signal, else its kind"
    )
    yield "A step is a table with a `kind`. Every kind has:"
    yield _options((Option("kind", "one of the following", default=REQUIRED), name))
    for kind, step in STEPS.items():
        stages = ", ".join(map(_code, step.stages))
        yield f"### {kind}\n\n{_about(step)} In stages: {stages}."
        yield _options(step.keys)
    yield "### Rules\n\nA judge or a gate rejects what fails one of its `rules`. An entry of that list is one of:"
    yield _table(("entry", "example"), RULES)
    yield "A signal that was not measured passes. In the ledger a rule is `STEP/min_SIGNAL` or `STEP/max_SIGNAL`."


def _about(step: type[Step]) -> str:
    return _first_sentence(sys.modules[step.__module__].__doc__)


def _methods() -> Iterator[str]:
    yield "## Methods"
    for step, about in ((Dedup, dedup.METHODS), (PoolRule, pool.METHODS)):
        for method, text in about.items():
            yield f"### {step.kind} {method}\n\n{text[0].upper()}{text[1:]}."
            yield _options(step.options_of(method))


def _extractors() -> Iterator[str]:
    yield "## Extractors"
    for name, extractor in EXTRACTORS.items():
        options = engine_options(name)
        about = _first_sentence(sys.modules[extractor.module].__doc__)
        yield f"### {name}\n\n{about}" + ("" if options else " No options.")
        if options:
            yield _options(options)


def _labels() -> Iterator[str]:
    yield "## What a label tells"
    rows = [
        (
            "`language`",
            "`language`, `language_score`, `language_shares`",
            "the language, its probability, and shares by line",
        ),
        ("`domain`", "`domain`", "one of the domains of the [glossary](glossary.md)"),
    ]
    for name, scorer in SCORERS.items():
        rows += [(f"`{name}`", f"`{signal}`", about) for signal, about in scorer.signals.items()]
    yield _table(("`what`", "sets", ""), rows)


def _rest() -> Iterator[str]:
    yield "## Edits"
    rows = [(f"`{name}`", EDITS_ABOUT.get(name) or _first_sentence(edit.__doc__)) for name, edit in EDITS.items()]
    yield _table(("`edit`", ""), rows)


def _first_sentence(doc: str | None) -> str:
    """Of a docstring's first paragraph, without the name in front of it."""
    text = " ".join((doc or "").strip().split("\n\n")[0].split())
    head, colon, rest = text.partition(": ")
    named = colon and len(head.split()) == 1
    text = rest if named else text
    return (text[:1].upper() + text[1:]).partition(". ")[0].rstrip(".") + "."


def _options(options: Iterable[Option]) -> str:
    rows = [(f"`{each.name}`", each.type, _default(each.default), each.about) for each in options]
    return _table(("", "type", "default", ""), rows)


def _default(default: str) -> str:
    return default if default in ("", REQUIRED) or " " in default else _code(default)


def _code(word: str) -> str:
    return f"`{word}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [_row(head), "|" + "---|" * len(head), *map(_row, rows)]
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return "|" + "|".join(f" {cell} " if cell else " " for cell in escaped) + "|"
