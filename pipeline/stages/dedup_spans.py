"""`dedup` by `substring`: finds the spans that the pool has several times, and acts on them in each document.

Texts are read three times: to be cut into segments, where different segments have one key, and to be edited. What goes
through reductions is a row for about 18 tokens, and the texts of the segments that have to be compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.blocks import SPANS, TEXTS, Compare, text_table
from dedup.policy import CONTENT_READ
from dedup.segments import DIFFERENT, FIRST, FOUND, SEGMENTS, Repeated, Windows, segment_table
from dedup.substring import Edited, RepeatedSpans, SpanEdit
from dedup.tables import values
from infra.dataset.manifest import InputRef
from infra.dataset.reader import Part, PartList, Source, check_part
from infra.engines.task import Output
from infra.hashing import sha256_json
from infra.ledger import Reject, ledger_of
from mixers.pretokens import count as count_tokens
from pipeline.job.carried import Carried
from pipeline.job.funnel import Judged, by_batch
from pipeline.stages.dedup_parts import part_groups
from pipeline.stages.dedup_work import Work


def cut_of(options: dict[str, Any]) -> SpanEdit:
    """What a step's options say is done."""
    windows = Windows("bytes", options["bytes"]) if options["bytes"] else Windows("tokens", options["tokens"])
    return SpanEdit(windows, **{name: options[name] for name in ("action", "keep", "gap", "share", "characters")})


def repeated_spans(work: Work, cut: SpanEdit) -> list[Source]:
    """FOUND and SPANS of the documents, each partitioned like them."""
    windows, ranked = cut.windows, cut.keep == "first"
    made, read = partial(segment_table, windows=windows, ranked=ranked), ("text", *(CONTENT_READ if ranked else ()))
    segments = work.table("segments", f"segments:{windows}:{ranked}", SEGMENTS, made, read)
    found = work.to_shards(work.reduce("repeated", [segments], Repeated(), FOUND), FOUND)
    texts = work.tables.map("texts", SegmentTexts(windows), WithFound(work.source, found))
    spans = work.reduce("compared", [texts], Compare(windows), SPANS)
    return [found, work.to_shards(spans, SPANS, "spans-by-shard")]


@dataclass(frozen=True)
class WithFound:
    """Documents with the FOUND of their partition, some partitions together."""

    source: Source
    found: Source

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return (*self.source.refs, *self.found.refs)

    def parts(self) -> "FoundGroups":
        parts = self.source.parts()
        return FoundGroups(parts, self.found.parts(), part_groups(parts))


@dataclass(frozen=True)
class FoundGroup:
    """Partitions of documents that follow each other, each with its FOUND."""

    parts: tuple[tuple[Any, Any], ...]

    @property
    def fingerprint(self) -> str:
        return sha256_json([[part.fingerprint, found.fingerprint] for part, found in self.parts])

    def check(self) -> None:
        """As `ShardReader.check`."""
        for part, found in self.parts:
            check_part(part)
            check_part(found)


@dataclass(frozen=True)
class FoundGroups(PartList[FoundGroup]):
    """The parts of `WithFound`."""

    documents: Sequence[Part]
    found: Sequence[Part]
    groups: list[range]

    def __len__(self) -> int:
        return len(self.groups)

    def part(self, index: int) -> FoundGroup:
        group = self.groups[index]
        return FoundGroup(tuple((self.documents[each], self.found[each]) for each in group))


@dataclass(frozen=True)
class SegmentTexts:
    """The texts of the segments that have to be compared: TEXTS."""

    windows: Windows
    schema: pa.Schema = TEXTS

    @property
    def fingerprint(self) -> str:
        return f"dedup:texts:{self.windows}"

    def __call__(self, group: FoundGroup) -> Iterator[Output]:
        for part, of_part in group.parts:
            found = of_part.table()
            found = found.filter(pc.greater_equal(found["what"], DIFFERENT)).combine_chunks()
            first_row = 0
            for batch in part.batches(["text"]) if found.num_rows else ():
                for table in text_table(batch, first_row, found, self.windows):
                    yield Output(table)
                first_row += batch.num_rows


@dataclass(frozen=True)
class ApplySpans:
    """Acts on the spans of each document. A document with nothing left is rejected, by `drop` one with too large a
    share in spans."""

    step: str
    recipe: str
    carried: Carried
    cut: SpanEdit

    @property
    def fingerprint(self) -> str:
        return sha256_json(["spans", self.step, self.recipe, self.carried.fingerprint, str(self.cut)])

    @property
    def schema(self) -> pa.Schema:
        return self.carried.schema()

    def __call__(self, part: Any, found: Any, compared: Any) -> Iterator[Output]:
        rows, spans = decided_spans(found.table(), compared.table())

        def judge(batch: pa.RecordBatch, first: int) -> Judged:
            low, high = np.searchsorted(rows, [first, first + batch.num_rows])
            touched, starts = np.unique(rows[low:high], return_index=True)
            places = touched - first
            texts = batch.column("text").take(pa.array(places)).fill_null("").to_pylist()
            ends = [*(starts[1:] + low).tolist(), high]
            runs = (spans.of(start, end) for start, end in zip((starts + low).tolist(), ends))
            edited = [self.cut(text, some) for text, some in zip(texts, runs, strict=True)]
            return self._judged(batch, places, edited)

        yield from by_batch(part, self.schema, self.step, self.recipe, judge)

    def _judged(self, batch: pa.RecordBatch, places: np.ndarray[Any, Any], edited: list[Edited]) -> Judged:
        """`edited`: the texts at `places`; all others are as they were, their counts too."""
        left = np.array([each.text is not None for each in edited], np.bool_)
        kept = np.ones(batch.num_rows, np.bool_)
        kept[places[~left]] = False
        texts = [each.text for each in edited if each.text is not None]
        changed = np.zeros(batch.num_rows, np.bool_)
        changed[places[left]] = True
        new = {"text": pa.array(texts, pa.string()), "token_count": pa.array(map(count_tokens, texts), pa.int64())}
        columns = {
            name: pc.replace_with_mask(batch.column(name), pa.array(changed), values).filter(pa.array(kept))
            for name, values in new.items()
        }
        return Judged(kept, self._removals(batch.filter(pa.array(~kept)), edited), columns)

    def _removals(self, rows: pa.RecordBatch, edited: list[Edited]) -> pa.RecordBatch | None:
        if self.cut.action != "drop":
            return ledger_of(rows, Reject(self.step, "nothing_left", 0.0, 1.0), self.recipe)
        shares = pa.array([each.share for each in edited if each.text is None], pa.float64())
        return ledger_of(rows, Reject(self.step, "repeated_share", None, self.cut.share), self.recipe, value=shares)


def decided_spans(found: pa.Table, compared: pa.Table) -> tuple[np.ndarray[Any, Any], RepeatedSpans]:
    """The spans of one partition, with the row of each, ascending: FOUND that is decided, and SPANS."""
    found = found.filter(pc.less(found["what"], DIFFERENT))
    columns = [np.concatenate([values(found, name), values(compared, name)]) for name in ("row", "begin", "windows")]
    first = np.concatenate([values(found, "what") == FIRST, values(compared, "first")])
    order = np.lexsort((columns[1], columns[0]))
    row, begin, windows = (column[order].astype(np.int64) for column in columns)
    return row, RepeatedSpans(begin, windows, first[order])
