"""The order of a source's documents in an epoch: a function of (the source's documents, seed, epoch) and nothing else.

An epoch has a slot for each copy of each document: a document of repeats r has r slots, which are 1/r of the epoch
apart. Slot -> document is arithmetic: the slots are dealt to the classes of equal repeats, each evenly spread
(`split`); within a class a bijection of the integers (`Permutation`), keyed by the hash of (source, seed, epoch,
repeats), says which document it is. Nothing is sorted or stored for a document.

Positions in an epoch are tokens. `SourceStream` keeps the sums of the lengths at every `BLOCK`-th slot, made in one
pass over the epoch, and works out the slots of a block when they are asked for.
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError
from trainer.data.cursor import SourceCursor, Turn
from trainer.data.documents import DocumentSource, DocumentTable, Ints, RepeatClass

Words = npt.NDArray[Any]

BLOCK = 2**12  # slots
CHUNK = 2**16  # slots that are worked out at once, so that the arrays stay in the processor's cache
ROUNDS = 6
# Products of slots must fit in 63 bits.
MOST_SLOTS = 3_000_000_000


class DocumentSpans(NamedTuple):
    """Runs of tokens: `lengths[i]` tokens of the document `documents[i]` from its token `starts[i]` on."""

    documents: Ints
    starts: Ints
    lengths: Ints


class Permutation:
    """A bijection of the integers below `size`, drawn by `key`.

    Rounds of multiplication by an odd number, addition, and xor with the upper half of the bits, each a bijection of
    the integers of as many bits as `size` has; what falls outside goes round again (cycle walking: Black and Rogaway
    2002, Ciphers with arbitrary finite domains, section 3).
    """

    def __init__(self, size: int, key: str) -> None:
        bits = max(1, (size - 1).bit_length())
        self._kind = np.uint32 if bits <= 32 else np.uint64
        self.size, self._shift, self._mask = size, self._kind((bits + 1) // 2), self._kind(2**bits - 1)
        drawn = hashlib.shake_256(key.encode("utf-8", "surrogatepass")).digest(16 * ROUNDS)
        words = [int.from_bytes(drawn[i : i + 8], "little") & (2**bits - 1) for i in range(0, 16 * ROUNDS, 8)]
        self._rounds = [(self._kind(odd | 1), self._kind(term)) for odd, term in zip(words[::2], words[1::2])]
        back = [(pow(odd | 1, -1, 2**bits), term) for odd, term in zip(words[::2], words[1::2])]
        self._back = [(self._kind(inverse), self._kind(term)) for inverse, term in reversed(back)]

    def __call__(self, values: Ints) -> Ints:
        """The images of `values`, which are below `size`."""
        return self._walk(values, self._once)

    def inverse(self, values: Ints) -> Ints:
        """The values whose images these are."""
        return self._walk(values, self._once_back)

    def _walk(self, values: Ints, once: Callable[[Words], Words]) -> Ints:
        found = once(values.astype(self._kind))
        outside = np.flatnonzero(found >= self.size)
        while len(outside):
            again = once(found[outside])
            found[outside] = again
            outside = outside[again >= self.size]
        return found.astype(np.int64)

    def _once(self, values: Words) -> Words:
        for factor, term in self._rounds:
            values = values * factor
            values += term
            values &= self._mask
            values ^= values >> self._shift
        return values

    def _once_back(self, values: Words) -> Words:
        for inverse, term in self._back:
            values = values ^ (values >> self._shift)  # undoes itself, as it moves half of the bits
            values -= term
            values *= inverse
            values &= self._mask
        return values


def split(slots: Ints, part: int, whole: int) -> tuple[npt.NDArray[np.bool_], Ints]:
    """Deals `part` of `whole` slots out, evenly spread: which of `slots` they are, and how many come before each."""
    before = slots * part // whole
    return (slots + 1) * part // whole > before, before


class ClassOrder:
    """The documents of one class in the order of an epoch, `repeats` times one after the other, by number in the
    class."""

    def __init__(self, members: RepeatClass, key: str) -> None:
        self.documents, self.slots = members.documents, members.documents * members.repeats
        self._permutation = Permutation(members.documents, f"{key}/{members.repeats}")

    def numbers(self, slots: Ints) -> Ints:
        return self._permutation(slots if self.slots == self.documents else slots % self.documents)

    def slots_of(self, number: int) -> Ints:
        return np.arange(self._permutation.inverse(np.array([number]))[0], self.slots, self.documents)


class SourceOrder:
    """Slot -> document for one epoch of a source, and back.

    A document's number is its place in the source's part of `DocumentTable.member`; it is the same in every dataset
    that has the source.
    """

    def __init__(self, source: DocumentSource, epoch: int, turns: tuple[Turn, ...]) -> None:
        key = f"{source.sha256}/{turns[0].seed}/{epoch}"
        repeated = [each for each in source.classes if each.repeats]
        self._first = source.classes[0].first
        self._classes = [(each.first - self._first, ClassOrder(each, key)) for each in repeated]
        self.slots = sum(each.slots for _, each in self._classes)
        if self.slots > MOST_SLOTS:
            raise UsageError(f"source {source.name!r} has {self.slots} documents an epoch, more than {MOST_SLOTS}: "
                             "divide it into several")  # fmt: skip
        self._turns = [
            (turn.slot, Permutation(self.slots - turn.slot, f"{source.sha256}/{turn.seed}/{epoch}/turn/{turn.slot}"))
            for turn in turns[1:]
            if turn.slot < self.slots
        ]

    def numbers(self, slots: Ints) -> Ints:
        """The document of each slot, by its number in the source."""
        for first, permutation in reversed(self._turns):
            slots = slots.copy()
            later = slots >= first
            slots[later] = first + permutation(slots[later] - first)
        found = np.empty(len(slots), np.int64)
        places, whole = np.arange(len(slots)), self.slots
        for begin, each in self._classes[:-1]:
            chosen, before = split(slots, each.slots, whole)
            found[places[chosen]] = begin + each.numbers(before[chosen])
            places, slots, whole = places[~chosen], (slots - before)[~chosen], whole - each.slots
        begin, last = self._classes[-1]
        found[places] = begin + last.numbers(slots)
        return found

    def documents(self, table: DocumentTable, slots: Ints) -> Ints:
        """The document of each slot, a row of the table."""
        return table.member[self._first + self.numbers(slots)].astype(np.int64)

    def slots_of(self, number: int) -> Ints:
        """All slots of the document of this number, ascending."""
        wholes = np.cumsum([each.slots for _, each in self._classes][::-1])[::-1].tolist()
        for i, (begin, each) in enumerate(self._classes):
            if begin <= number < begin + each.documents:
                slots = each.slots_of(number - begin)
                if i + 1 < len(self._classes):
                    slots = -(-(slots + 1) * wholes[i] // each.slots) - 1
                for j in reversed(range(i)):  # the slots that the classes before it left
                    slots = slots * wholes[j] // wholes[j + 1]
                return np.sort(self._turned(slots))
        return np.zeros(0, np.int64)

    def _turned(self, slots: Ints) -> Ints:
        for first, permutation in self._turns:
            later = slots >= first
            slots[later] = first + permutation.inverse(slots[later] - first)
        return slots


class SourceStream:
    """One epoch of a source as a stream of tokens.

    It begins at the last turn, or with the document before it, which may have been cut there. Making it is one pass
    over the rest of the epoch: seconds for 10^8 documents.
    """

    def __init__(self, table: DocumentTable, source: DocumentSource, at: SourceCursor) -> None:
        self.table, self.source = table, source
        self.order = SourceOrder(source, at.epoch, at.turns)
        turn = at.turns[-1]
        self.first_slot, self.first_token = turn.slot, turn.tokens
        if turn.slot:
            self.first_slot -= 1
            self.first_token -= int(self._lengths(self.order.documents(self.table, np.array([self.first_slot])))[0])
        self._starts = self._sums()
        self._block: tuple[int, Ints, Ints] = (-1, self._starts, self._starts)
        if self._starts[-1] != source.tokens:
            raise table.damaged()

    def _lengths(self, documents: Ints) -> Ints:
        return self.table.lengths[documents].astype(np.int64)

    def _sums(self) -> Ints:
        """The first token of each block, and the end of the last."""
        sums = [np.array([self.first_token], np.int64)]
        for first in range(self.first_slot, self.order.slots, CHUNK):
            slots = np.arange(first, min(first + CHUNK, self.order.slots))
            lengths = self.table.lengths[self.order.documents(self.table, slots)]
            sums.append(np.add.reduceat(lengths, np.arange(0, len(slots), BLOCK), dtype=np.int64))
        return np.cumsum(np.concatenate(sums))

    def _read(self, block: int) -> tuple[Ints, Ints]:
        """The documents of a block and their ends, in tokens of the epoch."""
        if self._block[0] != block:
            first = self.first_slot + block * BLOCK
            documents = self.order.documents(self.table, np.arange(first, min(first + BLOCK, self.order.slots)))
            ends = self._starts[block] + np.cumsum(self._lengths(documents))
            self._block = (block, documents, ends)
        return self._block[1:]

    def _find(self, position: int) -> int:
        """The block that has the token `position`."""
        assert self.first_token <= position < self.source.tokens
        return int(np.searchsorted(self._starts, position, side="right")) - 1

    def spans(self, position: int, count: int) -> DocumentSpans:
        """The spans that make up `count` tokens from `position` on, all of them in this epoch."""
        end, block = position + count, self._find(position)
        assert end <= self.source.tokens
        parts = []
        while position < end:
            documents, ends = self._read(block)
            first = int(np.searchsorted(ends, position, side="right"))
            last = min(int(np.searchsorted(ends, end, side="left")) + 1, len(ends))
            begins = ends[first:last] - self._lengths(documents[first:last])
            starts = np.maximum(position - begins, 0)
            lengths = np.minimum(ends[first:last], end) - begins - starts
            parts.append(DocumentSpans(documents[first:last], starts, lengths))
            position, block = int(min(ends[last - 1], end)), block + 1
        return joined(parts)

    def begun(self, position: int) -> int:
        """How many slots of the epoch are begun when the tokens before `position` are consumed."""
        if position == self.source.tokens:
            return self.order.slots
        block = self._find(position)
        documents, ends = self._read(block)
        first = self.first_slot + block * BLOCK
        return first + int(np.searchsorted(ends - self._lengths(documents), position, side="left"))

    def begin(self, slot: int) -> int:
        """The first token of a slot, which is not before this stream."""
        block, i = divmod(slot - self.first_slot, BLOCK)
        documents, ends = self._read(block)
        return int(ends[i]) - int(self._lengths(documents[i : i + 1])[0])

    def turn_after(self, position: int, seed: int) -> Turn:
        """A turn at the first slot that is not begun when the tokens before `position` are consumed."""
        slot = self.begun(position)
        return Turn(slot, self.source.tokens if slot == self.order.slots else self.begin(slot), seed)


def joined(parts: list[DocumentSpans]) -> DocumentSpans:
    """DocumentSpans one after the other."""
    if len(parts) == 1:
        return parts[0]
    return DocumentSpans(*map(np.concatenate, zip(*parts, strict=True)))


def cut(spans: DocumentSpans, length: int) -> DocumentSpans:
    """The same tokens, in spans that do not go over a multiple of `length`."""
    ends = spans.lengths.cumsum()
    cuts = np.sort(np.concatenate((ends, np.arange(length, int(ends[-1]), length))))
    begins = np.concatenate(([0], cuts[:-1]))
    kept = cuts > begins
    cuts, begins = cuts[kept], begins[kept]
    of = ends.searchsorted(begins, side="right")
    starts = spans.starts[of] + begins - (ends - spans.lengths)[of]
    return DocumentSpans(spans.documents[of], starts, cuts - begins)
