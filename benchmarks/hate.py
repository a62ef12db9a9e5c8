"""Fits a table of hate (`pipeline/models/hate.py`), and says how good it is on collections that it was not fitted on.

    python -m benchmarks hate --posts posts.jsonl.gz --texts labelled.jsonl.gz --language en [--out hate-en.tsv]

`--posts` has rows of `text`, `source` (the collection) and `label`: "hate", "none", or "board", which are posts of a
board of hate in their order, whatever each of them says. `--texts` has rows of `text`, `language` and `source`, of
texts without hate: pages (a source that begins with "pages", "web" or "judged") and clean texts. Posts are short, so
they are put together as threads of 30 to 300 words: hateful ones with up to three quarters of others, others alone
(these count little: many are offensive), and boards as they are.

Each collection of posts, with half of the sources of texts, is held out in turn: the AUC of its threads of 80 words and
more against those pages, and how many score above .5, which one page in 100 does. With `--out` the table is written,
fitted on all; its intercept is such that .5 is what one page in 100 has, each half of the sources scored by the other.
With `--threads` the threads are written, to be measured by a recipe (`refinery measure`).
"""

import argparse
import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.shared import add, read_rows
from filters.bag_of_words import word_counts
from infra.storage import write_bytes
from pipeline.fit.bag_of_words import weighted
from pipeline.fit.texts import auc
from pipeline.models.hate import COLUMN, FORMAT
from pipeline.models.word_table import WordTable
from pipeline.text_table import table

Floats = NDArray[np.float64]
WORDS, LEAST_TEXTS, STRENGTH = 3000, 8, 1.0
LEAST, MOST = 30, 300  # words of a thread
MEASURED = 80  # words of a thread that is measured
LEAST_HATE = 0.25  # of the posts of a thread that is hateful
# The weight of a collection's hateful threads is 1 of all collections; of other threads, pages and clean texts:
OF_NONE, OF_PAGES = 0.15, 1.2
OF_CLEAN, OF_CLEAN_IN = 0.65, {"en": 4.0}
# So many words that most pages and clean texts have count half: else "I", "they" and "you" tell people who speak, in
# plays and novels too, from pages.
COMMON, OF_COMMON = {"en": 300}, 0.5
PAGES = ("pages", "web", "judged")
MOST_CHARS = 3000
# Passages that name groups of people, of pages and clean texts: without them a name alone tells hate. A passage has so
# many words, and so many of these among them; the weight of all such passages.
PASSAGE, LEAST_NAMES = 120, 4
OF_PEOPLE = 2.0
_NAMES = """
african africans arab arabs asian asians black blacks disabled ethnic feminism feminist feminists gay gays hispanic
homosexual homosexuals immigrant immigrants indians irish islam islamic israel jew jewish jews latino lesbian lesbians
mexican mexicans minorities minority muslim muslims negro negroes palestinian palestinians race races racial refugee
refugees religion transgender white whites women
"""
PEOPLE = {"en": frozenset(_NAMES.split())}
# A collection of few posts gives threads in several orders.
FEW, ORDERS = 2000, 5
ONE_IN = 100
HAN_PER_WORD = 1.6
DIGITS = 4


class JudgedText(NamedTuple):
    source: str
    side: str
    """hate, none, page, clean or people"""
    counts: Mapping[str, int]
    words: float


class FittedWeights(NamedTuple):
    idf: dict[str, float]
    weights: Floats
    intercept: float

    def margins(self, rows: Sequence[JudgedText]) -> Floats:
        return np.asarray(weighted([row.counts for row in rows], self.idf) @ self.weights + self.intercept)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--posts", nargs="+", type=Path, required=True, help="JSON lines, also .gz: text, source, label"
    )
    add(parser, "--texts", required=True)
    parser.add_argument("--language", required=True)
    add(parser, "--out", help="write the table, fitted on all")
    parser.add_argument(
        "--threads", type=Path, help="write the threads: JSON lines of text, source (with its side), url"
    )


def size(text: str, language: str) -> float:
    """Words, or what stands for them in Chinese."""
    return len(text) / HAN_PER_WORD if language == "zh" else len(text.split())


