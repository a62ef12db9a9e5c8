"""Pages of a crawl that an index lists, and the text that an engine finds in each.

The index has a line for each page: `warc` (the archive's file name), `offset`, `length`, `id` ("SOURCE/…"), `url` and,
if known, `type` and `lang`.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.shared import read_rows
from infra.errors import UsageError
from pipeline.extract.page import PageExtractor
from pipeline.warc.http import HttpMessage, record_message
from pipeline.warc.reader import RecordReader


def half_of(url: str, page: str) -> str:
    """ "a" or "b", the same for all pages of a host; pages without one are hosts of their own."""
    host = urlsplit(url).hostname or ""
    name = page if not host or host.endswith(".invalid") else host.removeprefix("www.")
    return "ab"[hashlib.sha256(name.encode()).digest()[0] % 2]


def read_pages(
    warcs: Sequence[Path], index: Path, wanted: Callable[[dict[str, Any]], bool] = bool
) -> Iterator[tuple[dict[str, Any], HttpMessage]]:
    """The wanted lines of the index with their pages, archive by archive. UsageError if an archive was not given."""
    rows = list(filter(wanted, read_rows(index)))
    places = {path.name: path for path in warcs}
    missing = sorted({row["warc"] for row in rows} - set(places))
    if missing:
        raise UsageError(f"{index} names {missing[0]}, which was not given: name all its archives")
    for name, path in sorted(places.items()):
        with RecordReader(str(path)) as reader:
            for row in rows:
                if row["warc"] == name:
                    yield row, record_message(reader.read(row["offset"], row["length"]))


def parse_engine(word: str) -> tuple[str, dict[str, Any]]:
    """`NAME` or `NAME:option=value,…`, as the recipe's table would have it."""
    name, _, rest = word.partition(":")
    pairs = (pair.partition("=") for pair in rest.split(",") if pair)
    return name, {key: {"true": True, "false": False}.get(value, value) for key, _, value in pairs}


def extract_timed(word: str, pages: Iterable[tuple[bytes, str | None, str]]) -> tuple[list[str], float]:
    """The text that one engine finds in each page (body, charset of the header, URL), and the CPU seconds it took in
    parent and sandbox."""
    texts, seconds = extract_each(word, pages)
    return texts, sum(seconds)


def extract_each(word: str, pages: Iterable[tuple[bytes, str | None, str]]) -> tuple[list[str], list[float]]:
    """The same with the CPU seconds of each page."""
    seconds, texts = [], []
    with PageExtractor(*parse_engine(word)) as extractor:
        extractor.extract(b"<p>Libraries are loaded before the clock starts.", None, "")
        for body, charset, url in pages:
            begin = time.process_time()
            page = extractor.extract(body, charset, url)
            seconds.append(time.process_time() - begin + page.cpu_seconds)
            texts.append(page.text)
    return texts, seconds
