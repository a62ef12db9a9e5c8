"""A checkpoint of a model in which every path shows: random weights everywhere, random router biases."""

from pathlib import Path

import pytest
import torch

from tests.trainer.conftest import small_config, with_random_zeros
from trainer.checkpoint import write_checkpoint
from trainer.config import LayerConfig
from trainer.data.tokens import TokenDataset
from trainer.state import TrainingState

# Shared by three layers, of which one comes before a layer with its own: no suffix of the layers shares.
ODD_LAYERS = [
    LayerConfig("sliding", 5, "moe"),
    LayerConfig("full", 1, "dense"),
    LayerConfig("sliding", 5, "moe"),
    LayerConfig("full", 1, "moe"),
    LayerConfig("sliding", 0, "moe"),
    LayerConfig("full", 1, "moe"),
]


def make_checkpoint(folder: Path, data: Path, tokenizer: bytes, layers: list[LayerConfig] | None = None) -> Path:
    model = {"d_ff_expert": 8, "routed_scaling_factor": 1.5}
    odd = {"layers": [layer.__dict__ for layer in layers]} if layers else {}
    state = TrainingState.create(small_config(model=model | odd), TokenDataset(data).ref)
    with_random_zeros(state.model)
    generator = torch.Generator().manual_seed(4)
    for moe in state.model.moe_layers():
        moe.router.bias_E.normal_(0.0, 0.2, generator=generator)
    write_checkpoint(folder, state, tokenizer)
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, data: Path, tokenizer: bytes) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("usual") / "checkpoint", data, tokenizer)


@pytest.fixture(scope="session")
def odd_checkpoint(tmp_path_factory: pytest.TempPathFactory, data: Path, tokenizer: bytes) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("odd") / "checkpoint", data, tokenizer, ODD_LAYERS)
