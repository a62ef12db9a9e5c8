"""What is added to a trunk changes nothing of its first forward pass, and learns."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainer.conftest import REF, small_config, with_random_zeros
from trainer.branches.growth import Growth, grown_rows
from trainer.branches.overrides import apply_overrides
from trainer.checkpoint import read_checkpoint, write_checkpoint
from trainer.config import Config
from trainer.data.pack import Batch, plain_batch
from trainer.policies import draw_k
from trainer.state import TrainingState
from trainer.train import accumulate_gradients


def batch() -> Batch:
    drawn = np.random.Generator(np.random.Philox(3))
    tokens = drawn.integers(3, 64, (4, 25))
    segments = np.cumsum(drawn.random((4, 24)) < 0.15, axis=1)
    return plain_batch(tokens[:, :-1], tokens[:, 1:], segments)


def trunk_in(folder: Path, config: Config) -> Path:
    """A state whose every tensor has values, as after steps."""
    state = TrainingState.create(config, REF)
    with_random_zeros(state.model)
    generator = torch.Generator().manual_seed(5)
    for tensor in state.optimizer.tensors().values():
        tensor.copy_(torch.rand(tensor.shape, generator=generator))
    for moe in state.model.moe_layers():
        moe.router.bias_E.normal_(0.0, 0.01, generator=generator)
    write_checkpoint(folder, state, b"tokenizer")
    return folder


def losses(state: TrainingState) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of each target, and the gradients."""
    layers = state.config.model.n_moe_layers
    k_MB = draw_k(state.config.top_k, state.config.run.seed, 5, range(4), layers)
    found = accumulate_gradients(state, batch(), k_MB).nats_BL
    return found, {name: parameter.grad for name, parameter in state.model.named_parameters()}  # type: ignore[misc]


def grown(folder: Path, add: dict[str, Any]) -> tuple[TrainingState, TrainingState]:
    """The trunk's state, and the branch's before its first step."""
    config = small_config(top_k={"full_k": 4, "min_k": 1, "full_k_probability": 1.0})
    checkpoint = read_checkpoint(trunk_in(folder / "trunk", config))
    bigger = apply_overrides(config, {"add": add}, 8)
    growth = Growth(tuple(add.get("layers", ())), add.get("experts", 1))
    read = grown_rows(checkpoint.tensors.rows, growth, len(config.model.layers))
    return checkpoint.state(), TrainingState.restore(checkpoint.header["state"], read, bigger)


@pytest.mark.parametrize("layers", [[1], [4, 5, 6, 7], [3, 7], [0, 2]])
def test_added_layers_change_no_bit_and_get_gradients(tmp_path: Path, layers: list[int]) -> None:
    trunk, branch = grown(tmp_path, {"layers": layers})
    assert len(branch.config.model.layers) == 8 + len(layers)
    (before, _), (after, grads) = losses(trunk), losses(branch)
    assert torch.equal(before, after)
    first = layers[-1] + 1
    for number in range(first, first + len(layers)):
        mine = {name: grad for name, grad in grads.items() if name.startswith(f"blocks.{number}.")}
        assert any(grad is not None and grad.any() for grad in mine.values())
        moments = {k: v for k, v in branch.optimizer.tensors().items() if f".blocks.{number}." in k}
        assert moments and not any(value.any() for value in moments.values())


def test_an_added_reader_reads_the_added_owner(tmp_path: Path) -> None:
    """Layers 3 and 7 of the trunk share keys and values: their copies share others."""
    _, both = grown(tmp_path / "a", {"layers": [3, 7]})
    groups = [layer.kv_group for layer in both.config.model.layers]
    assert groups[3] == groups[7] and groups[8] == groups[9] != groups[3]
    _, reader = grown(tmp_path / "b", {"layers": [7]})
    assert [layer.kv_group for layer in reader.config.model.layers][7:] == [groups[3]] * 2


@pytest.mark.parametrize("experts", [2, 3])
def test_added_experts_change_the_last_bits_alone_and_differ_in_their_gradients(tmp_path: Path, experts: int) -> None:
    trunk, branch = grown(tmp_path, {"experts": experts})
    assert branch.config.model.n_experts == 16 * experts and branch.config.top_k.full_k == 4 * experts
    (before, old), (after, new) = losses(trunk), losses(branch)
    assert torch.allclose(before, after, atol=2e-5)
    name = "blocks.1.ffn.experts.w_in"
    parts = new[name].unflatten(0, (16, experts))
    # Each copy has about its share of the expert's gradient, and another than the next copy.
    assert torch.allclose(parts.sum(1), old[name], atol=0.2 * float(old[name].abs().max()))
    used = old[name].flatten(1).any(1)
    assert used.sum() > 8 and (parts[used, 0] != parts[used, 1]).flatten(1).any(1).all()


def test_what_is_added_is_the_same_however_many_rows_are_read(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(trunk_in(tmp_path / "trunk", small_config()))
    read = grown_rows(checkpoint.tensors.rows, Growth((), 2), 8)
    for name in ("model.blocks.1.ffn.experts.w_out", "optimizer.exp_avg_sq.blocks.1.ffn.router.weight"):
        whole = read(name, 0, 32)
        assert torch.equal(whole, torch.cat([read(name, first, 4) for first in range(0, 32, 4)]))
