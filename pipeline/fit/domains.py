"""`refinery fit domains`: a fastText classifier of the mixture's domains, with calibrated probabilities.

The model is a folder: `model.bin` and `calibration.json`, the temperature that minimises the error of its probabilities
on held-out texts (mixers/domains.py). Rare domains are repeated in training, so that the label depends on the text more
than on the number of texts of each domain.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from filters.bag_of_words import quality_words
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import new_folder
from mixers.domains import (
    AXIS_OF,
    DOMAINS,
    axis_probabilities,
    calibrate,
    calibration_error,
    fit_temperature,
    from_fasttext,
)
from pipeline.fit.fasttext_file import train_fasttext
from pipeline.fit.texts import Sample, counted, origin, read_labelled, split, stable_hash, write_card
from pipeline.models.domains import CALIBRATION, DOMAIN_CLASSIFIER
from pipeline.models.fasttext import load_fasttext

OPTIONS: dict[str, Any] = {"dim": 16, "epoch": 10, "lr": 0.3, "wordNgrams": 1, "minCount": 4}
# The most that texts of a rare domain are repeated, to bring it up to the size of the average domain.
MAX_REPEATS = 4


def fit_domains(positive: Sequence[str], out: Path) -> dict[str, Any]:
    """Fits on files, each `DOMAIN=PATH` or a PATH whose documents have a `domain`; returns the card.

    Raises UsageError for an unknown domain, a text without one, or fewer than two domains.
    """
    samples = read_labelled(positive, lambda word: word.partition("=")[0] in DOMAINS)
    for sample in samples:
        if sample.domain not in DOMAINS:
            raise UsageError(
                f"a text from {sample.group} has the domain {sample.domain!r}: give DOMAIN=PATH or texts with a"
                f" `domain` of {', '.join(DOMAINS)}"
            )
    files = [Path(word.rpartition("=")[2]) for word in positive]
    return domains_from(samples, out, *origin("domains", out, positive=files))


def domains_from(samples: Sequence[Sample], out: Path, made_from: Any, command: str) -> dict[str, Any]:
    """Fits, calibrates and measures on one group in ten, writes the folder `out` and its card."""
    training, held_out = split(sorted(set(samples)))
    sizes = Counter(sample.domain for sample in training)
    if len(sizes) < 2 or not held_out:
        raise UsageError("a model of domains needs texts of two domains and more, at least 20 of each")
    average = len(training) / len(sizes)
    lines = []
    for sample in training:
        line = (sample.domain, quality_words(sample.text))
        lines += [line] * max(1, min(MAX_REPEATS, round(average / sizes[sample.domain])))
    numbered = sorted(enumerate(lines), key=lambda item: (stable_hash(f"{item[0]} {item[1][1]}"), item))
    with new_folder(out, replace=True) as folder:
        train_fasttext([line for _, line in numbered], folder / DOMAIN_CLASSIFIER, **OPTIONS)
        temperature, measured = _measure(folder / DOMAIN_CLASSIFIER, held_out)
        (folder / CALIBRATION).write_bytes(readable_json({"temperature": temperature}))
    return write_card(
        out,
        "fastText: the domain of a text, with calibrated probabilities",
        command,
        made_from,
        texts=counted(samples),
        texts_by_domain=dict(sorted(sizes.items())),
        temperature=temperature,
        held_out=measured,
    )


def _measure(path: Path, held_out: Sequence[Sample]) -> tuple[float, dict[str, Any]]:
    """The temperature, and the accuracy of the labels: fitted and measured on the same held-out texts (one number)."""
    model = load_fasttext(path)
    answers = [model.predict(quality_words(sample.text), k=-1) for sample in held_out]
    raw_ND = from_fasttext([labels for labels, _ in answers], [scores for _, scores in answers])
    truth = [sample.domain for sample in held_out]
    temperature = fit_temperature(raw_ND, truth)
    probabilities_ND = calibrate(raw_ND, temperature)
    found = [DOMAINS[i] for i in probabilities_ND.argmax(axis=1)]
    axis = axis_probabilities(probabilities_ND).argmax(axis=1)
    axes = list(dict.fromkeys(AXIS_OF[domain] for domain in DOMAINS))
    right = Counter(true for true, label in zip(truth, found) if true == label)
    commonest = Counter(truth).most_common(1)[0][1]
    return temperature, {
        "texts": len(truth),
        "accuracy": round(sum(right.values()) / len(truth), 4),
        "accuracy_of_always_the_commonest": round(commonest / len(truth), 4),
        "accuracy_of_axis": round(float(np.mean([axes[i] is AXIS_OF[true] for i, true in zip(axis, truth)])), 4),
        "calibration_error": round(calibration_error(probabilities_ND, truth), 4),
        "recall": {name: round(right[name] / count, 4) for name, count in sorted(Counter(truth).items())},
    }
