"""Extraction against ground truth: bag-of-words F1, precision and recall by source and page type, and its cost.

    python -m benchmarks extraction --pages CRAWL/*.warc.gz --index index.jsonl.gz --gold gold.jsonl.gz \\
        --engine trafilatura --engine trafilatura:favor=precision,fallback=false --engine joined [--half b]

A page that the extractor rejects scores as an empty text. Means are over pages. `--half a|b` takes the pages of half of
the hosts (by a hash of the name), so that rules chosen on one half are measured on the other. The rate counts the CPU
seconds of parent and sandbox from the body's bytes to the text: decoding, caps and the message between the two
included.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from benchmarks.gold import GoldText, read_gold, score_snippets, score_text
from benchmarks.labelled import extract_timed, half_of, read_pages
from benchmarks.shared import add, markdown, read_rows
from infra.errors import UsageError


class LabelledPage(NamedTuple):
    """A page with its ground truth. `charset` is what the HTTP header claims."""

    source: str
    type: str
    url: str
    charset: str | None
    body: bytes
    gold: GoldText


class Outcome(NamedTuple):
    """`f1`, `precision`, `recall`: None without a full gold text; `required`, `clean`: None without snippets."""

    f1: float | None
    precision: float | None
    recall: float | None
    required: float | None
    clean: float | None


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--pages", "--index", "--gold", required=True)
    add(parser, "--engine", "--half", "--limit")


def read_samples(warcs: Sequence[Path], index: Path, gold: Path, half: str | None) -> Iterator[LabelledPage]:
    """The pages that the ground truth says something of."""
    truths = {row["id"]: truth for row in read_rows(gold) if (truth := read_gold(row)) is not None}

    def wanted(row: dict[str, Any]) -> bool:
        return row["id"] in truths and half in (None, half_of(row["url"], row["id"]))

    for row, message in read_pages(warcs, index, wanted):
        source, kind = row["id"].partition("/")[0], row.get("type") or "unknown"
        yield LabelledPage(source, kind, row["url"], message.charset_label, message.body, truths[row["id"]])


def judge(text: str, gold: GoldText) -> Outcome:
    scores = score_text(text, gold) if gold.text else (None, None, None)
    return Outcome(*scores, *score_snippets(text, gold))


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 4) if known else None


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Counts and means over pages; `pages` have a full gold text, `snippet_pages` snippets."""
    return {
        "pages": sum(outcome.f1 is not None for outcome in outcomes),
        "snippet_pages": sum((outcome.required, outcome.clean) != (None, None) for outcome in outcomes),
        **{name: mean(getattr(outcome, name) for outcome in outcomes) for name in Outcome._fields},
    }


def report(word: str, samples: Sequence[LabelledPage]) -> dict[str, Any]:
    texts, seconds = extract_timed(word, ((sample.body, sample.charset, sample.url) for sample in samples))
    outcomes = [judge(text, sample.gold) for text, sample in zip(texts, samples, strict=True)]
    groups: dict[str, dict[str, list[Outcome]]] = {"by_source": defaultdict(list), "by_type": defaultdict(list)}
    for sample, outcome in zip(samples, outcomes, strict=True):
        groups["by_source"][sample.source].append(outcome)
        groups["by_type"][sample.type].append(outcome)
    return {
        "all": summarise(outcomes),
        "cpu_ms_per_page": round(1000 * seconds / len(samples), 2),
        "pages_per_second": round(len(samples) / seconds, 1),
        **{name: {key: summarise(part) for key, part in sorted(group.items())} for name, group in groups.items()},
    }


def run(args: argparse.Namespace) -> dict[str, Any]:
    samples = list(islice(read_samples(args.pages, args.index, args.gold, args.half), args.limit))
    if not samples:
        raise UsageError(f"{args.gold} says nothing of any page in {args.index}: give the two that belong together")
    engines = {word: report(word, samples) for word in args.engine or ["trafilatura", "resiliparse"]}
    return {"pages": len(samples), "half": args.half, "engines": engines}


def show(found: dict[str, Any]) -> Iterator[str]:
    def shown(row: dict[str, Any]) -> list[str]:
        return ["" if row[name] is None else f"{row[name]:.3f}" for name in Outcome._fields]

    engines = found["engines"]
    columns = ("F1", "precision", "recall", "snippets found", "snippets avoided", "CPU ms/page", "pages/s/core")
    rows = (
        [word, *shown(row["all"]), row["cpu_ms_per_page"], row["pages_per_second"]] for word, row in engines.items()
    )
    yield from markdown(["engine", *columns], rows)
    for table, title in (("by_source", "source"), ("by_type", "page type")):
        lines = []
        for key, counts in next(iter(engines.values()))[table].items():
            cells = (shown(row[table][key]) for row in engines.values())
            pages = max(counts["pages"], counts["snippet_pages"])
            lines.append([key, pages, *(f"{f1} ({p} / {r}; {good} / {bad})" for f1, p, r, good, bad in cells)])
        yield ""
        yield from markdown([title, "pages", *(f"{word}: F1 (P / R; found / avoided)" for word in engines)], lines)
