"""What a disk or an object store refuses, as one line that says what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import UsageError, WorkError

FULL = (errno.ENOSPC, errno.EDQUOT)


class StoreError(OSError, WorkError):
    """An object store did not answer, or not as it should, until the last retry. An OSError, so that what handles a
    bad disk handles a bad store."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}: run the same command again when the store answers"


class StoreAgain(StoreError):
    """An object store did nothing, and says that the same request is to be sent again."""


class StoreRefusal(PermissionError, UsageError):
    """An object store answered, and said no: the credentials, or the bucket."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one line that says what to do; errors of object stores are such lines."""
    try:
        yield
    except (StoreError, StoreRefusal):
        raise
    except OSError as error:
        if error.errno in FULL:
            raise WorkError(
                f"the disk that holds {folder} is full: free some space and run the same command again; "
                "what is finished is kept"
            ) from error
        if error.errno == errno.EFBIG:
            raise WorkError(
                f"a file in {folder} is larger than its file system, or `ulimit -f`, allows: raise that, or write to "
                "another place"
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise UsageError(f"cannot write into {folder}: {error.strerror}") from error
        raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn whatever keeps `path` from being written into one line; not for blocks that also read something else."""
    with disk_errors(path):
        try:
            yield
        except OSError as error:
            if error.errno in FULL or isinstance(error, StoreError | StoreRefusal):
                raise
            raise UsageError(f"{path} cannot be written: {error.strerror}; choose another --out") from None
