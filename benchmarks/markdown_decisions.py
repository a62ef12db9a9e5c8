"""What a recipe decides on the Markdown of pages beside what it decides on their plain text.

    python -m benchmarks markdown_decisions --pages CRAWL/*.warc.gz --index index.jsonl.gz --models MODELS --recipe yi

Each page's main text goes through the recipe's `filter` stage twice: as plain text, and as Markdown whose marks the
signals, models and rules do not see. Pages of fewer than 500 characters are left out; the prefilter is not run.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.labelled import read_pages
from benchmarks.shared import add
from pipeline.document import Document
from pipeline.extract.block_model import main_text
from pipeline.extract.caps import check_caps
from pipeline.extract.charset import decode
from pipeline.models.loaded import loaded_models
from pipeline.recipes.parse import load_recipe
from pipeline.steps.interpreter import run_steps

MIN_CHARACTERS: Final = 500


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--pages", "--index", "--models", required=True)
    add(parser, "--recipe", "--limit")


def run(args: argparse.Namespace) -> dict[str, Any]:
    places = {path.name: path for path in Path(args.models).iterdir() if not path.name.startswith(".")}
    models = loaded_models(tuple((name, str(path)) for name, path in sorted(places.items())))
    found = {}
    for name in args.recipe or ["yi"]:
        recipe = load_recipe(name).bound(places)
        steps = next(stage.steps for stage in recipe.stages if stage.name == "filter")
        counts: Counter[str] = Counter()
        changes: Counter[str] = Counter()
        for row, message in read_pages(args.pages, args.index):
            html = decode(message.body, message.charset_label).text
            main = main_text(html) if check_caps(html) is None else None
            if main is None or len(main.plain) < MIN_CHARACTERS or counts["pages"] == args.limit:
                continue
            rules = []
            for text, is_markdown in ((main.plain, 0.0), (main.markdown, 1.0)):
                document = Document(text, row["url"], signals={"markdown": is_markdown})
                rules.append({f"{reject.step}/{reject.rule}" for reject in run_steps(document, steps, models)})
            counts["pages"] += 1
            counts["kept as plain text"] += not rules[0]
            counts["kept as Markdown"] += not rules[1]
            counts["decided otherwise"] += bool(rules[0]) != bool(rules[1])
            changes.update({f"+{rule}" for rule in rules[1] - rules[0]} | {f"-{rule}" for rule in rules[0] - rules[1]})
        found[name] = {**counts, "rules": dict(sorted(changes.items()))}
    return found


def show(found: dict[str, Any]) -> Iterator[str]:
    for name, counts in found.items():
        yield f"{name}: {', '.join(f'{what} {count}' for what, count in counts.items() if what != 'rules')}"
        yield from (f"  {rule} on {count} pages" for rule, count in counts["rules"].items())
