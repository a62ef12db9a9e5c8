"""`all_text`: all visible text, a line for each block, as Common Crawl's WET files hold it."""

from dataclasses import dataclass
from typing import Final

from pipeline.extract.extractors.extractor import Extractor
from pipeline.extract.markup import BLOCK, SHOWN_RAW, UNSEEN, raw_text, scan
from pipeline.extract.references import characters
from pipeline.extract.shadow import composed
from pipeline.extract.text import Extracted, one_line, page_title, tidy

# Elements of raw text that UNSEEN lacks.
_SHOWN: Final = SHOWN_RAW - UNSEEN


@dataclass(frozen=True)
class AllTextOptions:
    title: bool = True
    """The page's title on the first line, as WET files have it."""


def all_text(html: str, url: str, options: AllTextOptions) -> Extracted:  # noqa: ARG001
    """All visible text, a line for each block. Uses no parser; linear in the length of the page."""
    lines: list[str] = []
    line: list[str] = []
    position = 0
    html = composed(html)
    is_empty = True  # as far as is known
    for tag in scan(html, UNSEEN):
        line.append(html[position : tag.start])
        position = tag.end
        if tag.name in BLOCK:
            lines.append("".join(line))
            line = []
        elif tag.name in _SHOWN:
            lines += ["".join(line), raw_text(html, tag)]
            line = []
        elif tag.name == "frameset" and is_empty:
            is_empty = not any(map(str.strip, (*lines, *line)))
            if is_empty:
                position = len(html)  # the page is its frames
                break
        elif tag.name in ("td", "th"):
            line.append(" ")  # WET keeps the cells of a row on one line
    lines.append("".join([*line, html[position:]]))
    title = page_title(html)
    texts = [title] if title and options.title else []
    texts += [text for raw in lines if (text := one_line(characters(raw)))]
    return Extracted(tidy("\n".join(texts)), title)


EXTRACTOR = Extractor("all_text", all_text, AllTextOptions, sandboxed=False, caps="size")
