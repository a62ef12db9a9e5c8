"""Checkpoints: raw tensors and JSON in a content-addressed folder, written atomically and verified when read.

```
FOLDER/checkpoint.json    the state's header, the table of tensors, and the sha256 of all of it
FOLDER/tensors.bin        the tensors' bytes, in the order of their names
FOLDER/tokenizer.model    the tokenizer, so that a checkpoint alone can read and write text
```
Nothing is pickled, so reading a checkpoint runs no code from it. Three hashes: `weights_sha256` covers weights and
router biases; `state_sha256` all of the training state; `sha256` every byte of the folder, with the code's version and
the lineage. Branches name their trunk by `sha256`.

A frozen checkpoint is the same folder, read-only. Frozen or not, one changed byte is refused.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infra.code_version import code_version
from infra.errors import UsageError
from infra.hashing import canonical_json, readable_json, sha256_file, sha256_json
from infra.storage import disk_errors, new_folder
from trainer.config import Config
from trainer.data.tokens import TOKENIZER_FILE, DataRef
from trainer.device import COMPUTE_DTYPES
from trainer.model import Transformer
from trainer.state import CPU, TrainingState

# Changes with the names in the header: a checkpoint of another format is refused.
FORMAT = "refinery.checkpoint/3"
HEADER, TENSORS = "checkpoint.json", "tensors.bin"
DTYPES = {torch.float32: "float32", torch.int64: "int64", torch.uint8: "uint8"}
NUMPY = {"float32": "<f4", "int64": "<i8", "uint8": "|u1"}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and verified against its hashes."""

    folder: Path
    header: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def sha256(self) -> str:
        return str(self.header["sha256"])

    @property
    def step(self) -> int:
        return int(self.header["state"]["step"])

    @property
    def tokenizer(self) -> bytes:
        """The SentencePiece model."""
        return (self.folder / TOKENIZER_FILE).read_bytes()

    def state(self, device: torch.device = CPU) -> TrainingState:
        """A new training state with these values."""
        return TrainingState.restore(self.header["state"], self.tensors, self.config, device)

    def model(self, device: torch.device = CPU) -> Transformer:
        """The model alone, without moments."""
        config = self.config
        model = Transformer(config.model, self.data.vocab_size, COMPUTE_DTYPES[config.run.compute_dtype])
        model.load_state_dict({name: self.tensors[f"model.{name}"] for name in model.state_dict()})
        return model.to(device)

    @property
    def config(self) -> Config:
        """The configuration of the run that wrote it."""
        identity = self.header["state"]["config"]
        return Config.from_dict({**identity, "execution": self.header["execution"]}, "the checkpoint")

    @property
    def data(self) -> DataRef:
        """The dataset that was trained on last."""
        return DataRef(**self.header["state"]["data"])

    def summary(self) -> dict[str, Any]:
        """The three hashes, the step, and the tokens trained on."""
        names = ("sha256", "state_sha256", "weights_sha256")
        state = self.header["state"]
        return {name: self.header[name] for name in names} | {"step": state["step"], "tokens": state["tokens"]}


def write_checkpoint(
    folder: Path, state: TrainingState, tokenizer: bytes, lineage: Mapping[str, Any] | None = None
) -> None:
    """Write `state` to the new folder `folder`. `lineage`: trunk and overrides, for a branch."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(state.tensors().items())}
    with disk_errors(folder.parent), new_folder(folder) as temporary:
        table, weights = _write_tensors(temporary / TENSORS, tensors)
        (temporary / TOKENIZER_FILE).write_bytes(tokenizer)
        files = {name: sha256_file(temporary / name) for name in (TENSORS, TOKENIZER_FILE)}
        header: dict[str, Any] = {
            "format": FORMAT,
            "state": state.header(),
            "execution": asdict(state.config.execution),
            "lineage": dict(lineage or {}),
            "code": code_version("trainer.api"),
            "torch": torch.__version__,
            "tensors": table,
            "files": files,
            "weights_sha256": weights,
            "state_sha256": sha256_json({"state": state.header(), "tensors": table, "bytes": files[TENSORS]}),
        }
        header["sha256"] = sha256_json(header)
        (temporary / HEADER).write_bytes(readable_json(header))


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and verify the checkpoint in `folder`. UsageError names the file that is missing or was changed."""
    header = _read_header(folder)
    for name, sha256 in header["files"].items():
        path = folder / name
        if not path.is_file():
            raise UsageError(f"{path} is missing: the checkpoint is not whole; take another copy")
        if sha256_file(path) != sha256:
            raise _changed(path)
    content = np.fromfile(folder / TENSORS, np.uint8)
    tensors = {}
    for row in header["tensors"]:
        raw = content[row["offset"] : row["offset"] + row["bytes"]]
        # A copy, so that each tensor owns aligned memory.
        tensors[row["name"]] = torch.from_numpy(raw.view(NUMPY[row["dtype"]]).reshape(row["shape"]).copy())
    return Checkpoint(folder, header, tensors)


def freeze_checkpoint(source: Path, out: Path) -> Checkpoint:
    """Copy the checkpoint `source` to the read-only folder `out`.

    Does nothing when `out` holds this checkpoint already; UsageError when it holds anything else.
    """
    checkpoint = read_checkpoint(source)
    if out.exists():
        if read_checkpoint(out).sha256 != checkpoint.sha256:
            raise UsageError(f"{out} holds another frozen checkpoint, which is never overwritten: choose another --out")
        return read_checkpoint(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(out.parent), new_folder(out) as temporary:
        for name in (HEADER, TENSORS, TOKENIZER_FILE):
            shutil.copyfile(source / name, temporary / name)
            (temporary / name).chmod(0o444)
    out.chmod(0o555)
    return read_checkpoint(out)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> tuple[list[dict[str, Any]], str]:
    """Write the tensors; returns their table (name, dtype, shape, bytes, offset) and the hash of the model's own."""
    table, offset, weights = [], 0, hashlib.sha256()
    with path.open("wb") as file:
        for name, tensor in tensors.items():
            content = tensor.numpy().tobytes()
            row = {"name": name, "dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "bytes": len(content)}
            file.write(content)
            if name.startswith("model."):
                weights.update(canonical_json(row) + content)
            table.append(row | {"offset": offset})
            offset += len(content)
    return table, weights.hexdigest()


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER
    try:
        content = path.read_bytes()
    except OSError:
        raise UsageError(
            f"{folder} is not a checkpoint (it has no {HEADER}); give a frozen trunk, a run or a branch"
        ) from None
    try:
        header = json.loads(content)
        rest = {name: value for name, value in header.items() if name != "sha256"}
        # The hash covers the values; comparing the text covers white space as well.
        whole = header["sha256"] == sha256_json(rest) and readable_json(header) == content
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _changed(path) from None
    if not whole:
        raise _changed(path)
    if header["format"] != FORMAT:
        raise UsageError(
            f"{path} is of format {header['format']!r} and this version reads {FORMAT!r}: "
            "train again, or use the version that wrote it"
        )
    return dict(header)


def _changed(path: Path) -> UsageError:
    return UsageError(f"{path} was changed after it was written (its sha256 differs): take another copy")
