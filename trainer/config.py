"""The configuration of a run: nested frozen dataclasses, read from TOML and stored in every checkpoint.

Each field is documented under it, with its unit. An unknown name, a wrong type or an impossible combination raises a
`UsageError` that names the field; no setting is ignored silently. `model.layers` lists every layer with its attention,
its KV group and its feed-forward, so KV sharing of any kind (none, pairs, one cache for all) is a matter of
configuration.

Names follow OLMo-core and torchtitan where the two have one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from infra.errors import UsageError
from trainer.data.mixture import MixtureStage
from trainer.settings import build, read_toml

PARAMETER_GROUPS = ("embedding", "attention", "dense", "experts", "router", "norm", "head")
# Those that have matrices alone, and no table of tokens (Jordan et al. 2024: embedding and head stay with AdamW).
MUON_GROUPS = ("attention", "dense", "experts", "router")
MOST_THREADS = 1024  # OpenMP ends the process, or waits, where threads cannot be started


@dataclass(frozen=True)
class LayerConfig:
    """One layer: attention and a feed-forward network, each behind an RMSNorm, each added to the residual stream."""

    attention: Literal["sliding", "full"]
    """`sliding`: a token attends to the last `model.window` tokens; `full`: to all tokens before it. Never across
    documents."""

    kv_group: int
    """Layers of one group share one KV cache: the first of them computes keys and values, the others only queries. A
    number of its own means no sharing. Layers of a group have the same `attention`."""

    ffn: Literal["dense", "moe"]
    """`dense`: one SwiGLU of `model.d_ff`; `moe`: `model.n_experts` routed experts and one shared expert."""


@dataclass(frozen=True)
class ModelConfig:
    """The architecture. The vocabulary size is that of the dataset's tokenizer, the depth that of `layers`."""

    d_model: int
    """Features of the residual stream. A multiple of 4."""

    n_heads: int
    """Query heads in each layer. A multiple of `n_kv_heads`."""

    n_kv_heads: int
    """Key and value heads in each KV group (grouped-query attention, 2305.13245)."""

    head_dim: int
    """Features of each head. Even, as RoPE rotates pairs."""

    window: int
    """Tokens that a sliding layer attends to, the token itself included."""

    d_ff: int
    """Hidden features of the SwiGLU in dense layers."""

    n_experts: int
    """Routed experts in each MoE layer."""

    d_ff_expert: int
    """Hidden features of each routed expert. A multiple of 4."""

    d_ff_shared: int
    """Hidden features of the shared expert, which every token uses."""

    layers: tuple[LayerConfig, ...]
    """The layers in order, first to last. The last one has full attention."""

    routed_scaling_factor: float = 1.0
    """Factor on the output of the routed experts, whose weights sum to 1 (DeepSeek-V3, 2412.19437, section 2.1.2)."""

    rope_theta_sliding: float = 10_000.0
    """RoPE base of sliding layers (2104.09864, section 3.2)."""

    rope_theta_full: float = 1_000_000.0
    """RoPE base of full layers; larger, since they see distant tokens."""

    @property
    def n_moe_layers(self) -> int:
        return sum(layer.ffn == "moe" for layer in self.layers)


@dataclass(frozen=True)
class TopKConfig:
    """Experts per token in training. k is drawn by hashing (see `draw`): `full_k` with probability
    `full_k_probability`, else uniform in `min_k`..`full_k`. Varying k in training lets k be chosen at inference
    (Matryoshka MoE, 2509.26520)."""

    full_k: int = 12
    """The largest k, and the k of evaluation and generation unless another is asked for. At most `model.n_experts`."""

    min_k: int = 2
    """The smallest k that is drawn, at least 1."""

    full_k_probability: float = 0.5
    """Probability, 0 to 1, of `full_k` without a draw. 1 trains every step with `full_k`."""

    draw: Literal["layer", "sequence"] = "layer"
    """What is hashed with the seed and the step: `layer` gives each MoE layer a k for all sequences of the step,
    `sequence` each sequence a k for all layers (the log then has the loss at each k)."""


