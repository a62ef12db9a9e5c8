"""The processes of a run: `Ranks` says which one this is, and sums over all of them. One process is a run of one rank.

torchrun, `launch.py` and `ray.py` start the same program on every rank, with the rank in its environment (`RANK`,
`WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR`, `MASTER_PORT`). Ranks make a mesh (dp, ep): the `execution.expert_parallel`
neighbours of a row share the experts of each layer, and ranks of a column hold the same experts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from infra.errors import RefineryError, UsageError, WorkError
from trainer.device import rank_variable

TIMEOUT = timedelta(minutes=10)  # of an exchange with a rank that is gone
FILES_TIMEOUT = timedelta(hours=6)  # of the slowest rank's part of a checkpoint
DP, EP = "dp", "ep"  # dimensions of the mesh


class RankLost(WorkError):
    """Another rank ended or does not answer. What ended it is told there, or by what started the ranks."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of the run. Without a mesh it is the only one, and sums are what they are given."""

    rank: int = 0
    world_size: int = 1
    expert_parallel: int = 1

    mesh: DeviceMesh | None = None
    """Of dimensions (dp, ep)."""

    flat: DeviceMesh | None = None
    """The same ranks in one dimension."""

    files: dist.ProcessGroup | None = None
    """Of all ranks, for the threads that write checkpoints."""

    @property
    def leads(self) -> bool:
        """Whether this rank writes the log and what else there is one of."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Its sum over ranks, in place."""
        if self.world_size > 1:
            dist.all_reduce(tensor)
        return tensor

    def share(self, sequences: int) -> slice:
        """The sequences of a global batch that are this rank's: those that `Loader.batch` gives it."""
        count = sequences // self.world_size
        return slice(self.rank * count, (self.rank + 1) * count)

    def wait(self) -> None:
        """Until every rank is here."""
        if self.world_size > 1:
            dist.barrier()

    def wait_for_files(self) -> None:
        """`wait` of the threads that write."""
        if self.files is not None:
            dist.barrier(group=self.files)

    def first_does(self, action: Callable[[], None]) -> None:
        """Rank 0 does it while the others wait. What it raises of ours is raised on every rank."""
        outcome: list[RefineryError | None] = [None]
        try:
            if self.leads:
                action()
        except RefineryError as error:
            outcome = [error]
        if self.world_size > 1:
            dist.broadcast_object_list(outcome, src=0)
        if outcome[0] is not None:
            raise outcome[0]


ONE = Ranks()


def launched() -> int:
    """How many ranks the process was started among: 1 where nothing says so."""
    return rank_variable("WORLD_SIZE", 1)


@contextmanager
def joined(device: torch.device, expert_parallel: int) -> Iterator[Ranks]:
    """This process's place among the ranks, which it meets here and leaves at the end of the block.

    UsageError unless `expert_parallel` divides their number. WorkError when the others are not met, RankLost when one
    is gone inside the block.
    """
    world_size = dist.get_world_size() if dist.is_initialized() else launched()
    if world_size % expert_parallel:
        raise UsageError(f"execution.expert_parallel is {expert_parallel}; it must divide the {world_size} ranks")
    if world_size == 1:
        yield ONE
        return
    met = not dist.is_initialized()
    if met:
        try:
            dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
        except (RuntimeError, ValueError) as error:
            raise WorkError(f"the ranks do not meet ({str(error).splitlines()[0]}): start them by torchrun") from None
    try:
        mesh = init_device_mesh(device.type, (world_size // expert_parallel, expert_parallel), mesh_dim_names=(DP, EP))
        files = dist.new_group(backend="gloo", timeout=FILES_TIMEOUT)
        yield Ranks(dist.get_rank(), world_size, expert_parallel, mesh, mesh._flatten(), files)
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):  # gloo has no error of its own
            raise
        raise RankLost(
            "another rank ended, or does not answer: run the same command again to go on from the latest checkpoint"
        ) from None
    finally:
        if met:
            dist.destroy_process_group()
