"""Wrong characters in sound UTF-8, and letters of Central Europe read as Western ones: put right where it is sure."""

import re

import pytest

from pipeline.extract.charset import as_utf8, decode
from pipeline.extract.latin_letters import right_latin
from tests.pipeline.extract.test_charset import TEXTS

CENTRAL = {
    "tr": "İstanbul’da sonbahar yılın en güzel mevsimidir; yapraklar altın rengine döner ve çoğu kişi ağaçlara bakar, "
          "şehirde ışıklar yanar. ",
    "ro": "Şi în această toamnă oraşul îşi trăieşte viaţa: oamenii ieşiţi la plimbare privesc frunzele şi aşteaptă. ",
    "hu": "Az őszi erdő színei gyönyörűek, és a hegyről a tóra nyíló kilátás is szép; az idő hűvös, de a fű még zöld. "
          "Később két nő érkezett, és a kőszobor előtt megálltak. ",
    "cs": "Dnes večer přijde déšť, zítra však bude slunečno; děti si můžou hrát na hřišti, píší. ",
    "sk": "Ľudia včera dúfali, že veľká búrka čoskoro prejde; žiaľ, dážď trval do večera a je veľmi chladno. ",
    "hr": "Večeras će u našem gradu biti kiša, a još sutra sunčano; možda će djeca čak šetati uz rijeku, kaže čovjek. ",
    "lt": "Vakarė žvelgė į šviesų rytą: žmonės ėjo šaligatviu, džiaugėsi baltomis liepomis ir šnekėjosi. ",
    "lv": "Šovakar gaidāms lietus, bet rītdien būs saulains un silts; bērni varēs spēlēties, sacīja žurnālists. "
          "Mūsu mājās šodien ir klusi. ",
    "pl": "Jesień w Krakowie jest najpiękniejszą porą roku: liście stają się złote, ludzie idą na łąkę, było ciepło. ",
}  # fmt: skip
WRITTEN = [("tr", "cp1254"), ("ro", "cp1250"), ("ro", "iso8859-2"), ("hu", "cp1250"), ("hu", "iso8859-2"),
           ("cs", "cp1250"), ("cs", "iso8859-2"), ("sk", "cp1250"), ("sk", "iso8859-2"), ("hr", "cp1250"),
           ("hr", "iso8859-2"), ("lt", "cp1257"), ("lv", "cp1257"), ("pl", "cp1250"), ("pl", "iso8859-2")]  # fmt: skip
WESTERN = [
    *(TEXTS[language] for language in ("en", "fr", "de")),
    "Það er gott að þú ert hér; ég ætla að fara út í búð og kaupa mjólk, brauð, smjör og ýmislegt þess háttar. ",
    "Não há dúvida de que as situações já não são as mesmas: as eleições serão em março, após as férias e opiniões. ",
    "Tämä on hyvin kaunis päivä, ja öljy on pöydällä; õhtul sajab vihma, aga homme tuleb päike, ütles külaelanik. ",
    "È già così: perché non può più venire? La città è bella, però è lontana, e il caffè è più caro di ieri. ",
    "På søndag går vi på en tur i skogen; det er både kjølig og tørt, og vi håper på blå himmel, sa mannen fra øya. ",
    "Áður fyrr var hetta øðrvísi: fólk í Føroyum segði, at tað var ógvuliga kalt, og at sjógvurin var ringur at fara. ",
    "El nº 1º de la lista, ¿qué años tenía? El niño comió piñas en la mañana; según él, están más ricas aquí. ",
    "Ní bheidh mé ag dul ann, ach tá súil agam go mbeidh lá breá agaibh; bhí an fear óg ag caint le mná an tí. ",
    "Një ditë e bukur në qytet: fëmijët luajnë në park, ndërsa pleqtë bëjnë biseda të gjata dhe pinë çaj të zi. ",
    "5 m³ of water¹ and 3 ft² of soil², see note³ and note¹ below: about 10³ times³ more¹, ± 5 %¹. ",
    "Mijn zoon heeft één café geërfd, coördineert ideeën en reünies, en geniet naïef van crème brûlée en paté. ",
]


@pytest.mark.parametrize("label", ["iso-8859-1", "windows-1252"])
@pytest.mark.parametrize(("language", "codec"), WRITTEN)
def test_letters_under_a_western_label(language: str, codec: str, label: str) -> None:
    text = CENTRAL[language].replace("’", "'") * 2
    decoded = decode(f"<p>{text}".encode(codec), label)
    assert decoded.text == f"<p>{text}" and decoded.evidence in ("header-repaired", "detected")


