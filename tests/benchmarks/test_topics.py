"""The fit of topic tables: what vectors carry to words that no text had, sources held out, subjects of leads."""

import gzip
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import topic_texts, topics
from benchmarks.topic_measures import Labelled, measured, reliability
from infra.errors import UsageError
from pipeline.document import Document
from pipeline.models.topics import load_topics

SUMS, TALES = ("add", "sum", "prove", "integral"), ("tale", "hero", "verse", "stanza")
PLAIN = [f"w{letter}" for letter in "abcdefghijkl"]


def rows() -> list[dict[str, Any]]:
    """Six sources of sums, six of tales, six of neither; the words of the last of each kind are in no other source."""
    kinds: dict[tuple[str, ...], list[str]] = {SUMS: ["mathematics"], TALES: ["literature"], (): []}
    found = []
    for number in range(6):
        for words, subjects in kinds.items():
            own = words[2:] if number == 5 else words[:2]
            for text in range(8):
                chosen = [*own, *PLAIN[text % 3 :: 3], *PLAIN[number % 2 :: 2]]
                found.append(
                    {"text": " ".join(chosen), "language": "en", "source": f"s{number}{len(words)}{subjects}",
                     "subjects": subjects}
                )  # fmt: skip
    return [*found, {"text": " ".join(PLAIN), "language": "en", "source": "unknown", "subjects": None}]


def vectors() -> dict[str, np.ndarray]:
    """Words of a kind are near one another."""
    rng = np.random.default_rng(0)
    return {
        word: rng.normal(0, 0.1, 6) + np.eye(6)[axis] * 3
        for axis, words in enumerate((SUMS, TALES, PLAIN))
        for word in words
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("topics")
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows())).encode()))
    known = vectors()
    np.savez(folder / "vectors.npz", words=np.array(list(known)), vectors=np.array(list(known.values())))
    return folder


def fitted(folder: Path, vectors: Path | None) -> dict[str, Any]:
    apart = [f"s54{[kind]}" for kind in ("mathematics", "literature")]
    out = folder / "topics-en.tsv"
    texts = [folder / "rows.jsonl.gz"]
    return topics.run(
        Namespace(texts=texts, language="en", vectors=vectors, apart=apart, out=out, table=None, plot=None)
    )


def test_a_table_tells_texts_that_it_was_not_made_from(folder: Path) -> None:
    fitted(folder, folder / "vectors.npz")
    table, plot = folder / "topics-en.tsv", folder / "plot.svg"
    known = [row for row in rows() if row["subjects"] is not None]
    (folder / "known.jsonl").write_text("\n".join(map(json.dumps, known)))
    given = Namespace(texts=[folder / "known.jsonl"], language="en", table=table, plot=plot, out=None)
    found = topics.run(given)["told"]
    assert found["texts"] + found["untold"] == len(known)
    assert found["right"]["by subjects"]["strict"]["axis"] > 0.9
    assert "IQ: calibration error" in plot.read_text()
    with pytest.raises(UsageError, match="are not known"):
        topics.told_by(table, rows())
    with pytest.raises(UsageError, match="leave out --table or --out"):
        topics.run(Namespace(table=table, out=table))
    with pytest.raises(UsageError, match="tells nothing of these texts"):
        topics.told_by(table, [{"text": "w", "language": "zh", "source": "a", "subjects": []}])


def test_words_of_no_text_are_told_by_their_vectors(folder: Path) -> None:
    by_words, by_vectors = (fitted(folder, vectors) for vectors in (None, folder / "vectors.npz"))
    for found, least, most in ((by_words, 0.0, 0.5), (by_vectors, 0.6, 1.0)):
        assert found["apart"]["texts"] == 16
        assert least <= found["apart"]["right"]["by subjects"]["strict"]["macro_f1"] <= most
    assert by_vectors["held out"]["right"]["by subjects"]["strict"]["axis"] > 0.9
    assert sum(sum(row.values()) for row in by_vectors["held out"]["confusion"].values()) == 6 * 3 * 8 - 16


def test_the_table_tells_as_the_fit_does(folder: Path) -> None:
    fitted(folder, folder / "vectors.npz")
    of = load_topics(folder / "topics-en.tsv")
    sums, tales = (of(Document(" ".join([*words, *PLAIN]), language="en")) for words in (SUMS, TALES))
    for found, (high, low) in ((sums, ("topic_mathematics", "topic_literature")), (tales, ("eq", "iq"))):
        least, most = found[high], found[low]
        assert least is not None and most is not None and least > 0.5 > most


def test_what_counts_as_right() -> None:
    texts = [
        Labelled({}, "en", "web a", ("medicine", "economics"), None, True, False),
        Labelled({}, "en", "web b", (), "general", True, False),
        Labelled({}, "en", "c", ("literature",), "literature", False, False),
        Labelled({}, "en", "d", None, "general", False, False),
    ]
    names = ["iq", "eq", "topic_medicine", "topic_economics", "topic_literature"]
    told = np.array([[0.2, 0.9, 0.1, 0.8, 0.1], [0.1, 0.1, 0, 0, 0], [0.1, 0.9, 0, 0, 0.9], [0.9, 0.1, 0.9, 0, 0]])
    truth = {name: told[:, place] > 0.5 for place, name in enumerate(names)}
    found = measured(texts, names, truth, told)
    assert found["right"]["by subjects"]["texts"] == 3
    assert (
        found["right"]["by subjects"]["strict"]["axis"] == 0.667 and found["right"]["by subjects"]["any"]["axis"] == 1
    )
    assert found["right"]["by subjects"]["any"]["macro_f1"] == 1
    assert found["labels"]["sources' own labels"]["axis"] == 0.667
    assert found["labels"]["ceiling: a reader against them"]["macro_f1"] == 1
    assert found["confusion"] == {"IQ": {"EQ": 1}, "EQ": {"EQ": 1}, "general": {"general": 1}}


def test_reliability_is_the_mean_gap() -> None:
    found = reliability(np.array([0.1, 0.1, 0.9, 0.9]), np.array([False, False, True, False]))
    assert found["error"] == pytest.approx((0.1 * 2 + 0.4 * 2) / 4)
    assert found["bins"] == [[2, 0.1, 0.0], [2, 0.9, 0.5]]


@pytest.mark.parametrize(
    ("title", "topic", "description", "subjects"),
    [
        ("Spinoza", "People", "Dutch philosopher (1632-1677)", ("philosophy",)),
        ("Keynes", "People", "British economist", ("economics",)),
        ("Fugue", "Arts", "Form of musical composition", ("arts",)),
        ("Curry", "Everyday life", "Spiced sauce in business class", ("everyday_life",)),
        ("Ganges", "Geography", "River in Asia", ("society",)),
        ("Grief", "Uncategorized", "Emotional response to loss", ("emotion",)),
        ("Insulin", "Biology and health sciences", "Hormone, and a drug for a disease", ("medicine",)),
        ("Nothing", "Uncategorized", "", ()),
    ],
)
def test_subjects_of_a_lead(title: str, topic: str, description: str, subjects: tuple[str, ...]) -> None:
    assert topic_texts.lead_subjects(title, topic, description) == subjects
