"""Fits a topic table (`pipeline/models/topics.py`), or says how good one is on sources that it was not fitted on.

    python -m benchmarks topics --texts labelled.jsonl.gz seeds.jsonl.gz --language en --vectors vectors.npz

With `--out` the table is written, fitted on all; with `--table` nothing is fitted and the texts are told by that table.
`--plot` writes how far its probabilities hold. `--texts` has rows of `text`, `language`, `source` and `subjects` (of
`mixers/taxonomy/taxonomy.toml`, the chief one first; empty: general; null: not known), and, if a source has a label of
its own, `domain`. A source is held out as a whole: those of a language go to folds in turn; a text is told by a table
fitted without its fold; sources whose name begins with "seed" are only learned from. Sources named with `--apart` are
in no fit and no calibration of those that tell them, and are measured alone. Probabilities are calibrated by two
numbers a column, fitted on the other folds' held-out margins.

A text is a bag of words, scaled to length 1, and the mean of its words' vectors (`benchmarks topic_vectors`), from
which its language's mean is taken, so that what is learned from a word or a language holds for words that are like it.
Both are linear: what is fitted is a weight for each word, of `--vectors` and of the texts alike, so the outcome is a
table of words all the same.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from benchmarks.rows import check_folders, rows_in, short
from benchmarks.shared import add
from benchmarks.topic_inputs import FIELDS, labelled, read_labelled, read_vectors, topic_table
from benchmarks.topic_measures import WEB, Labelled, lines_of, measured
from infra.errors import UsageError
from infra.storage import write_bytes
from mixers.domains import AXIS_OF, Axis
from mixers.subjects import DOMAIN_OF_SUBJECT
from pipeline.document import Document
from pipeline.models.topics import (
    AXES,
    COLUMNS,
    DIALOGUE,
    FORMAT,
    OF_TURNS,
    PREFIX,
    load_topics,
)
from pipeline.models.word_table import WordTable
from pipeline.report.charts import Line, lines_drawing

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
FOLDS, WORDS, LEAST_TEXTS = 5, 10_000, 3
SEED = "seed"
# Strength of the weights (scikit-learn's C), and how many of the vectors' directions are kept.
STRENGTH, DIRECTIONS = 1.0, 160
# How much the vectors weigh beside the words themselves: more where most texts are in another language.
OF_VECTORS, OF_VECTORS_IN = 0.35, {"zh": 0.6}
# The weight of a text beside that of one of a book: web pages are what the table is for; of seeds, words and leads tell
# of subjects that no book here has.
OF_WEB, OF_OTHER_SEEDS = 3.0, 0.5
OF_SEEDS: dict[str, float] = {"seed leads": 3.0, "seed words": 6.0, "seed dialogues": 2.0}
# A word of so many sources is trusted in full.
MANY_SOURCES = 8
# Of a subject that is rarer among the texts, probabilities are those of texts among which it has this share.
LEAST_SHARE = 0.06


class Space(NamedTuple):
    """Texts of one language as rows of weighed words, scaled to length 1; `common`: how far each word is to be trusted,
    0 to 1, by the sources that have it."""

    words: dict[str, int]
    idf: Floats
    rows: csr_matrix
    common: Floats


class Fitted(NamedTuple):
    space: Space
    weights: Floats
    """[words, columns]"""
    intercepts: Floats

    def margins(self) -> Floats:
        return np.asarray(self.space.rows @ self.weights + self.intercepts)


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--texts", required=True)
    parser.add_argument("--language", required=True)
    parser.add_argument("--vectors", type=Path, help="npz of words and vectors")
    parser.add_argument("--apart", nargs="+", default=[], help="sources that are in no fit of those that tell them")
    parser.add_argument("--out", type=Path, help="write the table, fitted on all")
    parser.add_argument("--table", type=Path, help="fit nothing: what this table tells of the texts")
    parser.add_argument("--plot", type=Path, help="write an SVG: of each axis, what is said against what is true")


def columns_of(texts: Sequence[Labelled]) -> dict[str, Bools]:
    """The truth of each column that enough texts have, by text; false where the subjects are not known."""
    axes = [{AXIS_OF[DOMAIN_OF_SUBJECT[subject]] for subject in text.subjects or ()} for text in texts]
    found = {name: np.array([Axis(name.upper()) in each for each in axes]) for name in AXES}
    for subject in DOMAIN_OF_SUBJECT:
        found[PREFIX + subject] = np.array([subject in (text.subjects or ()) for text in texts])
    return {name: truth for name, truth in found.items() if truth.sum() >= LEAST_TEXTS}


def folds_of(texts: Sequence[Labelled], apart: Sequence[str]) -> NDArray[np.int64]:
    """The fold that each text is held out in; FOLDS: apart; -1: in none."""
    sources = sorted({(text.language, text.source) for text in texts if not text.source.startswith(SEED)})
    place = {pair: number % FOLDS for number, pair in enumerate(pair for pair in sources if pair[1] not in apart)}
    return np.array([
        FOLDS if text.source in apart else place.get((text.language, text.source), -1) for text in texts
    ])  # fmt: skip


def space(texts: Sequence[Labelled], known: Mapping[str, Any] | None, learned: Bools) -> Space:
    """The words that most texts have, of those that vectors are `known` of or that are `learned` from."""
    spread: Counter[str] = Counter()
    for text, yes in zip(texts, learned):
        spread.update(word for word in text.counts if yes or (known is not None and word in known))
    chosen = sorted(
        word for word, n in sorted(spread.items(), key=lambda item: (-item[1], item[0]))[:WORDS] if n >= LEAST_TEXTS
    )
    if not chosen:
        language = texts[0].language
        raise UsageError(
            f"no word is in {LEAST_TEXTS} of the texts in {language!r} that are fitted on: give more texts"
        )
    words = {word: place for place, word in enumerate(chosen)}
    idf = np.array([round(float(np.log((1 + len(texts)) / (1 + spread[word]))) + 1, 3) for word in words])
    at = [(row, words[word], n) for row, text in enumerate(texts) for word, n in text.counts.items() if word in words]
    rows, places, counts = (np.array(part) for part in zip(*at))
    values = (1 + np.log(counts)) * idf[places]
    lengths = np.sqrt(np.bincount(rows, values * values, minlength=len(texts)))
    matrix = csr_matrix((values / lengths[rows], (rows, places)), shape=(len(texts), len(words)))
    sources: dict[str, set[str]] = {word: set() for word in words}
    for text, yes in zip(texts, learned):
        if yes:
            for word in text.counts.keys() & words.keys():
                sources[word].add(text.source)
    common = np.array([min(1.0, len(sources[word]) / MANY_SOURCES) ** 0.5 for word in words])
    return Space(words, idf, matrix, common)


def weights_of(texts: Sequence[Labelled]) -> Floats:
    """Of a source's texts: together they count as the root of their number."""
    sizes = Counter((text.language, text.source) for text in texts)
    found = np.array([
        sizes[text.language, text.source] ** -0.5 * of_source(text.source)
        for text in texts
    ])  # fmt: skip
    return np.asarray(found / found.mean())


