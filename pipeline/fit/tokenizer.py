"""`refinery fit tokenizer`: the lossless SentencePiece BPE model with which token shards are made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.storage import write_bytes
from mixers.tokenizer import TRAINING_OPTIONS, Tokenizer, utf8_bytes
from pipeline.fit.sentencepiece_bpe import MAX_LINE_CHARS, train_bpe
from pipeline.fit.texts import Sample, counted, lines_of, origin, read_samples, split, stable_hash, write_card

# More text than this changes no merge that matters, and BPE training holds all of it in memory.
MAX_TRAINING_CHARS = 64 * 2**20


def fit_tokenizer(positive: Sequence[Path], out: Path, vocab_size: int = 8192) -> dict[str, Any]:
    """Fits on files and returns the card. `vocab_size` includes the 256 bytes and the 3 special tokens. Raises
    UsageError if the texts are too few for it."""
    files = origin("tokenizer", out, f" --vocab-size {vocab_size}", positive=positive)
    return tokenizer_from(read_samples(positive), out, vocab_size, *files)


def tokenizer_from(
    samples: Sequence[Sample], out: Path, vocab_size: int, made_from: Any, command: str
) -> dict[str, Any]:
    """Fits, measures bytes per token on one group in ten, writes `out` and its card."""
    training, held_out = split(samples)
    texts = _bounded(sorted(sample.text for sample in training or samples))
    # Inner white space matters to a lossless tokenizer, so it is not collapsed.
    content = train_bpe(lines_of(texts, MAX_LINE_CHARS), vocab_size, **TRAINING_OPTIONS)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, content)
    measured = [sample.text for sample in held_out or samples]
    tokens = sum(len(ids) for ids in Tokenizer(out).encode_batch(measured))
    return write_card(
        out,
        "SentencePiece BPE, lossless: byte fallback, digits split, no normalisation",
        command,
        made_from,
        vocab_size=vocab_size,
        positive=counted(samples),
        held_out={"bytes_per_token": round(int(utf8_bytes(measured).sum()) / max(tokens, 1), 4)},
    )


def _bounded(texts: Sequence[str]) -> list[str]:
    """Texts up to the bound, chosen by hash, in sorted order."""
    kept: list[str] = []
    total = 0
    for text in sorted(texts, key=lambda text: (stable_hash(text), text)):
        total += len(text)
        if total > MAX_TRAINING_CHARS and kept:
            break
        kept.append(text)
    return sorted(kept)
