"""The trainer's verbs as plain functions: what the command line calls. Importing this loads torch.

A mistake of the caller is an `infra.errors.UsageError`. Every function can be called again with the same arguments:
it goes on where it stopped, or does nothing.
"""

from pathlib import Path
from typing import Any

from trainer.branch import branch
from trainer.checkpoint import freeze_checkpoint
from trainer.evaluate import evaluate
from trainer.generate import generate
from trainer.runs import find_checkpoint
from trainer.train import Progress, train

__all__ = ["Progress", "branch", "evaluate", "freeze", "generate", "train"]


def freeze(run: Path, out: Path) -> dict[str, Any]:
    """Freeze the latest checkpoint of the run `run` as the read-only folder `out`; its hashes."""
    checkpoint = freeze_checkpoint(find_checkpoint(run), out)
    return {"checkpoint": str(out), **checkpoint.summary()}
