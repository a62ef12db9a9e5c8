"""The weights of a model under the names of the modelling file (`modeling_refinery.py`), as safetensors files.

Layouts are those of the trainer: linear layers [out, in], the gate above the up projection; experts [E, in, out].
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from infra.hashing import readable_json
from trainer.model import Transformer, parameter_group

SHARD_BYTES = 4 * 10**9
INDEX = "model.safetensors.index.json"
FIXED = {"embedding": "model.embed_tokens.weight", "final_norm": "model.norm.weight", "head": "lm_head.weight"}
# Within a layer.
NAMES = {
    "attention_norm": "input_layernorm.weight",
    "attention.wq": "self_attn.q_proj.weight",
    "attention.wk": "self_attn.k_proj.weight",
    "attention.wv": "self_attn.v_proj.weight",
    "attention.wo": "self_attn.o_proj.weight",
    "attention.q_norm": "self_attn.q_norm.weight",
    "attention.k_norm": "self_attn.k_norm.weight",
    "ffn_norm": "post_attention_layernorm.weight",
    "ffn.w_in": "mlp.gate_up_proj.weight",
    "ffn.w_out": "mlp.down_proj.weight",
    "ffn.router.weight": "mlp.router.weight",
    "ffn.router.bias_E": "mlp.router.bias",
    "ffn.experts.w_in": "mlp.experts.gate_up_proj",
    "ffn.experts.w_out": "mlp.experts.down_proj",
    "ffn.shared.w_in": "mlp.shared_expert.gate_up_proj.weight",
    "ffn.shared.w_out": "mlp.shared_expert.down_proj.weight",
}


def exported_name(name: str) -> str:
    """The exported name of a tensor of the model's state."""
    if name in FIXED:
        return FIXED[name]
    blocks, layer, rest = name.split(".", 2)
    assert blocks == "blocks"
    return f"model.layers.{layer}.{NAMES[rest]}"


def exported_weights(model: Transformer, dtype: torch.dtype) -> dict[str, Tensor]:
    """The model's weights and router biases by exported name, in `dtype`; the router's in fp32."""
    return {
        exported_name(name): tensor.detach().to(torch.float32 if parameter_group(name) == "router" else dtype)
        for name, tensor in model.state_dict().items()
    }


def write_weights(folder: Path, weights: Mapping[str, Tensor], shard_bytes: int = SHARD_BYTES) -> list[Path]:
    """Write `model.safetensors`, or where there are more bytes than `shard_bytes` several files and their index, as
    transformers names them. The same weights give the same bytes. Returns the files of weights."""
    shards = list(_shards(weights, shard_bytes))
    names = ["model.safetensors"]
    if len(shards) > 1:
        names = [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
        places = {name: file for file, shard in zip(names, shards, strict=True) for name in shard}
        total = sum(tensor.nbytes for tensor in weights.values())
        index: dict[str, Any] = {"metadata": {"total_size": total}, "weight_map": places}
        (folder / INDEX).write_bytes(readable_json(index))
    for file, shard in zip(names, shards, strict=True):
        with system_errors(folder / file):
            save_file({name: tensor.contiguous() for name, tensor in shard.items()}, folder / file, {"format": "pt"})
    return [folder / file for file in names]


@contextmanager
def system_errors(path: Path) -> Iterator[None]:
    """Errors of safetensors that are the system's, such as a full disk, as OSError."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        code = int(number[1])
        raise OSError(code, os.strerror(code), str(path)) from None


def _shards(weights: Mapping[str, Tensor], shard_bytes: int) -> Iterator[dict[str, Tensor]]:
    shard: dict[str, Tensor] = {}
    size = 0
    for name, tensor in weights.items():
        if shard and size + tensor.nbytes > shard_bytes:
            yield shard
            shard, size = {}, 0
        shard[name] = tensor
        size += tensor.nbytes
    yield shard
