"""Which part of a tensor a rank holds.

Everything is cut along its first dimension. FSDP cuts a parameter (and its gradient and moments) into as many chunks as
there are ranks; the experts of a layer are first dealt to the ep ranks, and a rank's experts cut into chunks over dp.
So a rank's part is a range of rows in any case, and the parts of all ranks are the whole without overlap. What is not
cut (router biases, counters) is whole on every rank.
"""

from typing import NamedTuple

from torch import Tensor
from torch.distributed.tensor import DTensor

from trainer.parallel.ranks import DP, EP, Ranks


class RankPart(NamedTuple):
    """Rows of a tensor: all of them, where it is not cut."""

    shape: tuple[int, ...]
    """Of the whole tensor."""

    first: int
    """The first row that is held."""

    rows: Tensor
    """The rows, not a copy; of a tensor without dimensions, the tensor."""

    whole: bool
    """Whether every rank holds all of it."""


def part_of(tensor: Tensor, ranks: Ranks) -> RankPart:
    """This rank's part of a tensor of the training state."""
    if not isinstance(tensor, DTensor):
        return RankPart(tuple(tensor.shape), 0, tensor, whole=True)
    mesh = tensor.device_mesh
    count = tensor.shape[0]
    chunk = -(-count // mesh.size())
    first = min(mesh.get_local_rank() * chunk, count)
    groups = 1
    if mesh.mesh_dim_names == (DP,):
        assert ranks.mesh is not None
        groups = ranks.expert_parallel
        first += ranks.mesh.get_local_rank(EP) * count
    return RankPart((count * groups, *tensor.shape[1:]), first, tensor.to_local(), whole=False)


def local(tensor: Tensor) -> Tensor:
    """The rows that this rank holds, not a copy."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def gathered(tensor: Tensor) -> Tensor:
    """The whole of a tensor of one or no dimension, on every rank; all ranks call it."""
    assert tensor.ndim <= 1
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
