"""Decodes the bytes of a page to text, and records the evidence for its charset.

The labels of pages are often wrong, so evidence that can be checked comes first: the byte order mark, strict UTF-8
(text in another charset is hardly ever valid UTF-8 by chance), the labels, each accepted only if the bytes decode under
it, then detection. Where the text is mojibake all the same, for sure, it is read again and the evidence says so. The
last resort replaces what it cannot decode and counts it. Nothing raises, nothing is dropped without a count, and every
search runs over a bounded window.
"""

import re
from collections.abc import Iterator
from string import ascii_lowercase, ascii_uppercase
from typing import Final, Literal, NamedTuple, cast

from pipeline.extract.mojibake import right_codec
from pipeline.extract.repairs import repaired_utf8, without_controls

Evidence = Literal["bom", "utf-8", "header", "meta", "detected", "fallback"]
# The same where the text was read again since it was mojibake for sure (`mojibake.py`): the label decoded it, but was
# wrong, or UTF-8 had been encoded twice.
Told = Literal[
    Evidence, "bom-repaired", "utf-8-repaired", "header-repaired", "meta-repaired", "detected-repaired",
    "fallback-repaired",
]  # fmt: skip

# The HTML standard prescans 1024 bytes; browsers read on, and some pages have their label later.
PRESCAN_BYTES: Final = 4096
DETECT_BYTES: Final = 1 << 17
# charset_normalizer is the second, slow detector: tens of milliseconds for so many bytes.
SECOND_OPINION_BYTES: Final = 1 << 14
SHAPE_BYTES: Final = 1 << 13

# A label holds if at most this share of the bytes, and of the non-ASCII characters, is not decodable under it.
MAX_BAD_BYTES: Final = 0.001
MAX_BAD_CHARACTERS: Final = 0.02
# Western text is mostly ASCII: at most a fifth of its letters carry accents (measured on Latin-1 and Latin-2 pages).
MAX_WESTERN_SHARE: Final = 0.4
# Below this share of non-ASCII bytes, single or in pairs, detection by statistics is no better than chance.
MAX_SPARSE_SHARE: Final = 0.02


class Decoded(NamedTuple):
    """`charset` is the Python codec used; `replaced` counts undecodable places (U+FFFD) and removed NULs."""

    text: str
    charset: str
    evidence: Told
    replaced: int


class _Attempt(NamedTuple):
    text: str
    codec: str
    bad: int
    foreign: int

    @property
    def holds(self) -> bool:
        """Whether the bytes are text in this charset, except for a few bad places or a truncated end."""
        if self.bad == 0 or self.cut_off:
            return True
        return self.bad <= MAX_BAD_BYTES * len(self.text) and self.bad <= MAX_BAD_CHARACTERS * self.foreign

    @property
    def cut_off(self) -> bool:
        """Whether the only bad place is the last character, as truncation leaves it."""
        return self.bad == 1 and self.text.endswith("\ufffd")


# Codec -> the codecs that read it and its vendor extensions, as browsers do (encoding.spec.whatwg.org); the one
# with the fewest bad places is taken, the first among equals.
_READ_AS: Final[dict[str, tuple[str, ...]]] = {
    "ascii": ("cp1252",),
    "iso8859-1": ("cp1252",),
    "iso8859-8": ("cp1255",),
    "iso8859-9": ("cp1254",),
    "iso8859-11": ("cp874",),
    "tis-620": ("cp874",),
    "gb2312": ("gb18030",),
    "gbk": ("gb18030",),
    "big5": ("big5hkscs", "cp950"),
    "shift_jis": ("cp932", "shift_jis_2004"),
    "euc_jp": ("euc_jp", "euc_jis_2004"),
    "euc_kr": ("cp949",),
    "iso2022_jp": ("iso2022_jp", "iso2022_jp_ext", "iso2022_jp_2004"),
}

