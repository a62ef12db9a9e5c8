"""Every engine over a crawl's worth of hostile pages: the parent stays quick and small, and ordinary pages survive."""

import random
import resource
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.extract.caps import Caps
from pipeline.extract.extractors.table import EXTRACTORS
from pipeline.extract.limits import Limits
from pipeline.extract.page import PageExtractor

SENTENCE = "The quick brown fox jumps over the lazy dog while the old man reads a long book about the sea. "
PARAGRAPHS = f"<p>{SENTENCE * 3}</p>" * 5
# More than any page below needs in the parent, where nothing may depend on the page being ordinary.
PARENT_SECONDS = 10.0
PARENT_GROWTH_BYTES = 400 << 20


class Entry(NamedTuple):
    """A page: its name, its body as it is after the content encoding, the charset of its header."""

    name: str
    make: Callable[[], bytes]
    charset: str | None = "utf-8"


def wrap(middle: str) -> bytes:
    """`middle` between ordinary paragraphs, so that an engine has something to lose."""
    return f"<html><head><title>t</title></head><body>{PARAGRAPHS}{middle}{PARAGRAPHS}</body></html>".encode()


def numbered(template: str, count: int) -> str:
    return "".join(template.replace("#", str(i)) for i in range(count))


def billion_laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY l0 "lol">{entities}]><l>&l9;</l>'.encode()


def noise(size: int) -> bytes:
    return random.Random(0).randbytes(size)


def in_charset(text: str, codec: str) -> bytes:
    return f"<html><head><title>t</title></head><body>{f'<p>{text * 5}</p>' * 5}</body></html>".encode(codec)


RUSSIAN = "Съешь же ещё этих мягких французских булок да выпей чаю, потому что вечером будет холодно. "
CHINESE = "今天的新闻说，经济发展很快，人民生活水平提高了，城市和农村都有新的变化。"
JAPANESE = "今日はとても天気がいいから散歩しましょう。カタカナも使うと書いてある。"
FRENCH = "Où êtes-vous né ? Les élèves français préfèrent déjà l’été à Noël, où la forêt brûlée reverdit. "
GERMAN = "Der Leuchtturmwärter stieg jeden Abend die Treppe hinauf und zündete die große Lampe an. "

