"""Deterministic training of a SentencePiece BPE model: one thread, the lines in the given order, no sampling."""

import io
from collections.abc import Iterable
from typing import Any

from infra.errors import UsageError

# SentencePiece silently skips longer sentences; callers cut lines to fewer characters than that.
MAX_SENTENCE_BYTES = 16_384
MAX_LINE_CHARS = 4_000


def train_bpe(lines: Iterable[str], vocab_size: int, **options: Any) -> bytes:
    """Returns the model file. Raises UsageError if the lines are too few for the vocabulary."""
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            vocab_size=vocab_size,
            num_threads=1,
            input_sentence_size=0,
            shuffle_input_sentence=False,
            max_sentence_length=MAX_SENTENCE_BYTES,
            minloglevel=2,
            **{"model_type": "bpe", **options},
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rpartition("] ")[2] or str(error)
        raise UsageError(f"a vocabulary of {vocab_size} cannot be fitted to these texts: {reason}") from None
    return model.getvalue()