# Labels seen on pages that the standard's table lacks, by codec.
_EXTRA_LABELS: Final[dict[str, str]] = {
    label: codec
    for codec, labels in {
        "gb18030": "cp936 ms936 windows-936", "cp932": "cp932 ms932", "cp949": "cp949 ms949 uhc", "johab": "johab",
        "cp950": "cp950", "hz": "hz hz-gb-2312", "iso2022_kr": "iso-2022-kr csiso2022kr",
        "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian", "cp1250": "win-1250", "cp1251": "win-1251 win1251",
        "cp437": "cp437 ibm437", "cp850": "cp850 ibm850", "cp852": "cp852 ibm852", "cp855": "cp855 ibm855",
        "ptcp154": "ptcp154", "kz1048": "kz1048", "utf-7": "utf-7 unicode-1-1-utf-7",
        "utf-32-le": "utf-32 utf-32le", "utf-32-be": "utf-32be",
    }.items()
    for label in labels.split()
}  # fmt: skip
# Those that have control characters where the charsets of Windows have signs.
_WITH_CONTROLS: Final = frozenset(f"iso8859-{part}" for part in range(1, 17))
_WESTERN: Final = frozenset({"cp1252", "cp1254", "iso8859-15", "mac-roman"})
# Single-byte charsets common enough on the web to be accepted on the evidence of a few bytes.
_COMMON: Final = frozenset(
    {"cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1257", "iso8859-2", "iso8859-7", "iso8859-15", "koi8-r"}
)
# Charsets of 7 bits: their bytes are valid UTF-8, so only their escape sequences identify them.
_SEVEN_BIT: Final = frozenset({"iso2022_jp", "iso2022_kr", "hz", "utf-7"})
_WIDE: Final = frozenset({"utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"})
_TRIED: Final = _SEVEN_BIT | _WIDE | {"utf-8"}

_MARK: Final = b"\xef\xbb\xbf"
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_META = re.compile(
    rb"""<\?xml\s[^>]{0,200}?encoding\s*=\s*["']?\s*([\w.:()-]{1,40})"""
    rb"""|<meta[\s/][^>]{0,1000}?charset\s*=\s*["']?\s*([\w.:()-]{1,40})""",
    re.IGNORECASE,
)
_HIGH_BYTE = re.compile(rb"[\x80-\xff]")
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
# What windows-1252 has as quotation marks, dashes, spaces and signs, and other charsets as letters.
_SIGNS = re.compile(rb"[\x80-\xbf]")
_HZ_SPAN = re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e]){1,500}~\}")
_UTF7_SPAN = re.compile(rb"(?<![A-Za-z0-9+/])\+(?:[A-Za-z0-9+/]{6,}+|[A-Za-z0-9+/]{2,5}-)")
_TAG = re.compile(r"<[^<>]{0,2000}>")
_TAG_BYTES = re.compile(rb"<[^<>]{0,2000}>")
_ASCII: Final = bytes(range(0x80))
_LATIN_LETTERS: Final = (ascii_lowercase + ascii_uppercase).encode()
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def decode(body: bytes, header_label: str | None, *, html: bool = True) -> Decoded:
    """The text of `body`. `header_label` is the charset of the HTTP header; `html`: also search the markup for a label.

    The text holds no NUL and no lone surrogate. Never raises; time is linear in the length of the body.
    """
    marked, bom_bytes = _by_mark(body)
    if marked is not None and marked.holds:
        decoded = _finish(marked, "bom")
        return _repaired(decoded, body) if bom_bytes == 3 else decoded
    if bom_bytes == 3:
        # A UTF-8 mark pasted before another charset, as an editor or an included template leaves it.
        body = body[3:]
    text = _plainly_utf8(body, header_label or "")
    if text is not None:
        return _repaired(Decoded(text, "utf-8", "utf-8", 0), body)
    labels = list(_labels(body, header_label, html=html))
    for attempt, evidence in _attempts(body, labels):
        if attempt is not None and attempt.codec == "utf-8":
            return _repaired(_finish(attempt, evidence), body)
        if attempt is not None:
            return _relabelled(attempt, evidence, body)
    return _finish(_last_resort(body, [codec for codec, _ in labels]), "fallback")


def _repaired(decoded: Decoded, body: bytes) -> Decoded:
    """The text of a body in UTF-8 as it was meant."""
    text = repaired_utf8(decoded.text, body)
    return decoded if text is None else decoded._replace(text=text.removeprefix("\ufeff"), evidence=_again(decoded))


