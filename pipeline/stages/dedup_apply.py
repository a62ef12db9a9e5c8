"""The last pass of a deduplication: joins documents with their decisions, partition by partition."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa

from infra.dataset import schema as schemas
from infra.dataset.reader import ShardReader
from infra.engines.task import Output
from infra.hashing import sha256_json
from infra.ledger import Reject, ledger_rows
from mixers.pretokens import count as count_tokens
from pipeline.job.carried import Carried
from pipeline.job.funnel import one_by_one


@dataclass(frozen=True)
class ApplyDecisions:
    """Removes the copies, with survivor and similarity in the ledger; sets `copies` and `snapshots` of the survivors.

    `carried`: None if records are deduplicated.
    """

    step: str
    method: str
    threshold: float | None
    recipe: str
    carried: Carried | None

    @property
    def fingerprint(self) -> str:
        carried = None if self.carried is None else self.carried.fingerprint
        return sha256_json(["apply", self.step, self.method, self.threshold, self.recipe, carried])

    @property
    def schema(self) -> pa.Schema:
        return schemas.RECORDS if self.carried is None else self.carried.schema()

    def __call__(self, part: Any, decisions: ShardReader) -> Iterator[Output]:
        decided = {row["row"]: row for row in decisions.table().to_pylist()}
        numbers = count()

        def apply(row: dict[str, Any]) -> list[dict[str, Any]]:
            decision = decided.get(next(numbers))
            if decision and not decision["kept"]:
                return [self._removal(row, decision)]
            row |= {name: decision[name] for name in ("copies", "snapshots")} if decision else {}
            return []

        yield from one_by_one(part, self.schema, self.step, self.recipe, apply)

    def _removal(self, row: dict[str, Any], decision: dict[str, Any]) -> dict[str, Any]:
        similarity = decision["similarity"]
        reject = Reject(self.step, f"copy_{self.method}", similarity, self.threshold)
        (line,) = ledger_rows(row, [reject], self.recipe)
        return line | {"survivor": decision["survivor"], "similarity": similarity}


@dataclass(frozen=True)
class ApplyCuts:
    """Cuts the decided parts out of each document; a document with nothing left is rejected by `rule`.

    `column`: the column of part numbers in the decisions (lines, tokens); `left(text, numbers)`: the text that remains,
    or None.
    """

    step: str
    recipe: str
    carried: Carried
    column: str
    rule: str
    left: Callable[[str, Any], str | None]
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def fingerprint(self) -> str:
        return sha256_json(["cuts", self.step, self.recipe, self.carried.fingerprint, self.rule, self.options])

    @property
    def schema(self) -> pa.Schema:
        return self.carried.schema()

    def __call__(self, part: Any, found: ShardReader) -> Iterator[Output]:
        table = found.table(["row", self.column])
        owners, numbers = table["row"].to_numpy(), table[self.column].to_numpy()
        order = np.lexsort((numbers, owners))
        owners, numbers = owners[order], numbers[order]
        rows = count()

        def cut(row: dict[str, Any]) -> list[dict[str, Any]]:
            number = next(rows)
            low, high = np.searchsorted(owners, [number, number + 1])
            text = self.left(row["text"], numbers[low:high], **dict(self.options))
            if text is None:
                return ledger_rows(row, [Reject(self.step, self.rule, 0.0, 1.0)], self.recipe)
            row |= {"text": text, "token_count": count_tokens(text)}
            return []

        yield from one_by_one(part, self.schema, self.step, self.recipe, cut)
