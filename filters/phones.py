"""Masks for telephone numbers, found by their form.

Three kinds, from most to least certain:
- international: + or 00 and a country code of ITU's list (E.164), with as many digits as that country has;
- national with a distinct form: American (NXX) NXX-XXXX; Chinese mobile numbers, 1 and ten more, near Chinese text;
  Brazilian (11) 91234-5678; Russian 8 (495) 123-45-67; and numbers of 9 to 11 digits that begin with a 0, as written in
  most of Europe, Japan, China, Australia, if a separator follows the area code;
- any 7 to 13 digits directly after a word for telephone.
Other national forms without separators are not masked: identifiers, prices and ISBNs have the same form. Dates,
versions, ISBNs, DOIs and parts of an address are excluded by the characters around the digits and by their count.
"""

import re

from filters.edits import replaced, spans_of

PHONE_MASK = "+1-202-555-0100"  # kept for fiction (NANPA: 555-0100 to 555-0199)

_GAP = r"[ \u00a0.\-\u2010\u2011\u2013/]"  # one sign between two groups
# An edge: not next to a word, an address, a decimal or a formula; where the form is loose, not next to a further group
# of digits either.
_BEFORE = r"(?<![A-Za-z0-9_.,/@#=+*^$€£¥-])"
_AFTER = r"(?![A-Za-z0-9_@%°]|[.,:/*=\u2010-\u2013-][0-9])"
_NO_GROUP_BEFORE, _NO_GROUP_AFTER = r"(?<![0-9][ \u00a0])", r"(?![ \u00a0][0-9])"

_NATIONAL = re.compile(
    _BEFORE
    + "(?:"
    + r"(?:1[ .-])?\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[ .-][0-9]{4}"  # North America
    + r"|(?:1[.-])?[2-9][0-9]{2}([.-])[2-9][0-9]{2}\1[0-9]{4}"
    + r"|(?P<mobile>1[3-9][0-9](?P<sep>[ -]?)[0-9]{4}(?P=sep)[0-9]{4})"  # China
    + r"|[(（]0[1-9][0-9]{1,2}[)）] ?[0-9]{7,8}|0[1-9][0-9]{1,2}-[0-9]{7,8}|[48]00-[0-9]{3,4}-?[0-9]{3,4}"
    + r"|\([1-9]{2}\) ?9?[0-9]{4}-[0-9]{4}"  # Brazil
    + r"|8[ -]?(?:\([3489][0-9]{2}\)|[3489][0-9]{2})[ -]?[0-9]{3}-[0-9]{2}-[0-9]{2}"  # Russia
    + ")"
    + _AFTER
)
_TRUNK = re.compile(
    _BEFORE
    + _NO_GROUP_BEFORE
    + rf"(?:\(0[1-9][0-9]{{0,4}}\) ?|0[1-9][0-9]{{0,4}} ?{_GAP} ?)"
    + rf"[0-9]{{2,8}}(?:(?P<gap>{_GAP})[0-9]{{2,8}}(?:(?P=gap)[0-9]{{2,8}}){{0,3}})?"
    + _AFTER
    + _NO_GROUP_AFTER
)
_INTERNATIONAL = re.compile(
    rf"{_BEFORE}(?:\+|{_NO_GROUP_BEFORE}00{_GAP}?(?=[1-9]))\(?[1-9](?:(?:\(0\)|[()]|{_GAP}){{0,3}}[0-9]){{6,15}}"
)
_LABELLED = re.compile(rf"{_BEFORE}\(?[0-9](?:(?:[()]|{_GAP}){{0,2}}[0-9]){{6,12}}{_AFTER}{_NO_GROUP_AFTER}")
_LABEL = re.compile(
    r"(?:\b(?:tel|tél|telefon|telefone|telephone|téléphone|telefono|teléfono|telefoon|tlf|phone|mobile|cell|fax|"
    r"whatsapp|móvil|celular|handy|gsm|тел|телефон|факс)|电话|手机|手机号|手机号码|热线|传真|電話|電話番号|携帯|전화)"
    r"(?: (?:no|nr|number|номер))?[ \t\n\u00a0.:：№#()-]{0,4}\Z",
    re.IGNORECASE,
)
_AFTER_LABEL = " \t\n\u00a0.:：№#()-"
_LABEL_REACH = 32
_HAN = re.compile("[\u4e00-\u9fff]")
_HAN_REACH = 30
_FRENCH_POINTS = re.compile(r"[0-9]{2}(?:\.[0-9]{2}){4}")
_ZIP = re.compile(r"[0-9]{5} ?[-\u2013] ?[0-9]{4,5}")  # an American postal code, or two
# Seven digits with little between them: a text without a match has no number, which settles most texts at once.
_ANY = re.compile(r"[0-9](?:[^0-9]{0,3}[0-9]){6}")
# Full-width digits and signs, each of one character: a number in them is found as one in ASCII is.
_NARROW = str.maketrans("０１２３４５６７８９＋（）－．／　", "0123456789+()-./ ")
_WIDE_DIGIT = re.compile("[０-９]")
_GROUP_END = re.compile(r"(?<=[0-9])(?![0-9])")

