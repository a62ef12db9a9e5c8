"""Text that was read in the wrong charset and decoded all the same: found by what it is made of, and read again.

Two kinds. A label may be wrong and its charset decode every byte: EUC-JP under Shift_JIS is half-width kana, KOI8-R
under windows-1251 rare letters in capitals, Big5 under GB2312 hanzi that nobody uses, Polish of ISO-8859-2 under
windows-1250 signs inside words (`s±`), under windows-1252 digits (`by³a`), and the other way round control characters.
Then another charset of the same family is taken if its text is of common letters and the label's is not. And UTF-8 may
have been read as windows-1252 (or 1251, 1250, Mac Roman, a code page of DOS) and written as UTF-8 again, once or more
often: `Ã©` for é. That is undone where such sequences are most of what is not ASCII.

Nothing is changed in case of doubt: shares and bounds leave a wide gap between text and mojibake (measured on 475 pages
of 49 charsets, each under its own and under the wrong labels).
"""

import re
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.extract.latin_letters import right_latin
from pipeline.extract.references import characters
from pipeline.extract.text_sample import text_sample

# The least letters that are judged.
MIN_LETTERS: Final = 24
MIN_SEQUENCES: Final = 3
# The share of the characters that are not ASCII that must be in such sequences.
MIN_COVERED: Final = 0.8

_FOREIGN = re.compile(r"[^\x00-\x7f\W\d_]")
# The letters of Russian, Ukrainian, Bulgarian, Serbian and Macedonian that are 60 to 75 % of a text.
_CYRILLIC_COMMON = re.compile("[оеаинтсрвлкОЕАИНТСРВЛК]")
_CYRILLIC_SMALL = re.compile("[а-яѐ-џґ]")
# A word that begins with a small letter and goes on in capitals, as KOI8 and windows-1251 make of each other's.
_INVERTED = re.compile(r"\b[а-яё][А-ЯЁ]{3,}\b")
_KANA = re.compile("[ぁ-んァ-ヴー]")
_HANGUL = re.compile("[가-힣]")
# The hundred most used hanzi, in both scripts: 35 to 50 % of a text, under 5 % of random ones.
_HAN_COMMON = re.compile(
    "[的一是不了人我在有他这這中大来來上国國个個到说說们們为為子和你地出道也时時年得就那要下以生会會自着著去之过過家学學对對可她里裡"
    "后後小么麼心多天而能好都然没沒日于於起还還发發成事只作当當想看文无無开開手十用主行方又如前所本见見经經头頭面公同三已老从從动動两兩长長]"
)
_FAMILIES: Final = (
    frozenset({"cp1251", "koi8-r", "koi8-u", "iso8859-5", "cp866"}),
    frozenset({"gb18030", "big5hkscs", "cp950", "cp932", "shift_jis_2004", "euc_jp", "euc_jis_2004", "cp949"}),
)
_JAPANESE: Final = frozenset({"cp932", "shift_jis_2004", "euc_jp", "euc_jis_2004"})
MIN_HANGUL: Final = 0.9
_CYRILLIC_READINGS: Final = ("cp1251", "koi8-r", "cp866", "iso8859-5")
_ASIAN_READINGS: Final = ("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949")
# What one charset of Central Europe makes of letters of the other, where it stands behind a letter: of ą, ś, ź and
# their capitals signs; of ś, š, ť, ž, ź and theirs control characters.
_MISFITS: Final = {
    "cp1250": re.compile("(?<=[^\\W\\d_])[±¶¦¬ˇ]"),
    "iso8859-2": re.compile("(?<=[^\\W\\d_])[\x8a\x8c-\x8f\x9a\x9c-\x9f]"),
}
MIN_MISFITS: Final = 4
# What windows-1252 makes of Polish ł, ż, ą (windows-1250), ą, ś (ISO-8859-2), inside words.
_INSIDE = re.compile("(?<=[a-zêæñó])[³¿¹±¶](?=[a-zêæñó])")
_INSIDE_BYTES: Final = (b"\xb3", b"\xbf", b"\xb9", b"\xb1", b"\xb6")
# A text is mojibake up to the first score, and another reading is text from the second on. Cyrillic: common letters are
# .5 to .75 of a text and .2 to .45 of a wrong reading, which has its capitals in the wrong places too.
MAX_WRONG: Final = 0.45
MIN_RIGHT: Final = 0.6
CASE_WEIGHT: Final = 0.3
MAX_WRONG_ASIAN: Final = 0.1
MIN_RIGHT_ASIAN: Final = 0.2


