"""What an input file is called in manifests and in `file_path`, and the snapshot that its name tells.

A file of Common Crawl is named from the root of its bucket, wherever it lies, so that every run names it alike and
indexes of several runs can be joined. All other files are named below the deepest folder that holds all of them.
"""

import os
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from infra.addresses import shown
from infra.errors import UsageError

# Since 2013 `crawl-data/CC-MAIN-…` and `crawl-data/CC-NEWS/…`; the ARC crawls of 2008 to 2012 had folders of their own
# (commoncrawl.atlassian.net, "About the Data Set").
_BUCKET = re.compile(r"(?:^|/)((?:crawl-data/CC-[A-Z]+[-/]|crawl-00[12]/\d{4}/|parse-output/segment/\d+/).+)$")
_SNAPSHOT = re.compile(r"CC-MAIN-\d{4}(?:-\d{4}|(?:-\d{2}){1,2}|)(?!\d)")
_ARC_CRAWLS = (
    ("crawl-001/", "CC-MAIN-2008-2009"),
    ("crawl-002/", "CC-MAIN-2009-2010"),
    ("parse-output/", "CC-MAIN-2012"),
)
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(place: str) -> bool:
    """Whether a place is an address (`https://…`, `s3://…`) rather than a path."""
    return _URL.match(place) is not None


def bucket_name(place: str) -> str | None:
    """The name of a file from the root of Common Crawl's bucket; None for any other file."""
    found = _BUCKET.search(_path(place))
    return found[1] if found else None


def snapshot_of(name: str) -> str:
    """The snapshot that a name tells, such as `CC-MAIN-2024-51`; empty if it tells none."""
    found = _SNAPSHOT.search(name)
    if found:
        return found.group()
    return next((snapshot for folder, snapshot in _ARC_CRAWLS if name.startswith(folder)), "")


def file_names(places: Sequence[str]) -> dict[str, str]:
    """The name of each place. UsageError if two different ones would have the same."""
    names = {place: name for place in places if (name := bucket_name(place)) is not None}
    others: dict[str, list[str]] = {}
    for place in places:
        if place not in names:
            others.setdefault(_origin(place), []).append(place)
    for group in others.values():
        root = os.path.commonpath([str(PurePosixPath(_path(place)).parent) for place in group])
        names |= {place: PurePosixPath(_path(place)).relative_to(root).as_posix() for place in group}
    by_name: dict[str, str] = {}
    for place, name in names.items():
        if by_name.setdefault(name, place) != place:
            raise UsageError(
                f"{shown(by_name[name])} and {shown(place)} would both be called {name!r}: give one of them"
            )
    return names


def _origin(place: str) -> str:
    """What stands before the path of an address; empty for a path."""
    parts = urlsplit(place)
    return f"{parts.scheme}://{parts.netloc}" if is_url(place) else ""


def _path(place: str) -> str:
    return unquote(urlsplit(place).path) if is_url(place) else place
