"""How good the coherence, safety and contamination models are on texts that they were not made from.

    python -m benchmarks scorers coherence --model models/coherence [--language en] --texts TEXTS…
    python -m benchmarks scorers safety --model models/safety [--language en] --texts TEXTS…
    python -m benchmarks scorers contamination --model models/benchmarks [--planted BENCHMARK…] --texts TEXTS…

TEXTS are what `refinery fit` reads; a line of the table is one file. `coherence` holds passages against the same
shuffled, stitched, mixed and in bits: the share of decisions at one half that are right, and how often
the passage scores higher; and documents of 700 words a second. `safety` counts texts below one half: among harmless
texts, false alarms. `contamination` counts texts with a run of a benchmark; with `--planted`, how many of 400 items of
each benchmark file are found again when their longest text stands in upper case without punctuation among 600 words.
"""

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.shared import add, cpu_seconds
from filters.contamination import Hits, words_of
from pipeline.fit.benchmarks import read_items
from pipeline.fit.coherence import measure
from pipeline.fit.passages import passages_of
from pipeline.fit.texts import Sample, read_samples
from pipeline.models.coherence import load_coherence
from pipeline.models.contamination import load_contamination
from pipeline.models.safety import load_safety
from pipeline.text_table import table

PASSAGES, SPEED_WORDS = 200, 700
PLANTED, AMONG, SHORT, SHORTEST = 400, 600, 13, 8
Row = dict[str, Any]


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("coherence", "safety", "contamination"))
    add(parser, "--model", "--texts", required=True)
    parser.add_argument("--language", default="en")
    parser.add_argument("--planted", nargs="*", default=[], type=Path, help="benchmarks whose items are planted")


def coherence(args: argparse.Namespace) -> Iterator[Row]:
    score = load_coherence(args.model)
    for file in args.texts:
        samples = read_samples([file])
        passages = passages_of(samples, PASSAGES)
        found = measure(score, args.language, passages)
        kinds = {kind: f"{v['accuracy']:.2f} / {v['pairs']:.2f}" for kind, v in found.items() if isinstance(v, dict)}
        row = {"texts": file.name, "passages": len(passages.passages), "auc": found["auc"], **kinds}
        yield {**row, "per second": _per_second(lambda text: score(text, args.language), samples)}


def safety(args: argparse.Namespace) -> Iterator[Row]:
    score = load_safety(args.model)
    for file in args.texts:
        samples = read_samples([file])
        known = [value for sample in samples if (value := score(sample.text, args.language)) is not None]
        row = {"texts": file.name, "count": len(samples), "below": sum(value < 0.5 for value in known)}
        speed = _per_second(lambda text: score(text, args.language), samples)
        yield {**row, "lowest": min(known, default=None), "per second": speed}


def _per_second(score: Callable[[str], object], samples: Sequence[Sample]) -> int:
    words = " ".join(sample.text for sample in samples[:200]).split(" ")
    documents = [" ".join(words[at : at + SPEED_WORDS]) for at in range(0, len(words) - SPEED_WORDS, SPEED_WORDS)]
    return round(len(documents) / max(cpu_seconds(score, documents), 1e-9))


def contamination(args: argparse.Namespace) -> Iterator[Row]:
    find = load_contamination(args.model)
    everything: list[Sample] = []
    for file in args.texts:
        samples = read_samples([file])
        everything += samples
        hits = [found for sample in samples if (found := find(sample.text)).runs]
        most = max(hits, key=lambda found: found.share).items[0] if hits else ""
        yield {"texts": file.name, "count": len(samples), "hit": len(hits), "most": most}
    for file in args.planted:
        yield from _planted(find, file, everything)


def _planted(find: Callable[[str], Hits], file: Path, samples: Sequence[Sample]) -> Iterator[Row]:
    draw = random.Random(1)
    items = sorted(set(read_items(file)))
    right: dict[str, list[bool]] = {}
    for item in draw.sample(items, min(PLANTED, len(items))):
        longest = max(item.fields, key=len, default="")
        count = len(words_of(longest))
        kind = "13 words and more" if count >= SHORT else "8 to 12 words" if count >= SHORTEST else "shorter"
        words = draw.choice(samples).text.split()[:AMONG]
        at = draw.randrange(len(words) + 1)
        bare = "".join(each if each.isalnum() else " " for each in longest.upper())
        found = find(" ".join([*words[:at], bare, *words[at:]]))
        right.setdefault(kind, []).append(item.name in found.items)
    for kind, again in sorted(right.items()):
        row = {"texts": f"{file.name}: {kind}", "count": len(again), "hit": sum(again)}
        yield {**row, "most": f"{sum(again) / len(again):.3f}"}


def run(args: argparse.Namespace) -> list[Row]:
    return list({"coherence": coherence, "safety": safety, "contamination": contamination}[args.what](args))


def show(found: list[Row]) -> Iterator[str]:
    columns = list(dict.fromkeys(name for row in found for name in row))
    yield table([{name: str(row.get(name, "")) for name in columns} for row in found], columns)
