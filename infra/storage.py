"""Files that appear whole or not at all, and a lock that keeps two runs out of one folder.

A file is written under a temporary name, synced, and renamed; the folder is synced after the rename. The lock is
the kernel's (`flock`): it goes away with the process that held it, however that process ended.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.errors import UsageError, WorkError

TEMPORARY = ".tmp-"


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_files(paths: Iterable[Path]) -> None:
    """Sync files that have their final names, and then the folders they are in, each once."""
    folders = set()
    for path in paths:
        sync_file(path)
        folders.add(path.parent)
    for folder in folders:
        sync_folder(folder)


def commit_file(temporary: Path, final: Path, sync: bool = True) -> None:
    """Give `temporary` its final name in the same file system. Without `sync` it may be lost, or cut, in a crash: what
    says that it is there (a receipt, a manifest) is written after a `sync_files` of it."""
    if sync:
        sync_file(temporary)
    temporary.replace(final)
    if sync:
        sync_folder(final.parent)


def link(file: Path, final: Path) -> None:
    """Another name for the file, or a copy of it on another file system. It appears whole or not at all, not synced."""
    temporary = temporary_name(final)
    temporary.unlink(missing_ok=True)
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, temporary)
    except OSError:
        shutil.copyfile(file, temporary)
    commit_file(temporary, final, sync=False)
    temporary.unlink(missing_ok=True)  # a rename to another name of the same file does nothing


def temporary_name(final: Path) -> Path:
    return final.with_name(f"{TEMPORARY}{final.name}-{os.getpid()}")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` so that `path` holds either the old bytes or all of the new ones."""
    temporary = temporary_name(path)
    temporary.write_bytes(content)
    commit_file(temporary, path)


def read_json(path: Path) -> Any | None:
    """The JSON at `path`; None where there is none or it was cut by a crash."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None


def remove_temporaries(folder: Path) -> None:
    """Delete what a killed process left half written. Only under the folder's lock."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


@contextmanager
def new_folder(final: Path, replace: bool = False) -> Iterator[Path]:
    """A temporary folder, synced and renamed to `final` when the block ends, removed when it raises.

    `replace`: a folder `final` that is there is removed first.
    """
    temporary = temporary_name(final)
    remove_folder(temporary)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for path in sorted(temporary.iterdir()):
            sync_file(path)
        sync_folder(temporary)
        if replace:
            remove_folder(final)
        temporary.rename(final)
        sync_folder(final.parent)
    except BaseException:
        remove_folder(temporary)
        raise


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; UsageError when another process has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, FileNotFoundError):
        raise UsageError(f"{folder} cannot be made a folder: choose another --out") from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise UsageError(f"{folder} has too long a name: choose another --out") from None
    path = folder / ".lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"another process is writing into {folder}: wait for it, stop it, or choose another --out"
            ) from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WorkError(
                f"the disk that holds {folder} is full: free some space and run the same command again; "
                "finished shards are kept"
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES):
            raise UsageError(f"cannot write into {folder}: {error.strerror}") from error
        raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn whatever keeps `path` from being written into one line; not for blocks that also read something else."""
    with disk_errors(path):
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise UsageError(f"{path} cannot be written: {error.strerror}; choose another --out") from None
