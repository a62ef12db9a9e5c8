"""The formulas against live models: their parameters, and the FLOPs that torch counts."""

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.counted_flops import counted_flops
from tests.trainer.conftest import REF, small_config
from trainer.config import Config
from trainer.data.pack import Batch, plain_batch
from trainer.formulas import expected_k, forward_flops, parameters, training_flops
from trainer.model import Transformer
from trainer.policies import draw_k
from trainer.start import config_file, shipped_configs
from trainer.state import TrainingState
from trainer.train import accumulate_gradients, forward

LENGTH = 32


@pytest.mark.parametrize("name", shipped_configs())
def test_parameters_are_those_of_the_model(name: str) -> None:
    config, vocab_size = Config.read(config_file(name)).model, 1000
    with torch.device("meta"):
        model = Transformer(config, vocab_size)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    for k in (1, 12, config.n_experts):
        counted = parameters(config, vocab_size, k)
        unused = sum(
            size * (config.n_experts - k) // config.n_experts for name, size in sizes.items() if ".experts." in name
        )
        assert counted == (sum(sizes.values()), sum(sizes.values()) - unused, sizes["embedding"])


def batch(length: int = LENGTH, sequences: int = 2) -> Batch:
    """One document a sequence."""
    tokens = np.random.default_rng(0).integers(3, 64, (sequences, length))
    return plain_batch(tokens, tokens)


def with_k(k: int) -> tuple[TrainingState, np.ndarray]:
    state = TrainingState.create(small_config(model={"n_experts": 20}, top_k={"full_k": 20}), REF)
    return state, np.full((state.config.model.n_moe_layers, 2), k)


@pytest.mark.parametrize("k", range(1, 21))
def test_flops_of_forward_and_backward_are_those_counted(k: int) -> None:
    state, k_MB = with_k(k)
    formula = 2 * LENGTH * forward_flops(state.config.model, REF.vocab_size, LENGTH, k)
    with torch.no_grad():
        assert counted_flops(lambda: forward(state, batch(), k_MB)) == formula
    tokens = 2 * LENGTH
    counted = counted_flops(lambda: accumulate_gradients(state, batch(), k_MB))
    assert counted == tokens * training_flops(state.config.model, REF.vocab_size, LENGTH, k)


@pytest.mark.parametrize("length", [8, 16, 64, 128])
def test_flops_at_other_lengths(length: int) -> None:
    state, k_MB = with_k(3)
    with torch.no_grad():
        counted = counted_flops(lambda: forward(state, batch(length), k_MB))
    assert counted == 2 * length * forward_flops(state.config.model, REF.vocab_size, length, 3)


@pytest.mark.parametrize("recomputed", ["experts", "block"])
def test_what_is_computed_again_is_counted_by_torch_and_not_by_us(recomputed: str) -> None:
    """So that the counter is known to see the forward pass twice, and the formula to mean the model's FLOPs."""
    from trainer.prepare import prepare

    state, k_MB = with_k(4)
    prepare(state.model, small_config(execution={"activation_checkpointing": recomputed}).execution)
    counted = counted_flops(lambda: accumulate_gradients(state, batch(), k_MB))
    tokens, model = 2 * LENGTH, state.config.model
    ours = tokens * training_flops(model, REF.vocab_size, LENGTH, 4)
    experts = tokens * model.n_moe_layers * 6 * model.d_model * model.d_ff_expert * 4
    head = tokens * 2 * model.d_model * REF.vocab_size
    again = experts if recomputed == "experts" else tokens * forward_flops(model, REF.vocab_size, LENGTH, 4) - head
    # Recomputation stops at the last tensor that is needed: not every product is done again.
    assert ours + 0.5 * again < counted <= ours + again


def test_expected_k_is_the_mean_of_what_is_drawn() -> None:
    config = small_config(top_k={"full_k": 12, "min_k": 2, "full_k_probability": 0.4}).top_k
    drawn: list[Tensor] = [torch.from_numpy(draw_k(config, 0, step, range(4), 7)) for step in range(2000)]
    assert expected_k(config) == pytest.approx(0.4 * 12 + 0.6 * 7)
    assert float(torch.stack(drawn).double().mean()) == pytest.approx(expected_k(config), abs=0.1)
