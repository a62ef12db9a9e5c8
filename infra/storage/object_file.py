"""An object as a raw file: whole in memory where it is small, else read by ranges, a block ahead.

All ranges are of the state of the object that was found first: one that is written over meanwhile is an error, never a
mixture of two.
"""

from typing import Any

from infra.errors import WorkError
from infra.storage.client import send
from infra.storage.raw_file import RawFile

# An object up to this size is one request; of a larger one so much is read at a time.
WHOLE_BYTES = 8 * 2**20
BLOCK_BYTES = 4 * 2**20


class ObjectFile(RawFile):
    """`url` is what errors name. It is opened by the first request of its bytes: a small object needs no other."""

    def __init__(self, store: Any, key: str, url: str) -> None:
        self._store = store
        self._key = key
        self.name = url
        self._block: bytes
        size, self._tag, self._block = send(url, lambda: _begin(store, key))
        self._start = 0
        super().__init__(size)

    def bytes_at(self, start: int, length: int) -> bytes:
        at = start - self._start
        if at < 0 or at >= len(self._block):
            self._fetch(start, length)
            at = 0
        return self._block[at : at + length]

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
