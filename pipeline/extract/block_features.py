"""The features by which a block of a page is classified: of the block, of its groups, of its neighbours, of the page.

They describe form and place, not vocabulary, so they mean the same in every language. A group is all blocks of one
container, of one path (the posts of a forum, the titles of a list), or of one run of elements made alike (the cards of
a list with all that is in them). Lengths are logarithms of one more than the number of characters; "bare" characters
are those outside links; a block "ends" if its last character ends a sentence.

All are rows of one array: on a small page the number of calls is what costs.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.block import Block
from pipeline.extract.block_kinds import KINDS, TAGS

Array = NDArray[np.float64]

_MARKS: Final = (*(f"in <{tag}>" for tag in TAGS), *(f"in {kind}" for kind in KINDS))
_OWN_TAGS: Final = ("p", "div", "li", "td", "span", "a", "pre", "dd", "font", "br", "center", "strong")
_OWN_TAG_NUMBERS: Final = {tag: number for number, tag in enumerate(_OWN_TAGS)}
_ON_PAGE: Final = (
    *("in <p>", "in <article>", "in <main>", "in <table>", "in <li>", "in <a>", "in <pre>"),
    *("in talk", "in body", "in message", "in goods", "in row", "in recipe", "told"),
)
_NEAR: Final = (1, 2, -1, -2)
_WINDOWS: Final = (3, 8, 20)
_GROUPS: Final = ("container", "path", "run")
_ENDS: Final = frozenset('.!?…。！？؟।:："”»」')
# Signs that are counted in a block: ends of sentences, pauses, digits, capitals, currencies.
_SIGNS: Final = (".!?…。！？؟।", ",，、،;；", "", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "$€£¥₹₽₩₺￥")
_DIGIT: Final = 2
_CLASSES: Final = 1 << len(_SIGNS)
_IS_SIGN: Final = np.array([[number >> sign & 1 for sign in range(len(_SIGNS))] for number in range(_CLASSES)], float)
# They are counted in so many characters of a block.
_SAMPLE: Final = 1000
_CODES: Final = 0x20000  # beyond there are no digits

_OF_BLOCK: Final = (
    *("length", "bare length", "sentences", "pauses", "linked", "bare by length", "ends", "depth", "place"),
    *("place in text", "digits", "capitals", "priced", "repeated", "cell", "in run", "told", "code", "in table"),
)
_OF_GROUP: Final = ("blocks", "length", "length of one", "linked", "share", "ending", "priced")
_OF_NEAR: Final = ("bare length", "linked", "ends", "same container", "same path", "same run")
_OF_PLACE: Final = ("from longest", "depth over longest", "with longest", "after <h1>")
_OF_PAGE: Final = ("<h1>", "bare", "blocks", "linked", "longest", "ending", "priced")
NAMES: Final = (
    *_OF_BLOCK,
    *_MARKS,
    *(f"near {kind}" for kind in KINDS),
    *(f"is <{tag}>" for tag in _OWN_TAGS),
    *(f"{group}: {name}" for name in _OF_GROUP for group in _GROUPS),
    *(f"{step:+} {name}" for step in _NEAR for name in _OF_NEAR),
    *(f"within {width}: {name}" for width in _WINDOWS for name in ("bare", "ending", "linked")),
    *_OF_PLACE,
    *(f"page: {name}" for name in _OF_PAGE),
    *(f"page: {name}" for name in _ON_PAGE),
)


def features(page: Sequence[Block]) -> Array:
    """A row for each block, a column for each of NAMES."""
    n = len(page)
    texts, links, mark_bits, near_bits, containers, paths, depths, tags, cells, frames, _, _, runs, told = zip(
        *page, strict=True
    )
    size = np.array([*map(len, texts)], float)
    bare = size - np.array(links, float)
    linked = 1 - bare / size
    ends = _flags([text[-1] in _ENDS for text in texts])
    often = Counter(texts)
    ids = np.array([containers, paths, runs])
    depth = np.array(depths, float)
    sentences, pauses, digits, capitals, prices = _of_signs(texts, size)
    logs = np.log1p(np.array([size, bare, sentences, pauses]))
    total = max(1.0, float(bare.sum()))
    priced = (prices > 0) * (digits > 0)
    of_block = np.array(
        [
            linked,
            logs[0] * (1 - linked),
            ends,
            depth / 30,
            np.arange(n) / n,
            np.cumsum(bare) / total,
            digits / np.minimum(size, _SAMPLE),
            capitals / np.minimum(size, _SAMPLE),
            priced,
            _flags([often[text] > 1 for text in texts]) if len(often) < n else np.zeros(n),
            _flags(cells),
            ids[2] > 0,
            _flags(told),
            _flags([frame.code is not None for frame in frames]),
            _flags([frame.table is not None for frame in frames]),
        ]
    )
    marks = _bits(mark_bits, len(_MARKS))
    own = np.array([_OWN_TAG_NUMBERS.get(tag, -1) for tag in tags])
    ending = bare * ends
    is_heading = _flags([tag == "h1" for tag in tags]).astype(bool)
    longest = int(bare.argmax())
    weighed = np.concatenate([marks[_MARKS_ON_PAGE], of_block[_TOLD : _TOLD + 1]]) @ bare / total
    of_page = [is_heading.any(), *np.log1p([total, n]), linked.mean(), bare[longest] / total, ending.sum() / total]
    return np.concatenate(
        [
            logs,
            of_block,
            marks,
            _bits(near_bits, len(KINDS)),
            own == np.arange(len(_OWN_TAGS))[:, None],
            _of_groups(ids, np.array([np.ones(n), size, bare, ending, priced]), total),
            *_near(np.array([logs[1], linked, ends]), ids),
            *_around(np.array([bare, ending, linked])),
            [
                np.abs(np.arange(n) - longest) / n,
                (depth - depth[longest]) / 10,
                ids[0] == ids[0, longest],
                np.logical_or.accumulate(is_heading),
            ],
            np.repeat(np.array([*of_page, priced.mean(), *weighed])[:, None], n, axis=1),
        ]
    ).T


_MARKS_ON_PAGE: Final = [_MARKS.index(name) for name in _ON_PAGE if name in _MARKS]
_TOLD: Final = _OF_BLOCK.index("told") - 4  # the first four are logarithms


def _flags(values: Collection[bool]) -> Array:
    """A row of zeros and ones; in a third of the time of an array of a list."""
    return np.frombuffer(bytes(values), np.uint8).astype(float)


def _bits(values: Sequence[int], count: int) -> Array:
    """A row for each bit, lowest first; a column for each value."""
    return ((np.array(values, np.int64)[None, :] >> np.arange(count)[:, None]) & 1).astype(float)


@cache
def _classes() -> NDArray[np.uint8]:
    """Of each code point up to _CODES the bits of the _SIGNS that it is one of."""
    table = np.zeros(_CODES + 1, np.uint8)
    for number, signs in enumerate(_SIGNS):
        table[[*map(ord, signs)]] |= 1 << number
    table[[code for code in range(_CODES) if chr(code).isdecimal()]] |= 1 << _DIGIT
    return table


def _of_signs(texts: Sequence[str], size: Array) -> Array:
    """How many of each of _SIGNS a block has: a row for each kind."""
    sample = "".join([text[:_SAMPLE] for text in texts]).encode("utf-32-le", "surrogatepass")
    classes = _classes().take(np.frombuffer(sample, np.uint32), mode="clip")
    signs = np.flatnonzero(classes != 0)  # few characters are
    # one count of all: a range of numbers for each block
    ranges = np.repeat(np.arange(0, _CLASSES * len(texts), _CLASSES), np.minimum(size, _SAMPLE).astype(int))
    numbers = ranges[signs] + classes[signs]
    counts = np.bincount(numbers, minlength=_CLASSES * len(texts)).reshape(len(texts), _CLASSES)
    found: Array = (counts @ _IS_SIGN).T
    return found


def _of_groups(ids: NDArray[Any], values: Array, total: float) -> Array:
    """Features of all the blocks that share an id, a row for each kind of id. `values`: ones, the lengths, the bare
    lengths, those of blocks that end, whether a block is priced."""
    starts = np.cumsum(ids.max(axis=1) + 1)
    every = ids + np.append(0, starts[:-1])[:, None]
    # one count of all: a range of numbers for each row of values
    number = int(starts[-1])
    numbers = every + number * np.arange(len(values))[:, None, None]
    weights = np.repeat(values, len(ids), axis=0)
    sums = np.bincount(numbers.reshape(-1), weights.reshape(-1), number * len(values)).reshape(len(values), number)
    count, size, bare, ending, priced = sums[:, every]
    logs = np.log1p(np.array([count, size, size / count]))
    found: Array = np.concatenate([*logs, 1 - bare / size, bare / total, ending / size, priced / count])
    return found


def _near(values: Array, ids: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Of the block some places before (after, if negative) the values, 0 where there is none, and which ids are the
    same."""
    n = ids.shape[1]
    padded = np.zeros((len(values) + len(ids), n + 4))
    padded[: len(values), 2:-2] = values
    padded[len(values) :, 2:-2] = ids
    for step in _NEAR:
        moved = padded[:, 2 - step : n + 2 - step]
        yield moved[: len(values)]
        yield moved[len(values) :] == ids


def _around(values: Array) -> Array:
    """The means of the values (a column for each block) within each of _WINDOWS, with zeros beyond the ends; of all but
    the last row the logarithms."""
    rows, n = values.shape
    sums = np.zeros((rows, n + 1))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    width = np.array(_WINDOWS)[:, None]
    last, first = np.minimum(np.arange(1, n + 1) + width, n), np.maximum(np.arange(n) - width, 0)
    means = (sums[:, last] - sums[:, first]) / (2 * width + 1)
    means[:-1] = np.log1p(means[:-1])
    found: Array = means.transpose(1, 0, 2)
    return found
