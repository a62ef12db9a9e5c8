"""The folder in which examples are typed: every file that they name and that nothing makes, small and made up."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from pipeline.fit import defaults
from pipeline.models.properties import PROPERTIES
from tests.files import write_rows
from tests.pipeline.pages import WORDS, article, pages, sentences, write_warc
from tests.pipeline.recipe_texts import EXTRACT, INGEST, judge, recipe, stage
from tests.trainer.scaling.made import write_curves, write_runs
from tests.trainer.scaling.made_pools import write_pool_runs

SIZE = judge("size", {"signal": "words", "min": 5})
LAX = recipe("lax", INGEST, EXTRACT, stage("filter", "filter", SIZE))
MINE = recipe("mine", INGEST, EXTRACT, stage("filter", "filter", SIZE, judge("ends", {"signal": "lines", "min": 2})))
# Too short for Gopher, but no repetition.
SHORT = f"<html><body><p>{' '.join(WORDS[:45]).capitalize()}.</p></body></html>"
OWN_PAGES = [(f"https://example.org/{path}", article(seed)) for seed, path in ((500, ""), (501, "page"))]
OWN_PAGES.append(("https://example.org/short", SHORT))
OWN = {"url": OWN_PAGES[0][0]}
# The mixture's domains; the demo's texts have the same.
DOMAINS = (
    "arts", "code", "dialogue", "emotion", "engineering", "general", "literature", "mathematics", "reasoning",
    "science", "society",
)  # fmt: skip
SYLLABLES = [consonant + vowel for consonant in "bcdfghjklmnprstvwz" for vowel in "aeiou"]


def made_words(seed: int, count: int) -> list[str]:
    draw = random.Random(f"words {seed}")
    return ["".join(draw.choices(SYLLABLES, k=draw.randint(2, 4))) for _ in range(count)]


def prose(seed: int, topic: int, lines: int = 12) -> str:
    """Sentences in which one word in three is the topic's own, always the same for a seed."""
    draw, own = random.Random(f"{topic} {seed}"), made_words(topic, 600)
    told = sentences(1000 * topic + seed, lines)
    return "\n".join(" ".join(draw.choice(own) if draw.random() < 0.33 else w for w in line.split()) for line in told)


def rows(topic: int, count: int, **columns: str) -> Iterator[dict[str, str]]:
    for n in range(count):
        where = f"{topic}-{n}"
        about = {"id": where, "url": f"http://site{n % 9}.example/{where}", "source": f"source-{topic}-{n % 8}"}
        yield {**about, "text": prose(n, topic), **columns}


def of_domains(first: int, count: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for n, domain in enumerate(DOMAINS):
        found += rows(first + n, count, domain=domain, source="curated")
    return found


def write_world(folder: Path, cache: Path) -> None:
    """`cache`: packages as if fetched (tests/pipeline/toy_packages.py), which the models are fitted on."""
    (folder / "crawl").mkdir()
    for n, name in enumerate("ab"):
        write_warc(folder / f"crawl/{name}.warc.gz", [*OWN_PAGES[n::2], *pages(62 * n, 62)])
    write_warc(folder / "crawl.warc.gz", [*OWN_PAGES, *pages(0, 40)])
    write_warc(folder / "page.warc.gz", OWN_PAGES[:1])
    for n in range(2):
        write_rows(folder / f"docs/part-{n}.jsonl.gz", [*rows(n, 30), *rows(0, 5)])
    posts = [{"post_id": row["id"], "body": row["text"], "likes": n} for n, row in enumerate(rows(0, 30))]
    write_rows(folder / "posts.parquet", posts)
    write_texts(folder)
    write_curves(folder / "curves", {"25M": 25e6, "100M": 100e6, "400M": 400e6})
    (folder / "schedule.csv").write_text("step,lr\n" + "".join(f"{step},0.001\n" for step in range(500, 9000, 500)))
    write_runs(folder / "runs.csv")
    write_pool_runs(folder / "pool-runs.csv")
    (folder / "lax.toml").write_text(LAX)
    (folder / "my-recipe.toml").write_text(MINE)
    (folder / "arc-files.txt").write_text("2012-07-05 03:14:15 9 crawl-002/2009/09/17/41/1253233750985_41.arc.gz\n")
    (folder / "gone.txt").write_text("https://example.org/page\n")
    (folder / "ids.txt").write_text(
        "".join(f"<urn:uuid:{name}.warc-{n}>\n" for name in ("crawl", "a") for n in range(9))
    )
    (folder / "list.txt").write_text("https://example.org/\nhttps://example.org/page\n")
    with mock.patch.object(defaults, "VOCABULARY", 120):
        defaults.fit_defaults(folder / "models", cache)


def write_texts(folder: Path) -> None:
    for number, name in enumerate(("good", "other", "kinds", "books", "functions", "talks", "novels", "unsafe")):
        for ending in ("jsonl", "jsonl.gz"):
            write_rows(folder / f"{name}.{ending}", rows(20 + number, 50))
    grades: list[dict[str, Any]] = [{name: (n + i) % 4 for i, name in enumerate(PROPERTIES)} for n in range(60)]
    write_rows(folder / "judged.jsonl.gz", [{**row, **grade} for row, grade in zip(rows(70, 60), grades)])
    write_rows(
        folder / "graded.jsonl.gz",
        [row | {"source": str(n), "grades": [n % 5 + 1]} for n, row in enumerate(rows(80, 40))],
    )
    write_rows(folder / "clean.jsonl.gz", of_domains(200, 20))
    for number, name in enumerate(("code-without", "dialogue-without")):
        write_rows(folder / f"{name}.jsonl", rows(40 + number, 50))
    questions = [{"question": f"{prose(n, 50, 2)} What follows?", "answer": str(n)} for n in range(20)]
    write_rows(folder / "gsm8k.jsonl", questions[:10])
    write_rows(folder / "mmlu.jsonl.gz", questions[10:])
    write_rows(folder / "paintings.jsonl", rows(60, 40))
    (folder / "more.txt").write_text("hate\tvilestword\n")
    write_rows(folder / "labelled.jsonl.gz", of_domains(100, 20))
    # whichever of its domain are drawn into the mixture, a page of this address is among what is trained on
    curated = of_domains(100, 20)
    write_rows(folder / "curated.jsonl.gz", [row | OWN if row["domain"] == "literature" else row for row in curated])
    write_rows(folder / "held-out.jsonl.gz", of_domains(100, 1))
