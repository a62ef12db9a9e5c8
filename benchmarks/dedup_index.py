"""An index of duplicates: what each snapshot adds by either policy, seconds of each add, bytes, groups in any order.

    python -m benchmarks dedup_index --texts texts/*.jsonl.gz [--snapshots 5] [--documents 4000] [--stable 0.6]

Snapshots are made of passages of the texts. A share of each (`--stable`) is drawn from one pool of pages that stay on
the web: other snapshots have them too, a third of them with .2 to 3 % of their words changed since. The rest is new in
each: passages with their words in another order, as pages that come and go (listings, generated text). So the share of
stable pages in what is kept says what a policy does to old snapshots. Seconds are of one process, wall and CPU; the
snapshots are added in order, and once more in reverse for the groups.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.shared import add, markdown, read_texts
from dedup.index.decide import Keeping, Policy
from infra.dataset import schema as schemas
from infra.dataset.manifest import Header, InputRef, Kind, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.engines.task import Output
from pipeline.index.add import add as add_snapshot
from pipeline.index.groups import make_groups
from pipeline.index.manifest import Index, read_index
from pipeline.index.merge import merge_all
from pipeline.index.report import report_of

SCHEMA = schemas.documents([])
POLICIES: tuple[Policy, ...] = ("within", "older", "copies")
WORDS = 120, 600
# The share of pages that a snapshot has twice.
TWICE = 0.05
PART, BATCH = 2048, 256


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--texts", required=True)
    parser.add_argument("--snapshots", type=int, default=5)
    parser.add_argument("--documents", type=int, default=4000)
    parser.add_argument("--stable", type=float, default=0.6)


@dataclass(frozen=True)
class MadePage:
    """`ident` begins with `stable` or `new`."""

    ident: str
    text: str


@dataclass(frozen=True)
class Pages:
    """The pages of a snapshot, as a source."""

    pages: tuple[tuple[MadePage, ...], ...]
    name: str

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return (InputRef("made", self.name),)

    def parts(self) -> list["PagesPart"]:
        return [PagesPart(pages, f"{self.name} {n}") for n, pages in enumerate(self.pages)]


@dataclass(frozen=True)
class PagesPart:
    pages: tuple[MadePage, ...]
    fingerprint: str


@dataclass(frozen=True)
class WritePages:
    """Pages as documents."""

    dump: str
    schema: pa.Schema = SCHEMA

    @property
    def fingerprint(self) -> str:
        return self.dump

    def __call__(self, part: PagesPart) -> Iterator[Output]:
        rows = [
            {
                "text": page.text, "id": page.ident, "dump": self.dump, "url": f"https://example.org/{page.ident}",
                "file_path": part.fingerprint, "warc_offset": n, "token_count": len(page.text.split()), "copies": 1,
                "snapshots": 1, "signals": {schemas.REPLACED: 0.0},
            }
            for n, page in enumerate(part.pages)
        ]  # fmt: skip
        for start in range(0, len(rows), BATCH):
            batch = pa.RecordBatch.from_pylist(rows[start : start + BATCH], SCHEMA)
            yield Output(batch, None, {"in": batch.num_rows, "rejected": 0})


def passages(texts: Sequence[str]) -> Iterator[str]:
    """Consecutive passages of the texts."""
    draw = random.Random("passages")
    for text in texts:
        words = text.split()
        start = 0
        while len(words) - start >= WORDS[0]:
            size = draw.randint(*WORDS)
            yield " ".join(words[start : start + size])
            start += size


def snapshot_pages(pool: Sequence[str], number: int, documents: int, stable: float) -> list[MadePage]:
    draw = random.Random(f"snapshot {number}")
    found = []
    for at in draw.sample(range(len(pool)), round(documents * stable)):
        words = pool[at].split()
        if draw.random() < 1 / 3:
            for n in draw.sample(range(len(words)), max(1, round(len(words) * draw.uniform(0.002, 0.03)))):
                words[n] = f"changed{draw.randrange(10**6)}"
        found.append(MadePage(f"stable-{at}-{number}", " ".join(words)))
    for n in range(documents - len(found)):
        words = draw.choice(pool).split()
        draw.shuffle(words)
        found.append(MadePage(f"new-{number}-{n}", " ".join(words)))
    # some pages are captured twice
    found += [MadePage(f"{page.ident}-again", page.text) for page in found[:: round(1 / TWICE)]]
    draw.shuffle(found)
    return found


def written(pages: Sequence[MadePage], number: int, folder: Path, engine: LocalEngine) -> Dataset:
    name = f"snapshot-{number + 1}"
    cut = tuple(tuple(pages[start : start + PART]) for start in range(0, len(pages), PART))
    header = Header(Kind.DOCUMENTS, "made", RecipeRef("made", "0" * 64), {}, (InputRef("made", name),))
    return engine.map_shards(WritePages(name), [Pages(cut, name)], folder / name, header)


def stable_share(dataset: Dataset) -> float:
    """Of the tokens."""
    tokens = {True: 0, False: 0}
    for batch in dataset.batches(["id", "token_count"]):
        for ident, count in zip(batch["id"].to_pylist(), batch["token_count"].to_pylist(), strict=True):
            tokens[ident.startswith("stable")] += count
    return tokens[True] / max(1, sum(tokens.values()))


def run(args: argparse.Namespace) -> dict[str, Any]:
    pool = [*islice(passages(read_texts(args.texts)), args.documents)]
    with tempfile.TemporaryDirectory() as where, LocalEngine() as engine:
        folder = Path(where)
        datasets = [
            written(snapshot_pages(pool, number, min(args.documents, len(pool)), args.stable), number, folder, engine)
            for number in range(args.snapshots)
        ]
        warm = written(snapshot_pages(pool, -1, 64, args.stable), -1, folder, engine)
        add_snapshot(folder / "warm", warm, engine)  # compiles
        found = {policy: of_policy(policy, datasets, folder / policy, engine) for policy in POLICIES}
        for dataset in reversed(datasets):
            add_snapshot(folder / "reverse", dataset, engine)
        groups = [
            [
                shard.sha256
                for shard in make_groups(
                    read_index(path), path.with_name(f"{path.name}-groups"), engine
                ).manifest.shards
            ]
            for path in (folder / "older/index", folder / "reverse")
        ]
        merged = merge_all(read_index(folder / "older/index"), engine)
        sizes = report_of(merged)
        shingles = shingles_of(merged)
    first, *_, last = (row["cpu_seconds"] for row in found["older"])
    same = groups[0] == groups[1]
    return {
        "policies": found, "same_groups": same, "last_to_first": round(last / first, 2), "bytes": sizes["bytes"],
        "bytes_a_document": sizes["bytes_a_document"], "shingles_a_document": shingles, "passed": same,
    }  # fmt: skip


def of_policy(policy: Policy, datasets: Sequence[Dataset], folder: Path, engine: LocalEngine) -> list[dict[str, Any]]:
    rows = []
    for number, dataset in enumerate(datasets):
        wall, cpu = time.perf_counter(), time.process_time()
        out = folder / f"out-{number}"
        added = add_snapshot(folder / "index", dataset, engine, choice=Keeping(policy), out=out)
        seconds = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        assert added.out is not None
        row = report_of(added.index)["snapshots"][-1]
        share = {"stable": round(stable_share(dataset), 3), "stable_kept": round(stable_share(added.out), 3)}
        rows.append({**row, **share, **{name: round(value, 2) for name, value in seconds.items()}})
    return rows


def shingles_of(index: Index) -> float:
    """The mean number of a document's shingles."""
    total = rows = 0
    for run in index.runs:
        if run.kind == "contents":
            for batch in index.dataset(run).batches(["shingles"]):
                total, rows = total + len(batch["shingles"].values), rows + batch.num_rows
    return round(total / max(1, rows), 1)


def show(found: dict[str, Any]) -> Iterator[str]:
    columns = (
        "documents",
        "within",
        "older",
        "few_copies",
        "kept",
        "yield",
        "kept_tokens",
        "stable",
        "stable_kept",
        "cpu_seconds",
    )
    for policy, rows in found["policies"].items():
        yield f"policy {policy}"
        yield from markdown(
            ("snapshot", *columns), ([row["snapshot"], *(row[name] for name in columns)] for row in rows)
        )
        yield ""
    yield f"groups in another order: {'the same' if found['same_groups'] else 'DIFFERENT'}"
    yield f"CPU seconds of the last add over those of the first: {found['last_to_first']}"
    sizes = ", ".join(f"{name} {size:,}" for name, size in found["bytes"].items())
    mean = f"{found['bytes_a_document']} a document of {found['shingles_a_document']} shingles"
    yield f"bytes of the merged index: {sizes}; {mean}"
