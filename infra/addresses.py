"""Addresses as they may be written down: without a user, a password or a query, any of which may be a secret.

A signed address opens a file for whoever has it: its query is a key. Where an address is recorded, kept or shown, it
is what is left here. A recorded address that had a query ends in `?`: it is not asked without one.
"""

import re

WITHOUT_QUERY = "?"
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+:/{1,3})(?:[^/?#]*@)?", re.IGNORECASE)
_IN_TEXT = re.compile(r"[a-z][a-z0-9+.-]+://[^\s'\"]*", re.IGNORECASE)
# The schemes whose addresses have queries; in a key of an object store `?` is a letter.
_QUERIED = ("http:/", "https:/", "ftp:/")


def shown(word: str) -> str:
    """A path, an address, or an argument that ends in one, as it may be shown."""
    return _parted(word)[0]


def recorded(word: str) -> str:
    """The same as it may be recorded: `?` at its end says that a query is missing."""
    bare, query = _parted(word)
    return bare + (WITHOUT_QUERY if query or lacks_query(word) else "")


def lacks_query(place: str) -> bool:
    """Whether a recorded address is not the whole one."""
    return place.endswith(WITHOUT_QUERY) and place.lower().startswith(_QUERIED)


def masked(text: str) -> str:
    """A text with each of the addresses in it as it may be shown."""
    return _IN_TEXT.sub(lambda found: shown(found[0]), text)


def _parted(word: str) -> tuple[str, str]:
    """The word without user and query, and what follows `?`."""
    found = _ADDRESS.search(word)
    if found is None:
        return word, ""
    bare = word[: found.start()] + found[1] + word[found.end() :]
    if not found[1].lower().startswith(_QUERIED):
        return bare, ""
    whole, _, query = bare.partition("#")[0].partition("?")
    return whole, query
