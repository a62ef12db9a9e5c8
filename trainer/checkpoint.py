"""Checkpoints: raw tensors and JSON in a content-addressed folder, which appears whole or not at all and is verified
when it is read.

```
FOLDER/checkpoint.json    the state's header, the table of tensors with their hashes, and the sha256 of all of it
FOLDER/part-NNNNN.*       the tensors' bytes, a part for each rank that wrote it (`tensor_files.py`)
FOLDER/tokenizer.model    the tokenizer, so that a checkpoint alone can read and write text
```
Nothing is pickled, so reading a checkpoint runs no code from it. Three hashes: `weights_sha256` covers weights and
router biases; `state_sha256` all of the training state; `sha256` these and the tokenizer, the code's version and the
lineage. None depends on how many ranks wrote the checkpoint, nor on `execution`: these are in `layout`, which has a
hash of its own. Branches name their trunk by `sha256`.

A frozen checkpoint is the same folder, read-only. Frozen or not, one changed byte is refused by whoever reads it.

torch's own distributed checkpoints (DCP) are exported alone (`trainer/export/dcp.py`): their index is a pickle, they
have no hashes, and their names of files follow the sharding.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from infra.code_version import code_version
from infra.errors import UsageError
from infra.hashing import readable_json, sha256_file, sha256_json
from infra.storage import disk_errors, new_folder, writing
from trainer.config import Config
from trainer.data.tokens import TOKENIZER_FILE, DataRef
from trainer.device import COMPUTE_DTYPES
from trainer.model import Transformer
from trainer.parallel.ranks import ONE, Ranks
from trainer.run_files import HEADER, no_checkpoint, of_latest
from trainer.state import CPU, TrainingState
from trainer.tensor_files import TensorFiles, changed, check_file, part_files, part_names, write_part

PART = re.compile(r"part-[0-9]{5,}")
# Changes with the names in the header: a checkpoint of another format is refused.
FAMILY = "refinery.checkpoint/"
FORMAT = f"{FAMILY}3"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose header was verified. Its tensors are verified when they are read, and not read before."""

    folder: Path
    header: Mapping[str, Any]
    tensors: TensorFiles

    tokenizer: bytes
    """The SentencePiece model."""

    @property
    def sha256(self) -> str:
        return str(self.header["sha256"])

    @property
    def step(self) -> int:
        return int(self.header["state"]["step"])

    def state(self, device: torch.device = CPU, ranks: Ranks = ONE) -> TrainingState:
        """A new training state with these values; with several ranks, this one's part of it."""
        return TrainingState.restore(self.header["state"], self.tensors.rows, self.config, device, ranks)

    def model(self, device: torch.device = CPU) -> Transformer:
        """The model alone, without moments."""
        config = self.config
        with torch.device("meta"):
            model = Transformer(config.model, self.data.vocab_size, COMPUTE_DTYPES[config.run.compute_dtype])
        weights = {name: self.tensors[f"model.{name}"] for name in model.state_dict()}
        self.check_finite(weights)
        model.load_state_dict(weights, assign=True)
        return model.to(device)

    def check_finite(self, weights: Mapping[str, torch.Tensor]) -> None:
        """UsageError where one of these tensors has a number that is not finite."""
        for name, tensor in weights.items():
            if not tensor.isfinite().all():
                raise UsageError(f"{self.folder} has weights that are not finite ({name}): take an earlier checkpoint")

    @property
    def config(self) -> Config:
        """The configuration of the run that wrote it."""
        identity, execution = self.header["state"]["config"], self.header["layout"]["execution"]
        return Config.from_dict({**identity, "execution": execution}, "the checkpoint")

    @property
    def data(self) -> DataRef:
        """The dataset that was trained on last."""
        return DataRef(**self.header["state"]["data"])

    def verify(self) -> "Checkpoint":
        """Read every byte; the checkpoint itself. UsageError names the file that was changed."""
        self.tensors.verify()
        return self

    def summary(self) -> dict[str, Any]:
        """The three hashes, the step, and the tokens trained on."""
        names = ("sha256", "state_sha256", "weights_sha256")
        state = self.header["state"]
        return {name: self.header[name] for name in names} | {"step": state["step"], "tokens": state["tokens"]}


