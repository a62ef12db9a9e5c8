"""What a run is told: one nested, frozen configuration, read from TOML and kept inside the training state.

Every field has a unit in its name or its comment. An unknown name, a wrong type or an impossible combination is a
`UsageError` that says where; nothing is silently ignored. The layer table is explicit: which attention, which KV
group and which feed-forward each layer has can be read off the configuration, so that any grouping (none, pairs,
one cache for all) is data.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from infra.errors import UsageError

PARAMETER_GROUPS = ("embedding", "attention", "dense", "experts", "router", "norm")


@dataclass(frozen=True)
class Layer:
    """One row of the layer table. The first layer of a KV group makes its keys and values; the others read them."""

    attention: Literal["sliding", "full"]
    kv_group: int
    ffn: Literal["dense", "experts"]


@dataclass(frozen=True)
class ModelConfig:
    """Sizes in numbers of features, heads, tokens or experts.

    `window` counts the token itself. `routed_scale` multiplies the sum of the routed experts, whose weights sum to
    one (DeepSeek-V3, section 2.1.2, uses the same factor).
    """

    width: int
    heads: int
    kv_heads: int
    head_width: int
    window: int
    dense_hidden: int
    experts: int
    expert_hidden: int
    shared_hidden: int
    layers: tuple[Layer, ...]
    routed_scale: float = 1.0
    rope_base_sliding: float = 10_000.0
    rope_base_full: float = 1_000_000.0

    @property
    def expert_layers(self) -> int:
        return sum(layer.ffn == "experts" for layer in self.layers)


@dataclass(frozen=True)
class KConfig:
    """Experts per token in training: `train` with probability `full_mass`, else uniform in `minimum`..`train`."""

    train: int = 12
    minimum: int = 2
    full_mass: float = 0.5


@dataclass(frozen=True)
class BalanceConfig:
    """`bias_rate`: step of the selection bias (Wang et al. 2024, 2408.15664); `sequence_loss`: weight of the
    sequence-wise auxiliary loss (DeepSeek-V3, 2412.19437, equation 17)."""

    bias_rate: float = 1e-3
    sequence_loss: float = 1e-4


@dataclass(frozen=True)
class DataConfig:
    """`batch_sequences` make one optimizer step, `micro_batch_sequences` one forward and backward pass."""

    sequence_length: int
    batch_sequences: int
    micro_batch_sequences: int
    seed: int = 0


@dataclass(frozen=True)
class ScheduleConfig:
    """Warm-up, then the stable rate up to `trunk_steps`, then a tail of `tail_steps` down to `tail_floor` of it."""

    warmup_steps: int
    trunk_steps: int
    tail_steps: int
    tail_shape: Literal["sqrt", "linear"] = "sqrt"
    tail_floor: float = 0.0


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW. `clip_norm` bounds the global gradient norm; groups in `frozen_groups` are not trained."""

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    frozen_groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunConfig:
    """`threads` is part of a run's identity: sums are split by it, so another number gives other last bits."""

    seed: int = 0
    threads: int = 2
    checkpoint_every: int = 100


