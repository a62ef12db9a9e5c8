"""Adapts a topic table (`pipeline/models/topics.py`) to more read texts, and says what it tells of sources held out.

    python -m benchmarks topic_adapt --texts read.jsonl --language zh --table topics-zh.tsv --clean iq_zh eq_zh \\
        --rehearse *.jsonl

For when the texts that a table was fitted on are not at hand. A column's margin becomes a logistic regression whose
weights are `slope` times the table's and a `change` of each of its words; a ridge holds the changes near 0, another the
slope near 1 and the intercept near what it was. A column that fewer than LEAST_TEXTS of the texts have stays as it is.
What the table knew stays by texts that are learned from beside the read ones (`benchmarks/topic_rehearsal.py`). Last
each column is multiplied by the number that makes held-out margins, of read and clean texts alike, most likely: so what
is told with .9 holds for nine in ten, and which axis is told stays.

`--texts` has rows as `benchmarks topics` takes them; only those whose subjects are known count. A source is held out as
a whole, together with sources that have near-copies of its texts, and weighs as the root of its number of texts. Clean
and rehearsed texts that are near-copies of read ones are left out and counted: what is learned from them would tell a
text that is held out, and what is read would tell them. Clean texts are told twice, by the table that learned from
others of their file, and by one that learned from none of it.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, vstack

from benchmarks.near_copies import NearCopies
from benchmarks.rows import check_folders, rows_in
from benchmarks.shared import add, markdown
from benchmarks.topic_inputs import FIELDS, labelled, topic_table
from benchmarks.topic_measures import Labelled, lines_of, measured
from benchmarks.topic_rehearsal import (
    HELD,
    KnownText,
    aims_of,
    axes_of,
    clean_texts,
    importance_of,
    odds,
    rehearsed_texts,
    told,
)
from benchmarks.topics import FOLDS, columns_of, weights_of
from infra.errors import UsageError
from infra.storage import write_bytes
from pipeline.models.topics import FORMAT, LEAST_WORDS
from pipeline.models.word_table import WordTable

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Folds = NDArray[np.int64]
# What a change of a slope or an intercept costs, and what the slopes of held-out margins cost away from 1.
STIFFNESS, OF_SLOPES = 10.0, 1.0
# Of the search for a change, which begins at the table: what it gains after these is little.
STEPS = 200
# Texts as like as this (cosine of their words) are near-copies.
NEAR = 0.85


class Strength(NamedTuple):
    ridge: float
    """Of the changes of words' weights."""
    known: float
    """What the texts that the table knows weigh beside the read ones."""


class TextRows(NamedTuple):
    """Texts as rows: `x` float64[texts, words], scaled to length 1; the others [texts, columns] and [texts]."""

    x: csr_matrix
    margins: Floats
    aims: Floats
    importance: Floats

    def of(self, which: Bools) -> "TextRows":
        return TextRows(self.x[which], self.margins[which], self.aims[which], self.importance[which])


class Change(NamedTuple):
    words: Floats
    """[words, columns]"""
    slopes: Floats
    intercepts: Floats

    def margins(self, part: TextRows) -> Floats:
        return np.asarray(self.slopes * part.margins + part.x @ self.words + self.intercepts)


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--texts", "--clean", required=True)
    parser.add_argument("--rehearse", nargs="+", type=Path, default=[], help="JSON lines: more texts it knows")
    parser.add_argument("--language", required=True)
    parser.add_argument("--table", type=Path, required=True, help="the table that is adapted")
    parser.add_argument("--ridge", type=float, default=0.03, help="how much a change of a word's weight costs")
    parser.add_argument("--weight", type=float, default=1.0, help="of clean and rehearsed texts beside the read ones")
    parser.add_argument("--out", type=Path, help="write the table, adapted to all")