def right_codec(body: bytes, codec: str) -> str | None:
    """The charset that the body is in, where it is another one than `codec`, which a label says and which decodes it;
    None if the label may be right."""
    if codec == "cp1252":
        return _right_polish(body) or right_latin(_decoded(text_sample(body), codec))
    if codec in _MISFITS:
        return _right_central(text_sample(body), codec)
    if codec not in _FAMILIES[0] and codec not in _FAMILIES[1]:
        return None
    sample = text_sample(body)
    return _right_cyrillic(sample, codec) if codec in _FAMILIES[0] else _right_asian(sample, codec)


def _right_central(sample: bytes, codec: str) -> str | None:
    other = next(each for each in _MISFITS if each != codec)
    own, others = (len(_MISFITS[each].findall(_decoded(sample, each))) for each in (codec, other))
    return other if own >= max(MIN_MISFITS, 10 * others) else None


def _right_polish(body: bytes) -> str | None:
    if sum(map(body.count, _INSIDE_BYTES)) < MIN_MISFITS:
        return None
    found = _INSIDE.findall(_decoded(text_sample(body), "cp1252"))
    if len(found) < MIN_MISFITS or len(set(found)) < 2:
        return None
    return "cp1250" if found.count("¹") >= found.count("±") + found.count("¶") else "iso8859-2"


def _right_cyrillic(sample: bytes, codec: str) -> str | None:
    common, cased = _cyrillic(sample, codec)
    if cased > MAX_WRONG or (common > MAX_WRONG and not _INVERTED.search(_decoded(sample, codec))):
        return None
    least = max(MIN_RIGHT, cased + (MIN_RIGHT - MAX_WRONG))
    others = [other for other in _CYRILLIC_READINGS if other != codec and _cyrillic(sample, other)[1] >= least]
    if not others:
        return None
    right = max(others, key=lambda other: len(_letters(sample, other)))
    # KOI8-U has letters where KOI8-R has lines and boxes
    ukrainian = right == "koi8-r" and len(_letters(sample, "koi8-u")) > len(_letters(sample, right))
    return "koi8-u" if ukrainian else right


def _right_asian(sample: bytes, codec: str) -> str | None:
    own = _asian(sample, codec)
    if own > MAX_WRONG_ASIAN:
        return None
    scores = {other: _asian(sample, other) for other in _ASIAN_READINGS if other != codec}
    right = max(scores, key=lambda other: scores[other])
    return right if scores[right] >= max(MIN_RIGHT_ASIAN, 2 * own) else None


def _letters(sample: bytes, codec: str) -> str:
    return "".join(_FOREIGN.findall(_decoded(sample, codec)))


def _decoded(sample: bytes, codec: str) -> str:
    return sample.decode(codec, "replace")


def _cyrillic(sample: bytes, codec: str) -> tuple[float, float]:
    """The share of common letters among those that are not ASCII, and the same with a weight for small letters; 1 of
    too few letters."""
    letters = _letters(sample, codec)
    if len(letters) < MIN_LETTERS:
        return 1.0, 0.0
    common = len(_CYRILLIC_COMMON.findall(letters)) / len(letters)
    return common, common + CASE_WEIGHT * (len(_CYRILLIC_SMALL.findall(letters)) / len(letters) - 0.5)


