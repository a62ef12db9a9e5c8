"""Where a model runs, and torch's settings for reproducible sums."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from infra.errors import UsageError

COMPUTE_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def choose_device(name: str = "auto") -> torch.device:
    """`name` as a device: `auto` is CUDA where there is a GPU, under torchrun the rank's own, else the CPU. UsageError
    for a device that is not there."""
    local = rank_variable("LOCAL_RANK", 0)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"no device {name!r}: use auto, cpu or cuda") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise UsageError("no CUDA device is here: use --device cpu, or auto")
        device = torch.device("cuda", local if device.index is None else device.index)
        torch.cuda.set_device(device)
    elif device.type not in ("cpu", "meta"):
        raise UsageError(f"the trainer runs on cpu and cuda, not on {device.type}")
    return device


def ranks_here() -> int:
    """Ranks on this machine."""
    return rank_variable("LOCAL_WORLD_SIZE", 1)


def rank_variable(name: str, default: int) -> int:
    """A number that torchrun gives the processes that it starts. UsageError where the variable is none, or below the
    default."""
    said = os.environ.get(name, str(default))
    if not said.isascii() or not said.isdecimal() or int(said) < default:
        raise UsageError(
            f"the environment has {name}={said}, which torchrun sets to a number: unset it, or use torchrun"
        )
    return int(said)


@contextmanager
def reproducible(threads: int, device: torch.device) -> Iterator[None]:
    """On a CPU, use deterministic kernels only, on `threads` threads: inside the block the same input gives the same
    bits. On a GPU the fast kernels run, whose sums may differ in their last bits from run to run."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(device.type == "cpu")
    # Filling new tensors guards against reads before writes, which no code here does, and costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
