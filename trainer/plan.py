"""What a run takes, before it is run: parameters, FLOPs, caches, memory and time; and advice where memory is too small.

Times are arithmetic: FLOPs of the tokens over GPUs x peak x a given MFU.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import torch

from infra.dataset.manifest import Manifest, manifest_path
from infra.errors import UsageError
from trainer.accelerators import GIB, Accelerator, accelerator
from trainer.cache import kv_bytes
from trainer.config import Config
from trainer.device import ranks_here
from trainer.formulas import expected_k, parameters, training_flops
from trainer.memory import Memory, kernels_of, tokens_of, training_memory
from trainer.parallel.ranks import launched
from trainer.schedule import total_steps

GPUS = (1, 8, 64, 2000)
DAY = 86400.0
BF16 = 2
MODES = ("none", "experts", "block")
HOST = torch.device("cpu")
MOST_OVER = 4  # times the free memory: an estimate that is over it is not tried, as the system would end the process
MOST_DOUBLINGS = 13  # of ranks, in advice
# Of the host's memory: batches that are read, ready (`prefetch.DEPTH`) and in use have five numbers for each token of a
# rank, and the mixture and k several for each sequence of the global batch.
BATCH_BYTES, SEQUENCE_BYTES = 4 * 22, 8 * 8


def plan_training(
    config_path: Path,
    data: Path | None = None,
    vocab_size: int | None = None,
    gpus: Sequence[int] = GPUS,
    gpu: str = "h100",
    mfu: float = 0.25,
    days: float = 42.0,
) -> dict[str, Any]:
    """What a run of `config_path` takes, with the vocabulary of the tokens dataset `data` or of `vocab_size` tokens.

    `gpus`: numbers of GPUs of the kind `gpu` (a name in `accelerators.ACCELERATORS`), which are kept at `mfu` (0 to 1)
    of their peak. `days`: the time for which tokens are counted. UsageError without a vocabulary, or for a number out
    of range.
    """
    config = Config.read(config_path)
    if (data is None) == (vocab_size is None):
        raise UsageError("give either --data, whose tokenizer sets the vocabulary, or --vocab-size")
    size = vocab_size if data is None else vocab_size_of(data)
    assert size is not None
    if size < 1 or not 0.0 < mfu <= 1.0 or not 0.0 < days < math.inf or min(gpus, default=0) < 1:
        raise UsageError("--vocab-size, --gpus and --days must be positive, and --mfu over 0 and at most 1")
    return plan(config, size, gpus, accelerator(gpu), mfu, days)


def plan(
    config: Config, vocab_size: int, gpus: Sequence[int], kind: Accelerator, mfu: float, days: float
) -> dict[str, Any]:
    """The figures of `plan_training`."""
    model, data = config.model, config.data
    numbers = parameters(model, vocab_size, config.top_k.full_k)
    tokens = total_steps(config.schedule) * data.global_batch_size * data.sequence_length
    flops = training_flops(model, vocab_size, data.sequence_length, expected_k(config.top_k))
    context = 16 * model.window
    kernels = kernels_of(config, "cuda")

    def on(count: int) -> dict[str, Any]:
        rate = mfu * kind.bf16_flops * count / flops
        memory = training_memory(config, vocab_size, kernels, count)
        return {
            "gpus": count,
            "sequences": data.global_batch_size // count,
            "memory_bytes": memory.total,
            "fits": memory.total <= kind.memory,
            "tokens_per_second": rate,
            "days": tokens / rate / DAY,
            "tokens_in_time": rate * days * DAY,
        }

    return {
        "vocab_size": vocab_size,
        "layers": len(model.layers),
        "parameters": numbers.total,
        "active_parameters": numbers.active,
        "embedding_parameters": numbers.embedding,
        "mean_k": expected_k(config.top_k),
        "sequence_length": data.sequence_length,
        "flops_per_token": flops,
        "context": context,
        "kv_bytes_per_token": kv_bytes(model, context, BF16) / context,
        "tokens": tokens,
        "gpu": kind.name,
        "mfu": mfu,
        "time_days": days,
        "on": [on(count) for count in gpus],
    }


def vocab_size_of(data: Path) -> int:
    """The vocabulary of a tokens dataset, from its manifest alone."""
    manifest = Manifest.read(manifest_path(data).parent)
    try:
        return int(manifest.params["tokenizer"]["vocab_size"])
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{data} is no tokens dataset: run `refinery tokenize` on it first") from None


def check_memory(
    config: Config,
    vocab_size: int,
    device: torch.device,
    tell: Callable[[str], None] | None = None,
    available: int | None = None,
) -> Memory:
    """The estimate for this rank, told in a line, and in another one what to change where the device has less.

    `available`: bytes; else what is free. UsageError, with the same advice, where weights and moments alone do not fit,
    or a step needs over `MOST_OVER` times as much.
    """
    ranks = launched()
    memory = training_memory(config, vocab_size, kernels_of(config, device.type), ranks)
    free = available_memory(device) if available is None else available
    if tell:
        tell(f"memory of a step: {parts_text(memory)}" + (f"; {gib(free)} are free" if free else ""))
    if free is not None and memory.total > free:
        advice = f"{gib(memory.total)} are needed and {gib(free)} are free; "
        advice += mending(config, vocab_size, device, ranks, free)
        if memory.weights + memory.moments > free:
            raise UsageError(f"the weights and moments of this model do not fit: {advice}")
        if memory.total > MOST_OVER * free:
            raise UsageError(f"a step does not fit: {advice}")
        if tell:
            tell(f"warning: this may run out of memory, {advice}")
    check_batches(config, ranks)
    return memory


def check_batches(config: Config, ranks: int) -> None:
    """UsageError where this rank's batches are larger than the host's free memory."""
    data = config.data
    tokens = -(-data.global_batch_size // ranks) * data.sequence_length
    size = BATCH_BYTES * tokens + SEQUENCE_BYTES * data.global_batch_size
    free = available_memory(HOST)
    if free is not None and size > free:
        raise UsageError(
            f"the batches of {data.global_batch_size} sequences do not fit: {gib(size)} are needed and {gib(free)} are "
            "free; use a smaller data.global_batch_size, or more ranks"
        )


def available_memory(device: torch.device) -> int | None:
    """Free bytes for this rank; None on the meta device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return None if device.type == "meta" else int(psutil.virtual_memory().available) // ranks_here()


