"""Contamination: the definition of a run, that planted items are found in any formatting, and that nothing else is."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.contamination import RUN, Hits, Runs, run_hashes, runs_of_item, table, words_of

QUESTION = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."
    " How many clips did Natalia sell altogether in April and May?"
)
PASSAGE = "The mitochondrion breaks down sugars with oxygen, and stores what is won as chemical energy in the cell."
SHORT = "Which gas do plants take from the air by day?"


def index(*items: tuple[str, ...]) -> Runs:
    return table([runs_of_item(fields) for fields in items], [f"b:{number}" for number in range(len(items))])


def prose(seed: int, count: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(5000)}" for _ in range(count))


def test_words() -> None:
    assert words_of("It’s 3.5 KM_long — ＡＢＣ, 数学") == ["it", "s", "3", "5", "km", "long", "abc", "数", "学"]


@pytest.mark.parametrize(
    "dress", [str, str.upper, lambda text: text.replace(" ", "\n  * "), lambda text: text.replace(",", " —")]
)
def test_a_planted_question_is_found_in_any_formatting(dress: object) -> None:
    found = index((QUESTION, "72"), (PASSAGE,)).find(f"{prose(1, 300)}\n{dress(QUESTION)}\n{prose(2, 300)}")  # type: ignore[operator]
    count = len(words_of(QUESTION))
    assert found.items == ("b:0",)
    assert found.runs == count - RUN + 1
    assert found.share == pytest.approx(count / (600 + count), abs=1e-6)


def test_an_edge_of_a_run_is_not_enough() -> None:
    words = QUESTION.split()
    assert index((QUESTION,)).find(" ".join(words[: RUN - 1])) == Hits(0.0, 0, ())
    assert index((QUESTION,)).find(" ".join(words[:RUN])).runs == 1


def test_a_short_item_is_found_by_its_whole_text() -> None:
    runs = index((SHORT, "carbon dioxide"))
    assert runs.lengths == (10,)
    assert runs.find(f"{prose(1, 50)} {SHORT} {prose(2, 50)}").items == ("b:0",)
    assert runs.find(SHORT.removesuffix("by day?")).runs == 0
    # Beside a long passage a short text says nothing of its own.
    assert index((SHORT, PASSAGE)).lengths == (RUN,)


@pytest.mark.parametrize(
    "text", ["1 2 3 4 5 6 7 8 9 10 11 12 13 14 15", "la " * 40, "[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]", "", "yes"]
)
def test_numbers_and_refrains_are_not_runs(text: str) -> None:
    assert runs_of_item((text,)).size == 0


def test_items_come_with_most_runs_first() -> None:
    runs = index((QUESTION,), (QUESTION + " Give the number of all the clips that she sold.",), (PASSAGE,))
    found = runs.find(QUESTION + " Give the number of all the clips that she sold. " + PASSAGE)
    assert found.items[:2] == ("b:1", "b:0")
    assert set(found.items) == {"b:0", "b:1", "b:2"}


def test_hashes_are_the_same_everywhere() -> None:
    """They are stored in files: a different hash would invalidate every index."""
    hashes = run_hashes(words_of(QUESTION), (8, RUN))
    assert [int(hashes[8][0]) & 15, int(hashes[RUN][0]) & 15] == [8, RUN]
    assert int(hashes[RUN][0]) == 1909421786033300525


def test_an_empty_table_finds_nothing() -> None:
    empty = table([np.empty(0, np.uint64)], ["b:0"])
    assert empty.find(QUESTION) == Hits(0.0, 0, ())


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    found = index((QUESTION,), (SHORT,)).find(text)
    assert found == Hits(0.0, 0, ())
    assert index((QUESTION,), (SHORT,)).find(text + " \ud800 " + QUESTION + " \0 " + text).items == ("b:0",)
