"""One page from bytes to text: decoding and caps here, the engine in the page sandbox, every outcome accounted for.

`PageExtractor.extract` never raises for what a page holds (WorkError only when the engine itself is not installed). A
page without text is rejected by exactly one rule:

- `cap/*`: larger, deeper or stranger than any honest page (see `extractors.Caps`), found before any parser runs;
- `decode/unreadable`: the share of its characters that could not be decoded, or are control characters;
- `extract/truncated`, `extract/error`: the engine's parser or the engine itself gave up on it, always the same way;
- `extract/empty`: the engine found no text;
- `extract/marks`: a run of combining marks so long that to normalise the text would take forever;
- `limit/*`: it broke a limit of the sandbox, twice. Only these may depend on the machine.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from infra.errors import UsageError, WorkError
from infra.sandbox.sandbox import Sandbox
from pipeline.extract.charset import Decoded, as_utf8, decode
from pipeline.extract.extractors import (
    Caps,
    Extracted,
    Rejection,
    TruncatedPage,
    check_caps,
    check_size,
    control_characters,
    extract,
    options_of,
    tidy,
)
from pipeline.extract.markup import scan

PLAIN: Final = "plain"
# No parser, so nothing to protect it from: only the size of a page is asked.
UNFENCED: Final = frozenset({PLAIN, "all_text", "strip_tags"})
# Binary files labelled as HTML have a fifth and more; pages with a few broken characters stay below .1 %.
MAX_UNREADABLE_SHARE: Final = 0.05
# Unicode's Stream-Safe Text Format (UAX #15) has 30; Python's `normalize` takes quadratic time in the length of a run.
MAX_MARKS: Final = 128
# How far into a page its robots meta elements are looked for, and what is skipped on the way.
HEAD_CHARACTERS: Final = 50_000
SKIPPED_IN_HEAD: Final = frozenset({"script", "style", "title", "noscript", "template"})
# A page without this is not looked at more closely; one that writes it in a stranger way declares nothing.
_HTML_LANGUAGE: Final = re.compile(rb"<html\b[^>]{0,1000}?\slang\s?=", re.IGNORECASE)
_LANGUAGE: Final = re.compile(r"([a-z]{2})(?![a-z\x80-\xff])", re.IGNORECASE)
# Possessive, and only where a name may begin: nothing is tried twice.
_ATTRIBUTE: Final = re.compile(r"""(?<=[\s"'/])([^\s=>"'/]++)\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s"'>]++)""")


@dataclass(frozen=True)
class Limits:
    """Of one page in the sandbox. The dearest of 2,600 pages takes trafilatura 2.4 to 3.6 CPU seconds and .25 GB."""

    cpu_seconds: float = 30.0
    memory_bytes: int = 2 << 30


class Page(NamedTuple):
    """`text` is "" exactly when `rejected` says why. The costs are of the sandbox alone, for `run.json`. `robots`: what
    the page's own head asks of crawlers ("noindex", "noai", ...), empty for text that is no HTML."""

    text: str
    title: str
    charset: str
    charset_evidence: str
    replaced: int
    rejected: Rejection | None
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    robots: frozenset[str] = frozenset()


