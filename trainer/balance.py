"""Balancing the experts' load: a selection bias that moves against it, or the three losses of Yi-Lightning.

Loads are summed over the whole global batch, all passes and ranks, before the bias moves (torchtitan #1304 moved it
each micro-batch); they come out of the forward pass, so computing activations again counts nothing twice (torchtitan
#3686), and padding is in none of them (Megatron-LM #6114).

Shapes: B sequences, E experts, R groups of experts, M MoE layers.
"""

from collections.abc import Sequence

from torch import Tensor

from trainer.config import LoadBalancingConfig
from trainer.experts import Routing


def balance_loss(config: LoadBalancingConfig, routings: Sequence[Routing]) -> Tensor:
    """The weighted balance loss of one forward pass, a scalar: the mean over its sequences, summed over layers.

    A loss over cells c (experts or groups) is sum_c f_c P_c, with f the cells' share of the load times the number of
    cells, and P their share of the scores: 1 at perfect balance.
    """
    total = routings[0].score_BE.new_zeros(())
    for routing in routings:
        if config.mode == "bias":
            total = total + config.sequence_loss_weight * cell_loss(routing.load_BE, routing.score_BE).mean()
        else:
            total = total + _three_losses(config, routing)
    return total


def _three_losses(config: LoadBalancingConfig, routing: Routing) -> Tensor:
    """Over experts, over groups of experts, and over groups within each sequence (Yi-Lightning, 2412.01253: L_ST, L_EP
    and L_PEP). The report does not say what a partition is; here it is a sequence."""
    load_BE, score_BE = routing.load_BE, routing.score_BE
    load_BR, score_BR = (x.view(len(x), config.groups, -1).sum(2) for x in (load_BE, score_BE))
    return (
        config.expert_loss_weight * cell_loss(load_BE.sum(0), score_BE.mean(0))
        + config.group_loss_weight * cell_loss(load_BR.sum(0), score_BR.mean(0))
        + config.partition_loss_weight * cell_loss(load_BR, score_BR).mean()
    )


def cell_loss(load: Tensor, score: Tensor) -> Tensor:
    """sum_c f_c P_c over the last dimension, [...]."""
    fraction = load * (load.shape[-1] / load.sum(-1, keepdim=True).clamp(min=1))
    return (fraction * score).sum(-1)


def updated_bias(bias_E: Tensor, load_E: Tensor, rate: float) -> Tensor:
    """The selection bias after one optimizer step: `rate` up for experts under the mean load, `rate` down for experts
    over it, then centred (Wang et al. 2024, 2408.15664, algorithm 1). `load_E`: tokens per expert, over the whole
    global batch."""
    load_E = load_E.double()
    moved_E = bias_E + rate * (load_E.mean() - load_E).sign().to(bias_E.dtype)
    return moved_E - moved_E.mean()


def load_imbalance(load_ME: Tensor) -> Tensor:
    """Largest load over mean load of each layer, [M]; 1 is perfect balance, and a layer without load has 0."""
    load_ME = load_ME.double()
    return load_ME.amax(-1) / load_ME.mean(-1).clamp(min=1e-9)
