"""datatrove's side, in an environment of its own: datatrove[io,processing]==0.10.1, spaCy, tldextract.

    datatrove_peer.py speed < documents          CPU seconds of each of four filters, and of all four
    datatrove_peer.py decisions < documents      each filter's decision on each document, and datatrove's words
    datatrove_peer.py pipeline FOLDER_OF_WARCS OUT LANGUAGE_MODEL LIMIT      (a limit of -1 is none)

Documents are JSON values, one a line, with `text` and `url`; so are the answers.

`decisions`: of every filter twice, with the words and sentences of this project handed to it ("given") and with its own
("native"). `null` is kept; a text is the reason for which it is rejected; "!…" says that the filter itself failed.

`pipeline` is FineWeb's as in datatrove's examples/fineweb.py up to and without MinHash, on one core: one task, one
worker. What differs: files are local, what a filter rejects is not written (which would only slow it down), the list of
public suffixes is the one that tldextract carries, the language model is a file, and no page is lost to the
clock. It prints what each step was given and passed on.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    URLFilter,
    c4_filters,
    fineweb_quality_filter,
    gopher_quality_filter,
    gopher_repetition_filter,
)
from datatrove.utils.text import split_into_parts, split_into_words
from tldextract import TLDExtract

# Seconds on the clock for one page: its default of one second loses pages on a loaded machine.
TIMEOUT = 3600.0


def offline_urls() -> URLFilter:
    urls = URLFilter()
    urls.tldextractor = TLDExtract(cache_dir=None, suffix_list_urls=())  # asks no network
    return urls


def speed(documents: list[dict[str, Any]]) -> Iterator[dict[str, float]]:
    filters = [GopherQualityFilter(), GopherRepetitionFilter(), C4QualityFilter(), FineWebQualityFilter()]

    def seconds(used: list[Any], texts: list[str]) -> float:
        split_into_parts.cache_clear()
        begin = time.process_time()
        for text in texts:
            for each in used:
                each.filter(Document(text=text, id=""))
        return time.process_time() - begin

    seconds(filters, ["Some words to load the tokenizer with."])
    texts = [row["text"] for row in documents]
    yield {
        **{type(each).__name__: seconds([each], texts) for each in filters},
        "all four": seconds(filters, texts),
    }


@contextmanager
def with_our_words() -> Iterator[None]:
    """datatrove's filters cut words and sentences as this project does."""
    from filters.view import View

    def pieces(text: str, spans: Any) -> list[str]:
        return [text[start:end] for start, end in zip(spans.start.tolist(), spans.end.tolist())]

    @lru_cache(maxsize=4)
    def words(text: str, _language: str = "") -> list[str]:
        return pieces(text, View(text).tokens)

    def sentences(text: str, _language: str = "") -> list[str]:
        return pieces(text, View(text).sentences)

    modules: list[Any] = [gopher_repetition_filter, gopher_quality_filter, fineweb_quality_filter]
    places = [*((module, "split_into_words", words) for module in modules)]
    places.append((c4_filters, "split_into_sentences", sentences))
    kept = [getattr(module, name) for module, name, _ in places]
    for module, name, function in places:
        setattr(module, name, function)
    try:
        yield
    finally:
        for (module, name, _), function in zip(places, kept):
            setattr(module, name, function)


def decision(judge: Callable[[Any], Any], document: dict[str, Any]) -> str | None:
    try:
        verdict = judge(Document(text=document["text"], id="", metadata={"url": document["url"]}))
    except Exception as error:
        return f"!{type(error).__name__}: {error}"
    return None if verdict is True else str(verdict[1]) if isinstance(verdict, tuple) else "rejected"


def decisions(documents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    filters: dict[str, Any] = {
        "GopherRepetitionFilter": GopherRepetitionFilter(),
        "GopherQualityFilter": GopherQualityFilter(),
        "C4QualityFilter": C4QualityFilter(),
        "C4QualityFilter (FineWeb)": C4QualityFilter(filter_no_terminal_punct=False),
        "FineWebQualityFilter": FineWebQualityFilter(),
        "URLFilter": offline_urls(),
    }
    for document in documents:
        native = {name: decision(each.filter, document) for name, each in filters.items()}
        words = split_into_words(document["text"])
        with with_our_words():
            given = {name: decision(each.filter, document) for name, each in filters.items() if name != "URLFilter"}
        yield {"native": native, "given": {**given, "URLFilter": native["URLFilter"]}, "words": words}


def pipeline(source: str, out: str, model: str, limit: str) -> list[dict[str, Any]]:
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.readers import WarcReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter
    from datatrove.utils.lid import FT176LID

    FT176LID.MODEL_URL = str(Path(model).absolute())
    stats = LocalPipelineExecutor(
        pipeline=[
            WarcReader(source, limit=int(limit), default_metadata={"dump": "benchmark"}),
            offline_urls(),
            Trafilatura(favour_precision=True, timeout=TIMEOUT),
            LanguageFilter(),
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            C4QualityFilter(filter_no_terminal_punct=False),
            FineWebQualityFilter(),
            JsonlWriter(f"{out}/kept"),
        ],
        tasks=1,
        workers=1,
        logging_dir=f"{out}/logs",
    ).run()
    return [{"step": step.name, **{name: each.total for name, each in step.stats.items()}} for step in stats.stats]


if __name__ == "__main__":
    if sys.argv[1] == "pipeline":
        print(json.dumps(pipeline(*sys.argv[2:]), default=float))
    else:
        of = {"speed": speed, "decisions": decisions}[sys.argv[1]]
        for answer in of([json.loads(line) for line in sys.stdin]):
            print(json.dumps(answer))
