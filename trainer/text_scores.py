"""Bits of texts under a checkpoint: what `evaluate --grid`, `--rejects` and `--choices` measure by.

A text's bits are those of all its tokens and of the end of the document after it; where only the beginning of a
document is scored, no end is. Texts longer than the training length are scored in windows (`windows.py`), so no token
but the first has less context than half of a window while there is some. A continuation is scored in one window, with
as much of its context as fits before it.

Shapes: B sequences, L positions, M MoE layers.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from infra.errors import WorkError
from trainer.baselines import open_tokenizer
from trainer.checkpoint import latest_checkpoint
from trainer.device import choose_device, reproducible
from trainer.generate import encode
from trainer.loss import token_losses
from trainer.model import Transformer
from trainer.plans import packed_plan
from trainer.policies import KPolicy
from trainer.policy_file import policies_named
from trainer.windows import Ints, TextWindow, WindowBatch, packed, windows_of

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
        self._read = read = latest_checkpoint(checkpoint)
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

    def continuation_bits(self, contexts: Sequence[str], continuations: Sequence[str]) -> Floats:
        """Bits of each continuation after its context, shape (texts,): from its first token on, which has the end of
        the context in it where the tokenizer makes one token of both. WorkError as above."""
        tokens, windows = [], []
        for text, (context, continuation) in enumerate(zip(contexts, continuations, strict=True)):
            known = np.array(encode(self._tokenizer, context), np.int64)
            whole = np.array(encode(self._tokenizer, context + continuation), np.int64)
            least = min(len(known), len(whole))
            same = whole[:least] == known[:least]
            first = least if same.all() else int(np.argmin(same))
            tokens.append(whole)
            windows += continuation_windows(text, first, len(whole), self._length)
        with reproducible(self._threads, self._device):
            return text_bits(self._model, tokens, self._length, self._policy, self._read.data.eod_id, windows)


def continuation_windows(text: int, first: int, targets: int, length: int) -> list[TextWindow]:
    """The window of the targets from `first` on, with all before it that fit; more windows for more than fit in one."""
    if targets - first <= length:
        return [TextWindow(text, max(0, targets - length), first, targets)] if targets > first else []
    later = windows_of(text, targets - first, length, max(1, length // 2))
    return [TextWindow(text, first + each.start, first + each.first, first + each.end) for each in later]


def text_bits(
    model: Transformer,
    tokens: Sequence[Ints],
    length: int,
    policy: KPolicy,
    before: int,
    windows: Iterable[TextWindow] | None = None,
) -> Floats:
    """Bits of each text, shape (texts,). `tokens`: the targets of each. `length`: tokens of a window. `before`: the
    token that stands before every text. `windows`: those that score, in the order of texts; by default all."""
    bits = np.zeros(len(tokens))
    step = max(1, length // 2)
    if windows is None:
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
