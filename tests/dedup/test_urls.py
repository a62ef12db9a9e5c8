"""normalise_url: spellings of one page meet, different pages do not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.urls import normalise_url
from tests.filters.test_hosts import PIECES


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
        ("http://xn--bcher-kva.example/a", "https://BÜCHER.example/a#x"),
        ("http://ex%61mple。com./a", "http://example.com/a"),
        ("http://2130706433/", "http://0x7f.1/"),
        ("http://[2001:DB8:0::1]/a", "https://[2001:db8::1]:443/a"),
        ("http://example.com:0080/", "example.com"),
        ("http://@example.com/a", "http://:@example.com/a"),
        ("http://me:@example.com/a", "http://me@example.com/a"),
        ("http://m%65:p%3Aw@example.com/a", "http://me:p:w@example.com/a"),
        ("http:\\\\example.com\\a\\b", "http:/example.com/a/b"),
        ("http://example.com/?a[]=1&q={x|y}", "http://example.com/?a%5B%5D=1&q=%7bx%7cy%7D"),
        ('http://example.com/<a>^`"', "http://example.com/%3Ca%3E%5E%60%22"),
        ("http://example.com/100%", "http://example.com/100%25"),
        ("http://example.com/a;%6asessionid=12?x", "http://example.com/a?x"),
        ("http://example.com/中", "http://example.com/%E4%B8%AD"),
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
        ("https://[::1]:80/", "https://[::1]/"),
        ("http://example.com:443/a", "https://example.com/a"),
        ("http://me@example.com/a", "http://example.com/a"),
        ("http://example.com/%2561", "http://example.com/a"),
        ("http://example.com/a?b=%26", "http://example.com/a?b=&"),
        ("http://straße.example/", "http://strasse.example/"),
        ("http://unknown.invalid/1", "http://unknown.invalid/2"),
    ],
)
def test_different_pages_stay_apart(one: str, other: str) -> None:
    assert normalise_url(one) != normalise_url(other)


def test_no_address_is_empty() -> None:
    assert normalise_url("") == normalise_url(" \t\n") == ""


@given(PIECES | st.text(max_size=60))
@settings(max_examples=500, deadline=None)
def test_a_key_is_ascii_and_its_own_key(url: str) -> None:
    key = normalise_url(url)
    assert key.isascii() and normalise_url(key) == key


@pytest.mark.parametrize(
    "host", ["example.com", "EX。com", "127.1", "[::1]", "me@example.com", "me:80@b.de", "localhost"]
)
@pytest.mark.parametrize("port", ["", ":", ":80", ":00080", ":443", ":0443", ":21", ":8080", ":0", ":00", ":99999"])
@pytest.mark.parametrize("scheme", ["http://", "https://", "HTTPS:", "ftp://", "ws://", "//", "", "https:\\\\"])
def test_ports_are_read_alike_in_a_key(scheme: str, port: str, host: str) -> None:
    for rest in ("", "/", "/a:80/b", "?q=1:80", "#!x"):
        key = normalise_url(scheme + host + port + rest)
        assert normalise_url(key) == key
