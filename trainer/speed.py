"""How fast a run is: tokens and FLOPs a second, and MFU.

Model FLOPs utilisation (PaLM, 2204.02311, appendix B): the FLOPs that the model needs for the tokens, by our formulas
and with the mean k of the step, over what the devices could do. Activations that are computed again are not counted. It
is given for bfloat16 on a GPU that `accelerators.py` knows; elsewhere there is the rate alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from trainer.accelerators import of_device
from trainer.config import Config
from trainer.formulas import training_flops


@dataclass(frozen=True)
class Speed:
    """Turns a step's log row and seconds into rates. FLOPs of a token are linear in k."""

    tokens: int
    """Of a step, over all ranks."""

    flops_without: float
    """Of a token, but for routed experts."""

    flops_per_expert: float
    """Of a token, for each routed expert that it uses."""

    peak: float | None
    """FLOP/s of all devices together; None where no MFU is given."""

    @staticmethod
    def of(config: Config, vocab_size: int, device: torch.device, world_size: int = 1) -> "Speed":
        length = config.data.sequence_length
        none, one = (training_flops(config.model, vocab_size, length, k) for k in (0, 1))
        peak = None
        if device.type == "cuda" and config.run.compute_dtype == "bfloat16":
            found = of_device(torch.cuda.get_device_name(device))
            peak = found and found.bf16_flops * world_size
        return Speed(config.data.global_batch_size * length, none, one - none, peak)

    def rates(self, row: Mapping[str, Any], seconds: float) -> dict[str, float]:
        """`seconds`, `tokens_per_second`, `flops_per_second` and, where there is a peak, `mfu` of a step."""
        tokens = self.tokens / seconds
        flops = tokens * (self.flops_without + self.flops_per_expert * row["mean_k"])
        rates = {"seconds": seconds, "tokens_per_second": tokens, "flops_per_second": flops}
        return rates | ({} if self.peak is None else {"mfu": flops / self.peak})
