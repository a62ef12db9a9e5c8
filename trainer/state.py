"""All of training's state in one object; a run depends on nothing else.

Weights, router biases, optimizer moments, the cursor into the data, step and token counters, the losses and gradient
norms that a step is compared with, the configuration, the hashes of the data, and the counts of the tokens trained on
(from which the unigram baseline is computed). There is no random generator: the order of documents and k are hashes of
seed and step. `tensors` and `header` give all of it as tensors and JSON; `restore` is their inverse, bit for bit.

With several ranks each holds a part of the tensors (`trainer.parallel.layout`), and all else is the same on all.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from trainer.config import Config
from trainer.data.cursor import START, Cursor
from trainer.data.parts import present_part
from trainer.data.tokens import DataRef
from trainer.device import COMPUTE_DTYPES
from trainer.model import Transformer, draw_initial
from trainer.optimizer import Optimizer
from trainer.parallel.layout import gathered, part_of
from trainer.parallel.ranks import ONE, Ranks
from trainer.parallel.shard import shard
from trainer.tensor_files import TensorRows

CPU = torch.device("cpu")
NORMS = 64  # gradient norms that are kept, and losses

# Gives rows of a named tensor: its name, the first row, and how many.
ReadRows = Callable[[str, int, int], Tensor]


@dataclass
class TrainingState:
    """The state after `step` optimizer steps. Shapes: V vocabulary."""

    config: Config
    data: DataRef
    model: Transformer
    optimizer: Optimizer

    ranks: Ranks

    token_counts_V: Tensor
    """How often each token was a training target, int64."""

    cursor: Cursor = START
    step: int = 0

    tokens: int = 0
    """Training targets so far."""

    norms: list[float] = field(default_factory=list)
    """Gradient norms of the latest `NORMS` steps that were not skipped."""

    losses: list[float] = field(default_factory=list)
    """Their losses."""

    history: list[dict[str, Any]] = field(default_factory=list)
    """The earlier parts of the run, which had another dataset, seed or mixture: each a `RunPart`, as JSON."""

    @property
    def device(self) -> torch.device:
        return self.token_counts_V.device

    @staticmethod
    def empty(config: Config, data: DataRef, device: torch.device = CPU, ranks: Ranks = ONE) -> "TrainingState":
        """A state at step 0 whose weights and router biases are yet to be set. No tensor is made but this rank's
        part."""
        with torch.device("meta"):
            model = Transformer(config.model, data.vocab_size, COMPUTE_DTYPES[config.run.compute_dtype])
        shard(model, ranks)
        model.to_empty(device=device)
        counts_V = torch.zeros(data.vocab_size, dtype=torch.int64, device=device)
        return TrainingState(config, data, model, Optimizer(model, config.optimizer), ranks, counts_V)

    @staticmethod
    def create(config: Config, data: DataRef, device: torch.device = CPU, ranks: Ranks = ONE) -> "TrainingState":
        """The state at step 0: the same weights on every device and with any number of ranks. Each tensor is drawn
        whole, on the CPU."""
        state = TrainingState.empty(config, data, device, ranks)
        generator = torch.Generator().manual_seed(config.run.seed)
        for moe in state.model.moe_layers():
            moe.router.bias_E.zero_()
        for name, parameter in state.model.named_parameters():
            part = part_of(parameter.detach(), ranks)
            whole = torch.empty(part.shape)
            draw_initial(name, whole, generator)
            part.rows.copy_(whole[part.first : part.first + len(part.rows)])
        return state

    @staticmethod
    def restore(
        header: Mapping[str, Any], read: ReadRows, config: Config, device: torch.device = CPU, ranks: Ranks = ONE
    ) -> "TrainingState":
        """The state whose `header()` this is, and whose tensors `read` gives. `config`: that of the header, with an
        execution."""
        state = TrainingState.empty(config, DataRef(**header["data"]), device, ranks)
        for name, tensor in state.tensors().items():
            part = part_of(tensor.detach(), ranks)
            part.rows.copy_(read(name, part.first, len(part.rows) if part.rows.ndim else 1))
        state.cursor = Cursor.from_dict(header["cursor"])
        state.step, state.tokens, state.norms = header["step"], header["tokens"], list(header["norms"])
        state.losses = list(header.get("losses", ()))  # the guard of losses came later
        state.history = [dict(part) for part in header["history"]]
        return state

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name, sharded as it is. They are not copies: copy them before the next step."""
        weights = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        moments = {f"optimizer.{name}": tensor for name, tensor in self.optimizer.tensors().items()}
        return weights | moments | {"token_counts": self.token_counts_V}

    def rows(self) -> list[TensorRows]:
        """A copy, on the CPU, of the rows of each tensor that this rank is to write: those it holds, and on rank 0 what
        every rank holds. All ranks call it."""
        found = []
        for name, tensor in sorted(self.tensors().items()):
            held = tensor.detach()
            part = part_of(gathered(held) if held.ndim <= 1 else held, self.ranks)
            if part.rows.numel() and (self.ranks.leads or not part.whole):
                copy = part.rows.to("cpu", copy=True).contiguous()
                found.append(TensorRows(name, part.shape, part.first, copy))
        return found

    def header(self) -> dict[str, Any]:
        """Everything that is not a tensor, as JSON."""
        return {
            "config": self.config.identity(),
            "data": asdict(self.data),
            "cursor": self.cursor.as_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "norms": self.norms,
            "losses": self.losses,
            "history": self.history,
        }

    def reconfigure(self, config: Config, data: DataRef) -> None:
        """Continue with another configuration or dataset (a branch). Weights and moments stay, and so does the cursor:
        each source goes on where it was."""
        old, new = self.config.as_dict()["data"], config.as_dict()["data"]
        if (data.manifest_sha256, new) != (self.data.manifest_sha256, old):
            part = present_part(self.history, self.data.manifest_sha256, old, self.step, self.cursor)
            self.history.append(part.as_dict())
            self.losses = []  # those of other text are no measure
        self.optimizer = Optimizer(self.model, config.optimizer, self.optimizer.tensors())
        self.config, self.data = config, data
