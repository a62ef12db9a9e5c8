"""What each recipe of a comparison keeps, by the type of page: documents of each type, and all of them.

    python -m benchmarks kept_types --compared OUT --index index.jsonl.gz [--least 40]

`--compared`: the folder of a finished `refinery compare`. `--index`: rows of `url` and `type`, one a page. Documents
whose address has no row are "(not known)". Types of fewer pages than `--least` are one row, "(others)".
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.rows import Field, checked_rows
from benchmarks.shared import add, markdown
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from infra.storage import read_json
from pipeline.compare.walk import final

UNKNOWN, OTHERS, ALL = "(not known)", "(others)", "(all)"


def _word(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "is no word"


URL = Field("url", "the address of a page", _word)
TYPE = Field("type", "the type of the page, such as news", _word)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--compared", type=Path, required=True, help="the folder of a finished refinery compare")
    add(parser, "--index", required=True)
    parser.add_argument("--least", type=int, default=40, help="types of fewer pages are one row")


def run(args: argparse.Namespace) -> dict[str, Any]:
    chains: dict[str, list[str]] = (read_json(args.compared / "run.json") or {}).get("chains", {})
    if args.least < 1:
        raise UsageError(f"--least is {args.least}; give a number of pages")
    if not isinstance(chains, dict) or not chains:
        raise UsageError(f"{args.compared} is no folder of refinery compare: it has no run.json with recipes")
    index = [(row["url"], row["type"]) for row in checked_rows(args.index, URL, TYPE)]
    types = dict(index)
    kept = {name: of_types(args.compared, folders, types) for name, folders in chains.items()}
    pages = Counter(kind for _, kind in index)
    if unknown := max(each[UNKNOWN] for each in kept.values()):
        pages[UNKNOWN] = unknown
    shown = [name for name, number in pages.most_common() if number >= args.least]
    rest = [name for name in pages if name not in shown]
    rows = [{"type": name, "pages": pages[name], **{of: each[name] for of, each in kept.items()}} for name in shown]
    for label, names in ((OTHERS, rest), (ALL, list(pages))):
        if names:
            of_all = {of: sum(each[name] for name in names) for of, each in kept.items()}
            rows.append({"type": label, "pages": sum(pages[name] for name in names), **of_all})
    return {"recipes": list(chains), "rows": rows}


def of_types(compared: Path, folders: list[str], types: Mapping[str, str]) -> Counter[str]:
    """How many documents of each type the last dataset of documents has."""
    made = final([Dataset(compared / folder) for folder in folders])
    return Counter(types.get(url, UNKNOWN) for url in made.to_arrow(["url"])["url"].to_pylist())


def show(found: Mapping[str, Any]) -> Iterator[str]:
    columns = ("type", "pages", *found["recipes"])
    rows = [(row["type"], *(f"{row[name]:,}" for name in columns[1:])) for row in found["rows"]]
    yield from markdown(columns, rows)
