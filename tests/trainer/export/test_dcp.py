"""What `export_model` writes in the format dcp is what `torch.distributed.checkpoint.load` reads."""

import re
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers import AutoConfig, AutoModelForCausalLM

from infra.errors import UsageError, WorkError
from tests.trainer.conftest import small_config
from tests.trainer.parallel.spawn import on_ranks
from trainer.checkpoint import read_checkpoint, write_checkpoint
from trainer.data.tokens import TokenDataset
from trainer.export.dcp import exported_moments
from trainer.export.export import export_model
from trainer.export.weights import exported_weights
from trainer.state import TrainingState

MUON = {"muon_groups": ["experts", "attention"], "muon_learning_rate": 0.01}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))


@pytest.fixture
def trained(tmp_path: Path, data: Path, tokenizer: bytes) -> Path:
    """A checkpoint whose moments are no zeros: of AdamW, and of Muon for some groups."""
    state = TrainingState.create(small_config(optimizer=MUON), TokenDataset(data).ref)
    generator = torch.Generator().manual_seed(3)
    for tensor in state.optimizer.tensors().values():
        tensor.normal_(generator=generator) if tensor.ndim else tensor.fill_(7)
    write_checkpoint(tmp_path / "trained", state, tokenizer)
    return tmp_path / "trained"


def model_of(folder: Path) -> Any:
    """With weights that are no one's yet."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    return AutoModelForCausalLM.from_config(config, trust_remote_code=True)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_the_lines_of_the_readme_load_weights_and_moments(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "exported"
    about = export_model(checkpoint, out, format="dcp", moments=True)
    assert {*about["files"]} == {".metadata", "__0_0.distcp"}
    lines = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.S)
    monkeypatch.chdir(out)
    scope: dict[str, Any] = {}
    for part in lines:
        exec(part, scope)
    read = read_checkpoint(checkpoint)
    weights = exported_weights(read.model(), torch.float32)
    loaded = scope["model"].state_dict()
    assert loaded.keys() == weights.keys() and all(torch.equal(loaded[name], weights[name]) for name in weights)
    moments = exported_moments(read)
    optimizer, seen = scope["optimizer"], 0
    for name, parameter in scope["model"].named_parameters():
        for moment, value in optimizer.state[parameter].items():
            assert torch.equal(value, moments[f"optimizer.state.{name}.{moment}"])
            seen += 1
    assert seen == len(moments)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_momenta_of_muon(trained: Path, tmp_path: Path) -> None:
    export_model(trained, tmp_path / "exported", "bfloat16", format="dcp", moments=True)
    read = read_checkpoint(trained)
    weights = exported_weights(read.model(), torch.bfloat16) | exported_moments(read)
    name = "optimizer.state.model.layers.1.mlp.experts.down_proj.momentum_buffer"
    assert torch.equal(weights[name], read.tensors["optimizer.momentum.blocks.1.ffn.experts.w_out"])
    found = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    dcp.load(found, checkpoint_id=tmp_path / "exported")
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def sharded_weights(folder: Path, modules: str) -> dict[str, Any]:
    """The weights that ranks load into their parts, gathered."""
    import transformers.dynamic_module_utils

    transformers.dynamic_module_utils.HF_MODULES_CACHE = modules
    dist.init_process_group("gloo")
    model = model_of(folder)
    for layer in model.model.layers:
        fully_shard(layer)
    fully_shard(model)
    weights = model.state_dict()
    dcp.load(weights, checkpoint_id=folder)
    assert any(isinstance(tensor, DTensor) for tensor in weights.values())
    found = {name: (t.full_tensor() if isinstance(t, DTensor) else t).numpy() for name, t in weights.items()}
    dist.destroy_process_group()
    return found


@pytest.mark.long
def test_two_ranks_load_their_parts(checkpoint: Path, tmp_path: Path) -> None:
    export_model(checkpoint, tmp_path / "exported", format="dcp")
    weights = exported_weights(read_checkpoint(checkpoint).model(), torch.float32)
    for found in on_ranks(2, sharded_weights, tmp_path / "exported", str(tmp_path / "modules")):
        assert found.keys() == weights.keys()
        assert all((found[name] == weights[name].numpy()).all() for name in weights)


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint: Path, tmp_path: Path) -> None:
    first, second = (export_model(checkpoint, tmp_path / name, format="dcp", moments=True) for name in "ab")
    assert first["files"] == second["files"]


def test_what_cannot_be_exported_is_told(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no format 'megatron': use transformers or dcp"):
        export_model(checkpoint, tmp_path / "exported", format="megatron")
    with pytest.raises(UsageError, match="add --format dcp"):
        export_model(checkpoint, tmp_path / "exported", moments=True)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit[1]))
    try:
        with pytest.raises(WorkError, match="larger than its file system, or `ulimit -f`, allows"):
            export_model(checkpoint, tmp_path / "exported", format="dcp")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not list(tmp_path.iterdir())
