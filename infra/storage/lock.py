"""A lock that keeps two runs out of one folder: the kernel's on disk, a lease in an object store.

The kernel's (`flock`) goes away with the process that held it, however that process ended. A lease does so after a
while (`lease.py`). Either says by a random token who holds it, so that a worker elsewhere can tell whether its driver
still does.
"""

import errno
import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import UsageError
from infra.storage.files import write_bytes
from infra.storage.lease import hold, is_held, is_token, put_last, still_held
from infra.storage.lease import token_of as lease_token
from infra.storage.objects import ObjectPath

NAME = ".lock"
# The tokens of the locks on disk that this process holds, by folder.
_tokens: dict[str, str] = {}


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; UsageError when another process has it."""
    if isinstance(folder, ObjectPath):
        with hold(folder / NAME):
            yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, FileNotFoundError):
        raise UsageError(f"{folder} cannot be made a folder: choose another --out") from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise UsageError(f"{folder} has too long a name: choose another --out") from None
    descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"another process is writing into {folder}: wait for it, stop it, or choose another --out"
            ) from None
        token = _tokens[str(folder)] = uuid.uuid4().hex
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, token.encode(), 0)
            yield
        finally:
            del _tokens[str(folder)]
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def token_of(folder: Path) -> str:
    """That of the lock on the folder which this process holds; empty if it holds none."""
    return lease_token(folder / NAME) if isinstance(folder, ObjectPath) else _tokens.get(str(folder), "")


def is_holder(folder: Path, token: str) -> bool:
    """Whether the driver of this token, anywhere, holds the folder; or was the last one that did, and was killed."""
    path = folder / NAME
    if isinstance(path, ObjectPath):
        return is_token(path, token)
    try:
        return path.read_text() == token
    except FileNotFoundError:
        return False


def check_locked(folder: Path, lately: bool = False) -> None:
    """Before files of a folder are moved, removed or replaced: WorkError if this process has lost it. The kernel takes
    no lock away, a lease may have ended while the process was stopped or the store was out of reach. `lately`: it is
    enough that it was held some seconds ago."""
    if isinstance(folder, ObjectPath):
        still_held(folder / NAME, lately)


def write_last(path: Path, content: bytes) -> None:
    """Write the file that finishes the folder which it is in, and which this process has locked. WorkError if it has
    lost it: then what another has written there stays as it is."""
    if isinstance(path, ObjectPath):
        put_last(path.parent / NAME, path, content)
    else:
        write_bytes(path, content)


def is_locked(folder: Path) -> bool:
    """Whether a running process holds the folder, as far as can be told from here."""
    path = folder / NAME
    if isinstance(path, ObjectPath):
        return is_held(path)
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