# Country codes of ITU's list, and the number of digits of a whole number where that is fixed.
_CODES = {
    *map(
        str, (1, 7, 20, 27, *range(30, 35), 36, 39, 40, 41, *range(43, 50), *range(51, 59), *range(60, 67), 81, 82, 84)
    ),
    *map(str, (86, *range(90, 96), 98, 211, 212, 213, 216, 218, *range(220, 270), 290, 291, 297, 298, 299)),
    *map(str, (*range(350, 360), *range(370, 390), 420, 421, 423, *range(500, 510), *range(590, 600))),
    *map(str, (*range(670, 693), 800, 808, 850, 852, 853, 855, 856, 870, 880, 881, 882, 883, 886, 888)),
    *map(str, (*range(960, 969), *range(970, 978), 979, *range(992, 997), 998)),
}
_LENGTHS = {
    "1": (11, 11), "7": (11, 11), "20": (10, 12), "27": (11, 11), "30": (12, 12), "31": (11, 11), "32": (10, 11),
    "33": (11, 11), "34": (11, 11), "36": (10, 11), "39": (9, 13), "40": (11, 11), "41": (11, 11), "44": (11, 12),
    "45": (10, 10), "46": (9, 12), "47": (10, 10), "48": (11, 11), "52": (12, 13), "55": (12, 13), "61": (11, 11),
    "65": (10, 10), "66": (10, 11), "81": (11, 12), "82": (10, 12), "86": (11, 13), "90": (12, 12), "91": (12, 12),
    "351": (12, 12), "353": (10, 12), "380": (12, 12), "420": (12, 12), "421": (12, 12), "852": (11, 11),
    "886": (11, 12), "972": (11, 12),
}  # fmt: skip
_ANY_LENGTH = (9, 14)


def mask_phone(text: str) -> tuple[str, int]:
    """Telephone numbers -> +1-202-555-0100, a fictional one: international, then national, then labelled ones."""
    plain = text.translate(_NARROW) if _WIDE_DIGIT.search(text) else text
    if not _ANY.search(plain):
        return text, 0
    total, last = 0, -1
    while total != last:  # a mask may end what followed a number and made it look like no number
        last = total
        for pattern, find in _KINDS:
            spans = spans_of(plain, pattern, find, PHONE_MASK)
            text, plain = replaced(text, spans, PHONE_MASK), replaced(plain, spans, PHONE_MASK)
            total += len(spans)
    return text, total


def _international(match: re.Match[str]) -> int | None:
    """The longest prefix of whole groups that has the length of that country's numbers."""
    found = match.group()
    plus = found[0] == "+"
    after = match.string[match.end() : match.end() + 1]
    ends = [place.start() for place in _GROUP_END.finditer(found)]
    for end in reversed(ends):
        part = found[:end].replace("(0)", "")
        digits = "".join(filter(str.isdigit, part)).removeprefix("" if plus else "00")
        if end == len(found) and after and (after.isalnum() or after in "_@"):
            continue
        if part.count("(") == part.count(")") and _has_length(digits) and (plus or not part.isdigit()):
            return match.start() + end
    return None


def _has_length(digits: str) -> bool:
    for size in (1, 2, 3):
        code = digits[:size]
        if code in _CODES:
            least, most = _LENGTHS.get(code, _ANY_LENGTH)
            return least <= len(digits) <= most
    return False


def _national(match: re.Match[str]) -> int | None:
    around = match.string[max(0, match.start() - _HAN_REACH) : match.end() + _HAN_REACH]
    return match.end() if not match["mobile"] or _HAN.search(around) else None


def _trunk(match: re.Match[str]) -> int | None:
    found = match.group()
    if ("." in found and not _FRENCH_POINTS.fullmatch(found)) or _ZIP.fullmatch(found):
        return None
    return match.end() if 9 <= sum(map(str.isdigit, found)) <= 11 else None


def _labelled(match: re.Match[str]) -> int | None:
    before = match.string[max(0, match.start() - _LABEL_REACH) : match.start()]
    word_ends = before.rstrip(_AFTER_LABEL)[-1:].isalpha()  # a cheap test that excludes most candidates
    return match.end() if word_ends and _LABEL.search(before) else None


_KINDS = (
    (_INTERNATIONAL, _international),
    (_NATIONAL, _national),
    (_TRUNK, _trunk),
    (_LABELLED, _labelled),
)
