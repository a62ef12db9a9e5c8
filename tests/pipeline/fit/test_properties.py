"""Tables of properties: what they learn from grades, and what is refused."""

import json
import random
from pathlib import Path

import pytest

from filters.bag_of_words import word_counts
from infra.errors import UsageError
from pipeline.fit.properties import fit_properties, matched_auc, read_graded
from pipeline.models.properties import PROPERTIES, load_properties

FACTS, TALES = [f"fact{n}" for n in "abcdefghij"], [f"tale{n}" for n in "abcdefghij"]


def page(words: list[str], length: int, draw: random.Random, **grades: int) -> dict[str, object]:
    common = [f"word{n}" for n in "abcdefghijklmnopqrstuvwxyzäöüß"] * 2
    text = " ".join(draw.choices(words, k=6) + draw.choices(common + words, k=length))
    rest = dict.fromkeys(PROPERTIES, 0) | {"coherent": draw.randrange(4)}
    for name in PROPERTIES[2:]:
        rest[name] = draw.randrange(4)
    return {"text": text, "source": f"site{draw.randrange(24)}"} | rest | grades


def judged(folder: Path) -> Path:
    """Pages of facts, informative and short; tales, literary and long."""
    draw = random.Random(1)
    rows = [page(FACTS, 30, draw, informative=3, educational=2, literary=0) for _ in range(60)]
    rows += [page(TALES, 60, draw, informative=0, educational=1, literary=3) for _ in range(60)]
    path = folder / "judged.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_each_property_has_words_of_its_own(tmp_path: Path) -> None:
    card = fit_properties([judged(tmp_path)], tmp_path / "p.tsv")
    assert card["pages"] == 120
    assert card["held_out"]["of"]["informative"]["pages"] == 60
    assert card["held_out"]["of"]["informative"]["auc"] > 0.95 < card["held_out"]["of"]["literary"]["auc"]
    scores = load_properties(tmp_path / "p.tsv")
    facts, tale = (scores(word_counts(" ".join(words))) for words in (FACTS, TALES))
    assert list(facts) == list(PROPERTIES)
    assert facts["informative"] > 0.8 > 0.2 > tale["informative"]
    assert tale["literary"] > 0.8 > 0.2 > facts["literary"]


def test_only_pairs_of_one_length_count() -> None:
    import numpy as np

    values, has = np.array([9.0, 1.0, 8.0, 0.0]), np.array([True, True, False, False])
    assert matched_auc(values, has, np.array([0, 1, 0, 1])) == 1.0
    assert matched_auc(values, has, np.array([0, 1, 1, 2])) == 0.0
    assert matched_auc(values, has, np.array([0, 1, 2, 3])) == 0.5


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"text": "a"}, "a page without a text or a grade"),
        ({"text": "a", **dict.fromkeys(PROPERTIES, 4)}, "0 to 3 for informative"),
        ({"text": "a", **dict.fromkeys(PROPERTIES, 1)}, "too little text"),
    ],
)
def test_what_cannot_be_fitted(tmp_path: Path, row: dict[str, object], says: str) -> None:
    path = tmp_path / "judged.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(UsageError, match=says):
        fit_properties([path], tmp_path / "p.tsv")


def test_pages_are_read_in_one_order(tmp_path: Path) -> None:
    path = judged(tmp_path)
    turned = tmp_path / "turned.jsonl"
    turned.write_text("".join(f"{line}\n" for line in path.read_text().splitlines()[::-1]))
    assert read_graded([path]) == read_graded([turned])
