"""Checkpoints: raw tensors and JSON in a folder that appears whole, is named by its content, and is checked when read.

```
FOLDER/checkpoint.json    the state's header, the table of tensors, and the sha256 of all of it
FOLDER/tensors.bin        the tensors' bytes, in the order of their names
FOLDER/tokenizer.model    the tokenizer, so that a checkpoint can read and write text by itself
```
Nothing is pickled: reading a checkpoint can run no code. Three hashes: `weights_sha256` (weights and router biases),
`state_sha256` (all of the training state, and no word of how it came about), and `sha256` (every byte of the
folder, with the code's version and the lineage): the name by which branches call their trunk.

A frozen checkpoint is the same folder, read-only. Whether frozen or not, one changed byte is refused.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infra.code_version import code_version
from infra.errors import UsageError
from infra.hashing import canonical_json, readable_json, sha256_file, sha256_json
from infra.storage import TEMPORARY, disk_errors, remove_folder, sync_folder
from trainer.state import TrainingState
from trainer.tokens import TOKENIZER

FORMAT = "refinery.checkpoint/1"
HEADER, TENSORS = "checkpoint.json", "tensors.bin"
DTYPES = {torch.float32: "float32", torch.int64: "int64", torch.uint8: "uint8"}
NUMPY = {"float32": "<f4", "int64": "<i8", "uint8": "|u1"}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and found to be what it says."""

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
        return (self.folder / TOKENIZER).read_bytes()

    def state(self) -> TrainingState:
        return TrainingState.restore(self.header["state"], self.tensors)

    def summary(self) -> dict[str, Any]:
        names = ("sha256", "state_sha256", "weights_sha256")
        state = self.header["state"]
        return {name: self.header[name] for name in names} | {"step": state["step"], "tokens": state["tokens"]}


def write_checkpoint(
    folder: Path, state: TrainingState, tokenizer: bytes, lineage: Mapping[str, Any] | None = None
) -> None:
    """Write `state` to the new folder `folder`. `lineage` says which trunk and overrides a branch came from."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in sorted(state.tensors().items())}
    with disk_errors(folder.parent), _new_folder(folder) as temporary:
        table, weights = _write_tensors(temporary / TENSORS, tensors)
        (temporary / TOKENIZER).write_bytes(tokenizer)
        files = {name: sha256_file(temporary / name) for name in (TENSORS, TOKENIZER)}
        header: dict[str, Any] = {
            "format": FORMAT,
            "state": state.header(),
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
    """The checkpoint in `folder`, every byte checked. UsageError names the file that is missing or was changed."""
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
    """A read-only copy of the checkpoint `source` at `out`. Freezing the same again does nothing; UsageError when
    `out` holds anything else."""
    checkpoint = read_checkpoint(source)
    if out.exists():
        if read_checkpoint(out).sha256 != checkpoint.sha256:
            raise UsageError(f"{out} holds another frozen checkpoint, and what is frozen stays: choose another --out")
        return read_checkpoint(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(out.parent), _new_folder(out) as temporary:
        for name in (HEADER, TENSORS, TOKENIZER):
            shutil.copyfile(source / name, temporary / name)
            (temporary / name).chmod(0o444)
    out.chmod(0o555)
    return read_checkpoint(out)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> tuple[list[dict[str, Any]], str]:
    """The table of the tensors written, and the hash of those that are the model's."""
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
            f"{folder} is no checkpoint (it has no {HEADER}); `refinery freeze RUN --out DIR` makes one from a run"
        ) from None
    try:
        header = json.loads(content)
        rest = {name: value for name, value in header.items() if name != "sha256"}
        # The hash covers the meaning; comparing the text covers the spaces between as well.
        whole = header["sha256"] == sha256_json(rest) and readable_json(header) == content
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _changed(path) from None
    if not whole:
        raise _changed(path)
    if header["format"] != FORMAT:
        raise UsageError(f"{path} is of format {header['format']!r}; this version reads {FORMAT!r}")
    return dict(header)


def _changed(path: Path) -> UsageError:
    return UsageError(f"{path} was changed after it was written (its sha256 differs): take another copy")


@contextmanager
def _new_folder(final: Path) -> Iterator[Path]:
    """A temporary folder that becomes `final`, synced, when the block ends well."""
    temporary = final.with_name(f"{TEMPORARY}{final.name}-{os.getpid()}")
    remove_folder(temporary)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for path in sorted(temporary.iterdir()):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(temporary)
        temporary.rename(final)
        sync_folder(final.parent)
    except BaseException:
        remove_folder(temporary)
        raise
