"""fastText model files: checked from end to end before the library reads them.

fastText reads a cut or foreign file without complaint and then crashes the process, or allocates terabytes. The format
says how long every part is, so the whole file can be walked first: a file that does not end where its own numbers say
is refused. Layout as written by fastText's `FastText::saveModel` (format version 12, little-endian).
"""

import os
import re
import struct
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from infra.errors import UsageError
from pipeline.models.store import file_stamps

_MAGIC = 793712314
_VERSIONS = (11, 12)
_WORD_BYTES = 1 << 16
_WORDS = 1 << 26
LABEL = "__label__"
# Probabilities are rounded to this many digits: what is left does not depend on how a CPU adds floats.
DIGITS = 4
_SPACES = re.compile(r"\s+")


def check_fasttext(path: Path) -> list[str]:
    """The labels of a fastText model, without LABEL. UsageError unless `path` is a whole model."""
    return list(_checked(path, file_stamps(path)))


@lru_cache(maxsize=32)
def _checked(path: Path, stamps: Hashable) -> list[str]:
    """Once for the check of a run's models and for loading them."""
    del stamps  # part of the key
    labels: list[str] = []
    try:
        with path.open("rb") as file:
            ends = _walk(file, labels)
        if ends != path.stat().st_size:
            raise ValueError("its length does not fit its header")
        return labels
    except (ValueError, struct.error, MemoryError) as error:
        raise UsageError(f"{path} is not a whole fastText model ({error}): fetch or fit it again") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _walk(file: IO[bytes], labels: list[str]) -> int:
    """The position where the model ends; adds its labels to `labels`. Raises ValueError or struct.error where the file
    is no model."""

    def read(layout: str) -> tuple[Any, ...]:
        layout = "<" + layout
        return struct.unpack(layout, file.read(struct.calcsize(layout)))

    def skip(count: int) -> None:
        if not 0 <= count < 1 << 40:
            raise ValueError("a size in it is absurd")
        file.seek(count, os.SEEK_CUR)

    def product_quantizer() -> None:
        dim, _, _, _ = read("4i")
        skip(256 * dim * 4)

    def matrix(quantized: bool) -> None:
        if not quantized:
            rows, columns = read("qq")
            skip(rows * columns * 4)
            return
        with_norms, rows, _, code_bytes = read("?qqi")
        skip(code_bytes)
        product_quantizer()
        if with_norms:
            skip(rows)
            product_quantizer()

    magic, version = read("ii")
    if magic != _MAGIC or version not in _VERSIONS:
        raise ValueError("it does not begin like one")
    read("12id")
    words, _, _, _, pruned = read("iiiqq")
    if not 0 <= words <= _WORDS:
        raise ValueError("its dictionary is absurd")
    _read_words(file, words, labels)
    skip(8 * max(pruned, 0))
    (quantized,) = read("?")
    matrix(quantized)
    (output_quantized,) = read("?")
    matrix(quantized and output_quantized)
    return file.tell()


def _read_words(file: IO[bytes], words: int, labels: list[str]) -> None:
    """Each word is its bytes, a NUL, a count of 8 bytes and a type of 1: 0 for a word, 1 for a label."""
    buffer, at = b"", 0
    for _ in range(words):
        while (end := buffer.find(b"\0", at)) < 0 or len(buffer) < end + 10:
            more = file.read(1 << 20)
            if not more or len(buffer) - at > _WORD_BYTES:
                raise ValueError("its dictionary is cut")
            buffer, at = buffer[at:] + more, 0
        if buffer[end + 9]:
            labels.append(buffer[at:end].decode("utf-8", "replace").removeprefix(LABEL))
        at = end + 10
    file.seek(at - len(buffer), os.SEEK_CUR)


def load_fasttext(path: Path) -> Any:
    """The model, checked. UsageError when it is not one."""
    import fasttext

    check_fasttext(path)
    try:
        return fasttext.load_model(str(path))
    except (ValueError, RuntimeError, MemoryError) as error:
        raise UsageError(f"{path} cannot be loaded as a fastText model: {str(error).splitlines()[0]}") from None


def one_line(text: str, limit: int) -> str:
    """The first `limit` characters on one line, without NULs and lone surrogates: what fastText may be given."""
    head = text[:limit].replace("\0", " ").encode("utf-8", "replace").decode()
    return _SPACES.sub(" ", head).strip()


def probability(score: float, digits: int = DIGITS) -> float:
    """A score of fastText, which prints 1.00001, and NaN where it finds no word, as a probability."""
    return round(min(max(float(score), 0.0), 1.0), digits) if score == score else 0.0