def of_source(source: str) -> float:
    if source.startswith(WEB):
        return OF_WEB
    return OF_SEEDS.get(source, OF_OTHER_SEEDS) if source.startswith(SEED) else 1.0


def fit_columns(x: Any, truth: Mapping[str, Bools], importance: Floats) -> tuple[Floats, Floats]:
    """Weights [features, columns] and intercepts [columns]."""
    from sklearn.linear_model import LogisticRegression

    found = []
    for name, column in truth.items():
        if column.all() or not column.any():
            which = "all have" if column.any() else "none has"
            raise UsageError(
                f"with a fold of sources held out, of {len(column)} texts that are left {which} {name!r}: "
                "give texts of more sources that have it, and that have it not"
            )
        model = LogisticRegression(C=STRENGTH, max_iter=200, class_weight="balanced", tol=1e-3)
        model.fit(x, column, sample_weight=importance)
        found.append((model.coef_[0], model.intercept_[0]))
    return np.array([weights for weights, _ in found]).T, np.array([intercept for _, intercept in found])


def directions(vectors: Mapping[str, Floats], words: Sequence[str]) -> dict[str, Floats]:
    """The vectors of these words along their DIRECTIONS of most spread, each scaled to have a spread of 1."""
    known = [word for word in words if word in vectors]
    if not known:
        raise UsageError("--vectors has none of the words of these texts: make it of them (`topic_vectors`)")
    x = np.array([vectors[word] for word in known])
    x -= x.mean(axis=0)
    spreads, axes = np.linalg.eigh(x.T @ x / len(x))
    kept = np.argsort(-spreads)[:DIRECTIONS]
    if len(known) <= len(kept) or spreads[kept].min() <= 0:
        raise UsageError(f"--vectors has {len(known)} of the words of these texts, too few: make it of more texts")
    return dict(zip(known, x @ axes[:, kept] / np.sqrt(spreads[kept])))


