"""`ObjectPath`: an object, or a folder of objects, with the part of pathlib's interface that reads.

A folder is a prefix that objects have; it is there as long as one of them is. What writes is in `files.py`: an object
appears whole, by one request, and nothing is renamed. Whatever a path of objects cannot do raises, because it has no
path on this machine (`__fspath__`): no call of `os` can take it for a local one.
"""

import io
import os
import re
import stat
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path, PosixPath, PurePosixPath
from typing import Any, Self

from infra.errors import UsageError
from infra.storage.client import SCHEMES, client, insist, send
from infra.storage.object_file import ObjectFile, read_state

MAGIC = re.compile(r"[*?[]")
# What holds files: a path on this machine, or one in an object store.
Place = Path
URL = re.compile(r"(s3|gs):/{1,2}([^/]+)(?:/(.*))?", re.DOTALL)
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
# `s3://$BUCKET/out` of a shell in which BUCKET is not set; without the slashes that a Path takes away.
NAMELESS = re.compile(r"(s3|gs):(?:/{0,2}|///.*)", re.DOTALL)


class ObjectPath(PosixPath):
    """`s3://BUCKET/KEY` or `gs://BUCKET/KEY`, as `place` makes it: hashable, ordered and picklable."""

    def __str__(self) -> str:
        return f"{self.parts[0]}//{'/'.join(self.parts[1:])}"

    def __fspath__(self) -> str:
        raise TypeError(f"{self} is not on this machine: it has no path here")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPath) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def as_posix(self) -> str:
        return str(self)

    @property
    def bucket(self) -> str:
        return self.parts[1]

    @property
    def key(self) -> str:
        return "/".join(self.parts[2:])

    @property
    def store(self) -> Any:
        """The library's client of the bucket, one for each process."""
        return client(self.parts[0][:-1], self.bucket)

    # where it is

    @property
    def parent(self) -> Self:
        return self if len(self.parts) <= 2 else super().parent

    @property
    def parents(self) -> Sequence[Self]:
        """Up to the bucket, which is the last one."""
        return list(super().parents)[: max(0, len(self.parts) - 2)]

    def relative_to(self, *other: Any) -> Any:
        return Path(*super().relative_to(*other).parts)

    def is_absolute(self) -> bool:
        return True

    def absolute(self) -> Self:
        return self

    def resolve(self, strict: bool = False) -> Self:  # noqa: ARG002
        return self

    # what is there

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:  # noqa: ARG002
        """Size and time of the object; FileNotFoundError for a folder."""
        meta = send(self, lambda: self.store.head(self.key))
        at = meta["last_modified"].timestamp()
        times = {"st_mtime": at, "st_mtime_ns": int(at * 1e9)}
        return os.stat_result((stat.S_IFREG | 0o644, 0, 0, 1, 0, 0, meta["size"], at, int(at), at), times)

    def is_file(self) -> bool:
        if not self.key:
            return False
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        return bool(send(self, lambda: any(True for _ in self.store.list(self.key or None, chunk_size=1))))

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def is_symlink(self) -> bool:
        return False

    def iterdir(self) -> Generator[Self, None, None]:
        found = send(self, lambda: self.store.list_with_delimiter(self.key or None))
        keys = [meta["path"] for meta in found["objects"]] + list(found["common_prefixes"])
        yield from (self._at(key) for key in sorted(keys))

    def sizes(self) -> dict[str, int]:
        """The size of every object below it, by the path from here."""
        return {key[len(self.key) :].removeprefix("/"): size for key, size in self._listed()}

    def walk_objects(self) -> Iterator[Self]:
        """Every object below it, in no order."""
        yield from (self._at(key) for key, _ in self._listed())

    def _listed(self) -> list[tuple[str, int]]:
        """Key and size of every object below it."""

        def listed() -> list[tuple[str, int]]:
            batches = self.store.list(self.key or None, chunk_size=1000)
            return [(meta["path"], meta["size"]) for batch in batches for meta in batch]

        found: list[tuple[str, int]] = send(self, listed)
        return found

    def glob(self, pattern: str) -> Generator[Self, None, None]:
        """`*`, `?`, `[…]` within a name; `**`, which finds objects alone, for any folders. Sorted."""
        if "**" in pattern:
            matches = re.compile(_expression(pattern)).fullmatch
            yield from (path for path in sorted(self.walk_objects()) if matches(path.relative_to(self).as_posix()))
            return
        name, _, rest = pattern.partition("/")
        if not MAGIC.search(name):
            found = [self / name] if rest or (self / name).exists() else []
        else:
            found = [path for path in self.iterdir() if PurePosixPath(path.name).match(name)]
        for path in found:
            yield from path.glob(rest) if rest else (path,)

    def rglob(self, pattern: str) -> Generator[Self, None, None]:
        return self.glob(f"**/{pattern}")

    @property
    def version(self) -> str:
        """What tells its states apart: its ETag."""
        return ObjectRanges(self).version

    def _at(self, key: str) -> Self:
        return type(self)(self.parts[0], self.bucket, key)

    # what is in it

    def read_bytes(self) -> bytes:
        return bytes(send(self, lambda: self.store.get(self.key).bytes()))

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,  # noqa: ARG002
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        """The object as a file to read, by ranges where it is large."""
        if mode not in ("r", "rt", "rb"):
            raise io.UnsupportedOperation(f"{self} is an object, which is written whole: see infra/storage")
        file = io.BufferedReader(ObjectFile(self.store, self.key, str(self)), buffer_size=2**16)
        return file if mode == "rb" else io.TextIOWrapper(file, encoding or "utf-8", errors, newline)

    def unlink(self, missing_ok: bool = False) -> None:  # noqa: ARG002
        """Delete the object. One that is not there is no error to a store."""
        insist(self, lambda: self.store.delete(self.key))

    # what a store has not

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: a folder is there when an object is."""

    def rename(self, target: Any) -> Any:
        raise io.UnsupportedOperation(f"{self} is an object, which cannot be renamed to {target}")

    replace = rename


class ObjectRanges:
    """An object that is read by ranges of its bytes. `size` in bytes; `version`: its ETag. FileNotFoundError."""

    def __init__(self, path: ObjectPath) -> None:
        self.path = path
        meta = send(path, lambda: path.store.head(path.key))
        self.size: int = meta["size"]
        self._tag = meta["e_tag"]
        self.version = str(meta["e_tag"] or meta["version"] or "").strip('"')

    def bound(self, stop: int) -> None:
        """Nothing: every read is a request of its own."""

    def read(self, start: int, length: int) -> bytes:
        """All of these bytes that the object has. WorkError if it was written over since it was opened."""
        length = min(length, self.size - start)
        if length <= 0:
            return b""
        return read_state(self.path.store, self.path.key, str(self.path), self._tag, start, length)

    def close(self) -> None:
        pass


def _expression(pattern: str) -> str:
    """A pattern of pathlib as a regular expression over the whole relative path."""
    parts = []
    for name in pattern.split("/"):
        if name == "**":
            parts.append("(?:[^/]+/)*")
        else:
            text = "".join(
                {"*": "[^/]*", "?": "[^/]"}.get(piece) or (f"[{_set(piece)}]" if len(piece) > 2 else re.escape(piece))
                for piece in re.findall(r"\[[^\]]+\]|.", name, re.DOTALL)
            )
            parts.append(f"{text}/")
    return "".join(parts).removesuffix("/")


def _set(piece: str) -> str:
    inner = piece[1:-1].replace("\\", r"\\")
    return f"^{inner[1:]}" if inner.startswith("!") else inner


def check_bucket_named(text: str) -> None:
    """UsageError for an address of an object store without a bucket, unless it is a path that is there."""
    found = NAMELESS.fullmatch(text)
    if found and ("//" in text or not Path(text).exists()):
        raise UsageError(f"{found[1]}:// without a bucket: give {found[1]}://BUCKET/FOLDER; is a variable of the shell "
                         "not set?")  # fmt: skip


def place(where: str | os.PathLike[str]) -> Place:
    """The place that a user, or another process, names: an ObjectPath for `s3://…` and `gs://…`, else a Path.

    UsageError for a URL that has more than a bucket and a key in it, or no bucket.
    """
    if isinstance(where, ObjectPath):
        return where
    text = os.fspath(where)
    check_bucket_named(text)
    url = URL.fullmatch(text)
    if not url or (not text.startswith(f"{url[1]}://") and Path(text).exists()):
        return Path(text)
    scheme, bucket, key = url[1], url[2], url[3] or ""
    if "@" in bucket or ":" in bucket:
        raise UsageError(f"{scheme}://…@{bucket.rpartition('@')[2]}: give credentials in the environment (AWS_…), not "
                         "in the address")  # fmt: skip
    if not BUCKET.fullmatch(bucket):
        raise UsageError(f"{text}: no bucket can be called {bucket!r}: letters, digits, '.', '-' and '_' are in a name")
    if any(part in (".", "..") for part in key.split("/")):
        raise UsageError(f"{text}: an object's key has no '.' and '..' in it")
    assert scheme in SCHEMES
    return ObjectPath(f"{scheme}:", bucket, key)
