"""Decoding: pages whose label is wrong or missing, and properties that hold for any bytes."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.charset import as_utf8, decode

TEXTS = {
    "en": "It was a dark and stormy night; the rain fell in torrents, except at occasional intervals. ",
    "fr": "Où êtes-vous né ? Les élèves français préfèrent déjà l’été à Noël, où la forêt brûlée reverdit. ",
    "de": "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich; Äpfel, Öl und Übermut. ",
    "pl": "Zażółć gęślą jaźń; pchnąć w tę łódź jeża lub ośm skrzyń fig, a źdźbło żółknie. ",
    "ru": "Съешь же ещё этих мягких французских булок да выпей чаю, потому что вечером будет холодно. ",
    "el": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία, και ο ήλιος δύει πίσω από τα βουνά της Ελλάδας. ",
    "he": "דג סקרן שט בים מאוכזב ולפתע מצא חברה, ואז חזר הביתה לאכול ארוחת ערב עם המשפחה. ",
    "ar": "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر ومغلف بجلد أزرق في مكتبة المدينة. ",
    "zh": "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。今天的新闻说，经济发展很快，人民生活水平提高了。",
    "tw": "天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。今天的新聞說，經濟發展很快，人民生活水準提高了。",
    "ja": "いろはにほへと散りぬるを、我が世誰ぞ常ならむ。今日はとても天気がいいから散歩しましょう。カタカナも使う。",
    "ko": "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다. 오늘은 날씨가 매우 좋습니다. ",
    "th": "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน จงฝ่าฟันพัฒนาวิชาการ อย่าล้างผลาญฤๅเข่นฆ่าบีฑาใคร ",
}


def page(language: str, meta: str = "") -> str:
    head = f'<meta http-equiv="Content-Type" content="text/html; charset={meta}">' if meta else ""
    text = TEXTS[language]
    return f"<html><head>{head}<title>{text[:20]}</title></head><body><p>{text * 12}</p></body></html>"


# language, codec of the bytes, HTTP header, meta label, codec that must be found, evidence
HARD = [
    ("fr", "utf-8", "iso-8859-1", "", "utf-8", "utf-8"),
    ("ru", "utf-8", "windows-1251", "windows-1251", "utf-8", "utf-8"),
    ("zh", "utf-8", "gb2312", "gbk", "utf-8", "utf-8"),
    ("ja", "utf-8", "shift_jis", "", "utf-8", "utf-8"),
    ("de", "utf-8-sig", "iso-8859-1", "", "utf-8", "bom"),
    ("ru", "utf-16", "utf-8", "", "utf-16-le", "bom"),
    ("en", "utf-16-le", None, "", "utf-16-le", "detected"),
    ("zh", "utf-16-be", None, "", "utf-16-be", "detected"),
    ("ko", "utf-32-le", None, "", "utf-32-le", "detected"),
    ("ru", "cp1251", "utf-8", "", "cp1251", "detected"),
    ("ru", "cp1251", "utf-8", "windows-1251", "cp1251", "meta"),
    ("ru", "cp1251", "iso-8859-1", "", "cp1251", "detected"),
    ("ru", "koi8-r", "iso-8859-1", "koi8-r", "koi8-r", "meta"),
    ("ru", "koi8-r", "windows-1251", "koi8-r", "koi8-r", "meta"),
    ("el", "iso8859-7", "windows-1252", "", "iso8859-7", "detected"),
    ("he", "cp1255", "iso-8859-8-i", "", "cp1255", "header"),
    ("ar", "cp1256", "us-ascii", "windows-1256", "cp1256", "meta"),
    ("zh", "gb18030", "iso-8859-1", "", "gb18030", "detected"),
    ("zh", "gb18030", "gb2312", "", "gb18030", "header"),
    ("zh", "gb18030", "utf-8", "utf-8", "gb18030", "detected"),
    ("tw", "big5hkscs", None, "big5", "big5hkscs", "meta"),
    ("ja", "cp932", "x-sjis", "", "cp932", "header"),
    ("ja", "cp932", "euc-jp", "", "cp932", "detected"),
    ("ja", "euc_jp", "utf-8", "", "euc_jp", "detected"),
    ("ja", "iso2022_jp", None, "iso-2022-jp", "iso2022_jp", "meta"),
    ("ja", "iso2022_jp", "us-ascii", "", "iso2022_jp", "detected"),
    ("ko", "cp949", "ks_c_5601-1987", "", "cp949", "header"),
    ("ko", "iso2022_kr", None, "", "iso2022_kr", "detected"),
    ("zh", "hz", None, "hz-gb-2312", "hz", "meta"),
    ("fr", "utf-7", "utf-7", "", "utf-7", "header"),
    ("ja", "utf-7", "utf-7", "", "utf-7", "header"),
    ("th", "cp874", "tis-620", "", "cp874", "header"),
    ("pl", "cp1250", "windows-1250", "", "cp1250", "header"),
    ("pl", "iso8859-2", "", "iso-8859-2", "iso8859-2", "meta"),
    ("fr", "cp1252", "nonsense", "unicode", "cp1252", "detected"),
    ("fr", "cp1252", "gb2312", "", "cp1252", "detected"),
    ("de", "cp1252", "big5", "iso-8859-1", "cp1252", "meta"),
    ("en", "ascii", "utf-16", "utf-16", "utf-8", "utf-8"),
]


@pytest.mark.parametrize(("language", "codec", "header", "meta", "found", "evidence"), HARD)
def test_pages_with_wrong_labels(
    language: str, codec: str, header: str | None, meta: str, found: str, evidence: str
) -> None:
    text = page(language, meta).encode(codec, "replace").decode(codec).removeprefix("\ufeff")
    decoded = decode(text.encode(codec), header)
    assert decoded.text == text
    assert (decoded.charset, decoded.evidence, decoded.replaced) == (found, evidence, 0)


@pytest.mark.parametrize("cut", [1, 2])
def test_a_truncated_end_is_one_replacement(cut: int) -> None:
    body = page("zh").split("。")[0].encode()[:-cut]
    decoded = decode(body, "gbk")
    assert (decoded.charset, decoded.evidence, decoded.replaced) == ("utf-8", "utf-8", 1)
    assert decode(("<p>It was dark, said René").encode()[:-1], "utf-8").charset == "utf-8"


def test_a_bad_place_in_utf8_does_not_make_it_another_charset() -> None:
    body = page("fr").encode().replace(b"<p>", b"<p>\x93quoted\x94 ")
    decoded = decode(body, "windows-1251")
    assert (decoded.charset, decoded.evidence, decoded.replaced) == ("utf-8", "utf-8", 2)
    assert decoded.text.count("\ufffd") == 2


@pytest.mark.parametrize("signs", ["’", "“”", "\xa0\xa0\xa0", "©", "£", "…–"])
def test_stray_signs_in_english_are_windows_1252(signs: str) -> None:
    text = page("en").replace("stormy", f"{signs}stormy{signs}", 4)
    decoded = decode(text.encode("cp1252"), None)
    assert (decoded.text, decoded.charset, decoded.replaced) == (text, "cp1252", 0)


def test_labels_in_comments_and_beyond_the_prescan_do_not_count() -> None:
    body = page("ru", "koi8-r").encode("cp1251").replace(b"<meta", b"<!-- <meta").replace(b"<title>", b"--><title>")
    assert decode(body, None)[1:3] == ("cp1251", "detected")
    far = b"<html>" + b" " * 5000 + page("ru", "koi8-r").encode("cp1251")
    assert decode(far, None)[1:3] == ("cp1251", "detected")
    declared = b'<?xml version="1.0" encoding="koi8-r"?>' + TEXTS["ru"].encode("koi8-r")
    assert decode(declared, None)[1:3] == ("koi8-r", "meta")
    assert decode(declared, None, html=False).evidence == "detected"


def test_nuls_are_removed_and_counted() -> None:
    decoded = decode(b"some\0 text with\0 holes" * 50, None)
    assert decoded == ("some text with holes" * 50, "utf-8", "utf-8", 100)


def test_lone_surrogates_become_replacements() -> None:
    decoded = decode(b"<p>+2AA- +AOk- and +AOk-</p>", "utf-7")
    assert decoded.text == "<p>\ufffd é and é</p>" and decoded.replaced == 1


def test_surrogates_encoded_as_utf8_are_joined_or_replaced() -> None:
    joined = "an emoji \U0001f600 here".encode("utf-16-le").decode("utf-16-le")
    halves = "".join(map(chr, (0xD83D, 0xDE00))).encode("utf-8", "surrogatepass")
    decoded = decode(b"<p>an emoji " + halves + b" here", "iso-8859-1")
    assert decoded == ("<p>" + joined, "utf-8", "utf-8", 0)
    decoded = decode(page("en").encode() + b"\xed\xa0\x80 alone", None)
    assert decoded.text == page("en") + "\ufffd alone" and (decoded.charset, decoded.replaced) == ("utf-8", 1)


def test_a_pasted_mark_before_another_charset() -> None:
    decoded = decode(b"\xef\xbb\xbf" + page("ru").encode("cp1251"), "windows-1251")
    assert decoded.text == page("ru") and decoded.evidence == "header"


def test_binary_is_decoded_with_a_count() -> None:
    noise = bytes((i * 7919 >> 3) % 256 for i in range(20_000))
    decoded = decode(noise, None)
    assert decoded.evidence == "fallback" and decoded.replaced > 50


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300), st.one_of(st.none(), st.text(max_size=20)), st.booleans())
def test_any_bytes_give_clean_text(body: bytes, label: str | None, html: bool) -> None:
    decoded = decode(body, label, html=html)
    assert "\0" not in decoded.text
    decoded.text.encode()  # no lone surrogates
    assert decoded == decode(body, label, html=html)
    if not decoded.replaced:
        assert decoded.text.encode(decoded.charset).decode(decoded.charset) == decoded.text


# Those of U+0080 to U+009F, which a page in UTF-8 has by mistake: `repairs.py`.
CONTROLS = "".join(map(chr, range(0x80, 0xA0)))


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\x1b\ufeff" + CONTROLS), max_size=200))
def test_utf8_is_accepted_whatever_the_label(text: str) -> None:
    assert decode(text.encode(), "windows-1251").text == text


@pytest.mark.parametrize(
    "body",
    [
        b"<!--" * 500_000,
        b"<" * 2_000_000,
        b"<meta " * 300_000,
        b"+AA" * 600_000,
        b"~{" * 1_000_000,
        b"\x1b$" * 1_000_000,
        b"\x80" * 2_000_000,
        b"\x81\x30" * 1_000_000,
        b"\xff\xfe" * 999_999,
        b"\0" * 2_000_000,
        b"\0\x01" * 1_000_000,
    ],
    ids=lambda body: repr(body[:6]),
)
@pytest.mark.parametrize("label", [None, "utf-7", "hz", "iso-2022-jp", "gb18030"])
def test_hostile_bytes_take_bounded_time(body: bytes, label: str | None) -> None:
    started = time.process_time()
    decode(body, label)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("body", "same"),
    [
        (b"plain", True),
        ("<p>déjà vu".encode(), True),
        ("한국".encode(), False),  # begins with a byte that halves of UTF-16 pairs begin with
        (b"an emoji \xed\xa0\xbd\xed\xb8\x80 in halves", False),
        (b"\xef\xbb\xbfmarked", False),
        (b"cut off in the middle \xe4\xb8\xad of \xe4\xb8", False),
        (b"a \0 NUL", False),
        ("déjà".encode("cp1252") * 20, False),
        (b"\x1b$B$3$s$K$A$O\x1b(B", False),
    ],
)
def test_the_text_in_utf8_is_the_body_only_where_it_is(body: bytes, same: bool) -> None:
    decoded = decode(body, None)
    assert as_utf8(decoded, body) == decoded.text.encode()
    assert (as_utf8(decoded, body) is body) == same
