"""Masks for numbers that identify a person or an account, found by pattern and verified by check digits.

A number is masked only if its check digits are right, which few random numbers pass: one run of digits in 10 for Luhn's
test (and it must begin as a card does), one in 97 for an IBAN or a French number, one in 11 for a Chinese one (and it
must contain a date), one in 23 for a Spanish one. Numbers without check digits, or with weak ones, must follow a label:
the American, the Polish, the German.

Masks are numbers that their issuers publish as examples or never issue; they pass their own test, so a second pass
finds them and keeps them. Every pattern reads a bounded stretch from each position: time is linear.
"""

import re
from collections.abc import Callable
from datetime import date
from functools import partial
from itertools import cycle

from filters.edits import Edit, mask_each

# An edge: no ASCII letter or digit, so that a number between Chinese characters is found.
_BEFORE = r"(?<![A-Za-z0-9_./@#=-])"
_AFTER = r"(?![A-Za-z0-9_@]|[.,-][0-9])"
_SPACE = re.compile(" ")
_LABEL_REACH = 40  # characters before a number in which its label must end

# First digits and lengths by issuer (ISO/IEC 7812; the issuers' public ranges).
_CARDS = (
    (re.compile(r"4"), (16, 19)),  # Visa
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),  # Mastercard
    (re.compile(r"3[47]"), (15,)),  # American Express
    (re.compile(r"6011|64[4-9]|65"), (16, 19)),  # Discover
    (re.compile(r"352[89]|35[3-8]"), (16, 19)),  # JCB
    (re.compile(r"30[0-5]|3[689]"), (14,)),  # Diners Club
    (re.compile(r"62|81"), (16, 17, 18, 19)),  # UnionPay
)
_CARD = re.compile(_BEFORE + r"[2-8][0-9]{3}(?:([ -]?)[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,3})?"
                   r"|([ -]?)[0-9]{6}\2[0-9]{4,5})" + _AFTER)  # fmt: skip

# Characters of an IBAN by country (the SWIFT registry, ISO 13616).
_IBAN_LENGTHS = {
    code: length
    for length, codes in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL", 19: "MK SI", 20: "AT BA EE KZ LT LU XK", 21: "CH CR HR LI LV",
        22: "BG BH DE GB GE IE ME RS", 23: "AE GI IL IQ TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST",
        26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO EG GT HU LB NI PL SV", 29: "BR PS QA UA",
        30: "JO KW MU", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for code in codes.split()
}  # fmt: skip
# Its first four characters; the others follow with up to three separators before each.
_IBAN_START = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{2}[ \u00a0\u2009\u202f._/\u00ad\u200b\u2060-]?[0-9]{2}"
    r"|(?<![Ａ-Ｚａ-ｚ０-９])[Ａ-Ｚａ-ｚ]{2}[ \u3000－]?[０-９]{2}"
)
_IBAN_SEPARATORS = frozenset(
    " \t\u00a0\u2007\u2009\u202f\u3000._/-:·•\u2010\u2011\u2012\u2013\u2014\u2015\u2212－"
    "\u00ad\u200b\u2060\ufeff"  # that show nothing
)
# Between any numbers: an IBAN has them if they part groups of four.
_LOOSE_SEPARATORS = frozenset("\n,;|")
_WIDE = {ord("！") + code: 33 + code for code in range(94)}  # full-width forms of ASCII
_MOST_SEPARATORS = 3
_LEAST_DIGITS = 12  # the Netherlands have the fewest

# Provinces of China (GB/T 2260), and the weights of its check character (GB 11643-1999, ISO 7064 MOD 11-2).
_PROVINCES = {
    *range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66), 71, 81, 82,
}  # fmt: skip
_CN_WEIGHTS = tuple(pow(2, 17 - place, 11) for place in range(17))
_CN = re.compile(_BEFORE + r"[1-8][0-9]{5}(?:19|20)[0-9]{2}[01][0-9][0-3][0-9]{4}[0-9Xx]" + _AFTER)

_ES_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"  # Orden INT/2058/2008 for the NIE; Real Decreto 1553/2005 for the DNI
_ES = re.compile(_BEFORE + r"(?:[0-9]{2}\.?[0-9]{3}\.?[0-9]{3}|[XYZ]-?[0-9]{7})-?[A-HJ-NP-TV-Z]" + _AFTER)

