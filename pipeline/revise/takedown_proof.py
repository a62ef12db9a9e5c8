"""The proof of a takedown: reads and searches every shard, ledger and token index of the new datasets.

No listed URL or id and no key of a removed document may be found, not even as the survivor of a copy. Texts are
compared as well, by the hashes of all runs of thirteen words (a Chinese character counts as one; see
`dedup/shingles.py`): a document that shares runs with a removed text is not a failure, since the page may have another
URL or quote a common source, but it is listed, so that a person can decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup.shingles import shingles
from dedup.tables import Hashes
from infra.dataset.manifest import Header, Kind, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.engine import Engine
from infra.engines.task import Output
from infra.hashing import sha256_json
from pipeline.revise.listed import Listed
from pipeline.revise.takedown_apply import Gone, Key, Whole, WithLedger
from pipeline.stages.tokenize import MODEL, open_tokenizer

NGRAM = 13
# What a document shares with the removed texts: `runs` of them, `share` of its own.
SHARING = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("file_path", pa.string()),
        ("warc_offset", pa.int64()),
        ("runs", pa.int64()),
        ("share", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Removed:
    """What is taken down: matched entries of the list, keys, ids, and the runs of words of the texts."""

    entries: frozenset[str]
    keys: frozenset[Key] = field(repr=False)
    ids: frozenset[str] = field(repr=False)
    runs: Hashes = field(repr=False)

    @property
    def sha256(self) -> str:
        return sha256_json([sorted(self.keys), sorted(self.ids), self.runs.tolist()])

    @cached_property
    def gone(self) -> Gone:
        return Gone(frozenset((name, offset) for name, offset, _ in self.keys), self.ids)


def runs_of(text: str) -> Hashes:
    """The sorted distinct hashes of all runs of thirteen words."""
    return shingles(text, NGRAM)


def joined(hashes: list[Hashes]) -> Hashes:
    found: npt.NDArray[np.uint64] = np.unique(np.concatenate(hashes)) if hashes else np.empty(0, np.uint64)
    return found


@dataclass(frozen=True)
class SearchTask:
    """Searches one partition and its ledger. Counters: rows and ledger rows read, and listed documents found."""

    listed: Listed
    removed: Removed
    tokenizer: str | None = field(default=None, compare=False)
    schema: pa.Schema = field(default=SHARING, repr=False)

    @property
    def fingerprint(self) -> str:
        return sha256_json(["takedown-proof", self.listed.sha256, self.removed.sha256])

    def __call__(self, whole: Whole) -> Iterator[Output]:
        counts = {"search/rows": 0, "search/ledger_rows": 0, "search/texts": 0, "search/listed": 0}
        for rows in whole.part.batches():
            counts["search/rows"] += rows.num_rows
            found = []
            texts = self._texts(rows)
            for row in rows.select(SHARING.names[:4]).to_pylist():
                counts["search/listed"] += self._is_listed(row)
                text = next(texts, None)
                if text is not None:
                    counts["search/texts"] += 1
                    found += self._shared(row, text)
            if found:
                yield Output(pa.RecordBatch.from_pylist(found, SHARING))
        for rows in whole.ledger.batches():
            counts["search/ledger_rows"] += rows.num_rows
            for row in rows.to_pylist():
                gone = self.removed.gone
                named = gone.is_survivor_of(row, self.listed) or gone.is_evidence_of(row, self.listed)
                counts["search/listed"] += self._is_listed(row) or named
        yield Output(None, None, counts)

    def _is_listed(self, row: dict[str, Any]) -> bool:
        key = row["file_path"], row["warc_offset"], row["id"] or ""
        return self.listed.entry(row["url"], row["id"]) is not None or key in self.removed.keys

    def _texts(self, rows: pa.RecordBatch) -> Iterator[str]:
        """Yields the texts of a batch: its column, or its decoded tokens; none for records."""
        if "text" in rows.schema.names:
            yield from (text or "" for text in rows["text"].to_pylist())
        elif "tokens" in rows.schema.names and self.tokenizer:
            tokenizer = open_tokenizer(self.tokenizer)
            for tokens in rows["tokens"]:
                yield tokenizer.decode(tokens.values.to_numpy()[:-1])

    def _shared(self, row: dict[str, Any], text: str) -> list[dict[str, Any]]:
        mine = runs_of(text)
        runs = int(np.isin(mine, self.removed.runs, assume_unique=True).sum())
        return [{**row, "runs": runs, "share": runs / mine.size}] if runs else []


def search(engine: Engine, dataset: Dataset, listed: Listed, removed: Removed, name: str, work: Any) -> Dataset:
    """Searches one dataset; returns the table of the documents that share runs, with the counts of the search."""
    tokenizer = str(dataset.folder / MODEL) if dataset.kind is Kind.TOKENS else None
    header = Header(Kind.TABLE, f"takedown.{name}", RecipeRef("takedown", listed.sha256), {}, dataset.refs)
    return engine.map_shards(SearchTask(listed, removed, tokenizer), [WithLedger(dataset)], work, header)