def _asian(sample: bytes, codec: str) -> float:
    """How much of a text's letters are those that its language uses most: of Chinese the common hanzi, of Japanese half
    of the kana too, of Korean half of the Hangul. 0 where many places are undecodable, 1 of too few letters under a
    label."""
    text = _decoded(sample, codec)
    letters = "".join(_FOREIGN.findall(text))
    bad = text.count("\ufffd")
    if len(letters) < MIN_LETTERS:
        return 1.0 if bad < MIN_LETTERS else 0.0
    if bad * 50 > len(letters):
        return 0.0
    common = len(_HAN_COMMON.findall(letters))
    if codec in _JAPANESE:
        return (common + len(_KANA.findall(letters))) / 2 / len(letters)
    if codec == "cp949":
        hangul = len(_HANGUL.findall(letters)) / len(letters)
        return hangul / 2 if hangul >= MIN_HANGUL else 0.0
    return common / len(letters)


_HIGH: Final = range(0x80, 0x100)


def _table(codec: str) -> dict[int, str]:
    """What each byte may have become: its characters in the charset and in Latin-1."""
    return {byte: bytes([byte]).decode(codec, "ignore") + (chr(byte) if byte < 0xA0 else "") for byte in _HIGH}


def _sequences(table: dict[int, str]) -> re.Pattern[str]:
    """UTF-8 of one character, as the characters that its bytes became."""

    def some(first: int, last: int) -> str:
        return "[" + re.escape("".join(table[byte] for byte in range(first, last + 1))) + "]"

    rest = some(0x80, 0xBF)
    two, three, four = some(0xC2, 0xDF), some(0xE0, 0xEF), some(0xF0, 0xF4)
    # a set of characters at the beginning is searched for in a fraction of the time
    return re.compile(f"{some(0xC2, 0xF4)}(?:(?<={two}){rest}|(?<={three}){rest}{{2}}|(?<={four}){rest}{{3}})")


_WESTERN: Final = _table("cp1252")
_RUSSIAN: Final = _table("cp1251")


def _pairs(chars: str) -> npt.NDArray[np.bool_]:
    """The first two bytes of these characters in UTF-8, as a table."""
    found = np.zeros((256, 256), np.bool_)
    for char in chars:
        found[char.encode()[0], char.encode()[1]] = True
    return found


_AFTER_WESTERN: Final = _pairs("".join(_WESTERN[byte] for byte in range(0x80, 0xC0)))
_AFTER_RUSSIAN: Final = _pairs("".join(_RUSSIAN[byte] for byte in range(0x80, 0xC0)))


class _Reading(NamedTuple):
    """A charset that UTF-8 may have been read as: its sequences, and the byte of each of their characters."""

    sequences: re.Pattern[str]
    byte_of: dict[int, int]


def _reading(table: dict[int, str]) -> _Reading:
    return _Reading(_sequences(table), {ord(char): byte for byte, chars in table.items() for char in chars})


_READ_AS: Final = (_reading(_WESTERN), _reading(_RUSSIAN))
_RARELY_READ_AS: Final = tuple(_reading(_table(codec)) for codec in ("cp1250", "mac_roman", "cp850", "cp437", "cp1254"))
# What the bytes 0xC3 to 0xC5, 0xD0 and 0xD1, with which most such texts begin a character, are in the last of these.
_RARE_LEADS: Final = "ĂÄĹ√ƒ≈├─┼╨╤Ğ"
# The second bytes of those first characters: Â to ô, В to п, р to ф.
_SECOND: Final = {0xC3: (0x82, 0xB4), 0xD0: (0x92, 0xBF), 0xD1: (0x80, 0x84)}
_MOST_ROUNDS: Final = 3
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
# What is repaired in parts: texts between tags, on the evidence of those that have so many characters.
_BETWEEN_TAGS = re.compile(">[^<>]+")
MIN_PART_CHARACTERS: Final = 30
MIN_PART_SEQUENCES: Final = 6
_REFERENCES = re.compile("(?:&(?:#[0-9]{2,4}|[A-Za-z][A-Za-z0-9]{1,7});){2,16}")