_FR = re.compile(_BEFORE + r"[1-4]( ?)[0-9]{2}\1[0-9]{2}\1(?:[0-9]{2}|2[AB])\1[0-9]{3}\1[0-9]{3}\1 ?[0-9]{2}" + _AFTER)

# The Italian code: six letters, year, month letter, day, place, check letter; letters may stand for digits (omocodia).
_IT_DIGIT = "[0-9LMNPQRSTUV]"
_IT = re.compile(
    _BEFORE + f"[A-Z]{{6}}{_IT_DIGIT}{{2}}[ABCDEHLMPRST]{_IT_DIGIT}{{2}}[A-Z]{_IT_DIGIT}{{3}}[A-Z]" + _AFTER
)
_IT_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)

_US = re.compile(_BEFORE + r"[0-9]{3}([ -]?)[0-9]{2}\1[0-9]{4}" + _AFTER)
_US_LABEL = re.compile(r"(?:\bSSN|social security(?: (?:no|num|number|#))?)[\s.:#]{0,4}(?:is)?[\s:]{0,3}\Z", re.I)
_PL = re.compile(_BEFORE + r"[0-9]{11}" + _AFTER)
_PL_LABEL = re.compile(r"\bPESEL[^\w\n]{0,4}(?:nr|numer)?[\s.:]{0,4}\Z", re.I)
_DE = re.compile(_BEFORE + r"[1-9][0-9]( ?)[0-9]{3}\1[0-9]{3}\1[0-9]{3}" + _AFTER)
_DE_LABEL = re.compile(
    r"(?:steuer-?\s?(?:identifikations|id)-?\s?(?:nummer|nr)?|steuer-?id|idnr|tax\s?id|\btin)[\s.:#-]{0,5}\Z", re.I
)


def luhn(digits: str) -> bool:
    """Whether the last digit is right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def is_card(found: str) -> bool:
    digits = _plain(found)
    known = any(start.match(digits) and len(digits) in lengths for start, lengths in _CARDS)
    return known and len(set(digits)) > 1 and luhn(digits)


def is_iban(found: str) -> bool:
    """Length by country, and mod 97 = 1 with letters as 10 ... 35 (ISO 13616, ISO 7064 MOD 97-10)."""
    code = found.replace(" ", "").upper()
    if _IBAN_LENGTHS.get(code[:2]) != len(code):
        return False
    return int("".join(str(int(char, 36)) for char in code[4:] + code[:4])) % 97 == 1


def is_chinese(found: str) -> bool:
    """Province, a date of birth, and the check character."""
    if int(found[:2]) not in _PROVINCES or not _is_date(int(found[6:10]), int(found[10:12]), int(found[12:14])):
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_CN_WEIGHTS, found))
    return "10X98765432"[total % 11] == found[17].upper()


def is_spanish(found: str) -> bool:
    """The number modulo 23 gives the letter; X, Y, Z of a foreigner's count as 0, 1, 2."""
    code = re.sub("[.-]", "", found)
    number = int(str("XYZ".index(code[0])) + code[1:8] if code[0] in "XYZ" else code[:8])
    return code[-1] == _ES_LETTERS[number % 23]


def is_french(found: str) -> bool:
    """Month, department, and the key, 97 - number modulo 97; 2A and 2B (Corsica) count as 19 and 18."""
    code = found.replace(" ", "")
    month = int(code[3:5])
    if not (1 <= month <= 12 or 20 <= month <= 42 or month >= 50) or code[5:7] == "00":
        return False
    number = int(code[:13].replace("2A", "19").replace("2B", "18"))
    return 97 - number % 97 == int(code[13:])


def is_italian(found: str) -> bool:
    """The check letter of the decree of 23 December 1976: odd and even places have their own values."""
    total = 0
    for place, char in enumerate(found[:15]):
        value = int(char) if char.isdigit() else ord(char) - ord("A")
        total += value if place % 2 else _IT_ODD[value]
    return chr(ord("A") + total % 26) == found[15]


def is_american(found: str) -> bool:
    """Rejects numbers that are never issued: area 000, 666, 900 and up, group 00, serial 0000 (SSA, POMS RM
    10201.035)."""
    digits = _plain(found)
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def is_polish(found: str) -> bool:
    """A date of birth (the century is in the month) and the check digit."""
    century, month = divmod(int(found[2:4]), 20)
    if century > 4 or not _is_date((1900, 2000, 2100, 2200, 1800)[century] + int(found[:2]), month, int(found[4:6])):
        return False
    return (
        sum(weight * int(digit) for weight, digit in zip(cycle((1, 3, 7, 9)), found[:10])) % 10 == -int(found[10]) % 10
    )


