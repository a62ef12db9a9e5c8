"""Text that a page has only in its data."""

import json
import time
from typing import Any

import pytest

from pipeline.extract.extractors.table import EXTRACTORS
from pipeline.extract.json_ld import article_body, from_data
from pipeline.extract.page import PageExtractor
from tests.pipeline.extract.articles import OTHER, SENTENCE

BODY = SENTENCE * 4 + OTHER * 4


def page(data: Any, body: str = "<div id=root></div>", kind: str = "application/ld+json") -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    return f'<head><title>t</title><script type="{kind}">{text}</script></head><body>{body}</body>'


@pytest.mark.parametrize(
    "html",
    [
        page({"@type": "NewsArticle", "articleBody": BODY}),
        page([{"@type": "Person"}, {"@graph": [{"mainEntity": {"articleBody": BODY}}]}]),
        page({"articleBody": BODY}, kind="Application/LD+JSON; charset=utf-8"),
        page({"articleBody": BODY}, "<nav><a href=/>Home</a> <a href=/b>About us</a></nav><footer>Imprint</footer>"),
        page({"articleBody": BODY}, "<noscript>You need to enable JavaScript to run this app.</noscript>"),
        page({"articleBody": f"<p>{SENTENCE * 4}</p><p>{OTHER * 4}</p>"}),
        page({"articleBody": BODY.replace("the ", "the\u00ad ")}),
        page(json.dumps({"articleBody": BODY}) + ";"),
        page('{"articleBody": "' + BODY + '\n"}'),
        page({"articleBody": "short"}) + page({"articleBody": BODY}),
    ],
)
def test_the_article_in_the_data_of_an_empty_page_is_its_text(html: str) -> None:
    for engine in ("blocks", "joined"):
        found = EXTRACTORS[engine].function(html, "", EXTRACTORS[engine].options())
        assert found.text.split() == BODY.split() and found.by == "json-ld" and found.title == "t"


@pytest.mark.parametrize(
    "html",
    [
        page({"articleBody": BODY}, f"<p>{SENTENCE * 2}</p>"),
        page({"articleBody": SENTENCE}, f"<p>{OTHER}</p>"),
        page({"articleBody": ""}),
        page({"articleBody": [BODY]}),
        page({"headline": BODY, "articlebody": BODY}),
        page({"articleBody": BODY}, kind="application/json"),
        page('{"articleBody": "' + BODY),
        page('{"articleBody":' + "[" * 100_000),
        f"<!-- {page({'articleBody': BODY})} --><p>x",
        f"<template>{page({'articleBody': BODY})}</template><p>x",
    ],
)
def test_other_pages_keep_their_own(html: str) -> None:
    found = EXTRACTORS["blocks"].function(html, "", EXTRACTORS["blocks"].options())
    assert not found.by and SENTENCE * 3 not in found.text


def test_the_page_says_so() -> None:
    with PageExtractor("joined") as extractor:
        assert extractor.extract(page({"articleBody": BODY}).encode(), "utf-8", "").by == "json-ld"
        assert extractor.extract(f"<p>{BODY}</p>".encode(), "utf-8", "").by == ""


@pytest.mark.parametrize("html", [page({"articleBody": "x"}) * 20_000, page('{"articleBody":1}' * 50_000)])
def test_its_time_is_linear(html: str) -> None:
    started = time.process_time()
    article_body(html)
    from_data(html, [])
    assert time.process_time() - started < 5
