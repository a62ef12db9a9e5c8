"""RedPajama-V2's numbers, against a plain implementation of its definitions; the user's lists; the map of names."""

import math
import re
import string
import unicodedata
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters import signal
from filters.catalog import SIGNALS, measure
from filters.importance import Importance
from filters.redpajama import COUNTERPARTS, LISTED, Lists, signals, word_list
from filters.view import View
from pipeline.steps.signals import STEP_SIGNALS
from tests.filters.test_view import ALPHABET

# The columns of the published set (its schema, app/src/core/schema/rp.py), without MinHash signatures.
PUBLISHED = (
    "ccnet_length ccnet_original_length ccnet_nlines ccnet_original_nlines ccnet_language_score ccnet_perplexity "
    "ccnet_bucket rps_doc_ldnoobw_words rps_doc_lorem_ipsum rps_doc_curly_bracket rps_doc_ut1_blacklist "
    "rps_doc_stop_word_fraction rps_doc_num_sentences rps_doc_word_count rps_doc_mean_word_length "
    "rps_doc_symbol_to_word_ratio rps_doc_frac_lines_end_with_ellipsis rps_doc_frac_no_alph_words "
    "rps_doc_frac_unique_words rps_doc_unigram_entropy rps_doc_frac_all_caps_words rps_doc_frac_chars_top_2gram "
    "rps_doc_frac_chars_top_3gram rps_doc_frac_chars_top_4gram rps_doc_frac_chars_dupe_5grams "
    "rps_doc_frac_chars_dupe_6grams rps_doc_frac_chars_dupe_7grams rps_doc_frac_chars_dupe_8grams "
    "rps_doc_frac_chars_dupe_9grams rps_doc_frac_chars_dupe_10grams rps_lines_javascript_counts "
    "rps_lines_ending_with_terminal_punctution_mark rps_lines_num_words rps_lines_uppercase_letter_fraction "
    "rps_lines_numerical_chars_fraction rps_lines_start_with_bulletpoint rps_doc_ml_wikiref_score "
    "rps_doc_ml_palm_score rps_doc_ml_wikipedia_score rps_doc_wikipedia_importance "
    "rps_doc_wikipedia_importance_length_correction rps_doc_books_importance "
    "rps_doc_books_importance_length_correction rps_doc_openwebtext_importance "
    "rps_doc_openwebtext_importance_length_correction"
)
NAMES = [name for name in SIGNALS if name.startswith("rps_")]


def flat(text: str) -> str:
    lower = "".join(char for char in text if char not in string.punctuation).lower().strip()
    return unicodedata.normalize("NFD", re.sub(r"\s+", " ", lower))


def plain(text: str) -> dict[str, float | None]:
    """The definitions, one by one."""
    words = flat(text).split()
    raw = re.findall(r"\w+|[^\w\s]+", text)
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    letters = sum(map(len, words))
    shares = [count / len(words) for count in Counter(words).values()]

    def of_words(value: float) -> float | None:
        return value / len(words) if words else None

    def of_raw(count: int) -> float | None:
        return count / len(raw) if raw else None

    def mean(values: list[float]) -> float | None:
        return sum(values) / len(lines) if lines else None

    found: dict[str, float | None] = {
        "rps_doc_word_count": len(words),
        "rps_doc_mean_word_length": of_words(letters),
        "rps_doc_frac_unique_words": of_words(len(set(words))),
        "rps_doc_unigram_entropy": -sum(share * math.log(share) for share in shares) if words else None,
        "rps_doc_num_sentences": len(re.findall(r"\b[^.!?]+[.!?]*", text)),
        "rps_doc_symbol_to_word_ratio": of_raw(text.count("#") + text.count("...") + text.count("…")),
        "rps_doc_frac_no_alph_words": of_raw(sum(not re.search("[a-zA-Z]", word) for word in raw)),
        "rps_doc_frac_all_caps_words": of_raw(sum(word.isupper() for word in raw)),
        "rps_doc_lorem_ipsum": flat(text).count("lorem ipsum") / len(flat(text)) if words else None,
        "rps_lines_javascript_counts_sum": sum(flat(line).split().count("javascript") for line in lines),
        "rps_lines_ending_with_terminal_punctution_mark_mean": mean(
            [line.rstrip().endswith((".", "!", "?", "”")) for line in lines]
        ),
        "rps_lines_num_words_mean": mean([len(flat(line).split()) for line in lines]),
        "rps_lines_uppercase_letter_fraction_mean": mean([sum(map(str.isupper, line)) / len(line) for line in lines]),
        "rps_lines_numerical_chars_fraction_mean": mean(
            [sum(map(str.isnumeric, flat(line))) / max(1, len(flat(line))) for line in lines]
        ),
        "rps_lines_start_with_bulletpoint_mean": mean(
            [line.lstrip().startswith(tuple("•‣▶◀◦■□▪▫–")) for line in lines]
        ),
    }
    for n in (2, 3, 4):
        (gram, count), *_ = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1)).most_common(1) or [
            ((), 0)
        ]
        top = sum(map(len, gram)) * count / letters if count > 1 else 0.0
        found[f"rps_doc_frac_chars_top_{n}gram"] = top if words else None
    for n in range(5, 11):
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        covered = {i + k for i, gram in enumerate(grams) if grams.count(gram) > 1 for k in range(n)}
        duplicate = sum(len(words[i]) for i in covered)
        found[f"rps_doc_frac_chars_dupe_{n}grams"] = duplicate / letters if words else None
    return found


