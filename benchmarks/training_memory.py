"""Whether the memory estimate of a training step is right: estimated and measured peaks of several shapes on a CPU.

    python -m benchmarks training_memory [--shapes wide]

Each shape takes two optimizer steps in a process of its own, after a step of a very small model, whose resident memory
is the zero. The measured peak is the process's largest resident memory above that.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.shared import ROOT, markdown
from infra.metering import worker_peak_memory

VOCABULARY = 8192
SHAPES: dict[str, dict[str, Any]] = {
    # What grows: the activations of experts, the vocabulary's weights, the parameters of experts.
    "wide": {"d_model": 256, "d_ff_expert": 64, "blocks": 1, "length": 1024, "sequences": 4, "micro": 2},
    "vocabulary": {"d_model": 256, "d_ff_expert": 32, "blocks": 1, "length": 256, "sequences": 2, "micro": 2,
                   "vocabulary": 65536},
    "experts": {"d_model": 256, "d_ff_expert": 256, "blocks": 1, "length": 512, "sequences": 2, "micro": 1},
}  # fmt: skip
MODES = ("none", "experts", "block")
DTYPES = ("float32", "bfloat16")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=[*SHAPES])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=[*MODES], help="of activation_checkpointing")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=[*DTYPES])


def config_of(shape: dict[str, Any], mode: str, dtype: str) -> Any:
    from trainer.config import Config, hybrid_layers

    d_model = shape["d_model"]
    return Config.from_dict(
        {
            "model": {
                "d_model": d_model, "n_heads": d_model // 32, "n_kv_heads": d_model // 128, "head_dim": 32,
                "window": shape["length"] // 16, "d_ff": 3 * d_model, "n_experts": 80,
                "d_ff_expert": shape["d_ff_expert"], "d_ff_shared": shape["d_ff_expert"],
                "layers": [layer.__dict__ for layer in hybrid_layers(shape["blocks"])],
            },
            "data": {"sequence_length": shape["length"], "global_batch_size": shape["sequences"]},
            "schedule": {"warmup_steps": 0, "trunk_steps": 10, "decay_steps": 0},
            "optimizer": {"learning_rate": 1e-3},
            "run": {"compute_dtype": dtype, "threads": 1},
            "execution": {"micro_batch_size": shape["micro"], "activation_checkpointing": mode},
        }
    )  # fmt: skip


def measure(words: list[str]) -> None:
    """In a process of its own: prints the bytes of the peak."""

    import numpy as np
    import psutil
    import torch

    from trainer.config import Config
    from trainer.data.pack import plain_batch
    from trainer.data.tokens import DataRef
    from trainer.prepare import prepare
    from trainer.state import TrainingState
    from trainer.train import accumulate_gradients

    def steps(config: Config, vocabulary: int) -> None:
        state = TrainingState.create(config, DataRef("0" * 64, "0" * 64, vocabulary, 2))
        prepare(state.model, config.execution)
        shape = (config.data.global_batch_size, config.data.sequence_length)
        for step in range(2):
            tokens = np.random.default_rng(step).integers(3, vocabulary, shape)
            k_MB = np.full((config.model.n_moe_layers, shape[0]), config.top_k.full_k)
            accumulate_gradients(state, plain_batch(tokens, tokens), k_MB)
            state.optimizer.clip(state.optimizer.grad_norm(), 1.0)
            state.optimizer.step(1e-3)
            state.optimizer.zero_grad()

    shape, mode, dtype = json.loads(words[0]), words[1], words[2]
    torch.set_num_threads(1)
    small = {"d_model": 128, "d_ff_expert": 8, "blocks": 1, "length": 32, "sequences": 2, "micro": 1}
    steps(config_of(small, mode, dtype), 256)
    before = psutil.Process().memory_info().rss
    steps(config_of(shape, mode, dtype), shape.get("vocabulary", VOCABULARY))
    print(worker_peak_memory() - before)


def run(args: argparse.Namespace) -> dict[str, Any]:
    from trainer.memory import ERROR, training_memory

    rows = []
    for name in args.shapes:
        shape = SHAPES[name]
        for dtype in args.dtypes:
            for mode in args.modes:
                command = [sys.executable, "-m", "benchmarks.training_memory", json.dumps(shape), mode, dtype]
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment())
                made = training_memory(config_of(shape, mode, dtype), shape.get("vocabulary", VOCABULARY))
                row = {"shape": name, "dtype": dtype, "recomputed": mode, **made._asdict()}
                rows.append({**row, "estimate": made.total, "measured": int(done.stdout)})
    worst = max(abs(row["measured"] / row["estimate"] - 1) for row in rows)
    return {"rows": rows, "worst": worst, "passed": worst <= ERROR}


def environment() -> dict[str, str]:
    """glibc then gives freed memory back at once, so that a peak is of what is held."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}


def show(found: dict[str, Any]) -> Iterator[str]:
    header = ["shape", "dtype", "recomputed", "estimate, MiB", "measured, MiB", "measured / estimate"]
    cells = [
        [row["shape"], row["dtype"], row["recomputed"], round(row["estimate"] / 2**20), round(row["measured"] / 2**20),
         f"{row['measured'] / row['estimate']:.2f}"]
        for row in found["rows"]
    ]  # fmt: skip
    yield from markdown(header, cells)
    yield f"\nlargest error {found['worst']:.0%}"


if __name__ == "__main__":
    measure(sys.argv[1:])
