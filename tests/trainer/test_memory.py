"""The estimate of a step's memory: what autograd keeps, to the byte, and what follows from it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainer.conftest import REF, small_config
from trainer.config import MUON_GROUPS, Config, hybrid_layers
from trainer.data.pack import plain_batch
from trainer.formulas import group_parameters
from trainer.memory import CPU, _layers, _norm, _row, tokens_of, training_memory
from trainer.model import parameter_group
from trainer.prepare import prepare
from trainer.state import TrainingState
from trainer.train import forward

SEQUENCES, LENGTH = 2, 64


def config_of(dtype: str = "float32", **execution: Any) -> Config:
    layers = [layer.__dict__ for layer in hybrid_layers(2)]
    sizes = {"d_model": 48, "window": 8, "d_ff": 40, "d_ff_expert": 24, "d_ff_shared": 56, "layers": layers}
    return small_config(
        model=sizes, run={"compute_dtype": dtype}, execution=execution, data={"sequence_length": LENGTH}
    )


def kept_by_autograd(config: Config) -> int:
    """Bytes of the storages that autograd holds after a forward pass, parameters apart."""
    state = TrainingState.create(config, REF)
    prepare(state.model, config.execution)
    parameters = {parameter.untyped_storage().data_ptr() for parameter in state.model.parameters()}
    held: dict[int, Tensor] = {}

    def hold(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in parameters:
            held[place] = tensor
        return tensor

    tokens = np.random.default_rng(0).integers(3, REF.vocab_size, (SEQUENCES, LENGTH))
    k_MB = np.full((config.model.n_moe_layers, SEQUENCES), config.top_k.full_k)
    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        forward(state, plain_batch(tokens, tokens), k_MB)
    return sum(tensor.untyped_storage().nbytes() for tensor in held.values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_autograd_keeps_is_counted_to_the_byte(dtype: str) -> None:
    config = config_of(dtype)
    model, tokens, size = config.model, tokens_of(config, 1), 4 if dtype == "float32" else 2
    assert tokens == SEQUENCES * LENGTH
    counted = sum(layer.kept for layer in _layers(config, CPU, tokens))
    counted += tokens * (_norm(config, CPU, model.d_model) + size * model.d_model + 4)  # final norm, loss, tokens
    counted += 4 * REF.vocab_size * model.d_model  # the head's gradient
    counted += 2 * 2 * 4 * LENGTH * model.head_dim // 2  # RoPE of both kinds
    counted += model.n_moe_layers * 4 * model.n_experts  # ends of the experts' rows
    kept = kept_by_autograd(config)
    if dtype == "float32":
        assert kept == counted
    else:
        # Experts' rows are rounded up by 7 at most: the estimate takes the most. Norms' weights have copies too.
        slack = model.n_moe_layers * 7 * model.n_experts * _row(config)
        assert counted - slack <= kept <= counted + 1024


def test_recomputation_keeps_less_and_needs_it_again() -> None:
    none, experts, block = (
        training_memory(config_of(activation_checkpointing=mode), REF.vocab_size)
        for mode in ("none", "experts", "block")
    )
    assert none.activations > experts.activations > block.activations
    assert none.total > experts.total > block.total
    assert none.weights == block.weights


def test_ranks_share_weights_moments_and_gradients() -> None:
    config = config_of(micro_batch_size=1)
    one, two = (training_memory(config, REF.vocab_size, world_size=world) for world in (1, 2))
    assert two[:3] == tuple(-(-part // 2) for part in one[:3])
    assert two.workspace > one.workspace


def test_muon_has_one_moment_of_its_groups() -> None:
    config = config_of()
    model = TrainingState.create(config, REF).model
    sizes = dict.fromkeys(MUON_GROUPS, 0)
    for name, parameter in model.named_parameters():
        group = parameter_group(name)
        if group in sizes:
            sizes[group] += parameter.numel()
    assert group_parameters(config.model) == sizes
    muon = replace(config.optimizer, muon_groups=("experts", "dense"), muon_learning_rate=1e-3)
    by_adam, by_both = (training_memory(each, REF.vocab_size) for each in (config, replace(config, optimizer=muon)))
    assert by_adam.moments - by_both.moments == 4 * (sizes["experts"] + sizes["dense"])


def test_more_sequences_a_micro_batch_need_more() -> None:
    config = config_of()
    sizes = [
        training_memory(replace(config, execution=replace(config.execution, micro_batch_size=rows)), 64).activations
        for rows in (1, 2, 4)
    ]
    assert sizes[0] < sizes[1] < sizes[2]
    assert (sizes[2] - sizes[1]) == 2 * (sizes[1] - sizes[0])