def _relabelled(attempt: _Attempt, evidence: Evidence, body: bytes) -> Decoded:
    """The text in the charset that it is in, where a label that decodes it is wrong."""
    codec = right_codec(body, attempt.codec)
    again = None if codec is None else _read(body, codec)
    if again is not None and again.holds:
        decoded = _finish(again, evidence)
        decoded = decoded._replace(evidence=_again(decoded))
    else:
        decoded = _finish(attempt, evidence)
    text = without_controls(decoded.text) if decoded.charset in _WITH_CONTROLS else None
    return decoded if text is None else decoded._replace(text=text, evidence=_again(decoded))


def _again(decoded: Decoded) -> Told:
    evidence = decoded.evidence
    return cast("Told", evidence if evidence.endswith("-repaired") else f"{evidence}-repaired")


def as_utf8(decoded: Decoded, body: bytes) -> bytes:
    """The text in UTF-8: the body itself if it is that, with no byte cut off, replaced or (after 0xED) joined."""
    same = decoded.evidence == "utf-8" and decoded.replaced == 0 and b"\xed" not in body
    return body if same and not body.startswith(_MARK) else decoded.text.encode()


def _plainly_utf8(body: bytes, header_label: str) -> str | None:
    """The text of a body that is valid UTF-8 and no 7-bit charset, whatever its label: most pages. None for others."""
    if b"\0" in body or body.startswith(_MARK):
        return None
    if body.isascii() and (b"\x1b" in body or b"~{" in body or _mentions_utf7(body, header_label)):
        return None
    try:
        return body.decode()
    except UnicodeError:
        return None


def _mentions_utf7(body: bytes, header_label: str) -> bool:
    return b"utf-7" in body[:PRESCAN_BYTES].lower() or "utf-7" in header_label.lower()


def _attempts(body: bytes, labels: list[tuple[str, Evidence]]) -> Iterator[tuple[_Attempt | None, Evidence]]:
    """The text by each kind of evidence, best evidence first; None where the bytes contradict it."""
    claimed = dict(reversed(labels))
    hidden = _wide(body, claimed) or _seven_bit(body, claimed)
    if hidden is not None:
        yield hidden, claimed.get(_claimable(hidden.codec), "detected")
    yield _utf8(body, claimed), "utf-8"
    # UTF-8, UTF-16, UTF-32 and the 7-bit charsets were tried above, whatever the labels are.
    readings = [(_read(body, codec), codec) for codec in claimed if codec not in _TRIED]
    holding = [(attempt, claimed[codec]) for attempt, codec in readings if attempt.holds]
    accepted = [pair for pair in holding if pair[0].codec not in _WESTERN or not _has_too_many_accents(pair[0].text)]
    if len({attempt.codec for attempt, _ in accepted}) > 1:
        detected = _detect(body, western=True)
        yield from (pair for pair in accepted if detected is not None and pair[0].codec == detected.codec)
    yield from accepted
    yield _detect(body, western=len(accepted) == len(holding)), "detected"


def _claimable(codec: str) -> str:
    """The name that `_labels` gives to a codec that was found by its escape sequences."""
    return "iso2022_jp" if codec.startswith("iso2022_jp") else codec


def _by_mark(body: bytes) -> tuple[_Attempt | None, int]:
    """The text after a byte order mark, and the length of the mark; (None, 0) if there is none."""
    if body.startswith(_MARK):
        return _strict_or_replaced(body[3:], "utf-8"), 3
    # FF FE 00 00 is UTF-32, or UTF-16 that begins with a NUL: only the former decodes as UTF-32.
    if body.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        attempt = _strict_or_replaced(body[4:], "utf-32-le" if body[0] else "utf-32-be")
        if attempt.holds:
            return attempt, 4
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _strict_or_replaced(body[2:], "utf-16-le" if body[0] == 0xFF else "utf-16-be"), 2
    return None, 0


