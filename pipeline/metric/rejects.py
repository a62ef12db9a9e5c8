"""What was thrown away: bits per byte of the texts that each rule of a run rejected, beside those that it kept.

The texts are drawn from the ledger by hash, spread over the rule's values (`pipeline/explain/rejects.py`), and read
again at their locators. A text counts as like the kept ones when its bits per byte lie where nine in ten of theirs do:
what is below is boilerplate and repetition, what is above is noise, or of a kind that the model was not trained on.
What a readmission would bring is the ledger's count times that share.

A text's beginning is measured: the first bytes of a document cost more bits than later ones, so all are cut alike.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from infra.errors import UsageError
from pipeline.explain.rejects import RejectSampling, rejects, rules_of
from pipeline.inputs.places import Where
from pipeline.metric.cells import Passage, PassageSample, cut
from pipeline.metric.compressor import REFERENCE, xz_bits_per_byte
from pipeline.metric.documents import Documents
from pipeline.metric.intervals import LEVEL, Floats, interval, resampled_ratio
from pipeline.metric.scorer import PassageScorer, measured
from pipeline.stages.counts import is_copy

FORMAT = "refinery.rejected-information/1"
PER_RULE = 30
DOCUMENT_BYTES = 2**12
# So many kept documents for each that is drawn of a rule.
KEPT_PER_DRAWN = 4
# Of the kept documents' bits per byte: what lies between is like them.
RANGE = (0.05, 0.95)

Say = Callable[[str], None]


class RejectedTexts(NamedTuple):
    """Texts of one kind: their beginnings, and the bytes of each whole text."""

    passages: tuple[Passage, ...]
    whole_bytes: Floats


def evaluate_rejects(
    scorer: PassageScorer,
    run: Path,
    per_rule: int = PER_RULE,
    document_bytes: int = DOCUMENT_BYTES,
    source: Where | None = None,
    say: Say | None = None,
) -> dict[str, Any]:
    """The answer as JSON has it. `run`: the folder of a finished run. `per_rule`: texts of each rule, at most.
    `source`: where the archives are now. `say` gets a line for each rule.

    UsageError for a folder that is no run, and for a run that kept nothing or rejected nothing.
    """
    if per_rule < 1 or document_bytes < 1:
        raise UsageError(f"{per_rule} texts of a rule with {document_bytes} bytes each: give at least 1 of both")
    rules = rules_of(run)
    if not rules:
        raise UsageError(f"{run} rejected nothing: there is nothing to measure")
    kept_row, bits_N = _kept(scorer, run, per_rule * KEPT_PER_DRAWN, document_bytes)
    low, high = np.quantile(bits_N, RANGE).tolist()
    rows, missing = [], dict[str, None]()
    for rule in rules:
        found, faults = rejects(run, rule["rule"], rule["stage"], RejectSampling(per_rule), source)
        missing |= dict.fromkeys(faults)
        drawn = drawn_of([each["text"] for each in found], document_bytes)
        row = {**rule, "copies": is_copy(rule["rule"]), "drawn": len(found)}
        rows.append(row | (_rejected(scorer, drawn, row, (low, high)) if drawn.passages else dict(_NOTHING)))
        if say:
            bits = rows[-1]["bits_per_byte"]
            say(f"{rule['rule']}: " + ("no text" if bits is None else f"{bits:.4f} bits per byte"))
    return {
        "format": FORMAT,
        "model": dict(scorer.about),
        "reference": REFERENCE,
        "level": LEVEL,
        "document_bytes": document_bytes,
        "kept": {**kept_row, "range": [low, high]},
        "rules": sorted(rows, key=_order),
        "missing": list(missing),
    }


_MEASURED = ("texts", "bits_per_byte", "low", "high", "xz", "below", "like_kept", "above", "tokens")
_NOTHING: Mapping[str, Any] = {**dict.fromkeys(_MEASURED), "texts": 0, "readmit": None}


def _order(row: Mapping[str, Any]) -> tuple[float, str, str]:
    """What would bring most first; copies, which bring nothing new, and what has no text after all others."""
    tokens = row["readmit"]["tokens"] if row["readmit"] else -1
    return -float(tokens), row["stage"], row["rule"]


def drawn_of(texts: Sequence[str | None], document_bytes: int) -> RejectedTexts:
    """The beginnings of those that have a text."""
    contents = [text.encode("utf-8", "replace") for text in texts if text and text.strip()]
    sizes = np.array([len(content) for content in contents], np.float64)
    return RejectedTexts(tuple(cut(content, document_bytes) for content in contents), sizes)


def _kept(scorer: PassageScorer, run: Path, most: int, document_bytes: int) -> tuple[dict[str, Any], Floats]:
    """What was kept: a row as a rule has it, and bits per byte of each document drawn."""
    sample = PassageSample(most * document_bytes, document_bytes)
    for row in Documents([str(run)]).rows():
        sample.add(row["text"] or "")
    passages = sample.passages()[:most]
    if not passages:
        raise UsageError(f"{run} kept no text to compare with")
    found = _measure(scorer, passages)
    return found[0], found[1]


def _measure(scorer: PassageScorer, passages: Sequence[Passage]) -> tuple[dict[str, Any], Floats, float]:
    """The numbers of some texts; bits per byte of each; and tokens a byte of all."""
    found = measured(scorer, passages)
    low, high = interval(resampled_ratio(found.bits, found.bytes))
    bits, xz = float(found.bits.sum() / found.bytes.sum()), xz_bits_per_byte([each.text for each in passages])
    row = {"texts": len(passages), "bits_per_byte": bits, "low": low, "high": high, "xz": xz}
    return row, found.bits / found.bytes, float(found.tokens.sum() / found.bytes.sum())


def _rejected(
    scorer: PassageScorer, drawn: RejectedTexts, rule: Mapping[str, Any], kept_range: tuple[float, float]
) -> dict[str, Any]:
    row, bits_N, tokens_per_byte = _measure(scorer, drawn.passages)
    below, above = float((bits_N < kept_range[0]).mean()), float((bits_N > kept_range[1]).mean())
    like_N = (bits_N >= kept_range[0]) & (bits_N <= kept_range[1])
    # Of all that the rule rejected, by the share of what was drawn that is so; what has no text brings none.
    each = rule["documents"] / rule["drawn"]
    tokens = float(drawn.whole_bytes.sum()) * tokens_per_byte * each
    readmit = {
        "documents": round(float(like_N.sum()) * each),
        "tokens": round(float(drawn.whole_bytes[like_N].sum()) * tokens_per_byte * each),
    }
    shares = {"below": below, "like_kept": float(like_N.mean()), "above": above}
    return {**row, **shares, "tokens": round(tokens), "readmit": None if rule["copies"] else readmit}
