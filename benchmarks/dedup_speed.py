"""How many documents a second get from text to a MinHash signature, here and with datasketch, in one run.

    python -m benchmarks.dedup_speed --input documents.jsonl.gz [--limit 2000]

Each input line is a JSON object with `text`. Both sides use 14 x 8 = 112 permutations over 5-word shingles, one core.
datasketch gets the words of a regular expression and its fastest call, `MinHash.bulk`; the time of cutting the text is
part of both. Needs `pip install datasketch`, which the project itself does not depend on. Prints one JSON document.
"""

import argparse
import gzip
import json
import re
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from dedup.minhash import MinHash
from dedup.paragraphs import line_hashes
from dedup.shingles import shingle_sequence, shingles

PERMUTATIONS = 112
WORD = re.compile(r"\w+")


def read_texts(path: Path, limit: int) -> list[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in islice(lines, limit)]


def signatures(texts: list[str]) -> None:
    params = MinHash(14, 8)
    for text in texts:
        if (hashes := shingle_sequence(text)).size:
            params.band_keys(hashes)


def shingle_sets(texts: list[str]) -> None:
    for text in texts:
        shingles(text)


def paragraph_hashes(texts: list[str]) -> None:
    for text in texts:
        line_hashes(text)


def datasketch_bulk(texts: list[str]) -> None:
    from datasketch import MinHash as Sketch

    Sketch.bulk([word_shingles(text) for text in texts], num_perm=PERMUTATIONS)


def word_shingles(text: str) -> list[bytes]:
    words = WORD.findall(text.lower())
    return list({" ".join(words[i : i + 5]).encode() for i in range(max(1, len(words) - 4))})


def rate(function: Callable[[list[str]], None], texts: list[str], seconds: float = 5.0) -> float:
    """Documents a second: the best of the rounds that fit into `seconds`, after a first that warms up."""
    function(texts[:1])
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        function(texts)
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return len(texts) / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="JSONL or JSONL.gz with a `text` field")
    parser.add_argument("--limit", type=int, default=2000, help="documents to read")
    arguments = parser.parse_args()
    texts = read_texts(arguments.input, arguments.limit)
    start = time.perf_counter()
    signatures(["one two three four five six"])
    first = time.perf_counter() - start
    here, there = rate(signatures, texts), rate(datasketch_bulk, texts)
    answer = {
        "documents": len(texts),
        "mean_chars": round(sum(map(len, texts)) / len(texts)),
        "first_call_seconds": round(first, 2),
        "signatures_per_second": round(here),
        "datasketch_per_second": round(there),
        "ratio": round(here / there, 1),
        "shingle_sets_per_second": round(rate(shingle_sets, texts)),
        "paragraph_hashes_per_second": round(rate(paragraph_hashes, texts)),
    }
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main()
