"""`plan-data` from its arguments to its answer: a law that is fitted to a table, read from a file, or shipped."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import UsageError
from infra.storage import disk_errors, write_bytes
from trainer.scaling.plan_data import DataQuestion, amount, plan_data, told
from trainer.scaling.pool_files import as_json, card_of, law_bytes, read_pool_law, shipped_law
from trainer.scaling.pool_law import FittedPools, fit_pools
from trainer.scaling.pool_runs import loss_named, read_pool_runs
from trainer.scaling.tables import Tell


@dataclass(frozen=True)
class DataPlanner:
    """`about`: where the law is from (`from`), of which `loss`, its `card`, and a line for people, `told`."""

    fitted: FittedPools
    about: Mapping[str, Any]

    @classmethod
    def of(
        cls, table: Path | None = None, law: Path | None = None, loss: str | None = None, tell: Tell | None = None
    ) -> "DataPlanner":
        """The law of a table, of a file, or the shipped one. UsageError for both, and for what cannot be read."""
        if table is not None and law is not None:
            raise UsageError("give --table, to fit a law, or --law, one that was fitted: not both")
        if table is not None:
            runs = read_pool_runs(table, loss, tell)
            fitted = fit_pools(runs)
            name = loss_named(table, loss)
            card = card_of({"table": table.name}, fitted, runs.losses.size, name)
            return cls(fitted, _about("table", name, card, fitted))
        path = law or shipped_law()
        fitted, found = read_pool_law(path, loss)
        return cls(fitted, _about("file" if law else "shipped", found["loss"], found["card"], fitted))

    def save(self, out: Path) -> None:
        """Write the law, as `--law` reads it."""
        with disk_errors(out.parent):
            write_bytes(out, law_bytes(as_json({self.about["loss"]: self.fitted}, self.about["card"])))

    def answer(self, budget: float, parameters: float, available: float | None = None) -> dict[str, Any]:
        """`plan_data` of the question, with `law`, what it stands on, and `told`: both in lines for people."""
        found = plan_data(self.fitted, DataQuestion(budget, parameters, available))
        return {**found, "law": dict(self.about), "told": [*told(found), self.about["told"]]}


def check_out(out: Path | None, table: Path | None) -> None:
    """UsageError, before anything is fitted, for a law that nobody fits, and for a place that is no file's."""
    if out is None:
        return
    if table is None:
        raise UsageError("--out keeps the law that --table fits: give --table")
    if out.is_dir() or not out.parent.is_dir():
        raise UsageError(f"--out {out} is a folder, or lies in none that is there: name a file")
    if out.resolve() == table.resolve():
        raise UsageError(f"--out {out} is the table itself: name another file")


def _about(source: str, loss: str, card: Mapping[str, Any], fitted: FittedPools) -> dict[str, Any]:
    ends = {name: f"{amount(low)} to {amount(high)}" for name, (low, high) in fitted.ranges.items()}
    line = (
        f"The law is of {loss}, fitted on {card['runs']} runs: {ends['params']} parameters, {ends['tokens']} tokens, "
        f"up to {fitted.ranges['epochs'][1]:.3g} epochs, pools {', '.join(fitted.rates)}; "
        f"off by {fitted.error:.2%} on them"
    )
    if "not_trusted" in card:
        line += f". {card['not_trusted']}"
    return {"from": source, "loss": loss, "card": dict(card), "told": line}
