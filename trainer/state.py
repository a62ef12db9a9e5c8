"""All of training's state in one object; a run depends on nothing else.

Weights, router biases, optimizer moments, the one random generator (initial weights, draws of k), the cursor into the
data, step and token counters, the configuration, the hashes of the data, and the counts of the tokens trained on (from
which the unigram baseline is computed). `tensors` and `header` give all of it as plain tensors and JSON; `restore` is
their inverse, bit for bit.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from trainer.config import Config, OptimizerConfig
from trainer.data.cursor import START, Cursor
from trainer.data.parts import present_part
from trainer.data.tokens import DataRef
from trainer.model import Transformer, initialise, parameter_group

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass
class TrainingState:
    """The state after `step` optimizer steps. Shapes: V vocabulary."""

    config: Config
    data: DataRef
    model: Transformer
    optimizer: torch.optim.AdamW
    generator: torch.Generator

    token_counts_V: Tensor
    """How often each token was a training target, int64."""

    cursor: Cursor = START
    step: int = 0

    tokens: int = 0
    """Training targets so far."""

    history: list[dict[str, Any]] = field(default_factory=list)
    """The earlier parts of the run, which had another dataset, seed or mixture: `trainer.data.parts.Part`, as JSON."""

    @staticmethod
    def create(config: Config, data: DataRef) -> "TrainingState":
        """The state at step 0."""
        generator = torch.Generator().manual_seed(config.run.seed)
        model = Transformer(config.model, data.vocab_size)
        initialise(model, generator)
        optimizer = make_optimizer(model, config.optimizer)
        return TrainingState(config, data, model, optimizer, generator, torch.zeros(data.vocab_size, dtype=torch.int64))

    @staticmethod
    def restore(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "TrainingState":
        """The state whose `header()` and `tensors()` these are."""
        state = TrainingState.create(Config.from_dict(header["config"], "the checkpoint"), DataRef(**header["data"]))
        state.model.load_state_dict({name: tensors[f"model.{name}"] for name in state.model.state_dict()})
        for name, parameter in state.model.named_parameters():
            for moment in MOMENTS:
                state.optimizer.state[parameter][moment].copy_(tensors[f"optimizer.{moment}.{name}"])
        state.generator.set_state(tensors["generator"])
        state.token_counts_V.copy_(tensors["token_counts"])
        state.cursor = Cursor.from_dict(header["cursor"])
        state.step, state.tokens = header["step"], header["tokens"]
        state.history = [dict(part) for part in header["history"]]
        return state

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name. They are not copies: write them before the next step."""
        moments = {
            f"optimizer.{moment}.{name}": self.optimizer.state[parameter][moment]
            for name, parameter in self.model.named_parameters()
            for moment in MOMENTS
        }
        weights = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        return weights | moments | {"generator": self.generator.get_state(), "token_counts": self.token_counts_V}

    def header(self) -> dict[str, Any]:
        """Everything that is not a tensor, as JSON."""
        return {
            "config": self.config.as_dict(),
            "data": asdict(self.data),
            "cursor": self.cursor.as_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "history": self.history,
        }

    def reconfigure(self, config: Config, data: DataRef) -> None:
        """Continue with another configuration or dataset (a branch). Weights and moments stay, and so does the cursor:
        each source goes on where it was."""
        old, new = self.config.as_dict()["data"], config.as_dict()["data"]
        if (data.manifest_sha256, new) != (self.data.manifest_sha256, old):
            part = present_part(self.history, self.data.manifest_sha256, old, self.step, self.cursor)
            self.history.append(part.as_dict())
        moments = self.optimizer.state
        self.optimizer = make_optimizer(self.model, config.optimizer)
        self.optimizer.state = moments
        self.config, self.data = config, data


def make_optimizer(model: Transformer, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over all parameters, with weight decay on all but norms and embeddings. Parameters of `frozen_groups` get
    no gradient."""
    with_decay: list[Tensor] = []
    without_decay: list[Tensor] = []
    for name, parameter in model.named_parameters():
        group = parameter_group(name, parameter)
        parameter.requires_grad_(group not in config.frozen_groups)
        (without_decay if group in ("norm", "embedding") else with_decay).append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": with_decay, "weight_decay": config.weight_decay}, {"params": without_decay, "weight_decay": 0.0}],
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
