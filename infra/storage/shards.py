"""Shards: files of a folder that a worker may still write when its driver has lost the folder.

A worker on another machine can be stopped for so long that its driver is given up and another one makes the folder
again, perhaps of other inputs. When it wakes it must not write over what stands there by then. So a shard takes its
name only if nothing has it: by a PUT on that condition, on disk by a link. If something has it, the same bytes are the
work done, by an attempt that was cut off before its receipt, say. Other bytes are replaced by a worker whose driver
holds the folder, which its lock tells, and by no other one; of an object only in the state that was compared.

That is one request for a shard, as ever, and three more for one that is there. A shard of more than CREATE_BYTES is
uploaded in parts, which a store joins without conditions: it is looked for before, and what begins to stand there while
it is uploaded is written over.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from infra.errors import WorkError
from infra.hashing import sha256_file
from infra.storage.client import insist, send
from infra.storage.files import commit_file
from infra.storage.lock import is_holder
from infra.storage.objects import ObjectPath

# A PUT with a condition has all of its bytes in memory.
CREATE_BYTES = 64 * 2**20
# How often a name may be taken and free again.
ATTEMPTS = 5
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)

# For whom this thread writes shards; empty where nobody else can write them.
_OWNER: ContextVar[str] = ContextVar("owner", default="")


@contextmanager
def written_for(owner: str) -> Iterator[None]:
    """Until the block ends shards are written for the driver whose lock has this token (`lock.token_of`)."""
    token = _OWNER.set(owner)
    try:
        yield
    finally:
        _OWNER.reset(token)


def commit_shard(temporary: Path, final: Path, folder: Path, sha256: str) -> None:
    """Give what was written to `temporary` its final name in the dataset at `folder`, not synced. WorkError if other
    bytes have that name, and the driver that this process works for has lost the folder."""
    owner = _OWNER.get()
    if not owner:
        commit_file(temporary, final, sync=False)
        return
    for _ in range(ATTEMPTS):
        if _create(temporary, final):
            return
        with suppress(FileNotFoundError):  # what had the name is gone: the name is free again
            _settle(temporary, final, folder, sha256, owner)
            return
    raise WorkError(
        f"{final} comes and goes while it is written: end what else writes or deletes files there, and run the same "
        "command again"
    )


def _settle(temporary: Path, final: Path, folder: Path, sha256: str, owner: str) -> None:
    """Where something has the name: nothing if that is the same, else `temporary` in its place, if `owner` may."""
    size, version = _state(final)
    if size == temporary.stat().st_size and sha256_file(final) == sha256:
        temporary.unlink()
        return
    if not is_holder(folder, owner):
        raise _lost(final)
    _replace(temporary, final, version)


def _create(temporary: Path, final: Path) -> bool:
    """Whether nothing had the name, which `temporary` has now."""
    if isinstance(final, ObjectPath):
        if temporary.stat().st_size > CREATE_BYTES:
            if final.is_file():
                return False
            commit_file(temporary, final)
            return True
        try:
            insist(final, lambda: final.store.put(final.key, temporary, mode="create"))
        except FileExistsError:
            return False
    else:
        try:
            os.link(temporary, final)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if final.exists():
                return False
            temporary.replace(final)
            return True
    temporary.unlink()
    return True


def _state(final: Path) -> tuple[int, dict[str, str]]:
    """Its size, and how a store names the version."""
    if not isinstance(final, ObjectPath):
        return final.stat().st_size, {}
    meta = send(final, lambda: final.store.head(final.key))
    return meta["size"], {name: meta[name] for name in ("e_tag", "version") if meta.get(name)}


def _replace(temporary: Path, final: Path, version: dict[str, str]) -> None:
    if not isinstance(final, ObjectPath) or temporary.stat().st_size > CREATE_BYTES:
        commit_file(temporary, final, sync=False)
        return
    try:
        insist(final, lambda: final.store.put(final.key, temporary, mode=version))
    except FileExistsError:
        raise _lost(final) from None
    temporary.unlink()


def _lost(final: Path) -> WorkError:
    return WorkError(
        f"{final}: another run has written it since this worker began: what this one made of it is left out; if no "
        "other run is at work there, run the same command again"
    )
