"""Wrong labels that decode, and UTF-8 encoded twice: read again where it is certain, and told; left where it is not."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.charset import as_utf8, decode
from pipeline.extract.mojibake import right_codec, undoubled
from tests.pipeline.extract.test_charset import TEXTS

MORE = {
    "uk": "Сьогодні ввечері очікується дощ, а завтра вдень буде сонячно і тепло по всій території нашої країни. ",
    "bg": "Утре ще бъде слънчево и топло, а вечерта се очаква дъжд в София и Пловдив през цялата седмица. ",
    "pt": "Não há dúvida de que a situação já não é a mesma: as eleições serão em março, após as férias. ",
    "vi": "Hôm nay trời nắng đẹp, chúng tôi đi dạo trong công viên và ăn một bữa trưa thật ngon ở nhà hàng. ",
    "pl2": "Są też źródła, w których wciąż można znaleźć ślady dawnej świetności: śnieg, mąka, książki i gałązki. ",
    "cs": "Dnes večer přijde déšť, zítra však už bude slunečno a teplo; děti si můžou hrát na hřišti až do večera. ",
}
ALL = TEXTS | MORE
WRONG = [
    ("ja", "euc_jp", "shift_jis", "euc_jp"), ("ja", "cp932", "euc-jp", "cp932"), ("ru", "koi8-r", "windows-1251",
    "koi8-r"),
    ("uk", "koi8-u", "windows-1251", "koi8-u"), ("bg", "koi8-r", "windows-1251", "koi8-r"),
    ("ru", "cp1251", "koi8-r", "cp1251"), ("uk", "cp1251", "koi8-u", "cp1251"), ("ru", "cp866", "windows-1251",
    "cp866"),
    ("ru", "iso8859-5", "windows-1251", "iso8859-5"), ("ru", "cp1251", "iso-8859-5", "cp1251"),
    ("tw", "big5", "gb2312", "big5hkscs"), ("tw", "big5", "gbk", "big5hkscs"), ("zh", "gb2312", "big5", "gb18030"),
    ("ko", "euc_kr", "gb2312", "cp949"), ("pl2", "iso8859-2", "windows-1250", "iso8859-2"),
    ("pl2", "cp1250", "iso-8859-2", "cp1250"), ("cs", "cp1250", "iso-8859-2", "cp1250"),
    ("ja", "euc_jp", "gb2312", "euc_jp"), ("pl", "iso8859-2", "iso-8859-1", "iso8859-2"),
    ("pl", "cp1250", "iso-8859-1", "cp1250"), ("pl2", "cp1250", "windows-1252", "cp1250"),
    ("pl2", "iso8859-2", "windows-1252", "iso8859-2"), ("ru", "cp1251", "iso-8859-1", "cp1251"),
    ("ru", "koi8-r", "iso-8859-1", "koi8-r"), ("el", "cp1253", "iso-8859-1", "iso8859-7"),
    ("he", "cp1255", "windows-1252", "cp1255"), ("ar", "cp1256", "iso-8859-1", "cp1256"),
    ("ko", "euc_kr", "iso-8859-1", "cp949"), ("ko", "euc_kr", "shift_jis", "cp949"),
    ("ko", "euc_kr", "big5", "cp949"), ("zh", "gb2312", "euc-jp", "gb18030"), ("zh", "gb2312", "shift_jis", "gb18030"),
    ("tw", "big5", "euc-kr", "big5hkscs"),
]  # fmt: skip
RIGHT = [
    ("ja", "euc_jp"), ("ja", "shift_jis"), ("ru", "koi8-r"), ("ru", "windows-1251"), ("uk", "windows-1251"),
    ("bg", "windows-1251"), ("ru", "ibm866"), ("ru", "iso-8859-5"), ("tw", "big5"), ("zh", "gb2312"), ("ko", "euc-kr"),
    ("fr", "iso-8859-1"), ("pl", "iso-8859-2"), ("pl2", "iso-8859-2"), ("pl2", "windows-1250"),
    ("cs", "windows-1250"), ("cs", "iso-8859-2"), ("el", "windows-1253"),
]  # fmt: skip


@pytest.mark.parametrize("where", ["header", "meta"])
@pytest.mark.parametrize(("language", "written", "label", "codec"), WRONG)
def test_a_wrong_label_that_decodes(language: str, written: str, label: str, codec: str, where: str) -> None:
    text = ALL[language].replace("ё", "е") * 2
    meta = f'<meta charset="{label}">' if where == "meta" else ""
    body = f"<html>{meta}<p>{text}".encode(written)
    decoded = decode(body, label if where == "header" else None)
    # two labels of one page are never right together, so that the other one may have been found before
    assert decoded.text.endswith(text)
    assert (decoded.charset, decoded.evidence) in {(codec, f"{where}-repaired"), (codec, "detected")}
    assert as_utf8(decoded, body).decode() == decoded.text


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize(("language", "label"), RIGHT)
def test_a_right_label_stays(language: str, label: str, upper: bool) -> None:
    text = ALL[language].replace("€", "") * 2
    text = text.upper() if upper else text
    body = f"<p>{text}".encode(label, "ignore")
    decoded = decode(body, label)
    assert decoded.text == body.decode(label) and decoded.evidence == "header"


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("wrong", ["cp1252", "latin-1", "cp1251"])
@pytest.mark.parametrize("language", ["fr", "de", "ru", "el", "zh", "ja", "ko", "pt", "vi", "th"])
def test_utf8_encoded_twice(language: str, wrong: str, times: int) -> None:
    text = ALL[language]
    doubled = text
    for _ in range(times):
        read = [bytes([byte]) for byte in doubled.encode()]
        doubled = "".join(byte.decode(wrong, "ignore") or byte.decode("latin-1") for byte in read)
    body = f"<p>{doubled}".encode()
    decoded = decode(body, "utf-8")
    assert decoded.text == f"<p>{text}"
    assert (decoded.charset, decoded.evidence) == ("utf-8", "utf-8-repaired")
    assert as_utf8(decoded, body).decode() == decoded.text


@pytest.mark.parametrize(
    ("language", "wrong"),
    [("fr", "cp1250"), ("fr", "mac_roman"), ("fr", "cp850"), ("fr", "cp437"), ("pt", "mac_roman"), ("pt", "cp850"),
     ("pl", "cp1250"), ("pl2", "mac_roman"), ("cs", "cp1250"), ("cs", "mac_roman"), ("ru", "cp437"), ("ru", "cp1254"),
     ("vi", "cp1250")],
)  # fmt: skip
def test_utf8_encoded_twice_through_a_rare_charset(language: str, wrong: str) -> None:
    text = ALL[language]
    doubled = "".join(
        bytes([byte]).decode(wrong, "ignore") or bytes([byte]).decode("latin-1") for byte in text.encode()
    )
    decoded = decode(f"<p>{doubled}".encode(), "utf-8")
    assert (decoded.text, decoded.evidence) == (f"<p>{text}", "utf-8-repaired")


@pytest.mark.parametrize("text", ["┼¢ ┼¢ ┼¢", "5 m³ i 10¹ cm³, a¹ b¹ c³ d³", "√2, √3, √5 ≈ 2", "Ă, Ă, Ă și ă"])
def test_what_two_charsets_explain_stays(text: str) -> None:
    assert undoubled(text) is None
    assert decode(text.encode("cp1252", "ignore"), "windows-1252").evidence in ("header", "utf-8")


@pytest.mark.parametrize(
    "text",
    [
        *ALL.values(), *(text.upper() for text in ALL.values()), "Ã©", "IRMÃ” e NÃO",
        "Ã© Ã¨ is how é and è are misread; ü, ö, ä, ß are not",
        "“Â” and ‘Ã’ are letters", "naïve café", "Â£5", "Â© 2020, Â® and â„¢ — 中文 中文 中文 中文 中文",
    ],
)  # fmt: skip
def test_text_that_is_not_certain_stays(text: str) -> None:
    assert undoubled(text) is None
    assert decode(text.encode(), None).evidence == "utf-8"


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=200)
    | st.text("ÃÂâ€©™ÐРСџа\u0080\u00a0 é", max_size=60)
)
@settings(max_examples=200, deadline=None)
def test_what_was_undone_is_done(text: str) -> None:
    after = undoubled(text)
    assert after is None or undoubled(after) is None or len(after) < len(text)
    decoded = decode(text.encode("utf-8", "replace"), None)
    assert decoded.evidence.endswith("-repaired") or decoded.text == text.removeprefix("\ufeff")


@pytest.mark.parametrize("piece", [b"\xc3\x83\xc2\xa9", b"\xd0\xa0", b"\xc3\x83", b"\xa4\xa2", b"<", b"\xe0\xc1"])
def test_any_length_takes_linear_time(piece: bytes) -> None:
    body = piece * (2_000_000 // len(piece))
    begin = time.process_time()
    decode(body, "windows-1251")
    for codec in ("cp1251", "cp932", "gb18030"):
        right_codec(body, codec)
    assert time.process_time() - begin < 12
