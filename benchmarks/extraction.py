"""Extraction against ground truth: bag-of-words F1, precision and recall by source and page type, and its cost.

    python -m benchmarks.extraction CRAWL/*.warc.gz --index index.jsonl.gz --gold gold.jsonl.gz \\
        --engine trafilatura --engine trafilatura:favor=precision,fallback=false --engine joined [--half b] [--json]

`index` has, for each page, `warc` (the archive's file name), `offset`, `length`, `id` ("SOURCE/…"), `url` and, if
known, `type`; `gold` what `benchmarks/extraction_gold.py` reads. A page that the extractor rejects scores as an empty
text. Means are over pages. `--half a|b` takes the pages of half of the hosts (by a hash of the name), so that rules
chosen on one half are measured on the other. The rate counts the CPU seconds of parent and sandbox from the body's
bytes to the text: decoding, caps and the message between the two included.
"""

import argparse
import gzip
import hashlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.extraction_gold import Gold, read_gold, score_snippets, score_text
from infra.errors import UsageError
from pipeline.extract.page import PageExtractor
from pipeline.warc.containers import open_bytes
from pipeline.warc.http import HttpMessage, record_message
from pipeline.warc.reader import RecordReader
from pipeline.warc.splits import sniff


class Sample(NamedTuple):
    """A page with its ground truth. `charset` is what the HTTP header claims."""

    source: str
    type: str
    url: str
    charset: str | None
    body: bytes
    gold: Gold


class Outcome(NamedTuple):
    """`f1`, `precision`, `recall`: None without a full gold text; `required`, `clean`: None without snippets."""

    f1: float | None
    precision: float | None
    recall: float | None
    required: float | None
    clean: float | None


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        yield from map(json.loads, lines)


def half_of(url: str, page: str) -> str:
    """ "a" or "b", the same for all pages of a host; pages without one are hosts of their own."""
    host = urlsplit(url).hostname or ""
    name = page if not host or host.endswith(".invalid") else host.removeprefix("www.")
    return "ab"[hashlib.sha256(name.encode()).digest()[0] % 2]


def read_pages(
    warcs: Sequence[Path], index: Path, wanted: Callable[[dict[str, Any]], bool] | None = None
) -> Iterator[tuple[dict[str, Any], HttpMessage]]:
    """The wanted lines of the index (or all) with their pages, archive by archive. UsageError if one was not given."""
    rows = [row for row in read_lines(index) if wanted is None or wanted(row)]
    places = {path.name: path for path in warcs}
    missing = sorted({row["warc"] for row in rows} - set(places))
    if missing:
        raise UsageError(f"{index} names {missing[0]}, which was not given: name all its archives")
    for name, path in sorted(places.items()):
        with open_bytes(str(path)) as file:
            container = sniff(file)
        with RecordReader(str(path), container) as reader:
            for row in rows:
                if row["warc"] == name:
                    yield row, record_message(reader.read(row["offset"], row["length"]))


def read_samples(warcs: Sequence[Path], index: Path, gold: Path, half: str | None) -> Iterator[Sample]:
    """The pages that the ground truth says something of."""
    truths = {row["id"]: truth for row in read_lines(gold) if (truth := read_gold(row)) is not None}

    def wanted(row: dict[str, Any]) -> bool:
        return row["id"] in truths and half in (None, half_of(row["url"], row["id"]))

    for row, message in read_pages(warcs, index, wanted):
        source, kind = row["id"].partition("/")[0], row.get("type") or "unknown"
        yield Sample(source, kind, row["url"], message.charset_label, message.body, truths[row["id"]])


def parse_engine(word: str) -> tuple[str, dict[str, Any]]:
    """`NAME` or `NAME:option=value,…`, as the recipe's table would have it."""
    name, _, rest = word.partition(":")
    pairs = (pair.partition("=") for pair in rest.split(",") if pair)
    return name, {key: {"true": True, "false": False}.get(value, value) for key, _, value in pairs}


