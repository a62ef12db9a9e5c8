"""Finished partitions found again by their fingerprint: under another number, or in another dataset.

When a dataset is made again of more inputs, a file that sorts between the others shifts the numbers of all that
follow. Their shards are renamed (in an object store: copied by it), not computed again. Renames are written down
before they begin, with the receipts that hold after them, and are done in two phases (all files out of the way, then
all to their new names), so that a killed process is followed by one that ends them. Partitions of another dataset get
a hard link, or a copy where there can be none.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.dataset.batches import (
    ReceiptBatch,
    batch_name,
    batches_in,
    keep_receipts,
    receipts_in,
    receipts_of,
    whole_receipts,
    write_batches,
)
from infra.dataset.receipts import RECEIPTS, Receipt, files_of, is_whole, renumbered, with_number
from infra.hashing import canonical_json
from infra.storage import (
    check_locked,
    copy_file,
    move_file,
    read_json,
    remove_folder,
    sizes_in,
    sync_folder,
    write_bytes,
)

# The renames that have begun, where the files are between the two phases, and the receipts that hold after them; all
# below RECEIPTS.
MOVES, MOVED, PLACED = "moves.json", "moved", "placed"

Made = npt.NDArray[np.bool_]


def find_made(folder: Path, fingerprints: Sequence[str], others: Sequence[Path] = ()) -> Made:
    """Gives each finished partition the number that it has in `fingerprints`; returns which numbers are made.

    `others`: folders of datasets whose partitions are taken, too. The receipts of the other numbers are removed, before
    anything is written over their files.
    """
    finish_moves(folder)
    made, strays = _made(folder, fingerprints)
    if made.all():
        return made
    if strays:
        made |= _renumber(folder, fingerprints, made)
        _forget(folder, fingerprints, made)
    for other in others:
        made |= _bring(other, folder, fingerprints, made)
    return made


def _made(folder: Path, fingerprints: Sequence[str]) -> tuple[Made, bool]:
    """Which partitions are made, and whether there are receipts of others."""
    made, strays, size_of = np.zeros(len(fingerprints), np.bool_), False, sizes_in(folder)
    for receipt in receipts_in(folder):
        if _holds(receipt, fingerprints) and is_whole(size_of, receipt):
            made[receipt["index"]] = True
        else:
            strays = True
    return made, strays


def _holds(receipt: Receipt, fingerprints: Sequence[str]) -> bool:
    index = receipt["index"]
    return bool(index < len(fingerprints) and fingerprints[index] == receipt["fingerprint"])


def _wanting(fingerprints: Sequence[str], made: Made) -> dict[str, list[int]]:
    """The numbers that are still to be made, by fingerprint; two partitions without rows may have the same."""
    wanting: dict[str, list[int]] = {}
    for index in np.flatnonzero(~made).tolist():
        wanting.setdefault(fingerprints[index], []).append(index)
    return wanting


def _renumber(folder: Path, fingerprints: Sequence[str], made: Made) -> Made:
    wanting, numbers, placed = _wanting(fingerprints, made), {}, np.zeros_like(made)
    for receipt in whole_receipts(folder):
        if not (_holds(receipt, fingerprints) and made[receipt["index"]]) and wanting.get(receipt["fingerprint"]):
            number = wanting[receipt["fingerprint"]].pop(0)
            numbers[receipt["index"]] = number
            placed[number] = True
    if numbers:
        into = folder / RECEIPTS / PLACED
        remove_folder(into)
        into.mkdir()
        write_batches(into, _after(folder, numbers, fingerprints, made))
        write_bytes(folder / RECEIPTS / MOVES, canonical_json({"phase": "out", "numbers": [*numbers.items()]}))
        finish_moves(folder)
    return placed


def _after(folder: Path, numbers: Mapping[int, int], fingerprints: Sequence[str], made: Made) -> Iterator[Receipt]:
    """The receipts that hold when the partitions have their new numbers."""
    for receipt in receipts_in(folder):
        index = receipt["index"]
        if index in numbers:
            yield with_number(receipt, numbers[index])
        elif index >= len(fingerprints) or (made[index] and _holds(receipt, fingerprints)):
            yield receipt


def finish_moves(folder: Path) -> None:
    """Does the renames that were written down, or those of them that a killed process left."""
    journal, away, placed = (folder / RECEIPTS / name for name in (MOVES, MOVED, PLACED))
    plan = read_json(journal)
    if plan is None:
        remove_folder(away)
        remove_folder(placed)
        return
    before = {new: old for old, new in plan["numbers"]}
    away.mkdir(exist_ok=True)
    if plan["phase"] == "out":  # no file has its new name yet: what is under its old one is still to be moved
        for old, _, between in _moves(placed, before):
            check_locked(folder, lately=True)  # else the files of who has taken it over would be moved
            if (folder / old).exists():
                move_file(folder / old, away / between)
        _sync(folder, away)
        plan = {**plan, "phase": "in"}
        write_bytes(journal, canonical_json(plan))
    if plan["phase"] == "in":
        for _, new, between in _moves(placed, before):
            check_locked(folder, lately=True)
            if (away / between).exists():
                move_file(away / between, folder / new)
        for path in batches_in(folder):
            check_locked(folder, lately=True)
            path.unlink()
        _sync(folder, away)
        write_bytes(journal, canonical_json({**plan, "phase": "receipts"}))
    for path in sorted(placed.glob("*")):
        move_file(path, journal.parent / path.name)
    sync_folder(journal.parent)
    journal.unlink()
    sync_folder(journal.parent)
    remove_folder(away)
    remove_folder(placed)


def _moves(placed: Path, before: Mapping[int, int]) -> Iterator[tuple[str, str, str]]:
    """(its old path, its new path, its name in between) of each file that is to be moved. `before`: the old numbers."""
    for path in sorted(placed.glob("*")):
        for receipt in receipts_of(path):
            if receipt["index"] in before:
                for new in files_of(receipt):
                    yield renumbered(new, before[receipt["index"]]), new, new.replace("/", "-")


def _sync(folder: Path, away: Path) -> None:
    for place in (folder, folder / "ledger", away, away.parent):
        sync_folder(place)


def _forget(folder: Path, fingerprints: Sequence[str], made: Made) -> None:
    """Removes the receipts of what is about to be written over: a crash must not leave one beside another's shard."""
    count = len(made)
    keep_receipts(
        folder,
        lambda receipt: receipt["index"] >= count or bool(made[receipt["index"]] and _holds(receipt, fingerprints)),
    )


def _bring(other: Path, folder: Path, fingerprints: Sequence[str], made: Made) -> Made:
    wanting, placed = _wanting(fingerprints, made), np.zeros_like(made)
    if not wanting:
        return placed
    batch = None
    try:
        for receipt in whole_receipts(other):
            if wanting.get(receipt["fingerprint"]):
                number = wanting[receipt["fingerprint"]].pop(0)
                for path in files_of(receipt):
                    copy_file(other / path, folder / renumbered(path, number))
                if batch is None:
                    batch = ReceiptBatch(folder, batch_name([receipt["fingerprint"]], number))
                    batch.found()  # an earlier command may have begun with the same one: its receipts stay
                batch.add(with_number(receipt, number))
                placed[number] = True
    finally:
        if batch:
            batch.flush()
    return placed


def described(folder: Path) -> list[Mapping[str, Any]]:
    """What the partitions of a finished dataset say of the parts that they were made of, in no order."""
    found = [receipt.get("reads") for receipt in whole_receipts(folder)]
    return [one for each in found if isinstance(each, list) for one in each if isinstance(one, Mapping)]
