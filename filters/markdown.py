"""Light Markdown without its marks: the lines that a page's plain text has.

Signals, models and rules were fitted on plain text. Heading marks would count as hashes, fences and pipes as symbols,
blank lines would make paragraphs of lines. So what judges a text reads it without the marks that extraction put there
(`pipeline/extract/structure/markdown.py`), which alone are removed: fences and their languages, the marks of headings
and of items, pipes of tables, backticks, the signs of formulas on lines of their own, who spoke in a forum, and blank
lines outside of code.
"""

import re
from typing import Final

_FENCE = re.compile(r"(`{3,})[\w+#.-]*")
_HEADING = re.compile(r"#{1,6} (?=\S)")
_SPEAKER = re.compile(r"\*\*[^*]{1,60}\*\*:")
_ITEM = re.compile(r" *(?:- |\d{1,9}\. )?(?=\S)")
_RULE = re.compile(r"\|(?:---\|)+")
_CELL: Final = re.compile(r"(?<!\\)\|")
# The longest inline code that is looked for.
_CODE = re.compile(r"(?<!`)(`+)(?!`) ?(.{1,1000}?) ?(?<!`)\1(?!`)")


def without_marks(text: str) -> str:
    """The text without the marks of light Markdown, a line for each line, item, row and heading. Linear."""
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        if fence:
            if line == fence:
                fence = ""
            else:
                lines.append(line)
        elif line[:3] == "```" and (opening := _FENCE.fullmatch(line)):
            fence = opening[1]
        elif line and line != "$$" and not (line[0] in "|*" and (_RULE.fullmatch(line) or _SPEAKER.fullmatch(line))):
            lines.append(_plain(line))
    return "\n".join(lines)


def _plain(line: str) -> str:
    if line[0] == "#":
        line = _HEADING.sub("", line, count=1) if _HEADING.match(line) else line
    elif line[:2] == "| " and line[-2:] == " |":
        cells = (cell.strip().replace("\\|", "|") for cell in _CELL.split(line[1:-1]))
        line = " ".join(cell for cell in cells if cell)
    elif line[0] in " -0123456789" and (mark := _ITEM.match(line)):
        line = line[mark.end() :]
    return _CODE.sub(r"\2", line) if "`" in line else line
