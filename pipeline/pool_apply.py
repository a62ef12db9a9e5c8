"""The last pass of a pool rule: documents beside what is known of each, row by row, and a verdict on every one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from infra import schema as schemas
from infra.canon import sha256_json
from infra.dataset import ShardReader
from infra.task import Output
from pipeline.funnel import Funnel, unreadable
from pipeline.interpreter import Reject
from pipeline.rows import batch, ledger_batch, ledger_rows


class Verdict(NamedTuple):
    """What a document learns about itself, and why it goes, if it goes."""

    signals: dict[str, float | None]
    reject: Reject | None


class PoolJudge(Protocol):
    """`names`: the signals that it adds to every document. Called with the document's row of the aligned table."""

    @property
    def step(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def fingerprint(self) -> str: ...

    def __call__(self, known: dict[str, Any]) -> Verdict: ...


@dataclass(frozen=True)
class ApplyPool:
    """Keeps what the judge lets through; each rejection is one row of the ledger."""

    judge: PoolJudge
    recipe: str
    carried: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        return sha256_json(["pool", self.judge.fingerprint, self.recipe, self.carried])

    @property
    def schema(self) -> pa.Schema:
        return schemas.documents({*self.carried, *self.judge.names})

    def __call__(self, part: Any, known: ShardReader) -> Iterator[Output]:
        table, names = known.table(), schemas.signal_names(self.schema)
        funnel = Funnel()
        start = 0
        for documents in part.batches():
            here = table.slice(start, documents.num_rows).to_pylist()
            start += documents.num_rows
            rows, ledger = [], []
            for row, about in zip(documents.to_pylist(), here, strict=True):
                funnel.count["in"] += 1
                verdict = self.judge(about)
                if verdict.reject:
                    funnel.count["rejected"] += 1
                    ledger += ledger_rows(row, [verdict.reject], self.recipe)
                    continue
                found = {**(row["signals"] or {}), **verdict.signals}
                row["signals"] = {name: found.get(name) for name in names}
                rows.append(row)
                funnel.passed(0, len(row["text"]), row["token_count"] or 0)
            yield Output(batch(rows, self.schema), ledger_batch(ledger))
        yield Output(None, ledger_batch(unreadable(part, funnel, self.recipe)), funnel.counts([self.judge.step]))
