"""A file of documents at an http(s) address as an open binary file: read by ranges, in order or at any place."""

import io
from contextlib import ExitStack
from typing import Any, BinaryIO, cast

from infra.addresses import shown
from infra.storage import ObjectPath, place, readable
from infra.storage.raw_file import RawFile
from pipeline.inputs.names import is_url
from pipeline.warc.file_bytes import open_bytes

BLOCK_BYTES = 2**20


class RemoteFile(RawFile):
    """Reads as `HttpFile` does: resumed where it is cut, within the run's budget. WorkError for a file that has changed
    since it was opened, or that the server does not give in the end."""

    def __init__(self, url: str) -> None:
        self.name = shown(url)
        self._held = ExitStack()
        self._bytes = self._held.enter_context(open_bytes(url))
        super().__init__(self._bytes.size)

    def bytes_at(self, start: int, length: int) -> bytes:
        return self._bytes.read(start, start + length)

    def close(self) -> None:
        self._held.close()
        super().close()


def is_on_the_web(path: str) -> bool:
    """Whether a file's path is an http(s) address."""
    return is_url(path) and not isinstance(place(path), ObjectPath)


def open_file(path: str) -> BinaryIO:
    """A file of a user: on this machine, in an object store or at an address."""
    if is_on_the_web(path):
        return cast("BinaryIO", io.BufferedReader(RemoteFile(path), BLOCK_BYTES))
    return cast("BinaryIO", place(path).open("rb"))


def for_pyarrow(path: str) -> Any:
    """The same as pyarrow is given it: a path where it is on this machine."""
    return RemoteFile(path) if is_on_the_web(path) else readable(place(path))
