"""Damaged and unreadable text: mojibake, symbol soup, remnants of scripts, fragments, and phrases of page furniture.

Our own signals, for the kinds of text that Yi's report (arXiv 2403.04652, section 2.1) lists: garbled text, symbol
ratios, short and incomplete lines, boilerplate. The patterns are hand-made; each number is a rate, independent of
length.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from filters.characters import ALNUM, ALONE, SPACE, TERMINAL
from filters.repeats import Indices
from filters.signal import Signal
from filters.tokens import runs
from filters.view import View

# The characters that the second and third bytes of UTF-8 become when read as Latin-1 or as Windows-1252.
_TRAIL = "\u0080-\u00bfŒœŠšŸŽžƒ\u02c6\u02dc\u2013-\u2026‰‹›€™"
_MOJIBAKE = re.compile(
    f"Ã[{_TRAIL}]|Â[\u0080-\u00bf]|â€[{_TRAIL}]|â[\u0080-\u009f][{_TRAIL}]|[ÐÑ][{_TRAIL}](?=[ÐÑ])|[ØÙ][{_TRAIL}](?=[ØÙ])"
    f"|[ä-é][{_TRAIL}]{{2}}|ï»¿|ï¿½|锟斤拷|烫烫烫|屯屯屯|[锛銆鈥鏄鐨]"
)
_MOJIBAKE_BEGIN = re.compile("[ÃÂâÐÑØÙä-éï锟烫屯锛銆鈥鏄鐨]")
# Chinese, Cyrillic and other multi-byte text read as Latin-1: long runs of its upper half.
LATIN1_RUN = 6
_LATIN1_FIRST, _LATIN1_LAST = np.uint32(0xA1), np.uint32(0xFF)
_SCRIPT = re.compile(
    r"\bfunction\s?\(|\bvar \w|\bdocument\.|\bwindow\.|=>\s?\{|\}\)?;|&&|\|\||<!--|-->|</?\w+>|\{\{|\}\}|&[a-z]{2,8};"
)
_BOILERPLATE = re.compile(
    r"\b(?:cookies?|subscribe|newsletter|sign (?:in|up)|log ?in|register|privacy|copyright|all rights reserved|"
    r"terms (?:of|and)|read more|click here|add to cart|checkout|share this|follow us|powered by|back to top|"
    r"skip to|unsubscribe|datenschutz|impressum|anmelden|mentions légales|connexion|política de|iniciar sesión)\b"
    r"|登录|注册|版权所有|备案|联系我们|关于我们|上一篇|下一篇|返回顶部|隐私|ログイン|お問い合わせ"
)
# What each of its alternatives begins with; those behind in Han or Kana.
_BOILERPLATE_BEGINS = (
    "cookie", "subscribe", "newsletter", "sign in", "sign up", "log", "register", "privacy", "copyright", "all rights",
    "terms ", "read more", "click here", "add to", "checkout", "share this", "follow us", "powered by", "back to",
    "skip to", "unsubscribe", "datenschutz", "impressum", "anmelden", "mentions", "connexion", "política", "iniciar",
)  # fmt: skip
_BOILERPLATE_BEGINS_ALONE = (
    "登录", "注册", "版权", "备案", "联系我", "关于我", "上一篇", "下一篇", "返回顶", "隐私", "ログイン", "お問い合",
)  # fmt: skip
SHORT_LINE_WORDS = 3
# How often a phrase of page furniture counts in `capped_boilerplate_rate`.
MOST_TIMES = 2


def mojibake_rate(view: View) -> float:
    text = view.text
    if text.isascii():
        return 0.0
    latin = view.codes - _LATIN1_FIRST <= _LATIN1_LAST - _LATIN1_FIRST
    misread = halves = 0
    # what it begins with is of Latin-1 or Han
    if latin.any() or (view.flags & ALONE).any():
        misread = sum(1 for _ in _matches(_MOJIBAKE, text, (each.start() for each in _MOJIBAKE_BEGIN.finditer(text))))
        start, end = runs(latin)
        halves = int((end - start)[end - start >= LATIN1_RUN].sum())
    return 1000.0 * (misread + halves / 2) / len(text)


def replacement_rate(view: View) -> float | None:
    return 1000.0 * view.text.count("\ufffd") / len(view.text) if view.text else None


def soup_fraction(view: View) -> float | None:
    """Share of the visible characters in white-space-separated pieces of which less than half is letters or digits."""
    pieces = view.pieces
    if not len(pieces):
        return None
    soup = 2 * view.counts(ALNUM, pieces) < pieces.lengths
    return int(pieces.lengths[soup].sum()) / int(pieces.lengths.sum())


def script_remnant_rate(view: View) -> float | None:
    """Pieces of program text, tags and entities per 100 words; a clean text about programming has some too."""
    return _rate(_SCRIPT, view.text, view)


def boilerplate_rate(view: View) -> float | None:
    return 100.0 * len(view.once(_boilerplate)) / len(view.words) if len(view.words) else None


def capped_boilerplate_rate(view: View) -> float | None:
    """Each phrase counts twice at most: a recipe for cookies, or a page on logging in, has one all over."""
    counts = Counter(phrase.removesuffix("s") for phrase in view.once(_boilerplate))
    return 100.0 * sum(min(n, MOST_TIMES) for n in counts.values()) / len(view.words) if len(view.words) else None


def _boilerplate(view: View) -> list[str]:
    """What _BOILERPLATE finds: matched only where one of its beginnings stands, which takes less time."""
    text = view.lower
    begins = [*_BOILERPLATE_BEGINS, *(_BOILERPLATE_BEGINS_ALONE if (view.flags & ALONE).any() else ())]
    return [*_matches(_BOILERPLATE, text, sorted(at for begin in begins for at in _places(text, begin)))]


def _matches(pattern: re.Pattern[str], text: str, places: Iterable[int]) -> Iterator[str]:
    """What the pattern finds, from left to right. `places`: all those where it may begin, ascending."""
    end = 0
    for place in places:
        if place >= end and (match := pattern.match(text, place)):
            end = match.end()
            yield match[0]


def _places(text: str, piece: str) -> Iterator[int]:
    at = text.find(piece)
    while at >= 0:
        yield at
        at = text.find(piece, at + 1)


def short_line_fraction(view: View) -> float | None:
    lines = view.filled_lines
    if not len(lines):
        return None
    return int(np.count_nonzero(_line_words(view) <= SHORT_LINE_WORDS)) / len(lines)


def navigation_fraction(view: View) -> float | None:
    """Share of the words in lines of at most three words without a sentence end: menus, tags, buttons."""
    if not len(view.words):
        return None
    counts = _line_words(view)
    menu = (counts <= SHORT_LINE_WORDS) & (view.flags.take(view.filled_lines.end - 1) & TERMINAL == 0)
    return int(counts[menu].sum()) / max(1, int(counts.sum()))


def incomplete_ending(view: View) -> float | None:
    """1 if the last filled line has no sentence end or ends in an ellipsis, else 0; closing quotes and brackets after
    the end are ignored."""
    if not len(view.filled_lines):
        return None
    last = view.text[int(view.filled_lines.start[-1]) : int(view.filled_lines.end[-1])][-20:].rstrip("\"'”’»)]}」』）")
    whole = bool(last) and bool(View(last).flags[-1] & TERMINAL) and not last.endswith("...")
    return float(not whole)


def isolated_character_fraction(view: View) -> float | None:
    """Share of the white-space-separated pieces that are one letter or digit: s p a c e d  o u t, broken columns."""
    pieces = view.pieces
    if not len(pieces):
        return None
    single = (pieces.lengths == 1) & (view.flags.take(pieces.start) & ALNUM != 0)
    return int(np.count_nonzero(single)) / len(pieces)


def space_fraction(view: View) -> float | None:
    return int(np.count_nonzero(view.flags & SPACE)) / len(view.text) if view.text else None


def _line_words(view: View) -> Indices:
    """Words of each filled line, or its white-space pieces if the tokens have no offsets in the text."""
    starts = view.pieces.start if view.has_external_tokens else view.words.start
    lines = view.filled_lines
    return starts.searchsorted(lines.end) - starts.searchsorted(lines.start)


def _rate(pattern: re.Pattern[str], text: str, view: View) -> float | None:
    return 100.0 * sum(1 for _ in pattern.finditer(text)) / len(view.words) if len(view.words) else None


_OURS = "ours, for a kind of text that Yi section 2.1 lists"
SIGNALS = (
    Signal("mojibake_rate", mojibake_rate, 150, _OURS, "misread sequences per 1,000 characters; sound text has 0"),
    Signal("replacement_rate", replacement_rate, 2, _OURS, "U+FFFD per 1,000 characters; sound text has 0"),
    Signal("soup_fraction", soup_fraction, 25, _OURS, "visible characters in symbol soup, 0..1; prose is under .05"),
    Signal("script_remnant_rate", script_remnant_rate, 300, _OURS, "per 100 words; prose is near 0"),
    Signal("boilerplate_rate", boilerplate_rate, 400, _OURS, "phrases of page furniture per 100 words; prose < 1"),
    Signal("capped_boilerplate_rate", capped_boilerplate_rate, 5, _OURS, "the same, each phrase twice at most"),
    Signal("short_line_fraction", short_line_fraction, 10, _OURS, "lines of <= 3 words, 0..1; high = list, menu"),
    Signal("navigation_fraction", navigation_fraction, 12, _OURS, "words in menu-like lines, 0..1; prose is near 0"),
    Signal("incomplete_ending", incomplete_ending, 10, _OURS, "1 = the text breaks off, 0 = it ends a sentence"),
    Signal("isolated_character_fraction", isolated_character_fraction, 10, _OURS, "pieces, 0..1; English prose < .1"),
    Signal("space_fraction", space_fraction, 5, _OURS, "white space of all characters, 0..1; English prose .15-.2"),
)
