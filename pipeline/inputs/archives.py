"""Archives (WARC, WET, ARC) as a source: a partition is a split of a file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from pipeline.inputs.inputs import FileSource
from pipeline.warc.pages import is_page
from pipeline.warc.reader import read_split
from pipeline.warc.records import PLAIN, RawRecord, Split
from pipeline.warc.splits import plan_splits


@dataclass(frozen=True)
class ArchivePart:
    """One split of one archive; its fingerprint covers the file's content and the range, not its path."""

    split: Split
    sha256: str

    @property
    def fingerprint(self) -> str:
        s = self.split
        return f"{self.sha256}:{s.name}:{s.start}-{s.end}:{s.container}:{s.cap}"


@dataclass(frozen=True)
class Archives(FileSource):
    """Archive files as a source of splits. `limit`: the most pages, counted in the order of the splits."""

    limit: int | None = None
    exact: bool = False

    def parts(self) -> Sequence[ArchivePart]:
        return self._parts

    @cached_property
    def _parts(self) -> list[ArchivePart]:
        parts = [
            ArchivePart(split, file.sha256)
            for file in self.files
            for split in plan_splits(file.path, file.name, exact=self.exact)
            or [Split(file.path, file.name, 0, 0, PLAIN)]  # of an empty file
        ]
        return parts if self.limit is None else capped(parts, self.limit)


def capped(parts: Sequence[ArchivePart], limit: int) -> list[ArchivePart]:
    """The first parts that contain `limit` pages, the last of them with a cap. Counts by reading, in order."""
    chosen = []
    for part in parts:
        if limit <= 0:
            break
        chosen.append(ArchivePart(replace(part.split, cap=limit), part.sha256))
        pages = (event for event in read_split(part.split) if isinstance(event, RawRecord) and is_page(event))
        limit -= sum(1 for _ in islice(pages, limit))
    return chosen