def fit(
    texts: Sequence[Labelled], truth: Mapping[str, Bools], learned: Bools, language: str,
    vectors: Mapping[str, Floats] | None,
) -> Fitted:  # fmt: skip
    """A table of the language's words, fitted on the texts that are `learned`, of all languages; its space has the rows
    of the language's texts alone."""
    if not learned.any():
        raise UsageError("with a fold of sources held out, no text is left to fit on: give texts of more sources")
    found: dict[str, Space] = {}
    of = {name: np.array([text.language == name for text in texts]) for name in sorted({t.language for t in texts})}
    for name, mine in of.items():
        found[name] = space([text for text, yes in zip(texts, mine) if yes], vectors, learned[mine])
    kept = {name: column[learned] for name, column in truth.items()}
    importance = weights_of([text for text, yes in zip(texts, learned) if yes])
    blocks, places = words_of(texts, of, found)
    common = found[language].common[:, None]
    if vectors is None:
        weights, intercepts = fit_columns(blocks[learned], kept, importance)
        return Fitted(found[language], weights[places[language]] * common, intercepts)
    along = directions(vectors, [word for each in found.values() for word in each.words])
    zero = np.zeros(len(next(iter(along.values()))))
    means, centres = np.zeros((len(texts), len(zero))), {}
    matrix = {name: np.array([along.get(word, zero) for word in each.words]) for name, each in found.items()}
    for name, mine in of.items():
        means[mine] = found[name].rows @ matrix[name]
        centres[name] = means[mine & learned].mean(axis=0)
        means[mine] -= centres[name]
    scale = np.sqrt((means[learned] ** 2).sum(axis=1).mean()) / OF_VECTORS_IN.get(language, OF_VECTORS)
    both = hstack([blocks, csr_matrix(means / scale)]).tocsr()
    weights, intercepts = fit_columns(both[learned], kept, importance)
    of_words, of_vectors = weights[places[language]] * common, weights[blocks.shape[1] :] / scale
    by_word = of_words + matrix[language] @ of_vectors
    return Fitted(found[language], by_word, intercepts - centres[language] @ of_vectors)


def words_of(
    texts: Sequence[Labelled], of: Mapping[str, Bools], found: Mapping[str, Space]
) -> tuple[csr_matrix, dict[str, slice]]:
    """The texts' words, each language's in columns of its own, and which columns these are."""
    width, places = 0, {}
    parts = []
    for name, mine in of.items():
        rows = found[name].rows.tocoo()
        parts.append((rows.data * found[name].common[rows.col], np.flatnonzero(mine)[rows.row], rows.col + width))
        places[name] = slice(width, width + len(found[name].words))
        width = places[name].stop
    values, rows_, columns = (np.concatenate(part) for part in zip(*parts))
    return csr_matrix((values, (rows_, columns)), shape=(len(texts), width)), places


