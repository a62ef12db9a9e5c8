"""Fits a topic table (`pipeline/models/topics.py`), or says how good one is on sources that it was not fitted on.

    python -m benchmarks topics --texts labelled.jsonl.gz --language en [--out topics-en.tsv]
    python -m benchmarks topics --texts labelled.jsonl.gz --language zh --vectors vectors.npz [--out topics-zh.tsv]

`--texts` has rows of `text`, `language`, `source`, `domain` (one of a mixture's) and `subjects` (of
`mixers/taxonomy/taxonomy.toml`). A source is held out as a whole: those of a domain go to three folds in turn; a text
is told by tables fitted without its fold; sources whose name begins with "seed" are only learned from. Probabilities
are calibrated by two numbers a column, fitted on the other folds' held-out margins.

With `--vectors` (`words`, `vectors`: vectors of words of several languages in one space) a table is fitted on the texts
of all languages together: a text is the mean of its words' vectors, from which its language's mean is taken, so that
what is learned from one language holds for the others. A linear function of that mean is a weight for each word, so the
outcome is a table of words all the same.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.shared import add, markdown, read_rows
from infra.storage import write_bytes
from mixers.domains import AXIS_OF, Axis
from mixers.subjects import DOMAIN_OF_SUBJECT, domain_of
from pipeline.document import Document
from pipeline.models.topics import AXES, FORMAT, PREFIX, topic_counts
from pipeline.models.word_table import WordTable

Floats = NDArray[np.float64]
FOLDS, WORDS, LEAST_TEXTS = 3, 8000, 3
# Strength of the weights: scikit-learn's C, of words and of vectors' dimensions.
OF_WORDS, OF_VECTORS = 10.0, 1.0
BINS = 10


class Labelled(NamedTuple):
    counts: Mapping[str, int]
    language: str
    source: str
    domain: str
    subjects: frozenset[str]


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--texts", required=True)
    parser.add_argument("--language", required=True)
    parser.add_argument("--vectors", type=Path, help="npz of words and vectors")
    parser.add_argument("--out", type=Path, help="write the table, fitted on all")


def read(paths: Sequence[Path], language: str | None) -> list[Labelled]:
    return [
        Labelled(
            topic_counts(Document(row["text"], language=row["language"])),
            row["language"], row["source"], row["domain"], frozenset(row["subjects"]),
        )
        for path in paths
        for row in read_rows(path)
        if language in (None, row["language"])
    ]  # fmt: skip


def columns_of(texts: Sequence[Labelled]) -> dict[str, NDArray[np.bool_]]:
    """The truth of each column that at least two sources have, by text."""
    axis = [AXIS_OF[text.domain] for text in texts]
    found = {name: np.array([each is Axis(name.upper()) for each in axis]) for name in AXES}
    for subject in DOMAIN_OF_SUBJECT:
        found[PREFIX + subject] = np.array([subject in text.subjects for text in texts])
    return {name: truth for name, truth in found.items() if truth.sum() >= LEAST_TEXTS}


def folds_of(texts: Sequence[Labelled]) -> NDArray[np.int64]:
    """The fold that each text is held out in; -1: in none."""
    sources: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for text in texts:
        if not text.source.startswith("seed"):
            sources[text.language, text.domain].add(text.source)
    fold = {name: number % FOLDS for group in sources.values() for number, name in enumerate(sorted(group))}
    return np.array([fold.get(text.source, -1) for text in texts])


class Space(NamedTuple):
    """Texts as rows of weighed words, scaled to length 1; with vectors, as their means."""

    words: dict[str, int]
    idf: Floats
    rows: csr_matrix


def space(texts: Sequence[Labelled], known: Mapping[str, Any] | None, learned: NDArray[np.bool_]) -> Space:
    spread: Counter[str] = Counter()
    for text, yes in zip(texts, learned):
        if yes:
            spread.update(word for word in text.counts if known is None or word in known)
    chosen = sorted(
        word for word, n in sorted(spread.items(), key=lambda item: (-item[1], item[0]))[:WORDS] if n >= LEAST_TEXTS
    )
    words = {word: place for place, word in enumerate(chosen)}
    idf = np.array([round(float(np.log((1 + learned.sum()) / (1 + spread[word]))) + 1, 3) for word in words])
    at = [(row, words[word], n) for row, text in enumerate(texts) for word, n in text.counts.items() if word in words]
    rows, places, counts = (np.array(part) for part in zip(*at))
    values = (1 + np.log(counts)) * idf[places]
    lengths = np.sqrt(np.bincount(rows, values * values, minlength=len(texts)))
    matrix = csr_matrix((values / lengths[rows], (rows, places)), shape=(len(texts), len(words)))
    return Space(words, idf, matrix)


def weights_of(texts: Sequence[Labelled]) -> Floats:
    """Of a source's texts: together they count as the root of their number."""
    sizes = Counter(text.source for text in texts)
    found = np.array([sizes[text.source] ** -0.5 for text in texts])
    return np.asarray(found / found.mean())


