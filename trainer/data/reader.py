"""Which tokens the next sequences have, from a cursor: positions in sources, and nothing of the tokens themselves.

Each sequence is of one source (`mixture.py`), and takes the next tokens of that source's order (`order.py`). A source
at its end goes on with its next epoch. Under another seed the documents that were not yet begun in this epoch are put
in a new order, and the epochs after it are wholly the new seed's.
"""

from collections import OrderedDict
from dataclasses import replace

import numpy as np

from trainer.data.cursor import Cursor, SourceCursor, Turn
from trainer.data.documents import DocumentSource, DocumentTable
from trainer.data.mixture import MixtureSchedule
from trainer.data.order import DocumentSpans, SourceStream, cut, joined

STREAMS_PER_SOURCE = 2


class SourceReader:
    """Reads sources at cursors. Keeps the streams that it made last."""

    def __init__(self, table: DocumentTable, seed: int) -> None:
        self.table, self.seed = table, seed
        self._streams: OrderedDict[tuple[str, int, tuple[Turn, ...]], SourceStream] = OrderedDict()

    def begin(self, source: DocumentSource, cursor: Cursor) -> SourceCursor:
        """Where the source goes on under this seed."""
        at = cursor.sources.get(source.sha256)
        if at is None or at.tokens == 0:
            return SourceCursor(source.name, at.epoch if at else 0, 0, (Turn(0, 0, self.seed),))
        if at.turns[-1].seed == self.seed:
            return at
        return replace(at, turns=(*at.turns, self.stream(source, at).turn_after(at.tokens, self.seed)))

    def after(self, source: DocumentSource, at: SourceCursor, tokens: int) -> SourceCursor:
        """The cursor when `tokens` more are consumed."""
        if at.tokens + tokens < source.tokens:
            return SourceCursor(at.name, at.epoch, at.tokens + tokens, at.turns)
        epochs, left = divmod(at.tokens + tokens, source.tokens)
        return SourceCursor(at.name, at.epoch + epochs, left, (Turn(0, 0, self.seed),))

    def spans(self, source: DocumentSource, at: SourceCursor, tokens: int) -> list[DocumentSpans]:
        """The next `tokens` tokens."""
        found = []
        while tokens:
            taken = min(tokens, source.tokens - at.tokens)
            found.append(self.stream(source, at).spans(at.tokens, taken))
            at, tokens = self.after(source, at, taken), tokens - taken
        return found

    def stream(self, source: DocumentSource, at: SourceCursor) -> SourceStream:
        """The epoch that the cursor is in."""
        key = source.sha256, at.epoch, at.turns
        if key not in self._streams:
            if len(self._streams) >= STREAMS_PER_SOURCE * len(self.table.sources):
                self._streams.popitem(last=False)
            self._streams[key] = SourceStream(self.table, source, at)
        self._streams.move_to_end(key)
        return self._streams[key]


class SequenceReader:
    """Reads sequences of `length` tokens. Holds no position: `read` gives the next cursor."""

    def __init__(self, table: DocumentTable, seed: int, length: int, mixture: MixtureSchedule) -> None:
        self.table, self.length, self.mixture = table, length, mixture
        self._sources = SourceReader(table, seed)

    def read(
        self, cursor: Cursor, sequences: int, first: int = 0, count: int | None = None
    ) -> tuple[DocumentSpans, Cursor]:
        """The spans of `count` of the next `sequences` sequences, from the `first` of them on, in their order, and the
        cursor after all of them. No span goes over the end of a sequence. `count` defaults to all."""
        drawn = self.mixture.sources(cursor.sequences, sequences)
        mine = drawn[first : sequences if count is None else first + count]
        totals, before = np.bincount(drawn), np.bincount(drawn[:first], minlength=len(self.table.sources))
        parts, rows, sources = [], [], dict(cursor.sources)
        for number in np.flatnonzero(totals).tolist():
            source = self.table.sources[number]
            at = self._sources.begin(source, cursor)
            sources[source.sha256] = self._sources.after(source, at, int(totals[number]) * self.length)
            here = np.flatnonzero(mine == number)
            if len(here):
                # A slice of the sequences has consecutive ones of each source: one read for all of them.
                begin = self._sources.after(source, at, int(before[number]) * self.length)
                parts += self._sources.spans(source, begin, len(here) * self.length)
                rows.append(here)
        spans = cut(joined(parts), self.length)
        of = np.concatenate(rows)[(np.cumsum(spans.lengths) - 1) // self.length]
        in_order = np.argsort(of, kind="stable")
        spans = DocumentSpans(*(column[in_order] for column in spans))
        return spans, Cursor(cursor.sequences + sequences, sources)