def parts_text(memory: Memory) -> str:
    parts = ", ".join(f"{name} {gib(size)}" for name, size in memory._asdict().items())
    return f"about {gib(memory.total)} a rank ({parts})"


def gib(size: float) -> str:
    """Bytes as `0.012 GiB`, `3.4 GiB`, `120 GiB`."""
    value = size / GIB
    return f"{value:.0f} GiB" if value >= 100 else f"{value:.1f} GiB" if value >= 1 else f"{value:.2g} GiB"


def mending(config: Config, vocab_size: int, device: torch.device, ranks: int, free: int) -> str:
    """The least changes that make a step fit into `free` bytes, each with what it then needs."""
    execution = config.execution
    most = tokens_of(config, ranks) // config.data.sequence_length
    rows = [most >> shift for shift in range(1, most.bit_length())]
    modes = MODES[MODES.index(execution.activation_checkpointing) + 1 :]
    alone: list[list[dict[str, Any]]] = [
        [{"activation_checkpointing": mode} for mode in modes],
        [{"micro_batch_size": number} for number in rows],
    ]
    both = [{"micro_batch_size": number, "activation_checkpointing": mode} for number in rows for mode in modes]

    def first(changes: Iterable[dict[str, Any]], world: Iterable[int] = (ranks,)) -> Iterator[str]:
        """The first change that is enough, if there is one."""
        for change, number in product(changes, world):
            changed = replace(config, execution=replace(execution, **change))
            size = training_memory(changed, vocab_size, kernels_of(config, device.type), number).total
            if size <= free:
                words = [f"execution.{name} = {json.dumps(value)}" for name, value in change.items()]
                yield f"{' and '.join(words) or f'{number} ranks'} ({gib(size)})"
                return

    options = [option for changes in alone for option in first(changes)] or [*first(both)]
    options += first([{}], (ranks << shift for shift in range(1, MOST_DOUBLINGS)))
    options = options or [*first(both[-1:], (ranks << shift for shift in range(1, MOST_DOUBLINGS)))]
    return "use " + ", or ".join(options) if options else "train a smaller model"
