"""Archives (WARC, WET, ARC) as a source: a partition is a split of a file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from infra.errors import UsageError
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

    def described(self) -> dict[str, Any]:
        """All but the path, for the receipt."""
        s = self.split
        return {"name": s.name, "sha256": self.sha256, "start": s.start, "end": s.end, "container": s.container}

    def check(self) -> None:
        """UsageError if the archive is not there."""
        if not Path(self.split.path).is_file():
            raise UsageError(
                f"the archive {self.split.name!r} is not at {self.split.path}, and a part of it has to be read: "
                "give its folder with --source ROOT"
            )


@dataclass(frozen=True)
class Archives(FileSource):
    """Archive files as a source of splits. `limit`: the most pages, counted in the order of the splits. `plan`: the
    splits, where they are known without the files."""

    limit: int | None = None
    exact: bool = False
    plan: tuple[ArchivePart, ...] | None = None

    def parts(self) -> Sequence[ArchivePart]:
        return self._parts

    @cached_property
    def _parts(self) -> list[ArchivePart]:
        if self.plan is not None:
            return list(self.plan)
        parts = [
            ArchivePart(split, file.sha256)
            for file in self.files
            for split in plan_splits(file.path, file.name, exact=self.exact)
            or [Split(file.path, file.name, 0, 0, PLAIN)]  # of an empty file
        ]
        return parts if self.limit is None else capped(parts, self.limit)


def capped(parts: Sequence[ArchivePart], limit: int) -> list[ArchivePart]:
    """The first parts that contain `limit` pages. Counts by reading, in order. Only a part with more pages than are
    left gets a cap: the others are what they are without a limit, so that a run without one uses them again."""
    chosen = []
    for part in parts:
        if limit <= 0:
            break
        pages = (event for event in read_split(part.split) if isinstance(event, RawRecord) and is_page(event))
        found = sum(1 for _ in islice(pages, limit + 1))
        chosen.append(part if found <= limit else ArchivePart(replace(part.split, cap=limit), part.sha256))
        limit -= found
    return chosen
