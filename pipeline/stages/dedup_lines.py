"""`dedup` by `paragraphs`: counts the lines of the pool, or of blocks of its files, and says which of them stay."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import pyarrow as pa

from dedup.file_blocks import FILES, EachFile, FileBlocks, file_table
from dedup.file_blocks import READ as FILES_READ
from dedup.paragraphs import KEPT_LINES, KeepBest, KeepUnique, LineSpans, line_table
from dedup.policy import CONTENT_READ
from infra.dataset.reader import Dataset, Source
from infra.engines.task import Output
from pipeline.stages.dedup_parts import Everywhere, Numbered, PartGroup, WholeTable
from pipeline.stages.dedup_work import Work

# Names of files that a process holds: all that there are.
_ALL_FILES = 1 << 62


def spans_of(options: dict[str, Any]) -> LineSpans:
    """What a step's options say is compared."""
    return LineSpans(options["lines"], options["keep"], options["normalise"])


def kept_lines(work: Work, options: dict[str, Any]) -> Source:
    """KEPT_LINES of the documents, partitioned like them."""
    spans = spans_of(options)
    read = ("text", *(CONTENT_READ if spans.keep == "first" else ()))
    counted = in_blocks(work, spans, options["block"], read) if options["block"] else in_one(work, spans, read)
    reducer = KeepBest() if spans.keep == "first" else KeepUnique(options["within_document"])
    return work.to_shards(work.reduce("unique", [counted], reducer, KEPT_LINES), KEPT_LINES)


def in_one(work: Work, spans: LineSpans, read: tuple[str, ...]) -> Dataset:
    """The lines of the documents; the pool is one block."""
    return work.table("lines", f"lines:{spans}", spans.schema, partial(line_table, block=0, spans=spans), read)


def in_blocks(work: Work, spans: LineSpans, most: int, read: tuple[str, ...]) -> Dataset:
    """The same, each with the block of its file; `most`: files of a block."""
    each = work.table("files-found", "files", FILES, file_table, FILES_READ)
    files = work.reduce("files", [each], EachFile(), FILES)
    parts = Numbered(work.source)
    task = LinesInBlocks(spans, most, tuple(dict.fromkeys((*read, *FILES_READ))))
    return work.tables.map("lines", task, parts, Everywhere(files, len(parts.parts())))


@dataclass(frozen=True)
class LinesInBlocks:
    """The lines of documents with the blocks of their files: `spans.schema`."""

    spans: LineSpans
    most: int
    columns: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        return f"dedup:lines:{self.spans}:{self.most}"

    @property
    def schema(self) -> pa.Schema:
        return self.spans.schema

    def __call__(self, group: PartGroup, files: WholeTable) -> Iterator[Output]:
        blocks = blocks_of(files, self.most)
        for part in group.parts:
            for batch, first_row in part.numbered(self.columns):
                of = blocks.of_documents(batch)
                yield Output(line_table(batch, part.index, first_row, of, self.spans))


@lru_cache(maxsize=1)
def blocks_of(files: WholeTable, most: int) -> FileBlocks:
    """Kept for the next part, whose files are the same."""
    return FileBlocks.of(files.table(_ALL_FILES), most)
