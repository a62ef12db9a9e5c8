"""Text that a page has only in its data."""

import json
import time
from typing import Any

import pytest

from pipeline.extract.extractors.table import EXTRACTORS
from pipeline.extract.json_ld import from_data, told
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
        page("\n//<![CDATA[\n" + json.dumps({"articleBody": BODY}) + "\n//]]>\n"),
        page("<!-- " + json.dumps([{"articleBody": BODY}]) + " -->"),
        page(json.dumps({"articleBody": BODY}).replace('"', "&quot;")),
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
    told(html)
    from_data(html, [])
    assert time.process_time() - started < 5


SHORT = "What is a mill?"


def answer(text: str) -> dict[str, str]:
    return {"@type": "Answer", "text": text}


TYPED: list[tuple[Any, list[str]]] = [
    (
        {
            "@type": "FAQPage",
            "mainEntity": [
                {"@type": "Question", "name": SHORT, "acceptedAnswer": answer(f"<p>{SENTENCE}</p>")},
                {"@type": "Question", "name": "Another?", "acceptedAnswer": {"text": OTHER}},
            ],
        },
        [SHORT, SENTENCE, "Another?", OTHER],
    ),
    (
        {
            "@type": "https://schema.org/QAPage",
            "mainEntity": {
                "@type": ["Question"],
                "name": SHORT,
                "text": SENTENCE,
                "answerCount": 2,
                "author": {"@type": "Person", "name": "Ann"},
                "acceptedAnswer": {"@type": "Answer", "text": OTHER, "comment": [{"text": "Thanks!"}]},
                "suggestedAnswer": [{"@type": "Answer", "text": "No idea."}],
            },
        },
        [SHORT, SENTENCE, OTHER, "Thanks!", "No idea."],
    ),
    (
        {
            "@graph": [
                {"@type": "WebSite", "name": "Site", "description": OTHER},
                {
                    "@type": "schema:Recipe",
                    "name": "Soup",
                    "description": SENTENCE,
                    "recipeIngredient": ["1 onion", "2 l water"],
                    "recipeInstructions": [
                        {"@type": "HowToSection", "name": "First", "itemListElement": [{"text": OTHER}]},
                        {"@type": "HowToStep", "name": "Serve it", "text": "Serve it hot."},
                        "Eat.",
                    ],
                },
            ]
        },
        ["Soup", SENTENCE, "1 onion", "2 l water", "First", OTHER, "Serve it hot.", "Eat."],
    ),
    ({"@type": "Product", "name": "Mill", "description": SENTENCE, "offers": {"price": "3"}}, ["Mill", SENTENCE]),
    ({"@type": "JobPosting", "title": "Miller", "description": f"&lt;ul&gt;{SENTENCE}"}, ["Miller", SENTENCE]),
    (
        {
            "@type": "DiscussionForumPosting",
            "headline": SHORT,
            "text": SENTENCE,
            "comment": [
                {"@type": "Comment", "text": OTHER, "author": {"name": "Bob"}, "comment": [{"text": "Right."}]},
                {"@type": "Comment", "text": "Wrong."},
            ],
        },
        [SHORT, SENTENCE, OTHER, "Right.", "Wrong."],
    ),
    (
        {"@type": "HowTo", "name": "Mill", "step": [{"text": SENTENCE}, {"itemListElement": {"text": OTHER}}]},
        ["Mill", SENTENCE, OTHER],
    ),
]


@pytest.mark.parametrize(("data", "lines"), TYPED)
def test_other_things_in_the_data_of_an_empty_page(data: Any, lines: list[str]) -> None:
    found = EXTRACTORS["joined"].function(page(data), "", EXTRACTORS["joined"].options())
    assert found.text.split("\n") == [line.strip() for line in lines] and found.by == "json-ld"
    shown = page(data, f"<p>{SENTENCE * 3}</p>")
    assert EXTRACTORS["joined"].function(shown, "", EXTRACTORS["joined"].options()).by == ""


def test_an_article_goes_before_other_things() -> None:
    product = {"@type": "Product", "description": BODY * 3}
    found = from_data(page([product, {"@type": "Article", "articleBody": BODY}]), [])
    assert found is not None and found.text.split() == BODY.split()


def test_a_page_of_links_is_not_one_of_its_products() -> None:
    data = {"@type": "Product", "name": "Mill", "description": SENTENCE}
    cards = "".join(f"<a href=/{number}>Mill {number}, {OTHER}</a>" for number in range(9))
    assert EXTRACTORS["blocks"].function(page(data, cards), "", EXTRACTORS["blocks"].options()).by == ""


@pytest.mark.parametrize("kind", ["Organization", "WebPage", "BreadcrumbList", "Person", 7, None, ["x", {}]])
def test_things_that_are_not_the_page(kind: Any) -> None:
    assert from_data(page({"@type": kind, "name": SENTENCE, "description": OTHER, "text": BODY}), []) is None


def test_an_article_in_the_state_of_scripts() -> None:
    state = {"props": {"pageProps": {"article": {"articleBody": BODY, "body": OTHER, "description": OTHER}}}}
    html = page(state, kind="application/json")
    found = from_data(html, [])
    assert found is not None and found.text.split() == BODY.split() and found.by == "json-state"
    assert from_data(page({"props": {"body": BODY, "content": BODY}}, kind="application/json"), []) is None
    both = from_data(page(state, kind="application/json") + page({"articleBody": OTHER * 9}), [])
    assert both is not None and both.by == "json-ld"


@pytest.mark.parametrize(
    "data",
    [
        {"@type": "Question", "acceptedAnswer": None, "name": 3},
        {"@type": "Recipe", "recipeInstructions": {"itemListElement": [[], {}, [None, [1]]]}},
        '{"@type": "Product", "description": ' + "[" * 100_000,
        [{"@type": "DiscussionForumPosting", "comment": []}] * 3,
    ],
)
def test_odd_data_are_no_text(data: Any) -> None:
    assert from_data(page(data), []) is None
