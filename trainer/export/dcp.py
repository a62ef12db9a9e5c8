"""Weights, and if wanted moments, as a folder that `torch.distributed.checkpoint.load` reads (DCP), on any number of
ranks.

```
OUT/.metadata       the index: names, shapes, and where in the file each tensor is
OUT/__0_0.distcp    the tensors
```
Names are those of the modelling file: a weight is `model.layers.0.self_attn.q_proj.weight`, its moments are below
`optimizer.state.` as torch names them: `exp_avg`, `exp_avg_sq` and `step` of AdamW, `momentum_buffer` of Muon. All
values are tensors; the optimizer's settings are the reader's own.

DCP's index is a pickle, which runs code when it is read. So this is written and never read by us.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.metadata import StorageMeta
from torch.distributed.checkpoint.state_dict_saver import save

from trainer.checkpoint import Checkpoint
from trainer.export.weights import exported_name
from trainer.optimizer import MOMENTS, MOMENTUM

MOMENTUM_BUFFER = "momentum_buffer"


def exported_moments(read: Checkpoint) -> dict[str, Tensor]:
    """The moments of a checkpoint, in float32, by the names of `torch.distributed.checkpoint.state_dict`."""
    found = {}
    for stored in read.tensors:
        if stored.startswith("optimizer."):
            _, moment, name = stored.split(".", 2)
            assert moment in (*MOMENTS, MOMENTUM)
            theirs = MOMENTUM_BUFFER if moment == MOMENTUM else moment
            found[f"optimizer.state.{exported_name(name)}.{theirs}"] = read.tensors[stored]
    return found


class DcpWriter(FileSystemWriter):
    """Without its random number and path: the same tensors give the same bytes."""

    def storage_meta(self) -> StorageMeta:
        return StorageMeta()


def write_dcp(folder: Path, tensors: Mapping[str, Tensor]) -> list[Path]:
    """Write `tensors` into `folder`. Returns the files."""
    with warnings.catch_warnings(), system_errors():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # it is not needed
        whole: dict[str, Any] = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save(whole, storage_writer=DcpWriter(folder, sync_files=False), no_dist=True)
    return sorted([*folder.glob("*.distcp"), folder / ".metadata"])


@contextmanager
def system_errors() -> Iterator[None]:
    """Errors of DCP that are the system's, such as a full disk, as OSError. torch may raise another in its place."""
    try:
        yield
    except CheckpointException as error:
        cause: BaseException | None = next(failure for failure, _ in error.failures.values())
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__context__
        raise cause or error from None
