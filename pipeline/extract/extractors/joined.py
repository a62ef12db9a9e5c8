"""`joined`: the text of `blocks`, or trafilatura's where that is expected to be better.

Where the network of `blocks` expects a high F1, its text is returned and nothing else runs. Otherwise resiliparse runs;
if its text differs from that of `blocks`, and is no small part of it, trafilatura runs in its fast form; and if the
expected gain of its text is positive (`gain.py`), that is returned. The three work in different ways and seldom make
the same mistake. One page in ten needs resiliparse. docs/extraction.md says how good the expected F1 is, what is
gained, and what else was tried.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.extract.block import Block
from pipeline.extract.block_model import MainText, chosen, expected_f1, judged
from pipeline.extract.block_network import shipped_weights
from pipeline.extract.blocks import blocks
from pipeline.extract.extractors.extractor import Extractor, Options
from pipeline.extract.extractors.resiliparse_text import ResiliparseOptions, resiliparse
from pipeline.extract.extractors.trafilatura_text import TrafilaturaOptions, trafilatura
from pipeline.extract.gain import GainWeights, Signs, shipped_gain
from pipeline.extract.json_ld import from_data
from pipeline.extract.text import Extracted, page_title

# Of a text with less than this part of the words of `blocks`' trafilatura's is never the like: resiliparse failed.
MIN_FOUND_WORDS: Final = 0.3
# A character is a word in scripts without spaces.
_WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")


@dataclass(frozen=True)
class JoinedOptions:
    markdown: bool = False
    """Code, tables, lists, headings and formulas as light Markdown; without it a line for each block."""


def joined(html: str, url: str, options: JoinedOptions) -> Extracted:
    """The text of `blocks`, or trafilatura's. Raises ImportError if a library that it needs is missing.

    As Markdown, trafilatura's text is that of the blocks that it shares most of its words with.
    """
    page = blocks(html)
    if found := from_data(html, page):
        return found
    if not page:
        return Extracted("", page_title(html), MainText((), (), 1.0).shares)
    probability_B = judged(page, shipped_weights())
    main = MainText(page, *chosen(page, probability_B))
    text = main.plain
    other = better(
        text,
        main.expected_f1,
        lambda: text_or_empty(resiliparse, html, url, ResiliparseOptions()),
        lambda: text_or_empty(trafilatura, html, url, TrafilaturaOptions(fallback=False)),
        lambda found: expected_f1(page, probability_B, in_text(page, found)),
        shipped_gain(),
    )
    if other is not None:
        text = other
        main = main._replace(keep=in_text(page, text))
    if options.markdown:
        text = main.markdown or text
    return Extracted(text, page_title(html), main.shares)


def in_text(page: Sequence[Block], text: str) -> list[bool]:
    """Which blocks are in another engine's text: most of their runs of four words, or of as many as they have."""
    known = _WORD.findall(text)
    runs = {length: set(zip(*(known[start:] for start in range(length)))) for length in range(1, 5)}
    found = []
    for block in page:
        own = _WORD.findall(block.text)
        length = min(len(own), 4)
        own_runs = list(zip(*(own[start:] for start in range(length))))
        found.append(2 * sum(run in runs[length] for run in own_runs) > len(own_runs) if own else False)
    return found


def better(
    by_blocks: str,
    expected: float,
    second: Callable[[], str],
    third: Callable[[], str],
    expected_of: Callable[[str], float],
    weights: GainWeights,
) -> str | None:
    """The text that `third` returns, if it is expected to be better than `by_blocks`; else None. `second`, `third` and
    `expected_of`, the F1 that the network expects of a text, are called only if needed."""
    if expected >= weights.ask_below:
        return None
    own, words = counted_words(by_blocks), counted_words(second())
    agree = agreement(own, words)
    if agree >= weights.agree_from or words.total() < MIN_FOUND_WORDS * own.total():
        return None
    text = third()
    signs = Signs(expected, expected_of(text), agree, agreement(counted_words(text), words))
    return text if text and weights.gain(signs) > 0 else None


def text_or_empty(function: Callable[[str, str, Options], Extracted], html: str, url: str, options: Options) -> str:
    """The text that an extractor's function returns; "", which agrees with no text, if it fails on the page."""
    try:
        return function(html, url, options).text
    except (MemoryError, ImportError):
        raise
    except Exception:
        return ""


def counted_words(text: str) -> Counter[str]:
    """How often each word is in a text."""
    return Counter(_WORD.findall(text))


def agreement(one: Counter[str], other: Counter[str]) -> float:
    """The share of the words of both texts, counted in both, that are in the other one too; 0 to 1."""
    return 2 * (one & other).total() / max(1, one.total() + other.total())


EXTRACTOR = Extractor("joined", joined, JoinedOptions, sandboxed=True, caps="all", shares=True)
