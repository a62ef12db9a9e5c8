"""Threads in the markup of forums, comment systems and boards: `forums/NAME.html`, one post after another.

A file holds the page's beginning, the post and the page's end, between lines `<!-- post -->`; where the first post has
another form, it stands before an own such line. `NAME`, `TEXT`, `NUMBER` are filled in.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

SAID: Final = (
    ("keeper_1844", "Does anybody know why the lamp of the north light goes out when the wind comes from the east?"),
    (
        "Anna Björk",
        "We had the same trouble in March. The vent was open, and the draught put out the flame each night.",
    ),
    ("旅人甲", "我们那边的灯塔也是这样，后来把通风口关上一半就好了，你可以先试试看再说。"),
    ("keeper_1844", "Thank you both, half closing the vent has helped. The lamp has burned through three gales since."),
)
_CUT: Final = "<!-- post -->\n"


class Thread(NamedTuple):
    """A page, and each post's author and text."""

    name: str
    html: str
    said: tuple[tuple[str, str], ...]


def threads() -> Iterator[Thread]:
    for path in sorted((Path(__file__).parent / "forums").glob("*.html")):
        begin, *posts, end = path.read_text().split(_CUT)
        shown = (
            posts[min(number, len(posts) - 1)]
            .replace("NAME", escape(name)).replace("TEXT", escape(text)).replace("NUMBER", str(4711 + number))
            for number, (name, text) in enumerate(SAID)
        )  # fmt: skip
        yield Thread(path.stem, begin + "".join(shown) + end, SAID)
