"""Every signal and edit is total, named once, documented, and the same on every call."""

import math
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.catalog import EDITS, SIGNALS, edit, measure, signals
from filters.url import UrlLists
from filters.view import View
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
    "dotless": "İ" * 9 + " javascript İ",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_signals_and_edits_are_total(text: str) -> None:
    for language in ("", "en", "zh"):
        check(text, language)


@given(st.text(alphabet=ALPHABET + "}>;&@/:\ufffd\ue000锟斤Ã©", max_size=200))
@settings(max_examples=50, deadline=None)
def test_signals_and_edits_are_total_on_anything(text: str) -> None:
    check(text, "en")


@given(st.text(max_size=80), st.lists(st.text(max_size=4), max_size=20))
@settings(max_examples=30, deadline=None)
def test_foreign_words_need_not_fit_the_text(text: str, words: list[str]) -> None:
    values = measure(View(text, language="fr", words=words), SIGNALS)
    assert all(value is None or math.isfinite(value) for value in values.values())


def check(text: str, language: str) -> None:
    values = measure(View(text, url=text, language=language), SIGNALS)
    assert list(values) == list(SIGNALS)
    for name, value in values.items():
        assert value is None or math.isfinite(value), name
        if name.endswith("_fraction") and not name.startswith(("top_", "dclm_top_", "duplicate_")):
            assert value is None or -1e-9 <= value <= 1 + 1e-9, (name, value)
    assert measure(View(text, url=text, language=language), reversed(list(SIGNALS))) == values
    for name, change in EDITS.items():
        after, count = change(text)
        assert isinstance(after, str), name
        assert count >= 0, name


@pytest.mark.parametrize("piece", ["a ", "[1]", "sign-in ", "javascript {", "é@", "&lt;"])
def test_a_megabyte_of_anything_takes_seconds(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    names = [name for name in SIGNALS if "gram" not in name] + ["duplicate_10_gram_character_fraction"]
    begin = time.process_time()
    measure(View(text, language="en"), names)
    for change in EDITS.values():
        change(text)
    assert time.process_time() - begin < 20  # linear work takes 2 s; quadratic work would take hours


def test_a_line_of_twenty_megabytes_is_measured() -> None:
    names = ["gopher_words", "duplicate_line_fraction", "longest_line", "c4_sentences"]
    assert list(measure(View("x" * 20_000_000), names).values()) == [1, 0, 20_000_000, 0]


def test_every_signal_says_what_it_is() -> None:
    assert len(SIGNALS) > 100
    for name, signal in SIGNALS.items():
        assert name == signal.name
        assert name.replace("_", "").isalnum()
        assert signal.doc, name
        assert signal.cost > 0


def test_an_unknown_name_is_answered_with_near_ones() -> None:
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
    code = f"import sys, filters.catalog; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
