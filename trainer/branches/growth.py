"""Layers and experts that a branch adds to its trunk, so that the first forward pass gives what the trunk's gives.

A layer is a copy of one of the trunk's, put behind the last that is copied. What it adds to the residual stream is zero
at first (its `wo` and `w_out` are), so the outputs are the same bits; its moments begin at zero.

Of experts, each becomes several, with the router's row of the one that it comes from, and a token uses as many times
more: copies have equal scores, so all of one are chosen together and share its weight. Their output matrices differ by
noise that sums to zero over the copies, without which they would have equal gradients for ever. So the outputs are the
same up to the order of sums, for every k that is a multiple of the copies. An expert that is added beside the trunk's
would have to be one that no token chooses at first; as the selection biases rest in a decay, none ever would.

Tensors are made as they are read, a rank's rows at a time, so that a checkpoint of any number of ranks can grow on any
other.

Shapes: E experts of the trunk.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from infra.errors import UsageError
from trainer.state import ReadRows

# The deviation of the copies' output matrices from the expert's, relative to each of its values.
NOISE = 0.1
_BLOCK = re.compile(r"\bblocks\.(\d+)\.")
_ADDED_TO_THE_STREAM = ("wo", "w_out")
_MOMENT_POWERS = {"exp_avg": 1, "exp_avg_sq": 2, "momentum": 1}


@dataclass(frozen=True)
class Growth:
    """The override `add`."""

    layers: tuple[int, ...] = ()
    """Numbers of layers, from 0, of which copies are put behind the last of them."""

    experts: int = 1
    """How many each expert becomes; `top_k.full_k` and `min_k` are multiplied by it."""

    def check(self, layers: int) -> "Growth":
        """Itself, for a trunk of so many layers. UsageError for what cannot be added."""
        known = all(0 <= each < layers for each in self.layers)
        if not known or list(self.layers) != sorted(set(self.layers)):
            raise UsageError(
                f"override 'add.layers' must be numbers of the trunk's layers, 0 to {layers - 1}, in order"
            )
        if self.experts < 1:
            raise UsageError("override 'add.experts' must be at least 1: how many each expert becomes")
        return self


class LayerOrigin(NamedTuple):
    """The layer of the trunk that a layer comes from, and whether it is a copy beside it."""

    layer: int
    is_copy: bool


def origins(growth: Growth, layers: int) -> list[LayerOrigin]:
    """Of each layer of the grown model; `layers`: of the trunk."""
    kept = [LayerOrigin(layer, False) for layer in range(layers)]
    if not growth.layers:
        return kept
    behind = growth.layers[-1] + 1
    return [*kept[:behind], *(LayerOrigin(layer, True) for layer in growth.layers), *kept[behind:]]


def grow_config(body: dict[str, Any], growth: Growth) -> None:
    """Change the sections `model` and `top_k` of a configuration's JSON. A copy of a layer that owns keys and values
    owns some too; a copy of one that reads them reads those of the copied owner, or of the trunk's where that is not
    copied."""
    layers: Sequence[dict[str, Any]] = body["model"]["layers"]
    groups = [layer["kv_group"] for layer in layers]
    fresh: dict[int, int] = {}
    grown = []
    for origin in origins(growth, len(layers)):
        layer = dict(layers[origin.layer])
        group = layer["kv_group"]
        if origin.is_copy:
            if groups.index(group) == origin.layer:
                fresh[group] = max([*groups, *fresh.values()]) + 1
            layer["kv_group"] = fresh.get(group, group)
        grown.append(layer)
    body["model"]["layers"] = grown
    body["model"]["n_experts"] *= growth.experts
    for name in ("full_k", "min_k"):
        body["top_k"][name] *= growth.experts


def grown_rows(read: ReadRows, growth: Growth, layers: int) -> ReadRows:
    """Reads rows of the grown model's tensors from those of a trunk with so many layers, which `read` gives."""
    places = origins(growth, layers)

    def grown(name: str, first: int, count: int) -> Tensor:
        match = _BLOCK.search(name)
        if match is None:
            return read(name, first, count)
        origin = places[int(match[1])]
        source = _BLOCK.sub(f"blocks.{origin.layer}.", name)
        copies = growth.experts if ".experts." in name or ".router." in name else 1
        rows = read(source, first, count) if copies == 1 else _copied(read, source, first, count, copies)
        owner, kind = name.split(".")[0], name.rsplit(".", 1)[-1]
        if origin.is_copy and (owner == "optimizer" or kind in _ADDED_TO_THE_STREAM):
            return torch.zeros_like(rows)
        return rows

    return grown


def _copied(read: ReadRows, name: str, first: int, count: int, copies: int) -> Tensor:
    """Rows of a tensor of experts: row r is the trunk's row r // copies."""
    parts = name.split(".")
    moment = parts[1] if parts[0] == "optimizer" else ""
    if moment == "step":
        return read(name, first, count)
    numbers = torch.arange(first, first + count)
    begin = first // copies
    rows = read(name, begin, (first + count - 1) // copies + 1 - begin)[numbers // copies - begin]
    # Each copy has its share of the expert's gradient.
    rows = rows / copies ** _MOMENT_POWERS.get(moment, 0)
    if parts[0] == "model" and parts[-1] == "w_out":
        rows = torch.stack([row * (1 + _noise(name, int(n), copies, row)) for n, row in zip(numbers, rows)])
    return rows


def _noise(name: str, number: int, copies: int, like: Tensor) -> Tensor:
    """Of the output matrix of one copy; over the copies of an expert it sums to zero."""
    seed = hashlib.sha256(f"{name} {number // copies}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(seed[:8], "little") % 2**63)
    drawn = torch.randn((copies, *like.shape), generator=generator)
    return NOISE * (drawn[number % copies] - drawn.mean(0))
