"""The texts of held-out distributions: chosen by a hash of each, so that neither the order of files nor that of rows
matters, and each text once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import xxhash

from infra.errors import UsageError
from infra.names import listed
from mixers.domains import Axis
from pipeline.metric.documents import Documents, value_of
from pipeline.metric.grid_file import CellSource, Grid


class Passage(NamedTuple):
    """A document, or the beginning of one; `whole` tells which."""

    text: str
    whole: bool

    @property
    def size(self) -> int:
        """Its bytes in UTF-8."""
        return len(self.text.encode())


@dataclass(frozen=True)
class Distribution:
    """A distribution. `documents`: all that there are, of which `passages` were chosen. `inputs`: the files and
    manifests with their hashes. `unreadable`: rows that are no documents, by reason."""

    name: str
    axis: str
    language: str
    passages: tuple[Passage, ...]
    documents: int
    inputs: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, int] = field(default_factory=dict)


class PassageSample:
    """The texts with the smallest hashes, up to `size` bytes together; a document has at most `document_size`.

    A text that is repeated in an epoch is as likely as several texts.
    """

    def __init__(self, size: int, document_size: int) -> None:
        self._size, self._document_size = size, document_size
        self._kept: dict[int, Passage] = {}
        self._held = 0
        self._least_refused: int | None = None

    def add(self, text: str, repeats: int = 1) -> None:
        clean = text.encode("utf-8", "replace")
        if not clean.strip():
            return
        rank = min(xxhash.xxh3_64_intdigest(clean, seed) for seed in range(max(1, min(repeats, 64))))
        if rank in self._kept or (self._least_refused is not None and rank >= self._least_refused):
            return
        passage = cut(clean, self._document_size)
        self._kept[rank] = passage
        self._held += passage.size
        if self._held > 2 * self._size + 2 * self._document_size:
            self._drop()

    def _drop(self) -> None:
        kept: dict[int, Passage] = {}
        held = 0
        for rank in sorted(self._kept):
            if held >= self._size:
                self._least_refused = rank
                break
            kept[rank] = self._kept[rank]
            held += kept[rank].size
        self._kept, self._held = kept, held

    def passages(self) -> tuple[Passage, ...]:
        """By hash. The last may go beyond the size."""
        self._drop()
        return tuple(self._kept[rank] for rank in sorted(self._kept))


def cut(content: bytes, size: int) -> Passage:
    """The text of these bytes, or their first `size` or fewer, so that no character is cut."""
    if len(content) <= size:
        return Passage(content.decode(), True)
    return Passage(content[:size].decode("utf-8", "ignore"), False)


def read_cells(grid: Grid) -> list[Distribution]:
    """The distributions in the order of the file. UsageError for one without texts, or for two of one name."""
    found = [cell for source in grid.cells for cell in cells_of(source, grid)]
    twice = [name for name, count in Counter(cell.name for cell in found).items() if count > 1]
    if twice:
        raise UsageError(f"there are two distributions {twice[0]!r}: give one another name")
    return found


@dataclass
class _Part:
    """A distribution while its documents are read."""

    sample: PassageSample
    documents: int = 0
    axes: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)


def cells_of(source: CellSource, grid: Grid) -> Iterator[Distribution]:
    """One distribution, or with `by` one for each value, in order."""
    documents = Documents(source.inputs)
    parts: dict[str, _Part] = {}
    seen: dict[str, Counter[str]] = {column: Counter() for column, _ in source.where}
    about = ("domain", "language")
    for row in documents.rows([*source.columns, *about]):
        for column, _ in source.where:
            seen[column][value_of(row, column)] += 1
        if not row["text"] or any(value_of(row, column) not in values for column, values in source.where):
            continue
        name = value_of(row, source.by) if source.by else ""
        part = parts.setdefault(name, _Part(PassageSample(grid.bytes, grid.document_bytes)))
        part.sample.add(row["text"])
        part.documents += 1
        part.axes[value_of(row, "axis")] += 1
        part.languages[value_of(row, "language")] += 1
    refs = {ref.name: ref.sha256 for ref in documents.refs}
    kept = {name: (part, passages) for name, part in sorted(parts.items()) if (passages := part.sample.passages())}
    if not kept:
        raise UsageError(f"cell {source.name!r} has no text: {_why_empty(source, seen, documents.unreadable)}")
    for name, (part, passages) in kept.items():
        axis, language = source.axis or _most(part.axes), source.language or _most(part.languages)
        whole_name = f"{source.name}/{name}" if source.by else source.name
        yield Distribution(whole_name, str(Axis(axis)), language, passages, part.documents, refs, documents.unreadable)


def _most(counts: Counter[str]) -> str:
    return min(counts, key=lambda name: (-counts[name], name))


def _why_empty(source: CellSource, seen: Mapping[str, Counter[str]], unreadable: Mapping[str, int]) -> str:
    if unreadable and not any(seen.values()):
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(unreadable.items()))
        return f"no row of {listed(source.inputs)} is a document ({reasons})"
    for column, values in source.where:
        if not set(values) & set(seen[column]):
            there = listed(sorted(seen[column])) or "nothing"
            return f"no document has {column} {' or '.join(values)}; there is {there}"
    if source.where:
        return "no document fits all of `where`"
    return f"{listed(source.inputs)} has no document with a text"
