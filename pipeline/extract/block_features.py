"""The features by which a block of a page is classified: of the block, of its groups, of its neighbours, of the page.

They describe form and place, not vocabulary, so they mean the same in every language. A group is all blocks of one
container, or all of one path (the posts of a forum, the items of a list). Lengths are logarithms of one more than the
number of characters; "bare" characters are those outside links; a block "ends" if its last character ends a sentence.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.blocks import KINDS, TAGS, Block

Array = NDArray[np.float64]

_MARKS: Final = (*(f"in <{tag}>" for tag in TAGS), *(f"in {kind}" for kind in KINDS))
_OWN_TAGS: Final = ("p", "div", "li", "td", "span", "a", "pre", "dd", "font", "br", "center", "strong")
_ON_PAGE: Final = (
    "<p>",
    "<article>",
    "<main>",
    "<table>",
    "<li>",
    "<a>",
    "<pre>",
    "talk",
    "body",
    "message",
    "goods",
    "row",
)
_NEAR: Final = (1, 2, -1, -2)
_WINDOWS: Final = (3, 8, 20)
_ENDS: Final = tuple('.!?…。！？؟।:："”»」')
_SENTENCE = re.compile(r"[.!?…。！？؟।]")
_PAUSE = re.compile(r"[,，、،;；]")
_DIGIT_OR_CAPITAL = re.compile(r"(\d)|[A-Z]")
# Sentences, pauses, digits and capitals are counted in so many characters of a block.
_SAMPLE: Final = 1000


def features(blocks: Sequence[Block]) -> dict[str, Array]:
    """A column for each feature, a row for each block."""
    n = len(blocks)
    texts = [block.text for block in blocks]
    length = np.array([len(text) for text in texts], float)
    bare = length - np.array([block.link_characters for block in blocks], float)
    linked = 1 - bare / length
    ends = np.array([text.endswith(_ENDS) for text in texts], float)
    container = np.array([block.container for block in blocks])
    path = np.array([block.path for block in blocks])
    depth = np.array([block.depth for block in blocks], float)
    marks = _bits([block.marks for block in blocks], len(_MARKS))
    near = _bits([block.near for block in blocks], len(KINDS))
    tags = [block.tag for block in blocks]
    total = max(1.0, float(bare.sum()))
    before = np.cumsum(bare)
    found: dict[str, Array] = {
        "length": np.log1p(length),
        "bare length": np.log1p(bare),
        "linked": linked,
        "bare by length": np.log1p(length) * (1 - linked),
        "ends": ends,
        "depth": depth / 30,
        "place": np.arange(n) / n,
        "place in text": before / total,
        **_of_texts(texts),
        **dict(zip(_MARKS, marks, strict=True)),
        **{f"near {kind}": column for kind, column in zip(KINDS, near, strict=True)},
        **{f"is <{tag}>": np.array([own == tag for own in tags], float) for tag in _OWN_TAGS},
        "cell": np.array([block.cell for block in blocks], float),
        **_of_group("container", container, length, bare, ends, total),
        **_of_group("path", path, length, bare, ends, total),
    }
    bare_length = found["bare length"]
    for step in _NEAR:
        found[f"{step:+} bare length"] = _shift(bare_length, step)
        found[f"{step:+} linked"] = _shift(linked, step)
        found[f"{step:+} ends"] = _shift(ends, step)
        found[f"{step:+} same container"] = (_shift(container, step) == container).astype(float)
        found[f"{step:+} same path"] = (_shift(path, step) == path).astype(float)
    for width in _WINDOWS:
        found[f"within {width}: bare"] = np.log1p(_around(bare, width))
        found[f"within {width}: linked"] = _around(linked, width)
        found[f"within {width}: ending"] = np.log1p(_around(bare * ends, width))
    found |= _of_page(found, bare, linked, ends, depth, container, tags, total)
    return found


def _bits(values: Sequence[int], count: int) -> Array:
    """A row for each bit, lowest first; a column for each value."""
    return ((np.array(values, np.int64)[None, :] >> np.arange(count)[:, None]) & 1).astype(float)


def _of_texts(texts: Sequence[str]) -> dict[str, Array]:
    samples = [text[:_SAMPLE] for text in texts]
    marked = [_DIGIT_OR_CAPITAL.findall(sample) for sample in samples]
    sizes = np.array([len(sample) for sample in samples], float)
    digits = np.array([sum(map(bool, found)) for found in marked], float)
    often = Counter(texts)
    return {
        "sentences": np.log1p(np.array([len(_SENTENCE.findall(sample)) for sample in samples], float)),
        "pauses": np.log1p(np.array([len(_PAUSE.findall(sample)) for sample in samples], float)),
        "digits": digits / sizes,
        "capitals": (np.array([len(found) for found in marked], float) - digits) / sizes,
        "repeated": np.array([often[text] > 1 for text in texts], float),
    }


def _of_group(name: str, ids: NDArray[Any], length: Array, bare: Array, ends: Array, total: float) -> dict[str, Array]:
    """Features of all the blocks that share an id: their number, length, share of links, share of the page, endings."""
    _, group = np.unique(ids, return_inverse=True)
    size = np.bincount(group).astype(float)
    characters = np.bincount(group, length)
    plain = np.bincount(group, bare)
    return {
        f"{name}: blocks": np.log1p(size)[group],
        f"{name}: length": np.log1p(characters)[group],
        f"{name}: linked": (1 - plain / characters)[group],
        f"{name}: share": (plain / total)[group],
        f"{name}: length of one": np.log1p(characters / size)[group],
        f"{name}: ending": (np.bincount(group, bare * ends) / characters)[group],
    }


def _of_page(
    found: dict[str, Array],
    bare: Array,
    linked: Array,
    ends: Array,
    depth: Array,
    container: Any,
    tags: list[str],
    total: float,
) -> dict[str, Array]:
    """Where a block is relative to the longest block and the first heading, and features of the whole page."""
    n = len(bare)
    longest = int(bare.argmax())
    heading = np.array([tag == "h1" for tag in tags])

    def everywhere(value: Any) -> Array:
        return np.full(n, float(value))

    return {
        "from longest": np.abs(np.arange(n) - longest) / n,
        "depth over longest": (depth - depth[longest]) / 10,
        "with longest": (container == container[longest]).astype(float),
        "after <h1>": np.logical_or.accumulate(heading).astype(float),
        "page: <h1>": everywhere(heading.any()),
        "page: bare": everywhere(np.log1p(total)),
        "page: blocks": everywhere(np.log1p(n)),
        "page: linked": everywhere(linked.mean()),
        "page: longest": everywhere(bare[longest] / total),
        "page: ending": everywhere((bare * ends).sum() / total),
        **{f"page: {name}": everywhere((found[f"in {name}"] * bare).sum() / total) for name in _ON_PAGE},
    }


def _shift(values: NDArray[Any], step: int) -> NDArray[Any]:
    """The value of the block `step` places before (after, if negative); 0 where there is none."""
    shifted = np.zeros_like(values)
    if step > 0:
        shifted[step:] = values[:-step]
    else:
        shifted[:step] = values[-step:]
    return shifted


def _around(values: Array, width: int) -> Array:
    """The mean of the values at most `width` blocks away, with zeros beyond the ends."""
    sums = np.concatenate([np.zeros(width + 1), np.cumsum(values), np.full(width, values.sum())])
    mean: Array = (sums[2 * width + 1 :] - sums[: len(values)]) / (2 * width + 1)
    return mean
