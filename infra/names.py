"""What a message says after a name that nobody knows: the names that are near to it, or those that there are."""

from collections.abc import Iterable
from difflib import get_close_matches

# Longer lists are cut: a message is one line.
MOST_LISTED = 24
MOST_NEAR = 3


def near_names(name: object, known: Iterable[str]) -> list[str]:
    """The nearest of the known names: those that are spelt alike, then those that contain it."""
    word, names = str(name)[:100].lower(), list(dict.fromkeys(map(str, known)))
    if not word:
        return []
    by_lower = {each.lower(): each for each in names}
    alike = [by_lower[each] for each in get_close_matches(word, by_lower, MOST_NEAR)]
    holding = [each for each in names if len(word) > 2 and word in each.lower() and each not in alike]
    return (alike + holding)[:MOST_NEAR]


def meant(name: object, known: Iterable[str], listed_by: str = "") -> str:
    """`did you mean 'words'?`; with no near name `there are words, lines`, or what lists them (`listed_by`)."""
    names = list(known)
    if near := near_names(name, names):
        return f"did you mean {' or '.join(map(repr, near))}?"
    if listed_by:
        return f"`{listed_by}` lists them"
    if not names:
        return "there is none"
    return f"there {'is' if len(names) == 1 else 'are'} {listed(names)}"


def listed(names: Iterable[str]) -> str:
    """The names with commas, the first MOST_LISTED of them."""
    every = list(names)
    more = len(every) - MOST_LISTED
    return ", ".join(every[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