def told_by(table: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a table tells of texts; those with too few of its words are counted alone."""
    if any(row["subjects"] is None for row in rows):
        begins = next(short(row["text"]) for row in rows if row["subjects"] is None)
        raise UsageError(
            f"subjects of the text that begins {begins} are not known (null): a table is measured by read texts"
        )
    measure = load_topics(table)
    found = [measure(Document(row["text"], language=row["language"])) for row in rows]
    if not any(told["iq"] is not None for told in found):
        raise UsageError(f"{table} tells nothing of these texts: is it a table of their language?")
    pairs = [(labelled(row), told) for row, told in zip(rows, found) if told["iq"] is not None]
    texts = [text for text, _ in pairs]
    truth = columns_of(texts)
    names = [name for name in COLUMNS if pairs[0][1][name] is not None]
    probabilities = np.array([[told[name] for name in names] for _, told in pairs], float)
    shown = {name: truth.get(name, np.zeros(len(texts), bool)) for name in names}
    return measured(texts, names, shown, probabilities) | {"untold": len(rows) - len(texts)}


def plot(found: Mapping[str, Any], language: str) -> str:
    """An SVG: of each axis, the share of texts that have it by the probability that was told."""
    lines = [Line("as it should be", ((0.0, 0.0), (1.0, 1.0)))]
    for axis in AXES:
        bins = found["calibration"][axis]["bins"]
        error = found["calibration"][axis]["error"]
        points = tuple((said, true) for _, said, true in bins)
        lines.append(Line(f"{axis.upper()}: calibration error {error:.3f}", points))
    title = f"Topics, {language}: {found['texts']:,} texts"
    about = "by tenths of the probability"
    return lines_drawing(title, about, lines, "probability told", "share of texts that have it").alone()


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.table:
        if args.out:
            raise UsageError("--out is for a table that is fitted: leave out --table or --out")
        topic_table(args.table, args.language)
        check_folders(args.plot)
        answer = {"told": told_by(args.table, rows_in(args.texts, args.language, *FIELDS))}
    else:
        answer = fitted_answer(args)
    if args.plot:
        write_bytes(args.plot, plot(next(iter(answer.values())), args.language).encode())
    return answer


def check_texts(
    texts: Sequence[Labelled], truth: Mapping[str, Bools], fold: NDArray[np.int64], args: argparse.Namespace
) -> None:
    """UsageError for texts that nothing can be fitted on."""
    sources = {text.source for text in texts if text.language == args.language}
    if unknown := sorted(set(args.apart) - sources):
        raise UsageError(f"--apart: no text in {args.language!r} is of the source {unknown[0]!r}")
    if lacking := [axis for axis in AXES if axis not in truth]:
        raise UsageError(f"fewer than {LEAST_TEXTS} texts have a subject of the axis {lacking[0].upper()}: give more")
    mine = np.array([text.language == args.language for text in texts])
    if not (mine & (fold >= 0) & (fold < FOLDS)).any():
        raise UsageError(
            f"no source of {args.language!r} is left to hold out: all are --apart, or their names begin with {SEED!r}"
        )


def fitted_answer(args: argparse.Namespace) -> dict[str, Any]:
    """What tables tell of texts whose sources they have not seen."""
    check_folders(args.out, args.plot)
    vectors = read_vectors(args.vectors) if args.vectors else None
    texts = read_labelled(args.texts, args.language, bool(vectors))
    truth, fold = columns_of(texts), folds_of(texts, args.apart)
    check_texts(texts, truth, fold, args)
    known = np.array([text.subjects is not None for text in texts])
    mine = np.array([text.language == args.language for text in texts])
    margins = np.zeros((len(texts), len(truth)))
    for number in sorted(set(fold[mine]) - {-1}):
        learned = known & (fold != number) & (fold != FOLDS)
        found = fit(texts, truth, learned, args.language, vectors)
        out = mine & (fold == number)
        margins[out] = found.margins()[out[mine]]
    slopes, probabilities = calibrated(texts, margins, truth, fold, mine & known)
    if args.out:
        whole = fit(texts, truth, known, args.language, vectors)
        write_bytes(args.out, table_of(whole, list(truth), slopes).as_text(FORMAT.format(args.language)).encode())
    turns = np.array([text.in_turns for text in texts])
    for place, name in enumerate(truth):
        if name in DIALOGUE:
            probabilities[turns, place] = np.maximum(probabilities[turns, place], OF_TURNS)
    answer = {}
    for name, which in {"held out": (fold >= 0) & (fold < FOLDS), "apart": fold == FOLDS}.items():
        shown = mine & which
        if shown.any():
            each = [text for text, yes in zip(texts, shown) if yes]
            answer[name] = measured(each, list(truth), {n: c[shown] for n, c in truth.items()}, probabilities[shown])
    return answer


def table_of(fitted: Fitted, names: Sequence[str], slopes: Sequence[tuple[float, float]]) -> WordTable:
    return WordTable(
        {name: round(float(a * i + b), 4) for name, i, (a, b) in zip(names, fitted.intercepts, slopes)},
        list(fitted.space.words), fitted.space.idf.tolist(),
        [[round(float(value), 2) for value in a * column] for column, (a, _) in zip(fitted.weights.T, slopes)],
    )  # fmt: skip


def calibrated(
    texts: Sequence[Labelled], margins: Floats, truth: Mapping[str, Bools], fold: NDArray[np.int64], usable: Bools
) -> tuple[list[tuple[float, float]], Floats]:
    """Slope and intercept of each column over all folds, and probabilities by those of the other folds."""
    from sklearn.linear_model import LogisticRegression

    folded = usable & (fold >= 0) & (fold < FOLDS)

    def fit_one(x: Floats, y: Bools, w: Floats) -> tuple[float, float]:
        if y.all() or not y.any():
            return 1.0, 0.0
        model = LogisticRegression(C=100.0).fit(x[:, None], y, sample_weight=w)
        return max(float(model.coef_[0, 0]), 0.05), float(model.intercept_[0])

    def pair(which: Bools, place: int, y: Bools) -> tuple[float, float]:
        importance = weights_of([text for text, yes in zip(texts, which) if yes])
        share = importance[y[which]].sum() / importance.sum()
        if 0 < share < LEAST_SHARE:
            importance[y[which]] *= LEAST_SHARE * (1 - share) / (share * (1 - LEAST_SHARE))
        return fit_one(margins[which, place], y[which], importance)

    found, out = [], np.zeros_like(margins)
    for place, y in enumerate(truth.values()):
        found.append(pair(folded, place, y))
        for number in sorted(set(fold) - {-1}):
            a, b = found[-1] if number == FOLDS else pair(folded & (fold != number), place, y)
            shown = fold == number
            out[shown, place] = 1 / (1 + np.exp(-np.clip(a * margins[shown, place] + b, -30, 30)))
    return found, out


def show(found: dict[str, Any]) -> Iterator[str]:
    for name, each in found.items():
        yield f"## {name}\n"
        yield from lines_of(each)
