"""Documents a second from text to a MinHash signature, beside rensa, datasketch and datatrove, in one run; estimates.

    python -m benchmarks minhash_speed --texts documents.jsonl.gz --peer-python peers/bin/python [--limit 2000]

All sides use 5-word shingles, and 14 x 8 = 112 permutations where no other signature is named; cutting the text is part
of the work, except in "sets given" and "minima alone". CPU time counts, of all threads. A round measures every side
once; a ratio is the median over rounds of theirs to ours in the same round and on the same texts, of which datatrove
gets the first 300. `--peer-python`: an environment with some of rensa==0.5.0, datasketch==2.0.0,
datatrove[processing]==0.10.1 with spaCy; without it this project alone is measured.

The estimates are of 2,000 planted pairs of 120 words, from equal to a similarity of about .35. Their error in theory is
sqrt(s (1 - s) / 112) at a similarity of s.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.shared import add, ask_peer, markdown, megachars, read_texts
from dedup.exact import text_digests
from dedup.minhash import SIGNATURES, MinHash
from dedup.paragraphs import line_hashes
from dedup.shingles import shingle_sequence, shingle_sets, shingles
from dedup.verify import jaccard

PERMUTATIONS, PAIRS, WORDS = 112, 2000, 120
SCRIPT: Final = Path(__file__).with_name("minhash_peer.py")
# how many texts each gets
PEERS: Final = {"rensa": None, "rensa, sets given": None, "datasketch": None, "datatrove": 300}
ESTIMATING: Final = ("rensa", "datasketch")


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--texts", required=True)
    add(parser, "--limit", default=2000, help="texts of each file")
    add(parser, "--repeats", default=3, help="rounds")
    add(parser, "--peer-python", help="of an environment with the other libraries")


def seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def ours(texts: list[str]) -> dict[str, Callable[[], object]]:
    column = pa.array(texts, pa.large_string())
    sequences = [each for each in map(shingle_sequence, texts) if each.size]
    works: dict[str, Callable[[], object]] = {
        f"this project, {name} {bands} x {rows}": partial(MinHash(bands, rows).signed, column)
        for name, (bands, rows) in SIGNATURES.items()
    }
    works["minima alone, 14 x 8"] = lambda: [MinHash().signature(each) for each in sequences]
    works["sets of shingles"] = lambda: shingle_sets(column)
    works["digests of normalised texts"] = lambda: text_digests(column)
    works["hashes of paragraphs"] = lambda: [line_hashes(text) for text in texts]
    return works


def run(args: argparse.Namespace) -> dict[str, Any]:
    texts = read_texts(args.texts, args.limit)
    first = seconds(lambda: MinHash().signed(pa.array(["one two three four five six"])))  # compiles, or reads
    works = ours(texts)
    column = pa.array(texts, pa.large_string())
    rates: dict[str, list[float]] = {}
    ratios: dict[str, list[float]] = {}
    for _ in range(args.repeats):
        for name, work in works.items():
            rates.setdefault(name, []).append(len(texts) / seconds(work))
        for name, limit in PEERS.items() if args.peer_python else ():
            some = texts[:limit]
            own = seconds(partial(MinHash().signed, column.slice(0, len(some))))
            row = {"peer": name, "texts": some, "permutations": PERMUTATIONS}
            (taken,) = ask_peer(args.peer_python, "speed", [row], SCRIPT)
            if taken is not None:
                rates.setdefault(name, []).append(len(some) / taken)
                ratios.setdefault(name, []).append(taken / own)
    return {
        "texts": len(texts),
        "megachars": megachars(texts),
        "first_call_seconds": first,
        "per_second": {name: median(each) for name, each in rates.items()},
        "times_ours": {name: median(each) for name, each in ratios.items()},
        "estimates": estimates(args.peer_python),
    }


def planted(seed: int) -> tuple[str, str]:
    """A text of invented words, and a copy in which up to an eighth of them is replaced."""
    draw = random.Random(seed)
    words = [f"w{draw.randrange(5000)}" for _ in range(WORDS)]
    copy = list(words)
    for i in draw.sample(range(WORDS), seed % 16):
        copy[i] = f"x{draw.randrange(5000)}"
    return " ".join(words), " ".join(copy)


def estimates(python: Path | None) -> dict[str, dict[str, float]]:
    """The mean error of each side, the root of its mean square, and that in theory."""
    pairs = [planted(seed) for seed in range(PAIRS)]
    sets = [tuple(map(shingles, pair)) for pair in pairs]
    true = np.array([jaccard(a, b) for a, b in sets])
    sign = MinHash().signature
    found = {"this project": [float(np.mean(sign(a) == sign(b))) for a, b in sets]}
    for name in ESTIMATING if python else ():
        row = {"peer": name, "pairs": pairs, "permutations": PERMUTATIONS}
        (told,) = ask_peer(python, "estimates", [row], SCRIPT)  # type: ignore[arg-type]
        if told is not None:
            found[name] = told
    theory = float(np.sqrt(np.mean(true * (1 - true) / PERMUTATIONS)))
    errors = {name: np.array(each) - true for name, each in found.items()}
    return {
        name: {"mean": float(each.mean()), "rms": float(np.sqrt(np.mean(each**2))), "theory": theory}
        for name, each in errors.items()
    }


def show(found: dict[str, Any]) -> Iterator[str]:
    yield "{texts} texts, {megachars:.1f} M characters, first call {first_call_seconds:.2f} s".format(**found)
    yield ""
    times = found["times_ours"]
    rows = [
        (name, f"{rate:,.0f}", f"{times[name]:.1f}" if name in times else "")
        for name, rate in found["per_second"].items()
    ]
    yield from markdown(("", "texts a CPU second", "times the CPU of 14 x 8 here"), rows)
    yield ""
    errors = [
        (name, f"{each['mean']:+.4f}", f"{each['rms']:.4f}", f"{each['theory']:.4f}")
        for name, each in found["estimates"].items()
    ]
    yield from markdown((f"estimates of {PAIRS:,} pairs", "mean error", "root mean square", "in theory"), errors)
