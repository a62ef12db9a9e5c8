"""Deduplication in one table from one run: signatures, candidates, proof, components, spans, whole stages, beside bars.

    python -m benchmarks dedup_table --texts documents.jsonl.gz [--peer-python peers/bin/python] [--large]

Calls `minhash_speed`, `dedup_scale` (`--documents` and `--equal`, 300 words each, one worker, the start not counted),
`components` and `substring_speed`, one after the other, and puts what they find into one table: CPU time of one core,
beside the bars that are set. Marin reports 1,191 documents a second and vCPU for its MinHash stage and 16,900 for its
exact stage, on documents of its own, marking copies without writing texts; the bars are five times that, for the stage
up to its decisions, and the stage with the texts written stands beside it. Components are compared with the planted
ones: the chain, and each star. `--large`: a hundred million edges too.
"""

import argparse
import os
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from benchmarks import components, dedup_scale, minhash_speed, substring_speed
from benchmarks.shared import add, markdown

SIGNATURES_A_SECOND, MEGABYTES_A_SECOND, BYTES_A_DOCUMENT = 20_000, 20, 16
# Marin's whole stages, in documents a second and vCPU, and how many times that is wanted.
MARIN_NEAR, MARIN_EXACT, TIMES = 1_191, 16_900, 5
# Below so many edges what a process holds anyway is most of its memory.
MANY_EDGES = 10_000_000
LARGE = 100_000_000
WORDS = 3000
OURS: Final = "this project, fineweb 14 x 8"
# Passes of the stage: bands and their buckets; the sets of candidates, and their comparison.
CANDIDATES, PROOF = ("bands", "candidates", "wanted"), ("sets", "edges")
OF_EQUAL_SETS = ("same", "copies")