def judge(text: str, gold: Gold) -> Outcome:
    required, clean = score_snippets(text, gold)
    if not gold.text:
        return Outcome(None, None, None, required, clean)
    f1, precision, recall = score_text(text, gold)
    return Outcome(f1, precision, recall, required, clean)


def extract_timed(word: str, pages: Iterable[tuple[bytes, str | None, str]]) -> tuple[list[str], float]:
    """The text that one engine finds in each page (body, charset of the header, URL), and the CPU seconds it took in
    parent and sandbox."""
    seconds, texts = 0.0, []
    name, options = parse_engine(word)
    with PageExtractor(name, options) as extractor:
        extractor.extract(b"<p>Libraries are loaded before the clock starts.", None, "")
        for body, charset, url in pages:
            begin = time.process_time()
            page = extractor.extract(body, charset, url)
            seconds += time.process_time() - begin + page.cpu_seconds
            texts.append(page.text)
    return texts, seconds


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 4) if known else None


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Counts and means over pages; `pages` have a full gold text, `snippet_pages` snippets."""
    return {
        "pages": sum(outcome.f1 is not None for outcome in outcomes),
        "snippet_pages": sum((outcome.required, outcome.clean) != (None, None) for outcome in outcomes),
        **{name: _mean(getattr(outcome, name) for outcome in outcomes) for name in Outcome._fields},
    }


def report(word: str, samples: Sequence[Sample]) -> dict[str, Any]:
    texts, seconds = extract_timed(word, ((sample.body, sample.charset, sample.url) for sample in samples))
    outcomes = [judge(text, sample.gold) for text, sample in zip(texts, samples, strict=True)]
    groups: dict[str, dict[str, list[Outcome]]] = {"by_source": defaultdict(list), "by_type": defaultdict(list)}
    for sample, outcome in zip(samples, outcomes, strict=True):
        groups["by_source"][sample.source].append(outcome)
        groups["by_type"][sample.type].append(outcome)
    tables = {name: {key: summarise(part) for key, part in sorted(group.items())} for name, group in groups.items()}
    cost = {
        "cpu_ms_per_page": round(1000 * seconds / len(samples), 2),
        "pages_per_second": round(len(samples) / seconds, 1),
    }
    return {"all": summarise(outcomes), **cost, **tables}


def print_tables(results: dict[str, dict[str, Any]]) -> None:
    def row(*cells: object) -> None:
        print("| " + " | ".join(map(str, cells)) + " |")

    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    row("engine", "F1", "precision", "recall", "snippets found", "snippets avoided", "CPU ms/page", "pages/s/core")
    row(*["---"] * 8)
    for word, result in results.items():
        means = [shown(result["all"][name]) for name in Outcome._fields]
        row(word, *means, result["cpu_ms_per_page"], result["pages_per_second"])
    first = next(iter(results.values()))
    for table, title in (("by_source", "source"), ("by_type", "page type")):
        print()
        row(title, "pages", *(f"{word}: F1 (P / R; found / avoided)" for word in results))
        row(*["---"] * (2 + len(results)))
        for key, counts in first[table].items():
            cells = []
            for result in results.values():
                f1, *rest = (shown(result[table][key][name]) for name in Outcome._fields)
                cells.append(f"{f1} ({rest[0]} / {rest[1]}; {rest[2]} / {rest[3]})")
            row(key, max(counts["pages"], counts["snippet_pages"]), *cells)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("warcs", nargs="+", type=Path)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--gold", type=Path, required=True)
    parser.add_argument("--engine", action="append", help="NAME[:option=value,…]; may be given many times")
    parser.add_argument("--half", choices=["a", "b"], help="only the pages of this half of the hosts")
    parser.add_argument("--limit", type=int, help="only the first N pages with ground truth")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    try:
        samples = list(read_samples(args.warcs, args.index, args.gold, args.half))[: args.limit]
        if not samples:
            raise UsageError(f"{args.gold} says nothing of any page in {args.index}: give the two that belong together")
        results = {word: report(word, samples) for word in args.engine or ["trafilatura", "resiliparse"]}
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps({"pages": len(samples), "half": args.half, "engines": results}, indent=1))
    else:
        print_tables(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