def rows_of(table: WordTable, counts: Sequence[Mapping[str, int]]) -> csr_matrix:
    """[texts, words of the table], each row scaled to length 1."""
    places = {word: place for place, word in enumerate(table.words)}
    at = [(row, places[word], n) for row, each in enumerate(counts) for word, n in each.items() if word in places]
    rows, words, n = (np.array([each[part] for each in at], np.int64) for part in range(3))
    values = (1 + np.log(n)) * np.array(table.idf)[words]
    lengths = np.sqrt(np.bincount(rows, values * values, minlength=len(counts)))
    return csr_matrix((values / lengths[rows], (rows, words)), shape=(len(counts), len(table.words)))


def margins_of(table: WordTable, x: csr_matrix) -> Floats:
    return np.asarray(x @ np.array(table.weights).T + np.array(list(table.intercepts.values())))


def groups_of(x: csr_matrix, sources: Sequence[str]) -> list[str]:
    """The source of each text, one name for all that share near-copies."""
    name = {source: source for source in sources}
    for row, column in zip(*np.nonzero((x @ x.T).toarray() > NEAR)):
        a, b = sorted((name[sources[row]], name[sources[column]]))
        if a != b:
            name = {source: a if other == b else other for source, other in name.items()}
    return [name[source] for source in sources]


def folds_by_size(names: Sequence[str]) -> NDArray[np.int64]:
    """A fold for each name, the commonest in turn, so that folds are about as large."""
    order = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    fold = {name: place % FOLDS for place, (name, _) in enumerate(order)}
    return np.array([fold[name] for name in names])


def fit(read: TextRows, known: TextRows, strength: Strength, fixed: Bools) -> Change:
    """The change of least loss within STEPS, looked for from the table on; none of the `fixed` columns."""
    weights = np.concatenate([
        read.importance / read.importance.mean(),
        known.importance / known.importance.sum() * strength.known * len(read.importance),
    ])[:, None]  # fmt: skip
    x, margins = vstack([read.x, known.x]).tocsr(), np.vstack([read.margins, known.margins])
    aims = np.vstack([read.aims, known.aims])
    turned, columns, free = x.T.tocsr(), aims.shape[1], ~fixed
    size = x.shape[1] * columns
    first = np.zeros(size + 2 * columns)

    def split(point: Floats) -> tuple[Floats, Floats, Floats]:
        return point[:size].reshape(-1, columns), point[size : size + columns], point[size + columns :]

    def loss(point: Floats) -> tuple[float, Floats]:
        words, slopes, intercepts = split(point)
        now = (1 + slopes) * margins + x @ words + intercepts
        gaps = weights * (odds(now) - aims) * free
        held = STIFFNESS * point
        held[:size] = strength.ridge * point[:size]
        value = (weights * (np.logaddexp(0, now) - aims * now) * free).sum() + point @ held / 2
        slope = np.concatenate([(turned @ gaps).ravel(), (margins * gaps).sum(axis=0), gaps.sum(axis=0)])
        return float(value), slope + held

    best = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    words, slopes, intercepts = split(best)
    return Change(words, 1 + slopes, intercepts)


def table_with(table: WordTable, change: Change, slopes: Floats) -> WordTable:
    """The table after the change, times the slopes, rounded as `benchmarks topics` rounds."""
    weights = (np.array(table.weights).T * change.slopes + change.words) * slopes
    intercepts = (np.array(list(table.intercepts.values())) * change.slopes + change.intercepts) * slopes
    return WordTable(
        {name: round(float(value), 4) for name, value in zip(table.intercepts, intercepts)}, table.words, table.idf,
        [[round(float(value), 2) for value in column] for column in weights.T],
    )  # fmt: skip


