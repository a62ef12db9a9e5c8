"""Files at addresses, read by ranges of bytes: over HTTP, or from object storage."""

from typing import Protocol

from infra.addresses import shown
from infra.errors import UsageError
from infra.http.address import SCHEMES
from infra.http.ranges import open_ranges
from infra.storage import ObjectPath, ObjectRanges, place


class RangedFile(Protocol):
    """`size` in bytes; `version`: the server's ETag. `read` returns all of the bytes asked for that the file has; reads
    that follow each other are one stream. `bound`: from before this place on nothing beyond it is asked for ahead of
    its being read."""

    @property
    def size(self) -> int: ...

    @property
    def version(self) -> str: ...

    def bound(self, stop: int) -> None: ...

    def read(self, start: int, length: int) -> bytes: ...

    def close(self) -> None: ...


def open_remote(address: str) -> RangedFile:
    """Opens the file at an address; over http nothing is asked before something of it is read. Raises UsageError for an
    address of a kind that is not read."""
    if address.partition("://")[0].lower() in SCHEMES:
        return open_ranges(address, ahead=1)  # what is to be read ahead is decided above
    path = place(address)
    if isinstance(path, ObjectPath):
        return open_object(path)
    raise UsageError(f"{shown(address)}: archives are read from paths, http(s) addresses and object stores")


def open_object(path: ObjectPath) -> RangedFile:
    """UsageError where there is no such object."""
    try:
        return ObjectRanges(path)
    except FileNotFoundError:
        raise UsageError(f"no such object: {path}: check --input") from None
