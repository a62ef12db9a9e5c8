"""Baselines for bits per byte: a unigram model of the training tokens, and gzip of the same text. V vocabulary."""

import gzip
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.data.documents import Ints
from trainer.data.tokens import TokenDataset

Floats = npt.NDArray[np.float64]


def unigram_bits(dataset: TokenDataset, token_counts_V: Ints) -> Floats:
    """Bits of each document under a unigram model with these training counts, add-one smoothed. Shape (documents,)."""
    smoothed = token_counts_V.astype(np.float64) + 1.0
    bits_V = -np.log2(smoothed / smoothed.sum())
    table = dataset.documents
    bits = [bits_V[dataset.tokens(i, 0, int(table.lengths[i]))].sum() for i in range(len(table))]
    return np.array(bits, np.float64)


def gzip_bits_per_byte(texts: list[str]) -> float | None:
    """Bits per UTF-8 byte of the texts joined by newlines, compressed as one stream at level 9. None without text."""
    content = "\n".join(texts).encode("utf-8", "surrogatepass")
    return 8 * len(gzip.compress(content, 9, mtime=0)) / len(content) if content else None


def texts(dataset: TokenDataset) -> list[str]:
    """The text of each document, decoded from its tokens without the end-of-document token."""
    processor: Any = open_tokenizer(dataset.tokenizer)
    table = dataset.documents
    spans = [dataset.tokens(i, 0, int(table.lengths[i])).tolist() for i in range(len(table))]
    return [processor.decode([token for token in span if token != dataset.ref.eod_id]) for span in spans]


def open_tokenizer(model: bytes) -> Any:
    """The SentencePiece processor of a serialised model."""
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=model)
