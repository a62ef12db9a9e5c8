"""Language by a vote of two identifiers: by line, one code for a language, noise is no language."""

from pathlib import Path

import numpy as np
import pytest

from infra.errors import UsageError
from pipeline.fit.fasttext_file import train_fasttext
from pipeline.models.language import check_language, languages_of, load_language
from pipeline.models.language_codes import canonical
from pipeline.models.language_vote import FASTTEXT, NAIVE_BAYES, PLACE_CHARS, PLACES, LanguageVote, letters, places
from pipeline.models.naive_bayes import load_naive_bayes
from tests.pipeline.toy_naive_bayes import write_naive_bayes

ENGLISH = "the quick brown fox was seen by the lazy dogs on the hill before they all went home to sleep"
RUSSIAN = "быстрая бурая лиса была замечена ленивыми собаками на холме до того как все они ушли домой спать"
MARKUP = "<a_1=0> {x_2:3} </a_1=0> {y_3:4} <b_5=6>"
CHINESE = "敏捷的棕色狐狸在山上被懒狗看见然后它们都回家睡觉了"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "language"
    folder.mkdir()
    write_naive_bayes(folder / NAIVE_BAYES, {"en": ENGLISH, "ru": RUSSIAN, "zh": CHINESE, "zxx": MARKUP * 3})
    lines = [("en", ENGLISH), ("ru", RUSSIAN), ("sh", CHINESE)] * 20
    train_fasttext(lines, folder / FASTTEXT, dim=4)
    return folder


@pytest.fixture(scope="module")
def vote(model: Path) -> LanguageVote:
    return LanguageVote(model)


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("en", "en"), ("eng_Latn", "en"), ("EN-us", "en"), ("zho_Hans", "zh"), ("cmn", "zh"), ("zh-Hant", "zh"),
        ("iw", "he"), ("in", "id"), ("als", "gsw"), ("sh", "sr"), ("nb", "no"), ("nob_Latn", "no"), ("nno_Latn", "nn"),
        ("yue", "yue"), ("arz", "arz"), ("arb_Arab", "ar"), ("zxx", "und"), ("se", "se"), ("xx", "xx"), ("swh", "sw"),
    ],
)  # fmt: skip
def test_one_code_for_a_language(label: str, code: str) -> None:
    assert canonical(label) == code
    assert canonical(code) == code


def test_shares_by_line(vote: LanguageVote) -> None:
    one = vote("\n".join([ENGLISH] * 3))
    assert (one.language, one.shares) == ("en", {"en": 1.0}) and one.score > 0.9
    two = vote("\n".join([ENGLISH, RUSSIAN, ENGLISH]))
    assert two.language == "en" and list(two.shares) == ["en", "ru"]
    assert two.shares["ru"] == pytest.approx(len(RUSSIAN) / (len(RUSSIAN) + 2 * len(ENGLISH)), abs=0.03)
    assert sum(two.shares.values()) == pytest.approx(1, abs=1e-3)
    assert two.score < one.score


def test_a_character_of_chinese_counts_more() -> None:
    assert letters(["ab 1!", "中文。", "я", "1234 %%% ---", "𠀀😀"]).tolist() == [2, 6, 1, 0, 0]


@pytest.mark.parametrize("text", ["", " \n\t ", "1234 %%% ---", "\0\0\0", "😀😀😀", "- - -\n" * 1000])
def test_without_letters_there_is_no_language(vote: LanguageVote, text: str) -> None:
    assert vote(text) == ("und", 0.0, {})


def test_markup_is_no_language(vote: LanguageVote) -> None:
    told = vote("\n".join([MARKUP] * 9))
    assert (told.language, told.score, told.shares) == ("und", 0.0, {"und": 1.0})
    mixed = vote("\n".join([MARKUP, ENGLISH, MARKUP]))
    assert mixed.language == "en" and set(mixed.shares) == {"en", "und"}


