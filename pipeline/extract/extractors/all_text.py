"""`all_text`: all visible text, a line for each block, as Common Crawl's WET files hold it."""

from dataclasses import dataclass

from pipeline.extract.extractors.extractor import Extractor
from pipeline.extract.markup import BLOCK, UNSEEN, characters, scan
from pipeline.extract.text import Extracted, page_title, tidy


@dataclass(frozen=True)
class AllTextOptions:
    title: bool = True
    """The page's title on the first line, as WET files have it."""


def all_text(html: str, url: str, options: AllTextOptions) -> Extracted:  # noqa: ARG001
    """All visible text, a line for each block. Uses no parser; linear in the length of the page."""
    lines: list[str] = []
    line: list[str] = []
    position = 0
    for tag in scan(html, UNSEEN):
        line.append(html[position : tag.start])
        position = tag.end
        if tag.name in BLOCK:
            lines.append("".join(line))
            line = []
        elif tag.name in ("td", "th"):
            line.append(" ")  # WET keeps the cells of a row on one line
    lines.append("".join([*line, html[position:]]))
    title = page_title(html)
    texts = [title] if title and options.title else []
    texts += [text for raw in lines if (text := " ".join(characters(raw).split()))]
    return Extracted(tidy("\n".join(texts)), title)


EXTRACTOR = Extractor("all_text", all_text, AllTextOptions, sandboxed=False, caps="size")
