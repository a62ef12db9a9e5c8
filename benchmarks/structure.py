"""Code, tables and formulas in extracted text, by the metrics of WebMainBench, and the cost beside trafilatura's.

    python -m benchmarks structure --pages CRAWL/*.warc.gz --index index.jsonl.gz --gold gold.jsonl.gz \\
        --peer-python OTHER/bin/python --engine joined:markdown=true --engine trafilatura:markdown=true

`--peer-python` is of an environment with webmainbench==0.1.0. Scores are means over the pages where the gold text or
the found text has code (tables, formulas), as the package has it: what is found where there is none scores 0. Pages are
those of the gold file whose text is Markdown, and the pages of `benchmarks/structure_pages/`, written for this
benchmark after the markup of real highlighters and renderers. CPU time is of all of them, sandbox included.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

from benchmarks.labelled import extract_each, read_pages
from benchmarks.shared import add, ask_peer, markdown, read_rows
from benchmarks.structure_pages.pages import written_pages

PEER: Final = Path(__file__).with_name("webmainbench_peer.py")
METRICS: Final = ("code_edit", "table_TEDS", "tree_TEDS", "formula_edit")
# Forms of gold text that are Markdown.
_FORMS: Final = ("markdown", "structured_content_list")


class StructuredPage(NamedTuple):
    """A page and its Markdown; `charset` is what the HTTP header claims."""

    source: str
    name: str
    url: str
    charset: str | None
    body: bytes
    gold: str


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--pages", "--index", "--gold", "--engine", "--peer-python")


def read_structured(warcs: Sequence[Path], index: Path, gold: Path) -> Iterator[StructuredPage]:
    texts = {
        row["id"]: row["text"]
        for row in read_rows(gold)
        if row["form"].startswith(_FORMS) and (row["text"] or "").strip()
    }
    for row, message in read_pages(warcs, index, lambda row: row["id"] in texts):
        source = row["id"].partition("/")[0]
        yield StructuredPage(source, row["id"], row["url"], message.charset_label, message.body, texts[row["id"]])


def pages_of(args: argparse.Namespace) -> list[StructuredPage]:
    found = [
        StructuredPage(f"written: {page.kind}", page.name, "", "utf-8", page.html.encode(), page.markdown)
        for page in written_pages()
    ]
    if args.pages:
        found += read_structured(args.pages, args.index, args.gold)
    return found


def report(word: str, pages: Sequence[StructuredPage], python: Path) -> dict[str, Any]:
    texts, seconds = extract_each(word, ((page.body, page.charset, page.url) for page in pages))
    rows = ({"found": text, "gold": page.gold} for text, page in zip(texts, pages, strict=True))
    scores = ask_peer(python, "", rows, PEER)
    by_source = {
        source: summary([score for score, page in zip(scores, pages, strict=True) if page.source == source])
        for source in sorted({page.source for page in pages})
    }
    costs = sorted(seconds)
    return {
        **summary(scores),
        "cpu_ms_per_page": round(1000 * fmean(costs), 2),
        "cpu_ms_median": round(1000 * costs[len(costs) // 2], 2),
        "cpu_ms_p99": round(1000 * costs[len(costs) * 99 // 100], 2),
        "by_source": by_source,
        "each": {page.name: {"text": text, **score} for page, text, score in zip(pages, texts, scores, strict=True)},
    }


def summary(scores: Sequence[dict[str, float | None]]) -> dict[str, Any]:
    """The mean of each metric and on how many pages it was measured."""
    found: dict[str, Any] = {}
    for name in METRICS:
        known = [score[name] for score in scores if score[name] is not None]
        found[name] = round(fmean(known), 4) if known else None  # type: ignore[arg-type]
        found[f"{name} pages"] = len(known)
    return found


def run(args: argparse.Namespace) -> dict[str, Any]:
    pages = pages_of(args)
    engines = args.engine or ["joined:markdown=true", "trafilatura:markdown=true,favor=recall,include_comments=false"]
    return {"pages": len(pages), "engines": {word: report(word, pages, args.peer_python) for word in engines}}


def show(found: dict[str, Any]) -> Iterator[str]:
    def cells(row: dict[str, Any]) -> list[str]:
        return ["" if row[name] is None else f"{row[name]:.3f} ({row[f'{name} pages']})" for name in METRICS]

    header = ["engine", "code", "table", "table, as trees", "formula", "CPU ms/page", "median", "99 %"]
    rows = (
        [word, *cells(row), row["cpu_ms_per_page"], row["cpu_ms_median"], row["cpu_ms_p99"]]
        for word, row in found["engines"].items()
    )
    yield from markdown(header, rows)
    for word, row in found["engines"].items():
        yield ""
        yield from markdown([word, *header[1:5]], ([source, *cells(part)] for source, part in row["by_source"].items()))
