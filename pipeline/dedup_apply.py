"""The last pass of a deduplication: documents beside the decisions that speak of them, partition by partition."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from infra import schema as schemas
from infra.canon import sha256_json
from infra.dataset import ShardReader
from infra.task import Output
from mixers.pretokens import count as count_tokens
from pipeline.funnel import Funnel, unreadable
from pipeline.interpreter import Reject
from pipeline.rows import batch, ledger_batch, ledger_rows


@dataclass(frozen=True)
class ApplyDecisions:
    """Removes the copies, with survivor and similarity in the ledger; survivors learn how many there were.

    `carried`: the signals of the documents; None when it is records that are deduplicated.
    """

    step: str
    method: str
    threshold: float | None
    recipe: str
    carried: tuple[str, ...] | None

    @property
    def fingerprint(self) -> str:
        return sha256_json(["apply", self.step, self.method, self.threshold, self.recipe, self.carried])

    @property
    def schema(self) -> pa.Schema:
        return schemas.RECORDS if self.carried is None else schemas.documents(self.carried)

    def __call__(self, part: Any, decisions: ShardReader) -> Iterator[Output]:
        decided = {row["row"]: row for row in decisions.table().to_pylist()}
        funnel = Funnel()
        number = 0
        for documents in part.batches():
            rows, ledger = [], []
            for row in documents.to_pylist():
                decision = decided.get(number)
                number += 1
                funnel.count["in"] += 1
                if decision is None or decision["kept"]:
                    row |= {name: decision[name] for name in ("copies", "snapshots")} if decision else {}
                    rows.append(row)
                    funnel.passed(0, len(row.get("text") or ""), row.get("token_count") or 0)
                else:
                    funnel.count["rejected"] += 1
                    ledger.append(self._removal(row, decision))
            yield Output(batch(rows, self.schema), ledger_batch(ledger))
        yield Output(None, ledger_batch(unreadable(part, funnel, self.recipe)), funnel.counts([self.step]))

    def _removal(self, row: dict[str, Any], decision: dict[str, Any]) -> dict[str, Any]:
        similarity = decision["similarity"]
        reject = Reject(self.step, f"copy_{self.method}", similarity, self.threshold)
        (line,) = ledger_rows(row, [reject], self.recipe)
        return line | {"survivor": decision["survivor"], "similarity": similarity}


@dataclass(frozen=True)
class ApplyCuts:
    """Cuts from each document what the decisions say of it; one of which nothing is left is rejected by `rule`.

    `column`: what the decisions number (lines, tokens); `left(text, numbers)`: the text that stays, or None.
    """

    step: str
    recipe: str
    carried: tuple[str, ...]
    column: str
    rule: str
    left: Callable[[str, Any], str | None]
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def fingerprint(self) -> str:
        return sha256_json(["cuts", self.step, self.recipe, self.carried, self.rule, self.options])

    @property
    def schema(self) -> pa.Schema:
        return schemas.documents(self.carried)

    def __call__(self, part: Any, found: ShardReader) -> Iterator[Output]:
        table = found.table(["row", self.column])
        owners, numbers = table["row"].to_numpy(), table[self.column].to_numpy()
        order = np.lexsort((numbers, owners))
        owners, numbers = owners[order], numbers[order]
        funnel = Funnel()
        number = 0
        for documents in part.batches():
            rows, ledger = [], []
            for row in documents.to_pylist():
                low, high = np.searchsorted(owners, [number, number + 1])
                number += 1
                funnel.count["in"] += 1
                text = self.left(row["text"], numbers[low:high], **dict(self.options))
                if text is None:
                    funnel.count["rejected"] += 1
                    ledger += ledger_rows(row, [Reject(self.step, self.rule, 0.0, 1.0)], self.recipe)
                    continue
                row |= {"text": text, "token_count": count_tokens(text)}
                rows.append(row)
                funnel.passed(0, len(text), row["token_count"])
            yield Output(batch(rows, self.schema), ledger_batch(ledger))
        yield Output(None, ledger_batch(unreadable(part, funnel, self.recipe)), funnel.counts([self.step]))
