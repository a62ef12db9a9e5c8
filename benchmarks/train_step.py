"""A training step beside a dense model's of equal active parameters, and its parts alone: attention, experts.

    python -m benchmarks train_step [--device cuda] [--size tiny|base] [--parts step,attention,experts] [--seconds 200]

The model is the shipped configuration `base` on a GPU, compiled, and `tiny` on a CPU, with 12 experts for each token
but in the step that draws k. The dense twin is a plain transformer: SwiGLU, causal attention without documents, no
experts. Attention is timed forward and backward by length, in each way that the device has; experts beside a dense
SwiGLU of the same FLOPs. MFU counts the FLOPs of `trainer.formulas.training_flops` against the peak of the device. It
ends by itself after `--seconds`, with what there was time for.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.accelerators import of_device
from trainer.attention import KV
from trainer.config import Config, ExecutionConfig, ModelConfig
from trainer.data.pack import Batch, plain_batch
from trainer.data.tokens import DataRef
from trainer.device import choose_device
from trainer.experts import MoE
from trainer.formulas import parameters, training_flops
from trainer.plans import packed_plan
from trainer.policies import KPolicy, draw_k
from trainer.prepare import prepare
from trainer.start import config_file
from trainer.state import TrainingState
from trainer.train import accumulate_gradients

VOCABULARY = {"tiny": 8_192, "base": 65_536}
MEAN_DOCUMENT = 1000
PAIRS = 15


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", choices=list(VOCABULARY), help="default: base on a GPU, tiny on a CPU")
    parser.add_argument("--parts", default="step,attention,experts")
    parser.add_argument("--seconds", type=float, default=200)
    parser.add_argument("--eager", action="store_true", help="on a GPU, compile nothing")


def run(args: argparse.Namespace) -> dict[str, Any]:
    device = choose_device(args.device)
    bench = StepBench(device, args.size or ("base" if device.type == "cuda" else "tiny"), args.eager, args.seconds)
    rows: list[dict[str, Any]] = []
    for part in args.parts.split(","):
        rows += {"step": step_rows, "attention": attention_rows, "experts": experts_rows}[part](bench)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {"device": name, "size": bench.size, "torch": torch.__version__, "rows": rows}


def show(found: dict[str, Any]) -> list[str]:
    lines = [f"{found['device']}, {found['size']}, torch {found['torch']}"]
    for row in found["rows"]:
        values = (f"{name} {_number(value)}" for name, value in row.items() if name != "what")
        lines.append(f"{row['what']:44} {', '.join(values)}")
    return lines


def _number(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


@dataclass
class StepBench:
    """The device, and the clock."""

    device: torch.device
    size: Literal["tiny", "base"]
    eager: bool
    seconds: float

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.cuda = self.device.type == "cuda"
        self.dtype = torch.bfloat16 if self.cuda else torch.float32
        self.compiles = self.cuda and not self.eager

    @property
    def late(self) -> bool:
        return time.monotonic() - self.began > self.seconds

    def clock(self, call: Callable[[], object], least: int = 3, seconds: float = 1.0) -> float:
        """Seconds of a call, the median, after two that warm up."""
        for _ in range(2):
            call()
        taken: list[float] = []
        while len(taken) < least or (sum(taken) < seconds and not self.late):
            self.wait()
            before = time.perf_counter()
            call()
            self.wait()
            taken.append(time.perf_counter() - before)
        return float(np.median(taken))

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def attempt(self, what: str, call: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
        """The row of `call`; what failed where it fails, nothing when there is no time left."""
        if self.late:
            return [{"what": what, "left out": "no time"}]
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        try:
            row = {"what": what, **call()}
        except Exception as error:
            return [{"what": what, "failed": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}]
        if self.cuda:
            row["peak GiB"] = torch.cuda.max_memory_allocated(self.device) / 2**30
        return [row]

    @property
    def config(self) -> Config:
        """The shipped configuration, with a batch that one device takes and all experts that it trains with."""
        shipped = Config.read(config_file(self.size))
        micro = 4 if self.cuda else shipped.data.global_batch_size
        return replace(
            shipped,
            data=replace(shipped.data, global_batch_size=2 * micro if self.cuda else micro),
            top_k=replace(shipped.top_k, full_k_probability=1.0),
            execution=ExecutionConfig(micro_batch_size=micro),
        )

    @property
    def vocab_size(self) -> int:
        return VOCABULARY[self.size]

    def peak(self) -> float | None:
        found = of_device(torch.cuda.get_device_name(self.device)) if self.cuda else None
        return found and found.bf16_flops


def random_segments(sequences: int, length: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.Generator(np.random.Philox(seed)).random((sequences, length))
    return np.cumsum(drawn < 1 / MEAN_DOCUMENT, axis=1)


def random_batch(config: Config, vocab_size: int) -> Batch:
    shape = (config.data.global_batch_size, config.data.sequence_length + 1)
    tokens = np.random.Generator(np.random.Philox(1)).integers(3, vocab_size, shape)
    segments = random_segments(shape[0], shape[1] - 1)
    return plain_batch(tokens[:, :-1], tokens[:, 1:], segments)


# ------------------------------------------------------------------------------------------------------ whole steps


def step_rows(bench: StepBench) -> list[dict[str, Any]]:
    config, rows = bench.config, []
    kept = ["none", "experts", "block"] if bench.size == "base" else ["none", "experts"]
    for recompute in kept:
        execution = replace(config.execution, activation_checkpointing=recompute, compile=bench.compiles)
        rows += bench.attempt(f"step, recomputed: {recompute}", lambda e=execution: hybrid_step(bench, e))
    execution = replace(config.execution, compile=bench.compiles)
    equal = [row["tokens/s"] for row in rows if "tokens/s" in row]
    rows += bench.attempt("step, k drawn by sequence", lambda: hybrid_step(bench, execution, drawn=True))
    rows += bench.attempt("dense twin", lambda: dense_step(bench))
    dense = rows[-1].get("tokens/s")
    if not bench.cuda:
        what = "tokens per CPU second over the dense twin's"
        rows += bench.attempt(what, lambda: {"ratio": cpu_ratio(hybrid(bench, execution), dense_twin(bench))})
    elif equal and dense:
        rows.append({"what": "best step of 12 experts over the dense twin", "ratio": max(equal) / dense})
    return rows


class TimedStep(NamedTuple):
    """Forward, backward and optimizer of one global batch."""

    call: Callable[[], None]
    tokens: int
    facts: dict[str, Any]


def cpu_ratio(ours: TimedStep, other: TimedStep) -> float:
    """Tokens per second of CPU time, ours over the other's: steps in turn on one thread, medians, after two of each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    taken: list[list[float]] = [[], []]
    for _ in range(PAIRS + 2):
        for times, step in zip(taken, (ours, other)):
            before = time.process_time()
            step.call()
            times.append((time.process_time() - before) / step.tokens)
    torch.set_num_threads(threads)
    return float(np.median(taken[1][2:]) / np.median(taken[0][2:]))


