"""The mask for e-mail addresses: of any script, found whole, and told from what only has their form.

An address is found from its @. Its local part may have letters of any script, dots anywhere, apostrophes and the other
signs of RFC 5322 inside words (`o'brien`, `r&d`; `/` and `=` only behind a `+`), or be a quoted string; the @ may be
full-width or a percent escape, as in the query of a URL; its domain may be internationalised
(RFC 6531) or a literal (`[192.0.2.1]`). Text without spaces between words (Han, kana, Thai, …) around an address in
another script is not part of it.

Not addresses: names of files (`logo@2x.png`), remotes of ssh (`git@host:path`), the user of a URL, decorators, matrix
products and labels in code (`W@x.sum(axis=0)`, `this@Main.run`), versions of packages (`pkg@1.2.3`), systemd's units.
"""

from collections.abc import Iterable, Iterator

import regex

from filters.edits import EMAIL_MASK

_MOST_LOCAL, _MOST_DOMAIN = 64, 253  # RFC 5321, 4.5.3.1
# They show nothing, and stand inside addresses to keep them from being found, or from being broken.
_INVISIBLE = "\u00ad\u200b\u2060\ufeff"
_WORD = rf"[\p{{L}}\p{{M}}\p{{N}}_{_INVISIBLE}]"
_LOCAL = regex.compile(
    rf"(?:(?<!\S)[!$&*#~])?(?:[.+%-]|{_WORD})(?:[.+%-]|{_WORD}|(?<={_WORD})['’&!#$*~](?=[.+%-]|{_WORD})"
    rf"|(?<=\+[\p{{L}}\p{{N}}_.+%/=-]{{1,{_MOST_LOCAL}}})[/=](?={_WORD}))*\Z"
)
_QUOTED = regex.compile(r"(?<![^\s<(\[,;:])(?:\"(?:[^\"\\\n]|\\.){1,62}\"|“[^“”\n]{1,62}”)\Z")
_LABEL = (
    rf"[{_INVISIBLE}]{{0,2}}[\p{{L}}\p{{N}}](?:[\p{{L}}\p{{M}}\p{{N}}{_INVISIBLE}-]{{0,61}}[\p{{L}}\p{{M}}\p{{N}}])?"
    rf"[{_INVISIBLE}]{{0,2}}"
)
_DOMAIN = regex.compile(rf"{_LABEL}(?:[.。．｡]{_LABEL})+")
_LITERAL = regex.compile(
    r"\[(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|IPv6:[0-9A-Fa-f:.]{2,45})\](?![\p{L}@＠]|[-.。．｡][\p{L}\p{N}])"
)
# Of four numbers, at least two that versions seldom have.
_IPV4 = regex.compile(r"(?=(?:[0-9.]*\b[1-9][0-9]{2}\b){2})[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_DOT = regex.compile("[.。．｡]")
# Scripts without spaces between words, and Korean, whose endings follow a Latin word without one.
_UNSPACED = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}ー々\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
)
# Top-level domains of such scripts (IANA's root zone): what follows one in the same word is text.
_UNSPACED_ENDS = regex.compile(
    "中国|中國|公司|网络|網絡|網路|在线|中文网|网址|网站|網站|商城|商标|商店|台湾|台灣|香港|澳門|新加坡|公益|政务|集团|移动|我爱你|"
    "游戏|娱乐|信息|机构|企业|健康|广东|佛山|手机|招聘|时尚|餐厅|大拿|八卦|"
    "コム|みんな|ポイント|ストア|グーグル|セール|ファッション|クラウド|アマゾン|닷컴|닷넷|한국|삼성|ไทย|คอม|ລາວ"
)
# What may follow a full-width dot, which also ends sentences.
_AFTER_WIDE_DOT = regex.compile(rf"(?:com|org|net|[a-z]{{2}})\Z|{_UNSPACED_ENDS.pattern}", regex.IGNORECASE)
_ENDING = regex.compile(r"(?:xn--[a-z0-9-]{2,59}|[\p{L}\p{M}]{2,63})\Z", regex.IGNORECASE)
_LETTERS = regex.compile(r"[\p{L}\p{M}]*")
# Endings of files, and attributes of arrays: no top-level domains.
_NO_ENDINGS = frozenset(
    """
    png jpg jpeg gif svg webp bmp ico tif tiff avif heic psd css scss sass less js mjs cjs jsx ts tsx json jsonl xml
    html htm xhtml php asp aspx jsp txt pdf doc docx xls xlsx ppt pptx csv tsv yml yaml toml ini cfg conf log lock exe
    dll class jar war pyc java cpp hpp cc rb swift kt vue wasm map woff woff2 ttf eot otf mp3 mp4 avi mkv webm ogg wav
    flac bak tmp gz tgz tar bz2 xz deb rpm dmg iso apk git service socket timer mount slice scope device swap automount
    shape real imag grad values dtype ndim flat size data numpy item mean sum std var max min inv reshape transpose
    flatten ravel astype copy detach clone view length tolist mt
    """.split()  # noqa: SIM905 (a list of words is easier to read as words)
)
# Before `(` these are domains; other words are methods there.
_SURE_ENDINGS = frozenset({"com", "org", "net", "edu", "gov", "mil", "info", "biz"})
_METHODS = frozenset({"to", "at", "is", "it", "in", "as", "id", "do", "so"})
_WORDS_OF_CODE = frozenset({"this", "super", "return", "break", "continue", "git", "hg", "svn"})
_CALL = regex.compile(r"\.\w{1,32}\(")
_PATH = regex.compile(r":(?:[~.]?/|~|[\w.-]+/|[\w.-]+\.git\b)")
_URL_USER = regex.compile(r"://[^\s/?#<>\"']*\Z")
_REMOTE = regex.compile(r"\b(?:ssh|scp|sftp|rsync|mosh)(?: -\S+(?: [^\s-]\S*)?){0,4} \Z")
_REACH = 80
_RUN_TOGETHER = ("", ".", "-", "+", "%")