def mixed(hate: Sequence[str], none: Sequence[str], language: str, seed: int) -> Iterator[str]:
    """Threads that hold each hateful post once, and others among them."""
    draw = random.Random(seed)
    hate, none = draw.sample(hate, len(hate)), draw.sample(none, len(none))
    left, others = iter(hate), 0
    post = next(left, None)
    while post is not None:
        share, limit, thread, words = draw.uniform(LEAST_HATE, 1), draw.randint(LEAST, MOST), [], 0.0
        while words < limit and post is not None:
            if not none or draw.random() < share:
                thread.append(post)
                post = next(left, None)
            else:
                thread.append(none[others % len(none)])
                others += 1
            words += size(thread[-1], language)
        yield "\n\n".join(thread)


def in_order(posts: Sequence[str], language: str, seed: int) -> Iterator[str]:
    """Threads of posts as they follow each other."""
    draw = random.Random(seed)
    thread: list[str] = []
    limit, words = draw.randint(LEAST, MOST), 0.0
    for post in posts:
        thread.append(post)
        words += size(post, language)
        if words >= limit:
            yield "\n\n".join(thread)
            thread, words, limit = [], 0.0, draw.randint(LEAST, MOST)


def threads(posts: Mapping[str, Mapping[str, list[str]]], language: str) -> Iterator[tuple[str, str, str]]:
    """(collection, side, text) of all threads."""
    for source, of_label in sorted(posts.items()):
        hate, none = of_label.get("hate", []), of_label.get("none", [])
        for seed in range(ORDERS if 0 < len(hate) < FEW else 1):
            yield from ((source, "hate", text) for text in mixed(hate, none, language, seed))
        yield from ((source, "hate", text) for text in in_order(of_label.get("board", []), language, 0))
        yield from ((source, "none", text) for text in in_order(none, language, 0))


def as_lines(found: Sequence[tuple[str, str, str]]) -> bytes:
    """Threads as documents that any command reads."""
    rows = (
        {"text": text, "source": f"{source} {side}", "url": f"http://{number}.invalid/"}
        for number, (source, side, text) in enumerate(found)
    )
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def read(args: argparse.Namespace) -> list[JudgedText]:
    posts: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in args.posts:
        for row in read_rows(path):
            posts[row["source"]][row["label"]].append(row["text"])
    found = [*threads(posts, args.language)]
    if args.threads:
        write_bytes(args.threads, as_lines(found))
    for path in args.texts:
        for row in read_rows(path):
            if row["language"] == args.language:
                side = "page" if row["source"].startswith(PAGES) else "clean"
                found.append((row["source"], side, row["text"][:MOST_CHARS]))
                found += [(row["source"], "people", each) for each in on_people(row["text"], args.language)]
    return [
        JudgedText(source, side, word_counts(text), size(text, args.language)) for source, side, text in sorted(found)
    ]


