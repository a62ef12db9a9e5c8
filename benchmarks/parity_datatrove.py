"""Do our filters decide as datatrove 0.10.1's do, document by document?

    python benchmarks/parity_datatrove.py --peer-python VENV/bin/python --input crawl/*.warc.gz
        [--engine trafilatura] [--languages en] [--limit 500] [--models DIR] [--examples 3] [--json]

`--peer-python` names the interpreter of an environment with `datatrove[io,processing]==0.10.1`, spaCy and tldextract.
`--input` takes what `refinery run` takes: archives are extracted with `--engine`; documents come as they are. Decisions
are compared three times: with our words and sentences handed to both (what is left is our mistakes), with datatrove's
words handed to both, and with each its own. Our rules are those of the shipped recipes. Documents without any word are
left out: datatrove's own pipeline drops them before its filters, some of which divide by zero.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filters.catalog import measure
from filters.rules import Rule, judge
from filters.url import url_signals
from filters.view import View
from infra.engines.open import open_engine
from infra.errors import UsageError
from pipeline.inputs.inputs import read_inputs
from pipeline.job.context import Context, resolve_recipe
from pipeline.models.store import model_folder
from pipeline.models.url_lists import load_url_lists
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.stages.run import run
from pipeline.steps.gate import Gate
from pipeline.steps.judge import Judge

ROOT = Path(__file__).resolve().parents[1]
PEER = Path(__file__).with_name("parity_peer.py")
# Which step of which shipped recipe says the same as each of datatrove's filters.
SAME = {
    "GopherRepetitionFilter": ("fineweb", "gopher-repetition"),
    "GopherQualityFilter": ("fineweb", "gopher-quality"),
    "C4QualityFilter (FineWeb)": ("fineweb", "c4"),
    "FineWebQualityFilter": ("fineweb", "fineweb"),
    "URLFilter": ("fineweb", "url"),
}
# No recipe has datatrove's defaults for C4 (`c4` has those of C4's own program).
C4_DEFAULTS = (
    Rule("c4_lorem_ipsum_lines", "max", 0.0),
    Rule("c4_curly_bracket_lines", "max", 0.0),
    Rule("c4_sentences", "min", 5.0),
)
MODES = {"given": "with our words", "theirs": "with their words", "native": "each its own"}


@dataclass
class Count:
    """One filter in one mode. A disagreement is (id, datatrove's reason, our failing rules)."""

    documents: int = 0
    equal: int = 0
    kept: int = 0
    failed: int = 0
    ours_only: list[tuple[str, str, str]] = field(default_factory=list)
    theirs_only: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, name: str, theirs: str | None, ours: str) -> None:
        if theirs is not None and theirs.startswith("!"):
            self.failed += 1
            return
        self.documents += 1
        self.kept += theirs is None
        if (theirs is None) == (not ours):
            self.equal += 1
        else:
            (self.theirs_only if theirs else self.ours_only).append((name, theirs or "", ours))

    def row(self, examples: int) -> dict[str, Any]:
        return {
            "documents": self.documents,
            "kept_by_datatrove": self.kept,
            "equal": self.equal,
            "share": self.equal / self.documents if self.documents else None,
            "ours_only": len(self.ours_only),
            "theirs_only": len(self.theirs_only),
            "datatrove_failed": self.failed,
            "examples": [*self.ours_only[:examples], *self.theirs_only[:examples]],
        }


def read_documents(words: Sequence[str], engine: str, models: str | None, limit: int | None) -> list[dict[str, Any]]:
    """id, url, text, language of every document of the input that has a word, through our own stages."""
    recipe = parse_recipe(
        {
            "name": "parity",
            "stage": [
                {"verb": "ingest"},
                {"verb": "extract", "step": [{"kind": "extract", "engine": engine}]},
                {"verb": "filter", "step": [{"kind": "label", "what": "language", "model": "lid.176.ftz"}]},
            ],
        },
        "parity",
    )
    with_hash, places = resolve_recipe(recipe, models)
    context = Context(with_hash, open_engine("local", os.cpu_count() or 1), places)
    with tempfile.TemporaryDirectory() as folder:
        made = run(context, read_inputs(words), Path(folder) / "out", limit)
        rows: list[dict[str, Any]] = made.last.to_arrow().select(["id", "url", "text", "language"]).to_pylist()
    return [row for row in rows if len(View(row["text"]).words)]


