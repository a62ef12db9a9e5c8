"""`refinery fit combination`: the curves of a `combine` step, from measured pages that people judged.

A generalised additive model: the logarithm of the odds that a page is good is a sum of one curve for each signal, a
few straight pieces between quantiles of the signal, fitted together by penalised logistic regression. The result is a
file that a recipe's step names as its model: numbers to read, to plot and to change.

Hastie & Tibshirani 1986 (additive models); solved by Newton's method, in one thread, over sorted rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.catalog import SIGNALS
from infra.dataset.manifest import MANIFEST
from infra.dataset.reader import Dataset
from infra.dataset.schema import signal_names
from infra.errors import UsageError
from infra.storage import write_bytes
from pipeline.fit.bag_of_words import FOLDS, cross_fitted, fold_of
from pipeline.fit.logistic import fit_logistic
from pipeline.fit.texts import Sample, auc, write_card
from pipeline.inputs.hosts import host_of
from pipeline.models.combination import Combination, Term, logistic
from pipeline.recipes.toml import toml_value
from pipeline.steps.signals import STEP_SIGNALS

QUANTILES = (0.02, 0.2, 0.4, 0.6, 0.8, 0.98)
# The penalty on the squares of what a point of a curve adds.
PENALTY = 5.0
# Points and weights are rounded to so many digits: they are read by people, and machines agree on them.
DIGITS = 3
BAG_OF_WORDS = "bag_of_words"
# What a combination is fitted to be.
QUALITY = "quality"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Measured pages. `values`: signal → float64[rows], NaN where not measured; `good`: bool[rows]; `groups`: what
    must not be on both sides of a split; `reference`: bool[rows], good texts that teach and are not measured by."""

    values: Mapping[str, Floats]
    good: npt.NDArray[np.bool_]
    groups: tuple[str, ...]
    reference: npt.NDArray[np.bool_] | None = None

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Rows":
        groups = tuple(group for group, mine in zip(self.groups, chosen) if mine)
        values = {name: column[chosen] for name, column in self.values.items()}
        return Rows(values, self.good[chosen], groups, None if self.reference is None else self.reference[chosen])


@dataclass(frozen=True)
class Shape:
    """Signals whose curve may only rise, or only fall: what is known of them beforehand, and few pages cannot show at
    their ends; and those that are held constant: fitted with the others, so that these do not stand for them, and left
    out of what is made (length: longer pages are better, and a short good page is to win)."""

    rising: frozenset[str] = frozenset()
    falling: frozenset[str] = frozenset()
    constant: frozenset[str] = frozenset()

    def bend(self, name: str, add: Floats, weight: Floats) -> Floats:
        """The nearest curve of that shape (weighted squares over its points)."""
        if name in self.rising:
            return pooled(add, weight)
        return -pooled(-add, weight) if name in self.falling else add


def pooled(values: Floats, weight: Floats) -> Floats:
    """The nearest sequence that never falls: neighbours that do become their mean (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for value, mass in zip(values.tolist(), np.maximum(weight, 1e-9).tolist()):
        blocks.append([value, mass, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            last, before = blocks.pop(), blocks.pop()
            total = last[1] + before[1]
            blocks.append([(last[0] * last[1] + before[0] * before[1]) / total, total, last[2] + before[2]])
    return np.array([value for value, _, count in blocks for _ in range(int(count))])


def fit_curves(rows: Rows, shape: Shape = Shape()) -> Combination:
    """The combination that tells the good rows from the others. UsageError when one side is empty."""
    if rows.good.all() or not rows.good.any():
        raise UsageError("a combination needs measured documents on both sides")
    points = {name: knots(column) for name, column in rows.values.items()}
    blocks = [hats(rows.values[name], at) for name, at in points.items()]
    matrix = np.hstack(blocks)
    # the intercept is as good as free
    width = np.append(1e5, np.full(matrix.shape[1], PENALTY**-0.5))
    weights = fit_logistic(matrix, rows.good.astype(np.float64), np.zeros(len(width)), width, balanced=False)
    intercept = float(weights[0])
    terms = []
    start = 1
    for (name, at), block in zip(points.items(), blocks):
        mine = weights[start : start + block.shape[1]].copy()
        start += block.shape[1]
        mine[:-1] = shape.bend(name, mine[:-1], block[:, :-1].sum(axis=0))
        middle = float((block @ mine).mean())
        intercept += middle
        if name in shape.constant:
            continue
        add = tuple(round(float(each) - middle, DIGITS) for each in mine[:-1])
        terms.append(Term(name, at, add, round(float(mine[-1]) - middle, DIGITS)))
    return Combination(round(intercept, DIGITS), tuple(terms))


def knots(column: Floats) -> tuple[float, ...]:
    """The quantiles between which a curve is straight, as short decimal numbers, rising."""
    known = column[~np.isnan(column)]
    if not known.size:
        return (0.0,)
    return tuple(sorted({float(f"{value:.{DIGITS}g}") for value in np.quantile(known, QUANTILES)}))


def hats(column: Floats, at: Sequence[float]) -> Floats:
    """float64[rows, points + 1]: how near each value is to each point (the shares of a row sum to 1); the last column
    is 1 where nothing was measured."""
    missing = np.isnan(column)
    values = np.where(missing, at[0], column)
    shares = np.array([np.interp(values, at, unit) for unit in np.eye(len(at))]).T
    shares[missing] = 0.0
    return np.hstack([shares, missing[:, None].astype(np.float64)])


def scores(model: Combination, rows: Rows) -> Floats:
    """The combination of every row, as a recipe's step has it."""
    columns = [(term, rows.values[term.signal]) for term in model.terms]
    return np.array(
        [
            logistic(model.intercept + sum(term.added(None if np.isnan(c[i]) else float(c[i])) for term, c in columns))
            for i in range(len(rows.good))
        ]
    )


