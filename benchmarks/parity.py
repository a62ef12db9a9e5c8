"""Do our filters decide as datatrove 0.10.1's do, document by document?

    python -m benchmarks parity --peer-python VENV/bin/python --pages CRAWL/*.warc.gz --models MODELS
        [--engine trafilatura] [--languages en] [--limit 500] [--examples 3]

`--pages` takes what `refinery run` takes: archives are extracted with `--engine`; documents come as they are. Decisions
are compared three times: with our words and sentences handed to both (what is left is our mistakes), with datatrove's
words handed to both, and with each its own. Our rules are those of the shipped recipes. Documents without any word are
left out: datatrove's own pipeline drops them before its filters, some of which divide by zero.
"""

import argparse
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.shared import add, ask_peer, markdown
from filters.catalog import measure
from filters.rules import Rule, judge
from filters.url import url_signals
from filters.view import View
from infra.engines.open import open_engine
from pipeline.inputs.inputs import read_inputs
from pipeline.job.context import Context, resolve_recipe
from pipeline.models.store import model_folder
from pipeline.models.url_lists import load_url_lists
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.stages.run import run as run_recipe
from pipeline.steps.gate import Gate
from pipeline.steps.judge import Judge

# Which step of which shipped recipe says the same as each of datatrove's filters.
SAME: Final = {
    "GopherRepetitionFilter": ("fineweb", "gopher-repetition"),
    "GopherQualityFilter": ("fineweb", "gopher-quality"),
    "C4QualityFilter (FineWeb)": ("fineweb", "c4"),
    "FineWebQualityFilter": ("fineweb", "fineweb"),
    "URLFilter": ("fineweb", "url"),
}
# No recipe has datatrove's defaults for C4 (`c4` has those of C4's own program).
C4_DEFAULTS: Final = (
    Rule("c4_lorem_ipsum_lines", "max", 0.0),
    Rule("c4_curly_bracket_lines", "max", 0.0),
    Rule("c4_sentences", "min", 5.0),
)
MODES: Final = {"given": "with our words", "theirs": "with their words", "native": "each its own"}


class Decision(NamedTuple):
    """On one document: datatrove's reason, our failing rules; None or "" where it is kept."""

    id: str
    theirs: str | None
    ours: str


def summary(decisions: Sequence[Decision], examples: int) -> dict[str, Any]:
    judged = [each for each in decisions if not (each.theirs or "").startswith("!")]
    ours_only = [each for each in judged if each.theirs is None and each.ours]
    theirs_only = [each for each in judged if each.theirs is not None and not each.ours]
    return {
        "documents": len(judged),
        "kept_by_datatrove": sum(each.theirs is None for each in judged),
        "share_equal": 1 - (len(ours_only) + len(theirs_only)) / max(1, len(judged)),
        "ours_only": len(ours_only),
        "theirs_only": len(theirs_only),
        "datatrove_failed": len(decisions) - len(judged),
        "examples": [*ours_only[:examples], *theirs_only[:examples]],
    }


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--peer-python", "--pages", required=True)
    add(parser, "--engine", action="store", default="trafilatura", help="for archives")
    add(parser, "--models", "--limit")
    parser.add_argument("--languages", nargs="*", default=[], help="only documents of these (fastText's labels)")
    parser.add_argument("--examples", type=int, default=0, help="so many disagreements of each kind are told")


def read_documents(args: argparse.Namespace) -> list[dict[str, Any]]:
    """id, url, text, language of every document of the input that has a word, through our own stages."""
    extract = {"kind": "extract", "engine": args.engine}
    label = {"kind": "label", "what": "language", "model": "lid.176.ftz"}
    stages = [{"command": "ingest"}, {"command": "extract", "step": [extract]}, {"command": "filter", "step": [label]}]
    recipe, places = resolve_recipe(parse_recipe({"name": "parity", "stage": stages}, "parity"), args.models)
    inputs = read_inputs(list(map(str, args.pages)))
    with tempfile.TemporaryDirectory() as folder, open_engine("local", os.cpu_count() or 1) as engine:
        made = run_recipe(Context(recipe, engine, places), inputs, Path(folder) / "out", args.limit)
        rows = made.last.to_arrow().select(["id", "url", "text", "language"]).to_pylist()
    wanted = [row for row in rows if not args.languages or row["language"] in args.languages]
    return [row | {"url": row["url"] or "http://x/"} for row in wanted if len(View(row["text"]).words)]


def rules_of(recipe: str, step: str) -> tuple[Rule, ...]:
    steps = (each for stage in load_recipe(recipe).stages for each in stage.steps if each.name == step)
    found = next(each for each in steps if isinstance(each, Judge | Gate))
    return tuple(rule.rule for rule in found.rules)


def our_decision(values: Mapping[str, float | None], rules: Sequence[Rule]) -> str:
    """The failing rules with their values; "" if the document is kept."""
    return ", ".join(f"{failure.rule.name} {failure.value:.4g}" for failure in judge(values, rules))


def compare(
    documents: Sequence[Mapping[str, Any]], answers: Iterable[dict[str, Any]], models: str | None
) -> dict[str, dict[str, list[Decision]]]:
    """By filter and mode."""
    rules = {name: rules_of(*place) for name, place in SAME.items()} | {"C4QualityFilter": C4_DEFAULTS}
    lists = load_url_lists(model_folder(models) / "url-lists")
    names = {rule.signal for name, block in rules.items() if name != "URLFilter" for rule in block}
    found: dict[str, dict[str, list[Decision]]] = {name: {mode: [] for mode in MODES} for name in sorted(rules)}
    for document, answer in zip(documents, answers, strict=True):
        own = measure(View(document["text"]), names) | url_signals(document["url"], lists)
        foreign = own | measure(View(document["text"], words=answer["words"]), names)
        for name, block in rules.items():
            ours, given, native = our_decision(own, block), answer["given"][name], answer["native"][name]
            found[name]["given"].append(Decision(document["id"], given, ours))
            found[name]["theirs"].append(Decision(document["id"], native, our_decision(foreign, block)))
            found[name]["native"].append(Decision(document["id"], native, ours))
    return found


def run(args: argparse.Namespace) -> dict[str, Any]:
    documents = read_documents(args)
    found = compare(documents, ask_peer(args.peer_python, "decisions", documents), args.models)
    rows = {name: {mode: summary(each, args.examples) for mode, each in modes.items()} for name, modes in found.items()}
    return {"documents": len(documents), "filters": rows}


def show(found: dict[str, Any]) -> Iterator[str]:
    heads = (f"{title}: equal (ours / theirs only)" for title in MODES.values())
    lines = []
    for name, modes in found["filters"].items():
        cells = (f"{row['share_equal']:.2%} ({row['ours_only']} / {row['theirs_only']})" for row in modes.values())
        lines.append([name, modes["given"]["documents"], modes["given"]["kept_by_datatrove"], *cells])
    yield from markdown(["filter", "documents", "kept by datatrove", *heads], lines)
    for name, modes in found["filters"].items():
        for mode, row in modes.items():
            for ident, theirs, ours in row["examples"]:
                yield f"{name}, {MODES[mode]}: {ident}: datatrove {theirs or 'keeps'}; ours {ours or 'keeps'}"
