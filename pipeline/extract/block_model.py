"""Which blocks of a page are main text: the set of them that has the highest expected F1 by the network's
probabilities (`block_network.py`), with tables of data as wholes and code, formulas and tables kept in their places.

docs/extraction.md says what the network was fitted on, how it scores and how to fit another.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.block import Block
from pipeline.extract.block_features import Array
from pipeline.extract.block_kinds import TAGS
from pipeline.extract.block_network import BlockWeights, probabilities, shipped_weights
from pipeline.extract.blocks import blocks
from pipeline.extract.structure import posts
from pipeline.extract.structure.markdown import fill_tables, is_formed, markdown, plain, shares, wholes
from pipeline.extract.text import Shares

# Comments below an article of more characters, and of at least this part of theirs, are not its text.
MIN_ARTICLE: Final = 600
MIN_ARTICLE_SHARE: Final = 0.5
_INLINE: Final = frozenset({"span", "code", "tt", "b", "i", "em", "strong", "small", "font", "a"})
# A table, code or formula of a larger part of the page's text is not kept for the sake of what stands around it.
MAX_LIFTED: Final = 0.5
_BUTTON: Final = 1 << TAGS.index("button")


class MainText(NamedTuple):
    """The blocks of a page, which of them are main text, and the `expected_f1` of their words against the true main
    text, as far as the network's probabilities hold."""

    page: Sequence[Block]
    keep: Sequence[bool]
    expected_f1: float

    @property
    def plain(self) -> str:
        """The text, a line for each block."""
        return plain(self.page, self.keep)

    @property
    def markdown(self) -> str:
        """The text as light Markdown."""
        return markdown(self.page, self.keep)

    @property
    def shares(self) -> Shares:
        return shares(self.page, self.keep)


def best(page: Sequence[Block], probability_B: Array) -> tuple[list[bool], float]:
    """Which blocks to keep so that the expected F1 is highest, and that F1. At least one block is kept.

    A fixed threshold would not do that: on a page where no block is certain (a list, a forum), keeping blocks of lower
    probability raises the expected F1. The kept blocks are those of the highest probability. F1 counts characters, and
    the expectation of a ratio is approximated by the ratio of expectations.
    """
    size_B = np.array([len(block.text) for block in page], float)
    order_B = np.argsort(-probability_B, kind="stable")
    likely_B = (size_B * probability_B)[order_B]
    f1_B = 2 * np.cumsum(likely_B) / (np.cumsum(size_B[order_B]) + likely_B.sum())
    last = int(f1_B.argmax())
    kept_B = np.zeros(len(page), bool)
    kept_B[order_B[: last + 1]] = True
    return kept_B.tolist(), float(f1_B[last])


def main_text(html: str) -> MainText:
    """The main text of a page; of one without text no blocks, with an expected F1 of 1."""
    page = blocks(html)
    return MainText(page, *main_blocks(page, shipped_weights())) if page else MainText((), (), 1.0)


def main_blocks(page: Sequence[Block], weights: BlockWeights) -> tuple[list[bool], float]:
    """Which blocks are main text, and the expected F1 of that."""
    return chosen(page, judged(page, weights))


def judged(page: Sequence[Block], weights: BlockWeights) -> Array:
    """The network's probability of each block to be main text. Fills the page's tables; once for each page."""
    fill_tables(page)
    return probabilities(page, weights)


def expected_f1(page: Sequence[Block], probability_B: Array, keep: Sequence[bool]) -> float:
    """The expected F1 of any set of blocks, in characters: the ratio of the expectations."""
    size_B = np.array([len(block.text) for block in page], float)
    kept = size_B * np.array(keep)
    return float(2 * (kept @ probability_B) / max(1.0, kept.sum() + size_B @ probability_B))


def chosen(page: Sequence[Block], probability_B: Array) -> tuple[list[bool], float]:
    """Which blocks of these probabilities are main text, and the expected F1 of that. A table of data is kept or
    dropped as a whole, comments below an article are dropped. Its tables must be filled."""
    keep, expected = _likely(page, probability_B)
    return without_comments(page, keep), expected


def without_comments(page: Sequence[Block], keep: list[bool]) -> list[bool]:
    """The same without the comments of an article; those of a page that is a conversation stay.

    An annotator of an article leaves them out, and the network, which has seen forums too, keeps half of them.
    """
    posts_B = [block.frame.post for block in page]
    if not any(posts_B):  # most pages
        return keep
    families = [0 if post is None else posts.family_below(post) for post in posts_B]
    if posts.COMMENTS not in families or posts.FORUM in families or posts.ANSWERS in families:
        return keep
    named = any(post is not None and post.name for post in posts_B)
    if not named and len({id(block.frame.post) for block in page if block.frame.post and block.tag not in _INLINE}) < 2:
        return keep  # remarks, as code has them too
    first = families.index(posts.COMMENTS)
    article = sum(len(block.text) for block, kept in zip(page[:first], keep, strict=False) if kept)
    said = sum(len(block.text) for block, kept, post in zip(page, keep, posts_B, strict=True) if kept and post)
    if article <= MIN_ARTICLE or article < MIN_ARTICLE_SHARE * said:
        return keep
    return [kept and post is None for kept, post in zip(keep, posts_B, strict=True)]


def _likely(page: Sequence[Block], probability_B: Array) -> tuple[list[bool], float]:
    if not any(block.frame.table is not None or is_formed(block) for block in page):  # most pages
        return best(page, probability_B)
    # a button behind code is for copying it
    is_tool_B = [block.marks & _BUTTON and before.frame.code is not None for before, block in pairwise(page)]
    probability_B = probability_B.copy()
    probability_B[1:][np.array(is_tool_B, bool)] = 0
    whole_B = np.array(wholes(page))
    size_B = np.array([len(block.text) for block in page], float)
    together_B = np.bincount(whole_B, probability_B * size_B, len(page))
    sizes_B = np.bincount(whole_B, size_B, len(page))
    several_B = np.bincount(whole_B, minlength=len(page))[whole_B] > 1
    probability_B = np.where(several_B, together_B[whole_B] / sizes_B[whole_B], probability_B)
    formed_B = several_B | np.array([is_formed(block) for block in page])
    # a table that is most of the page decides for itself
    probability_B = lifted(probability_B, formed_B, formed_B & (sizes_B[whole_B] <= MAX_LIFTED * size_B.sum()))
    keep, expected = best(page, probability_B)
    kept_B = np.bincount(whole_B, np.array(keep) * size_B, len(page)) * 2 >= sizes_B
    return kept_B[whole_B].tolist(), expected


def lifted(probability_B: Array, formed_B: NDArray[np.bool_], chosen_B: NDArray[np.bool_]) -> Array:
    """The probabilities, those of code, formulas and tables (`formed`) that are `chosen` at least as high as those of
    the text before and after.

    The network has seen few of them, and tells text by its sentences: what stands between two paragraphs of the main
    text belongs to it. Of the two blocks of text before, and of the two after, the likelier one counts.
    """
    if not formed_B.any() or formed_B.all():
        return probability_B
    text_T = probability_B[~formed_B]
    before_T = np.maximum(text_T, np.append(0, text_T[:-1]))
    after_T = np.maximum(text_T, np.append(text_T[1:], 0))
    number_B = np.cumsum(~formed_B)  # of the texts up to here
    before_B = np.append(0, before_T)[number_B]
    after_B = np.append(after_T, 0)[number_B]
    return np.where(chosen_B, np.maximum(probability_B, np.minimum(before_B, after_B)), probability_B)
