"""A view: one text, split once into characters, lines, paragraphs, sentences and words, shared by all signals.

Everything is lazy and vectorised over code points (numpy); nothing is compiled. A view takes some 60 bytes a
character while it exists, and its time is linear but for the sorts that find equal pieces.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from filters.characters import (
    BREAK,
    PUNCTUATION,
    SPACE,
    TERMINAL,
    UPPER,
    WORD,
    Codes,
    Flags,
    code_points,
    flags_of,
    lower_same_length,
    lowered,
    places,
)
from filters.repeats import Hashes, Indices, Mask, Rolling, character_values
from filters.segmenter import merge_han
from filters.tokens import Tokens, runs, segment

Measured = TypeVar("Measured")
_NEWLINE = 10
_RETURN = 13
_POINT = 46
_OPENERS = np.array([ord(mark) for mark in "“‘「『（《〈【([{"], np.uint32)
_WIDE = 0x2E80  # from this code point on, a sentence end needs no space after it

# The properties of a view that do not depend on its language.
_OF_ANY_LANGUAGE = frozenset(
    {
        "codes", "filled_lines", "flags", "lines", "lower", "paragraphs", "pieces", "sentences", "split_lines",
        "_newlines", "_rolling", "_solid",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Spans:
    """Pieces of a text: characters start[i]:end[i], in order; int64[n] each."""

    start: Indices
    end: Indices

    @property
    def lengths(self) -> Indices:
        return self.end - self.start

    def __len__(self) -> int:
        return self.start.size

    def where(self, chosen: Any) -> "Spans":
        """The pieces selected by a mask or an array of indices."""
        return Spans(self.start[chosen], self.end[chosen])


class View:
    """A text with its URL, its HTTP headers and its language code (ISO 639-1, "" if unknown).

    If `language` is "zh", a segmenter splits the text into words when a signal needs words; without a language, Chinese
    words are characters. `words` replaces our tokens by those of another tokenizer (datatrove's), for parity checks and
    for other languages without spaces; empty ones are left out.
    """

    def __init__(
        self,
        text: str,
        url: str = "",
        headers: Sequence[tuple[str, str]] = (),
        language: str = "",
        words: Sequence[str] | None = None,
    ) -> None:
        self.text = text
        self.url = url
        self.headers = headers
        self.language = language
        self._external = words
        self._memo: dict[Callable[..., Any], Any] = {}

    @property
    def has_external_tokens(self) -> bool:
        """Whether the tokens were passed in; their offsets are then not offsets in the text."""
        return self._external is not None

    def in_language(self, language: str) -> "View":
        """Returns a view of the same text in another language; what does not depend on the language is shared."""
        view = View(self.text, self.url, self.headers, language, self._external)
        view.__dict__ |= {name: self.__dict__[name] for name in _OF_ANY_LANGUAGE & self.__dict__.keys()}
        return view

    def once(self, compute: "Callable[[View], Measured]") -> Measured:
        """Returns compute(self), memoised: for results that several signals of a group share."""
        if compute not in self._memo:
            self._memo[compute] = compute(self)
        return self._memo[compute]  # type: ignore[no-any-return]

    @cached_property
    def codes(self) -> Codes:
        """The code points, uint32[characters]."""
        return code_points(self.text)

    @cached_property
    def flags(self) -> Flags:
        """The flags of each character (`filters.characters`), uint16[characters]."""
        return flags_of(self.codes)

    @cached_property
    def lower(self) -> str:
        """The text in lower case, with the same length and offsets."""
        return lower_same_length(self.text)

    def hashes(self, spans: Spans) -> Hashes:
        """The 64-bit hash of each piece's characters, uint64[pieces]."""
        return self._rolling.hashes(spans.start, spans.end)

    def counts(self, mask: int, spans: Spans) -> Indices:
        """The number of characters of each piece that have one of the flags in `mask`, int64[pieces]."""
        sums = np.zeros(len(self.text) + 1, np.int64)
        (self.flags & mask != 0).cumsum(out=sums[1:])
        return sums.take(spans.end) - sums.take(spans.start)

    def strip(self, spans: Spans) -> Spans:
        """Each piece without the white space at its ends; a blank one becomes empty."""
        solid = self._solid
        first = solid.searchsorted(spans.start)
        last = solid.searchsorted(spans.end) - 1
        blank = first > last
        if solid.size == 0:
            return Spans(spans.start, spans.start)
        start = np.where(blank, spans.start, solid.take(first, mode="clip"))
        return Spans(start, np.where(blank, start, solid.take(last, mode="clip") + 1))

    def endings(self, spans: Spans) -> tuple[Codes, Mask]:
        """The last character of each piece, uint32[pieces]; and whether its last three are points, bool[pieces]."""
        padded = np.concatenate((np.zeros(3, np.uint32), self.codes))  # padded[i + 3] is character i
        one, two, three = (padded.take(spans.end + 3 - back) for back in (1, 2, 3))
        return one, (one == _POINT) & (two == _POINT) & (three == _POINT) & (spans.lengths >= 3)

    def containing(self, needle: str, spans: Spans) -> Indices:
        """The indices (ascending, unique) of the pieces whose lower-case text contains `needle`; pieces must not
        overlap."""
        if needle not in self.lower:
            return np.empty(0, np.int64)
        found = []
        at = self.lower.find(needle)
        while at >= 0:
            found.append(at)
            at = self.lower.find(needle, at + len(needle))
        places = np.array(found)
        index = spans.start.searchsorted(places, side="right") - 1
        inside = (index >= 0) & (places + len(needle) <= spans.end[index])
        return np.unique(index[inside])

    @cached_property
    def lines(self) -> Spans:
        """`text.split("\\n")`: one more than there are newlines, empty ones too."""
        newlines = self._newlines
        return Spans(np.concatenate(([0], newlines + 1)), np.append(newlines, len(self.text)))

    @cached_property
    def filled_lines(self) -> Spans:
        """The lines that are not blank, without the white space at their ends."""
        stripped = self.strip(self.lines)
        return stripped.where(stripped.end > stripped.start)

    @cached_property
    def split_lines(self) -> Spans:
        """`text.splitlines()`: carriage returns, form feeds, U+2028 ... end lines too; no empty one at the end."""
        breaks = places(self.flags, BREAK)
        if breaks.size:
            after_return = (self.codes[breaks] == _NEWLINE) & (breaks > 0) & (self.codes[breaks - 1] == _RETURN)
            breaks = breaks[~after_return]
        begins = breaks + 1
        inside = (begins < len(self.text)).nonzero()[0]
        pairs = inside[(self.codes[breaks[inside]] == _RETURN) & (self.codes[begins[inside]] == _NEWLINE)]
        begins[pairs] += 1
        start = np.concatenate(([0], begins))
        end = np.append(breaks, len(self.text))
        return Spans(start[:-1], end[:-1]) if start[-1] >= len(self.text) else Spans(start, end)

    @cached_property
    def paragraphs(self) -> Spans:
        """`re.split("\\n{2,}", text.strip())`: not stripped inside; a blank text has one empty paragraph."""
        if self._solid.size == 0:
            return Spans(np.zeros(1, np.int64), np.zeros(1, np.int64))
        begin, stop = int(self._solid[0]), int(self._solid[-1]) + 1
        start, end = runs(self.codes[begin:stop] == _NEWLINE)
        between = end - start >= 2
        return Spans(np.concatenate(([begin], end[between] + begin)), np.append(start[between] + begin, stop))

    @cached_property
    def sentences(self) -> Spans:
        """Sentences without the white space at their ends; none is blank, and none crosses the end of a line.

        A sentence ends after a run of punctuation that begins with a sentence end (Unicode's Sentence_Terminal) and is
        followed by white space, which ideographic ends do not need. The point after a single capital letter
        ("J. Smith") is not an end; that of other abbreviations is.
        """
        size = len(self.text)
        marks = places(self.flags, TERMINAL)
        outside = (self.flags & PUNCTUATION == 0).nonzero()[0]
        after = np.append(outside, size).take(outside.searchsorted(marks))
        runs_on = (after > marks + 1).nonzero()[0]
        opened = runs_on[np.isin(self.codes[marks[runs_on] + 1], _OPENERS)] if runs_on.size else runs_on
        after[opened] = marks[opened] + 1  # in 世界！“好 the quotation mark begins the next sentence
        followed = np.append(self.flags, np.uint16(SPACE)).take(after) & SPACE != 0
        ends = after[(followed | (self.codes[marks] >= _WIDE)) & ~self._after_initial(marks)]
        cuts = np.concatenate(([0], ends, self._newlines, [size]))
        cuts.sort(kind="stable")
        pieces = self.strip(Spans(cuts[:-1], cuts[1:]))
        return pieces.where(pieces.end > pieces.start)

    @cached_property
    def pieces(self) -> Spans:
        """`text.split()`: the runs of characters that are not white space."""
        return Spans(*runs(self.flags & SPACE == 0))

    @cached_property
    def tokens(self) -> Tokens:
        """Words and marks in text order (defined in `filters.tokens`)."""
        if self._external is None:
            start, end = segment(self.codes, self.flags)
            if self.language == "zh":
                start, end = merge_han(self.text, self.flags, start, end)
            return Tokens(self.flags, self._rolling, start, end)
        words = [word for word in self._external if word]
        codes = code_points("".join(words))
        offsets = np.cumsum([0, *map(len, words)], dtype=np.int64)
        return Tokens(flags_of(codes), Rolling(character_values(codes)), offsets[:-1], offsets[1:])

    @cached_property
    def words(self) -> Tokens:
        """The tokens that begin with a letter or a digit."""
        return self.tokens.words

    @cached_property
    def lower_words(self) -> Hashes:
        """The hash of each word in lower case, uint64[words]."""
        source = self.codes if self._external is None else code_points("".join(self._external))
        return Rolling(character_values(lowered(source))).hashes(self.words.start, self.words.end)

    @cached_property
    def _rolling(self) -> Rolling:
        return Rolling(character_values(self.codes))

    @cached_property
    def _solid(self) -> Indices:
        solid: Indices = (self.flags & SPACE == 0).nonzero()[0]
        return solid

    @cached_property
    def _newlines(self) -> Indices:
        newlines: Indices = (self.codes == _NEWLINE).nonzero()[0]
        return newlines

    def _after_initial(self, marks: Indices) -> Any:
        before = np.concatenate((np.zeros(2, np.uint16), self.flags))  # before[i] is the flag two places before i
        alone = (before[marks + 1] & UPPER != 0) & (before[marks] & WORD == 0)
        return alone & (self.codes[marks] == _POINT)
