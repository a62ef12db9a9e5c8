"""Safety: amounts of words, not single ones, lower the score; and the words found are reported."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.alphanumeric import RUN
from filters.safety import HAN_PER_WORD, CategoryWords, Safety, guessed_language, phrase_of, phrases, prepare

GAMBLING = ["online casino", "free spins", "jackpot", "poker"]
MODEL = Safety(
    {
        "en": {
            "gambling": CategoryWords(dict.fromkeys(GAMBLING, 1.0), True),
            "gore": CategoryWords({"gore": 0.2, "blood": 0.2}, True),
        },
        "zh": {"gambling": CategoryWords({"百家乐": 1.0, "老虎机": 1.0, "六合彩": 1.0}, False)},
    },
    {"gambling": 1.5, "gore": 1.0},
    4.0,
)
FILLER = "the river ran past the old mill and the children watched it "


def test_one_word_does_not_lower_the_score() -> None:
    clean = MODEL.score(FILLER * 30, "en")
    assert MODEL.score(FILLER * 30 + "They played poker.", "en") == clean
    assert MODEL.score("poker " * 500, "en") == clean


def test_many_words_of_a_category_lower_the_score_less_in_a_long_text() -> None:
    page = "Online casino! Free spins, jackpot, poker. "
    scores = [MODEL.score(page + FILLER * times, "en") for times in (0, 100, 1000)]
    assert all(isinstance(score, float) for score in scores)
    assert scores == sorted(scores)  # type: ignore[type-var]
    assert scores[0] < 0.3 and scores[2] > 0.9  # type: ignore[operator]


def test_weak_words_count_little() -> None:
    assert MODEL.score("blood and gore", "en") == MODEL.score("milk and honey", "en")


def test_whole_words_and_phrases() -> None:
    assert MODEL.found("ONLINE\ncasino, jackpots; pokers", "en") == {"gambling": ["online casino"]}
    assert MODEL.found("网上百家乐老虎机", "zh") == {"gambling": ["百家乐", "老虎机"]}


def test_a_word_inside_another_does_not_count_again() -> None:
    words = CategoryWords({"casino": 1.0, "online casino": 1.0, "casinos": 1.0}, True)
    assert words.found(prepare("An online casino.", "en")) == ["online casino"]
    assert words.found(prepare("Online casino? Casinos!", "en")) == ["casinos", "online casino"]
    assert CategoryWords({"裸聊": 1.0, "裸聊室": 1.0}, False).found(prepare("裸聊室", "zh")) == ["裸聊室"]


def test_languages() -> None:
    assert MODEL.score("poker jackpot free spins", "de") is None
    assert MODEL.found("百家乐 老虎机", None) == {"gambling": ["百家乐", "老虎机"]}
    assert guessed_language("") == "en"
    assert MODEL.score("百家乐 老虎机 六合彩 " * 3, None) == MODEL.score("百家乐 老虎机 六合彩 " * 3, "zh")


@pytest.mark.parametrize(
    ("word", "language", "phrase"),
    [
        ("Ball-Gag", "en", "ball gag"),
        ("xx", "en", ""),
        ("性", "zh", ""),
        (" ＰＫ拾 ", "zh", "pk拾"),
        ("\U0001f595", "en", ""),
    ],
)
def test_phrases(word: str, language: str, phrase: str) -> None:
    assert phrase_of(word, language) == phrase


def test_phrases_are_unique_and_sorted() -> None:
    assert phrases(["b-side", "a-side", "B side", ""], "en") == ["a side", "b side"]


@given(st.text(max_size=400), st.sampled_from(["en", "zh", None]))
def test_any_text(text: str, language: str | None) -> None:
    score = MODEL.score(text + "\ud800\0", language)
    assert score is not None and 0 <= score <= 1


def test_words_are_counted_as_a_reader_would() -> None:
    assert prepare("one two three", "en").words == 3
    assert prepare("汉" * 16 + " abc", "zh").words == 11


@given(st.text(st.one_of(st.characters(), st.sampled_from("ab1 _汉中，é½\ud800\u3401\U00020000"))))
def test_chinese_is_prepared_by_its_characters(text: str) -> None:
    ready = prepare(text, "zh")
    han = sum("\u3400" <= char <= "\u4dbf" or "\u4e00" <= char <= "\u9fff" for char in ready.joined)
    assert ready.parts == frozenset(ready.joined)
    assert ready.words == han / HAN_PER_WORD + sum(run.isascii() for run in RUN.findall(ready.joined))
