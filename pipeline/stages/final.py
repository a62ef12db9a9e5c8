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
from infra.storage import remove_folder, sync_folder, temporary_name

# What makes a folder the folder of a run: the recipe as it was run.
FROZEN = "recipe.json"
FINAL = "final"


def is_final(path: Path) -> bool:
    """Whether `path` is a run's link to its last dataset, or a copy that was made of it."""
    return path.name == FINAL and (path.is_symlink() or (path.parent / FROZEN).is_file())


def datasets_in(run: Path) -> list[Path]:
    """The folders of the finished datasets right below `run`, in the order of their names, each once."""
    return sorted(path.parent for path in run.glob(f"*/{MANIFEST}") if not is_final(path.parent))


def check_final(run: Path) -> None:
    """Raises UsageError if `run/final` is anything but a link or copy that may be replaced."""
    final = run / FINAL
    beside = final.is_symlink() and len(final.readlink().parts) == 1
    if not (beside or _is_copy(final) or not (final.exists() or final.is_symlink())):
        raise UsageError(f"{final} is not the link that a run makes to its result: move it away, then go on")


def link_final(run: Path, last: str) -> None:
    """Makes `run/final` point to the folder `last` beside it; without one where the file system has no links."""
    final = run / FINAL
    if final.is_symlink() and final.readlink() == Path(last):
        return
    temporary = temporary_name(final)
    try:
        temporary.symlink_to(last, target_is_directory=True)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            return
        raise
    if final.is_dir() and not final.is_symlink():
        remove_folder(final)
    temporary.replace(final)
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
