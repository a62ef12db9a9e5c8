"""What a page in UTF-8 says in wrong characters, although its bytes are sound, put right where that is certain.

- UTF-8 that was read in another charset and encoded again (`mojibake.py`): of the whole page; of some of its texts,
  where a template is right and its content is not; and as character references, which PHP's `htmlentities` made of
  UTF-8 (`&Atilde;&copy;` for é).
- Letters of windows-1250, 1254 and 1257 that were read as windows-1252's (`latin_letters.py`): `ºi` for `și`.
- Control characters from U+0080 to U+009F, which no text has: the quotation marks and dashes of windows-1252.
"""

import re
from typing import Final

import numpy as np

from pipeline.extract.byte_kernels import foreign_bytes
from pipeline.extract.latin_letters import right_latin, with_letters
from pipeline.extract.mojibake import has_hint, undoubled, undoubled_in_parts, with_sequences
from pipeline.extract.text_sample import text_sample

# What frequent letters and signs (é, ü, quotation marks, о, 的, kana) become where UTF-8 is read as windows-1252, and
# the most frequent Russian ones where it is read as windows-1251.
_PARTS: Final = tuple(
    part.encode() for part in ("Ã©", "Ã\xa0", "Ã¨", "Ã¼", "Ã¶", "Ã¤", "ÃŸ",
                               "Ã±", "Ã¡", "Ã\xad", "Ã³", "â€",
                               "â\x80", "Ð°", "Ð¾", "Ð¸", "Р°", "Рѕ", "Рё", "Рµ", "ï¼", "çš„", "ã€", "ã\x81",
                               "ã‚", "ãƒ")
)  # fmt: skip
MIN_PARTS: Final = 6
# How À to ÿ begin in UTF-8, and А to Р.
_ACCENTED, _CYRILLIC = b"\xc3", b"\xd0"
# What texts of the languages of `latin_letters.py` all have, each of them one pair.
_LATIN: Final = tuple((pair[0].encode(), pair[1].encode()) for pair in ("þý", "ðý", "þº", "øì", "øè", "¾è", "šè", "žè",
                                                                          "ðë", "ðâ", "³ê", "³ó"))  # fmt: skip
_HUNGARIAN, _NOT_HUNGARIAN = ("õ".encode(), "á".encode()), ("ã".encode(), "ç".encode())
_CONTROL = re.compile("[\x80-\x9f]")
_CONTROL_BYTES = re.compile(rb"\xc2[\x80-\x9f]")
# Of a text so many characters at most are such signs; of a binary file, or one in a charset of DOS, more.
MAX_CONTROLS: Final = 0.02
MAX_CONTROLS_OF_UTF8: Final = 0.1
# UTF-8 that was read as Latin-1, with a control character in it: nothing else looks like this. A set of characters at
# the beginning is searched for in a fraction of the time.
_SEQUENCE = re.compile(
    "[\xc2-\xf4](?=[^\x80-\x9f]{0,2}[\x80-\x9f])"
    "(?:(?<=[\xc2-\xdf])[\x80-\xbf]|(?<=[\xe0-\xef])[\x80-\xbf]{2}|(?<=[\xf0-\xf4])[\x80-\xbf]{3})"
)
# Those that are no letters stand in the same places in all Windows charsets.
_SIGNS: Final = {byte: bytes([byte]).decode("cp1252") for byte in (*b"\x82\x84\x85\x86\x87\x89\x8b", *range(0x91, 0x98),
                                                                   0x99, 0x9B)}  # fmt: skip
_WINDOWS: Final = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0xA0)}


def repaired_utf8(text: str, body: bytes) -> str | None:
    """The text of a body in UTF-8 as it was meant; None if there is nothing to repair.

    What most pages have to be searched for is few: their characters that are not ASCII.
    """
    room = np.empty(len(body), np.uint8)
    count, has_references = foreign_bytes(np.frombuffer(body, np.uint8), room)
    if has_references:
        referred = with_sequences(text)
        changed = referred and (undoubled(referred) or undoubled_in_parts(referred))
        if changed:
            return without_controls(changed, _WINDOWS) or changed
    if not count:
        return None
    foreign = room[:count].tobytes()
    changed = None
    if has_hint(foreign) and has_hint(body):
        changed = undoubled(text)
    # all that is searched for here has one of these bytes in it; most pages have no letter with an accent
    if changed is None and (_ACCENTED in foreign or _CYRILLIC in foreign):
        if sum(map(foreign.count, _PARTS)) >= MIN_PARTS:
            changed = undoubled_in_parts(text)
        if changed is None and _may_be_latin(foreign):
            changed = _with_letters(text)
    if changed is not None or _CONTROL_BYTES.search(foreign):
        changed = without_controls(changed or text, _WINDOWS) or changed
    return changed


def _may_be_latin(foreign: bytes) -> bool:
    if any(first in foreign and second in foreign for first, second in _LATIN):
        return True
    return all(each in foreign for each in _HUNGARIAN) and not any(each in foreign for each in _NOT_HUNGARIAN)


def _with_letters(text: str) -> str | None:
    """The text with the letters of its language, where it has those that windows-1252 made of them."""
    codec = right_latin(text_sample(text))
    return None if codec is None else with_letters(text, codec)


def without_controls(text: str, meant: dict[int, str] = _SIGNS) -> str | None:
    """The text with what its control characters are in windows-1252; None if it has none of these, or too many. Of a
    text in another charset, which may be of another family, signs alone."""
    controls = len(_CONTROL_BYTES.findall(text.encode("utf-8", "surrogatepass")))
    most = MAX_CONTROLS_OF_UTF8 if meant is _WINDOWS else MAX_CONTROLS
    if not 0 < controls <= max(1, most * len(text)):
        return None
    changed = _SEQUENCE.sub(_decoded, text) if meant is _WINDOWS else text
    changed = _CONTROL.sub(lambda found: meant.get(ord(found[0]), found[0]), changed)
    return None if changed == text else changed


def _decoded(sequence: re.Match[str]) -> str:
    try:
        return sequence[0].encode("latin-1").decode()
    except UnicodeError:
        return sequence[0]
