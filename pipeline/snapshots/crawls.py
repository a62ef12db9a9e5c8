"""The snapshots of a source and the files of each, by kind: what path files, or for ARC crawls a listing, name.

Since 2013 a crawl has `crawl-data/ID/KIND.paths.gz`, a name a line. The crawls of 2008 to 2012 are ARC files in folders
of their own. What cannot be listed is an error that names it, never a snapshot the less.
"""

import gzip
import io
import json
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from infra.errors import UsageError, WorkError
from infra.names import listed, meant
from pipeline.snapshots.cache import PathFiles
from pipeline.snapshots.choice import WARC
from pipeline.snapshots.source import COLLECTIONS, CrawlSource

# By our word for a kind: what its path file is called.
KINDS = {"warc": "warc", "wet": "wet", "wat": "wat", "robots": "robotstxt", "arc": "arc"}
ARC = "arc"
# The crawls before 2013, and where their files are in the bucket: crawl-001/2008/06/25/11/1214440586619_11.arc.gz
ARC_CRAWLS = {
    "CC-MAIN-2008-2009": "crawl-001/",
    "CC-MAIN-2009-2010": "crawl-002/",
    "CC-MAIN-2012": "parse-output/segment/",
}
_ARC_ENDS = (".arc.gz", ".arc")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# No name is absolute or an address, leaves the bucket, or has a control character or a byte order mark.
_NAME = re.compile(r"(?!/)(?!.*://)(?!(?:.*/)?\.\.?(?:/|$))[^\s\\\x00-\x1f\x7f-\x9f\ufeff]{1,1024}")
# Bytes of the names in a path file, ten times those of the largest.
MOST_BYTES = 2**28


class UnknownSnapshot(UsageError):
    """A source has no snapshot of this id."""


@dataclass(frozen=True)
class Crawls:
    """The snapshots of a source. `files`: reads their path files."""

    source: CrawlSource
    files: PathFiles

    def ids(self) -> list[str]:
        """Every snapshot: those of collinfo.json, newest first as there, and the ARC crawls."""
        found = _collections(self.source.read(COLLECTIONS), self.source.at)
        return [*found, *sorted(set(ARC_CRAWLS).difference(found), reverse=True)]

    def kinds(self, snapshot: str) -> tuple[str, ...]:
        """What a snapshot may have files of."""
        return (ARC,) if snapshot in ARC_CRAWLS else tuple(kind for kind in KINDS if kind != ARC)

    def names(self, snapshot: str, kind: str = WARC) -> tuple[str, ...]:
        """The names of the files of one kind, from the bucket's root; none where the source has no list of them. The
        pages of an ARC crawl are its ARC files. WorkError for a list that cannot be read, UsageError for a snapshot
        that is not there."""
        if snapshot in ARC_CRAWLS:
            return self._arc_names(snapshot) if kind in (WARC, ARC) else ()
        if kind == ARC:
            return ()
        name = path_file(snapshot, kind)
        found = self._listed(name)
        if found is None:
            if kind == WARC:
                raise self._unknown(snapshot)
            return ()
        return found

    def _listed(self, name: str) -> tuple[str, ...] | None:
        """The names in a path file; None where the source has none. What is kept is read again if it is damaged, and
        what is damaged is not kept."""
        kept = self.files.kept(self.source, name)
        if kept is not None:
            with suppress(WorkError):
                return _lines(kept, name, self.source.at)
        content = self.source.read(name)
        if content is None:
            return None
        names = _lines(content, name, self.source.at)
        self.files.keep(self.source, name, content)
        return names

    def _arc_names(self, snapshot: str) -> tuple[str, ...]:
        """By the path file where there is one, else by listing the bucket."""
        name = path_file(snapshot, ARC)
        found = self._listed(name)
        if found is None:
            prefix = ARC_CRAWLS[snapshot]
            try:
                names = [each for each in self.source.names(prefix) if each.endswith(_ARC_ENDS)]
            except WorkError as error:
                raise WorkError(f"{snapshot}: its ARC files cannot be listed ({error}): {_how(snapshot)}") from None
            if not names:
                raise WorkError(f"{snapshot}: {self.source.at} has no {name} and no file below {prefix}: "
                                f"{_how(snapshot)}")  # fmt: skip
            content = gzip.compress("".join(f"{each}\n" for each in names).encode(), mtime=0)
            found = _lines(content, name, self.source.at)
            self.files.keep(self.source, name, content)
        return found

    def keep_names(self, snapshot: str, text: str) -> tuple[str, ...]:
        """The names of an ARC crawl's files as somebody else listed them, kept as if the source had: one a line,
        as addresses, or as `aws s3 ls` prints them too. UsageError for another snapshot, and a line that is none."""
        if snapshot not in ARC_CRAWLS:
            raise UsageError(f"{snapshot} has path files of its own: names are kept of {listed(ARC_CRAWLS)}")
        if not self.source.far:
            raise UsageError(
                f"{self.source.at} is a folder, which is listed each time: put {path_file(snapshot, ARC)} there"
            )
        names = []
        for line in text.removeprefix("\ufeff").splitlines():
            name = re.sub(r"^[a-z0-9]+://[^/]+/", "", line.split()[-1]) if line.strip() else ""
            if not name:
                continue
            if not (_NAME.fullmatch(name) and name.startswith(ARC_CRAWLS[snapshot]) and name.endswith(_ARC_ENDS)):
                raise UsageError(f"{line.strip()[:200]!r} names no ARC file below {ARC_CRAWLS[snapshot]}")
            names.append(name)
        if not names:
            raise UsageError("there is no name in that list")
        name = path_file(snapshot, ARC)
        content = gzip.compress("".join(f"{each}\n" for each in dict.fromkeys(names)).encode(), mtime=0)
        self.files.keep(self.source, name, content)
        if PathFiles(self.files.folder).kept(self.source, name) is None:
            raise WorkError(
                f"the list cannot be kept in {self.files.folder}: name another folder in REFINERY_SNAPSHOTS"
            )
        return _lines(content, name, self.source.at)

    def _unknown(self, snapshot: str) -> UsageError:
        known = self.ids()
        if snapshot in known:
            return UsageError(f"{snapshot}: {self.source.at} has no {path_file(snapshot, WARC)}: take another "
                              "snapshot, or another --source")  # fmt: skip
        return UnknownSnapshot(f"no snapshot {snapshot!r} at {self.source.at}: "
                               f"{meant(snapshot, known, 'refinery snapshots list')}")  # fmt: skip


