"""The blocks of README and docs, and the examples of `--help`."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.examples.shell import Line, logical_lines
from tests.files import ROOT
from tests.pipeline.command import all_commands

BLOCK = re.compile(r"^( *)```([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# Their blocks are run by tests of their own, which also compare what is printed.
OWN_TESTS = {
    "docs/python.md": "tests/refinery/test_docs.py",
    "docs/your_own.md": "tests/test_docs_your_own.py",
    "docs/journeys/cluster.md": "tests/pipeline/cli/test_journey.py",
}
# Pages in the order in which a reader comes to them, then the others.
FIRST = ("README.md", "docs/journeys/laptop.md", "docs/journeys/training.md", "docs/reading.md")


class Block(NamedTuple):
    page: str
    line: int
    tag: str
    text: str

    @property
    def language(self) -> str:
        return self.tag.split(" ")[0]

    @property
    def file(self) -> str:
        """The file that it is to be written to, or nothing."""
        return self.tag.partition(" ")[2]


def all_pages() -> list[str]:
    found = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    return [*FIRST, *sorted({*found, "benchmarks/README.md"} - {*FIRST})]


def blocks(*pages: str) -> Iterator[Block]:
    """Those of the pages, else of every page."""
    for page in pages or all_pages():
        text = (ROOT / page).read_text()
        for match in BLOCK.finditer(text):
            yield Block(page, text.count("\n", 0, match.start()) + 1, match[2], match[3])


def shell_lines(*pages: str) -> list[Line]:
    return [
        Line(block.page, line)
        for block in blocks(*pages)
        if block.language == "sh" and block.page not in OWN_TESTS
        for line in logical_lines(block.text)
    ]


def examples() -> list[Line]:
    """The example of every command and group of commands, in the order of `--help`."""
    return [Line(name, text) for name, text in _examples(all_commands(), "refinery")]


def _examples(command: Any, name: str) -> Iterator[tuple[str, str]]:
    example = (command.help or "").partition("Example: ")[2]
    yield name, " ".join(example.split())
    for below, each in getattr(command, "commands", {}).items():
        yield from _examples(each, f"{name} {below}")


def spans() -> Iterator[Line]:
    """What is written in a line of text as a command, between backquotes; it may leave out options, or end in dots."""
    for page in all_pages():
        text = BLOCK.sub("", (ROOT / page).read_text())
        for span in re.findall(r"`(refinery [^`]+)`", text):
            yield Line(page, " ".join(span.split()))
