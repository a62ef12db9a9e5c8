"""KV caches for decoding, and their size in bytes.

One cache per KV group: a ring of `window` slots for sliding groups, `capacity` slots for full ones. Keys are rotated by
RoPE before they are stored, so the order of the slots does not matter. Sequences of a batch may have other lengths.

Shapes: B sequences, L positions, S slots, H query heads, G key/value heads, C head_dim.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.attention import KV, Kind, Rope, rope_of
from trainer.config import ModelConfig


class Caches:
    """The keys and values of the tokens so far, by KV group; one position per slot and kind of layer."""

    def __init__(
        self,
        config: ModelConfig,
        sequences: int,
        capacity: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config, self.capacity = config, capacity
        self.lengths_B = torch.zeros(sequences, dtype=torch.int64, device=device)
        self.longest = 0
        self.equal = True  # whether all sequences have the same length: then every used slot is attended to
        self.slots: dict[Kind, int] = {"sliding": min(config.window, capacity), "full": capacity}
        self.positions: dict[Kind, Tensor] = {
            kind: torch.full((sequences, slots), -1, dtype=torch.int64, device=device)
            for kind, slots in self.slots.items()
        }
        """Position of the token in each slot, [B, S]; -1 for none."""
        self.groups: dict[int, KV] = {}
        for layer in config.layers:
            shape = (sequences, config.n_kv_heads, self.slots[layer.attention], config.head_dim)
            if layer.kv_group not in self.groups:
                self.groups[layer.kv_group] = KV(*(torch.zeros(shape, dtype=dtype, device=device) for _ in range(2)))

    def fill(self, kvs: Mapping[int, KV], lengths: Sequence[int]) -> None:
        """Store the last tokens of prompts: `kvs` [B, G, L, C] by group, `lengths` tokens of each."""
        lengths_B = torch.tensor(lengths, device=self.lengths_B.device)
        self.lengths_B.copy_(lengths_B)
        self.longest, self.equal = max(lengths), len(set(lengths)) == 1
        assert self.longest <= self.capacity, "the prompt is longer than the cache"
        for kind, slots in self.slots.items():
            slot_S = torch.arange(slots, device=lengths_B.device)
            # The last position of each sequence that falls on the slot.
            last_B1 = lengths_B[:, None] - 1
            self.positions[kind].copy_((last_B1 - (last_B1 - slot_S) % slots).clamp(min=-1))
        kinds: dict[int, Kind] = {layer.kv_group: layer.attention for layer in self.config.layers}
        for group, kind in kinds.items():
            index = self.positions[kind].clamp(min=0)[:, None, :, None]
            for cache, new in zip(self.groups[group], kvs[group], strict=True):
                cache.copy_(new.gather(2, index.expand(-1, cache.shape[1], -1, cache.shape[3])))

    def step(self) -> "DecodePlan":
        """The plan for one more token of each sequence, whose slots are taken from now on."""
        assert self.longest < self.capacity, "the cache is full"
        position_B = self.lengths_B.clone()
        shared = {kind: self.longest % slots if self.equal else None for kind, slots in self.slots.items()}
        slot_B = {kind: position_B % slots for kind, slots in self.slots.items()}
        for kind, slots_B in slot_B.items():
            self.positions[kind].scatter_(1, slots_B[:, None], position_B[:, None])
        self.lengths_B += 1
        self.longest += 1
        used = {kind: min(slots, self.longest) for kind, slots in self.slots.items()}
        masks = {kind: None if self.equal else self._mask(kind, position_B, used[kind]) for kind in self.slots}
        return DecodePlan(rope_of(self.config, position_B[:, None, None]), slot_B, shared, used, masks)

    def _mask(self, kind: Kind, position_B: Tensor, used: int) -> Tensor:
        """[B, 1, 1, S], true for slots that the token at `position_B` attends to."""
        held_BS = self.positions[kind][:, :used]
        mask = (held_BS >= 0) & (held_BS <= position_B[:, None])
        if kind == "sliding":
            mask &= held_BS > position_B[:, None] - self.config.window
        return mask[:, None, None, :]

    @property
    def allocated_bytes(self) -> int:
        """Bytes of the keys and values."""
        return sum(tensor.nbytes for kv in self.groups.values() for tensor in kv)


@dataclass(frozen=True)
class DecodePlan:
    """Attention of one new token of each sequence over the caches (an `AttentionPlan`)."""

    rope: Mapping[Kind, Rope]

    slot_B: Mapping[Kind, Tensor]
    """The slot that the token takes."""

    shared_slot: Mapping[Kind, int | None]
    """The same where it is one for all sequences: it is then written without an index."""

    used: Mapping[Kind, int]
    """Slots from this one on are empty in every sequence."""

    masks: Mapping[Kind, Tensor | None]
    """Which of the used slots are attended to; None for all."""

    def store(self, kind: Kind, kv_in: KV | None, new: KV) -> KV:
        assert kv_in is not None, "decoding takes the caches"
        row_B = torch.arange(new.k.shape[0], device=new.k.device)
        slot = self.shared_slot[kind]
        for cache, added in zip(kv_in, new, strict=True):
            if slot is None:
                cache[row_B, :, self.slot_B[kind]] = added[:, :, 0]
            else:
                cache[:, :, slot] = added[:, :, 0]
        return kv_in

    def attend(self, kind: Kind, q_BHLC: Tensor, kv: KV) -> Tensor:
        k, v = (cache[:, :, : self.used[kind]] for cache in kv)
        return F.scaled_dot_product_attention(q_BHLC, k, v, attn_mask=self.masks[kind], enable_gqa=True)


def kv_bytes(config: ModelConfig, length: int, bytes_per_value: int = 4) -> int:
    """Bytes of one sequence's KV caches at a context of `length` tokens: 2 x G x C x bytes per slot of each group."""
    kinds = {layer.kv_group: layer.attention for layer in config.layers}
    slots = sum(min(config.window, length) if kind == "sliding" else length for kind in kinds.values())
    return 2 * config.n_kv_heads * config.head_dim * bytes_per_value * slots


def kv_bytes_per_token(config: ModelConfig, length: int, bytes_per_value: int = 4) -> float:
    """`kv_bytes` per token of context.

    With three sliding layers per full layer, full layers in pairs and L = 16 W, this is 1/8 + 3/4 x 1/16 = 17.19 % of
    the cache of a model whose layers are all full and share nothing.
    """
    return kv_bytes(config, length, bytes_per_value) / length