def _labels(body: bytes, header_label: str | None, *, html: bool) -> Iterator[tuple[str, Evidence]]:
    """The codecs that the labels name, the header's first."""
    codec = _codec_of(header_label or "")
    if codec is not None:
        yield codec, "header"
    if not html:
        return
    for match in _META.finditer(_COMMENT.sub(b" ", body[:PRESCAN_BYTES])):
        codec = _codec_of((match[1] or match[2]).decode("latin-1"))
        if codec is not None:
            yield codec, "meta"


def _codec_of(label: str) -> str | None:
    """The Python codec that a label names, by the table of the Encoding Standard and our additions."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    name = label[:80].strip(" \t\r\n\f\"'").split(";")[0].strip(" \"'").lower()
    if not name.isascii() or not name.isprintable() or not name:
        return None
    codec: str | None = _EXTRA_LABELS.get(name) or map_encoding_to_html5(name, fallback_utf8=False)
    return codec


def _read(body: bytes, codec: str) -> _Attempt:
    attempts = [_strict_or_replaced(body, name) for name in _READ_AS.get(codec, (codec,))]
    return min(attempts, key=lambda attempt: attempt.bad)


def _strict_or_replaced(body: bytes, codec: str) -> _Attempt:
    try:
        return _Attempt(body.decode(codec), codec, 0, 0)
    except UnicodeError:
        text = body.decode(codec, "replace")
    bad = text.count("\ufffd") - (body.count(b"\xef\xbf\xbd") if codec == "utf-8" else 0)
    return _Attempt(text, codec, bad, len(text) - _ascii_characters(text))


def _ascii_characters(text: str) -> int:
    return len(text.encode("ascii", "ignore"))


def _utf8(body: bytes, claimed: dict[str, Evidence]) -> _Attempt | None:
    """Strict UTF-8, or UTF-8 with a few bad places: a truncated end, a pasted quotation mark.

    Text in another charset hardly ever has many valid UTF-8 sequences, so a bad place is tolerated for every ten good
    characters.
    """
    attempt = _strict_or_replaced(body, "utf-8")
    if attempt.bad and b"\xed" in body:
        attempt = _utf8_with_surrogates(body) or attempt
    good = attempt.foreign - attempt.bad
    if attempt.bad == 0 or attempt.bad * 10 <= good or (attempt.cut_off and (good > 0 or "utf-8" in claimed)):
        return attempt
    return None


def _utf8_with_surrogates(body: bytes) -> _Attempt | None:
    """UTF-8 with the halves of UTF-16 pairs encoded as characters: pairs are joined, single halves replaced."""
    try:
        halves = body.decode("utf-8", "surrogatepass")
    except UnicodeError:
        return None
    text = halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _Attempt(text, "utf-8", text.count("\ufffd") - body.count(b"\xef\xbf\xbd"), len(text))


def _wide(body: bytes, claimed: dict[str, Evidence]) -> _Attempt | None:
    """UTF-32 or UTF-16 without a mark, recognised by the places of its NULs or its spaces."""
    sample = body[: SHAPE_BYTES // 4 * 4]
    if b"\0" not in sample:
        return None
    for codec in ("utf-32-le", "utf-32-be"):
        if len(body) >= 8 and _mostly_text(sample[: len(sample) // 4 * 4], codec):
            return _strict_or_replaced(body, codec)
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    codec, many, few = ("utf-16-le", odd, even) if odd > even else ("utf-16-be", even, odd)
    # Markup and Latin text: half of the bytes are NUL. Other scripts: only the spaces, line ends and tags.
    share = many / (len(sample) / 2)
    if few * 20 <= many and (share > 0.3 or ((share > 0.01 or codec in claimed) and _mostly_text(sample, codec))):
        attempt = _strict_or_replaced(body, codec)
        return attempt if attempt.holds else None
    return None


def _mostly_text(sample: bytes, codec: str) -> bool:
    """Whether a sample decodes, and to text of which 98 % are printable characters, line ends or tabs."""
    try:
        text = sample.decode(codec)
    except UnicodeError:
        return False
    if not text:
        return False
    plain = sum(char.isprintable() or char in "\r\n\t\f" for char in text)
    return plain >= 0.98 * len(text)


def _seven_bit(body: bytes, claimed: dict[str, Evidence]) -> _Attempt | None:
    """ISO-2022-JP, ISO-2022-KR, HZ or UTF-7: ASCII bytes that encode other characters by escape sequences."""
    if not body.isascii():
        return None
    attempt = None
    if b"\x1b$)C" in body:
        attempt = _read(body, "iso2022_kr")
    elif b"\x1b$" in body or b"\x1b(J" in body or b"\x1b(I" in body:
        attempt = _read(body, "iso2022_jp")
    elif b"~{" in body and ("hz" in claimed or len(_HZ_SPAN.findall(body[:DETECT_BYTES])) >= 3):
        attempt = _read(body, "hz")
    elif "utf-7" in claimed and _UTF7_SPAN.search(body[:DETECT_BYTES]):
        attempt = _read(body, "utf-7")
    if attempt is None or attempt.text.isascii():
        return None
    foreign = len(attempt.text) - _ascii_characters(attempt.text)
    return attempt if attempt.bad * 10 <= foreign else None


def _has_too_many_accents(text: str) -> bool:
    """Whether more letters are accented than in any Western language, as when another charset is read as Latin."""
    visible = _TAG.sub(" ", text[:DETECT_BYTES]).encode("utf-8", "surrogatepass")
    accented = sum(map(str.isalpha, visible.translate(None, _ASCII).decode("utf-8", "surrogatepass")))
    plain = len(visible) - len(visible.translate(None, _LATIN_LETTERS))
    return accented >= 20 and accented > MAX_WESTERN_SHARE * (accented + plain)


def _detect(body: bytes, *, western: bool) -> _Attempt | None:
    """By statistics of the bytes: uchardet first (better here, and as fast), then charset_normalizer.

    A page of almost only ASCII is too little for statistics: there windows-1252, the default of browsers, replaces the
    rare charsets that they propose. `western` allows Western charsets.
    """
    first = _HIGH_BYTE.search(body)
    start = max(0, first.start() - 1024) if first else 0
    sample = body[start : start + DETECT_BYTES]
    runs = _HIGH_RUN.findall(_TAG_BYTES.sub(b" ", sample))
    high = sum(map(len, runs))
    sparse = western and high <= MAX_SPARSE_SHARE * len(sample)
    if sparse and high < 4 * len(runs) and len(_SIGNS.findall(b"".join(runs))) >= 0.8 * high:
        return _read(body, "cp1252")
    for guess in _guesses(sample):
        attempt = _read(body, guess)
        if sparse and high < 1.5 * len(runs) and attempt.codec not in _COMMON:
            attempt = _read(body, "cp1252")
        if attempt.holds and (western or attempt.codec not in _WESTERN):
            return attempt
    return None


def _guesses(sample: bytes) -> Iterator[str]:
    import charset_normalizer
    from resiliparse.parse.encoding import detect_encoding

    guess = detect_encoding(sample, max_len=DETECT_BYTES, html5_compatible=False)
    if guess:
        yield guess
    best = charset_normalizer.from_bytes(sample[:SECOND_OPINION_BYTES]).best()
    if best is not None:
        yield best.encoding


def _last_resort(body: bytes, claimed: list[str]) -> _Attempt:
    """UTF-8 if most of it is, else the first label not tried yet, else windows-1252; with replacements."""
    as_utf8 = _strict_or_replaced(body, "utf-8")
    if as_utf8.foreign - as_utf8.bad > as_utf8.bad:
        return as_utf8
    for codec in claimed:
        if codec not in _TRIED:
            return _read(body, codec)
    return _read(body, "cp1252")


def _can_be_encoded(text: str) -> bool:
    """Whether a text has no lone surrogates: to encode it takes a fraction of the time of a search for them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _finish(attempt: _Attempt, evidence: Evidence) -> Decoded:
    text, bad = attempt.text, attempt.bad
    if "\0" in text:
        bad += text.count("\0")
        text = text.replace("\0", "")
    if not attempt.codec.startswith("utf-8") and not _can_be_encoded(text):
        text, surrogates = _SURROGATE.subn("\ufffd", text)
        bad += surrogates
    return Decoded(text.removeprefix("\ufeff"), attempt.codec, evidence, bad)
