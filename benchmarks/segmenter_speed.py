"""Chinese words: characters a second, characters a word, and agreement with jieba in Python if that is installed.

    python -m benchmarks.segmenter_speed chinese.jsonl.gz ... [--field text] [--limit 100]

Agreement is the Jaccard similarity of the two sets of boundaries. Times are CPU seconds of one thread.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import accumulate
from pathlib import Path

import rjieba

from benchmarks.filters_speed import read_texts
from filters import fineweb, gopher
from filters.signal import measure
from filters.view import View

SIGNALS = (*gopher.SIGNALS, *fineweb.SIGNALS)


def rate(texts: list[str], work: Callable[[str], object]) -> float:
    """Millions of characters a second, after a warm-up that loads dictionaries and tables."""
    work("我们 words")
    begin = time.process_time()
    for text in texts:
        work(text)
    return sum(map(len, texts)) / (time.process_time() - begin) / 1e6


def cut(text: str, language: str) -> int:
    return len(View(text, language=language).tokens)


def signals(text: str, language: str) -> dict[str, float | None]:
    return measure(View(text, language=language), SIGNALS)


def boundaries(words: Iterable[str]) -> set[int]:
    return set(accumulate(map(len, words)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", type=Path, nargs="+", help="JSONL, also .gz")
    parser.add_argument("--field", default="text")
    parser.add_argument("--limit", type=int, help="texts of each file")
    options = parser.parse_args()
    texts = [text for path in sorted(options.inputs) for text in read_texts(path, options.field, options.limit)]
    characters = sum(map(len, texts))
    print(f"{len(texts):,} texts, {characters / 1e6:.1f} M characters")
    print(f"rjieba.cut                        {rate(texts, rjieba.cut):6.1f} M characters/s")
    for language in ("zh", ""):
        name = "by the segmenter" if language else "by characters"
        print(f"tokens {name:26} {rate(texts, partial(cut, language=language)):6.1f}")
        print(f"Gopher, FineWeb {name:17} {rate(texts, partial(signals, language=language)):6.1f}")
    words = sum(len(View(text, language="zh").words) for text in texts)
    print(f"characters a word                 {sum(len(View(text).words) for text in texts) / words:6.2f}")
    if importlib.util.find_spec("jieba"):
        import jieba

        few = texts[::8]
        print(f"jieba in Python                   {rate(few, lambda text: list(jieba.cut(text))):6.1f}")
        pairs = [(boundaries(rjieba.cut(text)), boundaries(jieba.cut(text))) for text in few]
        same, either = sum(len(a & b) for a, b in pairs), sum(len(a | b) for a, b in pairs)
        print(f"boundaries they agree on          {same / either:6.3f}")


if __name__ == "__main__":
    main()
