"""What a page's data for search engines (JSON-LD) tell of its text: articles, descriptions, ingredients, steps.

A block whose text is there too is main text more often than not, in any language.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from pipeline.extract.references import characters
from pipeline.extract.text import flowing

_KEYS: Final = frozenset(
    {"headline", "description", "articleBody", "text", "abstract", "reviewBody", "recipeIngredient", "ingredients",
     "recipeInstructions", "step"}
)  # fmt: skip
# Of other things (a site, an author, a breadcrumb) the name is no main text.
_NAMED: Final = frozenset({"Product", "Recipe", "HowToStep", "HowToSection", "Event", "Book", "Movie"})
# Scripts of more characters are left unread.
_MOST_CHARACTERS: Final = 500_000
_TAG = re.compile(r"<[^<>]*+>")
# Blocks of so many words count if their first and last of these stand together in the data.
_RUN: Final = 4


class DataTexts:
    """The strings of a page's JSON-LD that may be main text."""

    def __init__(self, scripts: Iterable[str]) -> None:
        self._texts: set[str] = set()
        self._runs: set[tuple[str, ...]] = set()
        for script in scripts:
            for text in strings(script):
                for line in _TAG.sub("\n", text).split("\n"):
                    words = flowing(characters(line)).split(" ")
                    self._texts.add(" ".join(words))
                    self._runs.update(zip(*(words[start:] for start in range(_RUN))))
        self._texts.discard("")

    def __bool__(self) -> bool:
        """Whether they may tell anything."""
        return bool(self._texts)

    def is_told(self, text: str) -> bool:
        """Whether the data have the text of a block."""
        if text in self._texts:
            return True
        words = text.split()
        return len(words) >= _RUN and tuple(words[:_RUN]) in self._runs and tuple(words[-_RUN:]) in self._runs


def strings(script: str) -> list[str]:
    """The strings under keys of main text in a piece of JSON; none in what is no JSON."""
    if len(script) > _MOST_CHARACTERS:
        return []
    try:
        waiting: list[tuple[Any, bool]] = [(json.loads(script.strip().removesuffix(";"), strict=False), False)]
    except (ValueError, RecursionError):
        return []
    found: list[str] = []
    while waiting:
        each, is_text = waiting.pop()
        if isinstance(each, str):
            found += [each] if is_text else []
        elif isinstance(each, list):
            waiting += [(one, is_text) for one in each]
        elif isinstance(each, dict):
            kind = each.get("@type")
            is_named = is_text or (isinstance(kind, str) and kind in _NAMED)
            waiting += [(value, key in _KEYS or (key == "name" and is_named)) for key, value in each.items()]
    return found
