"""The table of extractors: what each of them keeps, its options, and that the sandbox's child finds it."""

import importlib
from typing import Any

import pytest

from infra.errors import UsageError
from pipeline.extract.extractors.extractor import Extractor
from pipeline.extract.extractors.resiliparse_text import ResiliparseOptions
from pipeline.extract.extractors.table import EXTRACTORS, PLAIN, extractor_of, options_of
from pipeline.extract.extractors.trafilatura_text import TrafilaturaOptions
from pipeline.extract.text import tidy
from tests.pipeline.extract.articles import ARTICLE, OTHER, SENTENCE


@pytest.mark.parametrize("extractor", EXTRACTORS.values(), ids=EXTRACTORS)
def test_each_extractor_keeps_the_text_and_not_the_scripts(extractor: Extractor[Any]) -> None:
    found = extractor.function(ARTICLE, "http://example.com/", extractor.options())
    assert SENTENCE.strip() in found.text and OTHER.strip() in found.text
    assert "not text" not in found.text and "color" not in found.text
    assert found.title == "The keeper"
    assert ("Home" in found.text) == (extractor.name in ("all_text", "strip_tags"))
    assert tidy(found.text) == found.text


@pytest.mark.parametrize(
    "html", ["", " ", "<!-- only -->", "\0\0", "<", "<?xml version='1.0' encoding='koi8-r'?>", "</p>"]
)
@pytest.mark.parametrize("extractor", EXTRACTORS.values(), ids=EXTRACTORS)
def test_pages_without_text_are_empty(extractor: Extractor[Any], html: str) -> None:
    assert extractor.function(html, "", extractor.options()).text in ("", "<")


@pytest.mark.parametrize("extractor", [*EXTRACTORS.values(), PLAIN], ids=[*EXTRACTORS, PLAIN.name])
def test_an_extractor_is_the_record_of_its_own_file(extractor: Extractor[Any]) -> None:
    assert importlib.import_module(extractor.module).EXTRACTOR is extractor
    assert extractor.caps == "all" if extractor.sandboxed else extractor.caps != "all"


@pytest.mark.parametrize("name", ["lynx", "plain", ""])
def test_an_unknown_name_is_the_users_error(name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}' is unknown; use one of trafilatura, resiliparse, all_text"):
        extractor_of(name)
    with pytest.raises(UsageError, match="unknown"):
        options_of(name, {})


def test_options_are_those_given_and_the_defaults() -> None:
    assert options_of("trafilatura", {}) == TrafilaturaOptions()
    assert options_of("trafilatura", {"favor": "recall", "fallback": False}) == TrafilaturaOptions("recall", False)
    assert options_of("resiliparse", {"main_content": False}) == ResiliparseOptions(main_content=False)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("trafilatura", {"favour": "recall"}, "trafilatura has no option 'favour'; did you mean 'favor'"),
        ("trafilatura", {"favor": "speed"}, "'precision' or 'recall' or 'balanced'"),
        ("trafilatura", {"fallback": 1}, "'fallback' of extractor trafilatura is 1; it must be true or false"),
        ("all_text", {"main_content": True}, "no option"),
        ("strip_tags", {"title": True}, "there is unlinked"),
    ],
)
def test_wrong_options_are_the_users_error(name: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        options_of(name, options)
