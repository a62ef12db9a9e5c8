"""The message to the sandbox's child process, its replies, and what the child imports."""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from pipeline.extract.child import extract_frame, request
from pipeline.extract.extractors.extractor import Extractor
from pipeline.extract.extractors.table import EXTRACTORS
from pipeline.extract.text import Extracted, TruncatedPage
from tests.files import python


@dataclass(frozen=True)
class FakeOptions:
    shout: bool = False


FAILURES = {
    "truncated": TruncatedPage("deep"),
    "error": ValueError("a bug of the library"),
    "missing": ImportError("no module named lynx\nsecond line"),
    "memory": MemoryError(),
}


def fake(html: str, url: str, options: FakeOptions) -> Extracted:
    if html in FAILURES:
        raise FAILURES[html]
    return Extracted(html.upper() if options.shout else html, url)


EXTRACTOR = Extractor("fake", fake, FakeOptions, sandboxed=True, caps="all")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """`extract_frame` switches logging off for the whole process."""
    before = logging.root.manager.disable
    yield
    logging.disable(before)


def reply(html: str, shout: bool = False) -> Any:
    frame = request(EXTRACTOR, asdict(FakeOptions(shout)), "http://a.example/ä", html.encode())
    return json.loads(extract_frame(frame))


@pytest.mark.parametrize(("shout", "text"), [(False, "é\nb"), (True, "É\nB")])
def test_page_url_and_options_reach_the_extractor(shout: bool, text: str) -> None:
    assert reply("é\nb", shout) == {"text": text, "title": "http://a.example/ä", "shares": None, "by": ""}


@pytest.mark.parametrize(
    ("html", "answer"),
    [
        ("truncated", {"rule": "extract/truncated"}),
        ("error", {"rule": "extract/error"}),
        ("missing", {"missing": "no module named lynx"}),
    ],
)
def test_a_failure_is_a_reply(html: str, answer: dict[str, str]) -> None:
    assert reply(html) == answer


def test_running_out_of_memory_is_left_to_the_sandbox() -> None:
    with pytest.raises(MemoryError):
        reply("memory")


@pytest.mark.parametrize("name", ["", "resiliparse", "trafilatura"])
def test_the_child_loads_neither_numpy_nor_other_extractors(name: str) -> None:
    own = [EXTRACTORS[name].module] if name else []
    code = (
        "import sys, importlib, pipeline.extract.child\n"
        f"for module in {own}: importlib.import_module(module)\n"
        "print(*sorted(m for m in sys.modules if m.startswith(('numpy', 'pipeline.', 'infra.', 'pyarrow'))))\n"
    )
    within = ("child", "element_ends", "extractors", "extractors.extractor", "markup", "references", "text")
    expected = [
        *own,
        "infra.errors",
        "infra.names",
        "pipeline.extract",
        *(f"pipeline.extract.{name}" for name in within),
    ]
    assert python(code).split() == sorted(expected)
