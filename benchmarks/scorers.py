"""How good the coherence, safety and contamination models are on texts that they were not made from.

    python -m benchmarks.scorers coherence --model models/coherence [--language en] TEXTS...
    python -m benchmarks.scorers safety --model models/safety [--language en] TEXTS...
    python -m benchmarks.scorers contamination --model models/benchmarks [--planted BENCHMARK...] TEXTS...

TEXTS are what `refinery fit` reads; a line of the table is one file. `coherence` holds passages against the same
shuffled, stitched, mixed and in bits: the share of decisions at one half that are right, and how often
the passage scores higher; and documents of 700 words a second. `safety` counts texts below one half: among harmless
texts, false alarms. `contamination` counts texts with a run of a benchmark; with `--planted`, how many of 400 items of
each benchmark file are found again when their longest text stands in upper case without punctuation among 600 words.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from filters.contamination import Hits, words_of
from infra.errors import UsageError
from pipeline.fit.benchmarks import read_items
from pipeline.fit.coherence import measure
from pipeline.fit.passages import passages_of
from pipeline.fit.texts import Sample, read_samples
from pipeline.models.coherence import load_coherence
from pipeline.models.contamination import load_contamination
from pipeline.models.safety import load_safety
from pipeline.text_table import table

PASSAGES = 200
SPEED_WORDS = 700
PLANTED, AMONG = 400, 600
SHORT = 13


def coherence(path: Path, language: str, files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    score = load_coherence(path)
    for file in files:
        samples = read_samples([file])
        found = passages_of(samples, PASSAGES)
        measured = measure(score, language, found)
        kinds = {
            kind: f"{value['accuracy']:.2f} / {value['pairs']:.2f}"
            for kind, value in measured.items()
            if isinstance(value, dict)
        }
        speed = _documents_per_second(score, language, samples)
        yield {
            "texts": file.name,
            "passages": len(found.passages),
            "auc": measured["auc"],
            **kinds,
            "per second": speed,
        }


def _documents_per_second(score: Callable[[str, str | None], Any], language: str, samples: Sequence[Sample]) -> int:
    words = " ".join(sample.text for sample in samples[:200]).split(" ")
    documents = [" ".join(words[at : at + SPEED_WORDS]) for at in range(0, len(words) - SPEED_WORDS, SPEED_WORDS)]
    begun = time.process_time()
    for document in documents:
        score(document, language)
    return round(len(documents) / max(time.process_time() - begun, 1e-9))


def safety(path: Path, language: str, files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    score = load_safety(path)
    for file in files:
        samples = read_samples([file])
        values = [score(sample.text, language) for sample in samples]
        below = sum(value is not None and value < 0.5 for value in values)
        lowest = min((value for value in values if value is not None), default=None)
        speed = _documents_per_second(score, language, samples)
        yield {"texts": file.name, "count": len(values), "below": below, "lowest": lowest, "per second": speed}


def contamination(path: Path, files: Sequence[Path], planted: Sequence[Path]) -> Iterator[dict[str, Any]]:
    find = load_contamination(path)
    everything: list[Sample] = []
    for file in files:
        samples = read_samples([file])
        everything += samples
        hits = [found for sample in samples if (found := find(sample.text)).runs]
        items = [hits and max(hits, key=lambda found: found.share).items[0]]
        yield {"texts": file.name, "count": len(samples), "hit": len(hits), "most": items[0] or ""}
    for file in planted:
        yield from _planted(find, file, everything)


def _planted(find: Callable[[str], Hits], file: Path, samples: Sequence[Sample]) -> Iterator[dict[str, Any]]:
    draw = random.Random(1)
    items = sorted(set(read_items(file)))
    right: dict[str, list[bool]] = {"13 words and more": [], "8 to 12 words": [], "shorter": []}
    for item in draw.sample(items, min(PLANTED, len(items))):
        longest = max(item.fields, key=len, default="")
        count = len(words_of(longest))
        words = draw.choice(samples).text.split()[:AMONG]
        at = draw.randrange(len(words) + 1)
        bare = "".join(each if each.isalnum() else " " for each in longest.upper())
        found = find(" ".join([*words[:at], bare, *words[at:]]))
        right[[*right][0 if count >= SHORT else 1 if count >= 8 else 2]].append(item.name in found.items)
    for kind, found_again in right.items():
        if found_again:
            row = {"texts": f"{file.name}: {kind}", "count": len(found_again), "hit": sum(found_again)}
            yield {**row, "most": f"{sum(found_again) / len(found_again):.3f}"}


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("coherence", "safety", "contamination"))
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--language", default="en")
    parser.add_argument("--planted", nargs="*", default=[], type=Path)
    given = parser.parse_args(words)
    try:
        if given.what == "coherence":
            rows = list(coherence(given.model, given.language, given.texts))
        elif given.what == "safety":
            rows = list(safety(given.model, given.language, given.texts))
        else:
            rows = list(contamination(given.model, given.texts, given.planted))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    columns = list(dict.fromkeys(name for row in rows for name in row))
    print(table([{name: str(row.get(name, "")) for name in columns} for row in rows], columns))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
