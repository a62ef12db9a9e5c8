"""`refinery fit perplexity`: a KenLM 5-gram over SentencePiece pieces, CCNet's measure of text quality.

The model is a folder: `sentencepiece.model` and `lm.arpa`; its sha256 covers both. To use CCNet's own models, put
XX.sp.model and XX.arpa.bin into a folder as `sentencepiece.model` and `lm.bin`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filters.ccnet import normalize_for_language_model
from infra.storage import new_folder
from pipeline.fit.kneser_ney import estimate, write_arpa
from pipeline.fit.sentencepiece_bpe import MAX_LINE_CHARS, train_bpe
from pipeline.fit.texts import Sample, auc, counted, lines_of, origin, read_samples, split, write_card
from pipeline.models.perplexity import LANGUAGE_MODELS, SENTENCEPIECE, load_perplexity
from pipeline.models.pieces import load_sentencepiece

ORDER = 5
# n-grams of three and more words that occur once take most of the file and add little to the model.
PRUNE = (0, 0, 1, 1, 1)


def fit_perplexity(positive: Sequence[Path], out: Path, vocab_size: int = 8000) -> dict[str, Any]:
    """Fits on files and returns the card. Raises UsageError if there is too little text for the vocabulary."""
    files = origin("perplexity", out, f" --vocab-size {vocab_size}", positive=positive)
    return perplexity_from(read_samples(positive), out, vocab_size, *files)


def perplexity_from(
    samples: Sequence[Sample], out: Path, vocab_size: int, made_from: Any, command: str, contrast: Sequence[Sample] = ()
) -> dict[str, Any]:
    """Fits on nine groups in ten, writes the folder `out` and its card. `contrast`: other texts, whose higher
    perplexity is recorded in the card."""
    training, held_out = split(samples)
    whole = lines_of((sample.text for sample in training or samples), MAX_LINE_CHARS)
    lines = [line for each in whole if (line := normalize_for_language_model(each))]
    content = train_bpe(lines, vocab_size, normalization_rule_name="identity")
    with new_folder(out, replace=True) as folder:
        (folder / SENTENCEPIECE).write_bytes(content)
        pieces = load_sentencepiece(folder / SENTENCEPIECE)
        model = estimate((pieces.encode(line, out_type=str) for line in lines), ORDER, PRUNE)
        with (folder / LANGUAGE_MODELS[1]).open("wb") as file:
            write_arpa(model, file)
    perplexity = load_perplexity(out)
    scores = [[perplexity(sample.text) for sample in texts] for texts in (held_out, contrast)]
    return write_card(
        out,
        "KenLM 5-gram (modified Kneser-Ney, n-grams of 3 to 5 pieces seen once pruned) over SentencePiece BPE pieces",
        command,
        made_from,
        vocab_size=vocab_size,
        positive=counted(samples),
        ngrams=[int(order.kept_G.sum()) for order in model.orders],
        discounts=[[round(value, 6) for value in discounts] for discounts in model.discounts],
        held_out={
            "median_perplexity": _median(scores[0]),
            "median_perplexity_of_contrast": _median(scores[1]),
            "auc_against_contrast": round(auc([-x for x in scores[0]], [-x for x in scores[1]]), 4),
        },
    )


def _median(values: Sequence[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None
