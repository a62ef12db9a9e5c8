"""`trafilatura`: the main text that the library trafilatura finds."""

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.extract.extractors.extractor import Extractor
from pipeline.extract.text import Extracted, TruncatedPage, page_title, tidy


@dataclass(frozen=True)
class TrafilaturaOptions:
    """Named as in `trafilatura.extract`."""

    favor: Literal["precision", "recall", "balanced"] = "balanced"
    """Less text that is sure to be content, or more of it."""

    fallback: bool = True
    """Compare with what readability and justext find."""

    include_comments: bool = True
    """The comments below an article."""

    include_tables: bool = True
    """The text of tables."""

    deduplicate: bool = False
    """Drop segments that are repeated within the page."""

    markdown: bool = False
    """Markdown instead of plain text."""


def trafilatura(html: str, url: str, options: TrafilaturaOptions) -> Extracted:
    """trafilatura's main text. Raises TruncatedPage, or what the library raises.

    The tree is parsed here as the library parses it, but with `huge_tree`: without that, libxml2 silently drops what
    follows the 256th level of nesting. (What readability proposes is parsed again by the library, and so cut there.)
    """
    import trafilatura as library
    from trafilatura.deduplication import LRUCache
    from trafilatura.settings import LRU_SIZE

    tree = _lxml_tree(html)
    if tree is None:
        return Extracted("", page_title(html))
    text = library.extract(
        tree,
        url=url,
        fast=not options.fallback,
        favor_precision=options.favor == "precision",
        favor_recall=options.favor == "recall",
        include_comments=options.include_comments,
        include_tables=options.include_tables,
        output_format="markdown" if options.markdown else "txt",
        # A cache of its own for each page: the library's shared one remembers the pages before.
        deduplicate=LRUCache(maxsize=LRU_SIZE) if options.deduplicate else False,
    )
    return Extracted(tidy(text or ""), page_title(html))


def _lxml_tree(html: str) -> Any:
    """The tree of a page, or None if it has no element. Raises TruncatedPage if libxml2 stopped early."""
    from lxml.etree import LxmlError
    from lxml.html import HTMLParser, fromstring
    from trafilatura.utils import repair_faulty_html

    parser = HTMLParser(
        collect_ids=False,
        default_doctype=False,
        encoding="utf-8",
        remove_comments=True,
        remove_pis=True,
        huge_tree=True,
    )
    try:
        tree = fromstring(repair_faulty_html(html, html[:50].lower()).encode(), parser=parser)
    except (LxmlError, AssertionError):
        # No element at all: an empty page, or one of comments alone.
        tree = None
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log.filter_from_fatals()):
        raise TruncatedPage("nested more deeply than libxml2 reads")
    return tree


EXTRACTOR = Extractor("trafilatura", trafilatura, TrafilaturaOptions, sandboxed=True, caps="all")