HOSTILE = (
    Entry("too-many-bytes", lambda: wrap("") + bytes(Caps().bytes)),
    Entry("divs-nested-100000", lambda: wrap("<div>" * 100_000 + "x" + "</div>" * 100_000)),
    Entry("divs-nested-1400", lambda: wrap("<div>" * 1_400 + "x" + "</div>" * 1_400)),
    Entry("line-endless-20mb", lambda: wrap(SENTENCE * 210_000)),
    Entry("line-endless-5mb", lambda: wrap(SENTENCE * 54_000)),
    Entry("blocks-that-make-trafilatura-crawl", lambda: wrap("<div><div><p>a</p></div></div>" * 40_000)),
    Entry(
        "comment-blocks-30000", lambda: wrap(numbered('<div class="comment-# post"><p>One, two, #.</p></div>', 30_000))
    ),
    Entry("links-60000", lambda: wrap(numbered("<a href='/#'>link #</a> ", 60_000))),
    Entry("list-100000", lambda: wrap("<ul>" + "<li>item" * 100_000)),
    Entry("line-breaks-200000", lambda: wrap("text<br>" * 200_000)),
    Entry(
        "table-rows-30000", lambda: wrap("<table>" + numbered("<tr><td>#</td><td>text</td></tr>", 30_000) + "</table>")
    ),
    Entry("tables-nested-2000", lambda: wrap("<table><tr><td>" * 2_000 + "x")),
    Entry("tables-nested-480", lambda: wrap("<table><tr><td>" * 480 + "x")),
    Entry("formatting-unclosed-20000", lambda: wrap(numbered("<p><b a#=1>x", 20_000))),
    Entry("formatting-unclosed-700", lambda: wrap(numbered("<p><b a#=1>x", 700))),
    Entry("formatting-misnested", lambda: wrap("<a><b><i><u>" * 50_000 + "</a></b>" * 50_000)),
    Entry("attributes-1000000", lambda: wrap(f"<div {numbered('#=1 ', 1_000_000)}>x</div>")),
    Entry("attributes-300000", lambda: wrap(f"<div {numbered('a#=1 ', 300_000)}>x</div>")),
    Entry("attributes-2000", lambda: wrap(f"<div {numbered('a#=1 ', 1_990)}>x</div>")),
    Entry("comments-unclosed", lambda: wrap("<!-- " * 500_000)),
    Entry("scripts-unclosed", lambda: wrap("<script>" * 200_000)),
    Entry("quotes-unclosed", lambda: wrap("<a href=\"'" * 200_000)),
    Entry("less-than-signs", lambda: wrap("<" * 4_000_000)),
    Entry("selects-nested", lambda: wrap("<select>" * 100_000)),
    Entry("svg-and-math", lambda: wrap("<svg><math>" * 50_000)),
    Entry("references-800000", lambda: wrap("&#x41;" * 800_000)),
    Entry("references-endless-digits", lambda: wrap("&#" + "9" * 2_000_000 + ";")),
    Entry("references-ambiguous", lambda: wrap("&notit" * 600_000)),
    Entry("references-to-surrogates", lambda: wrap("&#xD800;&#56320;" * 1_000)),
    Entry("combining-marks", lambda: wrap("a" + "\u0315\u0300" * 400_000)),
    Entry("white-space-4mb", lambda: wrap("<p>" + " \n\t" * 1_300_000 + "</p>")),
    Entry(
        "json-ld-nested",
        lambda: b'<html><script type="application/ld+json">' + b"[" * 100_000 + b"</script>" + wrap(""),
    ),
    Entry("xml-billion-laughs", billion_laughs),
    Entry("nuls-between-letters", lambda: wrap("<p>a\0b\0c\0</p>" * 300)),
    Entry("nuls-only", lambda: bytes(1 << 20)),
    Entry("control-characters", lambda: wrap("".join(map(chr, range(1, 32))) * 2_000)),
    Entry("surrogates-encoded", lambda: wrap("").replace(b"<p>", b"<p>\xed\xa0\x80 \xed\xb0\x80 ")),
    Entry("empty-body", lambda: b""),
    Entry("binary-noise", lambda: noise(300_000)),
    Entry("binary-png", lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + noise(60_000)),
    Entry("binary-pdf", lambda: b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj stream\n" + zlib.compress(noise(60_000))),
)
ORDINARY = (
    Entry("english", lambda: wrap("")),
    Entry("utf-8-labelled-latin-1", lambda: in_charset(FRENCH, "utf-8"), "iso-8859-1"),
    Entry("gb18030-labelled-utf-8", lambda: in_charset(CHINESE, "gb18030")),
    Entry("shift-jis-labelled-latin-1", lambda: in_charset(JAPANESE, "shift_jis"), "iso-8859-1"),
    Entry("windows-1251-without-label", lambda: in_charset(RUSSIAN, "cp1251"), None),
    Entry("utf-16-without-mark", lambda: in_charset(RUSSIAN, "utf-16-le"), None),
    Entry("german-table", lambda: wrap(f"<table><tr><td>{GERMAN * 3}</td></tr></table>")),
    Entry("truncated", lambda: in_charset(CHINESE, "utf-8")[:-30]),
    Entry("list-without-end-tags", lambda: wrap("<ul>" + f"<li>{GERMAN}" * 100 + "</ul>")),
    Entry("nested-300", lambda: wrap("<div>" * 300 + f"<p>{GERMAN * 3}</p>" + "</div>" * 300)),
)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.long
@pytest.mark.parametrize("engine", EXTRACTORS)
def test_hostile_pages_cost_the_parent_little_and_ordinary_ones_survive(engine: str) -> None:
    start = resident_bytes()
    for entry in (*HOSTILE, *ORDINARY):
        body = entry.make()
        with PageExtractor(engine, limits=Limits(cpu_seconds=5)) as extractor:
            begun = time.process_time()
            page = extractor.extract(body, entry.charset, f"http://x.example/{entry.name}")
            assert time.process_time() - begun < PARENT_SECONDS, entry.name
        assert page.rejected is None or entry in HOSTILE, (entry.name, page.rejected)
    assert resident_bytes() - start < PARENT_GROWTH_BYTES