def hybrid_step(bench: StepBench, execution: ExecutionConfig, drawn: bool = False) -> dict[str, Any]:
    config = bench.config
    if drawn:
        config = replace(config, top_k=replace(config.top_k, full_k_probability=0.5, draw="sequence"))
    step = hybrid(bench, execution, config)
    seconds = bench.clock(step.call)
    flops = step.facts.pop("FLOPs") / seconds
    return {
        "tokens/s": step.tokens / seconds, "ms": seconds * 1e3, "TFLOP/s": flops / 1e12,
        **({"MFU": flops / peak} if (peak := bench.peak()) else {}),
        **step.facts,
    }  # fmt: skip


def hybrid(bench: StepBench, execution: ExecutionConfig, config: Config | None = None) -> TimedStep:
    config = replace(config or bench.config, execution=execution)
    state = TrainingState.create(config, DataRef("0" * 64, "0" * 64, bench.vocab_size, 2), bench.device)
    prepare(state.model, execution)
    batch = random_batch(config, bench.vocab_size)
    k_MB = draw_k(config.top_k, 0, 0, range(len(batch.targets)), config.model.n_moe_layers)

    def step() -> None:
        accumulate_gradients(state, batch, k_MB)
        state.optimizer.clip(state.optimizer.grad_norm(), 1.0)
        state.optimizer.step(1e-4)
        state.optimizer.zero_grad()

    k = float(k_MB.mean())
    flops = training_flops(config.model, bench.vocab_size, config.data.sequence_length, k) * batch.targets.size
    numbers = parameters(config.model, bench.vocab_size, config.top_k.full_k)
    return TimedStep(step, batch.targets.size, {"FLOPs": flops, "parameters": numbers.total, "active": numbers.active})


