"""`audit`: which documents a run was trained on, when and how often, from the run's own record and its datasets.

The record is the list of parts in the run's latest checkpoint, which is covered by the checkpoint's hash. The order of
documents and the mixture are worked out again from it; no log is believed. A document counts as seen by a copy whose
first token was a target.

Memory: two arrays of small integers over the documents of one source at a time.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from infra.dataset.manifest import manifest_path
from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.remote import anywhere
from infra.storage import read_json
from trainer.data.cursor import SourceCursor
from trainer.data.documents import DocumentSource
from trainer.data.mixture import MixtureSchedule
from trainer.data.order import CHUNK, SourceStream
from trainer.data.parts import RunPart, parts_of
from trainer.data.reader import SourceReader
from trainer.data.tokens import TokenDataset
from trainer.run_files import HEADER, RUN_INFO, no_checkpoint, of_latest

Counts = npt.NDArray[np.uint16]

# The most rows of a histogram in the answer; what was seen more often is one row.
MOST_TIMES = 20


class Interval(NamedTuple):
    """The tokens `first` to `last` - 1 of one epoch of a source, which a part was trained on.

    `before`: tokens of the source in this part before them.
    """

    at: SourceCursor
    first: int
    last: int
    before: int


@dataclass
class PartAudit:
    """A part of the run with its dataset."""

    part: RunPart
    dataset: TokenDataset

    def __post_init__(self) -> None:
        part, table = self.part, self.dataset.documents
        self.mixture = MixtureSchedule(part.mixture, table, part.global_batch_size, part.first_step)
        self.reader = SourceReader(table, part.seed)

    @cached_property
    def drawn(self) -> dict[str, int]:
        """Sequences drawn from each source, by the sha256 of its documents."""
        first, last = self.part.first_cursor.sequences, self.part.last_cursor.sequences
        counts = ((source.sha256, self.mixture.count(i, first, last)) for i, source in enumerate(self._sources))
        return {sha256: count for sha256, count in counts if count}

    @property
    def _sources(self) -> tuple[DocumentSource, ...]:
        return self.dataset.documents.sources

    def source(self, sha256: str) -> DocumentSource | None:
        return next((source for source in self._sources if source.sha256 == sha256), None)

    def intervals(self, source: DocumentSource) -> Iterator[Interval]:
        """What the part was trained on of a source, epoch after epoch."""
        left, before = self.drawn.get(source.sha256, 0) * self.part.sequence_length, 0
        at = self.reader.begin(source, self.part.first_cursor) if left else None
        while at and left:
            count = min(left, source.tokens - at.tokens)
            yield Interval(at, at.tokens, at.tokens + count, before)
            at, left, before = self.reader.after(source, at, count), left - count, before + count

    def step(self, source: DocumentSource, tokens: int) -> int:
        """The step, from 1, that had the source's token number `tokens` of this part as a target."""
        first, last = self.part.first_cursor.sequences, self.part.last_cursor.sequences
        number = self.mixture.find(self._sources.index(source), first, last, tokens // self.part.sequence_length)
        return self.part.first_step + (number - first) // self.part.global_batch_size + 1

    def faults(self) -> Iterator[str]:
        """What in the part's record is not as the order of the documents has it."""
        part, where = self.part, f"steps {self.part.first_step + 1} to {self.part.last_step}"
        sequences = part.last_cursor.sequences - part.first_cursor.sequences
        if sequences != (part.last_step - part.first_step) * part.global_batch_size:
            yield f"{where}: {sequences} sequences are not these steps of {part.global_batch_size}"
        expected = dict(part.first_cursor.sources)
        for source in self._sources:
            if source.sha256 in self.drawn:
                begin = self.reader.begin(source, part.first_cursor)
                tokens = self.drawn[source.sha256] * part.sequence_length
                expected[source.sha256] = self.reader.after(source, begin, tokens)
        found = part.last_cursor.sources
        for sha256 in sorted({*expected, *found}):
            if expected.get(sha256) != found.get(sha256):
                name = (expected.get(sha256) or found[sha256]).name
                yield f"{where}: the position in source {name!r} is not where its sequences end"


def audit(run: Path, name: str | None = None, data: Sequence[Path] = ()) -> dict[str, Any]:
    """What `run` (a run's folder, or a checkpoint) was trained on; with `name`, a URL or an id, when it was that page.

    `data`: the tokens datasets of its parts, in any order; by default the one that its `run.json` names. Returns
    `parts`, `faults` (empty for a record that holds) and `sources` (`audit_sources`) or `exposures` (`audit_page`).
    UsageError for a run without a checkpoint, a changed one, or a dataset that is not given.
    """
    parts = open_parts(run, data)
    faults = [fault for part in parts for fault in part.faults()]
    for one, other in pairwise(parts):
        if (one.part.last_cursor, one.part.last_step) != (other.part.first_cursor, other.part.first_step):
            faults.append(f"the part after step {one.part.last_step} does not begin where the one before it ended")
    steps = [{"first_step": each.part.first_step + 1, "last_step": each.part.last_step, "data": each.part.data,
              "seed": each.part.seed, "mixture": each.part.as_dict()["mixture"]} for each in parts]  # fmt: skip
    if name is not None:
        return {"name": name, "parts": steps, "faults": faults, **audit_page(parts, name)}
    found = audit_sources(parts)
    faults += [fault for source in found for fault in source.pop("faults")]
    return {"parts": steps, "faults": faults, "sources": found}


def open_parts(run: Path, data: Sequence[Path]) -> list[PartAudit]:
    """The parts of a run, each with its dataset."""
    parts = parts_of(read_state(run))
    datasets: dict[str, TokenDataset] = {}
    info = read_json(run / RUN_INFO)
    named = [anywhere(str(info["data"]), "data")] if isinstance(info, dict) and "data" in info else []
    for place in data or [each for each in named if manifest_path(each).exists()]:  # it may have been moved
        dataset = TokenDataset(place)
        datasets[dataset.ref.manifest_sha256] = dataset
    for part in parts:
        if part.data not in datasets:
            raise UsageError(
                f"give --data: steps {part.first_step + 1} to {part.last_step} were trained on the dataset whose "
                f"manifest.json has sha256 {part.data}"
            )
    return [PartAudit(part, datasets[part.data]) for part in parts if part.last_step > part.first_step]


def read_state(run: Path) -> Mapping[str, Any]:
    """The header of the state in a run's latest checkpoint, or in a checkpoint. UsageError if it was changed."""
    return of_latest(run, _state_of)


def _state_of(checkpoint: Path) -> Mapping[str, Any]:
    path = checkpoint / HEADER
    try:
        header = json.loads(path.read_bytes())
        rest = {name: value for name, value in header.items() if name not in ("sha256", "layout", "layout_sha256")}
        if header["sha256"] != sha256_json(rest):
            raise UsageError(f"{path} was changed after it was written (its sha256 differs): take another copy")
        state: Mapping[str, Any] = header["state"]
    except OSError:
        raise no_checkpoint(path.parent) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(f"{path} cannot be read as a checkpoint: take another copy") from None
    return state


def audit_sources(parts: Sequence[PartAudit]) -> list[dict[str, Any]]:
    """Of each source: name, sha256, documents, tokens of an epoch, `trained` tokens, `epochs` ({epoch, tokens, begun}),
    `seen` ({times: documents}), and faults: documents that an epoch had more often than their repeats, or less often
    though it ended."""
    found = {}
    for part in parts:
        for source in part.dataset.documents.sources:
            if source.sha256 not in found:
                found[source.sha256] = _audit_source(parts, source)
    return list(found.values())


def _audit_source(parts: Sequence[PartAudit], source: DocumentSource) -> dict[str, Any]:
    total = np.zeros(source.documents, np.uint32)
    counts = np.zeros(source.documents, np.uint16)
    epochs: list[dict[str, int]] = []
    faults: list[str] = []
    for part in parts:
        here = part.source(source.sha256)
        for interval in part.intervals(here) if here else ():
            if not epochs or epochs[-1]["epoch"] != interval.at.epoch:
                faults += _close(source, epochs, counts)
                total += counts
                counts[:] = 0
                epochs.append({"epoch": interval.at.epoch, "tokens": 0, "begun": 0})
            assert here is not None
            epochs[-1]["begun"] += _count(part.reader.stream(here, interval.at), interval, counts)
            epochs[-1]["tokens"] += interval.last - interval.first
    faults += _close(source, epochs, counts)
    total += counts
    return {
        "name": source.name, "sha256": source.sha256, "documents": source.documents, "tokens": source.tokens,
        "trained": sum(each["tokens"] for each in epochs), "epochs": epochs, "seen": histogram(total), "faults": faults,
    }  # fmt: skip


def _count(stream: SourceStream, interval: Interval, counts: Counts) -> int:
    """Add the copies that begin in the interval, by number of the document; returns how many they are."""
    first, last = stream.begun(interval.first), stream.begun(interval.last)
    for begin in range(first, last, CHUNK):
        np.add.at(counts, stream.order.numbers(np.arange(begin, min(begin + CHUNK, last))), 1)
    return last - first


def _close(source: DocumentSource, epochs: Sequence[Mapping[str, int]], counts: Counts) -> Iterator[str]:
    """The faults of the last epoch, of which `counts` says how often it had each document."""
    if not epochs:
        return
    whole = epochs[-1]["tokens"] >= source.tokens
    for each in source.classes:
        begin = each.first - source.classes[0].first
        mine = counts[begin : begin + each.documents]
        over, under = int((mine > each.repeats).sum()), int((mine < each.repeats).sum()) if whole else 0
        where = f"source {source.name!r}, epoch {epochs[-1]['epoch']}"
        if over:
            yield f"{where}: {over} documents were seen more often than their repeats ({each.repeats})"
        if under:
            yield f"{where}: {under} documents were seen less often than their repeats ({each.repeats})"


def histogram(times: npt.NDArray[np.uint32]) -> dict[str, int]:
    """{how often: documents}; from `MOST_TIMES` on they are counted together."""
    counts = np.zeros(MOST_TIMES + 1, np.int64)
    for start in range(0, len(times), CHUNK):
        counts += np.bincount(np.minimum(times[start : start + CHUNK], MOST_TIMES), minlength=MOST_TIMES + 1)
    return {f"{i}" if i < MOST_TIMES else f"{i} or more": int(n) for i, n in enumerate(counts) if n}


def audit_page(parts: Sequence[PartAudit], name: str) -> dict[str, Any]:
    """When a page was trained on: `documents`, those with this id or URL ({data, document, source, tokens, repeats,
    times: tokens trained over tokens}), and `exposures`, one for each copy in each part ({data, document, source,
    epoch, first_step, last_step, tokens}). UsageError when no dataset of the run has it."""
    documents: list[dict[str, Any]] = []
    exposures: list[dict[str, Any]] = []
    known: dict[str, list[int]] = {}
    for part in parts:
        rows = known.get(part.part.data)
        if rows is None:
            rows = known[part.part.data] = part.dataset.find(name).tolist()
            documents += [_described(part, row) for row in rows]
        for row in rows:
            exposures += _exposures(part, row)
    if not documents:
        raise UsageError(f"no dataset of the run has a document with the id or URL {name!r}: it was not trained on")
    for document in documents:
        key = document["data"], document["document"]
        tokens = sum(each["tokens"] for each in exposures if (each["data"], each["document"]) == key)
        document["times"] = tokens / max(1, document["tokens"])
    return {"documents": documents, "exposures": exposures}


def _described(part: PartAudit, row: int) -> dict[str, Any]:
    table = part.dataset.documents
    return {
        "data": part.part.data, "document": row, "source": table.sources[int(table.source_codes[row])].name,
        "tokens": int(table.lengths[row]), "repeats": int(table.repeats[row]),
    }  # fmt: skip


def _exposures(part: PartAudit, row: int) -> Iterator[dict[str, Any]]:
    """The copies of a document that were trained on in a part."""
    table = part.dataset.documents
    source = table.sources[int(table.source_codes[row])]
    number = _number(part, source, row)
    for interval in part.intervals(source):
        stream = part.reader.stream(source, interval.at)
        for slot in stream.order.slots_of(number).tolist():
            if slot < stream.first_slot:
                continue
            begin = stream.begin(slot)
            first, last = max(begin, interval.first), min(begin + int(table.lengths[row]), interval.last)
            if first < last:
                steps = [part.step(source, interval.before + token - interval.first) for token in (first, last - 1)]
                yield {
                    "data": part.part.data, "document": row, "source": source.name, "epoch": interval.at.epoch,
                    "first_step": steps[0], "last_step": steps[1], "tokens": last - first,
                }  # fmt: skip


def _number(part: PartAudit, source: DocumentSource, row: int) -> int:
    """The number of a document in its source."""
    table = part.dataset.documents
    repeats = int(table.repeats[row])
    (members,) = [each for each in source.classes if each.repeats == repeats]
    rows = table.member[members.first : members.first + members.documents]
    return members.first - source.classes[0].first + int(np.searchsorted(rows, row))
