"""The last pass of a pool rule: joins documents row by row with their row of a table, and keeps or rejects each."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from infra.dataset.reader import ShardReader
from infra.dataset.rows import with_signals
from infra.engines.task import Output
from infra.hashing import sha256_json
from infra.ledger import Reject
from pipeline.job.carried import Carried
from pipeline.job.funnel import Judged, by_batch, rejected_rows


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
        kind = self.schema.field("signals").type

        def judge(batch: pa.RecordBatch, first: int) -> Judged:
            del first
            verdicts = [self.judge(about) for about in islice(abouts, batch.num_rows)]
            rejected = [(row, [each.reject]) for row, each in enumerate(verdicts) if each.reject]
            kept = np.array([each.reject is None for each in verdicts], np.bool_)
            passed = [each.signals for each in verdicts if each.reject is None]
            found = {name: pa.array([each[name] for each in passed], pa.float64()) for name in self.judge.names}
            signals = with_signals(batch.column("signals").filter(pa.array(kept)), kind, found)
            return Judged(kept, rejected_rows(batch, rejected, self.recipe), {"signals": signals})

        yield from by_batch(part, self.schema, self.judge.step, self.recipe, judge)