def fit_columns(
    x: Any, truth: Mapping[str, NDArray[np.bool_]], importance: Floats, strength: float
) -> tuple[Floats, Floats]:
    """Weights [features, columns] and intercepts [columns]."""
    from sklearn.linear_model import LogisticRegression

    found = []
    for column in truth.values():
        solver = "liblinear" if strength == OF_WORDS else "lbfgs"
        model = LogisticRegression(C=strength, max_iter=300, class_weight="balanced", solver=solver, random_state=0)
        model.fit(x, column, sample_weight=importance)
        found.append((model.coef_[0], model.intercept_[0]))
    return np.array([weights for weights, _ in found]).T, np.array([intercept for _, intercept in found])


def tables(
    texts: Sequence[Labelled],
    truth: Mapping[str, NDArray[np.bool_]],
    learned: NDArray[np.bool_],
    language: str,
    vectors: Mapping[str, Floats] | None,
) -> tuple[Space, Floats, Floats]:
    """A table of the language's words, fitted on the texts that are `learned`: its space (of the language's texts
    alone), weights [words, columns] and intercepts [columns]."""
    mine = np.array([text.language == language for text in texts])
    if vectors is None:
        assert mine.all()
        found = space(texts, None, learned)
        kept = {name: column[learned] for name, column in truth.items()}
        importance = weights_of([text for text, yes in zip(texts, learned) if yes])
        return found, *fit_columns(found.rows[learned], kept, importance, OF_WORDS)
    means = np.zeros((len(texts), len(next(iter(vectors.values())))))
    centres, spaces = {}, {}
    for name in sorted({text.language for text in texts}):
        of = np.array([text.language == name for text in texts])
        spaces[name] = space([text for text, yes in zip(texts, of) if yes], vectors, learned[of])
        means[of] = spaces[name].rows @ np.array([vectors[word] for word in spaces[name].words])
        centres[name] = means[of & learned].mean(axis=0)
        means[of] -= centres[name]
    scale = means[learned].std(axis=0) + 1e-9
    importance = weights_of([text for text, yes in zip(texts, learned) if yes])
    kept = {name: column[learned] for name, column in truth.items()}
    weights, intercepts = fit_columns(means[learned] / scale, kept, importance, OF_VECTORS)
    weights /= scale[:, None]
    by_word = np.array([vectors[word] for word in spaces[language].words]) @ weights
    return spaces[language], by_word, intercepts - centres[language] @ weights


def run(args: argparse.Namespace) -> dict[str, Any]:
    vectors = None
    if args.vectors:
        with np.load(args.vectors, allow_pickle=False) as parts:
            vectors = dict(zip(parts["words"].tolist(), parts["vectors"].astype(np.float64)))
    texts = read(args.texts, None if vectors else args.language)
    truth, fold = columns_of(texts), folds_of(texts)
    mine = np.array([text.language == args.language for text in texts])
    margins = np.zeros((len(texts), len(truth)))
    for number in range(FOLDS):
        found, weights, intercepts = tables(texts, truth, fold != number, args.language, vectors)
        out = mine & (fold == number)
        margins[out] = found.rows[out[mine]] @ weights + intercepts
    tested = mine & (fold >= 0)
    shown = {name: column[tested] for name, column in truth.items()}
    slopes, probabilities = calibrated(
        margins[tested], shown, fold[tested], weights_of([t for t, yes in zip(texts, tested) if yes])
    )
    if args.out:
        found, weights, intercepts = tables(texts, truth, np.ones(len(texts), bool), args.language, vectors)
        table = WordTable(
            {name: round(float(a * i + b), 4) for name, i, (a, b) in zip(truth, intercepts, slopes)},
            list(found.words), found.idf.tolist(),
            [[round(float(value), 2) for value in a * column] for column, (a, _) in zip(weights.T, slopes)],
        )  # fmt: skip
        write_bytes(args.out, table.as_text(FORMAT.format(args.language)).encode())
    return measured([text for text, yes in zip(texts, tested) if yes], list(truth), shown, probabilities)