def write_header(
    folder: Path, state: Mapping[str, Any], execution: Mapping[str, Any], tokenizer: bytes, lineage: Mapping[str, Any]
) -> None:
    """Write what a folder with all parts of a checkpoint lacks. `state`: the header of a `TrainingState`; `lineage`:
    trunk and overrides, for a branch."""
    parts = part_names(folder)
    table = TensorFiles(folder, parts).table()
    (folder / TOKENIZER_FILE).write_bytes(tokenizer)
    header: dict[str, Any] = {
        "format": FORMAT,
        "state": dict(state),
        "lineage": dict(lineage),
        "code": code_version("trainer.api"),
        "torch": torch.__version__,
        "tensors": table,
        "tokenizer_sha256": sha256_file(folder / TOKENIZER_FILE),
        "weights_sha256": sha256_json([row for row in table if row["name"].startswith("model.")]),
        "state_sha256": sha256_json({"state": dict(state), "tensors": table}),
    }
    header["sha256"] = sha256_json(header)
    # Of each part but its data, of which the sums are the hashes.
    files = {name: sha256_file(folder / name) for part in parts for name in part_files(part)[:2]}
    header["layout"] = {"execution": dict(execution), "parts": parts, "files": files}
    header["layout_sha256"] = sha256_json(header["layout"])
    (folder / HEADER).write_bytes(readable_json(header))


def write_checkpoint(
    folder: Path, state: TrainingState, tokenizer: bytes, lineage: Mapping[str, Any] | None = None
) -> None:
    """Write the `state` of a run of one rank to the new folder `folder`."""
    with disk_errors(folder.parent), new_folder(folder) as temporary:
        write_part(temporary, 0, state.rows())
        write_header(temporary, state.header(), asdict(state.config.execution), tokenizer, lineage or {})


def read_checkpoint(folder: Path) -> Checkpoint:
    """Open the checkpoint in `folder`; tensors are read later. UsageError names the file that is missing or changed."""
    header = _read_header(folder)
    layout = header["layout"]
    for name, sha256 in {TOKENIZER_FILE: header["tokenizer_sha256"], **layout["files"]}.items():
        check_file(folder / name, sha256)
    tensors = TensorFiles(folder, layout["parts"])
    if tensors.table() != header["tensors"]:
        raise changed(folder / HEADER)
    return Checkpoint(folder, header, tensors, (folder / TOKENIZER_FILE).read_bytes())


def latest_checkpoint(path: Path) -> Checkpoint:
    """`read_checkpoint` of a checkpoint, or of the latest of a run, which may be replaced while it is opened."""
    return of_latest(path, read_checkpoint)


def freeze_checkpoint(source: Path, out: Path) -> Checkpoint:
    """Copy the checkpoint `source` to the read-only folder `out`.

    Does nothing when `out` holds this checkpoint already; UsageError when it holds anything else.
    """
    checkpoint = read_checkpoint(source).verify()
    checkpoint.model()
    if out.exists():
        if not (out / HEADER).is_file():
            raise UsageError(f"{out} exists and is no frozen checkpoint: choose another --out")
        if read_checkpoint(out).sha256 != checkpoint.sha256:
            raise UsageError(f"{out} holds another frozen checkpoint, which is never overwritten: choose another --out")
        return read_checkpoint(out).verify()
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(out.parent), new_folder(out) as temporary:
        for name in _files(checkpoint.header["layout"]["parts"]):
            shutil.copyfile(source / name, temporary / name)
            (temporary / name).chmod(0o444)
    out.chmod(0o555)
    return read_checkpoint(out).verify()


def _files(parts: Iterable[str]) -> list[str]:
    """Every file of a checkpoint."""
    return [HEADER, TOKENIZER_FILE, *(name for part in parts for name in part_files(part))]


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER
    try:
        content = path.read_bytes()
    except OSError:
        raise no_checkpoint(folder) from None
    try:
        header = json.loads(content)
        if str(header["format"]).startswith(FAMILY) and header["format"] != FORMAT:
            raise UsageError(
                f"{path} is of format {header['format']!r} and this version reads {FORMAT!r}: "
                "train again, or use the version that wrote it"
            )
        named = {name: header[name] for name in header if name not in ("sha256", "layout", "layout_sha256")}
        # The hashes cover the values; comparing the text covers white space as well.
        whole = header["sha256"] == sha256_json(named) and readable_json(header) == content
        whole = whole and header.get("layout_sha256") == sha256_json(header.get("layout"))
        # Names become paths, of files that are read and, by `freeze`, written.
        parts = header["layout"]["parts"]
        whole = whole and all(PART.fullmatch(part) for part in parts)
        whole = whole and {*header["layout"]["files"]} == {name for part in parts for name in part_files(part)[:2]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise changed(path) from None
    if not whole:
        raise changed(path)
    return dict(header)
