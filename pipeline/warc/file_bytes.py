"""Files as bytes by position: on this machine, remote by ranges, and remote with a range that was copied here."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from infra.errors import UsageError
from infra.storage import disk_errors
from pipeline.warc.ranged import RangedFile, open_remote
from pipeline.warc.records import TO_END

BLOCK_BYTES = 2**22  # of what is copied or hashed at a time
# What is read beyond a split to see that its last record ends there: a step of inflating, or the next header.
MARGIN_BYTES = 2**15
# Expected ranges of a remote file with no more than this between them are fetched as one, up to this size.
NEAR_BYTES, JOINED_BYTES = 2**19, 16 * 2**20


class FileBytes:
    """A Window on a file, through one block of read-ahead. Close it, or use `open_bytes`.

    `version`: what tells this state of the file from another; see `pipeline/inputs/versions.py`.
    """

    def __init__(self, ahead: int) -> None:
        self._watcher: Callable[[int, bytes], None] | None = None
        self._ahead = ahead
        self._start = 0
        self._block = b""
        self._end: int | None = None  # of the file, once it was reached

    @property
    def size(self) -> int:
        raise NotImplementedError

    @property
    def version(self) -> str:
        raise NotImplementedError

    def read(self, start: int, stop: int) -> bytes:
        if self._end is not None:
            stop = min(stop, self._end)
        at = start - self._start
        if at < 0 or stop > self._start + len(self._block):
            if stop <= start:
                return b""
            wanted = self._block_end(start, stop)
            self._block = self.fetch(start, wanted)
            self._start, at = start, 0
            if start + len(self._block) < wanted:
                self._end = start + len(self._block)
            if self._watcher:
                self._watcher(start, self._block)
        return self._block[at : at + stop - start]

    def watch(self, watcher: Callable[[int, bytes], None]) -> None:
        """Hands each block that is read, and the present one, to `watcher`, with its position."""
        self._watcher = watcher
        watcher(self._start, self._block)

    def expect(self, spans: Iterable[tuple[int, int]]) -> None:
        """Declares what will be read next, as (start, stop) in order: of a remote file these bytes are then fetched,
        and no others; what is near to each other at once."""

    def bound(self, stop: int) -> None:
        """Declares that the bytes before `stop` are read, and those behind it hardly: of a remote file nothing beyond
        it is read ahead from a place before it."""

    def expects(self, position: int) -> bool:  # noqa: ARG002 (of a file of this machine all is)
        """Whether it has been declared, if that matters, that this position is read."""
        return True

    def _block_end(self, start: int, stop: int) -> int:
        return max(stop, start + self._ahead)

    def fetch(self, start: int, stop: int) -> bytes:
        """All of these bytes that the file has, past the block of read-ahead."""
        raise NotImplementedError

    def reaches(self, position: int) -> bool:
        return position <= self.size

    def forget(self, position: int) -> None:
        pass

    def close(self) -> None:
        raise NotImplementedError


class LocalBytes(FileBytes):
    """A file of this machine."""

    def __init__(self, path: str, ahead: int) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._stat = os.fstat(self._descriptor)
        super().__init__(ahead)

    @property
    def size(self) -> int:
        return self._stat.st_size

    @property
    def version(self) -> str:
        return file_version(self._stat)

    def fetch(self, start: int, stop: int) -> bytes:
        return pread(self._descriptor, start, stop)

    def close(self) -> None:
        os.close(self._descriptor)


def pread(descriptor: int, start: int, stop: int) -> bytes:
    """All of these bytes that the file has; one system call returns at most 2 GiB."""
    parts: list[bytes] = []
    while start < stop and (part := os.pread(descriptor, stop - start, start)):
        parts.append(part)
        start += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class RemoteBytes(FileBytes):
    """A file at an address, read by ranges. What is read in order is one stream below. Its size and version come with
    the first bytes, or have to be asked for."""

    def __init__(self, ranged: RangedFile, ahead: int) -> None:
        super().__init__(ahead)
        self._ranged = ranged
        self._bound = 0
        self._expected: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        return self._ranged.size

    @property
    def version(self) -> str:
        return remote_version(self.size, self._ranged.version)

    def expect(self, spans: Iterable[tuple[int, int]]) -> None:
        joined: list[tuple[int, int]] = []
        for start, stop in spans:
            if joined and start - joined[-1][1] <= NEAR_BYTES and stop - joined[-1][0] <= JOINED_BYTES:
                joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
            else:
                joined.append((start, stop))
        self._expected = joined

    def bound(self, stop: int) -> None:
        self._bound = stop
        self._ranged.bound(stop)

    def read(self, start: int, stop: int) -> bytes:
        """Inside what is expected nothing beyond it is read."""
        return super().read(start, min(stop, self._span_end(start) or stop))

    def _block_end(self, start: int, stop: int) -> int:
        end = self._span_end(start) or super()._block_end(start, stop)
        return max(stop, min(end, self._bound)) if start < self._bound else end

    def expects(self, position: int) -> bool:
        return self._span_end(position) is not None

    def _span_end(self, position: int) -> int | None:
        return next((stop for start, stop in self._expected if start <= position < stop), None)

    def fetch(self, start: int, stop: int) -> bytes:
        return self._ranged.read(start, stop - start)

    def close(self) -> None:
        self._ranged.close()


@dataclass(frozen=True)
class Copy:
    """`[start, stop)` of a remote file in a file of this machine, which is open and has no name."""

    descriptor: int
    start: int
    stop: int
    size: int
    version: str


# By address, for this thread.
_COPIES: ContextVar[Mapping[str, Copy]] = ContextVar("copies", default=MappingProxyType({}))


@contextmanager
def copied(address: str, start: int, stop: int) -> Iterator[None]:
    """Until the block ends, `open_bytes` reads these bytes of a remote file, which are fetched once, from this machine;
    with them the few behind `stop` that finishing the last record takes. `stop`: or TO_END. The copy is in the folder
    for temporary files, and is gone with the process, however it ends."""
    ranged = open_remote(address)
    with closing(ranged), disk_errors(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        at, end = start, TO_END if stop == TO_END else stop + MARGIN_BYTES
        if end != TO_END:
            ranged.bound(end)
        while (end == TO_END or at < end) and (part := ranged.read(at, _part_of(at, end))):
            file.write(part)
            at += len(part)
        file.flush()
        copy = Copy(file.fileno(), start, at, ranged.size, ranged.version)
        token = _COPIES.set({**_COPIES.get(), address: copy})
        try:
            yield
        finally:
            _COPIES.reset(token)


def _part_of(at: int, stop: int) -> int:
    return BLOCK_BYTES if stop == TO_END else min(BLOCK_BYTES, stop - at)


class CopiedBytes(RemoteBytes):
    """A remote file of which a range is here."""

    def __init__(self, ranged: RangedFile, copy: Copy, ahead: int) -> None:
        super().__init__(ranged, ahead)
        self._copy = copy

    @property
    def size(self) -> int:
        return self._copy.size

    @property
    def version(self) -> str:
        return remote_version(self.size, self._copy.version)

    def _block_end(self, start: int, stop: int) -> int:
        here = self._copy
        end = super()._block_end(start, stop)
        return max(stop, min(end, here.stop)) if here.start <= start < here.stop else end

    def fetch(self, start: int, stop: int) -> bytes:
        here = self._copy
        stop = min(stop, here.size)
        if not here.start <= start < here.stop:
            return super().fetch(start, stop) if start < stop else b""
        data = pread(here.descriptor, start - here.start, min(stop, here.stop) - here.start)
        return data if stop <= here.stop else data + super().fetch(here.stop, stop)


class RangeDigest:
    """The sha256 of `[start, stop)` of a file, taken from the blocks as they are read; what they leave out is read for
    it."""

    def __init__(self, file: FileBytes, start: int, stop: int) -> None:
        self._file, self._at, self._stop = file, start, stop
        self._sha256 = hashlib.sha256()
        file.watch(self.see)

    def see(self, start: int, block: bytes) -> None:
        """Takes a block of the file that was read at `start`."""
        self._fill(min(start, self._stop))
        end = min(start + len(block), self._stop)
        if self._at < end:
            with memoryview(block) as view:
                self._sha256.update(view[self._at - start : end - start])
            self._at = end

    def _fill(self, stop: int) -> None:
        while self._at < stop and (part := self._file.fetch(self._at, min(self._at + BLOCK_BYTES, stop))):
            self._sha256.update(part)
            self._at += len(part)

    def hexdigest(self) -> str:
        self._fill(self._stop)
        return self._sha256.hexdigest()


def file_version(stat: os.stat_result) -> str:
    """The version of a file of this machine without reading it."""
    return f"size:{stat.st_size} mtime:{stat.st_mtime_ns}"


def remote_version(size: int, etag: str) -> str:
    return f"size:{size} etag:{etag}"


@contextmanager
def open_bytes(path: str, ahead: int = 2**20) -> Iterator[FileBytes]:
    """Opens a file, or what an address has. Raises UsageError if `path` cannot be opened as a file."""
    file: FileBytes
    if "://" in path:
        copy = _COPIES.get().get(path)
        file = CopiedBytes(open_remote(path), copy, ahead) if copy else RemoteBytes(open_remote(path), ahead)
    else:
        if not Path(path).is_file():
            raise UsageError(f"no such file: {path}: check --input")
        try:
            file = LocalBytes(path, ahead)
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from None
    try:
        yield file
    finally:
        file.close()
