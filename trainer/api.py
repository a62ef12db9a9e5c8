"""The trainer's public functions: train, freeze, branch, grow_branches, compare_branches, evaluate, calibrate_experts,
generate, export_model; and `TextScorer`, a checkpoint that scores texts.

Importing this module imports torch. A mistake of the caller raises `infra.errors.UsageError`. `train`, `freeze`,
`branch` and `grow_branches` may be called again with the same arguments: they resume where they stopped, or do nothing.
"""

from pathlib import Path
from typing import Any

from trainer.branches.branch import branch
from trainer.branches.compare import compare_branches
from trainer.branches.grow import grow_branches
from trainer.branches.trunks import find_trunk
from trainer.calibrate import calibrate_experts
from trainer.checkpoint import freeze_checkpoint
from trainer.evaluate import evaluate
from trainer.export.export import export_model
from trainer.forecast import ForecastConfig
from trainer.generate import generate
from trainer.run_files import of_latest
from trainer.sampling import Sampling
from trainer.text_scores import TextScorer
from trainer.train import OnStep, train

__all__ = [
    "ForecastConfig", "OnStep", "Sampling", "TextScorer", "branch", "calibrate_experts", "compare_branches", "evaluate",
    "export_model", "find_trunk", "freeze", "generate", "grow_branches", "train",
]  # fmt: skip


def freeze(run: Path, out: Path) -> dict[str, Any]:
    """Copy the latest checkpoint of `run` to the read-only folder `out`.

    Returns its folder, hashes, step and tokens. UsageError when `run` has no checkpoint, when a byte of it was
    changed, or when `out` holds another checkpoint.
    """
    checkpoint = of_latest(run, lambda folder: freeze_checkpoint(folder, out))
    return {"checkpoint": str(out), **checkpoint.summary()}
