"""docs/your_own.md is true: its files are written, its commands run, and its output is what they print."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.files import ROOT, python

PACKAGES = ("dedup", "filters", "infra", "mixers", "pipeline", "refinery", "trainer")
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The command lines of a block, one after the other.
COMMANDS = """
import shlex, sys
from pipeline.cli.app import main
for line in sys.argv[1:]:
    try:
        main(shlex.split(line)[1:])
    except SystemExit as end:
        if end.code:
            raise
"""


def blocks() -> Iterator[tuple[str, str, str]]:
    """(language, file name or "", content) of each code block, in order."""
    for match in BLOCK.finditer((ROOT / "docs/your_own.md").read_text()):
        yield match[1], match[2], match[3]


def patch(file: Path, diff: str) -> None:
    """Put each line marked + after the one above it, which the file must have once."""
    text = file.read_text()
    for above, added in re.findall(r"^ (.*)\n\+(.*)$", diff, re.MULTILINE):
        assert text.split("\n").count(above) == 1, above
        text = text.replace(f"\n{above}\n", f"\n{above}\n{added}\n")
    file.write_text(text)


def squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for package in PACKAGES:
        # what was compiled comes along, but for files that another process of the tests is about to rename
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.pyc.*"))
    return tmp_path


def test_every_block_of_the_page(checkout: Path) -> None:
    printed = ""
    for language, name, content in blocks():
        if language == "diff":
            patch(checkout / name, content)
        elif name:
            (checkout / name).write_text(content)
        elif language == "python":
            printed = python(content, cwd=checkout)
        elif language == "sh":
            printed = python(COMMANDS, *content.splitlines(), cwd=checkout)
        else:
            assert language == "text"
            found = squeezed(printed)
            for line in squeezed(content):
                assert any(line in each for each in found), f"{line!r} is not in\n{printed}"


def test_the_page_has_blocks_of_every_kind() -> None:
    kinds = {(language, bool(name)) for language, name, _ in blocks()}
    assert kinds >= {(kind, True) for kind in ("toml", "python", "diff")}
    assert kinds >= {(kind, False) for kind in ("python", "sh", "text")}
