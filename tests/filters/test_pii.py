"""Masked numbers and addresses, similar text that is kept, and idempotence on any text."""

import string
import time
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import example, given, settings
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
    "mask_email_in_context": (
        "写信给keeper@light.org谢谢", "写信给 用户@例子.公司谢谢", "иван@почта.рф, пишите",
        "josé.garcía@correo.españa.es y",
        "अजय@डाटा.भारत को", "محمد@مثال.إختبار", "ana＠x.jp まで", "연락은ana@x.kr으로", "用户@例子.测试。",
        "o'brien@x.org", "o’neil@y.ie or", "'ana@x.org'", "\"bob@y.org\"", "<carl@z.net>", "(d'arc@x.fr)",
        "\"john doe\"@example.org", "“john doe”@example.org", "r&d@company.com", "$A12345@example.com",
        "!def!xyz%abc@example.com", "first.last+tag@sub.domain.co.uk;", "_______@example.com", "abc..def.@docomo.ne.jp",
        "mailto:ana@x.org?subject=x", "https://x.org/?email=ana@y.org&z=1", "ana@mail.com:hunter2",
        "Name|ana@x.org|tel",
        "a+b/c=d@sub.firm.io", "bounce+ana=firm.org@list.firm.io", "user%40firm.com", "?to=ana.b%40firm.co.uk&x=1",
        "user１２@firm.com", "ａｎａ＠firm.com",
        "**bob@y.com**", "user@[192.0.2.1]", "me@[IPv6:2001:db8::1]", "email@123.123.123.123", "ana@x.org.5",
        "ana@x.org-based", "ana@x.co.uk(home)", "ana@x.org(home)", "a@xn--bcher-kva.xn--p1ai", "email@example.museum",
        "ana\u200b@x.org", "ana@\u200bx.org", "ana@x\u00ad.org", "an\u00ada@mail\u2060box.org.", "ana@firm。com まで",
        "jose\u0301@x.fr y", "ana@x.org's box", "ติดต่อana@x.co.th", "ana@x.org، ثم", "\"a@b\"@x.org", "😀ana@x.org😀",
        "„ana@x.de“", "【ana@x.jp】", "メール：ana@x.jp（代表）", "דנה@דוגמה.קום", "μαρια@παράδειγμα.ελ",
        "김철수@회사.한국",
        "@ana@mastodon.social", "ana@x.org&amp;", "`ana@x.org`", "ana@x.org. Then(now)", f"{'a' * 64}@x.org",
    ),
    "mask_ipv4_in_context": (
        "ping 151.101.1.69 was slow", "151.101.1.69 - - [10/Oct/2000] \"GET", "http://93.184.216.34/x",
        "server 93.184.216.34:8080", "IP: 93.184.216.34", "host=93.184.216.34", "Your address is 93.184.216.34.",
        "version 5.15.0.102 from host 93.184.216.34", "地址8.8.4.4。", "root@8.8.8.8", "93.184.216.0/24",
        "dns 1.1.1.1", "(93.184.216.34)", "remote_addr: \"93.184.216.34\"",
    ),
    "mask_iban": ("IBAN DE89 3704 0044 0532 0130 00 BIC COBADEFF", "AT611904300234573201,",
        "户GB29NWBK60161331926819。", "DE89-3704-0044-0532-0130-00", "DE89.3704.0044.0532.0130.00 x",
        "iban=DE89370400440532013000",
        "de89 3704 0044 0532 0130 00", "FR76 30006 00001 12345678901 89", "CH93_0076_2011_6238_5295_7",
        "DE 89 3704 0044 0532 0130 00", "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
        "DE89\u20133704\u20130044\u20130532\u20130130\u201300",
        "DE89 - 3704 - 0044 - 0532 - 0130 - 00", "IBAN-GB29/NWBK/6016/1331/9268/19", "IT 60 X 05428 11101 000000123456",
        "MT84MALT011000012345MTLCAST001S",
        "DE89\n3704 0044 0532 0130 00", "DE89, 3704, 0044, 0532, 0130, 00", "| DE89 | 3704 | 0044 | 0532 | 0130 | 00 |",
        "DE89\u00ad3704\u00ad0044\u00ad0532\u00ad0130\u00ad00", "DE89\u200b37040044053201300\u200b0",
        "ＤＥ８９３７０４００４４０５３２０１３０００", "ＤＥ８９　３７０４　００４４　０５３２　０１３０　００。",
        "NO93 8601 1117 947",
        "RO49 AAAA 1B31 0075 9384 0000", "IBAN№DE89370400440532013000", "LC55HEMM000100010012001200023015",
        "DE89−3704−0044−0532−0130−00", "DE89\t3704\t0044\t0532\t0130\t00"),
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
        "電話０３－１２３４－５６７８", "（０３）１２３４５６７８", "＋８１　３　１２３４　５６７８",
        "手机１３８１２３４５６７８", "フリーダイヤル０１２０－１２３－４５６",
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
    # files, remotes, users of URLs, code, versions of packages, units
    "Use logo@2x.png and logo@3x.webp", "sprite@1.5x.min.svg", "git clone git@github.com:harbour/lamp.git",
    "git@gitlab.example.org", "scp a user@host.com:~/dir/x", "root@h.com:/etc", "ssh -i key root@server.example.com ls",
    "https://user:pw@host.example.com/path", "ftp://anonymous@ftp.x.org/a", "y = W@x.reshape(-1) + (A@B.mean(axis=0))",
    "z = A@B.T", "x@y.shape", "model@weights.to(device)", "this@MainActivity.finish()", "return@forEach.x",
    "@app.route('/x')", "@pytest.mark.parametrize", "@media.screen", "react@18.2.0", "@angular/core@12.0.0",
    "vue@next.js", "https://x.example/%40user/a", "logo%402x.png", "pkg%401.2.3", "x%40y",
    "１，２３４，５６７円", "２０１９年０１月０２日",
    "out = h@W.weight.t()", "X@X.T@y", "Q@K.transpose(-2, -1)", "np.eye(3)@v.T", "image@2x-dark.png", "hero@2x.avif",
    "nginx@sha256:0123abcd", "npm i lodash@4.17.21", "@types/node@18.0.0", "svn+ssh://user@svn.host.org/repo",
    "rsync -av user@host.example.com::module /dst", "git@ssh.dev.azure.com:v3/org", "postgres://u:p@db.example.com:5432/x",
    "getty@tty1.service", "a@b", "a @ b.org", "@x.org", "pkg@5.15.0.102", "#@%^%#$@#$@#.com", "email@-example.com",
    # versions, sections, coordinates
    "Chrome/120.0.0.0 Safari/537.36", "version 5.15.0.102 of the kernel", "[assembly: AssemblyVersion(\"4.7.12.0\")]",
    "See section 3.2.1.4 for the wick", "§ 3.2.1.4", "3.2.1.4 Wick trimming", "linux-5.15.0.102.tar", "pkg==11.2.3.4",
    ">=12.3.4.5", "versions 5.15.0.102 and 5.15.0.103, 5.15.0.104", "Upgrade from 11.0.23.2 to 11.0.23.3",
    "版本 5.15.0.102",
    "バージョン11.2.3.4", "release 4.3.2.1-beta", "firmware: 4.3.2.1", "Windows 11.0.22.5", "Firefox 115.0.2.1",
    "4.8.0.0",
    "FileVersion: 6.1.76.175", "N 51.28.40.5", "51.28.40.5 N", "51.28.40.5° E", "Kapitel 3.2.1.4", "раздел 3.2.1.4",
    "Office 16.0.5.2", "API 2.0.1.5", "1.2.3.4. Introduction", "OID 1.3.6.1.4.1", "Step 1.2.3.4:", "第1.2.3.4章",
    "NO12, 34, 56, 78, 90, 12, 0", "DE89\n37040044\n0532\n0130\n00",
    "48.8566, 2.3522", "40°26′46″N 79°58′56″W", "-33.8688 151.2093", "37.7749,-122.4194",
    "NO 12 men and 15 women in 2019 and 2020, 1 of 3", "DE89 3704 0044 0532 0130 0", "XX89 3704 0044 0532 0130 00",
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
    assert count == 1, after
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


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("\n".join))
@example("user@[192.0.2.1]@pytest.mark.parametrize")
@example("user@[192.0.2.1].Visa 5555555555554444.")
@example("me@[IPv6:2001:db8::1](212) 555-1234")
@example("写信给keeper@light.org谢谢0171-1234567연락은ana@x.kr으로")
@settings(max_examples=300, deadline=None)
def test_a_second_pass_changes_nothing(text: str) -> None:
    """Of lines: what stands around a number tells what it is, so what is joined in one may be another after a mask."""
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
    "a.", "a'", "ü@", "中@", "a@b.", "@a.", "a@a.a", "\"a\"@", "5.5.5.5 ", "v 5.5.5.5 and ", "DE89 ", "DE 8", "D-",
    "=1.2.3.4",
    "X1", "12345678", "12345678A ", "ABCDEF85T10A562", "1380000 ", "中1", "电话",
)  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_any_text_takes_linear_time(piece: str) -> None:
    """Every part on 200 kB: linear work takes .1 to 3 s, quadratic work would take minutes."""
    text = piece * (200_000 // len(piece))
    begin = time.process_time()
    for _, change in PARTS:
        change(text)
    assert time.process_time() - begin < 15


def test_every_mask_is_listed() -> None:
    assert {name for name in EDITS if name.startswith("mask_")} == {*MASKED, "mask_email", "mask_ipv4", "mask_pii"}
