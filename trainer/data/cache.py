"""Local copies of a dataset's files: of one in an object store, whole files, each compared with its hash when it comes.

The folder is `tokens` in the user's cache folder (`$XDG_CACHE_HOME/refinery`, else `~/.cache/refinery`). A file is
named by its sha256, so that datasets, runs and processes share copies, and one that is there is never fetched again.
Nothing is removed: the folder needs as much room as the datasets have.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import UsageError
from infra.hashing import sha256_file
from infra.storage import ObjectPath, disk_errors, temporary_name


def cache_folder() -> Path:
    """Where copies are kept unless another folder is named."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return root / "refinery" / "tokens"


def local_copy(file: Path, sha256: str, cache: Path) -> Path:
    """`file` itself when it is on this machine, else its copy in `cache`, fetched if need be.

    Of several processes that need the same file one fetches it and the others wait. UsageError when the object is not
    the one that the manifest names.
    """
    if not isinstance(file, ObjectPath):
        return file
    copy = cache / f"{sha256}{file.suffix}"
    if copy.is_file():
        return copy
    with disk_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        with _only_one(copy):
            if not copy.is_file():
                _fetch(file, sha256, copy)
    return copy


def _fetch(file: ObjectPath, sha256: str, copy: Path) -> None:
    temporary = temporary_name(copy)
    try:
        with file.open("rb") as source, temporary.open("wb") as target:
            shutil.copyfileobj(source, target, 2**23)
        if sha256_file(temporary) != sha256:
            raise UsageError(f"{file} is not the file that the manifest names: its sha256 differs")
        temporary.replace(copy)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _only_one(copy: Path) -> Iterator[None]:
    """Keeps other processes, and threads, from fetching the same file at the same time."""
    lock = copy.with_suffix(".lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)
