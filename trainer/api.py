"""The trainer's public functions: train, freeze, branch, evaluate, calibrate_experts, generate, export_model.

Importing this module imports torch. A mistake of the caller raises `infra.errors.UsageError`. `train`, `freeze` and
`branch` may be called again with the same arguments: they resume where they stopped, or do nothing.
"""

from pathlib import Path
from typing import Any

from trainer.branch import branch
from trainer.calibrate import calibrate_experts
from trainer.checkpoint import freeze_checkpoint
from trainer.evaluate import evaluate
from trainer.export.export import export_model
from trainer.generate import generate
from trainer.runs import find_checkpoint
from trainer.sampling import Sampling
from trainer.train import OnStep, train

__all__ = [
    "OnStep", "Sampling", "branch", "calibrate_experts", "evaluate", "export_model", "freeze", "generate", "train",
]  # fmt: skip


def freeze(run: Path, out: Path) -> dict[str, Any]:
    """Copy the latest checkpoint of `run` to the read-only folder `out`.

    Returns its folder, hashes, step and tokens. UsageError when `run` has no checkpoint, when a byte of it was
    changed, or when `out` holds another checkpoint.
    """
    checkpoint = freeze_checkpoint(find_checkpoint(run), out)
    return {"checkpoint": str(out), **checkpoint.summary()}
