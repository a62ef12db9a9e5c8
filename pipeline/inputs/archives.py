"""Archives (WARC, WET, ARC) as a source: a partition is a split of a file, or a whole file.

The size of a split follows from the size of all inputs together (`split_bytes_for`), so that a run has about 100,000
parts at most. A file that is not larger is one part, and nothing is known of it before it is read. Parts are made one
at a time, of the table of the files and the table of the splits.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any, overload

from infra.addresses import lacks_query, shown
from infra.errors import UsageError
from pipeline.inputs.inputs import FileSource, InputFile
from pipeline.inputs.places import is_there, query_is_missing
from pipeline.inputs.versions import is_sha256
from pipeline.warc.pages import is_page
from pipeline.warc.reader import read_split
from pipeline.warc.records import GZIP, PLAIN, SPLIT_BYTES, STREAM, TO_END, ZSTD_FRAMES, RawRecord, Split
from pipeline.warc.splits import plan_splits

MAX_PARTS = 100_000
# Above this an archive of Common Crawl (up to about 1 GiB) is one part.
WHOLE_FROM_BYTES = 2**40
WHOLE_BYTES = SPLIT_BYTES * 2**9  # 3 GiB
# The name, in the parameters of a dataset of records, of the size of its splits.
SPLIT = "split_bytes"
_CONTAINERS = ("", GZIP, STREAM, PLAIN, ZSTD_FRAMES)


def split_bytes_for(total: int) -> int:
    """The size of splits, in bytes, for `total` bytes of archives: 6 MiB, doubled as often as it takes to make 100,000
    parts suffice; 3 GiB or more above 1 TiB."""
    size = WHOLE_BYTES if total > WHOLE_FROM_BYTES else SPLIT_BYTES
    while total > size * MAX_PARTS:
        size *= 2
    return size


@dataclass(frozen=True)
class ArchivePart:
    """One split of one archive; its fingerprint covers the file's version and the range, not its path. `seen`: of the
    file, as `InputFile` has it."""

    split: Split
    version: str
    seen: str = field(default="", compare=False)

    @property
    def fingerprint(self) -> str:
        s = self.split
        return f"{self.version}:{s.name}:{s.start}-{s.end}:{s.container}:{s.cap}"

    @property
    def named_by_content(self) -> bool:
        """Whether the version is the file's sha256."""
        return is_sha256(self.version)

    def described(self) -> dict[str, Any]:
        """All but the path, for the receipt."""
        s = self.split
        return {"name": s.name, "sha256": self.version, "start": s.start, "end": s.end, "container": s.container}

    def check(self) -> None:
        """UsageError if the archive is not there."""
        if lacks_query(self.split.path):
            raise query_is_missing(self.split.name, self.split.path)
        if not is_there(self.split.path):
            raise UsageError(
                f"the archive {self.split.name!r} is not at {shown(self.split.path)}, and a part of it has to be read: "
                "give its folder with --source ROOT"
            )


@dataclass(frozen=True)
class Cuts:
    """The table of the splits: the number of the file of each, its range and its container. 21 bytes a part."""

    files: "array[int]" = field(default_factory=lambda: array("i"))
    starts: "array[int]" = field(default_factory=lambda: array("q"))
    ends: "array[int]" = field(default_factory=lambda: array("q"))
    containers: bytearray = field(default_factory=bytearray)

    def add(self, file: int, start: int, end: int, container: str) -> None:
        self.files.append(file)
        self.starts.append(start)
        self.ends.append(end)
        self.containers.append(_CONTAINERS.index(container))

    def __len__(self) -> int:
        return len(self.files)


@dataclass(frozen=True)
class ArchiveParts(Sequence[ArchivePart]):
    """The parts of these files, each made when it is asked for."""

    archives: tuple[InputFile, ...]
    cuts: Cuts

    def __len__(self) -> int:
        return len(self.cuts)

    @overload
    def __getitem__(self, index: int) -> ArchivePart: ...
    @overload
    def __getitem__(self, index: slice) -> list[ArchivePart]: ...
    def __getitem__(self, index: int | slice) -> ArchivePart | list[ArchivePart]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        cuts, file = self.cuts, self.archives[self.cuts.files[index]]
        container = _CONTAINERS[cuts.containers[index]]
        split = Split(file.path, file.name, cuts.starts[index], cuts.ends[index], container)
        return ArchivePart(split, file.version, file.seen)


@dataclass(frozen=True)
class Archives(FileSource):
    """Archive files as a source of splits. `limit`: the most pages, counted in the order of the splits. `exact`: the
    names of files that are walked member by member to be split. `planned`: the splits of the files that are cut, as
    (name, start, end, container) in order, where they were found before; `plan`: the parts, where they are known
    without the files, and `size` that of their splits."""

    limit: int | None = None
    exact: frozenset[str] = frozenset()
    planned: Sequence[tuple[str, int, int, str]] | None = None
    plan: tuple[ArchivePart, ...] | None = None
    size: int | None = None

    @cached_property
    def split_bytes(self) -> int:
        return self.size or split_bytes_for(sum(file.size or 0 for file in self.files))

    def is_cut(self, file: InputFile) -> bool:
        """Whether the file may have several splits; one of unknown size has one."""
        return (file.size or 0) > self.split_bytes

    def parts(self) -> Sequence[ArchivePart]:
        return self._parts

    @cached_property
    def _parts(self) -> Sequence[ArchivePart]:
        if self.plan is not None:
            return list(self.plan)
        if self.limit is not None:
            return capped(self._each(), self.limit)
        numbers = {file.name: number for number, file in enumerate(self.files)}
        cuts = Cuts()
        for name, start, end, container in self._cuts():
            cuts.add(numbers[name], start, end, container)
        return ArchiveParts(self.files, cuts)

    def _each(self) -> Iterator[ArchivePart]:
        """The parts in order, found as they are asked for: a small limit ends before most files are looked at."""
        files = {file.name: file for file in self.files}
        for name, start, end, container in self._cuts():
            file = files[name]
            yield ArchivePart(Split(file.path, name, start, end, container), file.version, file.seen)

    def _cuts(self) -> Iterator[tuple[str, int, int, str]]:
        planned: dict[str, list[tuple[str, int, int, str]]] = {}
        for cut in self.planned or ():
            planned.setdefault(cut[0], []).append(cut)
        for file in self.files:
            if not self.is_cut(file):
                yield (file.name, 0, TO_END, "")
            elif self.planned is not None:
                yield from planned[file.name]
            else:
                yield from cuts_of(file, self.split_bytes, file.name in self.exact)


def cuts_of(file: InputFile, split_bytes: int, exact: bool) -> Iterator[tuple[str, int, int, str]]:
    """The splits of a file, as (name, start, end, container)."""
    for split in plan_splits(file.path, file.name, split_bytes, exact):
        yield (split.name, split.start, split.end, split.container)


def capped(parts: Iterable[ArchivePart], limit: int) -> list[ArchivePart]:
    """The first parts that contain `limit` pages. Counts by reading, in order. Only a part with more pages than are
    left gets a cap: the others are what they are without a limit, so that a run without one uses them again."""
    chosen = []
    for part in parts:
        if limit <= 0:
            break
        pages = (event for event in read_split(part.split) if isinstance(event, RawRecord) and is_page(event))
        found = sum(1 for _ in islice(pages, limit + 1))
        chosen.append(part if found <= limit else replace(part, split=replace(part.split, cap=limit)))
        limit -= found
    return chosen
