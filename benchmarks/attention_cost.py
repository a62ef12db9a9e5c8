"""What a sliding and a full layer cost as the context grows: KV bytes, counted FLOPs, CPU seconds, and their slopes.

    python -m benchmarks attention_cost [--window 1024 --longest 16384]

One layer of each kind, 4 query heads on 2 key/value heads of 32 features, one sequence of one document, in fp32. KV
bytes are those of live caches. FLOPs are of the forward pass of attention alone, counted by torch's counter for the
keys that a query attends to, and compared with `trainer/formulas.py`. Seconds are CPU seconds of one thread, the best
of three. A slope is the logarithm to base 2 of what doubling the length multiplies a cost by: 1 is linear, 2 quadratic.
"""

import argparse
import math
import time
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.counted_flops import counted_flops
from benchmarks.shared import markdown
from trainer.attention import KV, Kind
from trainer.cache import Caches, kv_bytes
from trainer.config import LayerConfig, ModelConfig
from trainer.formulas import mean_keys
from trainer.plans import packed_plan

KINDS: tuple[Kind, ...] = ("sliding", "full")
HEADS, KV_HEADS, HEAD_DIM = 4, 2, 32


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--shortest", type=int, default=1024)
    parser.add_argument("--longest", type=int, default=16384)


def one_layer(kind: Kind, window: int) -> ModelConfig:
    return ModelConfig(128, HEADS, KV_HEADS, HEAD_DIM, window, 128, 8, 8, 8, (LayerConfig(kind, 0, "dense"),))


def cost(kind: Kind, window: int, length: int) -> dict[str, float]:
    """Of one layer of a kind. An error where a formula is not what is counted."""
    config = one_layer(kind, window)
    live = Caches(config, 1, length).allocated_bytes
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(1, HEADS, length, HEAD_DIM, generator=generator)
    kv = KV(*(torch.randn(1, KV_HEADS, length, HEAD_DIM, generator=generator) for _ in range(2)))
    with torch.no_grad():
        plan = packed_plan(config, torch.zeros(1, length, dtype=torch.int64), torch.device("cpu"), torch.float32)
        flops = counted_flops(lambda: plan.attend(kind, q, kv))
        seconds = []
        for _ in range(3):
            began = time.process_time()
            plan.attend(kind, q, kv)
            seconds.append(time.process_time() - began)
    formula = 4 * HEADS * HEAD_DIM * mean_keys(config, config.layers[0], length) * length
    if live != kv_bytes(config, length) or flops != round(formula):
        raise AssertionError(f"{kind} at {length}: {live} bytes and {flops} FLOPs are not what the formulas say")
    return {"kv_bytes": live, "flops": flops, "seconds": min(seconds)}


def run(args: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(1)
    lengths = [args.shortest]
    while lengths[-1] * 2 <= args.longest:
        lengths.append(lengths[-1] * 2)
    costs = {kind: {length: cost(kind, args.window, length) for length in lengths} for kind in KINDS}
    return {"window": args.window, "costs": costs, "slopes": {kind: slopes(costs[kind]) for kind in KINDS}}


def slopes(costs: dict[int, dict[str, float]]) -> dict[int, dict[str, float]]:
    """By the longer of two lengths, and by measure."""
    pairs = zip([*costs], [*costs][1:])
    return {
        longer: {name: math.log2(costs[longer][name] / costs[shorter][name]) for name in costs[longer]}
        for shorter, longer in pairs
    }


def show(found: dict[str, Any]) -> Iterator[str]:
    header = ["kind", "length", "KV KiB", "slope", "MFLOP", "slope", "CPU ms", "slope"]
    rows = []
    for kind, costs in found["costs"].items():
        for length, row in costs.items():
            slope = found["slopes"][kind].get(length, {})
            cells = [kind, f"{length:,}"]
            for name, scale in (("kv_bytes", 1 / 1024), ("flops", 1e-6), ("seconds", 1e3)):
                value = row[name] * scale
                cells += [f"{value:,.0f}" if value >= 100 else f"{value:.1f}", f"{slope[name]:.2f}" if slope else ""]
            rows.append(cells)
    yield f"Window {found['window']:,}."
    yield ""
    yield from markdown(header, rows)
