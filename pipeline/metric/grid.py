"""Bits per byte of a model on a grid of held-out distributions, and how far each is from what it was trained on.

Of each distribution: bits per byte with an interval over its documents; the same over what a general compressor reaches
there (`compressor.py`), which takes out how hard the text is for anybody; the distance from the training text by
n-gram models of bytes (`cross_entropy.py`); and how many of its documents the training text has too (`overlap.py`).
IQ, EQ and general are means over distributions, each counted once.

Over all distributions: the relation between distance and bits per byte (`relation.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixers.domains import Axis
from pipeline.metric.cells import Distribution, PassageSample, read_cells
from pipeline.metric.compressor import REFERENCE, xz_bits_per_byte
from pipeline.metric.cross_entropy import ByteModel, distance_of
from pipeline.metric.documents import Documents
from pipeline.metric.grid_file import Grid
from pipeline.metric.intervals import LEVEL, Floats, interval, resampled_ratio
from pipeline.metric.overlap import MIN_SHARE, TrainingOverlap
from pipeline.metric.relation import relation
from pipeline.metric.scorer import PassageScorer, PassageScores, measured

FORMAT = "refinery.grid/1"
TRAINING_BYTES = 2**21
# More documents than this share that the training text has too, and a distribution is marked.
MARKED_SHARE = 0.01
RELATIONS = {
    "bits_per_byte from cross_entropy": ("bits_per_byte", ("cross_entropy",)),
    "bits_per_byte from entropy": ("bits_per_byte", ("entropy",)),
    "bits_per_byte from entropy and distance": ("bits_per_byte", ("entropy", "distance")),
    "over_xz from distance": ("over_xz", ("distance",)),
}
AGAINST_TRAINING = ("cross_entropy", "entropy", "distance", "own_weight", "contaminated", "clean_bits_per_byte")

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainingText:
    """What was trained on: a model of a sample of it, and of each text of the grid the share that it has too."""

    model: ByteModel
    shares: Mapping[str, Floats]
    about: Mapping[str, Any]


def evaluate_grid(
    scorer: PassageScorer, grid: Grid, training: Sequence[str] = (), say: Say | None = None
) -> dict[str, Any]:
    """The answer as JSON has it. `training`: what the model was trained on, as `--input` has it, a dataset of tokens or
    documents; without it there are no distances and no guard. `say` gets a line for each distribution.

    UsageError for a distribution without texts, and for what cannot be read.
    """
    cells = read_cells(grid)
    trained = read_training(training, cells) if training else None
    rows: dict[str, dict[str, Any]] = {}
    drawn: dict[str, Floats] = {}
    for cell in cells:
        found = measured(scorer, cell.passages)
        drawn[cell.name] = resampled_ratio(found.bits, found.bytes)
        rows[cell.name] = cell_row(cell, found, drawn[cell.name], trained)
        if say:
            say(f"{cell.name}: {rows[cell.name]['bits_per_byte']:.4f} bits per byte")
    return {
        "format": FORMAT,
        "model": dict(scorer.about),
        "reference": REFERENCE,
        "level": LEVEL,
        "sizes": {"bytes": grid.bytes, "document_bytes": grid.document_bytes},
        "cells": rows,
        "axes": {axis: group for axis in Axis if (group := pooled(rows, drawn, "axis", axis))},
        "languages": {name: pooled(rows, drawn, "language", name) for name in sorted({c.language for c in cells})},
        "training": about_training(trained, scorer) if trained else None,
        "relations": relations(rows),
        "marked": [name for name, row in rows.items() if (row["contaminated"] or 0.0) > MARKED_SHARE],
    }


def read_training(arguments: Sequence[str], cells: Sequence[Distribution]) -> TrainingText:
    """One pass over all of the training text: a sample of it, and what of the grid is in it."""
    every = TrainingOverlap([passage.text for cell in cells for passage in cell.passages])
    sample = PassageSample(TRAINING_BYTES, TRAINING_BYTES // 64)
    documents = Documents(arguments)
    read = 0
    for row in documents.rows():
        repeats = row.get("repeats")
        if not row["text"] or repeats == 0:
            continue
        read += 1
        sample.add(row["text"], repeats or 1)
        every.see(row["text"])
    by_cell = np.split(every.shares(), np.cumsum([len(cell.passages) for cell in cells])[:-1])
    shares = {cell.name: part for cell, part in zip(cells, by_cell, strict=True)}
    passages = sample.passages()
    about = {
        "documents": read,
        "inputs": {ref.name: ref.sha256 for ref in documents.refs},
        "sampled_documents": len(passages),
        "sampled_bytes": sum(passage.size for passage in passages),
        "contaminated_from": MIN_SHARE,
    }
    return TrainingText(ByteModel([passage.text for passage in passages]), shares, about)


def about_training(trained: TrainingText, scorer: PassageScorer) -> dict[str, Any]:
    """`is_the_models`: whether it is the dataset that the model says it was trained on; None where it does not say."""
    own = scorer.about.get("trained_on")
    known = None if own is None else own in trained.about["inputs"].values()
    return {**trained.about, "is_the_models": known}


def cell_row(cell: Distribution, found: PassageScores, drawn: Floats, trained: TrainingText | None) -> dict[str, Any]:
    """One distribution of the answer. What needs the training text is None without it."""
    size = float(found.bytes.sum())
    bits = float(found.bits.sum()) / size
    low, high = interval(drawn)
    xz = xz_bits_per_byte([passage.text for passage in cell.passages])
    row: dict[str, Any] = {
        "axis": cell.axis,
        "language": cell.language,
        "documents": len(cell.passages),
        "all_documents": cell.documents,
        "bytes": int(size),
        "tokens": int(found.tokens.sum()),
        "bits_per_byte": bits,
        "low": low,
        "high": high,
        "xz": xz,
        "over_xz": bits / xz if xz else None,
        "inputs": dict(cell.inputs),
        "unreadable": dict(cell.unreadable),
    }
    return row | _against_training(cell, found, trained)


def _against_training(cell: Distribution, found: PassageScores, trained: TrainingText | None) -> dict[str, Any]:
    """`cross_entropy`, and of it `entropy` and `distance`, all in bits per byte; `contaminated`, the share of documents
    that the training text has too, and bits per byte without them."""
    if trained is None:
        return dict.fromkeys(AGAINST_TRAINING)
    size = float(found.bytes.sum())
    cross, entropy, weight = distance_of(trained.model, cell.passages)
    clean = trained.shares[cell.name] < MIN_SHARE
    return {
        "cross_entropy": cross / size,
        "entropy": None if entropy is None else entropy / size,
        "distance": None if entropy is None else (cross - entropy) / size,
        "own_weight": weight,
        "contaminated": float(1 - clean.mean()),
        "clean_bits_per_byte": float(found.bits[clean].sum() / found.bytes[clean].sum()) if clean.any() else None,
    }


def pooled(
    rows: Mapping[str, Mapping[str, Any]], drawn: Mapping[str, Floats], key: str, value: str
) -> dict[str, Any] | None:
    """Means over the distributions of an axis or a language; the interval is over their documents."""
    names = [name for name, row in rows.items() if row[key] == value]
    if not names:
        return None
    low, high = interval(np.mean([drawn[name] for name in names], 0))
    return {
        "cells": len(names),
        "bits_per_byte": float(np.mean([rows[name]["bits_per_byte"] for name in names])),
        "low": low,
        "high": high,
        "over_xz": float(np.mean([rows[name]["over_xz"] for name in names])),
    }


def relations(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Each of `RELATIONS` over the distributions that have all of its numbers and are not marked; None for too few.

    They are taken by name, so that their order in the file changes no interval.
    """
    clean = [row for _, row in sorted(rows.items()) if (row["contaminated"] or 0.0) <= MARKED_SHARE]
    found = {}
    for name, (y, predictors) in RELATIONS.items():
        whole = [row for row in clean if all(row[key] is not None for key in (y, *predictors))]
        columns = {key: np.array([row[key] for row in whole], np.float64) for key in (y, *predictors)}
        found[name] = relation(columns[y], {key: columns[key] for key in predictors}) if whole else None
    return found
