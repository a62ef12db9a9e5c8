"""Files that appear whole or not at all, on disk and in object stores.

On disk a file is written under a temporary name, synced, and renamed; the folder is synced after the rename. In an
object store it is written to a scratch file and uploaded: by one PUT, or in parts that a last request joins, so an
upload that is torn leaves nothing to be seen. There nothing is renamed: what has to move is copied by the store.
"""

import json
import os
import shutil
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from infra.errors import UsageError
from infra.storage.client import insist, send
from infra.storage.objects import ObjectPath
from infra.storage.scratch import scratch_folder

TEMPORARY = ".tmp-"
# Above this an upload is cut into parts of this size; S3 allows 10,000 of them.
UPLOAD_BYTES = 16 * 2**20
UPLOADS_AT_ONCE = 4
SYNCS_AT_ONCE = 16


def sync_folder(folder: Path) -> None:
    if isinstance(folder, ObjectPath):
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_name(final: Path) -> Path:
    """A name on this machine under which `final` may be written: beside it, or in the scratch folder for an object.
    Machines and containers may share a folder and numbers of processes, so it is random."""
    folder = scratch_folder() if isinstance(final, ObjectPath) else final.parent
    return folder / f"{TEMPORARY}{final.name}-{socket.gethostname()[:16]}-{uuid.uuid4().hex[:16]}"


def sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_files(paths: Iterable[Path]) -> None:
    """Sync files that have their final names, and then the folders they are in, each once. Objects are safe already.

    Several at once: a file system writes its journal once for all that ask at the same time, which takes a twentieth of
    the time of one after the other.
    """
    files = [path for path in paths if not isinstance(path, ObjectPath)]
    with ThreadPoolExecutor(SYNCS_AT_ONCE) as threads:
        for _ in threads.map(sync_file, files):
            pass
    for folder in {path.parent for path in files}:
        sync_folder(folder)


def commit_file(temporary: Path, final: Path, sync: bool = True) -> None:
    """Give what was written to `temporary` its final name: synced and renamed, or uploaded.

    Without `sync` a file on disk may be lost, or cut, in a crash: what says that it is there (a receipt, a manifest) is
    written after a `sync_files` of it.
    """
    if isinstance(final, ObjectPath):
        how = {"chunk_size": UPLOAD_BYTES, "max_concurrency": UPLOADS_AT_ONCE}
        insist(final, lambda: final.store.put(final.key, temporary, **how))
        temporary.unlink()
        return
    if sync:
        sync_file(temporary)
    temporary.replace(final)
    if sync:
        sync_folder(final.parent)


@contextmanager
def new_file(final: Path, sync: bool = True) -> Iterator[Path]:
    """A temporary file on this machine, which becomes `final` when the block ends, and is removed when it raises."""
    temporary = temporary_name(final)
    try:
        yield temporary
        commit_file(temporary, final, sync)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` so that `path` holds either the old bytes or all of the new ones."""
    if isinstance(path, ObjectPath):
        how = {"chunk_size": UPLOAD_BYTES, "max_concurrency": UPLOADS_AT_ONCE}
        send(path, lambda: path.store.put(path.key, content, **how))
        return
    temporary = temporary_name(path)
    temporary.write_bytes(content)
    commit_file(temporary, path)


def read_range(path: Path, start: int, length: int) -> bytes:
    """Some bytes of a file: of an object by one request."""
    if isinstance(path, ObjectPath):
        return bytes(send(path, lambda: path.store.get_range(path.key, start=start, length=length)))
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length)


def sizes_in(folder: Path) -> Callable[[str], int | None]:
    """Gives the size of a file by its path below `folder`; None where there is none. Objects are listed, all at once: a
    request has a thousand of them."""
    if isinstance(folder, ObjectPath):
        return folder.sizes().get

    def size(path: str) -> int | None:
        file = folder / path
        return file.stat().st_size if file.is_file() else None

    return size


def readable(path: Path) -> Any:
    """What pyarrow is given to read a file: its path, or the object as an open file."""
    return path.open("rb") if isinstance(path, ObjectPath) else path


def read_json(path: Path) -> Any | None:
    """The JSON at `path`; None where there is none or it was cut by a crash."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None


def move_file(file: Path, final: Path) -> None:
    """Rename on disk. In a store: copy, then delete; after a kill in between, the same again has the same result."""
    if isinstance(file, ObjectPath):
        copy_file(file, final)
        file.unlink()
    else:
        file.replace(final)


def copy_file(file: Path, final: Path) -> None:
    """Another file of the same content, which appears whole or not at all: a link where there can be one, a copy made
    by the store where both are in one bucket, else a copy through this machine. It is not synced."""
    if isinstance(file, ObjectPath) and isinstance(final, ObjectPath) and file.store is final.store:
        send(file, lambda: file.store.copy(file.key, final.key))
        return
    final.parent.mkdir(parents=True, exist_ok=True)
    with new_file(final, sync=False) as temporary:
        if not _link(file, temporary):
            with file.open("rb") as source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target, 2**20)
    if not isinstance(final, ObjectPath):
        temporary.unlink(missing_ok=True)  # a rename to another name of the same file does nothing


def _link(file: Path, temporary: Path) -> bool:
    if isinstance(file, ObjectPath):
        return False
    try:
        os.link(file, temporary)
    except OSError:
        return False
    return True


def remove_temporaries(folder: Path) -> None:
    """Delete what a killed process left half written, or for another one to read. Only under the folder's lock."""
    for path in folder.glob(f"{TEMPORARY}*"):
        if path.is_dir():
            remove_folder(path)
        else:
            path.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """All of it, if it is there."""
    if isinstance(folder, ObjectPath):
        keys = [path.key for path in folder.walk_objects()]
        for start in range(0, len(keys), 1000):
            insist(folder, partial(folder.store.delete, keys[start : start + 1000]))
    elif folder.exists():
        shutil.rmtree(folder)


@contextmanager
def new_folder(final: Path, replace: bool = False) -> Iterator[Path]:
    """A temporary folder, synced and renamed to `final` when the block ends, removed when it raises.

    `replace`: a folder `final` that is there is removed first. UsageError for a folder of objects, which cannot appear
    in one step.
    """
    if isinstance(final, ObjectPath):
        raise UsageError(f"{final} cannot appear whole, being a folder of objects: name a folder on this machine")
    temporary = temporary_name(final)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for path in sorted(temporary.rglob("*")):
            sync_folder(path) if path.is_dir() else sync_file(path)
        sync_folder(temporary)
        if replace:
            remove_folder(final)
        temporary.rename(final)
        sync_folder(final.parent)
    except BaseException:
        remove_folder(temporary)
        raise
