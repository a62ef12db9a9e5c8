"""Policies by name: `fixed`, `top_p=0.5`, `min_p=0.3`, `table=8,6,4`, or the file of a calibration. Of `top_p` and
`min_p` each MoE layer may have a value of its own: `top_p=0.5,0.4,0.4`.

`refinery calibrate-experts` writes the file (`calibrate.py`); `evaluate` and `generate` take any of these.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import disk_errors, read_json, write_bytes, writing
from trainer.checkpoint import Checkpoint
from trainer.policies import KPolicy, PolicyKind, check_policy
from trainer.settings import build

FAMILY = "refinery.policy/"
FORMAT = f"{FAMILY}2"
KINDS = get_args(PolicyKind)
FORMS = "fixed, top_p=P, min_p=P, table=K,K,… with a k for each MoE layer, or the file of `refinery calibrate-experts`"


@dataclass(frozen=True)
class CalibratedPolicy:
    """A policy, what it was found on, and what was measured with it there. The file is this as JSON."""

    format: str
    policy: PolicyKind
    k: int
    value: float
    minimum: int
    table: tuple[int, ...]
    values: tuple[float, ...]

    checkpoint: str
    """The checkpoint's `sha256`; another one is refused."""

    data: str
    """Hash of the manifest of the held-out data."""

    target_mean_k: float
    mean_k: float
    """Experts per token, the mean over MoE layers."""

    bits_per_byte: float
    mean_k_by_layer: tuple[float, ...]
    mean_k_by_domain: Mapping[str, float]

    bits_per_byte_at_k: float
    """With `k` experts for every token."""

    def kpolicy(self) -> KPolicy:
        return KPolicy(self.k, self.policy, self.value, self.minimum, self.table, self.values)

    def as_dict(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return body

    def write(self, path: Path) -> None:
        with disk_errors(path.parent):
            write_bytes(path, readable_json(self.as_dict()))

    @staticmethod
    def read(path: Path) -> "CalibratedPolicy":
        """UsageError for a file that is missing or not one that `write` wrote."""
        try:
            body = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise UsageError(f"no policy {str(path)!r}: give {FORMS}") from None
        except (OSError, ValueError):
            raise UsageError(f"{path} is no JSON, and no policy: give {FORMS}") from None
        if not isinstance(body, Mapping) or body.get("format") != FORMAT:
            raise UsageError(f"{path} is not of format {FORMAT!r}: make it again with `refinery calibrate-experts`")
        return build(CalibratedPolicy, body, str(path))


def check_place(path: Path) -> None:
    """Make the folder of a policy's file. UsageError where no file can be written, or one that is no policy is."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give --out the name of the policy's file")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        held = path.stat().st_size if path.exists() else 0
    body = read_json(path)
    if held and not (isinstance(body, Mapping) and str(body.get("format")).startswith(FAMILY)):
        raise UsageError(f"{path} exists and is no policy: choose another --out, or delete it first")


def policies_named(policy: str, ks: Sequence[int], checkpoint: Checkpoint) -> list[KPolicy]:
    """The policy that `policy` names, once for each k in `ks` (none: `top_k.full_k`): the experts of a token, or the
    most of them. A table and a file have their own. UsageError for a policy that is none of `FORMS` or not of the
    model."""
    config = checkpoint.config
    kind, _, value = policy.partition("=")
    if kind in KINDS and kind != "table":
        found = [_with_value(policy, kind, value, k) for k in ks or [config.top_k.full_k]]
    elif ks:
        raise UsageError(f"policy {policy} has its own k: leave out --k")
    else:
        found = [_table(policy, value) if kind == "table" else _calibrated(Path(policy), checkpoint.sha256)]
    return [check_policy(each, config.model.n_experts, config.model.n_moe_layers) for each in found]


def _with_value(policy: str, kind: Any, value: str, k: int) -> KPolicy:
    try:
        if kind == "fixed":
            if value:
                raise ValueError
            return KPolicy(k)
        values = tuple(float(number) for number in value.split(","))
        return KPolicy(k, kind, values[0]) if len(values) == 1 else KPolicy(k, kind, values=values)
    except ValueError:
        raise UsageError(f"no policy {policy!r}: give {FORMS}") from None


def _table(policy: str, value: str) -> KPolicy:
    try:
        table = tuple(int(number) for number in value.split(","))
    except ValueError:
        raise UsageError(f"no policy {policy!r}: give {FORMS}") from None
    return KPolicy(max(table), "table", table=table)


def _calibrated(path: Path, checkpoint: str) -> KPolicy:
    found = CalibratedPolicy.read(path)
    if found.checkpoint != checkpoint:
        raise UsageError(
            f"{path} was calibrated on the checkpoint {found.checkpoint}, not on {checkpoint}: calibrate it on this one"
        )
    return found.kpolicy()
