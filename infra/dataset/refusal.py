"""A command that is refused leaves nothing behind: what it had begun to make goes again.

Most of what can be refused is refused before a folder is claimed. The rest is noticed by the stage that meets it: an
archive that has been moved, a model that cannot be read, a pool that is too small for a draw.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from infra.dataset.receipts import RECEIPTS
from infra.errors import UsageError
from infra.storage import ObjectPath, lock, remove_folder

# What a claim, and a run that has one, put into a folder before there is a shard.
CLAIMED = frozenset((RECEIPTS, ".lock", ".work", ".spill", "ledger", "recipe.json"))
# Intermediate tables, which are of no use to other arguments.
UNFINISHED = frozenset((".work", ".spill"))


@contextmanager
def undone_if_refused(folder: Path) -> Iterator[None]:
    """On a UsageError the claim of `folder` is taken back, unless it is older or a shard is there by then.

    To be entered before the folder is locked; it is locked again for the undoing, so that no other process is in it.
    """
    before = Before.of(folder)
    try:
        yield
    except UsageError:
        if folder.is_dir():
            with suppress(UsageError), lock(folder):
                if RECEIPTS not in before.names and not shards_in(folder):
                    before.remove_claim()
        before.remove_empty()
        raise


@contextmanager
def no_empty_folders(file: Path) -> Iterator[None]:
    """On a UsageError the folders that were made to hold `file` go again, if nothing is in them."""
    before = Before.of(file.parent)
    try:
        yield
    except UsageError:
        before.remove_empty()
        raise


@dataclass(frozen=True)
class Before:
    """How a folder was before a command: the names in it, and which folders, from it upward, were not there."""

    folder: Path
    names: frozenset[str]
    missing: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path) -> "Before":
        if isinstance(folder, ObjectPath):
            names = [path.name for path in folder.iterdir()]
            return cls(folder, frozenset(names), () if names else (folder,))
        missing = tuple(place for place in (folder, *folder.parents) if not os.path.exists(place))  # noqa: PTH110 (no error where a name is too long)
        try:
            names = os.listdir(folder)  # noqa: PTH208
        except OSError:
            names = []
        return cls(folder, frozenset(names), missing)

    def remove_claim(self) -> None:
        if self.folder in self.missing:
            remove_folder(self.folder)
            return
        for name in CLAIMED - self.names:
            path = self.folder / name
            remove_folder(path) if path.is_dir() else path.unlink(missing_ok=True)

    def remove_empty(self) -> None:
        for folder in () if isinstance(self.folder, ObjectPath) else self.missing:
            with suppress(OSError):
                folder.rmdir()


def shards_in(folder: Path) -> bool:
    """Whether a shard or its receipt is anywhere below, but for intermediate tables."""
    return any(not UNFINISHED & set(path.relative_to(folder).parts) for path in folder.rglob("part-*"))