def calibrated(
    margins: Floats, truth: Mapping[str, NDArray[np.bool_]], fold: NDArray[np.int64], importance: Floats
) -> tuple[list[tuple[float, float]], Floats]:
    """Slope and intercept of each column over all folds, and probabilities by those of the other folds."""
    from sklearn.linear_model import LogisticRegression

    def fit(x: Floats, y: NDArray[np.bool_], w: Floats) -> tuple[float, float]:
        if y.all() or not y.any():
            return 1.0, 0.0
        model = LogisticRegression(C=100.0).fit(x[:, None], y, sample_weight=w)
        return max(float(model.coef_[0, 0]), 0.05), float(model.intercept_[0])

    found, out = [], np.zeros_like(margins)
    for place, y in enumerate(truth.values()):
        x = margins[:, place]
        found.append(fit(x, y, importance))
        for number in range(FOLDS):
            a, b = fit(x[fold != number], y[fold != number], importance[fold != number])
            out[fold == number, place] = 1 / (1 + np.exp(-np.clip(a * x[fold == number] + b, -30, 30)))
    return found, out


def measured(
    texts: Sequence[Labelled], names: Sequence[str], truth: Mapping[str, NDArray[np.bool_]], probabilities: Floats
) -> dict[str, Any]:
    subjects = [name.removeprefix(PREFIX) for name in names]
    told = [domain_of({s: p for s, p in zip(subjects, row) if s not in AXES}) for row in probabilities.tolist()]
    real = [text.domain for text in texts]
    iq, eq = probabilities[:, names.index("iq")], probabilities[:, names.index("eq")]
    axis = np.where(np.maximum(iq, eq) < 0.5, "general", np.where(iq > eq, "IQ", "EQ"))
    true_axis = np.array([AXIS_OF[domain].value for domain in real])
    one = true_axis != "general"
    by_source: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text, domain in zip(texts, told):
        by_source[f"{text.domain}/{text.source}"][domain] += 1
    return {
        "texts": len(texts),
        "sources": len(by_source),
        "domains": {domain: round(f1(real, told, domain), 3) for domain in sorted(set(real))},
        "macro_f1": round(float(np.mean([f1(real, told, domain) for domain in sorted(set(real))])), 3),
        "axis": round(float(np.mean(axis == true_axis)), 3),
        "axis_of_iq_and_eq": round(float(np.mean((iq > eq)[one] == (true_axis == "IQ")[one])), 3),
        "calibration": {name: reliability(probabilities[:, n], truth[name]) for n, name in enumerate(names)},
        "by_source": {source: dict(found.most_common(3)) for source, found in sorted(by_source.items())},
    }


def f1(real: Sequence[str], told: Sequence[str], domain: str) -> float:
    both = sum(a == b == domain for a, b in zip(real, told))
    return 2 * both / max(1, real.count(domain) + told.count(domain))


def reliability(probability: Floats, truth: NDArray[np.bool_]) -> dict[str, Any]:
    """Expected calibration error, and of each tenth of the probability: texts, its mean, the share that is true."""
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for tenth in range(BINS):
        mine = place == tenth
        if mine.any():
            said, true = float(probability[mine].mean()), float(truth[mine].mean())
            rows.append([int(mine.sum()), round(said, 3), round(true, 3)])
            error += mine.mean() * abs(said - true)
    return {"error": round(float(error), 3), "bins": rows}


def show(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['texts']} texts of {found['sources']} sources, each told by a table that has not seen its source."
    yield f"macro-F1 {found['macro_f1']}, axis {found['axis']}, IQ against EQ {found['axis_of_iq_and_eq']}\n"
    yield from markdown(["domain", "F1"], found["domains"].items())
    yield ""
    rows = (
        [name, row["error"], " ".join(f"{said:.2f}:{true:.2f}({n})" for n, said, true in row["bins"])]
        for name, row in found["calibration"].items()
    )
    yield from markdown(["column", "calibration error", "said:true(texts), by tenths"], rows)
    yield ""
    yield from markdown(
        ["source", "told"],
        ([s, ", ".join(f"{d} {n}" for d, n in row.items())] for s, row in found["by_source"].items()),
    )
