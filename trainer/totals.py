"""What a step has to know of the whole global batch: norm, loads and losses, summed over ranks at once.

Shapes: B sequences of the global batch, N domains, M MoE layers, K experts chosen per token, E experts.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainer.parallel.ranks import Ranks

Floats = npt.NDArray[np.float64]


class StepTotals(NamedTuple):
    """Of the global batch, the same on every rank."""

    norm: Tensor
    """The L2 norm of the gradients, on the device."""

    load_MKE: Tensor
    """Tokens that use expert e of each MoE layer as their (k + 1)-th, int64, on the device."""

    host_norm: float
    host_load_MKE: Tensor
    """The two on the host."""

    nats_BN: Floats
    """Sum of the cross-entropies of a sequence's targets by domain."""

    tokens_BN: Floats
    """Their number."""

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats per token."""
        return float(self.nats_BN.sum() / self.tokens_BN.sum())


def totals(
    ranks: Ranks, norm: Tensor, load_MKE: Tensor, nats_bL: Tensor, domains_bL: Tensor, sequences: int, domains: int
) -> StepTotals:
    """Add up what each rank has of a batch of `sequences`. `norm`, loads and losses are those of its part; each target
    has a domain, an int64.

    Losses are summed within a sequence first, and then over sequences in their order, so they do not depend on the
    number of ranks. The sums are one exchange in fp64, where counts are exact.
    """
    share = ranks.share(sequences)
    losses_2BN = torch.zeros((2, sequences, domains), dtype=torch.float64, device=norm.device)
    nats_bL = nats_bL.double()
    losses_2BN[0, share].scatter_add_(1, domains_bL, nats_bL)
    losses_2BN[1, share].scatter_add_(1, domains_bL, torch.ones_like(nats_bL))
    flat = ranks.sum(torch.cat((norm.double().square()[None], load_MKE.double().flatten(), losses_2BN.flatten())))
    # The step waits for the device here and nowhere else, but for what experts on several ranks need.
    read = flat.cpu()
    loads = slice(1, 1 + load_MKE.numel())
    nats_BN, tokens_BN = read[loads.stop :].view(losses_2BN.shape).numpy()
    return StepTotals(
        flat[0].sqrt().to(norm.dtype),
        flat[loads].view(load_MKE.shape).long(),
        float(read[0].sqrt()),
        read[loads].view(load_MKE.shape),
        nats_BN,
        tokens_BN,
    )
