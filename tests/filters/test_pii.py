"""Masked numbers and addresses, similar text that is kept, and idempotence on any text."""

import string
import time
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.catalog import EDITS, edit
from filters.identifiers import (
    is_card,
    is_chinese,
    is_french,
    is_german,
    is_iban,
    is_italian,
    is_polish,
    is_spanish,
    luhn,
)
from filters.phones import PHONE_MASK
from filters.pii import PARTS

MASKED = {
    "mask_card": (
        "4111 1111 1111 1112 no, 4012-8888-8888-1881 yes",
        "Visa 5555555555554444.",
        "3782 822463 10005 exp 12/25",
        "卡号6212345678901232完",
    ),
    "mask_iban": ("IBAN DE89 3704 0044 0532 0130 00 BIC COBADEFF", "AT611904300234573201,",
        "户GB29NWBK60161331926819。"),
    "mask_chinese_id": ("身份证号：34052419800101001X。", "ID 34052419800101001x"),
    "mask_spanish_id": ("DNI 12345678Z.", "12.345.678-Z", "NIE X1234567L"),
    "mask_french_id": ("NIR 1 84 12 76 451 089 46", "n° 184127645108946,"),
    "mask_italian_id": ("C.F. MRTMTT91D08F205J",),
    "mask_american_id": ("SSN: 123-45-6789", "his Social Security number is 123 45 6789"),
    "mask_polish_id": ("PESEL: 02070803628", "PESEL nr 02070803628"),
    "mask_german_id": ("Steuer-ID: 65 929 970 489", "Steueridentifikationsnummer 65929970489"),
    "mask_ipv6": ("ping 2400:cb00:2048:1::6814:1234: ok", "[2606:4700::1111]:443"),
    "mask_phone": (
        "Call +49 30 1234567.", "+1 (212) 555-1234", "+44 (0)20 7946 0958", "+34666555444", "0049 30 123456",
        "00-800-2413-3333", "(212) 555-1234", "1-800-273-8255", "408.868.1222 |", "电话13812345678，",
        "手机138 1234 5678", "座机010-12345678", "（0571）88888888", "(11) 91234-5678", "8 (495) 123-45-67",
        "0171-1234567", "030/1234567",
        "020 7946 0000", "01 23 45 67 89", "01.23.45.67.89", "03-1234-5678", "0120-123-456", "Tel: 612 345 678",
        "tel.: 22 123 45 67", "тел. 123-45-67", "电话：62345678", "06-12345678",
    ),
}  # fmt: skip
LEFT = (
    # dates, times, prices, versions, ratios, addresses of the net
    "2019-01-02 12:30", "05.12.2003-31.12.2004", "01/02/2003 10:30:45", "$1,234,567,890.00", "v1.02.03.0405",
    "1 234 567 890 people", "3.14159265358979", "0.123456789", "10.0.0.1:8080", "x+12345678901",
    "45 + 25 100 - 11 100",
    "https://a.example/2012345678901?id=4111111111111111", "2001:db8::1", "fe80::1", "std::abc::def",
    "12:34:56:78:9a:bc",
    # books, papers, parts, places
    "ISBN 978-0-306-40615-7", "ISBN 0-306-40615-2, 0306406152", "ISSN 0028-0836", "doi:10.1038/012-345-6789",
    "10.1234/4111111111111111", "arXiv 2306.01116", "PIN 05.21.400.019", "Edison NJ 08817 - 08837",
    "Boston, MA 02111-1307", "order 15675436903",
    "01 02 03 04 05 06 07 08 09 10", "1623456789012", "RFC 3849, 1995", "sha 4012888888881881abc",
    # well formed, wrong check digit or no such date
    "4111 1111 1111 1112", "DE88 3704 0044 0532 0130 00", "340524198001010011", "340524198013010015", "12345678A",
    "1 84 12 76 451 089 47", "MRTMTT91D08F205K", "SSN 000-12-3456", "SSN 987-65-4320", "PESEL 02070803629",
    "Steuer-ID 65929970488", "ZZ89 3704 0044 0532 0130 00",
    # right, but not labelled
    "123-45-6789", "02070803628", "65929970489",
)  # fmt: skip
PIECES = [
    *(example for examples in MASKED.values() for example in examples), *LEFT,
    " ", "", "\n", ".", "-", "/", "+", "(", ")", "0", "1", "00", "12 ", "3456", "Tel ", "SSN ", "中", "a", "X",
    ":", "::", "2001:", "@", "\ud800", "\0",
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in MASKED.items() for text in texts])
def test_masked(name: str, text: str) -> None:
    after, count = edit(name)(text)
    assert count == 1
    assert after != text
    assert edit("mask_pii")(text) == (after, 1)
    assert edit(name)(after) == (after, 0)


