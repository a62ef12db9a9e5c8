"""A dataset's folder is claimed before anything is written into it: by a lock, and by the arguments of the run.

A folder that was begun with other arguments is refused, with the difference, so that no two runs mix their shards.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.dataset.manifest import MANIFEST
from infra.dataset.receipts import RECEIPTS
from infra.dataset.refusal import undone_if_refused
from infra.errors import UsageError
from infra.hashing import canonical_json
from infra.storage import disk_errors, lock, read_json, remove_temporaries, write_bytes

ARGUMENTS = "header.json"
# How many differences are shown, and the characters of each: a value may be the whole list of a dataset's sources.
MAX_DIFFERENCES, MAX_DIFFERENCE_CHARS, MAX_VALUE_CHARS = 4, 100, 80


@contextmanager
def claim(folder: Path, arguments: Mapping[str, Any]) -> Iterator[None]:
    """Hold the folder, refuse one that was made with other arguments, and clear what a crash left half written. What is
    refused before there is a shard leaves the folder as it was."""
    with disk_errors(folder), undone_if_refused(folder), lock(folder):
        (folder / RECEIPTS).mkdir(exist_ok=True)
        _record_arguments(folder, _as_json(arguments))
        for place in (folder, folder / "ledger", folder / RECEIPTS):
            remove_temporaries(place)
        yield


def check_place(folder: Path, arguments: Mapping[str, Any]) -> None:
    """UsageError for a folder that was made with other arguments, of which `arguments` may be a part. Nothing is
    written: for a stage that makes folders inside its own before it can claim that."""
    now = _as_json(arguments)
    before = _arguments_of(folder, now)
    if before is not None:
        _check_same(folder, {key: before.get(key) for key in now}, now)


def _as_json(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """As they read back from a file: tuples as lists, for one."""
    return dict(json.loads(canonical_json(dict(arguments))))


def _record_arguments(folder: Path, now: dict[str, Any]) -> None:
    before = _arguments_of(folder, now)
    if before is None:
        write_bytes(folder / RECEIPTS / ARGUMENTS, canonical_json(now))
    else:
        _check_same(folder, before, now)


def _arguments_of(folder: Path, keys: Iterable[str]) -> dict[str, Any] | None:
    """What a folder was begun with; of a dataset whose receipts are gone, the `keys` of its manifest."""
    before = read_json(folder / RECEIPTS / ARGUMENTS)
    if before is None and (folder / MANIFEST).is_file():
        manifest = read_json(folder / MANIFEST) or {}
        before = {key: manifest.get(key) for key in keys}
    return before


def _check_same(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    if before == now:
        return
    found = differences(before, now)
    lines = "; ".join(_cut(line, MAX_DIFFERENCE_CHARS) for line in found[:MAX_DIFFERENCES])
    more = "; …" if len(found) > MAX_DIFFERENCES else ""
    raise UsageError(
        f"{folder} was made with other arguments ({lines}{more}): choose another --out, or delete that folder"
    )


def differences(before: Any, now: Any, path: str = "") -> list[str]:
    """Where two JSON values differ, as `path: was A, now B`."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            line
            for key in sorted({*before, *now})
            for line in differences(before.get(key), now.get(key), f"{path}.{key}" if path else key)
        ]
    if before == now:
        return []
    was, is_now = (_cut(json.dumps(value, ensure_ascii=False), MAX_VALUE_CHARS) for value in (before, now))
    return [f"{path}: was {was}, now {is_now}"]


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]}…"
