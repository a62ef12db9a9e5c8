"""Edits: functions text -> (text, number of cuts or changes). Each is idempotent: a second pass changes nothing.

The recipes' own line edits are beside their signals (`c4`, `refinedweb`); here are those that several recipes share.
"""

import ipaddress
import re
from collections.abc import Callable

Edit = Callable[[str], tuple[str, int]]

# datatrove's expression (formatters/pii.py, 0.10.1), in two halves: from each @ the domain is read forwards, the local
# part backwards, so that time is linear. Edges are of ASCII words, so that an address between Chinese characters is
# found whole.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)"
_AT = re.compile(
    rf"@(?:(?:{_LABEL}\.)+{_LABEL}|\[(?:{_OCTET}\.){{3}}(?:{_OCTET}|[A-Za-z0-9-]*[A-Za-z0-9]:)\](?![.-]?[A-Za-z0-9]))"
)
_NOT_LOCAL = re.compile(r"[^A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]")
_LOCAL_BEGIN = re.compile(r"\b(?!\.)", re.ASCII)
_IPV4 = re.compile(r"(?<![A-Za-z0-9_.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\.?[A-Za-z0-9_])")
_URL = re.compile(r"(?<![A-Za-z0-9])(?:(?:https?|ftp)://|www\.)[^\s<>\"'“”’«»()\[\]{}，。；、（）]+", re.IGNORECASE)
_URL_TAIL = ".,;:!?…"
_NEWLINES = re.compile(r"\n{3,}")
_TRAILING_SPACE = re.compile(r"(?<![ \t])[ \t]+(?=\n|\Z)")

EMAIL_MASK = "email@example.com"
IPV4_MASK = "192.0.2.1"  # documentation range, RFC 5737


def mask_email(text: str) -> tuple[str, int]:
    """E-mail addresses -> email@example.com, as FineWeb finds them: by form alone, in ASCII. Existing masks are not
    counted."""
    pieces: list[str] = []
    kept = last = changed = 0
    for match in _AT.finditer(text):
        begin = _local_begin(text, match.start(), last)
        if begin is None:
            continue
        if text[begin : match.end()] != EMAIL_MASK:
            pieces += (text[kept:begin], EMAIL_MASK)
            kept = match.end()
            changed += 1
        last = match.end()
    return ("".join([*pieces, text[kept:]]), changed) if changed else (text, 0)


def _local_begin(text: str, at: int, last: int) -> int | None:
    """Where the local part before the @ at `at` begins, not before `last`: the first edge of a word from which there is
    no other sign, and no dot at the end or beside another."""
    begin, last = at, last + (last > 0)  # a mask that began where another ends would be one with it
    while begin > last and not _NOT_LOCAL.match(text, begin - 1):
        begin -= 1
    if text[at - 1 : at] == ".":
        return None
    begin = max(begin, text.rfind("..", begin, at) + 1)
    found = _LOCAL_BEGIN.search(text, begin, at)
    return found.start() if found and found.start() < at else None


def mask_ipv4(text: str) -> tuple[str, int]:
    """Public IPv4 addresses -> 192.0.2.1, which is not public; private, reserved and impossible ones are kept."""
    return _replace(_IPV4, text, lambda found: IPV4_MASK if is_public_ipv4(found) else found)


def remove_urls(text: str) -> tuple[str, int]:
    """Removes URLs with a scheme or `www.` (RefinedWeb removes all URLs); punctuation after one is kept.

    Bare host names are kept: they are often names of things.
    """
    return _replace(_URL, text, lambda found: found[len(found.rstrip(_URL_TAIL)) :])


def limit_newlines(text: str) -> tuple[str, int]:
    """At most two newlines in a row (RefinedWeb, DCLM's newline_removal_modifier); counts the longer runs."""
    return _NEWLINES.subn("\n\n", text)


def normalise_whitespace(text: str) -> tuple[str, int]:
    """Line ends of all systems -> \\n; no space at line ends; at most two newlines in a row; none at the text's ends.

    Counts the characters removed.
    """
    after = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
    after = _NEWLINES.sub("\n\n", _TRAILING_SPACE.sub("", after)).strip()
    return after, abs(len(text) - len(after)) or int(text != after)


def remove_bar_lines(text: str) -> tuple[str, int]:
    """Removes runs of lines of nothing but | and spaces, which trafilatura writes for tables, leaving a paragraph
    break.

    datatrove's SymbolLinesFormatter as FineWeb2 calls it: a run becomes "\\n" in place of its lines, other line ends
    become "\\n" too. Counts the lines removed.
    """
    kept: list[str] = []
    gone, in_run = 0, False
    for line in text.splitlines():
        bars = not line.strip("| ") and "|" in line
        if not bars:
            kept.append(line)
        elif not in_run:
            kept.append("\n")
        gone += bars
        in_run = bars
    return ("\n".join(kept), gone) if gone else (text, 0)


def mask_each(
    text: str, pattern: re.Pattern[str], find: Callable[[re.Match[str]], int | None], mask: str
) -> tuple[str, int]:
    """Replaces by `mask` each of `spans_of`; and their number."""
    spans = spans_of(text, pattern, find, mask)
    return replaced(text, spans, mask), len(spans)


def spans_of(
    text: str, pattern: re.Pattern[str], find: Callable[[re.Match[str]], int | None], mask: str
) -> list[tuple[int, int]]:
    """The spans that begin at a match of `pattern` and end where `find` says (None: no match); not those that equal
    `mask` already. After None, the search continues one character later."""
    spans: list[tuple[int, int]] = []
    at = 0
    while match := pattern.search(text, at):
        end = find(match)
        if end is None:
            at = match.start() + 1
            continue
        if text[match.start() : end] != mask:
            spans.append((match.start(), end))
        at = end
    return spans


def replaced(text: str, spans: list[tuple[int, int]], mask: str) -> str:
    """The text with `mask` in place of each of these spans, which are in order."""
    if not spans:
        return text
    ends = [0, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), len(text)]
    return mask.join(text[end:start] for end, start in zip(ends, starts, strict=True))


def _replace(pattern: re.Pattern[str], text: str, new: Callable[[str], str]) -> tuple[str, int]:
    changed = 0

    def swap(match: re.Match[str]) -> str:
        nonlocal changed
        found = match.group()
        other = new(found)
        changed += other != found
        return other

    return pattern.sub(swap, text), changed


def is_public_ipv4(address: str) -> bool:
    """Whether it is one, and a public one."""
    try:
        return ipaddress.IPv4Address(address).is_global
    except ValueError:
        return False


EDITS: tuple[tuple[str, Edit], ...] = (
    ("mask_email", mask_email),
    ("mask_ipv4", mask_ipv4),
    ("remove_urls", remove_urls),
    ("remove_bar_lines", remove_bar_lines),
    ("limit_newlines", limit_newlines),
    ("normalise_whitespace", normalise_whitespace),
)
