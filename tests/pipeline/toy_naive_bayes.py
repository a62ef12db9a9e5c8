"""A model file as py3langid writes it, small: naive Bayes over single bytes."""

import io
import lzma
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def write_naive_bayes(path: Path, texts: Mapping[str, str], **changed: object) -> None:
    """Fitted on a text for each label. The automaton's state is the last byte; `changed` replaces parts."""
    counts_LF = np.array(
        [np.bincount(np.frombuffer(text.encode(), np.uint8), minlength=256) for text in texts.values()]
    )
    parts = {
        "ptc": np.log((counts_LF + 0.5) / (counts_LF + 0.5).sum(axis=1, keepdims=True)).T.astype(np.float16),
        "pc": np.zeros(len(texts), np.float32),
        "classes": np.array(list(texts)),
        "nextmove": np.arange(1, 257, dtype=np.uint16),
        "nextmove_row": np.zeros(257, np.uint16),
        "out_feat": np.arange(-1, 256, dtype=np.int32),
    }
    file = io.BytesIO()
    np.savez(file, **{**parts, **changed})
    path.write_bytes(lzma.compress(file.getvalue()))
