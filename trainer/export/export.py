"""A checkpoint as a folder that `transformers` loads: weights, configuration, tokenizer, and the code of the model; or
with weights that torch's distributed checkpoints (DCP) read.

```
OUT/model.safetensors                        weights; in several files where they are over 4 GB
OUT/.metadata, __0_0.distcp                  or these, for DCP
OUT/config.json, generation_config.json      architecture, experts per token, sampling
OUT/modeling_refinery.py                     the model, for `trust_remote_code=True`
OUT/tokenizer.json, tokenizer_config.json    the tokenizer
OUT/README.md                                how to load it, and what it was made from
```
Nothing is pickled, but for DCP's index. The same checkpoint and arguments give the same bytes.
"""

from pathlib import Path
from typing import Any

from infra.errors import UsageError
from infra.hashing import readable_json, sha256_file
from infra.storage import disk_errors, new_folder, writing
from trainer.baselines import open_tokenizer
from trainer.checkpoint import Checkpoint, latest_checkpoint
from trainer.device import COMPUTE_DTYPES
from trainer.export.configuration import MODELING_FILE, expert_config, generation_config, model_config
from trainer.export.dcp import exported_moments, write_dcp
from trainer.export.tokenizer import tokenizer_config, tokenizer_json
from trainer.export.weights import exported_weights, write_weights
from trainer.policies import KPolicy
from trainer.policy_file import policies_named

README = """---
library_name: transformers
pipeline_tag: text-generation
---
# A model of the refinery's trainer

{loading}

`trust_remote_code` runs `{modeling}`, which is in this folder and imports torch and transformers alone. Tested with
transformers {tested}.

| | |
|---|---|
| parameters | {parameters:,}, in {dtype} (routers in float32) |
| layers | {layers}, of which {sources} have keys and values of their own |
| experts of a token | {experts} |
| context in training | {length:,} tokens, of which sliding layers see {window:,} |
| trained on | {tokens:,} tokens, {steps:,} steps |
| checkpoint | `{checkpoint}` |
| data | `{data}` |

Experts per token can be changed: `from_pretrained(..., num_experts_per_tok=4)`, or later in `model.config`. A text
begins with the end-of-document token, which the tokenizer puts there.
"""
# How a folder of each format is loaded.
LOADING = {
    "transformers": """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this one
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, dtype="auto")
prompts = tokenizer(["The sea"], return_tensors="pt", padding=True)
print(tokenizer.batch_decode(model.generate(**prompts), skip_special_tokens=True))
```""",
    "dcp": """```python
import torch
import torch.distributed.checkpoint as dcp
from transformers import AutoConfig, AutoModelForCausalLM

folder = "."  # this one
config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
model = AutoModelForCausalLM.from_config(config, trust_remote_code=True)
# here `fully_shard`, or any other parallelism of several ranks
weights = model.state_dict()
dcp.load(weights, checkpoint_id=folder)
model.load_state_dict(weights)
```

With moments (`export-model --moments`), into an optimizer that has the parameters of the model; its settings stay:

```python
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

optimizer = torch.optim.AdamW(model.parameters())
moments = get_optimizer_state_dict(model, optimizer)
dcp.load({"optimizer": {"state": moments["state"]}}, checkpoint_id=folder)
set_optimizer_state_dict(model, optimizer, moments)
```

DCP's index, `.metadata`, is a pickle: read it from a place that you trust.""",
}
TESTED = "4.57, 5.0 and 5.24"


def export_model(
    checkpoint: Path,
    out: Path,
    dtype: str = "float32",
    k: int | None = None,
    policy: str = "fixed",
    format: str = "transformers",
    moments: bool = False,
) -> dict[str, Any]:
    """Write `checkpoint` (or the latest of a run) as the new folder `out`.

    `dtype`: of the weights ("float32" or "bfloat16"), but for the routers', which are in float32. `k` and `policy`: the
    experts of a token, as in `generate`; a file of `calibrate-experts` too. `format`: what reads the weights,
    "transformers" or "dcp", and in the second, whether the optimizer's `moments` are there too. Returns the
    checkpoint's hash, the parameters, and the bytes and hashes of the weights. UsageError for a changed checkpoint, a
    folder that exists, or a tokenizer that has no byte fallback.
    """
    if dtype not in COMPUTE_DTYPES:
        raise UsageError(f"no dtype {dtype!r}: use {' or '.join(COMPUTE_DTYPES)}")
    if format not in LOADING:
        raise UsageError(f"no format {format!r}: use {' or '.join(LOADING)}")
    if moments and format != "dcp":
        raise UsageError("moments are exported in the format dcp alone: add --format dcp, or leave --moments out")
    if out.exists():
        raise UsageError(f"{out} exists already: choose another --out")
    read = latest_checkpoint(checkpoint)
    (chosen,) = policies_named(policy, [] if k is None else [k], read)
    weights = exported_weights(read.model(), COMPUTE_DTYPES[dtype])
    parameters = sum(tensor.numel() for name, tensor in weights.items() if not name.endswith("router.bias"))
    documents = _documents(read, chosen, dtype)
    code = Path(__file__).with_name(MODELING_FILE).read_bytes()
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    written = weights | (exported_moments(read) if moments else {})
    with disk_errors(out.parent), new_folder(out) as temporary:
        files = (write_dcp if format == "dcp" else write_weights)(temporary, written)
        for name, body in documents.items():
            (temporary / name).write_bytes(readable_json(body))
        (temporary / MODELING_FILE).write_bytes(code)
        (temporary / "README.md").write_text(_readme(read, chosen, dtype, parameters, format), "utf-8")
        return {
            "folder": str(out),
            "checkpoint": read.sha256,
            "format": format,
            "dtype": dtype,
            "parameters": parameters,
            "bytes": sum(file.stat().st_size for file in files),
            "files": {file.name: sha256_file(file) for file in files},
        }


def _documents(read: Checkpoint, policy: KPolicy, dtype: str) -> dict[str, dict[str, Any]]:
    config, data = read.config, read.data
    processor = open_tokenizer(read.tokenizer)
    model = model_config(config.model, data.vocab_size, data.eod_id, config.data.sequence_length, dtype)
    return {
        "config.json": model | expert_config(policy),
        "generation_config.json": generation_config(data.eod_id),
        "tokenizer.json": tokenizer_json(processor, data.eod_id),
        "tokenizer_config.json": tokenizer_config(processor, data.eod_id),
    }


def _readme(read: Checkpoint, policy: KPolicy, dtype: str, parameters: int, format: str) -> str:
    config, state = read.config, read.header["state"]
    experts = ", ".join(map(str, policy.table)) if policy.kind == "table" else f"{policy.k} of {config.model.n_experts}"
    return README.format(
        loading=LOADING[format],
        modeling=MODELING_FILE,
        tested=TESTED,
        parameters=parameters,
        dtype=dtype,
        layers=len(config.model.layers),
        sources=len({layer.kv_group for layer in config.model.layers}),
        experts=experts if policy.kind in ("fixed", "table") else f"at most {experts}, by {policy.name}",
        length=config.data.sequence_length,
        window=config.model.window,
        tokens=state["tokens"],
        steps=state["step"],
        checkpoint=read.sha256,
        data=read.data.manifest_sha256,
    )
