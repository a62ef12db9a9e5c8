"""Where snapshots come from: Common Crawl itself, a mirror over http(s), or a folder or object store laid out alike.

A source gives files by their names from the bucket's root (`crawl-data/…`), and lists the names below a prefix.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from infra.errors import UsageError, WorkError
from infra.http.client import AddressNotFound, Refused
from infra.http.ranges import fetch
from infra.remote import anywhere
from infra.storage import ObjectPath, Place
from pipeline.inputs.places import WEB, bucket_address

VARIABLE = "REFINERY_SOURCE"
COMMON_CRAWL = "https://data.commoncrawl.org"
COLLECTIONS = "collinfo.json"
# Common Crawl's list of crawls is on its index server, not in the bucket.
COMMON_CRAWL_COLLECTIONS = "https://index.commoncrawl.org/collinfo.json"
# A list that is refused concerns that list alone: to those without the right to list, S3 refuses what is not there too.
# So many in a row are a server that blocks us.
MOST_REFUSED = 3


class CrawlSource(Protocol):
    """`at`: its address or path, without a slash at the end. `far`: what is read from it is worth keeping."""

    at: str
    far: bool

    def read(self, name: str) -> bytes | None:
        """The whole file of this name; None where there is none. WorkError if it cannot be read."""
        ...

    def place(self, name: str) -> str:
        """The address or path of a file."""
        ...

    def names(self, prefix: str) -> Iterator[str]:
        """The names of all files below a prefix that ends in a slash, in order."""
        ...


class WebSource:
    """A bucket behind http(s), listed in the way of S3's ListObjectsV2."""

    far = True

    def __init__(self, at: str) -> None:
        self.at = at.rstrip("/")
        self._refused = 0

    def _fetch(self, url: str) -> bytes:
        try:
            found = fetch(url, stops=self._refused + 1 >= MOST_REFUSED).content
        except Refused:
            self._refused += 1
            raise
        except AddressNotFound:
            self._refused = 0
            raise
        self._refused = 0
        return found

    def read(self, name: str) -> bytes | None:
        elsewhere = self.at == COMMON_CRAWL and name == COLLECTIONS
        try:
            return self._fetch(COMMON_CRAWL_COLLECTIONS if elsewhere else self.place(name))
        except AddressNotFound:
            return None

    def place(self, name: str) -> str:
        return f"{self.at}/{quote(name)}"

    def names(self, prefix: str) -> Iterator[str]:
        asked = {"list-type": "2", "prefix": prefix}
        while True:
            url = f"{self.at}/?{urlencode(asked)}"
            try:
                page = ElementTree.fromstring(self._fetch(url))
            except ElementTree.ParseError:
                raise WorkError(f"{self.at} gives no list of the files below {prefix}") from None
            yield from (key.text or "" for key in page.iterfind("{*}Contents/{*}Key"))
            token = page.findtext("{*}NextContinuationToken")
            if not token:
                return
            if token == asked.get("continuation-token"):
                raise WorkError(f"{self.at} gives the same page of the files below {prefix} again and again")
            asked["continuation-token"] = token


class FolderSource:
    """A folder with the files of the bucket, on this machine or in an object store."""

    def __init__(self, folder: Place) -> None:
        self._folder = folder
        self.at = str(folder)
        self.far = isinstance(folder, ObjectPath)

    def read(self, name: str) -> bytes | None:
        path = self._folder / name
        try:
            return path.read_bytes() if path.is_file() else None
        except OSError as error:
            raise WorkError(f"{path} cannot be read: {error.strerror}") from None

    def place(self, name: str) -> str:
        return str(self._folder / name)

    def names(self, prefix: str) -> Iterator[str]:
        below = self._folder / prefix
        found: Iterable[Path] = (path for path in below.rglob("*") if path.is_file())
        if isinstance(below, ObjectPath):
            found = below.walk_objects()  # what is listed is a file
        yield from sorted(path.relative_to(self._folder).as_posix() for path in found)


def open_source(at: str | None = None) -> CrawlSource:
    """The source at an address or in a folder; by default REFINERY_SOURCE, else Common Crawl. UsageError where there
    can be none."""
    at = at or os.environ.get(VARIABLE) or COMMON_CRAWL
    if WEB.match(at):
        return WebSource(bucket_address(at))
    folder = anywhere(at, "--source")
    if not isinstance(folder, ObjectPath):
        folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise UsageError(f"--source {at}: there is no such folder; give one, or an address such as {COMMON_CRAWL}")
    return FolderSource(folder)
