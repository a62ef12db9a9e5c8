"""Perplexity under a KenLM model over SentencePiece pieces, as CCNet computes it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from filters.ccnet import normalized_lines
from infra.errors import UsageError
from pipeline.models.fasttext import DIGITS
from pipeline.models.pieces import load_sentencepiece, load_speller, protobuf_fields
from pipeline.models.quality import check_quality, load_quality
from pipeline.models.scorer import Measure, Scorer

# The parts of the model, a folder.
SENTENCEPIECE, LANGUAGE_MODELS = "sentencepiece.model", ("lm.bin", "lm.arpa")
MAX_SCORED_CHARS = 100_000
# A line longer than this is scored in pieces: SentencePiece's working memory grows with its input.
MAX_LINE_CHARS = 10_000
MAX_PERPLEXITY = 1e9
END_BYTES = 1_000


def load_perplexity(path: Path) -> Callable[[str], float]:
    """text → perplexity per SentencePiece piece under the model in folder `path` (SENTENCEPIECE, LANGUAGE_MODELS).

    CCNet's formula: 10 ** (-sum of log10 p of the lines / sum of (pieces + 1)), over lines normalised as CCNet does
    (cc_net/perplexity.py). A text without a line is as improbable as can be: MAX_PERPLEXITY, where all values end.
    Beyond MAX_SCORED_CHARS the text is not looked at.
    """
    spell = load_speller(path / SENTENCEPIECE)
    model = _load_kenlm(path)

    def perplexity(text: str) -> float:
        total, length = 0.0, 0
        for pieces in filter(None, spell(_lines(text))):
            total += model.score(pieces)
            length += pieces.count(" ") + 1
        return round(min(10.0 ** min(-total / length, 9.0), MAX_PERPLEXITY), DIGITS) if length else MAX_PERPLEXITY

    return perplexity


def _lines(text: str) -> list[str]:
    clean = text[:MAX_SCORED_CHARS].encode("utf-8", "replace").decode()
    return normalized_lines(
        line[start : start + MAX_LINE_CHARS]
        for line in clean.split("\n")
        for start in range(0, len(line), MAX_LINE_CHARS)
    )


def _kenlm_file(folder: Path) -> Path:
    path = next((folder / name for name in LANGUAGE_MODELS if (folder / name).is_file()), None)
    if path is None:
        raise UsageError(f"{folder} holds neither {' nor '.join(LANGUAGE_MODELS)}: run `refinery fit perplexity`")
    return path


def check_perplexity(path: Path) -> None:
    """UsageError unless `path` is a model that `load_perplexity` can load, or a classifier. Without the libraries, and
    of an ARPA file the ends alone, unless something is wrong."""
    if not path.is_dir():
        check_quality(path)
        return
    if not _has_whole_fields(path / SENTENCEPIECE):
        load_sentencepiece(path / SENTENCEPIECE)
    if not _has_ends(_kenlm_file(path)):
        _load_kenlm(path, lazy=True)


def _has_whole_fields(path: Path) -> bool:
    """Whether the file is a sequence of protobuf fields with a length, as a SentencePiece model is, and ends with
    one."""
    content = path.read_bytes() if path.is_file() else b""
    try:
        return content != b"" and all(isinstance(value, bytes) for _, value in protobuf_fields(content))
    except ValueError:
        return False


def _has_ends(path: Path) -> bool:
    """Whether the file begins and ends as an ARPA file does."""
    with path.open("rb") as file:
        begins = file.read(END_BYTES).lstrip().startswith(b"\\data\\")
        file.seek(max(path.stat().st_size - END_BYTES, 0))
        return begins and file.read().rstrip().endswith(b"\n\\end\\")


def _load_kenlm(folder: Path, lazy: bool = False) -> Any:
    """`lazy`: of a binary file only the header is read, the rest when it is used."""
    import kenlm

    path = _kenlm_file(folder)
    config = kenlm.Config()
    if lazy:
        config.load_method = kenlm.LoadMethod.LAZY
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(str(path), config)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{path} is not a KenLM model: {str(error).splitlines()[0][:200]}") from None


def _open(path: Path) -> Measure:
    # a single file is a classifier: its probability may stand in where there is no language model
    score = load_perplexity(path) if path.is_dir() else load_quality(path)
    return lambda document: {"perplexity": score(document.plain)}


SCORER = Scorer("perplexity", {"perplexity": "KenLM perplexity per token"}, _open, check_perplexity)
