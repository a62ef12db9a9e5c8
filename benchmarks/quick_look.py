"""Which cheap text tells most of what the dear one will be: cost, and agreement with a reference engine.

    python -m benchmarks.quick_look CRAWL/*.warc.gz --index index.jsonl.gz --model lid.176.ftz \\
        [--reference joined] [--engine resiliparse --engine resiliparse:main_content=false --engine all_text] [--json]

Over every `--every`-th page of the index, for each engine: CPU ms a page from bytes to text; the rank correlation
with the reference of the number of words, of the share of lines that end a sentence, and of the share of symbols (`#`,
`…`) to words; the share of pages with the same language by the model; and the share of pages that a gate "at least
`--least-words` words" would drop although the reference has that many ("lost") and would pass although it has not
("passed"). Pages that an engine rejects count as empty.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.extraction import extract_timed, read_pages
from benchmarks.extraction_gold import words
from infra.errors import UsageError
from pipeline.models.language import load_language

ENGINES: Final = ("resiliparse", "resiliparse:main_content=false", "all_text", "strip_tags", "blocks")
_ENDS: Final = (".", "!", "?", "…", '"', "”", "。", "！", "？")


class Seen(NamedTuple):
    """What one engine's text shows of each page."""

    words: NDArray[np.float64]
    ends: NDArray[np.float64]
    symbols: NDArray[np.float64]
    languages: list[str]
    cpu_ms: float


def look(
    word: str, pages: Sequence[tuple[bytes, str | None, str]], identify: Callable[[str], tuple[str, float]]
) -> Seen:
    texts, seconds = extract_timed(word, pages)
    counts = np.array([len(words(text)) for text in texts], float)
    lines = [[line for line in text.split("\n") if line] for text in texts]
    ends = np.array([sum(line.endswith(_ENDS) for line in page) / max(1, len(page)) for page in lines])
    symbols = np.array([text.count("#") + text.count("…") + text.count("...") for text in texts]) / np.maximum(
        counts, 1
    )
    return Seen(counts, ends, symbols, [identify(text)[0] for text in texts], 1000 * seconds / len(pages))


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's: the correlation of ranks, equal values having their mean rank."""

    def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        return (np.cumsum(count) - (count - 1) / 2)[place]

    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def compare(seen: Seen, reference: Seen, least_words: int) -> dict[str, float]:
    both = (seen.words > 0) & (reference.words > 0)
    same = [a == b for a, b, known in zip(seen.languages, reference.languages, both, strict=True) if known]
    enough, needed = seen.words >= least_words, reference.words >= least_words
    return {
        "cpu_ms": round(seen.cpu_ms, 2),
        "words": round(rank_correlation(seen.words, reference.words), 4),
        "ends": round(rank_correlation(seen.ends[both], reference.ends[both]), 4),
        "symbols": round(rank_correlation(seen.symbols[both], reference.symbols[both]), 4),
        "same_language": round(sum(same) / max(1, len(same)), 4),
        "lost": round(float((needed & ~enough).mean()), 4),
        "passed": round(float((enough & ~needed).mean()), 4),
    }


def print_table(found: dict[str, Any], reference: str) -> None:
    print(f"Against {reference} ({found[reference]['cpu_ms']} CPU ms/page):\n")
    names = ["cpu_ms", "words", "ends", "symbols", "same_language", "lost", "passed"]
    print("| engine | CPU ms/page | words | lines that end | symbols | same language | lost | passed |")
    print("|" + " --- |" * 8)
    for engine, row in found.items():
        if engine != reference:
            print(f"| {engine} | " + " | ".join(str(row[name]) for name in names) + " |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("warcs", nargs="+", type=Path)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--reference", default="trafilatura")
    parser.add_argument("--engine", action="append")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--least-words", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    try:
        read = ((m.body, m.charset_label, row["url"]) for row, m in read_pages(args.warcs, args.index))
        pages = [page for number, page in enumerate(read) if number % args.every == 0]
        identify = load_language(args.model)
        reference = look(args.reference, pages, identify)
        found = {args.reference: compare(reference, reference, args.least_words)}
        for engine in args.engine or ENGINES:
            found[engine] = compare(look(engine, pages, identify), reference, args.least_words)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps({"pages": len(pages), "reference": args.reference, "engines": found}, indent=1))
    else:
        print_table(found, args.reference)
    return 0


if __name__ == "__main__":
    sys.exit(main())
