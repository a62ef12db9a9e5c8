"""A lossless SentencePiece BPE tokenizer: text to token arrays, and back to exactly the same text.

Bits per byte are comparable only if the tokenizer keeps every byte of the text. SentencePiece by default does not: it
normalises (NFKC), collapses white space and adds a leading space. `TRAINING_OPTIONS` turns all of that off; a model
that loses text is refused when it is opened.

SentencePiece represents a space as U+2581, so a U+2581 in the text would decode as a space. It is encoded as its three
UTF-8 bytes (byte fallback) instead.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError
from mixers.shards import Tokens

# Options of SentencePieceTrainer that make a model lossless.
TRAINING_OPTIONS: Mapping[str, Any] = {
    "model_type": "bpe",
    "byte_fallback": True,
    "split_digits": True,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "add_dummy_prefix": False,
    "allow_whitespace_only_pieces": True,
}

# Megatron-Core's limit for 16-bit tokens, which leaves room for padding the vocabulary.
MAX_UINT16_VOCABULARY = 65_500
_SPACE_SIGN = "\u2581"
# Longer texts are encoded in pieces of this many characters, as the encoder's memory grows with its input.
MAX_PIECE_CHARS = 2**20
_PROBE = "  a\tb\r\n\n c\u00a0\u3000d e\u0301\ufb01\u00bd\u4e2d\U0001f642\x00\u2581 <s> 2024 "


class Tokenizer:
    """A lossless SentencePiece model. Its end-of-sentence piece, `eod_id`, ends documents.

    UsageError when `path` is missing or not a SentencePiece model, or when the model has no byte fallback, has no
    end-of-sentence piece, or loses text.
    """

    def __init__(self, path: Path) -> None:
        from sentencepiece import SentencePieceProcessor

        if not path.is_file():
            raise UsageError(
                f"no tokenizer at {path}; make one with `refinery fit tokenizer --positive TEXTS --out {path}`"
            )
        self.path = path
        try:
            self._model = SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError):
            raise UsageError(f"{path} is not a SentencePiece model; make one with `refinery fit tokenizer`") from None
        self.vocab_size: int = self._model.vocab_size()
        self.eod_id: int = self._model.eos_id()
        self.dtype: np.dtype[Any] = np.dtype(np.uint16 if self.vocab_size <= MAX_UINT16_VOCABULARY else np.int32)
        self._check()

    def _check(self) -> None:
        advice = "make one with `refinery fit tokenizer`, or with the options in mixers.tokenizer.TRAINING_OPTIONS"
        if self.eod_id < 0:
            raise UsageError(f"the tokenizer {self.path} has no end-of-sentence piece to end documents with; {advice}")
        byte_pieces = [self._model.piece_to_id(f"<0x{byte:02X}>") for byte in _SPACE_SIGN.encode()]
        if not all(self._model.is_byte(piece) for piece in byte_pieces):
            raise UsageError(f"the tokenizer {self.path} has no byte fallback; {advice}")
        self._space_sign_ids: list[int] = byte_pieces
        if self.decode(self.encode_batch([_PROBE])[0]) != _PROBE:
            raise UsageError(f"the tokenizer {self.path} loses text (it normalises or collapses white space); {advice}")

    def encode_batch(self, texts: Sequence[str]) -> list[Tokens]:
        """Token ids of each text, as uint16 (int32 for a vocabulary over 65,500), without `eod_id`.

        Lone surrogates, which have no UTF-8 encoding, become question marks.
        """
        return [np.array(self._encode(text), dtype=self.dtype) for text in texts]

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for piece in _pieces(text):
            for i, part in enumerate(piece.split(_SPACE_SIGN)):
                if i:
                    ids += self._space_sign_ids
                ids += self._model.encode(part)
        return ids

    def decode(self, tokens: Tokens | Sequence[int]) -> str:
        """The text of `tokens`. Control pieces such as `eod_id` have no text; invalid byte sequences give U+FFFD.

        ValueError for an id outside the vocabulary.
        """
        ids = [int(token) for token in tokens]
        if ids and (min(ids) < 0 or max(ids) >= self.vocab_size):
            raise ValueError(f"token ids must lie in [0, {self.vocab_size}), not in [{min(ids)}, {max(ids)}]")
        return str(self._model.decode(ids))

    def end_documents(self, encoded: Sequence[Tokens]) -> list[Tokens]:
        """Append `eod_id` to each document, as token shards store it."""
        end = np.array([self.eod_id], dtype=self.dtype)
        return [np.concatenate((tokens, end)) for tokens in encoded]


def utf8_bytes(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """UTF-8 length of each text, the denominator of bits per byte. Shape (texts,)."""
    return np.array([len(text.encode("utf-8", "replace")) for text in texts], dtype=np.int64)


def _pieces(text: str) -> Iterator[str]:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode("utf-8")
    for start in range(0, len(text), MAX_PIECE_CHARS):
        yield text[start : start + MAX_PIECE_CHARS]