@pytest.mark.parametrize(
    ("language", "codec"), [pair for pair in WRITTEN if pair[1] != "iso8859-2" or pair[0] in "rohu"]
)
def test_letters_that_became_utf8(language: str, codec: str) -> None:
    text = CENTRAL[language].replace("’", "'").replace("ť", "t") * 2  # which has no character in windows-1252
    wrong = text.encode(codec).decode("cp1252")
    decoded = decode(f"<p>{wrong}".encode(), "utf-8")
    # signs that stand alone are left as they are
    assert decoded.text == f"<p>{text}" and decoded.evidence == "utf-8-repaired"


@pytest.mark.parametrize("text", [*WESTERN, *CENTRAL.values()])
def test_right_letters_stay(text: str) -> None:
    assert right_latin(text * 5) is None
    assert decode((text * 5).encode(), None).evidence == "utf-8"
    western = (text * 5).encode("cp1252", "ignore")
    if text in WESTERN:
        assert decode(western, "windows-1252").text == western.decode("cp1252")


def twice(text: str, wrong: str = "cp1252") -> str:
    return "".join(bytes([byte]).decode(wrong, "ignore") or chr(byte) for byte in text.encode())


@pytest.mark.parametrize("language", ["fr", "de", "ru", "zh", "ja"])
def test_a_page_of_which_a_part_was_encoded_twice(language: str) -> None:
    text = TEXTS[language] * 2
    body = f"<p>{text}</p><div title='é'><p>{twice(text)}</p><a>{twice('é')}</a></div><p>{text}</p>".encode()
    decoded = decode(body, "utf-8")
    assert decoded.text == f"<p>{text}</p><div title='é'><p>{text}</p><a>é</a></div><p>{text}</p>"
    assert decoded.evidence == "utf-8-repaired" and as_utf8(decoded, body).decode() == decoded.text


@pytest.mark.parametrize(
    "text",
    [
        "<p>é</p><p>Write é and not Ã©, – and not â€“, ’ and not â€™, ü and not Ã¼, ö and not Ã¶, ä and not Ã¤.</p>"
        * 3,
        "".join(
            f"<tr><td>{char}</td><td>{char.encode().decode('cp1252', 'ignore')}</td></tr>" for char in "éèüöä’–“ñó"
        ),
    ],
)
def test_a_page_about_wrong_characters_stays(text: str) -> None:
    assert decode(text.encode(), None).text == text


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("language", ["fr", "de"])
def test_references_that_php_made_of_utf8(language: str, named: bool) -> None:
    from html.entities import codepoint2name

    def reference(found: re.Match[str]) -> str:
        number = ord(found[0])
        return f"&{codepoint2name[number]};" if named and number in codepoint2name else f"&#{number};"

    text = TEXTS[language]
    body = f"<p>{re.sub('[^ -~]', reference, twice(text))} &lt;b&gt; &amp;eacute; &hellip;</p>".encode()
    decoded = decode(body, None)
    assert decoded.text == f"<p>{text} &lt;b&gt; &amp;eacute; &hellip;</p>" and decoded.evidence == "utf-8-repaired"


def test_control_characters_are_signs_of_windows_1252() -> None:
    rest = "It was a dark and stormy night; the rain fell in torrents."
    body = f"<p>{rest}</p><p>It\x92s a \x93quote\x94 \x96 caf\xe9 \x85 5 \x80, and a dash \xe2\x80\x94 here".encode()
    decoded = decode(body, "utf-8")
    assert decoded.text == f"<p>{rest}</p><p>It’s a “quote” – café … 5 €, and a dash — here"
    assert decoded.evidence == "utf-8-repaired"
    polish = "<p>\x84Zażółć gęślą jaźń\x94 \x96 powiedział dziś śpiewak z łódki; jeżeli można, bądź źródłem ciepła."
    polish += CENTRAL["pl"]
    decoded = decode(polish.encode("iso8859-2"), "iso-8859-2")
    assert decoded.text == polish.replace("\x84", "„").replace("\x94", "”").replace("\x96", "–")
    assert decoded.evidence == "header-repaired"


def test_many_control_characters_are_no_signs() -> None:
    body = "".join(map(chr, range(0x80, 0xA0))).encode() * 20
    assert decode(body, None).evidence == "utf-8"
