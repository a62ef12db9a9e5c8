"""Documents per second of all of Gopher's, C4's, FineWeb's and RefinedWeb's signals, on one core.

    python benchmarks/filters_speed.py --input pages.jsonl.gz --field text [--limit 500] [--peer-python VENV/bin/python]

`--peer-python` names the interpreter of an environment with `datatrove[processing]` and spaCy: its four filters judge
the same texts in the same run, sharing its cache of words as they do in one pipeline, and the ratio is printed.
Datatrove stops at the first failing rule; here every signal is measured. Times are CPU seconds of one thread.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from filters import c4, fineweb, gopher, refinedweb
from filters.signal import Signal, measure
from filters.view import View

C4_NEEDS = ("c4_sentences", "c4_lorem_ipsum_lines", "c4_curly_bracket_lines")
FAMILIES: dict[str, tuple[Signal, ...]] = {
    "gopher": gopher.SIGNALS,
    "c4": tuple(signal for signal in c4.SIGNALS if signal.name in C4_NEEDS),
    "fineweb": fineweb.SIGNALS,
    "refinedweb": refinedweb.SIGNALS,
}

PEER = """
import json, sys, time
from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.utils.text import split_into_parts
texts = [json.loads(line) for line in sys.stdin]
filters = [kind() for kind in (GopherQualityFilter, GopherRepetitionFilter, C4QualityFilter, FineWebQualityFilter)]
def run(used):
    split_into_parts.cache_clear()
    begin = time.process_time()
    for text in texts:
        for each in used:
            each.filter(Document(text=text, id=""))
    return time.process_time() - begin
texts, kept = ["Some words to load the tokenizer with."], texts
run(filters)
texts = kept
seconds = {type(each).__name__: run([each]) for each in filters}
seconds["all four"] = run(filters)
print(json.dumps(seconds))
"""


def read_texts(path: Path, field: str, limit: int | None) -> list[str]:
    """The non-blank texts of a JSONL file, the first `limit` of them."""
    texts: list[str] = []
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            if limit is not None and len(texts) == limit:
                break
            text = json.loads(line)[field]
            if text and text.strip():
                texts.append(text)
    return texts


def seconds(texts: Iterable[str], signals: Iterable[Signal]) -> float:
    """CPU seconds to view and measure every text once."""
    chosen = tuple(signals)
    measure(View("Some words to build the tables with. 字 😀"), chosen)
    begin = time.process_time()
    for text in texts:
        measure(View(text), chosen)
    return time.process_time() - begin


def peer_seconds(python: Path, texts: list[str]) -> dict[str, float]:
    """CPU seconds of datatrove's filters on the same texts, in its own process."""
    done = subprocess.run(
        [str(python), "-c", PEER],
        input="".join(json.dumps(text) + "\n" for text in texts),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        sys.exit(f"the peer failed: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="JSONL, also .gz")
    parser.add_argument("--field", default="text")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--peer-python", type=Path)
    options = parser.parse_args()
    texts = read_texts(options.input, options.field, options.limit)
    if not texts:
        sys.exit(f"{options.input} has no text in its field {options.field!r}")

    every = [signal for family in FAMILIES.values() for signal in family]
    whole = seconds(texts, every)
    characters = sum(map(len, texts))
    print(f"{len(texts)} texts, {characters / len(texts):,.0f} characters each, {len(every)} signals")
    print(f"all families   {len(texts) / whole:8,.0f} documents/s  {characters / whole / 1e6:6.1f} M characters/s")
    for name, family in FAMILIES.items():
        alone = seconds(texts, family)
        print(f"{name:14} {len(texts) / alone:8,.0f} documents/s alone ({alone / whole:4.0%} of the time of all)")
    if options.peer_python:
        for name, spent in peer_seconds(options.peer_python, texts).items():
            print(f"datatrove {name:24} {len(texts) / spent:8,.1f} documents/s")
        print(f"ratio, all families against all four filters: {spent / whole:.1f}")


if __name__ == "__main__":
    main()
