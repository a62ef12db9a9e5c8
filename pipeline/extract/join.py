"""Three engines, the cheapest first: the others are asked only where it is unsure of itself, and two outvote one.

`joined` takes the text by blocks (`block_model.py`). Where its network does not expect to be right, resiliparse is
asked; where that disagrees, trafilatura in its fast form; and where that agrees with resiliparse, its text is taken:
engines built on other ideas seldom err alike. One page in ten goes as far as resiliparse.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import Final

# The expected F1 of a text by blocks from which nobody else is asked.
SURE: Final = 0.8
# Of the words of two texts, the share in common from which they agree.
AGREEMENT: Final = 0.7
# A character is a word in scripts without spaces.
_WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")


def choose(by_blocks: str, expected: float, second: Callable[[], str], third: Callable[[], str]) -> str:
    """`by_blocks`, or what `third` gives; `expected` is the F1 that the first expects. Asks no engine without need."""
    if expected >= SURE:
        return by_blocks
    words = _words(second())
    if _agree(_words(by_blocks), words):
        return by_blocks
    text = third()
    return text if _agree(_words(text), words) else by_blocks


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text))


def _agree(one: Counter[str], other: Counter[str]) -> bool:
    """Whether the words in common, counted in both, are the better part of the words of both."""
    return 2 * (one & other).total() >= AGREEMENT * max(1, one.total() + other.total())
