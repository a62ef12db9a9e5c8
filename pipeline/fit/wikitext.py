"""Whole encyclopedia articles from the part of a Wikipedia dump in the gensim sdist: running text, no markup.

Only paragraphs are kept: templates, tables, references, lists, headings and pictures are removed. That suffices for
training texts; it is not a full parser of wikitext. Linear in the length of any page.
"""

import bz2
import html
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from infra.errors import UsageError
from pipeline.fit.packages import fetch
from pipeline.fit.texts import Sample

DUMP = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
MIN_ARTICLE_CHARS = 2_000
# The text after one of these headings is a list of other texts.
_ENDINGS = re.compile(
    r"^==+ *(?:see also|notes|references|external links|further reading|bibliography)\b.*", re.I | re.M
)
_TAGS = re.compile(r"<!--[^<>]*-->|<ref[^<>]*/>|<ref[^<>]*>[^<>]*</ref>|<[^<>]{1,200}>")
_BRACKETS = re.compile(r"\{\{|\}\}|\{\||\|\}|\[\[|\]\]")
_LINK = re.compile(r"\[https?://[^\s\]]+ ?([^\[\]]*)\]")
_MARKS = re.compile(r"'{2,5}")
_NOT_PROSE = ("=", "*", "#", ":", ";", "|", "!", "{", "[[", "__")


def articles(cache: Path) -> list[Sample]:
    """Returns the articles as texts of paragraphs, each its own group, sorted."""
    path = fetch("gensim", cache) / DUMP
    try:
        with bz2.open(path) as file:
            found = [Sample(text, title) for title, text in _pages(file) if len(text) >= MIN_ARTICLE_CHARS]
    except (OSError, EOFError, ElementTree.ParseError) as error:
        raise UsageError(f"{path} cannot be read ({error}): delete its folder and run the same command again") from None
    return sorted(found)


def _pages(file: bz2.BZ2File) -> Iterator[tuple[str, str]]:
    title = ""
    for _, element in ElementTree.iterparse(file):
        name = element.tag.rpartition("}")[2]
        if name == "title":
            title = element.text or ""
        elif name == "text":
            yield title, prose(element.text or "")
        elif name == "page":
            element.clear()


def prose(wikitext: str) -> str:
    """The paragraphs of a page, a line each."""
    body = _ENDINGS.split(wikitext, maxsplit=1)[0]
    text = html.unescape(_LINK.sub(r"\1", _without_brackets(_TAGS.sub("", body))))
    lines = (" ".join(_MARKS.sub("", line).split()) for line in text.split("\n") if not line.startswith(_NOT_PROSE))
    return "\n".join(line for line in lines if len(line) > 80)


def _without_brackets(text: str) -> str:
    """Removes templates and tables, and replaces links by their visible words."""
    kept: list[list[str]] = [[]]
    opened: list[str] = []
    at = 0
    for match in _BRACKETS.finditer(text):
        kept[-1].append(text[at : match.start()])
        at, mark = match.end(), match.group()
        if mark in ("{{", "{|", "[["):
            opened.append(mark)
            kept.append([])
        elif opened:
            inner, kind = "".join(kept.pop()), opened.pop()
            if kind == "[[" and ":" not in inner.partition("|")[0]:
                kept[-1].append(inner.rpartition("|")[2])
    return "".join(kept[0]) + (text[at:] if not opened else "")
