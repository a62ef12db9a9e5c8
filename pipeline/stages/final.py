"""`OUT/final`: a relative link to the folder of a run's last dataset, so that the result is read under one name.

It is replaced in one step when a run ends, and points into the run's own folder, so that it stays right when that
folder is moved. A program that copies what a link points to leaves a folder of that name: one that is, manifest for
manifest, a dataset of this run, is such a copy.
"""

import errno
from collections.abc import Iterator
from pathlib import Path

from infra.dataset.manifest import MANIFEST
from infra.errors import UsageError
from infra.storage import ObjectPath, remove_folder, sync_folder, temporary_name

# What makes a folder the folder of a run: the recipe as it was run.
FROZEN = "recipe.json"
# What a run was to take, where it was forecast (`--budget`).
FORECAST = "forecast.json"
FINAL = "final"
MOVE_AWAY = "move it away, and run the same command again"


def is_final(path: Path) -> bool:
    """Whether `path` is a run's link to its last dataset, or a copy that was made of it."""
    return path.name == FINAL and (path.is_symlink() or (path.parent / FROZEN).is_file())


def datasets_in(run: Path) -> list[Path]:
    """The folders of the finished datasets right below `run`, in the order of their names, each once."""
    return sorted(path.parent for path in run.glob(f"*/{MANIFEST}") if not is_final(path.parent))


def clear_final(run: Path) -> None:
    """Makes way for the link, under the folder's lock and before the work: removes a copy of one of the run's datasets.
    Raises UsageError for anything else of this name that is no such link."""
    final = run / FINAL
    beside = final.is_symlink() and len(final.readlink().parts) == 1
    if beside or not (final.exists() or final.is_symlink()):
        return
    if not _is_copy(final):
        raise UsageError(f"{final} is not the link that a run makes to its result: {MOVE_AWAY}")
    remove_folder(final)


def link_final(run: Path, last: str) -> None:
    """Makes `run/final` point to the folder `last` beside it; without one where the file system has no links."""
    final = run / FINAL
    if isinstance(run, ObjectPath):  # where there are no links: `run.json` names the last dataset
        return
    if final.is_symlink() and final.readlink() == Path(last):
        return
    temporary = temporary_name(final)
    try:
        temporary.symlink_to(last, target_is_directory=True)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            return
        raise
    try:
        temporary.replace(final)
    except OSError as error:
        temporary.unlink()
        raise UsageError(f"{final} cannot be made a link to the result ({error.strerror}): {MOVE_AWAY}") from None
    sync_folder(run)


def _is_copy(final: Path) -> bool:
    return any(_manifest(final) == _manifest(folder) is not None for folder in datasets_in(final.parent))


def _manifest(folder: Path) -> bytes | None:
    path = folder / MANIFEST
    return path.read_bytes() if path.is_file() else None


def datasets_below(folder: Path) -> Iterator[Path]:
    """The folders of all finished datasets at `folder` or below, in the order of their names, each once."""
    for path in sorted(folder.rglob(MANIFEST)):
        inside = [parent for parent in path.parents if parent != folder and parent.is_relative_to(folder)]
        if not any(is_final(parent) for parent in inside):
            yield path.parent
