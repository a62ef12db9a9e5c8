"""Language identification by py3langid's model: naive Bayes over n-grams of bytes (Lui and Baldwin 2012, langid.py).

The n-grams, some 1 to 4 bytes long and chosen for what they say about languages, are found in one pass by a finite
automaton. A score is the sum of log(1 + count) times an n-gram's log probability in the language; the softmax of the
scores, divided by the root of the text's length, is what py3langid calls normalised. Package and file: see
pipeline/fit/packages.py. The automaton runs compiled, 10 to 20 times as fast as in the package.

Shapes: N texts, L languages, F n-grams, S states of the automaton, R distinct rows of transitions.
"""

import lzma
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dedup.kernels import Bytes, Offsets
from infra.compiled import compiled
from infra.errors import UsageError

Floats = npt.NDArray[np.float32]
Levels = npt.NDArray[np.int8]
Indices = npt.NDArray[np.int32]
# Of the unpacked file; py3langid 0.4.0 has 37 MB.
MAX_BYTES = 1 << 28
NO_LANGUAGE = "zxx"


class NaiveBayes(NamedTuple):
    labels: tuple[str, ...]
    """ISO 639 codes, one may be there twice (two scripts of a language); `zxx` is what is no language."""

    levels_FL: Levels
    """Log probabilities less the mean of their row, in steps of `step`: a row of 142 bytes is read three times as fast
    as one of floats, and labels stay the same but for one text in some thousands."""

    step: float
    bias_L: Floats
    next_R256: Indices
    """The state after a byte in a state, by the state's row."""

    row_S: Indices
    ngram_S: Indices
    """The n-gram that ends in the state; -1: none."""

    counts_F: Indices
    """Room for the counts of a text, all zero between two: to clear it for each page would cost as much as the page."""

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """(N, L), rows sum to 1. A text without any n-gram has equal ones. Time grows with the bytes of `texts`."""
        pieces = [text.encode("utf-8", "replace") for text in texts]
        offsets = np.zeros(len(pieces) + 1, np.int64)
        np.cumsum([len(piece) for piece in pieces], out=offsets[1:])
        data = np.frombuffer(b"".join(pieces), np.uint8)
        automaton = (self.next_R256, self.row_S, self.ngram_S, self.counts_F)
        scores_NL = _scores(data, offsets, *automaton, self.levels_FL, self.bias_L, np.float32(self.step))
        scores_NL /= np.sqrt(np.maximum(np.diff(offsets), 1))[:, None].astype(np.float32)
        powers_NL = np.exp(scores_NL - scores_NL.max(axis=1, keepdims=True))
        return np.asarray(powers_NL / powers_NL.sum(axis=1, keepdims=True))


def load_naive_bayes(path: Path) -> NaiveBayes:
    """UsageError where `path` is no such model, is cut, or points outside its own tables."""
    try:
        stat = path.stat()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or 'it is damaged'}") from None
    return _loaded(path, (stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=1)
def _loaded(path: Path, stamp: tuple[int, int]) -> NaiveBayes:
    """Once for the check of a recipe and for its use: to unpack the file takes half a second."""
    del stamp  # part of the key
    try:
        with lzma.open(path) as packed:
            raw = packed.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ValueError("it is too large")
        with np.load(BytesIO(raw), allow_pickle=False) as parts:
            model = _from_parts(parts)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or 'it is damaged'}") from None
    except (lzma.LZMAError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} is no model of py3langid ({error}): run `refinery fit defaults` again") from None
    return model


def _from_parts(parts: Any) -> NaiveBayes:
    labels = tuple(str(name) for name in parts["classes"])
    weights_FL = np.ascontiguousarray(parts["ptc"], np.float32)
    next_R256 = np.ascontiguousarray(parts["nextmove"], np.int32).reshape(-1, 256)
    bias_L = np.ascontiguousarray(parts["pc"], np.float32)
    row_S, ngram_S = (np.ascontiguousarray(parts[name], np.int32) for name in ("nextmove_row", "out_feat"))
    states = len(row_S)
    if not labels or weights_FL.shape[1:] != (len(labels),) or bias_L.shape != (len(labels),):
        raise ValueError("its tables do not fit its languages")
    if not states or ngram_S.shape != row_S.shape or not _within(row_S, 0, len(next_R256)):
        raise ValueError("its automaton has states without a row")
    if not _within(next_R256, 0, states) or not _within(ngram_S, -1, len(weights_FL)):
        raise ValueError("its automaton points outside its tables")
    weights_FL -= weights_FL.mean(axis=1, keepdims=True)
    step = float(max(weights_FL.max(), -weights_FL.min())) / 127 or 1.0
    weights_FL /= step
    levels_FL, counts_F = np.rint(weights_FL, out=weights_FL).astype(np.int8), np.zeros(len(weights_FL), np.int32)
    return NaiveBayes(labels, levels_FL, step, bias_L, next_R256, row_S, ngram_S, counts_F)


def _within(values: Indices, low: int, stop: int) -> bool:
    return bool(values.size and values.min() >= low and values.max() < stop)


@compiled
def _scores(
    data: Bytes,
    offsets: Offsets,
    next_R256: Indices,
    row_S: Indices,
    ngram_S: Indices,
    counts_F: Indices,
    levels_FL: Levels,
    bias_L: Floats,
    step: np.float32,
) -> Floats:
    """(N, L), in a fixed order of additions: n-grams as they first come."""
    texts, languages = offsets.size - 1, bias_L.size
    scores_NL = np.empty((texts, languages), np.float32)
    longest = 0
    for n in range(texts):
        longest = max(longest, offsets[n + 1] - offsets[n])
    seen = np.empty(min(longest, counts_F.size), np.int32)
    for n in range(texts):
        state, found = 0, 0
        for at in range(offsets[n], offsets[n + 1]):
            state = next_R256[row_S[state], data[at]]
            ngram = ngram_S[state]
            if ngram >= 0:
                if counts_F[ngram] == 0:
                    seen[found] = ngram
                    found += 1
                counts_F[ngram] += 1
        row_L = scores_NL[n]
        for language in range(languages):
            row_L[language] = bias_L[language] if found else np.float32(0)
        for i in range(found):
            ngram = seen[i]
            weight = step * np.float32(np.log1p(counts_F[ngram]))
            counts_F[ngram] = 0
            for language in range(languages):
                row_L[language] += weight * np.float32(levels_FL[ngram, language])
    return scores_NL
