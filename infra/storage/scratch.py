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
    for other in root.iterdir():
        _remove_if_free(other)
    folder = Path(tempfile.mkdtemp(prefix=f"{process}-", dir=root))
    # it stays open, and locked, as long as the process lives
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


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
