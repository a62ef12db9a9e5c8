"""The last pass of a pool rule: joins documents row by row with their row of a table, and keeps or rejects each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from infra.dataset import schema as schemas
from infra.dataset.reader import ShardReader
from infra.engines.task import Output
from infra.hashing import sha256_json
from infra.ledger import Reject, ledger_rows
from pipeline.job.carried import Carried
from pipeline.job.funnel import one_by_one


class Verdict(NamedTuple):
    """The signals to add to a document, and its rejection, if any."""

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
    """Keeps the documents that the judge does not reject; each rejection is one ledger row."""

    judge: PoolJudge
    recipe: str
    carried: Carried

    @property
    def fingerprint(self) -> str:
        return sha256_json(["pool", self.judge.fingerprint, self.recipe, self.carried.fingerprint])

    @property
    def schema(self) -> pa.Schema:
        return self.carried.schema(self.judge.names)

    def __call__(self, part: Any, known: ShardReader) -> Iterator[Output]:
        abouts = (about for some in known.batches() for about in some.to_pylist())
        names = schemas.signal_names(self.schema)

        def judge(row: dict[str, Any]) -> list[dict[str, Any]]:
            verdict = self.judge(next(abouts))
            if verdict.reject:
                return ledger_rows(row, [verdict.reject], self.recipe)
            found = {**(row["signals"] or {}), **verdict.signals}
            row["signals"] = {name: found.get(name) for name in names}
            return []

        yield from one_by_one(part, self.schema, self.judge.step, self.recipe, judge)
