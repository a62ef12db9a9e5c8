"""The other side of parity_datatrove.py: datatrove's decisions, in an environment of its own.

Reads documents (`text`, `url`, a JSON value a line) from stdin and writes for each the decision of every filter twice,
with the words and sentences of this project handed to it and with its own, and its own words. `null` is kept; a text is
the reason for which it is rejected; "!..." says that the filter itself failed.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    URLFilter,
    c4_filters,
    fineweb_quality_filter,
    gopher_quality_filter,
    gopher_repetition_filter,
)
from datatrove.utils.text import split_into_words
from tldextract import TLDExtract

from filters.view import Spans, View

WORDS = (gopher_repetition_filter, gopher_quality_filter, fineweb_quality_filter)


def pieces(text: str, spans: Any) -> list[str]:
    return [text[start:end] for start, end in zip(spans.start.tolist(), spans.end.tolist())]


@lru_cache(maxsize=4)
def our_words(text: str, _language: str = "") -> list[str]:
    return pieces(text, View(text).tokens)


def our_sentences(text: str, _language: str = "") -> list[str]:
    spans: Spans = View(text).sentences
    return pieces(text, spans)


@contextmanager
def ours() -> Iterator[None]:
    """datatrove's filters cut words and sentences as this project does."""
    modules: list[Any] = list(WORDS)
    kept = [module.split_into_words for module in modules]
    sentences = c4_filters.split_into_sentences
    for module in modules:
        module.split_into_words = our_words
    c4_filters.split_into_sentences = our_sentences
    try:
        yield
    finally:
        for module, function in zip(modules, kept):
            module.split_into_words = function
        c4_filters.split_into_sentences = sentences


def decision(judge: Callable[[Any], Any], document: dict[str, Any]) -> str | None:
    try:
        verdict = judge(Document(text=document["text"], id="", metadata={"url": document["url"]}))
    except Exception as error:
        return f"!{type(error).__name__}: {error}"
    return None if verdict is True else str(verdict[1]) if isinstance(verdict, tuple) else "rejected"


def main() -> None:
    filters: dict[str, Any] = {
        "GopherRepetitionFilter": GopherRepetitionFilter(),
        "GopherQualityFilter": GopherQualityFilter(),
        "C4QualityFilter": C4QualityFilter(),
        "C4QualityFilter (FineWeb)": C4QualityFilter(filter_no_terminal_punct=False),
        "FineWebQualityFilter": FineWebQualityFilter(),
        "URLFilter": URLFilter(),
    }
    filters["URLFilter"].tldextractor = TLDExtract(cache_dir=None, suffix_list_urls=())  # asks no network
    for line in sys.stdin:
        document = json.loads(line)
        native = {name: decision(each.filter, document) for name, each in filters.items()}
        words = split_into_words(document["text"])
        with ours():
            given = {name: decision(each.filter, document) for name, each in filters.items() if name != "URLFilter"}
        given["URLFilter"] = native["URLFilter"]
        print(json.dumps({"native": native, "given": given, "words": words}))


if __name__ == "__main__":
    main()