@dataclass(frozen=True)
class LoadBalancingConfig:
    """How tokens are kept spread over the experts."""

    mode: Literal["bias", "losses"] = "bias"
    """`bias`: after each step a selection bias moves against the load of the global batch, and the sequence-wise loss
    guards single sequences. `losses`: no bias; the three auxiliary losses published for Yi-Lightning (2412.01253)."""

    bias_update_rate: float = 1e-3
    """How far each expert's selection bias moves after an optimizer step, in units of the router's score
    (Wang et al. 2024, 2408.15664, algorithm 1). 0 leaves the biases at 0. Of mode `bias`."""

    sequence_loss_weight: float = 1e-4
    """Weight of the sequence-wise auxiliary loss (DeepSeek-V3, 2412.19437, equation 17). Of mode `bias`."""

    expert_loss_weight: float = 1e-6
    """Weight of the loss over experts (Switch Transformer, 2101.03961, equation 4). Of mode `losses`."""

    group_loss_weight: float = 1e-4
    """Weight of the same loss over `groups` of neighbouring experts, over all tokens. Of mode `losses`."""

    partition_loss_weight: float = 1e-3
    """Weight of the loss over groups within each sequence, the partition of tokens here. Of mode `losses`."""

    groups: int = 8
    """Groups of neighbouring experts, as expert parallelism would place them. Divides `model.n_experts` in mode
    `losses`."""


@dataclass(frozen=True)
class DataConfig:
    """How documents become batches."""

    sequence_length: int
    """Tokens of each training sequence. Documents are packed; a document longer than what is left is cut."""

    global_batch_size: int
    """Sequences of each optimizer step, over all ranks."""

    seed: int = 0
    """Seed of the order of the documents."""

    mixture: tuple[MixtureStage, ...] = ()
    """Weights of the sources by schedule: each stage has `from_step` and `weights`, and is in force until the next.
    Before the first, and without any, a source weighs as its tokens times their repeats. Each document is used exactly
    `repeats` times in each epoch of its source, across any change."""


@dataclass(frozen=True)
class ScheduleConfig:
    """Warmup-stable-decay (MiniCPM, 2404.06395, section 4), in optimizer steps."""

    warmup_steps: int
    """Steps over which the learning rate rises linearly from 0. At most `trunk_steps`."""

    trunk_steps: int
    """The step at which the trunk ends: warm-up and stable phase together. `train` stops here by default."""

    decay_steps: int
    """Steps of the decay that follows the trunk; 0 for none."""

    decay_type: Literal["sqrt", "linear"] = "sqrt"
    """With p from 0 to 1 over the decay: `sqrt` is 1 - sqrt(p) (Haegele et al., 2405.18392), `linear` is 1 - p."""

    min_lr_factor: float = 0.0
    """Learning rate at the end of the decay, as a fraction (0 to 1) of `optimizer.learning_rate`."""


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, Muon for the groups that are to have it, and what guards a step."""

    learning_rate: float
    """Learning rate of the stable phase, of AdamW."""

    beta1: float = 0.9
    """Decay rate of the first moment, per step."""

    beta2: float = 0.95
    """Decay rate of the second moment, per step."""

    epsilon: float = 1e-8
    """Added to the root of the second moment."""

    weight_decay: float = 0.1
    """Decoupled weight decay of matrices; norms and embeddings have none."""

    muon_groups: tuple[str, ...] = ()
    """Parameter groups that Muon updates in place of AdamW: any of `MUON_GROUPS`."""

    muon_learning_rate: float = 0.0
    """Learning rate of Muon in the stable phase; its schedule is that of AdamW's. Updates are scaled to the size of
    AdamW's, so rates that suit AdamW are near. To be given with `muon_groups`."""

    muon_momentum: float = 0.95
    """Decay rate of Muon's momentum, per step; Nesterov's."""

    max_grad_norm: float = 1.0
    """Gradients are scaled so that their global L2 norm is at most this."""

    z_loss_weight: float = 0.0
    """Weight of the mean squared log of the softmax's normaliser, which keeps logits small (PaLM, 2204.02311, section
    5). 0 for none; 1e-4 is usual."""

    max_norm_ratio: float = 0.0
    """A step whose gradient norm is over this many times the mean of the last 64 steps' is skipped and logged as such.
    0 for no such limit: then only a loss or norm that is not finite skips a step."""

    max_loss_ratio: float = 0.0
    """The same of its loss: a step whose loss is over this many times the mean of the last 64 steps' is skipped. 0 for
    no such limit."""

    frozen_groups: tuple[str, ...] = ()
    """Parameter groups that are not trained: any of `PARAMETER_GROUPS`."""


@dataclass(frozen=True)
class RunConfig:
    """Settings of the process that change results."""

    seed: int = 0
    """Seed of the initial weights and of k."""

    threads: int = 2
    """CPU threads of torch, at most 1,024. Part of a run's identity: sums are split by it, so another number changes
    the last bits."""

    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """What matrix products and the residual stream are computed in. Weights and moments, the router, RoPE's angles and
    the loss are float32 in any case."""

    checkpoint_interval_steps: int = 100
    """Optimizer steps between checkpoints. Only the latest one is kept, and those of `checkpoint_marks`."""

    checkpoint_marks: tuple[int, ...] = ()
    """Steps whose checkpoints are kept."""


