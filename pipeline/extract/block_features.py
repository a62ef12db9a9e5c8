"""The features by which a block of a page is classified: of the block, of its groups, of its neighbours, of the page.

They describe form and place, not vocabulary, so they mean the same in every language. A group is all blocks of one
container, or all of one path (the posts of a forum, the items of a list). Lengths are logarithms of one more than the
number of characters; "bare" characters are those outside links; a block "ends" if its last character ends a sentence.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.block_kinds import KINDS, TAGS
from pipeline.extract.blocks import Block

Array = NDArray[np.float64]

_MARKS: Final = (*(f"in <{tag}>" for tag in TAGS), *(f"in {kind}" for kind in KINDS))
_OWN_TAGS: Final = ("p", "div", "li", "td", "span", "a", "pre", "dd", "font", "br", "center", "strong")
_OWN_TAG_NUMBERS: Final = {tag: number for number, tag in enumerate(_OWN_TAGS)}
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
_SENTENCE: Final = ".!?…。！？؟।"
_PAUSE: Final = ",，、،;；"
_CAPITAL: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Sentences, pauses, digits and capitals are counted in so many characters of a block.
_SAMPLE: Final = 1000


def features(blocks: Sequence[Block]) -> dict[str, Array]:
    """A column for each feature, a row for each block."""
    n = len(blocks)
    texts, links, mark_bits, near_bits, containers, paths, depths, tags, cells, *_ = zip(*blocks, strict=True)
    length = np.array([*map(len, texts)], float)
    bare = length - np.array(links, float)
    linked = 1 - bare / length
    ends = np.array([text.endswith(_ENDS) for text in texts], float)
    container, path = np.array(containers), np.array(paths)
    depth = np.array(depths, float)
    marks, near = _bits(mark_bits, len(_MARKS)), _bits(near_bits, len(KINDS))
    own = np.array([_OWN_TAG_NUMBERS.get(tag, -1) for tag in tags])
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
        **{f"is <{tag}>": (own == number).astype(float) for tag, number in _OWN_TAG_NUMBERS.items()},
        "cell": np.array(cells, float),
        **_of_group("container", container, length, bare, ends, total),
        **_of_group("path", path, length, bare, ends, total),
    }
    values = np.array([found["bare length"], linked, ends, container, path])
    for step in _NEAR:
        moved = _shift(values, step)
        names = ("bare length", "linked", "ends", "same container", "same path")
        found |= {f"{step:+} {name}": column for name, column in zip(names, moved, strict=True)}
        found[f"{step:+} same container"] = (moved[3] == container).astype(float)
        found[f"{step:+} same path"] = (moved[4] == path).astype(float)
    values = np.array([bare, linked, bare * ends])
    for width in _WINDOWS:
        around = _around(values, width)
        found[f"within {width}: bare"] = np.log1p(around[0])
        found[f"within {width}: linked"] = around[1]
        found[f"within {width}: ending"] = np.log1p(around[2])
    found |= _of_page(found, bare, linked, ends, depth, container, tags, total)
    return found


def _bits(values: Sequence[int], count: int) -> Array:
    """A row for each bit, lowest first; a column for each value."""
    return ((np.array(values, np.int64)[None, :] >> np.arange(count)[:, None]) & 1).astype(float)


@cache
def _classes() -> NDArray[np.uint8]:
    """Of each code point below 0x20000, beyond which there are none: 1 for the end of a sentence, 2 for a pause, 4 for
    a digit, 8 for a capital of ASCII."""
    table = np.zeros(0x20001, np.uint8)
    for signs, bit in ((_SENTENCE, 1), (_PAUSE, 2), (_CAPITAL, 8)):
        table[[*map(ord, signs)]] |= bit
    table[[code for code in range(0x20000) if chr(code).isdecimal()]] |= 4
    return table


def _of_texts(texts: Sequence[str]) -> dict[str, Array]:
    samples = [text[:_SAMPLE] for text in texts]
    sizes = np.array([*map(len, samples)], np.int64)
    codes = np.frombuffer("".join(samples).encode("utf-32-le", "surrogatepass"), np.uint32)
    classes = _classes()[np.minimum(codes, 0x20000)]
    first = np.cumsum(sizes) - sizes
    sentences, pauses, digits, capitals = (
        np.add.reduceat((classes & bit).astype(bool), first, dtype=float) for bit in (1, 2, 4, 8)
    )
    often = Counter(texts)
    return {
        "sentences": np.log1p(sentences),
        "pauses": np.log1p(pauses),
        "digits": digits / sizes,
        "capitals": capitals / sizes,
        "repeated": np.array([often[text] > 1 for text in texts], float),
    }


def _of_group(name: str, ids: NDArray[Any], length: Array, bare: Array, ends: Array, total: float) -> dict[str, Array]:
    """Features of all the blocks that share an id: their number, length, share of links, share of the page, endings."""
    size = np.bincount(ids).astype(float)[ids]
    characters = np.bincount(ids, length)[ids]
    plain = np.bincount(ids, bare)[ids]
    return {
        f"{name}: blocks": np.log1p(size),
        f"{name}: length": np.log1p(characters),
        f"{name}: linked": 1 - plain / characters,
        f"{name}: share": plain / total,
        f"{name}: length of one": np.log1p(characters / size),
        f"{name}: ending": np.bincount(ids, bare * ends)[ids] / characters,
    }


def _of_page(
    found: dict[str, Array],
    bare: Array,
    linked: Array,
    ends: Array,
    depth: Array,
    container: Any,
    tags: Sequence[str],
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


def _shift(values: Array, step: int) -> Array:
    """The values (last axis: blocks) of the block `step` places before (after, if negative); 0 where there is none."""
    shifted = np.zeros_like(values)
    if step > 0:
        shifted[:, step:] = values[:, :-step]
    else:
        shifted[:, :step] = values[:, -step:]
    return shifted


def _around(values: Array, width: int) -> Array:
    """The means of the values (last axis: blocks) at most `width` blocks away, with zeros beyond the ends."""
    rows, n = values.shape
    sums = np.zeros((rows, n + 2 * width + 1))
    np.cumsum(values, axis=1, out=sums[:, width + 1 : width + 1 + n])
    sums[:, width + 1 + n :] = sums[:, width + n, None]
    mean: Array = (sums[:, 2 * width + 1 :] - sums[:, :n]) / (2 * width + 1)
    return mean