@pytest.mark.parametrize("text", LEFT)
def test_not_masked(text: str) -> None:
    assert edit("mask_pii")(text) == (text, 0)


def test_a_number_beside_a_masked_one_is_masked_too() -> None:
    assert edit("mask_phone")("（0571）88888888:1-800-273-8255") == (f"{PHONE_MASK}:{PHONE_MASK}", 2)


def test_only_the_number_changes() -> None:
    before = "Ana (ana@x.example):\t+49 30 1234567 0171-1234567\r\n or 8.8.8.8,\n IBAN AT61 1904 3002 3457 3201 BIC X "
    after = (
        f"Ana (email@example.com):\t{PHONE_MASK} {PHONE_MASK}\r\n or 192.0.2.1,\n IBAN GB82WEST12345698765432 BIC X "
    )
    assert edit("mask_pii")(before) == (after, 5)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@settings(max_examples=300, deadline=None)
def test_a_second_pass_changes_nothing(text: str) -> None:
    for name in (*MASKED, "mask_pii"):
        after, count = edit(name)(text)
        assert (count == 0) == (after == text), name
        assert edit(name)(after) == (after, 0), name


@given(st.text(alphabet="0123456789 +-().:/ABX中", max_size=60))
@settings(max_examples=200, deadline=None)
def test_masking_any_digits_is_idempotent(text: str) -> None:
    after, _ = edit("mask_pii")(text)
    assert edit("mask_pii")(after) == (after, 0)


@given(st.text(alphabet="abc ÄÖ,.!?\n中文。-", max_size=200))
@settings(max_examples=30, deadline=None)
def test_prose_without_digits_is_unchanged(text: str) -> None:
    assert edit("mask_pii")(text) == (text, 0)


@given(st.integers(0, 10**16 - 1))
def test_luhn_finds_every_wrong_digit(number: int) -> None:
    digits = f"{number:016}"
    right = [digit for digit in "0123456789" if luhn(digits[:-1] + digit)]
    assert len(right) == 1


@pytest.mark.parametrize(
    ("check", "number", "last"),
    [
        (is_card, "4012888888881881", 1),
        (is_iban, "DE89370400440532013000", 1),
        (is_chinese, "34052419800101001X", 1),
        (is_spanish, "12345678Z", 1),
        (is_spanish, "X1234567L", 1),
        (is_french, "184127645108946", 2),
        (is_italian, "MRTMTT91D08F205J", 1),
        (is_polish, "02070803628", 1),
        (is_german, "65929970489", 1),
    ],
)
def test_check_digits_find_every_wrong_end(check: Callable[[str], bool], number: str, last: int) -> None:
    """Of all check digits that the form allows, only the right one passes."""
    letters = string.ascii_uppercase if number[-1].isalpha() else ""
    ends = ["X", *string.digits] if check is is_chinese else letters or string.digits
    candidates = (number[:-last] + "".join(end) for end in product(ends, repeat=last))
    assert [candidate for candidate in candidates if check(candidate)] == [number]


@pytest.mark.parametrize(
    ("check", "number"),
    [(is_card, "4012888888881881"), (is_iban, "DE89370400440532013000"), (is_french, "184127645108946")],
)
def test_check_digits_find_every_wrong_digit_within(check: Callable[[str], bool], number: str) -> None:
    for place in range(6, len(number)):
        others = (number[:place] + digit + number[place + 1 :] for digit in string.digits)
        assert [other for other in others if check(other)] == [number], place


HOSTILE = (
    "1", "1 ", "1-", "01 ", "+1 ", "+1(", "(0)", "0 (", "4111 ", "4111 1111 1111 1112 ", "Tel 1", "Tel: ", "A1",
    "AB12 ", "2001:", ":", "::", "2a", "a.", "a@", "@", "1.1.1.1.", "SSN 1", "1 84 12 76 ", "12.345.", "00",
    "00 ", "(((((0",
    "X1", "12345678", "12345678A ", "ABCDEF85T10A562", "1380000 ", "中1", "电话",
)  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_any_text_takes_linear_time(piece: str) -> None:
    """Every part on 200 kB: linear work takes .1 s, quadratic work would take minutes."""
    text = piece * (200_000 // len(piece))
    begin = time.process_time()
    for _, change in PARTS:
        change(text)
    assert time.process_time() - begin < 3


def test_every_mask_is_listed() -> None:
    assert {name for name in EDITS if name.startswith("mask_")} == {*MASKED, "mask_email", "mask_ipv4", "mask_pii"}
