"""Bytes that one rank needs for a training step, known before anything is made.

The step is followed from moment to moment: forward layer by layer, the loss, backward layer by layer. What autograd
keeps is counted tensor by tensor; a test holds that to the bytes that it keeps, and a benchmark (`training_memory`) the
whole to measured peaks on a CPU. For CUDA it was not measured: its fused kernels keep less (`Kernels`), and its
allocator's fragmentation is not counted.

Shapes: D d_model, V vocabulary, H query heads, G key/value heads, C head_dim, E experts, F d_ff_expert, W window.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from trainer.config import Config
from trainer.formulas import group_parameters, layer_parameters, owns_kv, parameters
from trainer.loss import tokens_at_once

FP32, INT32, INT64 = 4, 4, 8

ERROR = 0.2
"""Measured peaks are within this share of the estimate (`python -m benchmarks training_memory`)."""


@dataclass(frozen=True)
class Kernels:
    """What the implementations of a device keep for the backward pass."""

    fused_norms: bool
    """RMSNorm keeps its input and a factor of each row; else its input and its unweighted result, both in fp32."""

    attention: Literal["reference", "flex", "varlen"]
    """`reference` keeps keys and values twice in sliding layers, and the mask of their scores."""


CPU = Kernels(fused_norms=False, attention="reference")


def kernels_of(config: Config, device: str) -> Kernels:
    """Those that a run of `config` takes on the kind of device `cpu` or `cuda`."""
    if device != "cuda":
        return CPU
    chosen = config.execution.attention
    if chosen == "auto":
        chosen = "flex" if config.run.compute_dtype == "float32" else "varlen"
    return Kernels(fused_norms=True, attention=chosen)


class Memory(NamedTuple):
    """Bytes of one rank at the peak of a step."""

    weights: int
    """Parameters in fp32."""

    moments: int
    """AdamW's two, or Muon's one, in fp32."""

    gradients: int
    """Those that are there at the peak."""

    activations: int
    """What the backward pass keeps of one micro-batch, the weights in the compute dtype included."""

    workspace: int
    """What is made and let go at the peak: logits of a chunk, rows of experts, a recomputed block, gathered shards."""

    @property
    def total(self) -> int:
        return sum(self)


class _Layer(NamedTuple):
    """Bytes of one layer, of a whole micro-batch."""

    kept: int
    """For the backward pass."""

    again: int
    """Of what is not kept, made again in the backward pass."""

    work: int
    """Of rows that are gathered and summed."""

    parameters: int
    """Numbers of those that are whole on a rank while the layer is at work: with expert parallelism, its experts."""


def training_memory(config: Config, vocab_size: int, kernels: Kernels = CPU, world_size: int = 1) -> Memory:
    """The estimate for one of `world_size` ranks, which share weights, moments and gradients evenly and gather a layer
    at a time (FSDP). Every token uses `top_k.full_k` experts: the largest step."""
    total = parameters(config.model, vocab_size, config.model.n_experts).total
    layers = _layers(config, kernels, tokens_of(config, world_size), world_size)
    gathered = 0
    if world_size > 1:
        # The layer at work and the one fetched ahead; embedding and head, which have no layer, throughout.
        gathered = FP32 * (2 * max(layer.parameters for layer in layers) + 2 * vocab_size * config.model.d_model)
    moments = _moments(config, vocab_size, kernels, world_size, layers)
    gradients, activations, workspace = max(moments, key=sum)
    share, groups = FP32 * -(-total // world_size), group_parameters(config.model)
    by_muon = FP32 * sum(groups[name] for name in config.optimizer.muon_groups) // world_size
    return Memory(share, 2 * share - by_muon, gradients, activations, workspace + gathered)


def tokens_of(config: Config, world_size: int) -> int:
    """Tokens of a rank's micro-batch."""
    share = -(-config.data.global_batch_size // world_size)
    return min(config.execution.micro_batch_size, share) * config.data.sequence_length


def _moments(
    config: Config, vocab_size: int, kernels: Kernels, world_size: int, layers: list[_Layer]
) -> Iterator[tuple[int, int, int]]:
    """Gradients, activations and workspace at each moment of a step that may be its peak."""
    model, size, tokens = config.model, _size(config), tokens_of(config, world_size)
    head = vocab_size * model.d_model
    total = parameters(model, vocab_size, model.n_experts).total
    # Gradients of earlier micro-batches are all there, and the next ones are made beside them, a parameter at a time.
    several = tokens * world_size < config.data.global_batch_size * config.data.sequence_length
    made = FP32 * -(-total // world_size) if several else 0
    kept = INT64 * vocab_size + INT32 * tokens + tokens * (_norm(config, kernels, model.d_model) + size * model.d_model)
    for layer in layers:
        kept += layer.kept
        yield made, kept, layer.work
    half = 0 if size == FP32 else size
    kept += FP32 * head + tokens * size * model.d_model
    at_once = min(tokens, tokens_at_once("cpu" if kernels == CPU else "cuda", vocab_size))
    yield made, kept, at_once * vocab_size * (2 * FP32 + half) + head * (size + half)
    kept -= FP32 * head
    if not several:
        made += FP32 * head // world_size
    for layer, numbers in zip(reversed(layers), reversed(layer_parameters(model)), strict=True):
        if not several:
            made += FP32 * numbers // world_size
        yield made, kept, layer.again + layer.work + layer.parameters * (half + (FP32 if several else 0))
        kept -= layer.kept
    yield made + (0 if several else FP32 * head // world_size), kept, FP32 * head if several else 0
    if config.optimizer.muon_groups:
        # Of the experts of a layer, the largest: momentum, update, and three terms of an iteration on half of it.
        made = FP32 * -(-total // world_size)
        yield made, 0, 4 * FP32 * 2 * model.n_experts * model.d_model * model.d_ff_expert // world_size


def _layers(config: Config, kernels: Kernels, tokens: int, world_size: int = 1) -> list[_Layer]:
    model, size, mode = config.model, _size(config), config.execution.activation_checkpointing
    d_kv = model.n_kv_heads * model.head_dim
    experts = model.n_experts * 3 * model.d_model * model.d_ff_expert
    elsewhere = experts - experts // min(config.execution.expert_parallel, world_size)
    layers = []
    for i, (every, owns) in enumerate(zip(layer_parameters(model), owns_kv(model), strict=True)):
        numbers = every - (elsewhere if model.layers[i].ffn == "moe" else 0)
        casts = 0 if size == FP32 else size * (numbers - model.d_model * _router_rows(config, i))
        rest = tokens * (_attention(config, kernels, i, owns) + _ffn(config, kernels, i))
        rows = _rows(config, tokens)
        moe = model.layers[i].ffn == "moe"
        routed = int(rows * _row(config)) if moe else 0
        work = rows * size * max(3 * model.d_model, model.d_model + 6 * model.d_ff_expert) if moe else 0
        work += tokens * size * 4 * (model.d_ff_shared if moe else model.d_ff)
        if mode == "block":
            inputs = tokens * size * (model.d_model + (2 * d_kv if owns else 0))
            layers.append(_Layer(inputs, casts + rest + routed, work, numbers))
        elif mode == "experts" and moe:
            chosen = tokens * config.top_k.full_k * (INT64 + FP32)
            layers.append(_Layer(casts + rest + chosen, routed, work, numbers))
        else:
            layers.append(_Layer(casts + rest + routed, 0, work, numbers))
    return layers


def _size(config: Config) -> int:
    """Bytes of a value in the compute dtype."""
    return FP32 if config.run.compute_dtype == "float32" else 2


def _router_rows(config: Config, i: int) -> int:
    return config.model.n_experts if config.model.layers[i].ffn == "moe" else 0


def _norm(config: Config, kernels: Kernels, features: int, rows: int = 1) -> int:
    """Bytes a token that an RMSNorm of `rows` rows with `features` in all keeps."""
    return rows * FP32 + features * (_size(config) if kernels.fused_norms else 2 * FP32)


def _attention(config: Config, kernels: Kernels, i: int, owns: bool) -> int:
    """Bytes a token of layer i's attention and the norm before it."""
    model, size = config.model, _size(config)
    d_q, d_kv = model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim
    total = _norm(config, kernels, model.d_model) + size * model.d_model
    total += _norm(config, kernels, d_q, model.n_heads) + (
        _norm(config, kernels, d_kv, model.n_kv_heads) if owns else 0
    )
    # Queries, the output, and its sums.
    total += size * 2 * d_q + FP32 * model.n_heads
    reference = kernels.attention == "reference"
    if kernels.attention != "varlen":
        total += size * d_q  # the output with its heads side by side
    if reference and model.layers[i].attention == "sliding":
        return total + size * (4 * d_kv + 2 * min(model.window, config.data.sequence_length))
    return total + (size * 2 * d_kv if owns else 0)


def _ffn(config: Config, kernels: Kernels, i: int) -> int:
    """Bytes a token of layer i's feed-forward and the norm before it, but for the rows of routed experts."""
    model, size = config.model, _size(config)
    total = _norm(config, kernels, model.d_model) + size * model.d_model
    if model.layers[i].ffn == "dense":
        return total + size * 4 * model.d_ff
    router = (0 if size == FP32 else FP32 * model.d_model) + FP32 * 4 * model.n_experts + 1
    # Expert, row and weight of each choice, and whether it is kept.
    chosen = config.top_k.full_k * (2 * INT64 + FP32 + 1)
    return total + router + chosen + size * 4 * model.d_ff_shared


def _row(config: Config) -> int:
    """Bytes of one row of the routed experts: input, gate and up, three of their products, weight, and pair."""
    return _size(config) * (config.model.d_model + 5 * config.model.d_ff_expert) + FP32 + INT64


def _rows(config: Config, tokens: int) -> int:
    """Rows of the grouped products, with those that round each expert's up in 16-bit types."""
    padding = 0 if _size(config) == FP32 else 7 * config.model.n_experts
    return tokens * config.top_k.full_k + padding
