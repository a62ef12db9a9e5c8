"""What tells one state of an input file from another: its sha256, or its size and time where hashing would take long.

Up to `HASHED_BYTES` of local input in all, a file's version is its sha256. Beyond that it is the size with the time of
the last change, or with the server's ETag, and the sha256 is taken while the file is ingested. The hashes of large
files are kept in the user's cache folder, by path, size, times and inode, so that the next start need not read them.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from infra.addresses import shown
from infra.errors import UsageError, WorkError
from infra.hashing import canonical_json, sha256_file
from infra.http.client import AddressNotFound
from infra.storage import read_json, temporary_name
from pipeline.inputs.names import is_url
from pipeline.inputs.places import is_there
from pipeline.warc.file_bytes import RangeDigest, file_version, open_bytes

T = TypeVar("T")

HASHED_BYTES = 64 * 2**30
# Smaller files are hashed as fast as they are looked up.
KEPT_BYTES = 16 * 2**20
KEPT_FILES = 20_000
# A file that changed this shortly before it was hashed may have been changed again within one tick of its clock.
SETTLED_SECONDS = 2.0
# Files that are asked for their size at once.
CONNECTIONS = 16


@dataclass(frozen=True)
class FileState:
    """`size` in bytes; `version`: a sha256, or `size:N mtime:NANOSECONDS`, or `size:N etag:ETAG`; `seen`: of a file of
    this machine that was hashed, its size and time before that."""

    size: int
    version: str
    seen: str = ""


def file_states(places: Iterable[str], hashed: bool = True) -> dict[str, FileState]:
    """The size and version of each file. `hashed`: False reads no file; the version is then one of its size and time.

    Raises UsageError for a file that cannot be read.
    """
    places = list(places)
    local, remote = [p for p in places if not is_url(p)], [p for p in places if is_url(p)]
    stats = {place: _stat(place) for place in local}
    if not hashed or sum(stat.st_size for stat in stats.values()) > HASHED_BYTES:
        states = {p: FileState(s.st_size, file_version(s)) for p, s in stats.items()}
    else:
        hashes = _hashes({place: _state(stat) for place, stat in stats.items()})
        states = {p: FileState(s.st_size, hashes[p], file_version(s)) for p, s in stats.items()}
    return states | dict(zip(remote, _at_once(_remote_state, remote, CONNECTIONS), strict=True))


def is_sha256(version: str) -> bool:
    return ":" not in version


def has_version(place: str, version: str) -> bool:
    """Whether the file at `place` is the one of this version, as far as can be told. A moved file keeps its size, not
    its time, so of a version that is no sha256 the size counts; of a published snapshot the name does. For a sha256
    the whole file is read, a remote one too, once in each of its states."""
    if is_sha256(version):
        return _hashes({place: _state_of(place)})[place] == version
    kind, _, rest = version.partition(":")
    if kind != "size":
        return True
    size = _remote_state(place).size if is_url(place) else _stat(place).st_size
    return size == int(rest.partition(" ")[0])


def is_still(place: str, version: str) -> bool:
    """Whether the file at `place` is in the state of this version, of whichever kind that is."""
    if is_sha256(version):
        return has_version(place, version)
    if not is_there(place):
        return False
    return version == (_remote_state(place).version if is_url(place) else file_version(_stat(place)))


def same_state(version: str, other: str) -> bool:
    """Whether two versions are of one state."""
    return plain_version(version) == plain_version(other)


def plain_version(version: str) -> str:
    """The version with its ETag as every protocol writes it: without quotes, and without the mark of a weak one, which
    earlier versions kept."""
    head, mark, etag = version.partition(" etag:")
    return head + mark + etag.removeprefix("W/").strip('"')


def may_be_same(version: str, other: str) -> bool:
    """Whether two versions that are no sha256 may be of one state: of one size, and not of two times, two ETags, or the
    dates that stand where there is no ETag."""
    (size, _, mark), (other_size, _, other_mark) = (plain_version(each).partition(" ") for each in (version, other))
    (kind, _, value), (other_kind, _, other_value) = (each.partition(":") for each in (mark, other_mark))
    told = kind == other_kind and value and other_value and (" " in value) == (" " in other_value)
    return size == other_size and (not told or value == other_value)


def is_other(place: str, now: str, version: str, moved: bool) -> bool:
    """Whether the file at `place`, in the state `now`, is another than the one of `version`, as far as that shows
    without reading a remote one. `moved`: it is not where it was when it had that version: then its time, and the ETag
    of a copy, may be others."""
    if is_sha256(version):
        return not is_url(place) and not _has_sha256(place, now, version)
    if not version.startswith("size:") or same_state(now, version):
        return False
    return not moved or now.split()[0] != version.split()[0]


def is_unchanged(place: str, version: str, moved: bool) -> bool:
    """Whether the file at `place` is the one of this version. Of a remote file with a sha256 the whole is read, so this
    is for what reads much of it. `moved`: see `is_other`."""
    if is_sha256(version) or not version.startswith("size:"):
        return has_version(place, version)
    now = _remote_state(place).version if is_url(place) else file_version(_stat(place))
    return not is_other(place, now, version, moved)


@lru_cache(maxsize=1024)
def _has_sha256(place: str, now: str, sha256: str) -> bool:
    del now  # part of the key
    return has_version(place, sha256)


def check_still(place: str, seen: str, read: str = "") -> None:
    """WorkError if a file is not as it was when it was hashed, or asked for (`InputFile.seen`, empty if it was not):
    what is read of it is not what its version names. `read`: of a remote one the version of the answers."""
    if seen and not (may_be_same(read, seen) if is_url(place) else file_version(_stat(place)) == seen):
        raise _changed(place)


def check_version(place: str, version: str) -> None:
    """WorkError if a file that is not on this machine is no longer in the state of a version that is no sha256."""
    if is_url(place) and not is_sha256(version) and not is_still(place, version):
        raise _changed(place)


def _changed(place: str) -> WorkError:
    return WorkError(f"{shown(place)} has changed since the run began: run the same command again when it is complete")


def _stat(place: str) -> os.stat_result:
    try:
        return Path(place).stat()
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error.strerror}") from None


def _remote_state(place: str) -> FileState:
    try:
        with open_bytes(place) as file:
            return FileState(file.size, file.version)
    except AddressNotFound as error:
        raise UsageError(f"{error}: check --input") from None


def _at_once(work: Callable[[str], T], places: list[str], threads: int) -> list[T]:
    """`work` of each place, in order. The first failure is raised at once. The threads are daemons: a process that is
    told to stop need not wait until a server answers."""
    if len(places) < 2:
        return [work(place) for place in places]
    left = deque(enumerate(places))
    done: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()

    def run() -> None:
        with suppress(IndexError):
            while True:
                number, place = left.popleft()
                try:
                    done.put((number, work(place), None))
                except BaseException as error:
                    done.put((number, None, error))

    for _ in range(min(threads, len(places))):
        Thread(target=run, daemon=True).start()
    found: dict[int, T] = {}
    try:
        while len(found) < len(places):
            number, result, error = done.get()
            if error is not None:
                raise error
            found[number] = result
    finally:
        left.clear()
    return [found[number] for number in range(len(places))]


class _State(NamedTuple):
    """What shows, as JSON, whether a file was changed since its hash was kept. `changed`: when it was last, in seconds;
    0 where `identity` alone shows it."""

    identity: list[Any]
    size: int
    changed: float


def _state(stat: os.stat_result) -> _State:
    identity = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev]
    return _State(identity, stat.st_size, stat.st_mtime)


def _state_of(place: str) -> _State:
    if not is_url(place):
        return _state(_stat(place))
    found = _remote_state(place)
    return _State([found.version], found.size, 0.0)


def _hashes(states: Mapping[str, _State]) -> dict[str, str]:
    """The sha256 of files; of those that were hashed before, from the cache."""
    large = {place: state.identity for place, state in states.items() if state.size >= KEPT_BYTES}
    cache = _cache_file() if large else None
    kept: dict[str, Any] = dict((read_json(cache) if cache else None) or [])  # the last that were used at its end
    names = {place: shown(place) for place in large}  # of a file in the cache
    found = {
        place: kept[names[place]][1]
        for place, identity in large.items()
        if kept.get(names[place], [None])[0] == identity
    }
    missing = [place for place in states if place not in found]
    started = time.time()
    found |= dict(zip(missing, _at_once(_hash, missing, os.cpu_count() or 1), strict=True))
    new = {
        names[place]: [large[place], found[place]]
        for place in missing
        if place in large and started - states[place].changed > SETTLED_SECONDS
    }
    if cache and new:
        _keep(cache, {**{place: row for place, row in kept.items() if place not in new}, **new})
    return found


def _hash(place: str) -> str:
    if is_url(place):
        with open_bytes(place) as file:
            return RangeDigest(file, 0, file.size).hexdigest()
    try:
        return sha256_file(Path(place))
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error.strerror}") from None


def _cache_file() -> Path | None:
    with suppress(RuntimeError):  # a user without a home folder
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        return cache / "refinery" / "input-hashes.json"
    return None


def _keep(cache: Path, rows: Mapping[str, Any]) -> None:
    """The last rows, without syncing: a file that a crash has cut is made anew."""
    with suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(cache)
        temporary.write_bytes(canonical_json([*rows.items()][-KEPT_FILES:]))
        temporary.replace(cache)
