"""What a language model must beat: a unigram model of the same tokens, and gzip, in bits per byte of the same text."""

import gzip
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.tokens import Ints, TokenDataset

Floats = npt.NDArray[np.float64]


def unigram_bits(dataset: TokenDataset, seen_V: Ints) -> Floats:
    """Bits of each document under the frequencies `seen_V` of the tokens that were trained on (plus one for each)."""
    smoothed = seen_V.astype(np.float64) + 1.0
    bits_V = -np.log2(smoothed / smoothed.sum())
    table = dataset.documents
    bits = [bits_V[dataset.tokens(i, 0, int(table.lengths[i]))].sum() for i in range(len(table))]
    return np.array(bits, np.float64)


def gzip_bits_per_byte(texts: list[str]) -> float | None:
    """The texts joined by newlines, compressed at the highest level as one stream. None when there is no text."""
    content = "\n".join(texts).encode("utf-8", "surrogatepass")
    return 8 * len(gzip.compress(content, 9, mtime=0)) / len(content) if content else None


def texts(dataset: TokenDataset) -> list[str]:
    """The text of each document, back from its tokens; the end-of-document token has none."""
    processor: Any = tokenizer(dataset.tokenizer)
    table = dataset.documents
    spans = [dataset.tokens(i, 0, int(table.lengths[i])).tolist() for i in range(len(table))]
    return [processor.decode([token for token in span if token != dataset.ref.eod]) for span in spans]


def tokenizer(model: bytes) -> Any:
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=model)
