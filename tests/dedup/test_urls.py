"""normalise_url: spellings of one page meet, different pages do not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.urls import normalise_url


@pytest.mark.parametrize(
    "one, other",
    [
        ("http://example.com/a", "https://example.com/a"),
        ("http://Example.COM/a", "HTTP://example.com/a"),
        ("http://example.com:80/a", "http://example.com/a"),
        ("https://example.com:443/a", "http://example.com./a"),
        ("http://example.com", "http://example.com/"),
        ("http://example.com/a/", "http://example.com/a"),
        ("http://example.com/a#top", "http://example.com/a"),
        ("http://example.com/a?", "http://example.com/a"),
        ("http://example.com/a?utm_source=x&id=1&fbclid=y", "http://example.com/a?id=1"),
        ("http://example.com/a?b=2&a=1", "http://example.com/a?a=1&b=2"),
        ("http://example.com/%7euser/%e4%b8%ad", "http://example.com/~user/中"),
        ("http://example.com/a;jsessionid=12AB?x=1", "http://example.com/a?x=1"),
        (" http://example.com/a\n", "http://example.com/a"),
        ("//example.com/a", "example.com/a"),
    ],
)
def test_spellings_of_one_page_meet(one: str, other: str) -> None:
    assert normalise_url(one) == normalise_url(other)


@pytest.mark.parametrize(
    "one, other",
    [
        ("http://example.com/a", "http://example.com/A"),
        ("http://example.com/a", "http://www.example.com/a"),
        ("http://example.com:8080/a", "http://example.com/a"),
        ("https://example.com:80/a", "https://example.com/a"),
        ("http://example.com/#!/a", "http://example.com/#!/b"),
        ("http://example.com/?id=1", "http://example.com/?id=2"),
        ("http://example.com/?a=1&a=2", "http://example.com/?a=2&a=1"),
        ("http://example.com/?q=a%26b", "http://example.com/?q=a&b"),
        ("http://example.com/a%2Fb", "http://example.com/a/b"),
        ("ftp://example.com/a", "http://example.com/a"),
        ("http://unknown.invalid/1", "http://unknown.invalid/2"),
    ],
)
def test_different_pages_stay_apart(one: str, other: str) -> None:
    assert normalise_url(one) != normalise_url(other)


def test_no_address_is_empty() -> None:
    assert normalise_url("") == normalise_url(" \t\n") == ""


@given(st.text(st.characters(), max_size=60) | st.text("http:/[]@?#&=%;.a1\ud800é ", max_size=60))
@settings(max_examples=50)
def test_never_raises_and_gives_ascii(url: str) -> None:
    assert normalise_url("http://host/" + url).removeprefix("host").isascii()
    normalise_url(url)
