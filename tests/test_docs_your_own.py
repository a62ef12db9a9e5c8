"""docs/your_own.md is true: its files are written, its commands run, and its output is what they print."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.files import ROOT, checkout, python

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


def test_every_block_of_the_page(tmp_path: Path) -> None:
    # what was compiled comes along, but for files that another process of the tests is about to rename
    copy, printed = checkout(tmp_path, without="*.pyc.*"), ""
    for language, name, content in blocks():
        if language == "diff":
            patch(copy / name, content)
        elif name:
            (copy / name).write_text(content)
        elif language == "python":
            printed = python(content, cwd=copy)
        elif language == "sh":
            printed = python(COMMANDS, *content.splitlines(), cwd=copy)
        else:
            assert language == "text"
            found = squeezed(printed)
            for line in squeezed(content):
                assert any(line in each for each in found), f"{line!r} is not in\n{printed}"


def test_the_page_has_blocks_of_every_kind() -> None:
    kinds = {(language, bool(name)) for language, name, _ in blocks()}
    assert kinds >= {(kind, True) for kind in ("toml", "python", "diff")}
    assert kinds >= {(kind, False) for kind in ("python", "sh", "text")}