TEXT = st.text(alphabet=ALPHABET + "½五ⅣΣ•?”", max_size=60)
WORDS = st.lists(
    st.sampled_from(["aa", "B", "c", "dé", "lorem", "ipsum", "JavaScript", "\n", "1½", "–", "3."]), max_size=60
)


@given(TEXT | WORDS.map(" ".join))
@settings(max_examples=80, deadline=None)
@example("")
@example("a b c d e f a b c d e f a b c d e\n\n")
@example("ΑΣ\nΣ.Σ ΑΣ' ΟΣ")
def test_the_numbers_are_those_of_the_definitions(text: str) -> None:
    expected = plain(text)
    assert measure(View(text), expected) == pytest.approx(expected, abs=1e-9)


def test_every_signal_has_a_plain_implementation() -> None:
    assert sorted(plain("x")) == sorted(NAMES)
    assert set(LISTED) == {name for name, (_, note) in COUNTERPARTS.items() if note == "label step `redpajama`"}


def test_every_published_name_is_mapped_to_a_signal_that_exists() -> None:
    assert sorted(COUNTERPARTS) == sorted(PUBLISHED.split())
    assert {ours for ours, _ in COUNTERPARTS.values()} <= {*SIGNALS, *STEP_SIGNALS}


@given(st.text(alphabet="a.…{} \n", max_size=40))
@settings(max_examples=40, deadline=None)
def test_counterparts_in_other_families_have_the_same_value(text: str) -> None:
    found = measure(View(text), ["curly_bracket_fraction", "gopher_ellipsis_line_fraction"])
    if text:
        assert found["curly_bracket_fraction"] == sum(char in "{}" for char in text) / len(text)
        lines = re.findall(r"[^\n]*\n|[^\n]+", text)
        ellipsis = sum(line.rstrip().endswith(("...", "…")) for line in lines) / len(lines)
        assert found["gopher_ellipsis_line_fraction"] == pytest.approx(ellipsis)


def listed(view: View, lists: Lists) -> dict[str, float | None]:
    return signal.measure(view, signals(lists))


def test_bad_words_are_counted_by_language_and_in_runs() -> None:
    lists = Lists(bad_words={"en": word_list(["darn\n", "oh my word\n", " \n"])})
    text = "Darn! Oh, my word; oh my... darn-it, DARN."
    for language, expected in (("en", 3.0), ("fr", None), ("", None)):
        view = View(text, language=language)
        assert listed(view, lists)["rps_doc_ldnoobw_words"] == expected
    assert listed(View(text, language="en"), Lists()) == dict.fromkeys(LISTED)
    assert listed(View("", language="en"), lists)["rps_doc_ldnoobw_words"] == 0


def test_a_host_has_the_number_of_its_category() -> None:
    lists = Lists(ut1={"games.example": 7})
    for url, expected in (("https://www.games.example/x", 7), ("https://other.example", None), ("", None)):
        assert listed(View("", url=url), lists)["rps_doc_ut1_blacklist"] == expected


def test_importance_prefers_texts_like_the_target() -> None:
    table = Importance.fit(["the river and the sea", "the hills"], ["buy now cheap", "cheap offer now"])
    lists = Lists(importance={"books": table})
    names = ["rps_doc_books_importance", "rps_doc_books_importance_length_correction", "rps_doc_wikipedia_importance"]

    def weights(text: str) -> list[float | None]:
        found = listed(View(text), lists)
        return [found[name] for name in names]

    alike, corrected, missing = weights("the sea")
    other, _, _ = weights("cheap now")
    assert alike is not None
    assert other is not None
    assert alike > 0 > other
    assert corrected != alike
    assert missing is None
    assert weights("") == [None, None, None]
    # hand count: "sea" once and "the" three times of the 5 + 2 words and 4 + 1 pairs of the target
    one, three = math.log(1 / 12 + 1e-8) - math.log(1e-8), math.log(3 / 12 + 1e-8) - math.log(1e-8)
    assert weights("sea")[0] == pytest.approx(one, abs=1e-7)
    assert weights("the")[0] == pytest.approx(three, abs=1e-7)
    with pytest.raises(ValueError, match="no words"):
        Importance.fit(["word"], [" "])