@pytest.mark.parametrize(
    "text", ["a", "a" * 3_000_000, "ab\0cd\0" * 50, "\ud800 lone", "ﷺ" * 900, ENGLISH.upper() * 40]
)
def test_hostile_texts_are_answered(vote: LanguageVote, text: str) -> None:
    told = vote(text)
    assert told == vote(text)
    assert 0 <= told.score <= 1 and sum(told.shares.values()) == pytest.approx(1, abs=1e-3)


def test_capitals_are_asked_about_in_lower_case(vote: LanguageVote) -> None:
    assert vote(ENGLISH.upper()) == vote(ENGLISH)


def test_places_are_few_short_and_spread() -> None:
    text = "\n".join(f"line {i:04} has so many words that it is one" for i in range(2000))
    found = [place for place, _ in places(text)]
    assert len(found) == PLACES and max(map(len, found)) <= PLACE_CHARS
    numbers = [int(place[5:9]) for place in found]
    assert numbers[0] == 0 and np.diff(numbers).min() > 2000 // PLACES - 3
    assert all(place.startswith("line ") for place in found)


def test_short_lines_are_joined() -> None:
    assert list(places("Home\nNews\nAbout us and all that we have done\nContact")) == [
        ("Home News About us and all that we have done", True),
        ("Contact", False),
    ]


CODE = "def total(items): return sum(item.price * (1 + rates[item.kind]) for item in items)"


def test_prose_decides_among_code(vote: LanguageVote) -> None:
    """Lines of code around each line of prose, and many more of them."""
    page = "\n".join([CODE, CODE, f"{CHINESE}{CHINESE}", CODE] * 10)
    told = vote(page)
    assert (told.language, told.shares) == ("zh", {"zh": 1.0})
    assert all(prose for _, prose in places(page))


def test_code_counts_little_where_it_is_all_that_a_part_of_the_page_has(vote: LanguageVote) -> None:
    told = vote("\n".join([RUSSIAN] * 2 + [CODE] * 20))
    assert told.language == "ru" and told.shares["ru"] > 0.7


def test_code_alone_is_told_by_itself(vote: LanguageVote) -> None:
    page = "\n".join([MARKUP] * 20)
    assert not any(prose for _, prose in places(page))
    assert vote(page).language == "und"


def test_the_second_identifier_votes_only_where_the_first_is_unsure(model: Path, tmp_path: Path) -> None:
    """Of a letter that the first has never seen it knows nothing; the second was told."""
    folder = tmp_path / "language"
    folder.mkdir()
    write_naive_bayes(folder / NAIVE_BAYES, {"en": ENGLISH, "ru": RUSSIAN})
    train_fasttext(
        [("el", "ωωω ψψψ"), ("en", ENGLISH), ("ru", RUSSIAN)] * 30, folder / FASTTEXT, dim=4, epoch=40, lr=0.5
    )
    told = load_language(folder)
    assert told("ωωω ψψψ ωωω ψψψ").language == "el"
    assert told(ENGLISH).language == "en"
    assert languages_of(folder) == ["el", "en", "ru"]


def test_what_is_missing_or_damaged_is_told(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"lacks {FASTTEXT}: run"):
        check_language(tmp_path)
    check_language(model)
    path = tmp_path / "m.xz"
    for content in (b"", b"abc", (model / NAIVE_BAYES).read_bytes()[:-9], (model / FASTTEXT).read_bytes()):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"fit defaults|damaged"):
            load_naive_bayes(path)
    for part, value in (
        ("out_feat", np.full(257, 256, np.int32)),
        ("nextmove", np.full(256, 257, np.uint16)),
        ("nextmove_row", np.ones(257, np.uint16)),
        ("pc", np.zeros(3, np.float32)),
    ):
        write_naive_bayes(path, {"en": ENGLISH, "ru": RUSSIAN}, **{part: value})
        with pytest.raises(UsageError, match="is no model of py3langid"):
            load_naive_bayes(path)
