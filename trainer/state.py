"""All of training's state in one object: what is not in it does not influence a run.

Weights, router biases, optimizer moments, the one random generator (initial weights, draws of k), the cursor into the
data, counters, the configuration, the hashes of the data, and the counts of the tokens seen (from which the unigram
baseline is made). `tensors()` and `header()` are the whole of it as plain tensors and JSON; `restore` is their
inverse, to the bit.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from trainer.config import Config, OptimizerConfig
from trainer.loader import START, Cursor
from trainer.model import Model, initialise, parameter_group
from trainer.tokens import DataRef

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass
class TrainingState:
    """`history` names the data, seed and final cursor of each part of the run that used another order of documents."""

    config: Config
    data: DataRef
    model: Model
    optimizer: torch.optim.AdamW
    generator: torch.Generator
    seen_V: Tensor
    cursor: Cursor = START
    step: int = 0
    tokens: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def create(config: Config, data: DataRef) -> "TrainingState":
        generator = torch.Generator().manual_seed(config.run.seed)
        model = Model(config.model, data.vocabulary)
        initialise(model, generator)
        optimizer = make_optimizer(model, config.optimizer)
        return TrainingState(config, data, model, optimizer, generator, torch.zeros(data.vocabulary, dtype=torch.int64))

    @staticmethod
    def restore(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "TrainingState":
        """The state that gave this header and these tensors."""
        state = TrainingState.create(Config.from_dict(header["config"], "the checkpoint"), DataRef(**header["data"]))
        load_weights(state.model, tensors)
        for name, parameter in state.model.named_parameters():
            for moment in MOMENTS:
                state.optimizer.state[parameter][moment].copy_(tensors[f"optimizer.{moment}.{name}"])
        state.generator.set_state(tensors["generator"])
        state.seen_V.copy_(tensors["seen"])
        state.cursor = Cursor(header["cursor"]["epoch"], dict(header["cursor"]["sources"]))
        state.step, state.tokens = header["step"], header["tokens"]
        state.history = [dict(part) for part in header["history"]]
        return state

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name. They are the live ones: write them before the next step."""
        moments = {
            f"optimizer.{moment}.{name}": self.optimizer.state[parameter][moment]
            for name, parameter in self.model.named_parameters()
            for moment in MOMENTS
        }
        weights = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        return weights | moments | {"generator": self.generator.get_state(), "seen": self.seen_V}

    def header(self) -> dict[str, Any]:
        return {
            "config": self.config.as_dict(),
            "data": asdict(self.data),
            "cursor": self.cursor.as_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "history": self.history,
        }

    def reconfigure(self, config: Config, data: DataRef) -> None:
        """Go on under another configuration or data (a branch). Another order of documents begins at its start."""
        if (data.manifest_sha256, config.data.seed) != (self.data.manifest_sha256, self.config.data.seed):
            part = {"manifest_sha256": self.data.manifest_sha256, "seed": self.config.data.seed, "step": self.step}
            self.history.append(part | {"cursor": self.cursor.as_dict()})
            self.cursor = START
        moments = self.optimizer.state
        self.optimizer = make_optimizer(self.model, config.optimizer)
        self.optimizer.state = moments
        self.config, self.data = config, data


def make_optimizer(model: Model, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over all parameters; matrices decay, gains and embeddings do not. Frozen groups get no gradient."""
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for name, parameter in model.named_parameters():
        group = parameter_group(name, parameter)
        parameter.requires_grad_(group not in config.frozen_groups)
        (plain if group in ("norm", "embedding") else decayed).append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        fused=True,
    )
    for parameter in model.parameters():
        # Made here rather than at the first step, so that every checkpoint holds the same tensors.
        optimizer.state[parameter] = {
            "step": torch.zeros(()),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimizer


def load_weights(model: Model, tensors: Mapping[str, Tensor]) -> None:
    model.load_state_dict({name: tensors[f"model.{name}"] for name in model.state_dict()})
