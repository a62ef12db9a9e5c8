"""`joined`: the text of `blocks`, or trafilatura's where resiliparse and trafilatura agree against it.

Where the network of `blocks` expects an F1 of at least MIN_EXPECTED_F1, its text is returned and nothing else runs.
Otherwise resiliparse runs; if its text differs from that of `blocks`, and is no small part of it, trafilatura runs in
its fast form; and if these two agree, trafilatura's text is returned. The three work in different ways and seldom make
the same mistake. One page in ten needs resiliparse. docs/extraction.md says how good the expected F1 is, and what else
was tried.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.extract.block_model import main_text
from pipeline.extract.blocks import Block
from pipeline.extract.extractors.extractor import Extractor, Options
from pipeline.extract.extractors.resiliparse_text import ResiliparseOptions, resiliparse
from pipeline.extract.extractors.trafilatura_text import TrafilaturaOptions, trafilatura
from pipeline.extract.json_ld import from_data
from pipeline.extract.text import Extracted, page_title

# From this expected F1 on, the text of `blocks` is returned unchecked.
MIN_EXPECTED_F1: Final = 0.8
# Two texts agree if they share at least this part of their words.
MIN_SHARED_WORDS: Final = 0.7
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
    main = main_text(html)
    if found := from_data(html, main.page):
        return found
    by_blocks = main.plain
    text = choose(
        by_blocks,
        main.expected_f1,
        lambda: text_or_empty(resiliparse, html, url, ResiliparseOptions()),
        lambda: text_or_empty(trafilatura, html, url, TrafilaturaOptions(fallback=False)),
    )
    if text is not by_blocks:
        main = main._replace(keep=in_text(main.page, text))
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


def choose(by_blocks: str, expected_f1: float, second: Callable[[], str], third: Callable[[], str]) -> str:
    """`by_blocks`, or the text that `third` returns. `second` and `third` are called only if needed."""
    if expected_f1 >= MIN_EXPECTED_F1:
        return by_blocks
    own, words = counted_words(by_blocks), counted_words(second())
    if _agree(own, words) or words.total() < MIN_FOUND_WORDS * own.total():
        return by_blocks
    text = third()
    return text if _agree(counted_words(text), words) else by_blocks


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


def _agree(one: Counter[str], other: Counter[str]) -> bool:
    """Whether the words in common, counted in both texts, are MIN_SHARED_WORDS of the words of both."""
    return 2 * (one & other).total() >= MIN_SHARED_WORDS * max(1, one.total() + other.total())


EXTRACTOR = Extractor("joined", joined, JoinedOptions, sandboxed=True, caps="all", shares=True)
