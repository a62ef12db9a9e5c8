"""Which files of which snapshots a command reads: all of them, or a sample that stays the same.

Files are drawn in the order of a hash of their names, so that a larger sample contains the smaller ones, on every
machine and at any time.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.errors import UsageError
from infra.names import listed
from pipeline.snapshots.choice import WARC, Choice
from pipeline.snapshots.crawls import ARC, ARC_CRAWLS, KINDS, Crawls

ALL = "all"


@dataclass(frozen=True)
class CrawlFile:
    """A file of a snapshot. `name`: from the bucket's root; `url`: where it is read."""

    name: str
    url: str
    snapshot: str
    kind: str


def chosen_files(crawls: Crawls, choice: Choice) -> tuple[CrawlFile, ...]:
    """The files, by snapshot and name. UsageError where there is nothing to choose from; WorkError for what cannot be
    listed."""
    return tuple(
        CrawlFile(name, crawls.source.place(name), snapshot, ARC if snapshot in ARC_CRAWLS else choice.kind)
        for snapshot, names in chosen_names(crawls, choice)
        for name in names
    )


def chosen_names(crawls: Crawls, choice: Choice) -> Iterator[tuple[str, list[str]]]:
    """(snapshot, names of its files), one snapshot at a time. Errors as of `chosen_files`."""
    if choice.kind not in KINDS:
        raise UsageError(f"no kind {choice.kind!r}: there are {listed(KINDS)}")
    if choice.files is not None and choice.share is not None:
        raise UsageError("--files and --sample both say how many: give one of them")
    for snapshot in snapshots_of(crawls, choice):
        names = crawls.names(snapshot, choice.kind)
        if not names:
            raise UsageError(f"{snapshot} has no {choice.kind} files: {_instead(snapshot)}")
        in_segments = [name for name in names if not choice.segments or _is_in(name, choice.segments)]
        if not in_segments:
            raise UsageError(f"{snapshot} has no {choice.kind} file in segment {' or '.join(choice.segments)}: "
                             f"`refinery snapshots files {snapshot}` shows names")  # fmt: skip
        yield snapshot, sample(in_segments, choice.files, choice.share)


def snapshots_of(crawls: Crawls, choice: Choice) -> list[str]:
    """The snapshots in order, each once; `all` stands for every one that has files of the kind."""
    found = {one for one in choice.snapshots if one != ALL}
    if ALL in choice.snapshots:
        found.update(one for one in crawls.ids() if choice.kind == WARC or crawls.names(one, choice.kind))
    return sorted(found)


def named(crawls: Crawls, snapshots: Sequence[str]) -> Sequence[str]:
    """These snapshots, each once; every one there is for none, and for `all`, and what else is named."""
    every = crawls.ids() if not snapshots or ALL in snapshots else []
    return list(dict.fromkeys([*every, *(one for one in snapshots if one != ALL)]))


def sample(names: Sequence[str], files: int | None, share: float | None) -> list[str]:
    """The first names by their hash, in the order of names: `files` of them, or this share of all, rounded up."""
    if files is None and share is None:
        return sorted(names)
    number = len(names) if files is None else files
    if share is not None:
        number = math.ceil(share * len(names))
    return sorted(sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:number])


def _is_in(name: str, segments: Sequence[str]) -> bool:
    return any(f"/{segment.strip('/')}/" in f"/{name}" for segment in segments)


def _instead(snapshot: str) -> str:
    if snapshot in ARC_CRAWLS:
        return "it has ARC files alone, which --kind warc takes"
    return f"`refinery snapshots list {snapshot}` shows what it has"