def run(args: argparse.Namespace) -> dict[str, Any]:
    if not (0 < args.ridge < inf and 0 < args.weight < inf):
        raise UsageError("--ridge and --weight must be above 0, and numbers")
    check_folders(args.out)
    table = topic_table(args.table, args.language)
    names, words = list(table.intercepts), frozenset(table.words)
    pairs = read_texts(args, words)
    texts = [text for text, _ in pairs]
    found = columns_of(texts)
    truth = {name: found.get(name, np.zeros(len(texts), bool)) for name in names}
    x = rows_of(table, [text.counts for text in texts])
    groups = groups_of(x, [text.source for text in texts])
    if len(set(groups)) < FOLDS:
        raise UsageError(f"these texts are of {len(set(groups))} sources: {FOLDS} are needed, to hold some out")
    importance = weights_of([text._replace(source=group) for text, group in zip(texts, groups)])
    read = TextRows(x, margins_of(table, x), np.array(list(truth.values()), float).T, importance)
    every, copies = known_texts(args, words, NearCopies([text for _, text in pairs]))
    known = known_part(table, every)
    strength, fixed = Strength(args.ridge, args.weight), ~np.array([column.any() for column in truth.values()])
    folds = folds_by_size(groups), folds_of_known(every)
    change = fit(read, known.of(known.importance > 0), strength, fixed)
    held = held_out(read, known, folds[0], [text.source for text in every if text.axis], strength, fixed)
    slopes, out, without = stretched(read, known, folds, held, fixed)
    after = table_with(table, change, slopes)
    if args.out:
        write_bytes(args.out, after.as_text(FORMAT.format(args.language)).encode())
    turns = [text.in_turns for text in texts]
    kinds = {"before": known.margins, "after": margins_of(after, known.x), "after, without its file": without}
    return {
        "before": measured(texts, names, truth, told(read.margins, turns, names)),
        "held out": measured(texts, names, truth, told(out, turns, names)),
        "slopes": {name: round(float(slope), 3) for name, slope in zip(names, slopes)},
        "rehearsed": sum(text.axis is None for text in every),
        "clean": {kind: right_axes(margins, every, names) for kind, margins in kinds.items()},
        **({"near-copies": dict(sorted(copies.items()))} if copies else {}),
    }


def read_texts(args: argparse.Namespace, words: frozenset[str]) -> list[tuple[Labelled, str]]:
    """Those whose subjects are known, that have enough of the table's `words`, beside what they say."""
    rows = [row for row in rows_in(args.texts, args.language, *FIELDS) if row["subjects"] is not None]
    if not rows:
        raise UsageError(f"subjects of all texts in {args.language!r} are not known (null): give texts that were read")
    pairs = [(text, row["text"]) for row in rows if len((text := labelled(row)).counts.keys() & words) >= LEAST_WORDS]
    if not pairs:
        raise UsageError(f"{args.table} tells nothing of these texts: is it a table of their language?")
    return pairs


def known_texts(
    args: argparse.Namespace, words: frozenset[str], read: NearCopies
) -> tuple[list[KnownText], Counter[str]]:
    """The clean and the rehearsed ones that are no near-copies of read texts, and how many of each source are."""
    every = [
        *clean_texts(args.clean, args.language, words, read),
        *rehearsed_texts(args.rehearse, args.language, words, read),
    ]
    found = [text for text in every if not text.copied]
    for learned, what in ((True, "learn from"), (False, "measure by")):
        if not any(text.axis and text.learned == learned for text in found):
            raise UsageError(
                f"no clean text is left to {what}: a file needs more than {HELD} that the table tells and that are no "
                "near-copies of read ones"
            )
    return found, Counter(text.source for text in every if text.copied)


def known_part(table: WordTable, texts: Sequence[KnownText]) -> TextRows:
    x = rows_of(table, [text.counts for text in texts])
    margins = margins_of(table, x)
    return TextRows(x, margins, aims_of(margins, texts, list(table.intercepts)), importance_of(texts))


def folds_of_known(texts: Sequence[KnownText]) -> NDArray[np.int64]:
    """FOLDS, which is held out nowhere, for rehearsed texts."""
    clean = np.array([text.axis is not None for text in texts])
    found = np.full(len(texts), FOLDS)
    found[clean] = folds_by_size([text.source for text in texts if text.axis is not None])
    return found