@dataclass(frozen=True)
class Config:
    model: ModelConfig
    data: DataConfig
    schedule: ScheduleConfig
    optimizer: OptimizerConfig
    k: KConfig = KConfig()
    balance: BalanceConfig = BalanceConfig()
    run: RunConfig = RunConfig()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: tuples as lists."""
        body: dict[str, Any] = _plain(asdict(self))
        return body

    @staticmethod
    def from_dict(body: Mapping[str, Any], where: str = "the configuration") -> "Config":
        config = build(Config, body, where)
        for fault in _faults(config):
            raise UsageError(f"{where}: {fault}")
        return config

    @staticmethod
    def read(path: Path) -> "Config":
        return Config.from_dict(read_toml(path), str(path))


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist: name a TOML file") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {str(error).splitlines()[0]}") from None


Built = TypeVar("Built")


def build(kind: type[Built], body: Any, where: str) -> Built:
    """`body` as an instance of the dataclass `kind`; UsageError names the field that is unknown, missing or wrong."""
    if not isinstance(body, Mapping):
        raise UsageError(f"{where} must be a table, not {type(body).__name__}")
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(body) - set(known))
    if unknown:
        raise UsageError(f"{where} has no field {unknown[0]!r}; its fields are {', '.join(known)}")
    values = {name: _convert(hints[name], value, f"{where}.{name}") for name, value in body.items()}
    try:
        return kind(**values)
    except TypeError:
        missing = [field.name for field in fields(kind) if field.name not in body]  # type: ignore[arg-type]
        raise UsageError(f"{where} lacks fields: one of {', '.join(missing)} has no default") from None


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return build(hint, value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise UsageError(f"{where} must be a list")
        return tuple(_convert(get_args(hint)[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is Literal:
        if value not in get_args(hint):
            raise UsageError(f"{where} is {value!r}; it may be {', '.join(map(repr, get_args(hint)))}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or isinstance(value, bool):
        raise UsageError(f"{where} is {value!r}, which is not of type {hint.__name__}")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _faults(config: Config) -> list[str]:
    """What cannot be trained, in words; empty when all is well."""
    model, data, k, schedule = config.model, config.data, config.k, config.schedule
    sizes = {
        **{f"model.{name}": value for name, value in asdict(model).items() if isinstance(value, int)},
        **{f"data.{name}": value for name, value in asdict(data).items() if name != "seed"},
        "schedule.trunk_steps": schedule.trunk_steps,
        "run.threads": config.run.threads,
        "run.checkpoint_every": config.run.checkpoint_every,
    }
    faults = [f"{name} is {value}; it must be at least 1" for name, value in sizes.items() if value < 1]
    if faults:
        return faults
    checks = [
        (model.heads % model.kv_heads == 0, "model.heads must be a multiple of model.kv_heads"),
        (model.head_width % 2 == 0, "model.head_width must be even: RoPE turns pairs"),
        # torch's grouped matrix product wants rows of a multiple of 16 bytes.
        (model.width % 4 == 0 and model.expert_hidden % 4 == 0, "model.width and expert_hidden must be multiples of 4"),
        (data.batch_sequences % data.micro_batch_sequences == 0, "batch_sequences must be whole micro-batches"),
        (1 <= k.minimum <= k.train <= model.experts, "1 <= k.minimum <= k.train <= model.experts must hold"),
        (0.0 <= k.full_mass <= 1.0, "k.full_mass is a probability"),
        (0 <= schedule.warmup_steps <= schedule.trunk_steps, "schedule.warmup_steps must be within the trunk"),
        (schedule.tail_steps >= 0, "schedule.tail_steps must not be negative"),
        (0.0 <= schedule.tail_floor <= 1.0, "schedule.tail_floor is a fraction of the stable rate"),
        (config.optimizer.learning_rate > 0, "optimizer.learning_rate must be positive"),
        (data.seed >= 0 and 0 <= config.run.seed < 2**63, "seeds must not be negative"),
    ]
    faults = [message for holds, message in checks if not holds]
    unknown = [name for name in config.optimizer.frozen_groups if name not in PARAMETER_GROUPS]
    if unknown:
        faults.append(f"optimizer.frozen_groups: {unknown[0]!r} is none of {', '.join(PARAMETER_GROUPS)}")
    return faults + _layer_faults(model.layers)


def _layer_faults(layers: tuple[Layer, ...]) -> list[str]:
    if not layers or layers[-1].attention != "full":
        return ["model.layers: the last layer must be a full one"]
    kinds: dict[int, str] = {}
    for i, layer in enumerate(layers):
        if kinds.setdefault(layer.kv_group, layer.attention) != layer.attention:
            return [f"model.layers[{i}]: kv_group {layer.kv_group} mixes sliding and full layers"]
    return []


def hybrid_layers(super_blocks: int, full_layers_per_group: int = 2) -> tuple[Layer, ...]:
    """The family's layer table: three sliding layers to a full one, full layers sharing KV; the first FFN dense."""
    layers: list[Layer] = []
    for block in range(super_blocks):
        for place in range(3):
            layers.append(Layer("sliding", 3 * block + place, "experts" if layers else "dense"))
        group = 3 * super_blocks + block // full_layers_per_group
        layers.append(Layer("full", group, "experts"))
    return tuple(layers)
