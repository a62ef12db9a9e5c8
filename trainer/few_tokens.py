"""The experts of a few tokens on a CPU, in float32: one compiled call for all pairs of token and expert.

Decoding has a token of each sequence at a time, and what it costs is the reading of the weights. torch's grouped
product goes through all experts, also those without a token, and a product for each expert costs a call. Here each
expert that is used is read once, from end to end, and copied nowhere.

Shapes: T tokens, K experts per token, P = T x K pairs, E experts, D d_model, F d_ff_expert.
"""

import numpy as np
import torch
from torch import Tensor

from infra.compiled import compiled

PAIRS_PER_EXPERT = 4
"""With more pairs than so many times the experts, the arithmetic is what costs, and grouped products are faster."""


def sum_of_few(x_TD: Tensor, expert_TK: Tensor, weights_TK: Tensor, w_in: Tensor, w_out: Tensor) -> Tensor:
    """The weighted sum of the experts' outputs for each token, [T, D]; float32 on the CPU, without gradients. Expert E
    is none. `w_in` [E, D, 2F] and `w_out` [E, F, D] are those of `Experts`."""
    y_TD = torch.zeros_like(x_TD)
    pairs = (expert_TK.flatten(), weights_TK.flatten())
    _add_experts(*(tensor.detach().numpy() for tensor in (x_TD, *pairs, w_in, w_out, y_TD)))
    return y_TD


@compiled
def _add_experts(
    x_TD: np.ndarray, expert_P: np.ndarray, weight_P: np.ndarray, w_in: np.ndarray, w_out: np.ndarray, y_TD: np.ndarray
) -> None:
    """Adds to `y_TD`. Rows of a matrix are what is added up, so that each inner loop is over neighbours in memory and
    no sum has to be reordered to be computed in vectors. Pairs come in order of their experts: a token's sum is the
    same alone and among others."""
    E, D, F = w_in.shape[0], w_in.shape[1], w_out.shape[1]
    K = len(expert_P) // len(x_TD)
    h = np.empty(2 * F, np.float32)  # gate, then up
    for e in range(E):
        for p in range(len(expert_P)):
            if expert_P[p] == e:
                x, y = x_TD[p // K], y_TD[p // K]
                h[:] = 0.0
                for d in range(D):
                    for f in range(2 * F):
                        h[f] += x[d] * w_in[e, d, f]
                for f in range(F):
                    silu = h[f] / (np.float32(1.0) + np.exp(-h[f]))
                    weighted = silu * h[F + f] * weight_P[p]
                    for d in range(D):
                        y[d] += weighted * w_out[e, f, d]
