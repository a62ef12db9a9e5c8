"""The words of a text: runs of letters and digits, in order."""

import re


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text)
