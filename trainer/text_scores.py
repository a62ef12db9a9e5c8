"""Bits of texts under a checkpoint: what `evaluate --grid` and `evaluate --rejects` measure distributions by.

A text's bits are those of all its tokens and of the end of the document after it; where only the beginning of a
document is scored, no end is. Texts longer than the training length are scored in windows (`windows.py`), so no token
but the first has less context than half of a window while there is some.

Shapes: B sequences, L positions, M MoE layers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from infra.errors import WorkError
from trainer.baselines import open_tokenizer
from trainer.checkpoint import read_checkpoint
from trainer.device import choose_device, reproducible
from trainer.generate import encode
from trainer.loss import token_losses
from trainer.model import Transformer
from trainer.plans import packed_plan
from trainer.policies import KPolicy
from trainer.policy_file import policies_named
from trainer.run_files import find_checkpoint
from trainer.windows import Ints, WindowBatch, packed, windows_of

BATCH_SIZE = 8  # sequences

Floats = npt.NDArray[np.float64]


class TextScores(NamedTuple):
    """Of each text, shape (texts,)."""

    bits: Floats
    tokens: Ints


class TextScorer:
    """A checkpoint's model, opened to score texts; `about` says what it is, for the answer that quotes it."""

    def __init__(self, checkpoint: Path, k: int | None = None, policy: str = "fixed", device: str = "auto") -> None:
        """`checkpoint`: a checkpoint, or a run, of which the latest is taken. `k`: experts per token, or the most of
        them under a `policy` other than "fixed", default `top_k.full_k`. UsageError as `evaluate` raises it."""
        self._read = read = read_checkpoint(find_checkpoint(checkpoint))
        self._device = choose_device(device)
        (self._policy,) = policies_named(policy, [] if k is None else [k], read)
        self._tokenizer = open_tokenizer(read.tokenizer)
        self._threads, self._length = read.config.run.threads, read.config.data.sequence_length
        with reproducible(self._threads, self._device):
            self._model = read.model(self._device)
        self.about = {
            "checkpoint": read.sha256,
            "step": read.step,
            "k": self._policy.k,
            "policy": self._policy.name,
            "window": self._length,
            "trained_on": read.data.manifest_sha256,
        }

    def __call__(self, texts: Sequence[str], whole: Sequence[bool]) -> TextScores:
        """`whole`: whether each text is all of its document. WorkError for a loss that is not finite."""
        end = [self._read.data.eod_id]
        tokens = [
            np.array([*encode(self._tokenizer, text), *(end if ends else [])], np.int64)
            for text, ends in zip(texts, whole, strict=True)
        ]
        sizes = np.array([len(each) for each in tokens], np.int64)
        with reproducible(self._threads, self._device):
            bits = text_bits(self._model, tokens, self._length, self._policy, end[0])
        return TextScores(bits, sizes)


def text_bits(model: Transformer, tokens: Sequence[Ints], length: int, policy: KPolicy, before: int) -> Floats:
    """Bits of each text, shape (texts,). `tokens`: the targets of each. `length`: tokens of a window. `before`: the
    token that stands before every text."""
    bits = np.zeros(len(tokens))
    step = max(1, length // 2)
    windows = (window for text, ids in enumerate(tokens) for window in windows_of(text, len(ids), length, step))
    with torch.inference_mode():
        for batch in packed(tokens, windows, length, BATCH_SIZE, before):
            nats = target_nats(model, batch, policy)
            scored = batch.texts >= 0
            bits += np.bincount(batch.texts[scored], nats[scored] / np.log(2.0), minlength=len(bits))
    return bits


def target_nats(model: Transformer, batch: WindowBatch, policy: KPolicy) -> Floats:
    """The loss of each target, [B, L]. WorkError for one that is not finite."""
    config, device = model.config, model.head.device

    def on_device(part: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(part).to(device)

    plan = packed_plan(config, torch.from_numpy(batch.segments), device, model.dtype)
    real_BL = None if batch.real.all() else on_device(batch.real)
    out = model(on_device(batch.inputs), plan, policy.for_layers(config.n_moe_layers), real_BL=real_BL)
    losses = token_losses(out.hidden_BLD.flatten(0, 1), model.head, on_device(batch.targets).flatten())
    nats: Floats = losses.nats_T.view(batch.targets.shape).cpu().numpy().astype(np.float64)
    if not np.isfinite(nats[batch.real]).all():
        raise WorkError("the model's loss is not finite on this text: its weights are spoilt, or too large")
    return nats
