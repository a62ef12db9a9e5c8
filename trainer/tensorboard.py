"""A run's log as TensorBoard's event files, in RUN/tensorboard."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.extras import extra

FOLDER = "tensorboard"
SCALARS = (
    "loss",
    "learning_rate",
    "grad_norm",
    "mean_k",
    "tokens_per_second",
    "flops_per_second",
    "mfu",
)


class EventFiles:
    """Writes a row's numbers after every step (a `trainer.train.OnStep`). UsageError where tensorboard is missing.

    A resumed run hides what an earlier process wrote from its first step on, as the log is cut there too.
    """

    def __init__(self, run: Path) -> None:
        with extra("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter
        self._make, self._folder = SummaryWriter, run / FOLDER
        self._writer: Any = None

    def __call__(self, row: Mapping[str, Any], last_step: int) -> None:
        if self._writer is None:
            self._writer = self._make(self._folder, purge_step=row["step"])
        for name, value in scalars(row):
            self._writer.add_scalar(name, value, row["step"])
        if row["step"] == last_step:
            self.close()

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def scalars(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a log row by their names in TensorBoard; nothing for a loss that is not finite."""
    for name in SCALARS:
        if row.get(name) is not None:
            yield name, row[name]
    for name in ("loss_by_domain", "loss_by_k"):
        for key, value in row.get(name, {}).items():
            if value is not None:
                yield f"{name}/{key}", value
    for i, value in enumerate(row.get("load_imbalance", ())):
        yield f"load_imbalance/layer_{i:02}", value
    for i, value in enumerate(row.get("load_imbalance_by_k", ())):
        yield f"load_imbalance_by_k/{i + 1:02}", value
    yield "skipped", float(bool(row.get("skipped")))
