"""A document during the steps of a recipe: its text and the signals measured so far."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from filters.bag_of_words import WordBytes, word_bytes, word_counts
from filters.catalog import SIGNALS
from filters.markdown import without_marks
from filters.view import View
from mixers.pretokens import count as count_tokens

# One entry for each rule, label or edit that `explain` shows.
Trace = list[dict[str, Any]]


class WordCounts(Mapping[str, int]):
    """Counts of the words of a text, made when they are read: tables of words count them without."""

    looked_up: tuple[int, Any] | None = None
    """What tables of words have of them (`pipeline/models/vocabulary.py`)."""

    def __init__(
        self,
        text: str,
        counted: Callable[[str], Mapping[str, int]] = word_counts,
        read: Callable[[str], WordBytes | None] = word_bytes,
    ) -> None:
        """`read`: what `counted` counts, in the same order."""
        self._text = text
        self._counted = counted
        self._read = read

    def as_bytes(self) -> WordBytes | None:
        return self._read(self._text)

    @cached_property
    def _counts(self) -> Mapping[str, int]:
        return self._counted(self._text)

    def __getitem__(self, word: str) -> int:
        return self._counts[word]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)


@dataclass
class Document:
    """`signals`: the measured signals of the current text, by name. `evidence`: what explains the value of a signal
    (the items of a benchmark), by signal. `tokens`: the count of the fixed pre-tokenizer. `edited`: whether a rewrite
    has replaced the text. `language_shares`: the column of that name, where a step has set it."""

    text: str
    url: str = ""
    language: str | None = None
    language_score: float | None = None
    domain: str | None = None
    tokens: int = 0
    signals: dict[str, float | None] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)
    edited: bool = False
    language_shares: str | None = None
    _plain: str | None = None
    _view: View | None = None
    _word_counts: WordCounts | None = None

    @property
    def plain(self) -> str:
        """The text that signals, models and rules read: without the marks of Markdown, if extraction put them there
        (signal `markdown`)."""
        if not self.signals.get("markdown"):
            return self.text
        if self._plain is None:
            self._plain = without_marks(self.text)
        return self._plain

    @property
    def word_counts(self) -> Mapping[str, int]:
        """The count of each word, looked up once for all bag-of-words models."""
        if self._word_counts is None:
            self._word_counts = WordCounts(self.plain)
        return self._word_counts

    @property
    def view(self) -> View:
        if self._view is None:
            self._view = View(self.plain, url=self.url, language=self.language or "")
        return self._view

    def forget(self) -> None:
        """Drops what is derived from the text, to be derived again if it is asked for."""
        self._plain = self._view = self._word_counts = None

    def set_language(self, language: str, score: float) -> None:
        self.language, self.language_score = language, score
        if self._view is not None:  # word segmentation and stop words depend on the language
            self._view = self._view.in_language(language)

    def signal(self, name: str) -> float | None:
        """Returns the value that a step has set, or else the catalog's, measured now and cached; null for a step's
        signal that was not set for this document, e.g. in its language (`recipes/signals.py` checks that a step sets
        it)."""
        if name not in self.signals:
            known = SIGNALS.get(name)
            self.signals[name] = known.measure(self.view) if known else None
        return self.signals[name]

    def replace_text(self, text: str) -> None:
        """Replaces the text by an edited one and drops what was measured on the old text."""
        self.text, self.edited = text, True
        self.forget()
        for name in [name for name in self.signals if name in SIGNALS]:
            del self.signals[name]
        self.tokens = count_tokens(text)
