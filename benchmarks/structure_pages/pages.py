"""Pages with code, tables and formulas in the markup of highlighters and renderers, each with its Markdown.

The files `*.txt` of this folder hold a page after each line `=== NAME`: its HTML, a line `---`, its Markdown. They are
put into a page with a menu, a side bar, paragraphs and a footer; `=== NAME bare` gets no paragraphs around it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_BEFORE: Final = (
    "The harbour office keeps its books in the same way for forty years, and whoever joins it learns the method first.",
    "What follows was written for the new clerks, who asked why the columns are added twice and by different people.",
    "We tried three ways of doing this last winter. Two of them failed on the first day, and the third is given here.",
    "Readers wrote to ask how the figures of the last article were found. This note shows each step and its result.",
)
_AFTER: Final = (
    "Whoever wants to check the result should begin with the smallest case, because a mistake there shows at once.",
    "The office has kept to this since then, and the number of complaints has fallen from nine a month to two.",
    "A later note will say what changes when the tide is late, which happens more often than the tables admit.",
    "None of this is new. It is set down here so that nobody has to find it out for a second time.",
)
_PAGE: Final = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title} - Harbour Notes</title>
<link rel="stylesheet" href="/style.css"></head><body>
<header class="site-header"><a href="/">Harbour Notes</a><nav><ul><li><a href="/">Home</a></li><li><a
href="/archive">Archive</a></li><li><a href="/about">About</a></li></ul></nav></header>
<div class="layout"><main class="content"><article class="post"><h1>{title}</h1>
{body}
</article></main><aside class="sidebar"><h3>Recent posts</h3><ul><li><a href="/a">On keeping a light</a></li><li><a
href="/b">Ropes and knots</a></li><li><a href="/c">The winter storms</a></li></ul></aside></div>
<footer class="footer"><p>Copyright 2024 Harbour Notes. <a href="/privacy">Privacy</a> <a href="/terms">Terms</a></p>
</footer></body></html>
"""


class WrittenPage(NamedTuple):
    """`kind`: the file that it is of."""

    kind: str
    name: str
    html: str
    markdown: str


def written_pages() -> Iterator[WrittenPage]:
    """All pages, in the order of the files' names."""
    for path in sorted(Path(__file__).parent.glob("*.txt")):
        for number, section in enumerate(f"\n{path.read_text()}".split("\n=== ")[1:]):
            head, _, rest = section.partition("\n")
            html, _, gold = rest.partition("\n---\n")
            name, _, bare = head.partition(" ")
            before, after = _BEFORE[number % 4], _AFTER[number % 4]
            title = name.replace("-", " ").capitalize()
            body = html if bare else f"<p>{before}</p>\n{html}\n<p>{after}</p>"
            text = gold.strip() if bare else f"{before}\n\n{gold.strip()}\n\n{after}"
            page = html if bare == "bare whole" else _PAGE.format(title=title, body=body)
            heading = "" if bare == "bare whole" else f"# {title}\n\n"
            yield WrittenPage(path.stem, f"{path.stem}/{name}", page, f"{heading}{text}\n")