def _how(snapshot: str) -> str:
    return (
        f"list them with credentials of your own (aws s3 ls --recursive s3://commoncrawl/{ARC_CRAWLS[snapshot]}) and "
        f"give that list: refinery snapshots keep {snapshot} --names FILE"
    )


def path_file(snapshot: str, kind: str) -> str:
    """The name of a path file. UsageError for what is no snapshot's id or no kind."""
    if not _ID.fullmatch(snapshot):
        raise UnknownSnapshot(f"{snapshot!r} is no snapshot: give its id, such as CC-MAIN-2024-51")
    if kind not in KINDS:
        raise UsageError(f"no kind {kind!r}: {meant(kind, KINDS)}")
    return f"crawl-data/{snapshot}/{KINDS[kind]}.paths.gz"


def _collections(content: bytes | None, at: str) -> list[str]:
    """The ids of collinfo.json."""
    if content is None:
        raise WorkError(f"{at} has no {COLLECTIONS}: give a --source that has the layout of Common Crawl's bucket")
    try:
        rows: Any = json.loads(content)
        ids = [row["id"] for row in rows]
    except (ValueError, TypeError, KeyError, RecursionError):
        ids = [None]
    if not ids or not all(isinstance(one, str) and _ID.fullmatch(one) for one in ids):
        raise WorkError(f"{at}: {COLLECTIONS} is not a list of snapshots")
    return list(dict.fromkeys(ids))


def _lines(content: bytes, name: str, at: str) -> tuple[str, ...]:
    """The names in a path file, each once."""
    try:
        inflated = gzip.GzipFile(fileobj=io.BytesIO(content)).read(MOST_BYTES + 1)
        lines = inflated.decode("utf-8-sig").split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        raise WorkError(f"{at}: {name} is no list of files in gzip: run the command again, or give another --source"
                        ) from None  # fmt: skip
    if len(inflated) > MOST_BYTES:
        raise WorkError(f"{at}: {name} has more than {MOST_BYTES:,} bytes, where a list of files was expected")
    names = [line.strip() for line in lines if line.strip()]
    for each in names:
        if not _NAME.fullmatch(each):
            raise WorkError(f"{name} names {each[:200]!r}, which is no file of the bucket")
    if not names:
        raise WorkError(f"{name} names no file")
    return tuple(dict.fromkeys(names))


class Coverage(NamedTuple):
    """`rows`: for each snapshot that can be listed how many files of each kind it has, 0 where the source has no list.
    `failed`: the others, and why."""

    rows: list[dict[str, Any]]
    failed: list[tuple[str, Exception]]

    def check(self) -> None:
        """UnknownSnapshot for those that are not there, else WorkError with the names of all that cannot be listed."""
        if unknown := [error for _, error in self.failed if isinstance(error, UnknownSnapshot)]:
            raise UnknownSnapshot("; ".join(map(str, unknown)))
        if self.failed:
            names = ", ".join(snapshot for snapshot, _ in self.failed)
            raise WorkError(f"{len(self.failed)} of {len(self.rows) + len(self.failed)} snapshots cannot be listed: "
                            f"{names}. The first: {self.failed[0][1]}")  # fmt: skip


def coverage(crawls: Crawls, snapshots: Sequence[str]) -> Coverage:
    """How many files of each kind snapshots have."""
    found = Coverage([], [])
    for snapshot in snapshots:
        try:
            counts = {kind: len(crawls.names(snapshot, kind)) for kind in crawls.kinds(snapshot)}
        except (WorkError, UsageError) as error:
            found.failed.append((snapshot, error))
            continue
        found.rows.append({"snapshot": snapshot, **{kind: counts.get(kind, 0) for kind in KINDS}})
    return found
