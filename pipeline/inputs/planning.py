"""Planning as a map: a task for each group of archives finds their splits, and leaves them as rows of a small table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from infra.dataset.manifest import InputRef
from infra.dataset.reader import Dataset
from infra.engines.task import Output
from infra.hashing import sha256_json
from infra.ledger import batch
from pipeline.inputs.archives import Archives, cuts_of
from pipeline.inputs.inputs import InputFile

# Less than this to be cut is planned where the run was started: that takes a second or two.
PLAN_FROM_BYTES = 4 * 2**30
GROUP_BYTES = 8 * 2**30
_COLUMNS = pa.schema([("name", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("container", pa.string())])


@dataclass(frozen=True)
class FileGroup:
    """Some archives that one task plans."""

    files: tuple[InputFile, ...]

    @property
    def fingerprint(self) -> str:
        return sha256_json([[file.name, file.version] for file in self.files])


@dataclass(frozen=True)
class FileGroups:
    """The archives that are cut, in groups of about 8 GiB."""

    archives: Archives

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return self.archives.refs

    def parts(self) -> Sequence[FileGroup]:
        groups: list[list[InputFile]] = []
        size = GROUP_BYTES
        for file in self.archives.files:
            if self.archives.is_cut(file):
                if size >= GROUP_BYTES:
                    groups.append([])
                    size = 0
                groups[-1].append(file)
                size += file.size or 0
        return [FileGroup(tuple(group)) for group in groups]


@dataclass(frozen=True)
class PlanTask:
    """Makes one row for each split of a group of archives."""

    split_bytes: int
    exact: frozenset[str]

    @property
    def fingerprint(self) -> str:
        return sha256_json(["plan", self.split_bytes, sorted(self.exact)])

    @property
    def schema(self) -> pa.Schema:
        return _COLUMNS

    def __call__(self, group: FileGroup) -> Iterator[Output]:
        cuts = [cut for file in group.files for cut in cuts_of(file, self.split_bytes, file.name in self.exact)]
        yield Output(batch([dict(zip(_COLUMNS.names, cut, strict=True)) for cut in cuts], _COLUMNS))


def must_be_planned(archives: Archives) -> bool:
    """Whether there is so much to cut that planning is worth a map."""
    size = sum(file.size or 0 for file in archives.files if archives.is_cut(file))
    return archives.plan is None and archives.limit is None and size > PLAN_FROM_BYTES


def read_plan(table: Dataset) -> list[tuple[str, int, int, str]]:
    """The splits of such a table, in order."""
    columns = table.to_arrow()
    return list(zip(*(columns[name].to_pylist() for name in _COLUMNS.names), strict=True))
