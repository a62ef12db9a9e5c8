"""Documents a second from text to a MinHash signature, here and with datasketch, in one run.

    python -m benchmarks minhash_speed --texts documents.jsonl.gz [--limit 2000]

Both sides use 14 x 8 = 112 permutations over 5-word shingles, one thread. datasketch (if it is installed, which the
project does not need) gets the words of a regular expression and its fastest call, `MinHash.bulk`; the time of cutting
the text is part of both. The best of five rounds counts.
"""

import argparse
import importlib.util
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from benchmarks.shared import add, megachars, read_texts
from dedup.minhash import MinHash
from dedup.paragraphs import line_hashes
from dedup.shingles import shingle_sequence, shingles

BANDS, ROWS, ROUNDS = 14, 8, 5
WORD: Final = re.compile(r"\w+")


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--texts", required=True)
    add(parser, "--limit", default=2000, help="texts of each file")


def signatures(texts: list[str]) -> None:
    params = MinHash(BANDS, ROWS)
    for text in texts:
        if (hashes := shingle_sequence(text)).size:
            params.band_keys(hashes)


def datasketch(texts: list[str]) -> None:
    from datasketch import MinHash as Sketch

    words = (WORD.findall(text.lower()) for text in texts)
    sets = ({" ".join(found[i : i + 5]).encode() for i in range(max(1, len(found) - 4))} for found in words)
    Sketch.bulk(list(map(list, sets)), num_perm=BANDS * ROWS)


def run(args: argparse.Namespace) -> dict[str, Any]:
    texts = read_texts(args.texts, args.limit)

    def seconds(work: Callable[[list[str]], object], some: list[str]) -> float:
        begin = time.process_time()
        work(some)
        return time.process_time() - begin

    works: dict[str, Callable[[list[str]], object]] = {
        "signatures": signatures,
        "sets of shingles": lambda some: [shingles(text) for text in some],
        "hashes of paragraphs": lambda some: [line_hashes(text) for text in some],
    }
    if importlib.util.find_spec("datasketch"):
        works["datasketch's signatures"] = datasketch
    first = seconds(signatures, ["one two three four five six"])  # compiles, or reads what was compiled
    rates = {name: len(texts) / min(seconds(work, texts) for _ in range(ROUNDS)) for name, work in works.items()}
    return {"texts": len(texts), "megachars": megachars(texts), "first_call_seconds": first, "per_second": rates}


def show(found: dict[str, Any]) -> Iterator[str]:
    head = "{texts} texts, {megachars:.1f} M characters, first call {first_call_seconds:.2f} s; texts a second:"
    yield head.format(**found)
    yield from (f"{name:24} {rate:8,.0f}" for name, rate in found["per_second"].items())
