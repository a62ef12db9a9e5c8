"""A small comparison of two recipes with hostile pages: scripts in URLs, titles, texts and groups."""

from pathlib import Path

from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset
from infra.hashing import readable_json
from pipeline.compare.compare import COMPARISON, summary
from pipeline.compare.gold import read_gold
from tests.files import write_rows
from tests.pipeline.datasets import document, funnel_row, make_dataset, record, reject

EVIL = "<script>alert(1)</script>"
EVIL_URL = "javascript:alert('x')//\"><img src=x onerror=alert(2)>"


def stages(folder: Path) -> list[Dataset]:
    """Sixty documents of 100 to 159 words in three partitions; those below 130 are rejected, that of 133 is a copy."""
    documents = [document(n) | {"text": f"text of page {n} " + "x" * 900} for n in range(60)]
    documents[0] |= {"url": EVIL_URL, "text": EVIL + " \u202e \ud7ff", "title": EVIL}
    documents[30] |= {"url": EVIL_URL, "text": EVIL, "title": EVIL}
    few = [reject(n, "size", "min_words", 100.0 + n, 130.0) for n in range(30)]
    few[0] |= {"url": EVIL_URL}
    copy = reject(33, "copies", "text", None, None) | {"survivor": "<urn:uuid:31>", "similarity": 1.0}
    cuts = (10, 40)
    rows = [funnel_row("extract", 60, 60_000), funnel_row("size", 30, 30_000), funnel_row("copies", 29, 29_000)]
    kept = documents[30:]
    pool = {
        "method": "clusters",
        "keep": 0.5,
        "clusters": [{"label": EVIL, "docs": 7, "score": 0.25, "words": ["a", EVIL]}],
    }
    return [
        make_dataset(folder / "01-ingest", "ingest", [record(n) for n in range(60)], [], kind=Kind.RECORDS, cuts=cuts),
        make_dataset(folder / "02-extract", "extract", documents, [], rows[:1], cuts=cuts),
        make_dataset(folder / "03-filter", "filter", kept, few, rows[1:2], extra={"pool": pool}, cuts=cuts),
        make_dataset(folder / "04-copies", "copies", kept[:3] + kept[4:], [copy], rows[2:], cuts=cuts),
    ]


def write_comparison(folder: Path) -> None:
    made = stages(folder)
    chains = {"strict": made, "lax": made[:2]}
    kinds = {n: EVIL if n % 2 else "b" for n in range(1, 41)}
    rows = [{"url": f"https://example.org/{n}", "text": "w " * 9, "type": kind} for n, kind in kinds.items()]
    path = write_rows(folder / "gold.jsonl", rows)
    gold = read_gold(path, path, long_words=9)
    body = summary(chains, gold)
    body["recipes"]["strict"]["audit"] = {
        "sampled": 9, "kept": 4, "prefilter_rejected": 1, "share": 0.25, "interval": [0.045587, 0.699358],
    }  # fmt: skip
    (folder / COMPARISON).write_bytes(readable_json(body))
    cost = {"recipes": {"strict": {"seconds": 9.0, "cpu_seconds": 8.0, "documents_per_cpu_second": 7.5}}}
    output = {
        "chains": {name: [dataset.folder.name for dataset in chain] for name, chain in chains.items()},
        "cost": cost,
    }
    (folder / "run.json").write_bytes(readable_json(output))