def is_german(found: str) -> bool:
    """One of the first ten digits occurs twice or three times; the check digit of ISO 7064 MOD 11,10."""
    digits = _plain(found)
    if not 8 <= len(set(digits[:10])) <= 9:
        return False
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _plain(found: str) -> str:
    return re.sub("[ -]", "", found)


def mask_number(
    text: str, pattern: re.Pattern[str], check: Callable[[str], bool], mask: str, label: re.Pattern[str] | None = None
) -> tuple[str, int]:
    """Replaces by `mask` what `pattern` finds and `check` accepts; with a label, only directly after a match of it.

    Of a run of groups with spaces between, the longest accepted prefix is replaced.
    """

    def find(match: re.Match[str]) -> int | None:
        if label and not label.search(text[max(0, match.start() - _LABEL_REACH) : match.start()]):
            return None
        found = match.group()
        ends = [len(found), *(space.start() for space in reversed(list(_SPACE.finditer(found))))]
        return next(
            (match.start() + end for end in ends if pattern.fullmatch(found[:end]) and check(found[:end])), None
        )

    return mask_each(text, pattern, find, mask)


def mask_iban(text: str) -> tuple[str, int]:
    """Account numbers (IBAN) -> the example of ISO 13616: in either case, in any groups, with any separators."""
    return mask_each(text, _IBAN_START, _iban_end, "GB82WEST12345698765432")


def _iban_end(match: re.Match[str]) -> int | None:
    """Where the number ends that begins here, by the length of its country; None if its check digits are wrong."""
    text = match.string
    begin = match.start()
    length = _IBAN_LENGTHS.get(text[begin : begin + 2].translate(_WIDE).upper(), 0)
    if not length:
        return None
    most = begin + length * (1 + _MOST_SEPARATORS)
    plain = text[begin : most + 1].translate(_WIDE)
    code: list[str] = []
    groups = [0]
    loose = False
    separators = 0
    for at, char in enumerate(plain):
        if char.isascii() and char.isalnum():
            if separators:
                groups.append(0)
            code.append(char)
            groups[-1] += 1
            separators = 0
            if len(code) == length:
                after = plain[at + 1 : at + 2]
                ends = not (after.isascii() and after.isalnum()) and not (loose and set(groups[:-1]) != {4})
                return begin + at + 1 if ends and _is_account("".join(code)) else None
        elif (char in _IBAN_SEPARATORS or char in _LOOSE_SEPARATORS) and separators < _MOST_SEPARATORS:
            separators += 1
            loose = loose or char in _LOOSE_SEPARATORS
        else:
            return None
    return None


def _is_account(code: str) -> bool:
    """Whether an IBAN without separators is one. Of one case: prose around digits has both."""
    digits = sum(map(str.isdigit, code))
    return (code.isupper() or code.islower()) and digits >= _LEAST_DIGITS and is_iban(code)


EDITS: tuple[tuple[str, Edit], ...] = (
    # Visa's test number
    ("mask_card", partial(mask_number, pattern=_CARD, check=is_card, mask="4111111111111111")),
    ("mask_iban", mask_iban),
    # the example of GB 11643-1999
    ("mask_chinese_id", partial(mask_number, pattern=_CN, check=is_chinese, mask="11010519491231002X")),
    ("mask_spanish_id", partial(mask_number, pattern=_ES, check=is_spanish, mask="00000000T")),
    ("mask_french_id", partial(mask_number, pattern=_FR, check=is_french, mask="255081416802538")),
    # the Revenue Agency's Mario Rossi
    ("mask_italian_id", partial(mask_number, pattern=_IT, check=is_italian, mask="RSSMRA85T10A562S")),
    # kept for advertisements, never issued
    ("mask_american_id", partial(mask_number, pattern=_US, check=is_american, mask="987-65-4320", label=_US_LABEL)),
    ("mask_polish_id", partial(mask_number, pattern=_PL, check=is_polish, mask="44051401359", label=_PL_LABEL)),
    # the tax office's test number
    ("mask_german_id", partial(mask_number, pattern=_DE, check=is_german, mask="86095742719", label=_DE_LABEL)),
)