@dataclass(frozen=True)
class ExecutionConfig:
    """How a step is carried out. Another value gives the same training, up to the order of sums, so a run may go on
    with other ones."""

    micro_batch_size: int = 8
    """Sequences of each forward and backward pass of a process. The last pass of a step may have fewer."""

    activation_checkpointing: Literal["none", "experts", "block"] = "none"
    """What the backward pass computes again instead of keeping it: the experts' hidden rows, or whole blocks."""

    compile: bool = False
    """Compile each block by torch.compile."""

    attention: Literal["auto", "reference", "flex", "varlen"] = "auto"
    """`reference` runs everywhere; `flex` (FlexAttention) and `varlen` (FlashAttention over documents, bfloat16
    alone) need CUDA. `auto`: `reference` on the CPU, else `varlen` in bfloat16 and `flex` in float32."""

    expert_parallel: int = 1
    """Ranks that share the experts of a layer. Divides the number of ranks and `model.n_experts`."""


@dataclass(frozen=True)
class Config:
    """All of a run's configuration. Sections have these names in TOML."""

    model: ModelConfig
    data: DataConfig
    schedule: ScheduleConfig
    optimizer: OptimizerConfig
    top_k: TopKConfig = TopKConfig()
    load_balancing: LoadBalancingConfig = LoadBalancingConfig()
    run: RunConfig = RunConfig()
    execution: ExecutionConfig = ExecutionConfig()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: tuples as lists."""
        body: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return body

    def identity(self) -> dict[str, Any]:
        """What a resumed run must have in common with its start: all but `execution`."""
        return {name: section for name, section in self.as_dict().items() if name != "execution"}

    @staticmethod
    def from_dict(body: Mapping[str, Any], where: str = "the configuration") -> "Config":
        """Inverse of `as_dict`. UsageError, beginning with `where`, for a body that is not a valid configuration."""
        config = build(Config, body, where)
        for problem in _problems(config):
            raise UsageError(f"{where}: {problem}")
        return config

    @staticmethod
    def read(path: Path) -> "Config":
        """Read a TOML file. UsageError names the file and the field that is wrong."""
        return Config.from_dict(read_toml(path), str(path))


def _problems(config: Config) -> list[str]:
    """Why the configuration cannot be trained, a message each; empty when it can."""
    model, data, top_k, schedule = config.model, config.data, config.top_k, config.schedule
    sizes = {
        **{f"model.{name}": value for name, value in asdict(model).items() if isinstance(value, int)},
        **{f"data.{name}": value for name, value in asdict(data).items() if isinstance(value, int) and name != "seed"},
        "schedule.trunk_steps": schedule.trunk_steps,
        "execution.micro_batch_size": config.execution.micro_batch_size,
        "execution.expert_parallel": config.execution.expert_parallel,
        "load_balancing.groups": config.load_balancing.groups,
        "run.threads": config.run.threads,
        "run.checkpoint_interval_steps": config.run.checkpoint_interval_steps,
    }
    problems = [f"{name} is {value}; it must be at least 1" for name, value in sizes.items() if value < 1]
    if config.run.threads > MOST_THREADS:
        problems.append(f"run.threads is {config.run.threads}; it must be at most {MOST_THREADS}")
    if problems:
        return problems
    rows = 4 if config.run.compute_dtype == "float32" else 8
    checks = [
        (model.n_heads % model.n_kv_heads == 0, "model.n_heads must be a multiple of model.n_kv_heads"),
        (model.head_dim % 2 == 0, "model.head_dim must be even: RoPE rotates pairs"),
        # torch's grouped matrix product takes rows of a multiple of 16 bytes.
        (
            model.d_model % rows == 0 and model.d_ff_expert % rows == 0,
            f"model.d_model and d_ff_expert must be multiples of {rows} in {config.run.compute_dtype}",
        ),
        (
            model.n_experts % config.execution.expert_parallel == 0,
            "execution.expert_parallel must divide model.n_experts",
        ),
        (
            config.load_balancing.mode == "bias" or model.n_experts % config.load_balancing.groups == 0,
            "load_balancing.groups must divide model.n_experts",
        ),
        (
            1 <= top_k.full_k <= model.n_experts,
            f"top_k.full_k is {top_k.full_k}; it must be from 1 to model.n_experts, which is {model.n_experts}",
        ),
        (
            1 <= top_k.min_k <= top_k.full_k,
            f"top_k.min_k is {top_k.min_k}; it must be from 1 to top_k.full_k, which is {top_k.full_k}",
        ),
        (0.0 <= top_k.full_k_probability <= 1.0, "top_k.full_k_probability must be from 0 to 1"),
        (0 <= schedule.warmup_steps <= schedule.trunk_steps, "schedule.warmup_steps must be within the trunk"),
        (schedule.decay_steps >= 0, "schedule.decay_steps must not be negative"),
        (0.0 <= schedule.min_lr_factor <= 1.0, "schedule.min_lr_factor must be from 0 to 1"),
        (
            min(config.run.checkpoint_marks, default=1) >= 1,
            "run.checkpoint_marks must be steps, which are counted from 1",
        ),
        (data.seed >= 0 and 0 <= config.run.seed < 2**63, "seeds must not be negative"),
    ]
    problems = [message for holds, message in checks if not holds]
    ranges = _range_problems(config)
    return problems + ranges + _optimizer_problems(config.optimizer, model.layers) + _layer_problems(model.layers)


def _range_problems(config: Config) -> list[str]:
    """Of the numbers with a bound of their own. All are finite (`settings.build`)."""
    model, optimizer, balancing = config.model, config.optimizer, config.load_balancing
    positive = {
        "model.routed_scaling_factor": model.routed_scaling_factor,
        "model.rope_theta_sliding": model.rope_theta_sliding,
        "model.rope_theta_full": model.rope_theta_full,
        "optimizer.learning_rate": optimizer.learning_rate,
        "optimizer.epsilon": optimizer.epsilon,
        "optimizer.max_grad_norm": optimizer.max_grad_norm,
    }
    not_negative = {
        **{f"optimizer.{name}": getattr(optimizer, name) for name in ("weight_decay", "z_loss_weight")},
        **{f"load_balancing.{name}": value for name, value in asdict(balancing).items() if isinstance(value, float)},
    }
    ratios = {f"optimizer.{name}": getattr(optimizer, name) for name in ("max_norm_ratio", "max_loss_ratio")}
    decay_rates = {f"optimizer.{name}": getattr(optimizer, name) for name in ("beta1", "beta2", "muon_momentum")}
    rate = balancing.bias_update_rate
    return [
        # The biases move without a bound: far beyond scores they would be no numbers.
        *([f"load_balancing.bias_update_rate is {rate}; it must be at most 1, as scores are"] if rate > 1 else []),
        *(f"{name} is {value}; it must be positive" for name, value in positive.items() if not value > 0),
        *(f"{name} is {value}; it must not be negative" for name, value in not_negative.items() if value < 0),
        *(
            f"{name} is {value}; it must be over 1, or 0 for no limit"
            for name, value in ratios.items()
            if not (value == 0 or value > 1)
        ),
        *(
            f"{name} is {value}; it must be at least 0 and under 1"
            for name, value in decay_rates.items()
            if not 0 <= value < 1
        ),
    ]


def _optimizer_problems(optimizer: OptimizerConfig, layers: tuple[LayerConfig, ...]) -> list[str]:
    problems = []
    for field, given, known in (
        ("frozen_groups", optimizer.frozen_groups, PARAMETER_GROUPS),
        ("muon_groups", optimizer.muon_groups, MUON_GROUPS),
    ):
        unknown = [name for name in given if name not in known]
        if unknown:
            problems.append(f"optimizer.{field}: {unknown[0]!r} is none of {', '.join(known)}")
    if optimizer.muon_groups and not optimizer.muon_learning_rate > 0:
        problems.append("optimizer.muon_learning_rate must be positive where muon_groups has groups")
    kinds = {layer.ffn for layer in layers}
    absent = {*(() if "dense" in kinds else ("dense",)), *(() if "moe" in kinds else ("experts", "router"))}
    if set(PARAMETER_GROUPS) <= {*optimizer.frozen_groups, *absent}:
        problems.append("optimizer.frozen_groups has every group of the model: leave one that is trained")
    return problems


def _layer_problems(layers: tuple[LayerConfig, ...]) -> list[str]:
    if not layers or layers[-1].attention != "full":
        return ["model.layers: the last layer must be a full one"]
    kinds: dict[int, str] = {}
    for i, layer in enumerate(layers):
        if kinds.setdefault(layer.kv_group, layer.attention) != layer.attention:
            return [f"model.layers[{i}]: kv_group {layer.kv_group} mixes sliding and full layers"]
    return []


def hybrid_layers(super_blocks: int, full_layers_per_group: int = 2) -> tuple[LayerConfig, ...]:
    """The layers of the Yi-Lightning family: `super_blocks` times three sliding layers and one full layer.

    Full layers share KV in groups of `full_layers_per_group`; the first layer's feed-forward is dense.
    """
    layers: list[LayerConfig] = []
    for block in range(super_blocks):
        for place in range(3):
            layers.append(LayerConfig("sliding", 3 * block + place, "moe" if layers else "dense"))
        group = 3 * super_blocks + block // full_layers_per_group
        layers.append(LayerConfig("full", group, "moe"))
    return tuple(layers)
