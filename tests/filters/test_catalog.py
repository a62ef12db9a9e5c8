"""Every signal and edit is total, keeps to its documented range, has a unique name, and is deterministic."""

import math
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import redpajama, signal
from filters.catalog import EDITS, SIGNALS, edit, measure, signals
from filters.importance import Importance
from filters.redpajama import LISTED, Lists
from filters.url import UrlLists
from filters.view import View
from tests.files import python
from tests.filters.test_view import ALPHABET

HOSTILE = {
    "empty": "",
    "space": " \n\t ",
    "nul": "\0" * 50,
    "surrogate": "\ud800 \udfff\n",
    "astral": "😀𠀀\U0010ffff" * 9,
    "newlines": "\n" * 99,
    "returns": "\r\n\r" * 9,
    "marks": "\u0301" * 9,
    "one": "x",
    "dot": ".",
    "bracket": "[[1]]{[",
    "url": "http://www.[:::1/" * 5,
    "listed": "http://x.example/the/and/x",
    "dotless": "İ" * 9 + " javascript İ",
    "repeated": "The river runs to the sea, and on it goes.\n" * 30 + "河水流向大海，人们住在河边。" * 9,
}
ANYTHING = st.text(alphabet=ALPHABET + "}>;&@/:\ufffd\ue000锟斤Ã©", max_size=200)
# What edits look for: the furniture of pages, citation marks, addresses, numbers of persons.
PIECES = [
    *("the", "of", "and", "javascript", "{", "[1]", "[edit]", "...", "•", "-", "#", "|", "中文", "。", "ABC DEF", "x."),
    *("lorem ipsum", "use cookies", "sign-in", "read more...", "items in cart", "12 likes", "http://x.example/a."),
    *("x.y+z@mail.example.org", "10.0.0.1", "1.2.3.4.5", "://", "www", "www.x.org.", "@", "(", ")", "，", "9", " "),
    *("a@b.co", "8.8.8.8", "2606:4700::1111", "+44 20 7946 0958", "4012 8888 8888 1881", "SSN: 123-45-6789"),
]
PASSAGES = st.lists(
    st.sampled_from(PIECES).flatmap(lambda piece: st.sampled_from("  \n\n\t\r\u2029").map(lambda end: piece + end)),
    max_size=40,
).map("".join)

WORDS = ("the", "and", "x")
URL_LISTS = UrlLists.of(
    domains=["x.example"], urls=["x.example/a"], strict=WORDS, hard=WORDS, soft=WORDS, curated=["x.example"]
)
RPS_LISTS = Lists(
    bad_words=dict.fromkeys(("en", "zh"), frozenset(WORDS)),
    ut1={"x.example": 3},
    importance=dict.fromkeys(
        ("wikipedia", "books", "openwebtext"), Importance.fit(["the x and the x"], ["lorem ipsum and x"])
    ),
)

RANGE = re.compile(r"\b(?P<low>\d)(?:\.\.(?P<high>\d)| and up)")  # as the docs of signals say it: "0..1", "1 and up"
COUNT = re.compile(r"characters|words|tokens|lines|paragraphs|sentences|longest_line|.*_(words|lines|sentences)")
# Those of the catalog, and those of RedPajama's that need lists.
EVERY = {**SIGNALS, **LISTED}
COUNTS = {name for name in EVERY if COUNT.fullmatch(name) and not re.search("mean_|_frac_", name)} | {
    *("url_characters", "rps_doc_word_count", "rps_doc_num_sentences", "rps_lines_javascript_counts_sum")
}
FLAGS = {"incomplete_ending", "url_blocked_domain", "url_blocked", "url_curated_source"}
# A text may be less like a collection than like the pool: the only numbers that go below zero.
LOGARITHMS = {name for name in LISTED if "_importance" in name}

# Published as one pass; the second may cut more. CCNet's takes a first line each time.
ONE_PASS = {"refinedweb_lines", "c4_tfds_lines", "c4_lines", "c4_any_ending_lines", "ccnet_body"}
# They count lines that went: white space and citation marks cut from those that stay are not counted.
COUNT_LINES = ONE_PASS - {"refinedweb_lines"}
LONGEST_MASK = len("GB82WEST12345698765432")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("language", ["", "en", "zh"])
def test_signals_keep_to_their_ranges(text: str, language: str) -> None:
    check_signals(text, language)


@given(ANYTHING | PASSAGES)
@settings(max_examples=50, deadline=None)
def test_signals_keep_to_their_ranges_on_any_text(text: str) -> None:
    check_signals(text, "en")


BOUND = (*signals(SIGNALS, URL_LISTS), *redpajama.signals(RPS_LISTS))


def check_signals(text: str, language: str) -> None:
    """Each is null or finite and in its range, counts are whole; in another order they are the same."""
    view = View(text, url=text, language=language)
    values = signal.measure(view, BOUND)
    assert list(values) == list(EVERY)
    for name, value in values.items():
        if value is not None:
            low, high = limits(name)
            assert math.isfinite(value) and low <= value <= high, (name, value)
            assert value.is_integer() or name not in COUNTS | FLAGS, (name, value)
    again = View(text, url=text, language=language)
    backwards = {each.name: each.measure(again) for each in reversed(BOUND)}
    assert backwards == values


