"""A file of known size whose bytes are found by position, as Python's raw files are read."""

import io
from typing import Any


class RawFile(io.RawIOBase):
    """What says where bytes come from defines `bytes_at`, and calls `__init__` with the size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._position = 0

    def bytes_at(self, start: int, length: int) -> bytes:
        """Some of the `length` bytes at `start`, all of which are in the file; one at least."""
        raise NotImplementedError

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self.size - self._position)
        if wanted <= 0:
            return 0
        part = self.bytes_at(self._position, wanted)
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)
