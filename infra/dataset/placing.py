"""Finished partitions found again by their fingerprint: under another number, or in another dataset.

When a dataset is made again of more inputs, a file that sorts between the others shifts the numbers of all that
follow. Their shards are renamed (in an object store: copied by it), not computed again. Renames are written down
before they begin and are done in two phases (all files out of the way, then all to their new names), so that a killed
process is followed by one that ends them.
Partitions of another dataset get a hard link, or a copy where there can be none.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.dataset.receipts import (
    RECEIPTS,
    files_of,
    is_made,
    is_whole,
    read_receipt,
    receipt_path,
    renumbered,
    write_receipt,
)
from infra.hashing import canonical_json
from infra.storage import copy_file, move_file, read_json, remove_folder, sync_folder, write_bytes

# The renames that have begun, and where the files are between the two phases; both below RECEIPTS.
MOVES, MOVED = "moves.json", "moved"


def place(folder: Path, fingerprints: Sequence[str], others: Sequence[Path] = ()) -> set[int]:
    """Gives each finished partition the number that it has in `fingerprints`; returns the numbers that are made.

    `others`: folders of datasets whose partitions are taken, too. The receipts of the other numbers are removed, before
    anything is written over their files.
    """
    finish_moves(folder)
    made = {index for index, fingerprint in enumerate(fingerprints) if is_made(folder, index, fingerprint)}
    if len(made) < len(fingerprints):
        made |= _renumber(folder, fingerprints, made)
        _forget(folder, [index for index in range(len(fingerprints)) if index not in made])
        for other in others:
            made |= _bring(other, folder, fingerprints, made)
    return made


def receipts_in(folder: Path, without: Container[int] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """The partitions of a dataset that have a receipt and all their files, by number, without some of them."""
    indices = sorted(int(path.stem.removeprefix("part-")) for path in (folder / RECEIPTS).glob("part-*.json"))
    for index in indices:
        receipt = None if index in without else read_receipt(folder, index)
        if receipt and is_whole(folder, receipt):
            yield index, receipt


def _wanting(fingerprints: Sequence[str], made: set[int]) -> dict[str, list[int]]:
    """The numbers that are still to be made, by fingerprint; two partitions without rows may have the same."""
    wanting: dict[str, list[int]] = {}
    for index, fingerprint in enumerate(fingerprints):
        if index not in made:
            wanting.setdefault(fingerprint, []).append(index)
    return wanting


def _renumber(folder: Path, fingerprints: Sequence[str], made: set[int]) -> set[int]:
    wanting, moves, placed = _wanting(fingerprints, made), [], set()
    for index, receipt in receipts_in(folder, made):
        if wanting.get(receipt["fingerprint"]):
            number = wanting[receipt["fingerprint"]].pop(0)
            paths = [*files_of(receipt), receipt_path(folder, index).relative_to(folder).as_posix()]
            moves += [[path, renumbered(path, number)] for path in paths]
            placed.add(number)
    if moves:
        write_bytes(folder / RECEIPTS / MOVES, canonical_json({"phase": "out", "moves": moves}))
        finish_moves(folder)
    return placed


def finish_moves(folder: Path) -> None:
    """Does the renames that were written down, or those of them that a killed process left."""
    journal, away = folder / RECEIPTS / MOVES, folder / RECEIPTS / MOVED
    plan = read_json(journal)
    if plan is None:
        remove_folder(away)
        return
    away.mkdir(exist_ok=True)
    if plan["phase"] == "out":  # no file has its new name yet: what is under its old one is still to be moved
        for number, (old, _) in enumerate(plan["moves"]):
            if (folder / old).exists():
                move_file(folder / old, away / str(number))
        _sync(folder, plan["moves"], away)
        write_bytes(journal, canonical_json({**plan, "phase": "in"}))
    for number, (_, new) in enumerate(plan["moves"]):
        if (away / str(number)).exists():
            move_file(away / str(number), folder / new)
    _sync(folder, plan["moves"], away)
    journal.unlink()
    sync_folder(journal.parent)
    remove_folder(away)


def _sync(folder: Path, moves: Sequence[Sequence[str]], away: Path) -> None:
    for place in {(folder / path).parent for move in moves for path in move} | {away}:
        sync_folder(place)


def _forget(folder: Path, indices: Sequence[int]) -> None:
    """Removes the receipts of what is about to be written over: a crash must not leave one beside another's shard."""
    stale = [path for path in (receipt_path(folder, index) for index in indices) if path.exists()]
    for path in stale:
        path.unlink()
    if stale:
        sync_folder(folder / RECEIPTS)


def _bring(other: Path, folder: Path, fingerprints: Sequence[str], made: set[int]) -> set[int]:
    wanting, placed = _wanting(fingerprints, made), set()
    for _, receipt in receipts_in(other) if wanting else ():
        if wanting.get(receipt["fingerprint"]):
            number = wanting[receipt["fingerprint"]].pop(0)
            for path in files_of(receipt):
                copy_file(other / path, folder / renumbered(path, number))
            write_receipt(folder, number, receipt)
            placed.add(number)
    return placed


def described(folder: Path) -> list[Mapping[str, Any]]:
    """What the partitions of a finished dataset say of the parts that they were made of, in no order."""
    found = [receipt.get("reads") for _, receipt in receipts_in(folder)]
    return [one for each in found if isinstance(each, list) for one in each if isinstance(one, Mapping)]
