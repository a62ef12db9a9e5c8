"""One page from bytes to text: decoding and caps here, extraction in the page sandbox, every outcome accounted for.

`PageExtractor.extract` never raises because of what a page holds (WorkError only if the extractor's library is not
installed). A page without text is rejected by exactly one rule:

- `cap/*`: larger or more deeply nested than any real page (see `Caps`), found before any parser runs;
- `decode/unreadable`: too many of its characters could not be decoded or are control characters;
- `extract/truncated`, `extract/error`: the parser stopped inside the page, or the extractor failed on it; the same on
  every machine;
- `extract/empty`: the extractor found no text;
- `extract/marks`: a run of combining marks so long that normalising the text would not end in reasonable time;
- `limit/*`: it exceeded a limit of the sandbox, twice. Only these may depend on the machine.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any, Final, NamedTuple, Self

import numpy as np

from infra.errors import WorkError
from infra.sandbox.sandbox import Sandbox
from pipeline.extract.byte_kernels import control_bytes
from pipeline.extract.caps import Caps, Rejection, check_caps, check_size
from pipeline.extract.charset import Decoded, as_utf8, decode
from pipeline.extract.child import extract_frame, request
from pipeline.extract.extractors.table import PLAIN, extractor_of
from pipeline.extract.head import meta_robots
from pipeline.extract.limits import Limits
from pipeline.extract.text import Extracted, Shares, control_characters

# Binary files labelled as HTML have a fifth and more; pages with a few broken characters stay below .1 %.
MAX_UNREADABLE_SHARE: Final = 0.05
# Unicode's Stream-Safe Text Format (UAX #15) has 30; Python's `normalize` takes quadratic time in the length of a run.
MAX_MARKS: Final = 128
_CHILD: Final = f"{extract_frame.__module__}:{extract_frame.__qualname__}"


class Page(NamedTuple):
    """The outcome for one page. `text` is "" exactly when `rejected` says why.

    `charset`, `charset_evidence` and `replaced` are of the decoding (`pipeline/extract/charset.py`). `cpu_seconds` and
    `peak_bytes` are of the sandbox alone, for `run.json`; 0 if it was not used. `robots` are the words of the page's
    robots elements ("noindex", "noai", ...), empty for text that is not HTML. `shares`: of the text's characters that
    are code, tables and formulas; None for an extractor that does not say. `by`: see `Extracted`.
    """

    text: str
    title: str
    charset: str
    charset_evidence: str
    replaced: int
    rejected: Rejection | None
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    robots: frozenset[str] = frozenset()
    shares: Shares | None = None
    by: str = ""


class BodyText:
    """A body as text, for any number of extractors. `header_label` is the charset of the HTTP header; `html`: whether
    the body is a page."""

    def __init__(self, body: bytes, header_label: str | None, *, html: bool) -> None:
        self.html = html
        self.decoded = decode(body, header_label, html=html)
        self.utf8 = as_utf8(self.decoded, body)

    @property
    def size(self) -> int:
        """The bytes in memory."""
        return sys.getsizeof(self.decoded.text) + len(self.utf8)

    @cached_property
    def unreadable(self) -> Rejection | None:
        return _unreadable(self.decoded, self.utf8)

    @cached_property
    def robots(self) -> frozenset[str]:
        return meta_robots(self.decoded.text) if self.html else frozenset()


class PageExtractor:
    """Extracts pages with one extractor and its options. Keeps one child process, which `close` ends.

    `engine` is a name of `EXTRACTORS`, or "plain" for bodies that are text already (WET, plain text). UsageError for
    an unknown name, option or value.
    """

    def __init__(
        self,
        engine: str,
        options: Mapping[str, Any] | None = None,
        caps: Caps = Caps(),  # noqa: B008
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        self.engine = engine
        self.caps = caps
        self.limits = limits
        self._extractor = PLAIN if engine == PLAIN.name else extractor_of(engine)
        self._options = self._extractor.read_options(options or {})
        self._sandbox = Sandbox(_CHILD, cpu_seconds=limits.cpu_seconds, memory_bytes=limits.memory_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._sandbox.close()

    def extract(self, body: bytes, header_label: str | None, url: str) -> Page:
        """`body` is the payload after transfer and content encoding; `header_label` the charset of the HTTP header."""
        return self.extract_text(len(body), lambda: BodyText(body, header_label, html=self._extractor.html), url)

    def extract_text(self, size: int, text: Callable[[], BodyText], url: str) -> Page:
        """The same of a body of so many bytes; `text` is asked for unless these are too many."""
        if size > self.caps.bytes:
            return Page("", "", "", "", 0, Rejection("cap/bytes", size, self.caps.bytes))
        read = text()
        decoded, utf8 = read.decoded, read.utf8
        rejected = read.unreadable or self._over_cap(decoded.text, utf8)
        if rejected is not None:
            return _page(decoded, Extracted("", ""), rejected)
        page = (
            self._in_sandbox(decoded, utf8, url) if self._extractor.sandboxed else self._in_process(decoded, utf8, url)
        )
        return page._replace(robots=read.robots) if read.robots else page

    def _over_cap(self, html: str, utf8: bytes) -> Rejection | None:
        match self._extractor.caps:
            case "all":
                return check_caps(html, self.caps, utf8)
            case "size":
                return check_size(utf8, self.caps)
            case "none":
                return None

    def _in_process(self, decoded: Decoded, utf8: bytes, url: str) -> Page:
        extractor = self._extractor
        if extractor.of_utf8 is not None:
            return _page(decoded, extractor.of_utf8(decoded.text, utf8, self._options), None)
        return _page(decoded, extractor.function(decoded.text, url, self._options), None)

    def _in_sandbox(self, decoded: Decoded, utf8: bytes, url: str) -> Page:
        result = self._sandbox.call(request(self._extractor, asdict(self._options), url, utf8))
        cost = result.cpu_seconds, result.peak_bytes
        if result.value is None:
            assert result.limit is not None
            exceeded = {
                "limit/cpu": Rejection("limit/cpu", result.cpu_seconds, self.limits.cpu_seconds),
                "limit/memory": Rejection("limit/memory", result.peak_bytes, self.limits.memory_bytes),
                "limit/crash": Rejection("limit/crash", 1, 0),
            }
            return _page(decoded, Extracted("", ""), exceeded[result.limit], *cost)
        reply = json.loads(result.value)
        if "missing" in reply:
            # not the page's fault: every page would be lost
            raise WorkError(f"extractor {self.engine} cannot be loaded ({reply['missing']}): install requirements.lock")
        if "rule" in reply:
            return _page(decoded, Extracted("", ""), Rejection(reply["rule"], 1, 0), *cost)
        shares = reply["shares"] and Shares(*reply["shares"])
        return _page(decoded, Extracted(reply["text"], reply["title"], shares, reply["by"]), None, *cost)


def _unreadable(decoded: Decoded, utf8: bytes) -> Rejection | None:
    if decoded.replaced + _control_bytes(utf8) <= MAX_UNREADABLE_SHARE * len(decoded.text):
        return None
    unreadable = decoded.replaced + control_characters(decoded.text)
    share = min(1.0, unreadable / max(1, len(decoded.text)))
    if share > MAX_UNREADABLE_SHARE:
        return Rejection("decode/unreadable", share, MAX_UNREADABLE_SHARE)
    return None


def _control_bytes(utf8: bytes) -> int:
    """An upper bound of its control characters: counts line ends too, and all that begins like U+0080 to U+009F."""
    return control_bytes(np.frombuffer(utf8, np.uint8))


def _unusable(text: str) -> Rejection | None:
    if not text:
        return Rejection("extract/empty", 0, 1)
    if text.isascii():
        return None
    import regex

    # a run of more has one of these in it
    if not regex.search(r"\p{M}", text[::MAX_MARKS]):
        return None
    marks = max(map(len, regex.findall(r"\p{M}+", text)), default=0)
    return Rejection("extract/marks", marks, MAX_MARKS) if marks > MAX_MARKS else None


def _page(
    decoded: Decoded, found: Extracted, rejected: Rejection | None, cpu_seconds: float = 0.0, peak_bytes: int = 0
) -> Page:
    if rejected is None:
        rejected = _unusable(found.text)
    if rejected is not None:
        found = Extracted("", "")
    told = decoded.charset, decoded.evidence, decoded.replaced
    return Page(found.text, found.title, *told, rejected, cpu_seconds, peak_bytes, shares=found.shares, by=found.by)
