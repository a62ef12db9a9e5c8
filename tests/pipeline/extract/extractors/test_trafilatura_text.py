"""trafilatura: its options, that the order of pages changes nothing, and that no text is lost silently."""

import pytest

from pipeline.extract.extractors.trafilatura_text import TrafilaturaOptions, trafilatura
from pipeline.extract.text import TruncatedPage
from tests.pipeline.extract.articles import ARTICLE, OTHER, SENTENCE, article


def test_options_reach_the_library() -> None:
    assert "Lamp" in trafilatura(ARTICLE, "", TrafilaturaOptions()).text
    assert "Lamp" not in trafilatura(ARTICLE, "", TrafilaturaOptions(include_tables=False)).text


@pytest.mark.parametrize("deduplicate", [False, True])
def test_the_order_of_pages_changes_nothing(deduplicate: bool) -> None:
    options = TrafilaturaOptions(deduplicate=deduplicate)
    pages = [article(f"<p>{SENTENCE * 2}</p><p>Page {i}: {OTHER * 2}</p>") for i in range(6)]
    forward = [trafilatura(page, "", options) for page in pages]
    backward = [trafilatura(page, "", options) for page in reversed(pages)]
    assert forward == backward[::-1]
    assert all(SENTENCE.strip() in found.text for found in forward)


def test_text_below_256_levels_is_kept_or_the_page_is_reported() -> None:
    """trafilatura's own parser silently drops what follows the 256th level."""
    deep = article(f"<p>{SENTENCE * 3}</p>" + "<div>" * 400 + "</div>" * 400 + f"<p>{OTHER * 3}</p>")
    assert OTHER.strip() in trafilatura(deep, "", TrafilaturaOptions()).text
    too_deep = article("<div>" * 2500 + SENTENCE + "</div>" * 2500)
    with pytest.raises(TruncatedPage):
        trafilatura(too_deep, "", TrafilaturaOptions())


def test_a_declared_encoding_does_not_confuse_the_parser() -> None:
    text = "Übermut und Äpfel im Garten, sagt der alte Mann am Öltank, sind gefährlich. " * 4
    html = (
        f'<?xml version="1.0" encoding="koi8-r"?><html><head><meta charset="gb2312"></head><body><p>{text}</p></body>'
    )
    assert text.strip() in trafilatura(html, "", TrafilaturaOptions()).text
