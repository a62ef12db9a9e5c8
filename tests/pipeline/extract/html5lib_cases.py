"""The test data of html5lib (https://github.com/html5lib/html5lib-tests) as its last sdist carries them, and what they
say of a page: its text, its tags, its charset.

Nothing of it is part of this repository: the sdist is fetched by pip, like the other packages with data.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.extract.markup import UNSEEN
from pipeline.fit.packages import Package, fetch_package

FOLDER = "html5lib/tests/testdata"
PACKAGE = Package(
    "html5lib", "1.1", "sdist", "html5lib-1.1.tar.gz",
    "b2e5b40261e20f354d198eae92afc10d750afb487ed5e50f9c4eaf07c184146f",
    "MIT",
    (f"{FOLDER}/tokenizer/*.test", f"{FOLDER}/tree-construction/*.dat", f"{FOLDER}/encoding/*.dat"),
)  # fmt: skip

_SECTION = re.compile(
    r"(?:^|\n)#(data|errors|new-errors|document-fragment|document|encoding|script-off|script-on)(?=\n|$)"
)
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})")


class Tree(NamedTuple):
    """A page and the text of its tree, without that of elements that show none."""

    html: str
    text: str


class Tokens(NamedTuple):
    """A page, its text, and its tags: name, whether it is an end tag, attributes."""

    html: str
    text: str
    tags: list[tuple[str, bool, dict[str, str]]]


def fetch(cache: Path) -> Path:
    """The folder of the test data. UsageError if pip cannot get the sdist."""
    return fetch_package(PACKAGE, cache) / FOLDER


def trees(folder: Path) -> Iterator[Tree]:
    """The cases of tree construction that are whole pages."""
    for path in sorted((folder / "tree-construction").glob("*.dat")):
        for case in _cases(path.read_text("utf-8", "surrogatepass")):
            if "document-fragment" not in case:
                yield Tree(case["data"], "".join(_shown(case["document"])))


def tokens(folder: Path) -> Iterator[Tokens]:
    """The cases of the tokenizer that begin in its data state; comments, declarations and errors left out."""
    for path in sorted((folder / "tokenizer").glob("*.test")):
        tests = json.loads(path.read_text())
        for case in (*tests.get("tests", ()), *tests.get("xmlViolationTests", ())):
            if "Data state" in case.get("initialStates", ("Data state",)):
                known = _unescaped(case) if case.get("doubleEscaped") else case
                output = [token for token in known["output"] if token != "ParseError"]
                text = "".join(token[1] for token in output if token[0] == "Character")
                tags = [
                    (token[1], token[0] == "EndTag", token[2] if token[0] == "StartTag" else {})
                    for token in output
                    if token[0] in ("StartTag", "EndTag")
                ]
                yield Tokens(known["input"].replace("\r\n", "\n").replace("\r", "\n"), text, tags)


def encodings(folder: Path) -> Iterator[tuple[bytes, str]]:
    """Pages and the labels of their charsets."""
    for path in sorted((folder / "encoding").glob("*.dat")):
        for case in _cases(path.read_bytes().decode("latin-1")):
            yield case["data"].encode("latin-1"), case["encoding"].strip().lower()


def _cases(text: str) -> Iterator[dict[str, str]]:
    for case in re.split(r"(?:^|\n)(?=#data\n)", text):
        parts = _SECTION.split(case)
        if len(parts) > 1:
            yield {name: body.removeprefix("\n") for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def _shown(document: str) -> Iterator[str]:
    """The texts of a tree: a line for each node, two blanks for each level, strings in quotation marks."""
    lines: list[str] = []
    for line in document.split("\n"):
        if line.startswith("| "):
            lines.append(line[2:])
        elif lines:
            lines[-1] += f"\n{line}"
    around: list[str] = []
    for line in lines:
        node = line.lstrip(" ")
        del around[(len(line) - len(node)) // 2 :]
        if node.startswith('"') and UNSEEN.isdisjoint(around):
            yield node[1 : node.rindex('"')]
        is_element = node.startswith("<") and not node.startswith("<!")
        around.append(node[1:].split(">")[0].split(" ")[-1] if is_element else "")


def _unescaped(value: Any) -> Any:
    if isinstance(value, str):
        return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), value)
    if isinstance(value, dict):
        return {_unescaped(key): _unescaped(each) for key, each in value.items()}
    return [_unescaped(each) for each in value] if isinstance(value, list) else value
