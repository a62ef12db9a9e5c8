"""Makes a model ready to be carried out as `execution` says: what is computed again, and what is compiled."""

import torch

from trainer.config import ExecutionConfig
from trainer.model import Transformer


def prepare(model: Transformer, execution: ExecutionConfig) -> None:
    """Set the model's recomputation, and compile its blocks. The results stay the same, up to the order of sums."""
    model.recompute_blocks = execution.activation_checkpointing == "block"
    for moe in model.moe_layers():
        moe.recompute = execution.activation_checkpointing == "experts"
    if execution.compile:
        for block in model.layers():
            block.compile(dynamic=False)
    torch.set_float32_matmul_precision("highest")
