"""All of training's state in one object; a run depends on nothing else.

Weights, router biases, optimizer moments, the cursor into the data, step and token counters, the gradient norms that a
step is compared with, the configuration, the hashes of the data, and the counts of the tokens trained on (from which
the unigram baseline is computed). There is no random generator: the order of documents and k are hashes of seed and
step. `tensors` and `header` give all of it as plain tensors and JSON; `restore` is their inverse, bit for bit.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from trainer.config import Config
from trainer.data.cursor import START, Cursor
from trainer.data.parts import present_part
from trainer.data.tokens import DataRef
from trainer.device import COMPUTE_DTYPES
from trainer.model import Transformer, initialise
from trainer.optimizer import Optimizer

CPU = torch.device("cpu")
NORMS = 64  # gradient norms that are kept


@dataclass
class TrainingState:
    """The state after `step` optimizer steps. Shapes: V vocabulary."""

    config: Config
    data: DataRef
    model: Transformer
    optimizer: Optimizer

    token_counts_V: Tensor
    """How often each token was a training target, int64."""

    cursor: Cursor = START
    step: int = 0

    tokens: int = 0
    """Training targets so far."""

    norms: list[float] = field(default_factory=list)
    """Gradient norms of the latest `NORMS` steps that were not skipped."""

    history: list[dict[str, Any]] = field(default_factory=list)
    """The earlier parts of the run, which had another dataset, seed or mixture: `trainer.data.parts.Part`, as JSON."""

    @property
    def device(self) -> torch.device:
        return self.token_counts_V.device

    @staticmethod
    def create(config: Config, data: DataRef, device: torch.device = CPU) -> "TrainingState":
        """The state at step 0: the same weights on every device."""
        model = Transformer(config.model, data.vocab_size, COMPUTE_DTYPES[config.run.compute_dtype])
        initialise(model, torch.Generator().manual_seed(config.run.seed))
        model.to(device)
        counts_V = torch.zeros(data.vocab_size, dtype=torch.int64, device=device)
        return TrainingState(config, data, model, Optimizer(model, config.optimizer), counts_V)

    @staticmethod
    def restore(
        header: Mapping[str, Any], tensors: Mapping[str, Tensor], config: Config, device: torch.device = CPU
    ) -> "TrainingState":
        """The state whose `header()` and `tensors()` these are. `config`: that of the header, with an execution."""
        state = TrainingState.create(config, DataRef(**header["data"]), device)
        state.model.load_state_dict({name: tensors[f"model.{name}"] for name in state.model.state_dict()})
        state.optimizer.load(_under("optimizer.", tensors))
        state.token_counts_V.copy_(tensors["token_counts"])
        state.cursor = Cursor.from_dict(header["cursor"])
        state.step, state.tokens, state.norms = header["step"], header["tokens"], list(header["norms"])
        state.history = [dict(part) for part in header["history"]]
        return state

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name. They are not copies: write them before the next step."""
        weights = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        moments = {f"optimizer.{name}": tensor for name, tensor in self.optimizer.tensors().items()}
        return weights | moments | {"token_counts": self.token_counts_V}

    def header(self) -> dict[str, Any]:
        """Everything that is not a tensor, as JSON."""
        return {
            "config": self.config.identity(),
            "data": asdict(self.data),
            "cursor": self.cursor.as_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "norms": self.norms,
            "history": self.history,
        }

    def reconfigure(self, config: Config, data: DataRef) -> None:
        """Continue with another configuration or dataset (a branch). Weights and moments stay, and so does the cursor:
        each source goes on where it was."""
        old, new = self.config.as_dict()["data"], config.as_dict()["data"]
        if (data.manifest_sha256, new) != (self.data.manifest_sha256, old):
            part = present_part(self.history, self.data.manifest_sha256, old, self.step, self.cursor)
            self.history.append(part.as_dict())
        self.optimizer = Optimizer(self.model, config.optimizer, self.optimizer.tensors())
        self.config, self.data = config, data


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
