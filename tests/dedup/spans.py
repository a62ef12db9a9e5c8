"""Substring deduplication without an engine: here, by the way of `counted_windows`, and by plain search."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dedup.blocks import SPANS, TEXTS, Compare, text_table
from dedup.segments import DIFFERENT, FIRST, FOUND, Repeated, segment_table
from dedup.substring import RepeatedSpans, SpanEdit
from dedup.tables import values
from tests.dedup import counted_windows
from tests.dedup.support import documents, reduce

Texts = Sequence[str | None]


def spans_of(
    texts: Texts, cut: SpanEdit, batch_rows: int = 7, shards: int = 1, ids: Sequence[str] | None = None
) -> list[RepeatedSpans]:
    """The spans of each text; documents are dealt to `shards` shards. `ids`: of documents that have ranks."""
    places = [(i % shards, i // shards) for i in range(len(texts))]
    batches = [documents([text], id=[ids[number] if ids else ""]) for number, text in enumerate(texts)]
    cutting = [
        segment_table(batch, *place, cut.windows, ids is not None) for batch, place in zip(batches, places, strict=True)
    ]
    found = reduce(Repeated(), cutting, FOUND, batch_rows)
    found = found.sort_by([("shard", "ascending"), ("row", "ascending")])
    to_compare = found.filter(pa.array(values(found, "what") >= DIFFERENT))
    compared = []
    for batch, (shard, row) in zip(batches, places, strict=True):
        of_shard = to_compare.filter(pa.array(values(to_compare, "shard") == shard))
        compared += list(text_table(batch, row, of_shard, cut.windows))
    nothing = pa.RecordBatch.from_pylist([], TEXTS)
    spans = reduce(Compare(cut.windows), [nothing, *compared], SPANS, batch_rows)
    made: dict[tuple[int, int], list[tuple[int, int, bool]]] = {place: [] for place in places}
    for run in spans.to_pylist():
        made[run["shard"], run["row"]].append((run["begin"], run["windows"], run["first"]))
    for run in found.to_pylist():
        if run["what"] < DIFFERENT:
            made[run["shard"], run["row"]].append((run["begin"], run["windows"], run["what"] == FIRST))
    return [_as_spans(made[place]) for place in places]


def _as_spans(runs: list[tuple[int, int, bool]]) -> RepeatedSpans:
    columns = [[run[i] for run in runs] for i in range(3)]
    return RepeatedSpans(np.array(columns[0], np.int64), np.array(columns[1], np.int64), np.array(columns[2], np.bool_))


def deduplicated(
    texts: Texts, cut: SpanEdit, batch_rows: int = 7, shards: int = 1, ids: Sequence[str] | None = None
) -> list[str | None]:
    found = spans_of(texts, cut, batch_rows, shards, ids)
    return [cut(text or "", spans).text for text, spans in zip(texts, found, strict=True)]


def counted(texts: Texts, size: int, min_characters: int = 1) -> list[str | None]:
    """By `counted_windows`."""
    tables = [counted_windows.window_table(documents([text]), 0, row, size) for row, text in enumerate(texts)]
    repeated = reduce(counted_windows.KeepRepeated(), tables, counted_windows.DUPLICATE_WINDOWS, 65536)
    of_row = [values(repeated.filter(pa.array(values(repeated, "row") == row)), "token") for row in range(len(texts))]
    return [
        counted_windows.remaining_text(text or "", first, size, min_characters)
        for text, first in zip(texts, of_row, strict=True)
    ]


def plain_tokens(text: str) -> list[str]:
    return re.findall(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+", text)


def marked(
    units: Sequence[Sequence[Any]], size: int, keep: str, order: Sequence[int] | None = None
) -> list[list[bool]]:
    """Whether each unit of each text is cut, by a look at every pair of windows. `order`: of the texts, if another."""
    where: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
    for text in order or range(len(units)):
        own = units[text]
        for begin in range(len(own) - size + 1):
            where.setdefault(tuple(own[begin : begin + size]), []).append((text, begin))
    cut = [[False] * len(own) for own in units]
    repeated = [places for places in where.values() if len(places) > 1]
    for places in repeated:
        for text, begin in places[1:] if keep == "first" else places:
            cut[text][begin : begin + size] = [True] * size
    for places in repeated if keep == "first" else ():
        text, begin = places[0]
        cut[text][begin : begin + size] = [False] * size
    return cut