def has_hint(body: bytes) -> bool:
    """Whether a body in UTF-8 may hold what `undoubled` undoes: a quick test that most pages fail.

    A sequence has two to four characters that are not ASCII. It begins with what the charset has from 0xC2 to 0xF4,
    and goes on with what it has from 0x80 to 0xBF.
    """
    page = np.frombuffer(body, np.uint8)
    western = _hits(body, page, 0xC3, _AFTER_WESTERN)
    russian = _hits(body, page, 0xD0, _AFTER_RUSSIAN) + _hits(body, page, 0xD1, _AFTER_RUSSIAN)
    most = max(western, russian, sum(body.count(lead.encode()) for lead in _RARE_LEADS))
    return bool(most >= MIN_SEQUENCES and most >= MIN_COVERED / 4 * np.count_nonzero(page >= 0xC0))


def _hits(body: bytes, page: npt.NDArray[np.uint8], lead: int, rest: npt.NDArray[np.bool_]) -> int:
    if lead not in body:
        return 0
    at = np.flatnonzero(page[:-3] == lead)
    first, last = _SECOND[lead]
    at = at[(page[at + 1] >= first) & (page[at + 1] <= last)]
    return int(rest[page[at + 2], page[at + 3]].sum())


def undoubled(text: str) -> str | None:
    """The text without the wrong reading that came between two encodings in UTF-8; None if there was none for sure."""
    changed = None
    for _ in range(_MOST_ROUNDS):
        after = next((found for reading in _READ_AS if (found := _once(text, reading)[0]) is not None), None)
        if after is None and any(lead in text for lead in _RARE_LEADS):
            after = _clearest([_once(text, reading) for reading in _RARELY_READ_AS])
        if after is None:
            break
        changed = text = after
    return changed


def _clearest(found: list[tuple[str | None, int]]) -> str | None:
    """The text in which most sequences were meant; None where two have as many and differ."""
    most = max(good for _, good in found)
    best = {text for text, good in found if good == most and text is not None}
    return best.pop() if len(best) == 1 else None


def _once(text: str, reading: _Reading) -> tuple[str | None, int]:
    """The text with what its sequences were meant to be, and how many these are; None if they are too few."""
    after, good, share = _counted(text, reading)
    # most of what is not ASCII is in such sequences, or every letter would have to be a strange pair
    return (after if good >= MIN_SEQUENCES and share >= MIN_COVERED else None), good


def _counted(text: str, reading: _Reading) -> tuple[str, int, float]:
    """The text with what its sequences were meant to be, how many these are, and their share of what is not ASCII."""
    good = covered = 0

    def meant(match: re.Match[str]) -> str:
        nonlocal good, covered
        try:
            char = match[0].translate(reading.byte_of).encode("latin-1").decode()
        except UnicodeError:
            return match[0]
        good += 1
        covered += len(match[0])
        return char

    after = reading.sequences.sub(meant, text)
    return after, good, covered / max(1, len(_NOT_ASCII.findall(text)))


def undoubled_in_parts(text: str) -> str | None:
    """A page of which some texts were encoded twice and others were not: those between two tags that are wrong, put
    right. None unless there are long ones that show it."""
    changed = None
    for _ in range(_MOST_ROUNDS):
        after = next((found for reading in _READ_AS if (found := _in_parts(text, reading)) is not None), None)
        if after is None:
            break
        changed = text = after
    return changed


def _in_parts(text: str, reading: _Reading) -> str | None:
    sure = 0

    def meant(match: re.Match[str]) -> str:
        nonlocal sure
        if not reading.sequences.search(match[0]):
            return match[0]
        after, good, share = _counted(match[0], reading)
        if share < MIN_COVERED:
            return match[0]
        sure += good if len(match[0]) >= MIN_PART_CHARACTERS else 0
        return after

    after = _BETWEEN_TAGS.sub(meant, text)
    return after if sure >= MIN_PART_SEQUENCES else None


def with_sequences(text: str) -> str | None:
    """The text with character references in a row as their characters, where these are UTF-8 that was read in another
    charset; None if there are none."""

    def meant(match: re.Match[str]) -> str:
        found = characters(match[0])
        if not any(_counted(found, reading)[1] for reading in _READ_AS):
            return match[0]
        return found.replace("&", "&amp;").replace("<", "&lt;")

    after = _REFERENCES.sub(meant, text)
    return None if after == text else after
