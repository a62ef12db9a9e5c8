"""URL signals: hosts and their parents, the three kinds of word, nulls, and malformed URLs."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.url import SIGNAL_DOCS, UrlLists, host, signals, url_signals
from filters.view import View

LISTS = UrlLists.of(
    domains=["Bad.example\n", "# a comment", "", "bücher.example", "0x0a.1", "2001:db8::1"],
    urls=["https://ok.example/one", "ok.example/three", "größe.example/Ä b"],
    strict=["free-prize"],
    hard=["casino"],
    soft=["webcam", "chat"],
)


@pytest.mark.parametrize(
    ("url", "name", "expected"),
    [
        ("http://www.bad.example/x", "url_blocked_domain", 1),
        ("http://a.b.BAD.example:80/x", "url_blocked_domain", 1),
        ("http://notbad.example/", "url_blocked_domain", 0),
        ("http://x.example/bad.example", "url_blocked_domain", 0),
        ("http://b%61d.example./", "url_blocked_domain", 1),
        ("http://ｂａｄ。example/", "url_blocked_domain", 1),
        ("http://a.xn--BCHER-kva.example/", "url_blocked_domain", 1),
        ("http://10.0.0.1:8080/", "url_blocked_domain", 1),
        ("http://[2001:DB8:0:0::1]/", "url_blocked_domain", 1),
        ("http:\\\\bad.example\\x", "url_blocked_domain", 1),
        ("http://ok.example.:80/one/#top", "url_blocked", 1),
        ("https://www.xn--gre-6ka8i.example/%c3%84%20b", "url_blocked", 1),
        ("http://ok.example:8080/one", "url_blocked", 0),
        ("https://ok.example/one", "url_blocked", 1),
        ("https://ok.example/one/two", "url_blocked", 0),
        ("https://www.ok.example/Three", "url_blocked", 1),
        ("http://x.example/fr.ee-pr-ize-now", "url_strict_words", 1),
        ("http://x.example/free/prize", "url_strict_words", 0),
        ("http://x.example/free/prize", "url_joined_strict_words", 1),
        ("http://casino.example/casino", "url_hard_words", 1),
        ("http://x.example/casinos", "url_hard_words", 0),
        ("http://x.example/CASINO", "url_hard_words", 1),
        ("http://x.example/CASINO", "url_cased_hard_words", 0),
        ("http://x.example/casino", "url_cased_hard_words", 1),
        ("http://x.example/webcam-chat", "url_soft_words", 2),
        ("http://x.example/chat/chat", "url_soft_words", 1),
        ("http://x.example/webcam-Chat", "url_cased_soft_words", 1),
        ("https://en.wikipedia.org/wiki/X", "url_curated_source", 1),
        ("https://de.wikipedia.org/wiki/X", "url_curated_source", 0),
        ("https://old.reddit.com/", "url_curated_source", 1),
        ("https://notarxiv.org/", "url_curated_source", 0),
        ("", "url_characters", 0),
    ],
)
def test_golden(url: str, name: str, expected: float) -> None:
    assert url_signals(url, LISTS)[name] == expected


def test_a_list_that_is_not_given_measures_nothing() -> None:
    values = url_signals("http://bad.example/casino", UrlLists())
    assert values["url_blocked_domain"] is None
    assert values["url_strict_words"] is None
    assert values["url_curated_source"] == 0


@given(st.text() | st.from_regex(r"https?://[\[\]:@/.%a-z0-9]{0,30}", fullmatch=True))
def test_malformed_urls_never_raise(url: str) -> None:
    values = url_signals(url, LISTS)
    assert list(values) == list(SIGNAL_DOCS)
    assert all(value is not None and math.isfinite(value) for value in values.values())
    assert {signal.name: signal.measure(View("", url=url)) for signal in signals(LISTS)} == values


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://User:pw@WWW.Example.ORG:8080/p", "example.org"),
        ("http://[::1", ""),
        ("//x.example./", "x.example"),
        ("not a url", ""),
        ("mailto:a@b.c", ""),
    ],
)
def test_host(url: str, expected: str) -> None:
    assert host(url) == expected
