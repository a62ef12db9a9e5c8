"""An object as a raw file: whole in memory where it is small, else read by ranges, a block ahead.

All ranges are of the state of the object that was found first: one that is written over meanwhile is an error, never a
mixture of two.
"""

import io
from typing import Any

from infra.errors import WorkError
from infra.storage.client import send

# An object up to this size is one request; of a larger one so much is read at a time.
WHOLE_BYTES = 8 * 2**20
BLOCK_BYTES = 4 * 2**20


class ObjectFile(io.RawIOBase):
    """`url` is what errors name. It is opened by the first request of its bytes: a small object needs no other."""

    def __init__(self, store: Any, key: str, url: str) -> None:
        self._store = store
        self._key = key
        self.name = url
        self.size: int
        self.size, self._tag, self._block = send(url, lambda: _begin(store, key))
        self._start = 0
        self._position = 0

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
        at = self._position - self._start
        if at < 0 or at >= len(self._block):
            self._fetch(self._position, wanted)
            at = 0
        part = self._block[at : at + wanted]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _fetch(self, start: int, wanted: int) -> None:
        length = min(max(wanted, BLOCK_BYTES), self.size - start)
        self._block = read_state(self._store, self._key, self.name, self._tag, start, length)
        self._start = start


def _begin(store: Any, key: str) -> tuple[int, str | None, bytes]:
    """Size and ETag of an object, and its bytes if it is small; of a large one the answer is dropped unread."""
    answer = store.get(key)
    size: int = answer.meta["size"]
    return size, answer.meta["e_tag"], bytes(answer.bytes()) if size <= WHOLE_BYTES else b""


def read_state(store: Any, key: str, url: str, tag: str | None, start: int, length: int) -> bytes:
    """These bytes of an object as long as its ETag is `tag`; None, or a weak one: whatever it is. WorkError if it has
    another one by now."""
    options: dict[str, Any] = {"range": (start, start + length)}
    if tag and not tag.startswith("W/"):
        options["if_match"] = tag
    try:
        return bytes(send(url, lambda: store.get(key, options=options).bytes()))
    except FileExistsError:
        raise WorkError(f"{url} was written over while it was read: run the same command again") from None
