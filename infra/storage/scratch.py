"""Scratch files of this process, for what is uploaded when it is complete. They are in TMPDIR.

Each process has a folder there, which it holds by a lock of the kernel. Folders that nobody holds belong to processes
that were killed; the next process removes them.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from infra.errors import UsageError

_LOCK = "lock"


def scratch_root() -> Path:
    return Path(tempfile.gettempdir()) / f"refinery-scratch-{os.getuid()}"


def scratch_folder() -> Path:
    """This process's folder. It is removed when the process ends."""
    return _folder(os.getpid())  # a child that was forked gets its own


@cache
def _folder(process: int) -> Path:
    root = scratch_root()
    root.mkdir(mode=0o700, exist_ok=True)
    if root.is_symlink() or root.stat().st_uid != os.getuid():  # who owns it could change what is uploaded
        raise UsageError(f"{root} belongs to another user: set TMPDIR to a folder of your own")
    for other in root.iterdir():
        _remove_if_free(other)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{process}-", dir=root))
        # it stays open, and locked, as long as the process lives
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if (folder / _LOCK).exists():
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            return folder
        os.close(descriptor)  # another process took it for a free one before it was locked


def _remove_if_free(folder: Path) -> None:
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return  # it is being made, or removed
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        pass
    finally:
        os.close(descriptor)
