"""Chinese words: characters a second, characters a word, and agreement with jieba in Python if that is installed.

    python -m benchmarks segmenter_speed --texts chinese.jsonl.gz … [--limit 300]

Agreement is the Jaccard similarity of the two sets of boundaries. Times are CPU seconds of one thread.
"""

import argparse
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any

import rjieba

from benchmarks.shared import add, cpu_seconds, megachars, read_texts
from filters import fineweb, gopher
from filters.signal import measure
from filters.view import View

SIGNALS = (*gopher.SIGNALS, *fineweb.SIGNALS)


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--texts", required=True)
    add(parser, "--limit", help="texts of each file")


def boundaries(words: Iterable[str]) -> set[int]:
    return set(accumulate(map(len, words)))


def run(args: argparse.Namespace) -> dict[str, Any]:
    texts = read_texts(args.texts, args.limit)

    def rate(work: Callable[[str], object], some: list[str] = texts) -> float:
        return megachars(some) / cpu_seconds(work, some)

    found: dict[str, Any] = {"texts": len(texts), "megachars": megachars(texts), "rjieba.cut": rate(rjieba.cut)}
    for title, language in (("by the segmenter", "zh"), ("by characters", "")):
        found[f"tokens {title}"] = rate(lambda text: len(View(text, language=language).tokens))  # noqa: B023
        found[f"Gopher, FineWeb {title}"] = rate(lambda text: measure(View(text, language=language), SIGNALS))  # noqa: B023
    one, other = (sum(len(View(text, language=language).words) for text in texts) for language in ("", "zh"))
    found["characters a word"] = one / other
    if importlib.util.find_spec("jieba"):
        import jieba

        few = texts[::8]
        found["jieba in Python"] = rate(lambda text: list(jieba.cut(text)), few)
        pairs = [(boundaries(rjieba.cut(text)), boundaries(jieba.cut(text))) for text in few]
        found["boundaries they agree on"] = sum(len(a & b) for a, b in pairs) / sum(len(a | b) for a, b in pairs)
    return found


def show(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['texts']:,} texts, {found['megachars']:.1f} M characters; M characters a second:"
    for name in list(found)[2:]:
        yield f"{name:33} {found[name]:7.3f}"
