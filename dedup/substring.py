"""Exact substring deduplication: runs of 50 tokens (or 500 bytes) and more that occur twice in the pool.

The second last step of RefinedWeb (arXiv 2306.01116, section G.3.2), after Lee et al. 2022 (arXiv 2107.06499). Both act
on all copies (`keep = "none"`); with `keep = "first"` the first copy of each window stays whole: that of the document
with the least hash of its content and id, wherever it is, so that the order of documents changes no text. What is done
to the others is RefinedWeb's choice too: they are cut out, masked, or the document is dropped.

Three steps find the spans: texts are cut into segments, of which equal windows share a key, and a reduction by key
leaves those whose key occurs twice (`segments.py`); different segments of one key are compared by suffix arrays
(`blocks.py`); here the spans that are left of both are joined and acted on.

A token is one ideograph or kana, or a run of other characters that are not white space. It is compared as written, so a
match is exact but for white space between tokens. (RefinedWeb's tokens are subwords, so that its 50 are fewer words.)
Bytes are those of the UTF-8, white space included; a span of bytes is what it has of whole characters.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dedup.segments import Windows, bytes_of_tokens
from infra.errors import UsageError

Action = Literal["cut", "mask", "drop"]
Keep = Literal["none", "first"]
MASK = "[…]"
MIN_CHARACTERS = 20
# RefinedWeb drops documents of which more is repeated ("DropPartial").
MOST_SHARE = 0.2

Places = npt.NDArray[np.int64]


class RepeatedSpans(NamedTuple):
    """Runs of repeated windows of one text: `begin` of the first, how many `windows`, and whether they are the `first`
    copies. Shape (runs,)."""

    begin: Places
    windows: Places
    first: npt.NDArray[np.bool_]

    def of(self, start: int, end: int) -> "RepeatedSpans":
        return RepeatedSpans(self.begin[start:end], self.windows[start:end], self.first[start:end])


class Edited(NamedTuple):
    """`text`: what is left, None if the document is dropped; `share`: how much of its bytes is in the spans."""

    text: str | None
    share: float


@dataclass(frozen=True)
class SpanEdit:
    """What is done with a text's repeated spans.

    gap: spans with at most so many units between them are one.
    share: with `drop`, documents of which a larger share of bytes is in spans are dropped, and the others stay whole.
    characters: with `cut`, a document of which fewer characters other than white space are left is dropped.
    """

    windows: Windows
    action: Action = "cut"
    keep: Keep = "none"
    gap: int = 0
    share: float = MOST_SHARE
    characters: int = MIN_CHARACTERS

    def __post_init__(self) -> None:
        """UsageError for a gap or characters below 0, or a share outside of 0 to 1."""
        for name in ("gap", "characters"):
            if getattr(self, name) < 0:
                raise UsageError(f"dedup substring: {name} is {getattr(self, name)}; give at least 0")
        if not 0 <= self.share <= 1:
            raise UsageError(f"dedup substring: share is {self.share}; give 0 to 1")

    def __call__(self, text: str, spans: RepeatedSpans) -> Edited:
        """The text on both sides of a cut is joined as it is, white space included."""
        data = text.encode("utf-8", "surrogatepass")
        ranges = self.ranges(data, spans)
        share = sum(end - begin for begin, end in ranges) / len(data) if ranges else 0.0
        if not ranges:
            return Edited(text, share)
        if self.action == "drop":
            return Edited(None if share > self.share else text, share)
        kept, at = [], 0
        for begin, end in ranges:
            kept.append(data[at:begin])
            at = end
        joint = MASK.encode() if self.action == "mask" else b""
        left = joint.join([*kept, data[at:]]).decode("utf-8", "surrogatepass")
        if self.action == "cut" and len("".join(left.split())) < self.characters:
            return Edited(None, share)
        return Edited(left, share)

    def ranges(self, data: bytes, spans: RepeatedSpans) -> list[tuple[int, int]]:
        """Where the spans to act on begin and end in the UTF-8 of a text, ascending, apart from each other. Memory: a
        piece of the text, and the runs."""
        text = np.frombuffer(data, np.uint8)
        runs = np.column_stack([spans.begin, spans.begin + spans.windows + self.windows.length - 1]).astype(np.int64)
        if self.keep == "first":
            acted = without(union(runs[~spans.first], self.gap), union(runs[spans.first], 0))
        else:
            acted = union(runs, self.gap)
        if self.windows.unit == "tokens":
            return [(begin, end) for begin, end in bytes_of_tokens(text, acted).tolist()]
        return [(begin, end) for begin, end in (narrowed(text, *edges) for edges in acted.tolist()) if begin < end]


def union(ranges: Places, gap: int) -> Places:
    """Ranges (begin, end), shape (ranges, 2), as those that are apart from each other by more than `gap`, ascending."""
    if not ranges.shape[0]:
        return ranges
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    reached = np.maximum.accumulate(ranges[:, 1])
    apart = ranges[1:, 0] - reached[:-1] > gap
    return np.column_stack([ranges[np.append(True, apart), 0], reached[np.append(apart, True)]])


def without(ranges: Places, kept: Places) -> Places:
    """What is in `ranges` and not in `kept`, both as `union` makes them."""
    edges = np.concatenate([ranges.ravel(), kept.ravel()])
    steps = np.concatenate([np.tile([1, -1], ranges.shape[0]), np.tile([-2, 2], kept.shape[0])])
    order = np.argsort(edges, kind="stable")
    edges, depth = edges[order], np.cumsum(steps[order])
    inside = np.flatnonzero((depth[:-1] == 1) & (edges[:-1] < edges[1:])) if edges.size else np.empty(0, np.int64)
    return union(np.column_stack([edges[inside], edges[inside + 1]]), 0)


def narrowed(text: npt.NDArray[np.uint8], begin: int, end: int) -> tuple[int, int]:
    """A range of bytes of UTF-8 as that of its whole characters."""
    while begin < end and text[begin] & 0xC0 == 0x80:
        begin += 1
    while end > begin and end < text.size and text[end] & 0xC0 == 0x80:
        end -= 1
    return begin, end
