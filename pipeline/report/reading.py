"""Pages to read: thirty documents that a run kept, and thirty pages that it only just rejected, with their texts.

Kept ones are spread evenly over the last dataset. Rejected ones are taken in turn from all bounds on signals, those
nearest to their threshold first; pages whose text is in a dataset come before those that are read again from their
archive.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset
from pipeline.compare.walk import Key, key_of
from pipeline.report.parts import PageExcerpt, Samples, cut
from pipeline.report.read import PoolOutcome
from pipeline.report.rows import rows_at
from pipeline.report.samples import KEPT_COLUMNS, LEDGER_COLUMNS, Texts, rejected_facts, sample_of
from pipeline.report.views import StageView, bound_of

PAGES = 30
# Candidates for rejected pages, as some have no text any more.
TRIED = 45
# Of a page's text, unless many pools share the report.
MOST_CHARS = 4000
LEAST_CHARS = 300
ALL_CHARS = 360_000


def chars_of(pools: Sequence[PoolOutcome]) -> int:
    """The characters of each page, so that all of them keep the report small enough to open."""
    return max(LEAST_CHARS, min(MOST_CHARS, ALL_CHARS // (2 * PAGES * max(len(pools), 1))))


def kept_to_read(pools: Sequence[PoolOutcome]) -> Iterator[Samples]:
    """Thirty documents of each last dataset."""
    done: set[str] = set()
    most = chars_of(pools)
    for pool in pools:
        last = next((dataset for dataset in reversed(pool.datasets) if dataset.kind is Kind.DOCUMENTS), None)
        if last is not None and str(last.folder) not in done and last.manifest.counts["out"]:
            done.add(str(last.folder))
            yield Samples(f"{pool.label}: kept", tuple(spread(last, most)), True)


def spread(dataset: Dataset, most: int) -> Iterator[PageExcerpt]:
    """Documents at even distances."""
    total = dataset.manifest.counts["out"]
    numbers = np.unique(np.linspace(0, total - 1, min(PAGES, total)).astype(np.int64)).tolist()
    for row in rows_at(dataset.parts(), numbers, [*KEPT_COLUMNS, "domain"]).values():
        facts = [row["title"] or "", row["language"] or "", row["domain"] or "", f"{row['token_count'] or 0:,} tokens"]
        yield sample_of(row, facts, cut(row["text"] or "", most))


def rejected_to_read(pools: Sequence[PoolOutcome], seen: Sequence[StageView], texts: Texts) -> Iterator[Samples]:
    """Thirty pages of each pool that were just rejected."""
    most = chars_of(pools)
    done: set[tuple[str, ...]] = set()
    for pool in pools:
        folders = tuple(str(dataset.folder) for dataset in pool.datasets)
        mine = [view for view in seen if str(view.dataset.folder) in folders]
        if folders in done or not mine:
            continue
        done.add(folders)
        items = tuple(just_rejected(mine, texts, most))
        if items:
            yield Samples(f"{pool.label}: just rejected", items, True)


def just_rejected(seen: Sequence[StageView], texts: Texts, most: int) -> Iterator[PageExcerpt]:
    """The candidates that have a text, then those without one."""
    found: list[tuple[bool, int, PageExcerpt]] = []
    for rank, (rule, row, text) in enumerate(_with_texts(seen, texts)):
        page = sample_of(row, rejected_facts(row, f"just rejected by {rule}"), cut(text, most), "(no address)")
        found.append((not text, rank, page))
    yield from (page for _, _, page in sorted(found, key=lambda item: item[:2])[:PAGES])


def _with_texts(seen: Sequence[StageView], texts: Texts) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """(rule, row of the ledger, text) of the candidates, each page once."""
    chosen = candidates(seen)
    rows: dict[tuple[int, int], Mapping[str, Any]] = {}
    found: dict[int, dict[Key, str]] = {}
    for index, view in enumerate(seen):
        numbers = {row for at, row, _ in chosen if at == index}
        mine = rows_at(view.dataset.ledger_parts(), numbers, LEDGER_COLUMNS)
        rows |= {(index, number): row for number, row in mine.items()}
        found[index] = texts.of(view, mine)
    told: set[Key] = set()
    for index, number, rule in chosen:
        row = rows[index, number]
        key = key_of(row)
        if key not in told:
            told.add(key)
            yield rule, row, found[index].get(key, "")


def candidates(seen: Sequence[StageView]) -> list[tuple[int, int, str]]:
    """(view, row of its ledger, rule): the nearest page of each rule, then the second nearest of each, and so on."""
    ranked = []
    for index, view in enumerate(seen):
        again = view.before is None or view.before.kind is not Kind.DOCUMENTS
        for place, (name, sample) in enumerate(view.rules):
            for rank, row in enumerate(sample.nearest(PAGES) if bound_of(name) else ()):
                ranked.append((again, rank, place, index, row, name))
    return [(index, row, name) for _, _, _, index, row, name in sorted(ranked)[:TRIED]]
