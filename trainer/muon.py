"""Muon: momentum whose singular values are all made about one, for matrices and for stacks of matrices.

Jordan et al. 2024 (kellerjordan.github.io/posts/muon), with the scale of Liu et al. 2025 (2502.16982, section 2.2), by
which an update has about the root mean square of AdamW's. `torch.optim.Muon` takes matrices alone; the experts of a
layer are one tensor [E, in, out], each of whose matrices is an update of its own here.

Parameters may be sharded (`DTensor`, as FSDP2 makes them). Experts that are dealt whole to the ranks are updated where
they are; of a matrix that is cut the momentum is gathered, and each rank keeps its part of the update.

Shapes: N matrices, R rows, C columns.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate, Shard

# Of the quintic iteration: chosen for a steep slope at 0, so singular values end between .7 and 1.2, not at 1.
A, B, C = 3.4445, -4.7750, 2.0315
STEPS = 5
RMS = 0.2  # that of AdamW's updates, about (2502.16982, section 2.2)
STACKED = "w_in"  # gate and up projections in one tensor: two matrices


class Muon:
    """Updates parameters of two or three dimensions that have a gradient; its state is a momentum for each."""

    def __init__(self, parameters: Mapping[str, Tensor], momentum: float, weight_decay: float) -> None:
        """`parameters` by name."""
        self.parameters, self.momentum, self.weight_decay = dict(parameters), momentum, weight_decay
        self.momenta = {name: torch.zeros_like(parameter) for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        for name, parameter in self.parameters.items():
            if parameter.grad is None:
                continue
            momentum = self.momenta[name]
            momentum.lerp_(parameter.grad, 1 - self.momentum)
            nesterov = parameter.grad.lerp(momentum, self.momentum)
            parameter.mul_(1 - learning_rate * self.weight_decay)
            parameter.add_(sharded_update(name, nesterov), alpha=-learning_rate)


def sharded_update(name: str, momentum: Tensor) -> Tensor:
    """`update`, also of a `DTensor`: sharded as that is."""
    if not isinstance(momentum, DTensor):
        return update(name, momentum)
    mesh, placements, whole = momentum.device_mesh, momentum.placements, Replicate()
    if momentum.ndim == 3 and all(placement in (Shard(0), whole) for placement in placements):
        made: Tensor = DTensor.from_local(update(name, momentum.to_local()), mesh, placements, run_check=False)
    else:
        full = update(name, momentum.full_tensor())
        made = DTensor.from_local(full, mesh, [whole] * mesh.ndim, run_check=False).redistribute(placements=placements)
    return made


def update(name: str, momentum: Tensor) -> Tensor:
    """The step of the parameter `name` at rate 1, of its shape: each of its matrices is made orthogonal by itself."""
    if name.rsplit(".", 1)[-1] != STACKED:
        return scaled(momentum)
    # Stored [2 F, in], or [E, in, 2 F] for experts.
    side = 0 if momentum.ndim == 2 else 2
    return torch.cat([scaled(part) for part in momentum.chunk(2, side)], side)


def scaled(matrices: Tensor) -> Tensor:
    """Orthogonal, times RMS sqrt(max(R, C)): an orthogonal matrix has a root mean square of 1 / sqrt(max(R, C))."""
    return orthogonal(matrices).mul_(RMS * max(matrices.shape[-2:]) ** 0.5)


def orthogonal(matrices: Tensor) -> Tensor:
    """For each matrix U S V of [..., R, C], about U V, in fp32: five steps of a quintic Newton-Schulz iteration.
    Products are in bfloat16 on a GPU, as the result need not be exact, and in fp32 elsewhere."""
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x: Tensor = matrices if wide else matrices.mT
    # The spectral norm is at most Frobenius's.
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    x = x.to(torch.bfloat16) if x.is_cuda else x
    for _ in range(STEPS):
        gram = x @ x.mT
        x = A * x + (B * gram + C * gram @ gram) @ x
    return x.float() if wide else x.mT.float()