class DenseTwin(nn.Module):
    """A plain transformer of a given number of parameters: its SwiGLU takes what attention leaves."""

    def __init__(self, model: ModelConfig, vocab_size: int, active: int) -> None:
        super().__init__()
        D, d_q, d_kv = model.d_model, model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim
        layers = len(model.layers)
        left = (active - 2 * vocab_size * D) / layers - 2 * D * (d_q + d_kv)
        hidden = max(16, round(left / (3 * D) / 16) * 16)
        self.embedding, self.norm = nn.Embedding(vocab_size, D), nn.RMSNorm(D)
        self.head = nn.Linear(D, vocab_size, bias=False)
        self.blocks = nn.ModuleList(DenseBlock(model, hidden) for _ in range(layers))

    def forward(self, tokens_BL: Tensor, targets_BL: Tensor) -> Tensor:
        x = self.embedding(tokens_BL)
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1).float(), targets_BL.flatten())


class DenseBlock(nn.Module):
    def __init__(self, model: ModelConfig, hidden: int) -> None:
        super().__init__()
        D, self.C = model.d_model, model.head_dim
        self.H, self.G = model.n_heads, model.n_kv_heads
        self.norms = nn.ModuleList(nn.RMSNorm(D) for _ in range(2))
        self.qkv = nn.Linear(D, (self.H + 2 * self.G) * self.C, bias=False)
        self.out = nn.Linear(self.H * self.C, D, bias=False)
        self.up, self.down = nn.Linear(D, 2 * hidden, bias=False), nn.Linear(hidden, D, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.qkv(self.norms[0](x)).view(*x.shape[:2], -1, self.C).transpose(1, 2)
        q, k, v = heads.split((self.H, self.G, self.G), dim=1)
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + self.out(o.transpose(1, 2).flatten(2))
        gate, up = self.up(self.norms[1](x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


def dense_step(bench: StepBench) -> dict[str, Any]:
    step = dense_twin(bench)
    seconds = bench.clock(step.call)
    return {"tokens/s": step.tokens / seconds, "ms": seconds * 1e3, **step.facts}


def dense_twin(bench: StepBench) -> TimedStep:
    config = bench.config
    active = parameters(config.model, bench.vocab_size, config.top_k.full_k).active
    model = DenseTwin(config.model, bench.vocab_size, active).to(bench.device, bench.dtype)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    batch, size = random_batch(config, bench.vocab_size), config.execution.micro_batch_size
    inputs, targets = (torch.from_numpy(array).to(bench.device) for array in (batch.inputs, batch.targets))
    if bench.compiles:
        model.compile(dynamic=False)

    def step() -> None:
        for first in range(0, len(inputs), size):
            model(inputs[first : first + size], targets[first : first + size]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return TimedStep(step, targets.numel(), {"parameters": sum(parameter.numel() for parameter in model.parameters())})


# ------------------------------------------------------------------------------------------------------- its parts


def attention_rows(bench: StepBench) -> list[dict[str, Any]]:
    """Forward and backward of one layer over documents of a thousand tokens, by length at equal tokens."""
    rows: list[dict[str, Any]] = []
    lengths = (1024, 4096, 16384, 65536) if bench.cuda else (512, 1024, 2048, 4096)
    backends = ("varlen", "flex", "reference") if bench.cuda else ("reference",)
    for length in lengths:
        time = partial(attention_time, bench, length, lengths[-1])
        for backend in backends:
            for kind in ("sliding", "full"):
                rows += bench.attempt(f"attention {kind} {backend}, L {length}", partial(time, backend, kind))
        rows += bench.attempt(f"attention causal without documents, L {length}", partial(time, None, "full"))
    return rows


def random_qkv(bench: StepBench, length: int, tokens: int) -> tuple[Tensor, KV]:
    model, B = bench.config.model, max(1, tokens // length)
    q, k, v = (
        torch.randn(B, heads, length, model.head_dim, device=bench.device, dtype=bench.dtype, requires_grad=True)
        for heads in (model.n_heads, model.n_kv_heads, model.n_kv_heads)
    )
    return q, KV(k, v)


def attention_time(bench: StepBench, length: int, tokens: int, backend: Any, kind: Any) -> dict[str, Any]:
    """`backend` None: torch's causal attention, without documents."""
    q, kv = random_qkv(bench, length, tokens)
    if backend is None:
        attend: Any = partial(F.scaled_dot_product_attention, q, *kv, is_causal=True, enable_gqa=True)
    else:
        segments = torch.from_numpy(random_segments(len(q), length))
        plan = packed_plan(bench.config.model, segments, bench.device, bench.dtype, backend)
        attend = partial(plan.attend, kind, q, kv)
    return {"ms": 1e3 * bench.clock(lambda: attend().sum().backward(), seconds=0.3)}


def experts_rows(bench: StepBench) -> list[dict[str, Any]]:
    """Forward and backward of one MoE layer's routed experts, beside a dense SwiGLU of the same FLOPs."""
    rows: list[dict[str, Any]] = []
    for tokens in (1024, 4096, 16384) if bench.cuda else (512, 2048):
        rows += bench.attempt(f"experts, {tokens} tokens", partial(experts_time, bench, tokens))
        rows += bench.attempt(f"dense SwiGLU of the same FLOPs, {tokens} tokens", partial(swiglu_time, bench, tokens))
    return rows


def experts_time(bench: StepBench, tokens: int) -> dict[str, Any]:
    model, k = bench.config.model, bench.config.top_k.full_k
    layer = MoE(model)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, 0.0, 0.03)
    layer.to(bench.device)
    x = torch.randn(1, tokens, model.d_model, device=bench.device, dtype=bench.dtype, requires_grad=True)
    call: Any = torch.compile(layer, dynamic=False) if bench.compiles else layer

    def step() -> None:
        y, routing = call(x, KPolicy(k), None)
        (y.sum() + routing.score_BE.sum()).backward()
        layer.zero_grad(set_to_none=True)

    seconds = bench.clock(step, seconds=0.3)
    flops = 3 * 6 * tokens * model.d_model * (k * model.d_ff_expert + model.d_ff_shared)
    return {"ms": seconds * 1e3, "TFLOP/s": flops / seconds / 1e12}


def swiglu_time(bench: StepBench, tokens: int) -> dict[str, Any]:
    model, k = bench.config.model, bench.config.top_k.full_k
    hidden = k * model.d_ff_expert + model.d_ff_shared
    up, down = (
        torch.randn(*shape, device=bench.device, dtype=bench.dtype).mul_(0.03).requires_grad_()
        for shape in ((2 * hidden, model.d_model), (model.d_model, hidden))
    )
    x = torch.randn(tokens, model.d_model, device=bench.device, dtype=bench.dtype, requires_grad=True)

    def step() -> None:
        gate, value = F.linear(x, up).chunk(2, dim=-1)
        F.linear(F.silu(gate) * value, down).sum().backward()
        x.grad = up.grad = down.grad = None

    seconds = bench.clock(step, seconds=0.3)
    return {"ms": seconds * 1e3, "TFLOP/s": 3 * 6 * tokens * model.d_model * hidden / seconds / 1e12}
