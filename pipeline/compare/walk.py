"""The outcome of every page in every recipe, one partition of the input at a time.

The stages of a recipe keep the partitions of its input: a page of the third split is in the third shard of each
dataset, or in its ledger. So the chains of several recipes over one input are read in parallel, with the memory of one
partition, whatever the size of the input.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset, ShardReader

Key = tuple[str, int, int]
KEY = ["file_path", "warc_offset", "member_record"]


def key_of(row: Mapping[str, Any]) -> Key:
    return row["file_path"], row["warc_offset"], row["member_record"] or 0


class Kept(NamedTuple):
    """A document at the end of a recipe."""

    url: str | None
    language: str | None
    tokens: int


@dataclass
class Rejected:
    """The step that rejected a page, and every rule of it that the page failed."""

    step: str
    rules: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Partition:
    """One partition of the input: its pages as {key: (url, id)}, and by recipe their outcome."""

    pages: Mapping[Key, tuple[str | None, str | None]]
    kept: Mapping[str, Mapping[Key, Kept]]
    rejected: Mapping[str, Mapping[Key, Rejected]]


def final(chain: Sequence[Dataset]) -> Dataset:
    """The dataset by which a recipe is compared: its last dataset of pages (tokens are counted differently)."""
    return next(dataset for dataset in reversed(chain) if dataset.kind in (Kind.DOCUMENTS, Kind.RECORDS))


def walk(chains: Mapping[str, Sequence[Dataset]]) -> Iterator[Partition]:
    """The partitions in order. `chains`: by recipe, the datasets of its stages, all made from the same input."""
    stages = {name: list(chain[: list(chain).index(final(chain)) + 1]) for name, chain in chains.items()}
    datasets = {dataset.folder: dataset for chain in stages.values() for dataset in chain}
    numbers = {len(dataset.parts()) for dataset in datasets.values()}
    assert len(numbers) == 1, f"datasets of one input are cut differently: {sorted(numbers)} partitions"
    first = next(iter(stages.values()))[0]
    for index in range(numbers.pop()):
        ledgers = {folder: list(_ledger(dataset.ledger_parts()[index])) for folder, dataset in datasets.items()}
        yield Partition(
            pages=_pages(first, index),
            kept={name: dict(_kept(final(chain), index)) for name, chain in stages.items()},
            rejected={name: _rejected(ledgers[dataset.folder] for dataset in chain) for name, chain in stages.items()},
        )


def _pages(first: Dataset, index: int) -> dict[Key, tuple[str | None, str | None]]:
    """The pages of an archive are its records; of documents all of the input, including rejects of the first stage."""
    parts = [first.parts()[index]]
    if first.kind is not Kind.RECORDS:
        parts.append(first.ledger_parts()[index])
    return {key: (row["url"], row["id"]) for part in parts for key, row in _rows(part, ["url", "id"])}


def _kept(dataset: Dataset, index: int) -> Iterator[tuple[Key, Kept]]:
    documents = dataset.kind is Kind.DOCUMENTS
    for key, row in _rows(dataset.parts()[index], ["url", "language", "token_count"] if documents else ["url"]):
        yield key, Kept(row["url"], row.get("language"), row.get("token_count") or 0)


def _ledger(part: ShardReader) -> Iterator[tuple[Key, str, str]]:
    for key, row in _rows(part, ["step", "rule"]):
        yield key, row["step"], f"{row['step']}/{row['rule']}"


def _rejected(ledgers: Iterator[list[tuple[Key, str, str]]]) -> dict[Key, Rejected]:
    found: dict[Key, Rejected] = {}
    for ledger in ledgers:
        for key, step, rule in ledger:
            found.setdefault(key, Rejected(step)).rules.append(rule)
    return found


def _rows(part: ShardReader, columns: list[str]) -> Iterator[tuple[Key, dict[str, Any]]]:
    if part.rows:
        for batch in part.batches([*KEY, *columns]):
            for row in batch.to_pylist():
                yield key_of(row), row
