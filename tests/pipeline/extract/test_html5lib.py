"""The tag scan beside the HTML standard: html5lib's own tests of tokenizer, tree construction and encoding.

What differs is listed by kind in docs/extraction.md. Each bound is what agrees today: fewer is a step back.
"""

import codecs
from pathlib import Path

import pytest

from pipeline.extract.charset import decode
from pipeline.extract.extractors.all_text import AllTextOptions, all_text
from pipeline.extract.markup import attributes, raw_text, scan
from pipeline.extract.references import characters
from tests.pipeline.extract import html5lib_cases

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return html5lib_cases.fetch(tmp_path_factory.mktemp("html5lib"))


def solid(text: str) -> str:
    """Without white space, and without NULs, which `decode` has taken out, or what the standard has for them."""
    return "".join(text.split()).replace("\0", "").replace("\ufffd", "")


def tags_and_text(html: str) -> tuple[list[tuple[str, bool, dict[str, str]]], str]:
    tags, texts, position = [], [], 0
    for tag in scan(html, frozenset()):
        texts.append(html[position : tag.start])
        position = tag.end
        if tag.name == "plaintext":
            texts.append(raw_text(html, tag))
        if tag.name and html[tag.content - 1] == ">":
            inside = html[tag.start + tag.closing + 1 + len(tag.name) : tag.content - 1]
            tags.append((tag.name, tag.closing, {} if tag.closing else attributes(inside)))
    return tags, characters("".join([*texts, html[position:]]))


def test_trees(folder: Path) -> None:
    """Those that differ: text moved out of tables, frames, what scripts write, pages without scripts, C1 controls."""
    cases = list(html5lib_cases.trees(folder))
    agree = [solid(all_text(case.html, "", AllTextOptions(title=False)).text) == solid(case.text) for case in cases]
    assert len(cases) == 1_524 and sum(agree) >= 1_498


def test_tokens(folder: Path) -> None:
    """One text differs: XML has no form feeds. NULs in names are not replaced: `decode` leaves none."""
    cases = list(html5lib_cases.tokens(folder))
    texts = tags = 0
    for case in cases:
        found, text = tags_and_text(case.html)
        texts += solid(text) == solid(case.text)
        tags += "\0" in case.html or found == case.tags
    assert len(cases) == 6_693 and texts >= 6_692 and tags == 6_693


def test_encodings(folder: Path) -> None:
    """With bytes that are no UTF-8 behind, since an ASCII page is UTF-8 whatever it says. Those that differ: labels in
    malformed tags, and beyond the first 4,096 bytes; here they count (or not) as far as the bytes bear them out."""
    cases = list(html5lib_cases.encodings(folder))
    agree = 0
    for body, label in cases:
        found = decode(body + b" caf\xe9 r\xe9sum\xe9, \xe0 demain" if body.isascii() else body, None)
        agree += lookup(found.charset) == lookup(label) or label == "utf-8"
    assert len(cases) == 83 and agree >= 57


def lookup(label: str) -> str:
    return codecs.lookup(label).name