def held_out(
    read: TextRows, known: TextRows, fold: Folds, clean: Sequence[str], strength: Strength, fixed: Bools
) -> tuple[Floats, Floats]:
    """Margins of the read texts and of the known ones: the former told by tables that were adapted without their fold,
    the latter, whose first are the clean ones of these sources, without their file; 0 of rehearsed ones."""
    out, without, learned = np.zeros_like(read.margins), np.zeros_like(known.margins), known.importance > 0
    source = np.array([*clean, *[""] * (len(learned) - len(clean))])
    for number in range(FOLDS):
        change = fit(read.of(fold != number), known.of(learned), strength, fixed)
        out[fold == number] = change.margins(read.of(fold == number))
    for name in sorted(set(clean)):
        change = fit(read, known.of(learned & (source != name)), strength, fixed)
        without[source == name] = change.margins(known.of(source == name))
    return out, without


def stretched(
    read: TextRows, known: TextRows, folds: tuple[Folds, Folds], held: tuple[Floats, Floats], fixed: Bools
) -> tuple[Floats, Floats, Floats]:
    """The slope of each column's held-out margins, and these margins, each times the slope by the other folds. Clean
    texts together weigh what the read ones do."""
    fold, found = np.concatenate(folds), np.vstack(held)
    aims, clean = np.vstack([read.aims, known.aims]), (folds[1] < FOLDS) * known.importance
    weights = np.concatenate([read.importance / read.importance.mean(), clean / clean.sum() * len(read.importance)])
    made = found.copy()
    for number in range(FOLDS):
        other, mine = fold != number, fold == number
        made[mine] *= slopes_of(found[other], aims[other], weights[other], fixed)
    return slopes_of(found, aims, weights, fixed), made[: len(held[0])], made[len(held[0]) :]


def slopes_of(margins: Floats, aims: Floats, weights: Floats, fixed: Bools) -> Floats:
    """Of most likelihood, by column; 1 of the `fixed`."""

    def loss(point: Floats) -> tuple[float, Floats]:
        now = (1 + point) * margins
        gaps = weights[:, None] * (odds(now) - aims) * ~fixed
        value = (weights[:, None] * (np.logaddexp(0, now) - aims * now) * ~fixed).sum()
        return float(value + OF_SLOPES * point @ point / 2), (margins * gaps).sum(axis=0) + OF_SLOPES * point

    return np.asarray(1 + minimize(loss, np.zeros(margins.shape[1]), jac=True, method="L-BFGS-B").x)


def right_axes(margins: Floats, texts: Sequence[KnownText], names: Sequence[str]) -> dict[str, Any]:
    """Of the clean texts that are not learned from: the share of right axes, of all and of each source."""
    right: defaultdict[str, list[bool]] = defaultdict(list)
    for text, axis in zip(texts, axes_of(margins, texts, names)):
        if not text.learned:
            right[text.source].append(axis == text.axis)
    every = [yes for found in right.values() for yes in found]
    return {
        "texts": len(every),
        "axis": round(float(np.mean(every)), 3),
        "sources": {source: [len(found), round(float(np.mean(found)), 3)] for source, found in sorted(right.items())},
    }


def show(found: dict[str, Any]) -> Iterator[str]:
    for name in ("before", "held out"):
        yield f"## {name}\n"
        yield from lines_of(found[name])
    kinds = found["clean"]
    yield f"\n## Clean texts whose axis is that of their folder, {found['rehearsed']} others rehearsed\n"
    rows = [["all", kinds["before"]["texts"], *(each["axis"] for each in kinds.values())]]
    rows += [
        [source, n, *(each["sources"][source][1] for each in kinds.values())]
        for source, (n, _) in kinds["before"]["sources"].items()
    ]
    yield from markdown(["source", "texts", *kinds], rows)
    if copies := found.get("near-copies"):
        each = ", ".join(f"{source} {n}" for source, n in copies.items())
        yield f"\nLeft out, as near-copies of read texts: {sum(copies.values())} ({each})"
    yield "\nSlopes of held-out margins: " + ", ".join(f"{name} {slope}" for name, slope in found["slopes"].items())
