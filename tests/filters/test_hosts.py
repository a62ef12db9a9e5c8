"""canonical_host: every spelling of a host is one, other hosts stay apart, any string has a form."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.hosts import canonical_host, escapes_in_one_form, host_of, listed_host, split_address

# Pieces that addresses of the wild, and addresses made to confuse, are put together from.
_PIECES = (
    "http: https: ftp: foo: // / \\ @ : ? # #! & = % %41 %2e %2F %e4%b8 %C3%BC ü xn-- xn--bcher-kva 。 ． a . [ ] ::1 "
    '[::1] 80 0080 443 1 0x7f 017 ;jsessionid= j utm_source= ％ ： ［ ］ ß İ 中 ﬀ K ℀ { | ^ ` < " ; \ud800 '
    "\udcff \u00ad \u0378 \ufffd \0"
)
PIECES = st.lists(st.sampled_from([*_PIECES.split(" "), " ", "\t", "\u3000"]), max_size=14).map("".join)


@pytest.mark.parametrize(
    ("form", "spellings"),
    [
        (
            "xn--bcher-kva.example",
            """bücher.example BÜCHER.Example b\u0075\u0308cher.example b%C3%BCcher.example B%c3%9cCHER.example
            bücher。example bücher．example bücher｡example bücher.example. ｂücher.ｅｘａｍｐｌｅ XN--BCHER-KVA.EXAMPLE
            xn--BCHER-KVA.example bü\u00adcher.example bücher%2eexample bücher%E3%80%82example""",
        ),
        ("example.com", "EXAMPLE.com ex%61mple.com %65xample.com example.com.. exa\u200bmple.com ℯxample.com"),
        ("xn--fsqu00a.xn--0zwm56d", "例子.测试 例子。测试 xn--fsqu00a.xn--0zwm56d %E4%BE%8B%E5%AD%90.测试"),
        ("xn--e1afmkfd.xn--p1ai", "пример.рф ПРИМЕР.РФ xn--e1afmkfd.РФ"),
        ("xn--i-7iq.ws", "i❤.ws I❤.WS xn--i-7iq.ws"),
        ("xn--strae-oqa.de", "straße.de STRAßE.de"),
        ("my_host.example", "My_Host.example my_host.example."),
        ("127.0.0.1",
        "127.0.0.1 127.1 127.0.1 2130706433 0x7f.1 0x7F000001 0177.0.0.1 017700000001 127.0.0.1. １２７.0.0.1"),
        ("1.2.3.4", "1.2.772 1.131844 16909060 01.02.03.04 0x1.0x2.0x3.0x4 %31.2.3.4"),
        ("[2001:db8::1]", "[2001:db8::1] [2001:DB8:0:0:0:0:0:1] [2001:0db8:0000::0001] [2001:db8::0.0.0.1]"),
        ("[::ffff:102:304]", "[::ffff:1.2.3.4] [::FFFF:0102:0304] [0:0:0:0:0:ffff:102:304]"),
        ("", ". .. %2e \u00ad"),
    ],
)  # fmt: skip
def test_spellings_of_one_host(form: str, spellings: str) -> None:
    names = spellings.split()
    assert {name: canonical_host(name) for name in names} == dict.fromkeys(names, form)


@pytest.mark.parametrize(
    "one, other",
    [
        ("straße.de", "strasse.de"), ("bucher.example", "bücher.example"), ("a-b.example", "ab.example"),
        ("аpple.example", "apple.example"), ("1.2.3.4", "1.2.3.40"), ("08.2.3.4", "8.2.3.4"), ("256.1.1.1", "0.1.1.1"),
        ("1.2.3.4.5", "1.2.3.4"), ("[::1]", "[::2]"), ("[::1%25eth0]", "[::1]"), ("a%2fb.example", "a.example"),
        ("xn--a.example", "a.example"), ("1e100.net", "1.net"),
    ],
)  # fmt: skip
def test_other_hosts_stay_apart(one: str, other: str) -> None:
    assert canonical_host(one) != canonical_host(other)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Me:pw@Bücher.example:80/p", "xn--bcher-kva.example"), ("https:\\\\example.com\\a", "example.com"),
        ("http:/example.com/a", "example.com"), ("http:////example.com", "example.com"), ("//example.com",
        "example.com"),
        ("ht\ntp://exa\tmple.com/", "example.com"), (" http://example.com", "example.com"), ("example.com/a",
        "example.com"),
        ("http://a@b@example.com/", "example.com"), ("http://[::1]:80/", "[::1]"), ("http://[::1", ""),
        ("http://a b/", ""),
        ("", ""), ("http://@/example.com", "example.com"),
    ],
)  # fmt: skip
def test_the_host_of_an_address(url: str, host: str) -> None:
    assert host_of(url) == host


def test_the_parts_of_an_address() -> None:
    assert split_address("HTTPS://me:@Example.com:0443/A?b#c") == ("https", "me:", "example.com", "", "/A?b#c")
    assert split_address("example.com:8080/a") == ("", "", "example.com", "8080", "/a")


def test_a_host_of_a_list() -> None:
    names = ["2001:DB8::1", "[2001:db8::1]", "[2001:db8::1]:80", " 0x7f.1 ", "Bücher.example:80"]
    assert [listed_host(name) for name in names] == ["[2001:db8::1]"] * 3 + ["127.0.0.1", "xn--bcher-kva.example"]


def test_escapes() -> None:
    text = "/%7e%41%e4中\"<>\\^`{|}[]%/%4/%zz/%2f~!$&'()*+,;=:@?"
    form = "/~A%E4%E4%B8%AD%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D%25/%254/%25zz/%2F~!$&'()*+,;=:@?"
    assert escapes_in_one_form(text) == escapes_in_one_form(form) == form


@given(PIECES | st.text(max_size=40))
@settings(max_examples=500, deadline=None)
def test_a_form_is_its_own(name: str) -> None:
    form = canonical_host(name)
    assert form.isascii() and canonical_host(form) == form


@pytest.mark.parametrize(
    "piece", ["a", "ü", "%C3%BC", ".", "1.", "xn--", "中.", "[", ":", "@", "%", "/", "\\", "http://"]
)
def test_any_length_takes_linear_time(piece: str) -> None:
    begin = time.process_time()
    host_of("http://" + piece * 200_000)
    assert time.process_time() - begin < 3
