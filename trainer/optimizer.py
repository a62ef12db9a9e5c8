"""The optimizer: AdamW, Muon for the groups that the configuration names, their state as named tensors, and the norm of
the gradients."""

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainer.config import OptimizerConfig
from trainer.model import Transformer, parameter_group
from trainer.muon import Muon
from trainer.parallel.layout import local

MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # of AdamW
MOMENTUM = "momentum"  # of Muon
# Groups without weight decay.
UNDECAYED = ("norm", "embedding", "head")


class Optimizer:
    """Updates a model. Frozen groups get no gradient; their moments stay as they are."""

    def __init__(
        self, model: Transformer, config: OptimizerConfig, moments: Mapping[str, Tensor] | None = None
    ) -> None:
        """`moments`: those of an earlier optimizer of the same model, by the names of `tensors`. Zeros without, and for
        parameters that another method updated."""
        self.model, self.config = model, config
        # By weight decay and mesh: AdamW takes parameters together that lie on the same ranks.
        groups: dict[Any, list[Tensor]] = {}
        matrices: dict[str, Tensor] = {}
        for name, parameter in model.named_parameters():
            group = parameter_group(name)
            parameter.requires_grad_(group not in config.frozen_groups)
            if group in config.muon_groups:
                matrices[name] = parameter
            else:
                decay = 0.0 if group in UNDECAYED else config.weight_decay
                groups.setdefault((decay, getattr(parameter, "device_mesh", None)), []).append(parameter)
        self.muon = Muon(matrices, config.muon_momentum, config.weight_decay)
        self.adamw = torch.optim.AdamW(
            [{"params": members, "weight_decay": decay} for (decay, _), members in groups.items()],
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            eps=config.epsilon,
            fused=True,
        )
        for trained in itertools.chain(*groups.values()):
            # Made here rather than at the first step, so that every checkpoint holds the same tensors.
            self.adamw.state[trained] = {
                "step": torch.zeros((), device=trained.device),
                "exp_avg": torch.zeros_like(trained),
                "exp_avg_sq": torch.zeros_like(trained),
            }
        own = self.tensors()
        for name, tensor in (moments or {}).items():
            if name in own:
                own[name].copy_(tensor)

    def tensors(self) -> dict[str, Tensor]:
        """Every moment, by its name and its parameter's. They are not copies."""
        found: dict[str, Tensor] = {}
        for name, parameter in self.model.named_parameters():
            if name in self.muon.momenta:
                found[f"{MOMENTUM}.{name}"] = self.muon.momenta[name]
            else:
                found |= {f"{moment}.{name}": self.adamw.state[parameter][moment] for moment in MOMENTS}
        return found

    def step(self, learning_rate: float) -> None:
        """Update the parameters that have a gradient. `learning_rate` is AdamW's; Muon's is in proportion."""
        for group in self.adamw.param_groups:
            group["lr"] = learning_rate
        self.adamw.step()
        self.muon.step(self.config.muon_learning_rate * (learning_rate / self.config.learning_rate))

    def zero_grad(self) -> None:
        self.model.zero_grad(set_to_none=True)

    def grad_norm(self) -> Tensor:
        """The L2 norm of all gradients together, a scalar on the device; with several ranks, of this rank's part."""
        return torch.nn.utils.get_total_norm(self._grads())

    def clip(self, norm: Tensor, largest: float) -> None:
        """Scale the gradients, whose norm is `norm`, so that it is at most `largest`."""
        grads = self._grads()
        if grads:
            torch._foreach_mul_(grads, (largest / (norm + 1e-6)).clamp(max=1.0))

    def _grads(self) -> list[Tensor]:
        return [local(parameter.grad) for parameter in self.model.parameters() if parameter.grad is not None]