class PageExtractor:
    """Extracts pages with one engine and its options; keeps one child process, which `close` ends.

    `engine` is a name of `EXTRACTORS`, or "plain" for bodies that are text already (WET, plain text). UsageError for
    an unknown engine or option.
    """

    def __init__(
        self,
        engine: str,
        options: Mapping[str, Any] | None = None,
        caps: Caps = Caps(),  # noqa: B008
        limits: Limits = Limits(),
    ) -> None:
        if engine == PLAIN and options:
            raise UsageError(f"extractor {PLAIN} has no options; it was given {', '.join(options)}")
        self.engine = engine
        self.caps = caps
        self.limits = limits
        self._options = None if engine == PLAIN else options_of(engine, options or {})
        self._sandbox = Sandbox(
            "pipeline.extract.page:extract_frame", cpu_seconds=limits.cpu_seconds, memory_bytes=limits.memory_bytes
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._sandbox.close()

    def extract(self, body: bytes, header_label: str | None, url: str) -> Page:
        """`body` is the payload after transfer and content encoding; `header_label` the charset of the HTTP header."""
        if len(body) > self.caps.bytes:
            return Page("", "", "", "", 0, Rejection("cap/bytes", len(body), self.caps.bytes))
        decoded = decode(body, header_label, html=self.engine != PLAIN)
        utf8 = as_utf8(decoded, body)
        rejected = _unreadable(decoded, utf8)
        if rejected is None and self.engine != PLAIN:
            unfenced = self.engine in UNFENCED
            rejected = check_size(utf8, self.caps) if unfenced else check_caps(decoded.text, self.caps, utf8)
        if rejected is not None:
            return _page(decoded, Extracted("", ""), rejected)
        if self.engine == PLAIN:
            return _page(decoded, Extracted(tidy(decoded.text), ""), None)
        robots = meta_robots(decoded.text)
        if self.engine in UNFENCED:
            assert self._options is not None
            page = _page(decoded, extract(self.engine, decoded.text, url, self._options), None)
        else:
            page = self._fenced(decoded, utf8, url)
        return page._replace(robots=robots) if robots else page

    def _fenced(self, decoded: Decoded, utf8: bytes, url: str) -> Page:
        assert self._options is not None
        head = {"engine": self.engine, "url": url, "options": asdict(self._options)}
        result = self._sandbox.call(json.dumps(head).encode() + b"\n" + utf8)
        cost = result.cpu_seconds, result.peak_bytes
        if result.value is None:
            assert result.limit is not None
            broken = {
                "limit/cpu": Rejection("limit/cpu", result.cpu_seconds, self.limits.cpu_seconds),
                "limit/memory": Rejection("limit/memory", result.peak_bytes, self.limits.memory_bytes),
                "limit/crash": Rejection("limit/crash", 1, 0),
            }
            return _page(decoded, Extracted("", ""), broken[result.limit], *cost)
        answer = json.loads(result.value)
        if "missing" in answer:
            # no fault of the page: every page would be lost
            raise WorkError(
                f"extractor {self.engine} cannot be loaded ({answer['missing']}): install requirements.lock"
            )
        if "rule" in answer:
            return _page(decoded, Extracted("", ""), Rejection(answer["rule"], 1, 0), *cost)
        return _page(decoded, Extracted(answer["text"], answer["title"]), None, *cost)


def meta_robots(html: str) -> frozenset[str]:
    """The words of the meta elements for all robots in the first HEAD_CHARACTERS, lower case.

    Their name holds "robots"; what is said to one company's robot is not said to others. A comment counts for nothing;
    what stands after the head does not speak for the page.
    """
    head = html[:HEAD_CHARACTERS]
    # in bytes, of which a character has at least one: lower case takes a fraction of the time there
    last = head.encode("utf-8", "replace").lower().rfind(b"robots")
    if last < 0:
        return frozenset()
    found: set[str] = set()
    for tag in scan(head, SKIPPED_IN_HEAD):
        if tag.name == "body" or tag.start > last:
            break
        if tag.name == "meta":
            attributes = _attributes(head[tag.start : tag.content])
            if "robots" in attributes.get("name", "").lower():
                found |= {word for word in re.split(r"[\s,;/]+", attributes.get("content", "").lower()) if word}
    return frozenset(found)


def declared_language(body: bytes) -> str:
    """The language that the first html element names ("en" of `lang="en-GB"`); empty if there is none of two letters:
    `und` and `mul` say nothing. One in a comment or script is none."""
    if not _HTML_LANGUAGE.search(body, 0, HEAD_CHARACTERS):
        return ""
    head = body[:HEAD_CHARACTERS].decode("latin-1")
    for tag in scan(head, SKIPPED_IN_HEAD):
        if tag.name == "html" and not tag.closing:
            found = _LANGUAGE.match(_attributes(head[tag.start : tag.content]).get("lang", ""))
            return found[1].lower() if found else ""
    return ""


def _attributes(tag: str) -> dict[str, str]:
    """By name in lower case; of two of one name the first counts, as in browsers."""
    return {name.lower(): value.strip("\"'") for name, value in reversed(_ATTRIBUTE.findall(tag))}


def _unreadable(decoded: Decoded, utf8: bytes) -> Rejection | None:
    if decoded.replaced + _control_bytes(utf8) <= MAX_UNREADABLE_SHARE * len(decoded.text):
        return None
    unreadable = decoded.replaced + control_characters(decoded.text)
    share = min(1.0, unreadable / max(1, len(decoded.text)))
    if share > MAX_UNREADABLE_SHARE:
        return Rejection("decode/unreadable", share, MAX_UNREADABLE_SHARE)
    return None


def _control_bytes(utf8: bytes) -> int:
    """No fewer than its control characters: line ends count too, and what begins like one of U+0080 to U+009F."""
    import numpy as np

    page = np.frombuffer(utf8, np.uint8)
    return int(sum(map(np.count_nonzero, (page < 0x20, page == 0x7F, page == 0xC2))))


def _unusable(text: str) -> Rejection | None:
    if not text:
        return Rejection("extract/empty", 0, 1)
    if text.isascii():
        return None
    import regex

    marks = max(map(len, regex.findall(r"\p{M}+", text)), default=0)
    return Rejection("extract/marks", marks, MAX_MARKS) if marks > MAX_MARKS else None


def _page(
    decoded: Decoded, found: Extracted, rejected: Rejection | None, cpu_seconds: float = 0.0, peak_bytes: int = 0
) -> Page:
    if rejected is None:
        rejected = _unusable(found.text)
    if rejected is not None:
        found = Extracted("", "")
    return Page(
        found.text,
        found.title,
        decoded.charset,
        decoded.evidence,
        decoded.replaced,
        rejected,
        cpu_seconds,
        peak_bytes,
    )


def extract_frame(frame: bytes) -> bytes:
    """The child's side: a JSON line and the HTML in, JSON out; a rule in place of the text if the engine gave up."""
    import logging

    logging.disable(logging.CRITICAL)  # the libraries log a line for every page that displeases them
    end = frame.index(b"\n")
    request = json.loads(frame[:end])
    html = str(memoryview(frame)[end + 1 :], "utf-8")
    options = options_of(request["engine"], request["options"])
    try:
        found = extract(request["engine"], html, request["url"], options)
        answer = {"text": found.text, "title": found.title}
    except MemoryError:
        raise
    except ImportError as error:
        answer = {"missing": str(error).splitlines()[0]}
    except TruncatedPage:
        answer = {"rule": "extract/truncated"}
    except Exception:
        answer = {"rule": "extract/error"}
    return json.dumps(answer).encode()