class TableRow(NamedTuple):
    """`bar`: what it is compared with, in words; `passed`: None where there is no bar."""

    what: str
    found: str
    bar: str = ""
    passed: bool | None = None


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--texts", required=True)
    add(parser, "--limit", default=2000, help="texts of each file")
    add(parser, "--repeats", default=2, help="rounds of signatures and spans")
    add(parser, "--peer-python", help="of an environment with rensa, datasketch or datatrove")
    parser.add_argument("--documents", type=int, default=100_000, help="of the whole stages")
    parser.add_argument("--edges", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--members", type=int, default=1_000_000, help="documents of one component")
    parser.add_argument("--copies", type=int, default=4, help="of the texts, in which spans are looked for")
    parser.add_argument("--large", action="store_true", help="a hundred million edges too")
    add(parser, "--out", help="a folder for documents and tables; by default one that is deleted")


def run(args: argparse.Namespace) -> dict[str, Any]:
    load = [round(os.getloadavg()[0], 1)]
    texts = ["--texts", *args.texts, "--limit", args.limit, "--repeats", args.repeats]
    peer = ["--peer-python", args.peer_python] if args.peer_python else []
    out = ["--out", args.out] if args.out else []
    stage = ["--words", WORDS, "--workers", 1, "--warm", *out]
    edges = [*args.edges, *([LARGE] if args.large else [])]
    found = {
        "signatures": asked(minhash_speed, *texts, *peer),
        "near": asked(dedup_scale, "--documents", args.documents, *stage),
        "exact": asked(dedup_scale, "--equal", args.documents, "--method", "text", *stage),
        "components": asked(components, "--edges", *edges, "--members", args.members, "--workers", 1, *out),
        "spans": asked(substring_speed, *texts, "--copies", args.copies),
    }
    load.append(round(os.getloadavg()[0], 1))
    rows = table(found)
    return {"load": load, "rows": [row._asdict() for row in rows], **found,
            "passed": all(row.passed is not False for row in rows)}  # fmt: skip


def asked(module: Any, *words: object) -> dict[str, Any]:
    """What a benchmark finds with these words."""
    parser = argparse.ArgumentParser(module.__name__)
    module.options(parser)
    found: dict[str, Any] = module.run(parser.parse_args([str(word) for word in words]))
    return found


def table(found: dict[str, dict[str, Any]]) -> list[TableRow]:
    return [
        *signatures(found["signatures"]),
        *near_copies(found["near"]),
        *whole_stage("exact copies", found["exact"], MARIN_EXACT),
        *graphs(found["components"]),
        *spans(found["spans"]),
    ]


def signatures(found: dict[str, Any]) -> Iterator[TableRow]:
    rates, times = found["per_second"], found["times_ours"]
    wanted = SIGNATURES_A_SECOND
    yield TableRow("signatures of 14 x 8", f"{rates[OURS]:,.0f} texts/s", f"{wanted:,}", rates[OURS] >= wanted)
    for name in minhash_speed.PEERS:
        if name in times:
            yield TableRow(f"the same, {name}", f"{rates[name]:,.0f} texts/s, {times[name]:.1f} times the CPU")


def near_copies(found: dict[str, Any]) -> Iterator[TableRow]:
    spent = dict.fromkeys((CANDIDATES, PROOF), 0.01)
    compared = 0
    for each in found["passes"]:
        kind, _, rest = each["pass"].partition("-")
        for names in spent:
            if kind in names and rest not in OF_EQUAL_SETS:
                spent[names] += each["cpu_seconds"]
        compared += each["rows"] if kind == "sets" and not rest.endswith("places") else 0
    yield TableRow("candidates, from bands", f"{found['documents'] / spent[CANDIDATES]:,.0f} documents/s")
    yield TableRow("proof: sets of candidates read, compared", f"{compared / spent[PROOF]:,.0f} documents/s")
    yield from whole_stage("near copies", found, MARIN_NEAR)


def whole_stage(what: str, found: dict[str, Any], marin: int) -> Iterator[TableRow]:
    decided, written, bar = found["decided_a_cpu_second"], found["a_cpu_second"], TIMES * marin
    of = f"{TIMES} x Marin's {marin:,}"
    yield TableRow(f"{what}: the stage up to decisions", f"{decided:,} documents/s", f"{of} = {bar:,}", decided >= bar)
    peak = found["peak_memory_bytes"] / 2**20
    yield TableRow(
        f"{what}: with the texts that stay written", f"{written:,} documents/s, peak {peak:,.0f} MiB",
        f"no bar of its own ({written / marin:.1f} x Marin)",
    )  # fmt: skip


def graphs(found: dict[str, Any]) -> Iterator[TableRow]:
    for row in found["rows"]:
        size = row["bytes a document"]
        said = f"{row['cpu']:.1f} CPU s, {row['documents']:,} documents, peak {row['peak'] / 2**20:,.0f} MiB"
        match row["what"]:
            case "ends":
                yield TableRow(f"documents of {row['edges']:,} edges listed", said)
            case "forest":
                many = row["edges"] >= MANY_EDGES
                bar = f"the planted ones{f', {BYTES_A_DOCUMENT} bytes a document' if many else ''}"
                right = row["right"] and (not many or size <= BYTES_A_DOCUMENT)
                told = "right" if row["right"] else "WRONG"
                yield TableRow(
                    f"components of {row['edges']:,} edges", f"{said}, {size} bytes a document; {told}", bar, right
                )
            case what:
                yield TableRow(f"{what} of {row['edges']:,} edges decided", f"{said}, {size} bytes a document")


def spans(found: dict[str, Any]) -> Iterator[TableRow]:
    for unit in ("tokens", "bytes"):
        rate = found["megabytes_a_second"][f"{unit}: stage"]
        yield TableRow(
            f"repeated spans by {unit}: the whole stage", f"{rate:,.1f} MB/s", f"{MEGABYTES_A_SECOND} MB/s",
            rate >= MEGABYTES_A_SECOND,
        )  # fmt: skip
    rate = found["megabytes_a_second"]["one suffix array"]
    yield TableRow("the same, one suffix array of everything, search alone", f"{rate:,.1f} MB/s")


def show(found: dict[str, Any]) -> Iterator[str]:
    said = {True: "passed", False: "MISSED", None: ""}
    yield from markdown(
        ("a CPU second of one core", "found", "bar", ""),
        [(row["what"], row["found"], row["bar"], said[row["passed"]]) for row in found["rows"]],
    )
    yield f"load average {found['load'][0]} at the beginning, {found['load'][1]} at the end"
