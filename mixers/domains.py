"""The domains of a mixture, and calibrated domain probabilities from a classifier's labels.

Two axes carry the balance of a corpus: IQ (mathematics, code, science, engineering, reasoning) and EQ (literature,
dialogue, emotion, society, arts); all else is general. A page may belong to both (a novel about a proof), so a document
keeps a probability for every domain. Its one `domain` label, the most probable, is what a draw counts.

Classifiers are over-confident. Temperature scaling (Guo et al. 2017, 1706.04599, section 4.2) divides log probabilities
by one number that is fitted on held-out documents. It changes the probabilities and no label.

Shapes: N documents, D domains.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError
from infra.names import meant

Floats = npt.NDArray[np.float64]


class Axis(StrEnum):
    IQ = "IQ"
    EQ = "EQ"
    GENERAL = "general"


DOMAINS_OF: dict[Axis, tuple[str, ...]] = {
    Axis.IQ: ("mathematics", "code", "science", "engineering", "reasoning"),
    Axis.EQ: ("literature", "dialogue", "emotion", "society", "arts"),
    Axis.GENERAL: ("general",),
}
DOMAINS: tuple[str, ...] = tuple(domain for axis in Axis for domain in DOMAINS_OF[axis])
AXIS_OF: dict[str, Axis] = {domain: axis for axis in Axis for domain in DOMAINS_OF[axis]}
GENERAL = "general"
LABEL_PREFIX = "__label__"

_INDEX = {domain: i for i, domain in enumerate(DOMAINS)}
_AXIS_ROWS = np.array([[AXIS_OF[domain] is axis for axis in Axis] for domain in DOMAINS], dtype=np.float64)
_FLOOR = 1e-6
_TEMPERATURES = (0.05, 20.0)


class DomainLabels(NamedTuple):
    """The labels of N documents."""

    domain: list[str]
    """The most probable domain of each document."""

    probabilities_ND: Floats
    """Float64, columns as in `DOMAINS`; rows sum to 1."""


def domains_of(name: str) -> tuple[str, ...]:
    """The domains of an axis, or a domain itself. UsageError for any other name."""
    if name in _INDEX:
        return (name,)
    if name in DOMAINS_OF:
        return DOMAINS_OF[Axis(name)]
    raise UsageError(f"{name!r} is neither a domain nor an axis; {meant(name, (*Axis, *DOMAINS[:-1]))}")


def from_fasttext(labels: Sequence[Iterable[str]], scores: Sequence[Iterable[float]]) -> Floats:
    """Raw probabilities, shape (N, D), from what fastText's `predict(texts, k=-1)` returns for N documents.

    A label that is missing gets probability 1e-6; a document without labels is uniform; scores are clipped to [0, 1]
    (fastText returns 1.00001) and NaN (empty text) is ignored. UsageError for a label that is not a domain.
    """
    raw_ND = np.full((len(labels), len(DOMAINS)), _FLOOR)
    for row, (names, values) in enumerate(zip(labels, scores, strict=True)):
        for name, value in zip(names, values, strict=True):
            domain = name.removeprefix(LABEL_PREFIX)
            if domain not in _INDEX:
                raise UsageError(
                    f"the domain model has the label {name!r}, which is no domain; make one with `refinery fit domains`"
                )
            if value == value:
                raw_ND[row, _INDEX[domain]] = min(max(float(value), _FLOOR), 1.0)
    return np.asarray(raw_ND / raw_ND.sum(axis=1, keepdims=True))


def calibrate(raw_ND: Floats, temperature: float = 1.0) -> Floats:
    """p ** (1 / temperature), rows normalised: a temperature above 1 flattens them, below 1 sharpens them."""
    assert temperature > 0
    logits = np.log(np.maximum(raw_ND, _FLOOR)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def label(
    labels: Sequence[Iterable[str]],
    scores: Sequence[Iterable[float]],
    temperature: float = 1.0,
    min_probability: float = 0.0,
) -> DomainLabels:
    """Label each document with its most probable domain; with general, if that has less than `min_probability`.

    `labels`, `scores`: as for `from_fasttext`. Ties go to the first in the order of `DOMAINS`.
    """
    probabilities = calibrate(from_fasttext(labels, scores), temperature)
    best = probabilities.argmax(axis=1)
    sure = probabilities.max(axis=1, initial=0.0) >= min_probability
    return DomainLabels([DOMAINS[i] if ok else GENERAL for i, ok in zip(best, sure)], probabilities)


def axis_probabilities(probabilities_ND: Floats) -> Floats:
    """Summed probability of each axis, shape (N, 3) in the order IQ, EQ, general."""
    return probabilities_ND @ _AXIS_ROWS


def log_loss(raw_ND: Floats, truth_N: Sequence[str], temperature: float) -> float:
    """Mean negative log-likelihood of the true domains, in nats, after calibration."""
    calibrated = calibrate(raw_ND, temperature)
    chosen = calibrated[np.arange(len(truth_N)), [_INDEX[name] for name in truth_N]]
    return float(-np.log(np.maximum(chosen, 1e-300)).mean())


def fit_temperature(raw_ND: Floats, truth_N: Sequence[str]) -> float:
    """The temperature in [0.05, 20] of least log loss on held-out documents, to three digits.

    The loss is convex in 1 / temperature, so a golden-section search finds its minimum. UsageError without documents.
    """
    if not len(truth_N):
        raise UsageError("no held-out documents to calibrate the domain model on; hold out at least a few per domain")
    golden = (5**0.5 - 1) / 2
    low, high = 1 / _TEMPERATURES[1], 1 / _TEMPERATURES[0]
    while high - low > 1e-4 * low:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if log_loss(raw_ND, truth_N, 1 / left) <= log_loss(raw_ND, truth_N, 1 / right):
            high = right
        else:
            low = left
    return float(f"{2 / (low + high):.3g}")


def calibration_error(probabilities_ND: Floats, truth_N: Sequence[str], bins: int = 10) -> float:
    """Expected calibration error (Guo et al. 2017, section 2): the mean gap between confidence and accuracy."""
    sure = probabilities_ND.max(axis=1)
    right = probabilities_ND.argmax(axis=1) == np.array([_INDEX[name] for name in truth_N])
    bin_N = np.minimum((sure * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(bin_N, weights=sure - right, minlength=bins)
    return float(np.abs(gaps).sum() / max(len(truth_N), 1))
