"""Writes checkpoints while the steps go on.

A checkpoint begins with a copy of this rank's part of the state, for which alone the step waits. A thread hashes and
writes it into a hidden folder; when the threads of all ranks have, rank 0's writes the header and renames the folder. A
rank that is killed at any moment leaves the checkpoint whole or the hidden folder, which the next start removes.
"""

import threading
from collections.abc import Collection, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

import torch

from infra.errors import WorkError
from infra.storage import TEMPORARY, disk_errors, sync_files, sync_folder
from trainer.checkpoint import write_header
from trainer.parallel.layout import local
from trainer.parallel.ranks import Ranks
from trainer.run_files import step_name
from trainer.runs import RunFolder
from trainer.state import TrainingState
from trainer.tensor_files import TensorRows, write_part


class Saver:
    """Checkpoints of one run. A context: when the block ends, what was begun is written, unless other ranks that must
    write too may be gone, after an error."""

    def __init__(
        self, run: RunFolder, ranks: Ranks, tokenizer: bytes, lineage: Mapping[str, Any] | None, keep: Collection[int]
    ) -> None:
        """`keep`: steps whose checkpoints stay when later ones are written."""
        self.run, self.ranks, self.tokenizer, self.keep = run, ranks, tokenizer, keep
        self.lineage = dict(lineage or {})
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._written: int | None = None  # the last checkpoint that was written

    def begin(self, state: TrainingState) -> None:
        """Copy the state, and begin to write it. Waits for the checkpoint before, if that is still being written.

        WorkError for weights that are not finite, which no checkpoint is made of.
        """
        self.finish()
        check_weights(state)
        work = state.step, state.rows(), state.header(), asdict(state.config.execution)
        self._thread = threading.Thread(target=self._run, args=work, name="checkpoint", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what writing has raised."""
        if self._error is not None:
            raise self._error

    def used(self) -> None:
        """Say that a step with the weights of the last checkpoint was sound: those before it are deleted."""
        step, self._written = self._written, None
        if step is not None and self.ranks.leads:
            self.run.remove_before(step, self.keep)

    def finish(self) -> None:
        """Wait until the checkpoint that was begun is whole. Raises what writing it has raised."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            self.finish()
            self.used()
        elif self._thread is not None and self.ranks.world_size == 1:
            self._thread.join()

    def _run(self, step: int, rows: list[TensorRows], state: dict[str, Any], execution: dict[str, Any]) -> None:
        try:
            self._write(step, rows, state, execution)
        except BaseException as error:
            self._error = error

    def _write(self, step: int, rows: list[TensorRows], state: dict[str, Any], execution: dict[str, Any]) -> None:
        folder = self.run.checkpoints / step_name(step)
        hidden = folder.with_name(f"{TEMPORARY}{folder.name}")
        with disk_errors(self.run.folder):
            hidden.mkdir(exist_ok=True)
            write_part(hidden, self.ranks.rank, rows)
            self.ranks.wait_for_files()
            if self.ranks.leads:
                write_header(hidden, state, execution, self.tokenizer, self.lineage)
                sync_files(path for path in hidden.iterdir() if not path.name.startswith("part-"))
                hidden.rename(folder)
                sync_folder(folder.parent)
        self._written = step


def check_weights(state: TrainingState) -> None:
    """WorkError where a weight of any rank's part is not finite."""
    finite = torch.stack([local(parameter).isfinite().all() for parameter in state.model.parameters()])
    if int(state.ranks.sum((~finite).sum())):
        raise WorkError(
            f"the weights are not finite after step {state.step}: lower optimizer.learning_rate and start again in "
            "another folder, or branch from the last checkpoint"
        )
