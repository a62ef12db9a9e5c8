"""The form of a text, whatever its words are: lines that speakers have in turn, code, formulas, speech.

A subject is told by words, but a conversation may be about anything, and code and formulas have few words that another
program or proof has too. So topic tables (`pipeline/models/topics.py`) read marks of the form as words of their own.
"""

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from filters.characters import SPACE, code_points, flags_of
from filters.tokens import runs

# A mark is there so many times where all of a text has its form.
MOST: Final = 20
# Of a line as much as this is looked at.
LINE_CHARS: Final = 300
MAX_SPEAKERS: Final = 12
_LABEL = re.compile(r"^\W{0,3}(\w[^:：]{0,29}?)\s*[:：]\s*(?!//)(\S.*)$")
_ENDS = re.compile(r"[.!?…。！？][\"”’)\]）*]*\s*$")
_CODE_LINE = re.compile(
    r"""[;{}]\s*$
    | ^\s*(?:\$|>>>|//|/\*|\#!)
    | ^\s*(?:def|class|import|from|return|if|for|while|const|let|var|function|public|private|fn|use|pub)\b.*[(:;={]
    | \w\([^()]*\)\s*[;:{]?\s*$
    | ^\s*[\w.\[\]]+\s*[-+*/]?=\s*\S""",
    re.VERBOSE,
)
# What each of its alternatives needs: a beginning, a sign of assignment, or an end.
_CODE_BEGINS = re.compile(
    r"\s*(?:[$>/\#]|(?:def|class|import|from|return|if|for|while|const|let|var|function|public|private|fn|use|pub)\b)"
)
_CODE_ENDS = ";{}):"
_FORMULA_COMMAND = re.compile(r"\\[a-zA-Z]+")
_FORMULA_SIGNS = "=^≤≥∈∑∫→⇒±√∞≠"
_SPEECH = re.compile(r"[\"“][^\"”\n]{2,300}[\"”]")


def form_marks(text: str) -> Mapping[str, int]:
    """How often each mark counts, 1 to MOST; a mark is no word, as it has angle brackets: `<code>` for the share of
    lines that look like code, `<labelled>` of those that begin with a name or a key and a colon, `<turns>` of those
    whose name comes again, where 2 to MAX_SPEAKERS do, `<speech>` of words in quotation marks, `<formulas>` a fifth of
    a word for each sign of one."""
    lines, labelled = _lines_of(text)
    words = max(1, _words(text))
    names = [name for name, _ in labelled]
    formulas = len(_FORMULA_COMMAND.findall(text)) + sum(map(text.count, _FORMULA_SIGNS))
    again = [n for n in Counter(names).values() if n > 1]
    shares = {
        "<code>": sum(map(_is_code, lines)) / max(1, len(lines)),
        "<formulas>": 5 * formulas / words,
        "<labelled>": len(names) / max(1, len(lines)),
        "<speech>": sum(len(speech.split()) for speech in _SPEECH.findall(text)) / words,
        "<turns>": sum(again) / max(1, len(lines)) if 2 <= len(again) <= MAX_SPEAKERS else 0.0,
    }
    return {name: n for name, share in shares.items() if (n := round(MOST * min(1.0, share)))}


def share_in_turns(text: str) -> float:
    """The share of the characters that named speakers say in turn, `Name: …`, one line each: lines of at least two
    names that come again, of which two in five or more end as a sentence does; else 0, as of tables of keys."""
    lines, said = _lines_of(text)
    often = Counter(name for name, _ in said)
    turns = [(name, line) for name, line in said if often[name] > 1]
    if len({name for name, _ in turns}) < 2 or 5 * sum(_ENDS.search(line) is not None for _, line in turns) < 2 * len(
        turns
    ):
        return 0.0
    return sum(len(line) for _, line in turns) / sum(map(len, lines))


def _is_code(line: str) -> bool:
    """Whether _CODE_LINE is found: looked for where it may be, in a tenth of the time for prose."""
    if "=" in line or line.rstrip()[-1:] in _CODE_ENDS or _CODE_BEGINS.match(line):
        return _CODE_LINE.search(line) is not None
    return False


@lru_cache(maxsize=1)  # both functions are asked about a text one after the other
def _lines_of(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The lines that are not blank, and of those with a label the label and the rest."""
    lines = [line[:LINE_CHARS] for line in text.splitlines() if line.strip()]
    with_colon = [line for line in lines if ":" in line or "：" in line]
    return lines, [(found[1].lower(), found[2]) for line in with_colon if (found := _LABEL.match(line))]


def _words(text: str) -> int:
    """How many there are between white space."""
    return len(runs(flags_of(code_points(text)) & SPACE == 0)[0])