def limits(name: str) -> tuple[float, float]:
    """The bounds of a signal, parsed from its doc."""
    if name in LOGARITHMS:
        return -math.inf, math.inf
    if name in FLAGS:
        return 0, 1
    said = RANGE.search(EVERY[name].doc)
    return (float(said["low"]), float(said["high"] or "inf")) if said else (0, math.inf)


def test_the_docs_give_fractions_a_range_that_is_checked() -> None:
    fractions = {name for name in SIGNALS if re.search(r"_fraction|_frac_", name)}
    open_ended = {name for name in fractions if limits(name) != (0, 1)}
    # Copies of an n-gram that overlap count twice.
    assert open_ended == {name for name in SIGNALS if re.search(r"top_\d_?gram", name)}


def test_no_signal_is_null_on_every_text() -> None:
    measured = {
        name
        for text in HOSTILE.values()
        for language in ("en", "zh")
        for name, value in signal.measure(View(text, url=text, language=language), BOUND).items()
        if value is not None
    }
    assert measured == set(EVERY)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_edits_keep_their_contract(text: str) -> None:
    check_edits(text)


@given(ANYTHING | PASSAGES)
@settings(max_examples=100, deadline=None)
def test_edits_keep_their_contract_on_any_text(text: str) -> None:
    check_edits(text)


def check_edits(text: str) -> None:
    """Masks insert at most one mask for each replacement that they count; other edits only remove. Except for the
    one-pass edits, a second pass changes nothing."""
    for name, change in EDITS.items():
        after, count = change(text)
        assert change(text) == (after, count), name
        if name.startswith("mask_"):
            assert len(after) <= len(text) + count * LONGEST_MASK, name
        else:
            assert is_within("".join(after.split()), "".join(text.split())), name
        if name in COUNT_LINES:
            assert 0 <= count <= len(text.splitlines()) + text.count("\n") + 1, name
        else:
            assert (count == 0) == (after == text) and count >= 0, name
        assert name in ONE_PASS or change(after) == (after, 0), name


def is_within(short: str, long: str) -> bool:
    """Whether `short` is a subsequence of `long`."""
    rest = iter(long)
    return all(char in rest for char in short)


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_changes_some_text(name: str) -> None:
    furniture = "Title\n| |\n\n\n\nSign-in items in cart\nToo short.\nsee www.x.example/a for it [1] \r\n"
    persons = (
        "a@b.co 8.8.8.8 2606:4700::1111 +44 20 7946 0958 4012 8888 8888 1881 IBAN DE89370400440532013000, "
        "身份证号：34052419800101001X。 DNI 12345678Z. NIR 1 84 12 76 451 089 46 C.F. MRTMTT91D08F205J "
        "SSN: 123-45-6789 PESEL: 02070803628 Steuer-ID: 65 929 970 489"
    )
    text = f"{furniture}{persons}\n"
    after, count = edit(name)(text)
    assert count > 0 and after != text


@given(st.text(max_size=80), st.lists(st.text(max_size=4), max_size=20))
@settings(max_examples=30, deadline=None)
def test_external_tokens_need_not_fit_the_text(text: str, words: list[str]) -> None:
    values = measure(View(text, language="fr", words=words), SIGNALS)
    assert all(value is None or math.isfinite(value) for value in values.values())


@pytest.mark.parametrize("piece", ["a ", "[1]", "sign-in ", "javascript {", "é@", "&lt;"])
def test_any_text_is_measured_in_linear_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    names = [name for name in SIGNALS if "gram" not in name] + ["duplicate_10_gram_character_fraction"]
    begin = time.process_time()
    measure(View(text, language="en"), names)
    for change in EDITS.values():
        change(text)
    assert time.process_time() - begin < 15  # linear work takes .4 to 3 s; quadratic work would take minutes


def test_a_line_of_twenty_megabytes_is_measured() -> None:
    names = ["gopher_words", "duplicate_line_fraction", "longest_line", "c4_sentences"]
    assert list(measure(View("x" * 20_000_000), names).values()) == [1, 0, 20_000_000, 0]


def test_every_signal_is_documented() -> None:
    assert len(SIGNALS) > 100
    for name, each in EVERY.items():
        assert name == each.name
        assert name.replace("_", "").isalnum()
        assert each.doc, name
        assert each.cost > 0


def test_an_unknown_name_suggests_similar_ones() -> None:
    with pytest.raises(ValueError, match="duplicate_line_fraction"):
        signals(["duplicate_lines_fraction"])
    with pytest.raises(ValueError, match="mask_email"):
        edit("mask_emails")


def test_url_signals_are_bound_to_the_lists_given() -> None:
    view = View("text", url="https://sub.bad.example/x")
    assert measure(view, ["url_blocked_domain"]) == {"url_blocked_domain": None}
    lists = UrlLists.of(domains=["bad.example"])
    assert measure(view, ["words", "url_blocked_domain"], lists) == {"words": 1.0, "url_blocked_domain": 1.0}


def test_the_catalog_imports_no_engine_and_no_compiler() -> None:
    heavy = "{'torch', 'ray', 'apache_beam', 'numba', 'pyarrow', 'infra', 'pipeline', 'dedup'}"
    assert python(f"import sys, filters.catalog; print(sorted({heavy} & set(sys.modules)))").strip() == "[]"
