"""Gopher's rules, counted in datatrove's way and in DCLM's: by hand, and against slow and plain counting."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.catalog import measure
from filters.view import View

LINES = "one two\nthree four\none two\n\nfive\none two"
QUALITY = "You are number 1, # …"
FEW_WORDS = st.lists(st.sampled_from(["a", "bb", "c", ".", "dd", "\n"]), min_size=1, max_size=60).map(" ".join)
RUNS = st.lists(st.sampled_from(["a b c d e ", "f ", "g h ", "a "]), min_size=1, max_size=25).map("".join)


def value(text: str, name: str) -> float | None:
    return measure(View(text), [name])[name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Five lines of which the third and the fifth repeat the first (7 characters each); 40 characters in all.
        (LINES, {"duplicate_line_fraction": 2 / 5, "duplicate_line_character_fraction": 14 / 40}),
        # DCLM counts the first copy too, over the 35 characters of filled lines.
        (LINES, {"dclm_duplicate_line_fraction": 3 / 5, "dclm_duplicate_line_character_fraction": 21 / 35}),
        ("p\n\nq\n\np", {"duplicate_paragraph_fraction": 1 / 3, "duplicate_paragraph_character_fraction": 1 / 7}),
        ("p\n\nq\n\n\np ", {"dclm_duplicate_paragraph_fraction": 2 / 3}),
        ("p\n\nq\n\np", {"dclm_duplicate_paragraph_character_fraction": 2 / 3}),
        # Newlines at both ends leave an empty line at each, the second a copy of the first, of no characters.
        ("\na\n", {"duplicate_line_fraction": 1 / 3, "duplicate_line_character_fraction": 0.0}),
        ("\na\n", {"dclm_duplicate_line_fraction": 0.0}),
        # "a b" is there twice: 2 * 3 characters of 9; DCLM: 2 * 2 of the 5 characters of words.
        ("a b a b c", {"top_2_gram_character_fraction": 6 / 9, "dclm_top_2_gram_character_fraction": 4 / 5}),
        # Nothing repeats: datatrove takes the first bigram, DCLM none.
        ("aaa b cc", {"top_2_gram_character_fraction": 5 / 8, "dclm_top_2_gram_character_fraction": 0.0}),
        # The earliest of equally frequent ones ("a b"), DCLM the longest ("cc dd").
        ("a b, cc dd; a b, cc dd!", {"top_2_gram_character_fraction": 6 / 23}),
        ("a b, cc dd; a b, cc dd!", {"dclm_top_2_gram_character_fraction": 8 / 12}),
        # Ten words, the last five repeating the first five: 5 characters of 19, without the spaces.
        ("a b c d e a b c d e", {"duplicate_5_gram_character_fraction": 5 / 19}),
        ("a b c d e a b c d e", {"dclm_duplicate_5_gram_character_fraction": 10 / 10}),
        ("a b c d e a b c d e", {"duplicate_6_gram_character_fraction": 0.0}),
        ("a b c d", {"duplicate_5_gram_character_fraction": 0.0}),
        ("a", {"top_2_gram_character_fraction": 0.0}),
        # Quality. Seven tokens (You are number 1 , # …), of which five are more than punctuation: U+2026 is mere.
        (QUALITY, {"gopher_words": 4, "gopher_mean_word_length": (3 + 3 + 6 + 1) / 4}),
        (
            QUALITY,
            {"gopher_hash_ratio": 1 / 7, "gopher_ellipsis_ratio": 1 / 7, "gopher_alphabetic_word_fraction": 3 / 7},
        ),
        (QUALITY, {"dclm_words": 4, "dclm_mean_word_length": (3 + 3 + 6 + 2 + 1 + 1) / 6}),
        (QUALITY, {"dclm_symbol_ratio": 2 / 6, "dclm_alphabetic_word_fraction": 3 / 6}),
        ("“You” are well-known.", {"dclm_words": 2}),  # the first piece begins with a mark; a hyphen cuts nothing
        # the, of, be: different ones, lower case, as tokens; the, The, the, be: occurrences, any case, between spaces
        ("the The the of, be", {"gopher_stop_words": 3, "dclm_stop_words": 4}),
        ("• a\n * b\n  - c\n\n● d", {"gopher_bullet_line_fraction": 2 / 5, "dclm_bullet_line_fraction": 4 / 4}),
        ("a...\nb…  \nc. . .\n\nd.", {"gopher_ellipsis_line_fraction": 2 / 5, "dclm_ellipsis_line_fraction": 3 / 4}),
        ("..", {"gopher_ellipsis_line_fraction": 0.0}),
        # a space is counted between characters, as between words
        ("你好你好", {"gopher_words": 4, "top_2_gram_character_fraction": 6 / 4}),
        ("", {"gopher_mean_word_length": None, "duplicate_line_fraction": 0.0}),
    ],
)
def test_golden(text: str, expected: dict[str, float | None]) -> None:
    assert measure(View(text), expected) == pytest.approx(expected)


@given(FEW_WORDS | RUNS)
@settings(max_examples=50, deadline=None)
def test_datatrove_counting(text: str) -> None:
    words = text.split()
    for n in (2, 3, 4):
        grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
        top = Counter(grams).most_common(1)
        expected = len(top[0][0]) * top[0][1] / len(text) if top else 0.0
        assert value(text, f"top_{n}_gram_character_fraction") == pytest.approx(expected)
    for n in (5, 7, 10):
        seen, characters, at = set(), 0, 0
        while at <= len(words) - n:
            gram = tuple(words[at : at + n])
            characters += len("".join(gram)) if gram in seen else 0
            at += n if gram in seen else 1
            seen.add(gram)
        assert value(text, f"duplicate_{n}_gram_character_fraction") == pytest.approx(characters / len(text))


@given(FEW_WORDS | RUNS)
@settings(max_examples=50, deadline=None)
def test_dclm_counting(text: str) -> None:
    words = [word for word in text.split() if word != "."]
    total = max(1, sum(map(len, words)))
    for n in (2, 4):
        counts = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
        most = max(counts.values(), default=0)
        longest = max((len("".join(gram)) for gram, count in counts.items() if count == most), default=0)
        expected = longest * most / total if most > 1 else 0.0
        assert value(text, f"dclm_top_{n}_gram_character_fraction") == pytest.approx(expected)
    for n in (5, 8):
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        counts = Counter(grams)
        covered = {j for i, gram in enumerate(grams) if counts[gram] > 1 for j in range(i, i + n)}
        expected = sum(len(words[j]) for j in covered) / total
        assert value(text, f"dclm_duplicate_{n}_gram_character_fraction") == pytest.approx(expected)


@given(FEW_WORDS | RUNS)
@settings(max_examples=50, deadline=None)
def test_a_second_copy_is_never_less_repetitive(text: str) -> None:
    names = [f"{who}duplicate_{unit}_fraction" for who in ("", "dclm_") for unit in ("line", "paragraph")]
    names += [f"dclm_duplicate_{n}_gram_character_fraction" for n in range(5, 11)]
    text = text.strip() or "a"
    once, twice = (measure(View(each), names) for each in (text, f"{text}\n\n{text}"))
    for name in names:
        before, after = once[name], twice[name]
        assert before is not None
        assert after is not None
        assert 0 <= before <= after + 1e-9 <= 1 + 1e-6, name
    assert twice["dclm_duplicate_paragraph_fraction"] == 1