def ask_datatrove(python: Path, documents: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """What parity_peer.py answers for each document, in order."""
    lines = "".join(json.dumps({"text": row["text"], "url": row["url"] or "http://x/"}) + "\n" for row in documents)
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [str(python), str(PEER)],
            input=lines,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": cache, "OMP_NUM_THREADS": "1"},
        )
    if done.returncode:
        sys.exit(f"the peer failed with exit code {done.returncode}")
    yield from map(json.loads, done.stdout.splitlines())


def rules_of(recipe: str, step: str) -> tuple[Rule, ...]:
    steps = (each for stage in load_recipe(recipe).stages for each in stage.steps if each.name == step)
    found = next(each for each in steps if isinstance(each, Judge | Gate))
    return tuple(rule.rule for rule in found.rules)


def our_decision(values: Mapping[str, float | None], rules: Sequence[Rule]) -> str:
    """The failing rules with their values; "" if the document is kept."""
    return ", ".join(f"{failure.rule.name} {failure.value:.4g}" for failure in judge(values, rules))


def compare(documents: Sequence[Mapping[str, Any]], answers: Iterator[dict[str, Any]], models: str | None) -> Any:
    """filter → mode → Count."""
    rules = {name: rules_of(*place) for name, place in SAME.items()} | {"C4QualityFilter": C4_DEFAULTS}
    lists = load_url_lists(model_folder(models) / "url-lists")
    names = {rule.signal for name, block in rules.items() if name != "URLFilter" for rule in block}
    counts = {name: {mode: Count() for mode in MODES} for name in sorted(rules)}
    for document, answer in zip(documents, answers, strict=True):
        own = measure(View(document["text"]), names) | url_signals(document["url"] or "http://x/", lists)
        foreign = own | measure(View(document["text"], words=answer["words"]), names)
        for name, block in rules.items():
            mine, with_theirs = our_decision(own, block), our_decision(foreign, block)
            counts[name]["given"].add(document["id"], answer["given"][name], mine)
            counts[name]["theirs"].add(document["id"], answer["native"][name], with_theirs)
            counts[name]["native"].add(document["id"], answer["native"][name], mine)
    return counts


def table(counts: Mapping[str, Mapping[str, Count]], examples: int) -> str:
    lines = [f"{'filter':27} {'documents':>9} {'kept':>6}" + "".join(f"  {title:>26}" for title in MODES.values())]
    lines.append(f"{'':27} {'':>9} {'':>6}" + f"  {'equal  ours / theirs only':>26}" * len(MODES))
    for name, modes in counts.items():
        first = modes["given"]
        cells = "".join(f"  {cell(count)}" for count in modes.values())
        lines.append(f"{name:27} {first.documents:9} {first.kept:6}{cells}")
    for name, modes in counts.items():
        for mode, count in modes.items():
            for who, theirs, ours in count.row(examples)["examples"]:
                lines.append(f"{name}, {MODES[mode]}: {who}: datatrove {theirs or 'keeps'}; ours {ours or 'keeps'}")
    return "\n".join(lines)


def cell(count: Count) -> str:
    share = 100 * count.equal / max(1, count.documents)
    return f"{share:8.2f} % {len(count.ours_only):6} / {len(count.theirs_only):<6}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=Path, required=True)
    parser.add_argument("--input", nargs="+", required=True)
    parser.add_argument("--engine", default="trafilatura", help="for archives: trafilatura, resiliparse or all_text")
    parser.add_argument("--languages", nargs="*", default=[], help="only documents of these (fastText's labels)")
    parser.add_argument("--models", help="the model folder: lid.176.ftz and url-lists")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--examples", type=int, default=0, help="so many disagreements of each kind are printed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        documents = read_documents(options.input, options.engine, options.models, options.limit)
        documents = [row for row in documents if not options.languages or row["language"] in options.languages]
        counts = compare(documents, ask_datatrove(options.peer_python, documents), options.models)
    except UsageError as error:
        sys.exit(str(error))
    if options.json:
        rows = {
            name: {mode: count.row(options.examples) for mode, count in modes.items()} for name, modes in counts.items()
        }
        print(json.dumps({"documents": len(documents), "filters": rows}, indent=1))
    else:
        print(table(counts, options.examples))


if __name__ == "__main__":
    main()