def held_out_scores(rows: Rows, shape: Shape = Shape()) -> Floats:
    """Every row scored by a combination that was fitted without its group (FOLDS folds by hash of the group)."""
    folds = np.array([fold_of(group) for group in rows.groups])
    values = np.zeros(len(rows.good))
    for fold in range(FOLDS):
        out = folds == fold
        if out.any():
            values[out] = scores(fit_curves(rows.where(~out), shape), rows.where(out))
    return values


def recipe_line(out: Path, languages: Sequence[str]) -> str:
    """The step that uses the file, as a recipe has it."""
    step = {"kind": "combine", "signal": QUALITY, "model": out.name}
    return toml_value(step | ({"languages": list(languages)} if languages else {}))


def fit_combination(
    positive: Sequence[Path],
    negative: Sequence[Path],
    names: Sequence[str],
    out: Path,
    languages: Sequence[str] = (),
    reference: Sequence[Path] = (),
    shape: Shape = Shape(),
) -> dict[str, Any]:
    """Fit on datasets that `refinery measure` made; writes the file and its card, and returns the card.

    `languages`: of the pages, for the card's line of a recipe. `reference`: texts of kinds that must be kept, as
    `fit_bag_of_words` has them: measured too. UsageError for signals that do not exist or were not measured.
    """
    for name in names:
        if name not in SIGNALS and name not in STEP_SIGNALS:
            raise UsageError(f"no signal {name!r}; `refinery recipes signals` lists them")
    for name in sorted((shape.rising | shape.falling | shape.constant) - set(names)):
        raise UsageError(
            f"--rising, --falling and --constant are of signals that are fitted: {name!r} is not among --signal"
        )
    if shape.constant >= set(names):
        raise UsageError("--constant leaves no signal to combine: give another --signal")
    rows = read_rows(positive, negative, names, reference)
    model = fit_curves(rows, shape)
    scored = held_out_scores(rows, shape)
    write_bytes(out, model.as_text().encode())
    assert rows.reference is not None
    judged, taught = ~rows.reference, rows.reference | ~rows.good
    by_signal = {name: _auc(column[judged], rows.good[judged]) for name, column in rows.values.items()}
    return write_card(
        out,
        "combination of signals: the probability that a page is good",
        "refinery fit combination --positive … --negative … --reference … "
        + " ".join(f"--signal {name}" for name in names),
        {"positive": sorted(path.name for path in positive), "negative": sorted(path.name for path in negative)},
        positive=int((rows.good & judged).sum()),
        negative=int((~rows.good).sum()),
        reference=int(rows.reference.sum()),
        held_out={
            "auc": _auc(scored[judged], rows.good[judged]),
            "auc_of_references": _auc(scored[taught], rows.good[taught]) if rows.reference.any() else None,
            "auc_of_length_alone": by_signal.get("words"),
            "how": f"every group scored by a combination fitted without it, {FOLDS} folds",
        },
        step=recipe_line(out, languages),
        auc_by_signal=by_signal,
    )


def _auc(values: Floats, good: npt.NDArray[np.bool_]) -> float:
    known = ~np.isnan(values)
    return round(auc(values[known & good], values[known & ~good]), 4)


def read_rows(
    positive: Sequence[Path], negative: Sequence[Path], names: Sequence[str], reference: Sequence[Path] = ()
) -> Rows:
    """The signals of measured datasets. `bag_of_words` is not taken from them but cross-fitted from the texts:
    scores of texts that a model was fitted on are too good."""
    measured = [name for name in names if name != BAG_OF_WORDS]
    good, other, taught = (_side(paths, measured) for paths in (positive, negative, reference))
    rows = [*good, *other, *taught]
    values = {name: np.array([row[name] for row in rows], np.float64) for name in measured}
    if BAG_OF_WORDS in names:
        samples = ([Sample(row["text"], row["group"]) for row in side] for side in (good, other, taught))
        values[BAG_OF_WORDS] = np.concatenate([np.array(each, np.float64) for each in cross_fitted(*samples)])
    sizes = [len(good), len(other), len(taught)]
    labels = np.repeat([True, False, True], sizes)
    return Rows(values, labels, tuple(row["group"] for row in rows), np.repeat([False, False, True], sizes))


def _side(paths: Sequence[Path], names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows {text, group, NAME: float, None where not measured}, sorted."""
    rows = []
    for path in paths:
        if not (path / MANIFEST).is_file():
            raise UsageError(f"{path} is no dataset: measure the texts first, with `refinery measure`")
        for part in Dataset(path).parts():
            known = signal_names(part.schema())
            lost = [name for name in names if name not in known]
            if lost:
                raise UsageError(f"{path} has no signal {lost[0]!r}: make it with `refinery measure`")
            for batch in part.batches(["text", "url", "source", "file_path", "warc_offset", "signals"]):
                for row in batch.to_pylist():
                    measured = {name: row["signals"][name] for name in names}
                    rows.append({"text": row["text"], "group": _group(row), **measured})
    return sorted(rows, key=lambda row: (row["group"], row["text"]))


def _group(row: Mapping[str, Any]) -> str:
    """A page's host, else the collection that its documents file names, else the page itself."""
    source = row["source"] if row["source"] not in (None, "", "web") else ""
    return host_of(row["url"]) or source or f"{row['file_path']}:{row['warc_offset']}"
