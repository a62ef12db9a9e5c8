"""A dataset's folder is claimed before anything is written into it: by a lock, and by the arguments of the command.

A folder that was begun with other arguments is refused, in words, so that no two runs mix their shards; unless the
command says that it may go on with these (`growth.py`). Then the folder is first made unfinished.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.dataset.differences import Arguments, differences
from infra.dataset.manifest import MANIFEST, RUN
from infra.dataset.receipts import RECEIPTS
from infra.dataset.refusal import undone_if_refused
from infra.errors import UsageError
from infra.hashing import canonical_json, sha256_file
from infra.storage import disk_errors, lock, read_json, remove_temporaries, sync_folder, write_bytes

# The arguments of the folder; and of the last command that finished it before these, with all inputs that it has had.
ARGUMENTS, HISTORY = "header.json", "history.json"
MAX_DIFFERENCES = 4

# Raises UsageError if a folder that was begun with some arguments may not go on with others.
Change = Callable[[Path, Arguments, Arguments], None]


def no_change(folder: Path, before: Arguments, now: Arguments) -> None:
    """Every other argument is refused."""
    refuse(folder, differences(before, now))


def refuse(folder: Path, found: list[str]) -> None:
    """UsageError if there are differences."""
    if found:
        more = "; …" if len(found) > MAX_DIFFERENCES else ""
        raise UsageError(
            f"{folder} was made with other arguments: {'; '.join(found[:MAX_DIFFERENCES])}{more}: "
            "choose another --out, or delete that folder"
        )


@contextmanager
def claim(folder: Path, arguments: Arguments, change: Change = no_change) -> Iterator[bool]:
    """Hold the folder, refuse one that was made with other arguments (unless `change` allows these), and clear what a
    crash left half written. What is refused before there is a shard leaves the folder as it was. Yields whether the
    folder was begun with other arguments."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: give --out a folder")
    with disk_errors(folder), undone_if_refused(folder), lock(folder):
        (folder / RECEIPTS).mkdir(exist_ok=True)
        changed = _record_arguments(folder, _as_json(arguments), change)
        for place in (folder, folder / "ledger", folder / RECEIPTS):
            remove_temporaries(place)
        yield changed


def check_place(folder: Path, arguments: Arguments, change: Change = no_change) -> None:
    """UsageError for a folder that was made with other arguments, of which `arguments` may be a part. Nothing is
    written: for a stage that makes folders inside its own before it can claim that."""
    now = _as_json(arguments)
    before = arguments_of(folder, now)
    if before is not None:
        same = {key: before.get(key) for key in {*now, *({"command"} & before.keys())}}
        if same != now:
            change(folder, same, now)


def _as_json(arguments: Arguments) -> dict[str, Any]:
    """As they read back from a file: tuples as lists, for one."""
    return dict(json.loads(canonical_json(dict(arguments))))


def _record_arguments(folder: Path, now: dict[str, Any], change: Change) -> bool:
    before = arguments_of(folder, now)
    if before == now and (folder / RECEIPTS / ARGUMENTS).is_file():
        return False
    changed = before is not None and before != now
    if changed:
        change(folder, before or {}, now)
        unfinish(folder)
    write_bytes(folder / RECEIPTS / ARGUMENTS, canonical_json(now))
    return changed


def unfinish(folder: Path) -> None:
    """What says that the folder is finished goes before its arguments change; what it was made of is remembered. Only
    under a lock of the folder, or of the one above it."""
    before = arguments_of(folder, ("inputs",)) or {}
    history = history_of(folder)
    inputs = [ref for ref in before.get("inputs", ()) if ref not in history["inputs"]]
    manifests = [sha256_file(folder / MANIFEST)] if (folder / MANIFEST).is_file() else []
    now = {
        "finished": before if is_finished(folder) else history["finished"],
        "inputs": [*history["inputs"], *inputs],
        "manifests": [*history["manifests"], *(sha256 for sha256 in manifests if sha256 not in history["manifests"])],
    }
    (folder / RECEIPTS).mkdir(exist_ok=True)
    write_bytes(folder / RECEIPTS / HISTORY, canonical_json(now))
    for name in (MANIFEST, RUN):
        (folder / name).unlink(missing_ok=True)
    sync_folder(folder)


def is_finished(folder: Path) -> bool:
    """Whether the dataset, or the run, in the folder was finished with the arguments that it has."""
    return (folder / MANIFEST).is_file() or (folder / RUN).is_file()


def arguments_of(folder: Path, keys: Iterable[str]) -> dict[str, Any] | None:
    """What a folder was begun with; of a dataset whose receipts are gone, the `keys` of its manifest."""
    before = read_json(folder / RECEIPTS / ARGUMENTS)
    if before is None and (folder / MANIFEST).is_file():
        manifest = read_json(folder / MANIFEST) or {}
        before = {key: manifest.get(key) for key in keys}
    return before


def history_of(folder: Path) -> Mapping[str, Any]:
    """{finished: the arguments of the last command that finished the folder before the present ones, or None; inputs:
    all that it had before these; manifests: the sha256 of those that it had}."""
    return {"finished": None, "inputs": [], "manifests": [], **(read_json(folder / RECEIPTS / HISTORY) or {})}
