"""Experts on several ranks compute what they compute on one, also where some of them get no row."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from tests.trainer.conftest import small_config
from tests.trainer.parallel.spawn import on_ranks
from trainer.experts import Experts
from trainer.parallel.exchange import ParallelExperts
from trainer.parallel.ranks import EP, joined
from trainer.state import CPU

RANKS = 2
MODEL = small_config().model


def rows_of(rank: int, sizes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of a rank, their weights, and the end of each expert's. Two rows more are of no expert."""
    generator = torch.Generator().manual_seed(rank)
    count = sum(sizes) + 2
    rows = torch.randn(count, MODEL.d_model, generator=generator, requires_grad=True)
    weights = torch.rand(count, generator=generator, requires_grad=True)
    return rows, weights, torch.tensor(sizes).cumsum(0).to(torch.int32)


def all_experts() -> Experts:
    experts, generator = Experts(MODEL), torch.Generator().manual_seed(9)
    with torch.no_grad():
        experts.w_in.normal_(0.0, 0.3, generator=generator)
        experts.w_out.normal_(0.0, 0.3, generator=generator)
    return experts


def outputs(experts: Experts, rank: int, sizes: list[int]) -> list[np.ndarray]:
    """Output of the rank's rows, and the gradients of rows, weights and experts under a loss of it."""
    rows, weights, ends = rows_of(rank, sizes)
    out = experts(rows, weights, ends)[: sum(sizes)]
    (out * torch.arange(out.numel()).view_as(out).cos()).sum().backward()
    assert rows.grad is not None and weights.grad is not None
    assert experts.w_in.grad is not None and experts.w_out.grad is not None
    # Gradients of rows of no expert are computed by nothing, and nothing takes them.
    found = (out, rows.grad[: len(out)], weights.grad[: len(out)], experts.w_in.grad, experts.w_out.grad)
    return [tensor.detach().numpy() for tensor in found]


def on_rank(sizes: list[list[int]]) -> list[np.ndarray]:
    with joined(CPU, RANKS) as ranks:
        assert ranks.mesh is not None
        group = ranks.mesh.get_group(EP)
        experts, whole = ParallelExperts(MODEL, group), all_experts()
        share = slice(dist.get_rank() * MODEL.n_experts // RANKS, (dist.get_rank() + 1) * MODEL.n_experts // RANKS)
        with torch.no_grad():
            experts.w_in.copy_(whole.w_in[share])
            experts.w_out.copy_(whole.w_out[share])
        return outputs(experts, ranks.rank, sizes[ranks.rank])


@pytest.mark.parametrize(
    "sizes",
    [[[3, 0] * 8, [1, 2] * 8], [[40] + [0] * 15, [7] + [0] * 15], [[0] * 16, [0] * 15 + [5]]],
    ids=["spread", "all on the first rank", "one rank without rows"],
)
def test_experts_on_ranks_are_experts_on_one(sizes: list[list[int]]) -> None:
    found = on_ranks(RANKS, on_rank, sizes)
    alone = [outputs(all_experts(), rank, sizes[rank]) for rank in range(RANKS)]
    for ours, theirs in zip(found, alone, strict=True):
        for one, other in zip(ours[:3], theirs[:3], strict=True):
            assert np.allclose(one, other, atol=1e-5)
    for place in (3, 4):
        summed = sum(each[place] for each in alone)
        assert np.allclose(np.concatenate([each[place] for each in found]), summed, atol=1e-4)