def mask_email_in_context(text: str) -> tuple[str, int]:
    """E-mail addresses of any script -> email@example.com; file names, ssh remotes and code are kept."""
    if "＠" in text or "%40" in text:
        marks = regex.finditer("[@＠]|%40", text)
    elif "@" in text:
        marks = regex.finditer("@", text)
    else:
        return text, 0
    found = list(_found(text, (mark.span() for mark in marks)))
    changed = sum(text[begin:end] != EMAIL_MASK for begin, end in found)
    if not changed:
        return text, 0
    pieces: list[str] = []
    kept = 0
    for begin, end in found:
        pieces += (text[kept:begin], EMAIL_MASK)
        kept = end
    return "".join([*pieces, text[kept:]]), changed


def _found(text: str, marks: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Where the addresses around these @ begin and end. Those that run together are one."""
    first = last = 0
    for at, behind in marks:
        # the end first: it takes a tenth of the time
        end = _end(text, behind) if at >= last else 0
        begin = _begin(text, at, last) if end else None
        if begin is None or not _is_address(text, begin, at, behind, end):
            continue
        if last and text[last:begin] not in _RUN_TOGETHER:
            yield first, last
            first = begin
        first, last = first if last else begin, end
    if last:
        yield first, last


def _begin(text: str, at: int, last: int) -> int | None:
    """Where the local part before `at` begins, not before `last`; None without one."""
    first = max(last, at - _MOST_LOCAL - 1)
    quoted = text[at - 1 : at] in ('"', "”")
    found = (_QUOTED if quoted else _LOCAL).search(text, first, at)
    if found is None or quoted:
        return found.start() if found else None
    start, local = found.start(), found[0]
    if not _UNSPACED.search(local.rstrip(".+%-")[-1:]):
        cut = max((other.end() for other in _UNSPACED.finditer(local)), default=0)
        start, local = start + cut, local[cut:]
    bare = local.lstrip(".")
    return start + len(local) - len(bare) if 0 < len(bare) <= _MOST_LOCAL else None


def _end(text: str, start: int) -> int:
    """Where the domain that begins at `start` ends; 0 without one."""
    if literal := _LITERAL.match(text, start):
        return int(literal.end())
    found = _DOMAIN.match(text, start, start + _MOST_DOMAIN)
    if found is None:
        return 0
    ends: list[int] = []
    at = start
    labels = _DOT.split(found[0])
    if text[found.end() : found.end() + 1] in ("@", "＠"):
        labels.pop()  # the local part of another address
    for label in labels:
        if ends and text[ends[-1]] != "." and not _AFTER_WIDE_DOT.match(label):
            break  # a sentence ended
        end, whole = _label_end(label)
        ends.append(at + end)
        if not whole:
            break
        at += len(label) + 1
    if len(ends) == 4 and _IPV4.fullmatch(text, start, ends[-1]):
        return ends[-1]
    while len(ends) > 1:
        ending = text[ends[-2] + 1 : ends[-1]]
        if ending.casefold() in _NO_ENDINGS:
            return 0
        word = ending if ending[:4].lower() == "xn--" else ending.partition("-")[0]
        if not word.isascii():
            word = _LETTERS.match(word)[0]
        if _ENDING.match(word):
            return ends[-2] + 1 + len(word)
        ends.pop()
    return 0


def _label_end(label: str) -> tuple[int, bool]:
    """How much of a label is part of a domain, and whether that is all of it."""
    if _UNSPACED.match(label):
        known = _UNSPACED_ENDS.match(label)
        return (known.end(), known.end() == len(label)) if known else (len(label), True)
    text = _UNSPACED.search(label)
    return (text.start(), False) if text else (len(label), True)


def _is_address(text: str, begin: int, at: int, behind: int, end: int) -> bool:
    """Whether what has the form of an address has its place too."""
    before, local = text[max(0, begin - _REACH) : begin], text[begin:at]
    if local in _WORDS_OF_CODE or _URL_USER.search(before) or _REMOTE.search(before):
        return False
    after = text[end : end + 1]
    if after == ":" and _PATH.match(text, end):
        return False
    if text[behind] == "[" or (after not in ("(", "[") and not _CALL.match(text, end)):
        return True
    labels = text[behind:end].split(".")
    ending = labels[-1].strip(_INVISIBLE).lower()
    if ending in _SURE_ENDINGS or not ending.isascii():
        return True
    known = len(ending) == 2 and ending not in _METHODS and len(local) > 1
    return after == "(" and known and (len(labels) > 2 or len(labels[-2]) > 2)
