"""Coherence: sentences, the features of their pairs, and that any text has a score or None."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.coherence import (
    _NAME,
    FEATURES,
    MARKED,
    MIN_SENTENCES,
    PAIRS,
    CoherenceWeights,
    Language,
    Measured,
    features,
    score,
    sentences_of,
)

WORDS = "the a dog cat ran slept house door king she it was is ada lovelace 狗 跑".split()  # noqa: SIM905
LANGUAGE = Language(
    {word: number for number, word in enumerate(WORDS)},
    np.eye(len(WORDS), dtype=np.float32),
    np.array([0.1, 0.1, *[2.0] * (len(WORDS) - 2)], np.float32),
    1.0,
    {"she": 2},
    np.arange(9, dtype=np.float32).reshape(3, 3),
)
WEIGHTS = CoherenceWeights(
    np.linspace(-1, 1, len(PAIRS)), np.ones(len(PAIRS) + len(WORDS)), np.linspace(1, -1, len(FEATURES)), 0.5
)


def pair(name: str, first: str, second: str) -> float:
    return float(Measured([first, second], LANGUAGE).pairs[PAIRS.index(name), 0, 1])


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?\nFour", ["One.", "Two!", "Three?", "Four"]),
        ("It cost 3.50 dollars. “Yes.” He left.", ["It cost 3.50 dollars.", "“Yes.”", "He left."]),
        ("这是一句。“好！”他说。", ["这是一句。", "“好！”", "他说。"]),
        ("a line that\ngoes on\n\nHeading\nNext", ["a line that\ngoes on", "Heading", "Next"]),
        ("A line of more than fifty characters that was wrapped by\nGutenberg here.", 1),
        ("", []),
        ("\n\r\n", []),
    ],
)
def test_sentences(text: str, sentences: list[str] | int) -> None:
    found = sentences_of(text)
    assert len(found) == sentences if isinstance(sentences, int) else found == sentences


def test_many_sentences_are_cut() -> None:
    assert len(sentences_of("So it is. " * 500)) == 60
    assert len(sentences_of("So it is. " * 500, None)) == 500


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("similar", ("The dog ran", "A dog slept"), ("The dog ran", "A king")),
        ("overlap", ("The dog ran", "A dog slept"), ("The dog ran", "A king slept")),
        ("the_given", ("A dog ran", "The dog slept"), ("A dog ran", "A dog slept")),
        ("a_given", ("The dog ran", "A dog slept"), ("The dog ran", "The dog slept")),
        ("a_then_the", ("A dog ran", "The dog slept"), ("The dog ran", "A dog slept")),
        ("the_then_a", ("The dog ran", "A dog slept"), ("A dog ran", "The dog slept")),
        ("full_then_short", ("Ada Lovelace ran", "The Lovelace slept"), ("The Lovelace slept", "Ada Lovelace ran")),
        ("short_then_full", ("The Lovelace slept", "Ada Lovelace ran"), ("Ada Lovelace ran", "The Lovelace slept")),
        ("year_rises", ("In 1815 it was", "In 1852 it was"), ("In 1852 it was", "In 1815 it was")),
        ("year_falls", ("In 1852 it was", "In 1815 it was"), ("In 1815 it was", "In 1852 it was")),
        ("same_tense", ("It was so", "She was there"), ("It was so", "She is there")),
        ("pronoun_bound", ("There Ada ran", "She slept"), ("It ran", "She slept")),
        ("pronoun_loose", ("It ran", "She slept"), ("There Ada ran", "She slept")),
        ("both_quote", ("“Yes”", "“No”"), ("“Yes”", "No")),
        ("question", ("Who ran?", "The dog"), ("A dog ran.", "The dog")),
        ("length", ("One two three", "Four five six"), ("One", "Four five six seven eight")),
    ],
)
def test_pairs(name: str, right: tuple[str, str], wrong: tuple[str, str]) -> None:
    assert pair(name, *right) > pair(name, *wrong)


def test_weighed_is_the_sum_of_the_rows() -> None:
    text = Measured(["A dog ran.", "The dog slept.", "She was a king?", "2001"], LANGUAGE)
    first, second = (each.ravel() for each in np.indices((4, 4)))
    rows = text.rows(first, second)
    assert np.allclose(text.weighed(WEIGHTS.kin).ravel(), rows @ WEIGHTS.kin, atol=1e-4)
    assert np.allclose(text.weighed(WEIGHTS.order).ravel(), rows[:, : len(PAIRS)] @ WEIGHTS.order, atol=1e-4)


def test_kin_of_stitched_texts() -> None:
    """Mean similarity of near sentences is higher in one text than in two halves of two texts."""
    dogs, kings = ["The dog ran.", "A dog slept."] * 3, ["The king was.", "A king is."] * 3
    of = {
        name: features(Measured(text, LANGUAGE), WEIGHTS)
        for name, text in (("whole", dogs + dogs), ("stitched", dogs + kings))
    }
    at = [FEATURES.index(name) for name in ("kin", "weakest_joint")]
    assert of["whole"] is not None and of["stitched"] is not None
    assert (of["whole"][at] > of["stitched"][at]).all()


def test_too_few_sentences_have_no_score() -> None:
    assert score(["The dog ran."] * (MIN_SENTENCES - 1) + ["...", "\ud800"], LANGUAGE, WEIGHTS) is None
    assert score(["The dog ran."] * MIN_SENTENCES, LANGUAGE, WEIGHTS) is not None


@settings(max_examples=60)
@given(
    st.lists(
        st.text(max_size=30) | st.sampled_from(["The dog ran.", "狗跑。", "In 1815 Ada Lovelace slept.", "zzz"]),
        max_size=12,
    )
)
def test_any_text(pieces: list[str]) -> None:
    value = score(sentences_of("\n".join(pieces)), LANGUAGE, WEIGHTS)
    assert value is None or 0 <= value <= 1


@given(
    st.lists(
        st.lists(st.sampled_from([*WORDS, "these", "an", "had", "unknown"]), min_size=1, max_size=14),
        min_size=1,
        max_size=5,
    )
)
def test_marks_and_mentions_word_by_word(sentences: list[list[str]]) -> None:
    """As loops over the words say it: the idf of a content word where it is, after "the", after "a", early, late."""
    text = Measured([" ".join(words) for words in sentences], LANGUAGE)
    present = {word for words in text.words for word in words if LANGUAGE.index.get(word, 0) > 1}
    content = sorted(present, key=LANGUAGE.index.__getitem__)
    marks = np.zeros((5, text.n, len(content)), np.float32)
    for row, words in enumerate(text.words):
        for place, word in enumerate(words):
            if word in content:
                before = words[place - 1] if place else ""
                after = (True, before in ("the", "these"), before in ("a", "an"), place < 5, place >= len(words) // 2)
                marks[list(after), row, content.index(word)] = np.sqrt(np.float32(2))
    assert (np.array(text._marks()) == marks).all()
    mentioned = [[word in words for word in MARKED] for words in text.words]
    assert text.mentions[:, :-1].tolist() == mentioned


@given(st.lists(st.text("aA B.é", min_size=1, max_size=12), min_size=1, max_size=5))
@example(["Ada Lovelace", "Ada", "ada Ada", "AdA Ada", "A Ada"])
def test_a_sentence_has_a_person_where_a_name_begins_behind_its_first_character(sentences: list[str]) -> None:
    measured = Measured(sentences, LANGUAGE)
    if measured.n:
        expected = [_NAME.search(sentence, 1) is not None for sentence in measured.sentences]
        assert measured.has_person.tolist() == expected