def on_people(text: str, language: str) -> Iterator[str]:
    """The passages of a text that name groups of people."""
    names = PEOPLE.get(language, frozenset())
    words = text.split() if names else []
    for start in range(0, len(words) - PASSAGE // 2, PASSAGE):
        passage = " ".join(words[start : start + PASSAGE])
        if sum(count for word, count in word_counts(passage).items() if word in names) >= LEAST_NAMES:
            yield passage


def half(source: str) -> int:
    return hashlib.sha256(source.encode()).digest()[0] % 2


def commonest(rows: Sequence[JudgedText], language: str) -> frozenset[str]:
    """The words that most pages and clean texts have, of languages whose commonest words count half."""
    spread = Counter(word for row in rows if row.side in ("page", "clean") for word in row.counts)
    return frozenset(sorted(spread, key=lambda word: (-spread[word], word))[: COMMON.get(language, 0)])


def fit(rows: Sequence[JudgedText], language: str, halved: frozenset[str]) -> FittedWeights:
    """A logistic regression over the words of those rows; half of the words are those that most texts have, half those
    that hateful threads have, each collection alike. The words in `halved` count half."""
    from sklearn.linear_model import LogisticRegression

    collections = {row.source for row in rows if row.side == "hate"}
    groups = Counter((row.side, row.source if row.side in ("hate", "none") else "") for row in rows)
    of_side = {"hate": 1 / len(collections), "page": OF_PAGES, "people": OF_PEOPLE}
    of_side |= {"none": OF_NONE / len(collections), "clean": OF_CLEAN_IN.get(language, OF_CLEAN)}
    weights = np.array([
        of_side[row.side] / groups[row.side, row.source if row.side in ("hate", "none") else ""] for row in rows
    ])  # fmt: skip
    spread, hateful = Counter[str](), defaultdict[str, float](float)
    for row, weight in zip(rows, weights):
        spread.update(row.counts.keys())
        if row.side == "hate":
            for word in row.counts:
                hateful[word] += weight
    known = [word for word, number in spread.items() if number >= LEAST_TEXTS]
    common = sorted(known, key=lambda word: (-spread[word], word))[: WORDS // 2]
    of_hate = sorted(known, key=lambda word: (-hateful[word], word))[: WORDS // 2]
    idf = {
        word: round(
            (float(np.log((1 + len(rows)) / (1 + spread[word]))) + 1) * (OF_COMMON if word in halved else 1), DIGITS
        )
        for word in sorted({*common, *of_hate})
    }
    model = LogisticRegression(C=STRENGTH, max_iter=2000, tol=1e-6)
    truth = [row.side == "hate" for row in rows]
    model.fit(weighted([row.counts for row in rows], idf), truth, sample_weight=weights * len(rows) / weights.sum())
    return FittedWeights(idf, np.round(model.coef_[0], DIGITS), float(model.intercept_[0]))


def measured(rows: Sequence[JudgedText], source: str, language: str, halved: frozenset[str]) -> dict[str, Any]:
    """How well threads of the collection `source` are told from pages by a table that has seen neither."""
    others = [row for row in rows if row.source != source]
    fitted = fit([r for r in others if r.side in ("hate", "none") or half(r.source) == 0], language, halved)
    apart = [row for row in rows if row.side in ("page", "clean") and half(row.source) == 1]
    pages = fitted.margins([row for row in apart if row.side == "page"])
    clean = fitted.margins([row for row in apart if row.side == "clean"])
    people = [row for row in rows if row.side == "people" and half(row.source) == 1]
    own = [row for row in rows if row.source == source and row.words >= MEASURED]
    hate = fitted.margins([row for row in own if row.side == "hate"])
    none = [row for row in own if row.side == "none"]
    bound = float(np.quantile(pages, 1 - 1 / ONE_IN))
    return {
        "held out": source, "threads": len(hate), "auc": round(auc(hate.tolist(), pages.tolist()), 3),
        "above .5": round(float((hate > bound).mean()), 3),
        "clean texts above .5": round(float((clean > bound).mean()), 3) if len(clean) else None,
        "on groups of people above .5": round(float((fitted.margins(people) > bound).mean()), 3) if people else None,
        "other threads above .5": round(float((fitted.margins(none) > bound).mean()), 3) if none else None,
    }  # fmt: skip


def shifted(rows: Sequence[JudgedText], language: str, halved: frozenset[str]) -> tuple[FittedWeights, float]:
    """The table of all rows, and the margin that one page in ONE_IN has, each half scored by a table of the other."""
    held_out: list[float] = []
    for part in (0, 1):
        fitted = fit([r for r in rows if r.side in ("hate", "none") or half(r.source) == part], language, halved)
        held_out += fitted.margins([r for r in rows if r.side == "page" and half(r.source) != part]).tolist()
    return fit(rows, language, halved), float(np.quantile(held_out, 1 - 1 / ONE_IN))


def run(args: argparse.Namespace) -> dict[str, Any]:
    rows = read(args)
    halved = commonest(rows, args.language)
    collections = sorted({row.source for row in rows if row.side == "hate"})
    found: dict[str, Any] = {
        "texts": dict(Counter(row.side for row in rows)),
        "held_out": [measured(rows, source, args.language, halved) for source in collections]
        if len(collections) > 1
        else [],
    }
    if args.out:
        fitted, bound = shifted(rows, args.language, halved)
        weights = fitted.weights.tolist()
        made = WordTable(
            {COLUMN: round(fitted.intercept - bound, DIGITS)}, [*fitted.idf], [*fitted.idf.values()], [weights]
        )
        write_bytes(args.out, made.as_text(FORMAT).encode())
        order = np.argsort(-fitted.weights, kind="stable")
        words = [*fitted.idf]
        found["words"] = [words[place] for place in order[:20]]
        for side in ("hate", "page", "clean", "people"):
            if not any(row.side == side for row in rows):
                continue
            margins = fitted.margins([row for row in rows if row.side == side]) - bound
            found[f"{side} above .5, fitted on"] = round(float((margins > 0).mean()), 4)
    return found


def show(found: dict[str, Any]) -> Iterator[str]:
    yield ", ".join(f"{number:,} {side}" for side, number in found["texts"].items())
    if found["held_out"]:
        columns = list(found["held_out"][0])
        yield table([{name: str(row[name]) for name in columns} for row in found["held_out"]], columns)
    yield from (f"{name}: {value}" for name, value in found.items() if name not in ("texts", "held_out"))
