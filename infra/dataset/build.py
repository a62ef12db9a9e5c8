"""Building one dataset: which partitions are still to be made, and the commit, where the manifest is written last.

The folder is claimed first (`claim.py`). Each partition leaves a receipt (`receipts.py`); `commit` sums them, checks
the manifest's invariant and writes `manifest.json`. How a partition is made is not known here: see
`infra/engines/job.py`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.dataset.claim import claim, no_change
from infra.dataset.growth import any_inputs
from infra.dataset.manifest import MANIFEST, RUN, FileRef, Header, Manifest, Shard, check_invariant
from infra.dataset.placing import place
from infra.dataset.reader import Dataset
from infra.dataset.receipts import RECEIPTS, SPILL, WORK, Totals, read_receipt, receipt_path
from infra.hashing import readable_json
from infra.storage import check_locked, disk_errors, remove_folder, sync_folder, write_bytes

# What a stage adds at the commit: further fields of the manifest, and further files of the dataset.
Extras = Callable[[Path, Totals], tuple[dict[str, Any], list[FileRef]]]


class Build:
    """One dataset in the making. Use `open_build`, which holds the folder's lock.

    `fingerprints` are those of the partitions, in order: each names all that decides what its partition holds.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder = folder
        self.header = header
        self.made = 0
        self.found = 0

    def finished(self) -> Dataset | None:
        """The dataset, if it is complete, has this header, and all of its files are there."""
        if not (self.folder / MANIFEST).is_file():
            return None
        dataset = Dataset(self.folder)
        paths = [(self.folder / file.path, file.bytes) for file in dataset.manifest.all_files()]
        whole = all(path.is_file() and path.stat().st_size == size for path, size in paths)
        if not whole or dataset.manifest.header.sha256 != self.header.sha256:
            (self.folder / MANIFEST).unlink()
            sync_folder(self.folder)  # before any shard is renamed or written over
            return None
        self._clear()
        return dataset

    def _clear(self) -> None:
        """Remove what only the making needed; a kill right after the manifest's rename leaves it."""
        remove_folder(self.folder / WORK)
        remove_folder(self.folder / SPILL)

    def missing(self, fingerprints: Sequence[str]) -> list[int]:
        """The partitions that no receipt has, or whose files are gone. Those that a receipt has under another number,
        or in a folder of `header.reuse`, are put in their place."""
        made = place(self.folder, fingerprints, self.header.reuse or ())
        todo = [index for index in range(len(fingerprints)) if index not in made]
        self.made, self.found = len(todo), len(fingerprints) - len(todo)
        return todo

    def _totals(self, fingerprints: Sequence[str]) -> Totals:
        totals = Totals()
        for index, fingerprint in enumerate(fingerprints):
            receipt = read_receipt(self.folder, index, fingerprint)
            assert receipt, f"no receipt for partition {index}"
            totals.add(receipt)
        return totals

    def commit(self, fingerprints: Sequence[str], run: Mapping[str, Any], extras: Extras | None = None) -> Dataset:
        """Sum the receipts, check the invariant, write `run.json` and then the manifest."""
        totals = self._totals(fingerprints)
        self._remove_others(totals, len(fingerprints))
        extra, files = extras(self.folder, totals) if extras else ({}, [])
        totals.counts["out"] = sum(shard.rows for shard in totals.shards)
        manifest = Manifest(
            header=self.header,
            schema=totals.schema,
            shards=tuple(totals.shards),
            ledger=tuple(totals.ledger),
            files=(*totals.files, *files),
            counts={name: number for name, number in totals.counts.items() if not name.startswith("step/")},
            rejected_by=totals.rejected_by,
            languages=totals.languages,
            domains=totals.domains,
            funnel=totals.funnel(),
            extra=extra,
        )
        check_invariant(manifest)
        content = manifest.to_bytes()
        run = {**run, "manifest_sha256": hashlib.sha256(content).hexdigest()}
        account = {**run, "parts_made": self.made, "parts_found": self.found, **totals.cost}
        with disk_errors(self.folder):
            check_locked(self.folder)
            write_bytes(self.folder / RUN, readable_json(account))
            write_bytes(self.folder / MANIFEST, content)
        self._clear()
        return Dataset(self.folder)

    def _remove_others(self, totals: Totals, partitions: int) -> None:
        """Remove shards of an earlier plan, which no receipt of this one names, and its further receipts."""
        made: list[Shard | FileRef] = [*totals.shards, *totals.ledger, *totals.files]
        ours = {file.path for file in made}
        ours |= {receipt_path(self.folder, index).relative_to(self.folder).as_posix() for index in range(partitions)}
        for within in (self.folder, self.folder / "ledger", self.folder / RECEIPTS):
            for path in within.glob("part-*"):
                if path.relative_to(self.folder).as_posix() not in ours:
                    path.unlink()


@contextmanager
def open_build(folder: Path, header: Header) -> Iterator[Build]:
    """Claim the folder for `header`. UsageError if another process holds it, or it was made with other arguments; of
    these the inputs and the limit may differ if the header allows reuse."""
    with claim(folder, header.as_dict(), no_change if header.reuse is None else any_inputs):
        (folder / "ledger").mkdir(exist_ok=True)
        yield Build(folder, header)


def already_made(folder: Path, header: Header) -> Dataset | None:
    """The finished dataset, for a stage that would do much before its last pass. UsageError as `open_build`."""
    with open_build(folder, header) as build:
        return build.finished()
