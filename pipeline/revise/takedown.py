"""`takedown`: makes the datasets of a run again without some documents, and proves that they are gone.

Nothing is extracted or judged again. Every dataset below the run's folder is rewritten into a new folder without the
rows of the listed documents (`takedown_apply.py`), then searched (`takedown_proof.py`); the new folder's
`takedown.json` is the receipt. The old folder is not changed: the user replaces it by the new one.

Effects of the documents on others are not undone: copies that were removed in their favour (listed in the receipt, so
that `readmit` can bring them back), lines that `paragraphs` removed from others, thresholds of a pool, the plan of a
mixture.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.dataset.claim import check_place, claim
from infra.dataset.manifest import MANIFEST, RUN, Header, InputRef, Kind, Manifest
from infra.dataset.reader import Dataset
from infra.dataset.receipts import WORK
from infra.engines.engine import Engine
from infra.errors import UsageError, WorkError
from infra.hashing import readable_json
from infra.storage import read_json, readable, remove_folder, write_bytes, write_last
from pipeline.revise.listed import Listed
from pipeline.revise.takedown_apply import SURVIVOR, Gone, Key, WithLedger, carry_over, keys_where, redacted, task_for
from pipeline.revise.takedown_proof import Removed, joined, runs_of, search
from pipeline.stages.final import clear_final, datasets_below, link_final
from pipeline.stages.run import FROZEN
from pipeline.stages.tokenize import MODEL, TABLE
from pipeline.text_table import table

FORMAT = "refinery.takedown/1"
RECEIPT = "takedown.json"
# The most documents, copies and entries listed in the receipt; all are counted.
MAX_NAMED = 1000
# The most unmatched entries shown on the terminal.
MAX_SHOWN = 20
COLUMNS = ["url", "id", "file_path", "warc_offset"]


@dataclass(frozen=True)
class ListedRows:
    """The listed documents of one dataset: keys of its rows and of its ledger rows."""

    rows: frozenset[Key]
    ledger: frozenset[Key]


def takedown(listed: Listed, run: Path, out: Path, engine: Engine) -> dict[str, Any]:
    """Makes everything below `run` again in `out` without the listed documents; returns the receipt.

    Raises UsageError if there is no finished dataset, or one of `out` and `run` is inside the other; WorkError if the
    search finds a listed document, which would be a bug.
    """
    check_folders(run, out)
    datasets = in_order(run)
    found, removed = find_all(datasets, listed)
    came = frozenset(key for each in found.values() for key in each.rows)
    copies = restorable(datasets, listed, removed.gone)
    inputs = [ref.sha256 for dataset in datasets.values() for ref in dataset.refs]
    arguments = {"command": "takedown", "list": listed.sha256, "inputs": inputs}
    started = time.time()
    if "." in datasets:  # the rewrite of that dataset claims the folder itself, maybe after those in it
        head = header_of(datasets["."].manifest, listed, ()).as_dict()
        check_place(out, {name: value for name, value in head.items() if name != "inputs"})
    holder: AbstractContextManager[object] = nullcontext() if "." in datasets else claim(out, arguments)
    with holder:
        if (run / FROZEN).is_file():
            clear_final(out)
        made = rewrite(datasets, found, listed, removed, out, engine)
        receipt = {
            "format": FORMAT,
            "list": {
                "sha256": listed.sha256,
                "entries": len(listed),
                "matched": len(removed.entries),
                "unmatched": sorted(listed.entries() - removed.entries)[:MAX_NAMED],
            },
            "documents": len(came),
            "rejected": len(removed.keys - came),
            "datasets": [changes(name, datasets[name], made[name], found[name]) for name in datasets],
            "restorable": {"count": len(copies), "copies": copies[:MAX_NAMED]},
            "proof": prove(made, listed, removed, engine, out / WORK / "takedown"),
        }
        write_bytes(out / RECEIPT, readable_json(receipt))
        if (run / FROZEN).is_file():
            write_bytes(out / FROZEN, (run / FROZEN).read_bytes())
            account = redacted(read_json(run / RUN) or {}, listed)
            link_final(out, str(account["last"]))
            write_last(out / RUN, readable_json({**account, "takedown_seconds": round(time.time() - started, 3)}))
        remove_folder(out / WORK / "takedown")
    return receipt


def check_folders(run: Path, out: Path) -> None:
    here, there = run.resolve(), out.resolve()
    if here == there or here.is_relative_to(there) or there.is_relative_to(here):
        raise UsageError(f"--out {out} is inside --run {run} or contains it: choose a new folder beside it")
    if (run / FROZEN).is_file() and "last" not in (read_json(run / RUN) or {}):
        raise UsageError(f"{run} is not finished: run the same `refinery run` command again")


def in_order(run: Path) -> dict[str, Dataset]:
    """Every finished dataset below `run` by its relative path, each after its inputs."""
    names = [folder.relative_to(run).as_posix() for folder in datasets_below(run)]
    found = {
        name: Dataset(run / name) for name in names if name == "." or not any(p[0] == "." for p in name.split("/"))
    }
    if not found:
        raise UsageError(f"--run {run} contains no finished dataset")
    by_sha = {dataset.refs[0].sha256: name for name, dataset in found.items()}
    ordered: dict[str, Dataset] = {}

    def visit(name: str) -> None:
        if name not in ordered:
            for ref in found[name].manifest.inputs:
                if ref.sha256 in by_sha:
                    visit(by_sha[ref.sha256])
            ordered[name] = found[name]

    for name in found:
        visit(name)
    return ordered


def find_all(datasets: Mapping[str, Dataset], listed: Listed) -> tuple[dict[str, ListedRows], Removed]:
    """Finds the listed documents of each dataset; and, over all, their keys, ids, and the word n-grams of their
    texts."""
    found: dict[str, ListedRows] = {}
    entries: set[str] = set()
    ids: set[str] = set()
    runs = []

    def note(table: pa.Table | pa.RecordBatch) -> set[Key]:
        pairs = zip(table["url"].to_pylist(), table["id"].to_pylist(), strict=True)
        named = [list(listed.matching(url, ident)) for url, ident in pairs]
        entries.update(entry for several in named for entry in several)
        hit = [bool(several) for several in named]
        ids.update(ident for ident, yes in zip(table["id"].to_pylist(), hit, strict=True) if yes and ident)
        return set(keys_where(table, hit))

    for name, dataset in datasets.items():
        rows: set[Key] = set()
        ledger: set[Key] = set()
        if dataset.kind is Kind.TOKENS:
            rows = note(pq.read_table(readable(dataset.folder / TABLE), columns=COLUMNS))
        elif dataset.kind in (Kind.RECORDS, Kind.DOCUMENTS):
            for part in dataset.parts():
                here = {key for batch in part.batches(COLUMNS) for key in note(batch)}
                if here and dataset.kind is Kind.DOCUMENTS:
                    texts = (b.filter(pa.array(listed.rows(b))) for b in part.batches([*COLUMNS, "text"]))
                    runs += [runs_of(text or "") for batch in texts for text in batch["text"].to_pylist()]
                rows |= here
        for part in dataset.ledger_parts():
            ledger |= {key for batch in part.batches(COLUMNS) for key in note(batch)}
        found[name] = ListedRows(frozenset(rows), frozenset(ledger))
    keys = frozenset(key for each in found.values() for key in each.rows | each.ledger)
    return found, Removed(frozenset(entries), keys, frozenset(ids), joined(runs))


def restorable(datasets: Mapping[str, Dataset], listed: Listed, gone: Gone) -> list[dict[str, Any]]:
    """Copies that were removed in favour of a document that is now taken down, and could come back in its place."""
    found = []
    columns = [*COLUMNS, "step", "rule", "similarity", *SURVIVOR]
    for name, dataset in datasets.items():
        for part in dataset.ledger_parts():
            for batch in part.batches(columns):
                mine = [row for row in batch.to_pylist() if gone.is_survivor_of(row, listed)]
                for row in mine:
                    for column in SURVIVOR:
                        del row[column]
                found += [
                    {"dataset": name, "rule": f"{row.pop('step')}/{row.pop('rule')}", **row}
                    for row in mine
                    if listed.entry(row["url"], row["id"]) is None
                ]
    return found


def rewrite(
    datasets: Mapping[str, Dataset],
    found: Mapping[str, ListedRows],
    listed: Listed,
    removed: Removed,
    out: Path,
    engine: Engine,
) -> dict[str, Dataset]:
    """The new datasets; their manifests refer to the new inputs."""
    made: dict[str, Dataset] = {}
    refs: dict[str, InputRef] = {}
    rows = {dataset.refs[0].sha256: found[name].rows for name, dataset in datasets.items()}
    for name, dataset in datasets.items():
        old = dataset.manifest
        before = frozenset(key for ref in old.inputs for key in rows.get(ref.sha256, ()))
        header = header_of(old, listed, tuple(refs.get(ref.sha256, ref) for ref in old.inputs))
        task = task_for(dataset, listed, before, removed.gone)
        extras = carry_over(old, listed, dataset.folder / MODEL)
        made[name] = engine.map_shards(task, [WithLedger(dataset)], out / name, header, extras)
        refs[dataset.refs[0].sha256] = made[name].refs[0]
    return made


def header_of(old: Manifest, listed: Listed, inputs: tuple[InputRef, ...]) -> Header:
    params = {**old.params, "takedown": [*old.params.get("takedown", []), listed.sha256]}
    return Header(old.kind, old.stage, old.recipe, params, inputs)


def changes(name: str, old: Dataset, new: Dataset, found: ListedRows) -> dict[str, Any]:
    """The changes to one dataset, with the sha256 of each shard before and after."""
    after = {file.path: file.sha256 for file in new.manifest.all_files()}
    before = {file.path: file.sha256 for file in old.manifest.all_files()}
    return {
        "folder": name,
        "stage": old.manifest.stage,
        "kind": old.kind.value,
        "removed": len(found.rows),
        "removed_from_ledger": len(found.ledger),
        "before": old.manifest.counts["out"],
        "after": new.manifest.counts["out"],
        "manifest": {"before": old.refs[0].sha256, "after": new.refs[0].sha256},
        "shards": {path: {"before": before.get(path), "after": after.get(path)} for path in sorted({*before, *after})},
    }


def prove(made: Mapping[str, Dataset], listed: Listed, removed: Removed, engine: Engine, work: Path) -> dict[str, Any]:
    """Searches every new dataset. Raises WorkError if a listed document is still there."""
    searches: list[dict[str, Any]] = []
    sharing: list[dict[str, Any]] = []
    for number, (name, dataset) in enumerate(made.items()):
        faults = dataset.verify()
        searched = search(engine, dataset, listed, removed, f"search-{number}", work / f"{number:03d}")
        counts = {key.removeprefix("search/"): n for key, n in searched.manifest.counts.items() if "/" in key}
        body = read_json(dataset.folder / MANIFEST)
        strings = redacted(body, listed) != body
        if counts["listed"] or strings or faults:
            what = f"{counts['listed']} rows found" if counts["listed"] else (faults or ["its manifest names one"])[0]
            raise WorkError(f"takedown: {dataset.folder} is not clean ({what}): do not use it")
        searches.append({"folder": name, **counts, "sharing": searched.manifest.counts["out"]})
        sharing += [{"dataset": name, **row} for row in searched.to_arrow().to_pylist()]
    sharing.sort(key=lambda row: (-row["share"], row["dataset"], row["file_path"], row["warc_offset"]))
    return {
        "listed": 0,
        "datasets": searches,
        "runs_of_words": int(removed.runs.size),
        "same_words": {"count": len(sharing), "documents": sharing[:MAX_NAMED]},
    }


def unmatched_text(receipt: Mapping[str, Any]) -> str:
    """A warning with the entries that matched no document; empty if all matched."""
    named = receipt["list"]
    left = named["entries"] - named["matched"]
    if not left:
        return ""
    shown = ", ".join(named["unmatched"][:MAX_SHOWN])
    more = f" and {left - MAX_SHOWN} more (see list.unmatched in the receipt)" if left > MAX_SHOWN else ""
    return f"these entries matched no document; check their spelling against the run's: {shown}{more}"


def takedown_text(receipt: Mapping[str, Any], out: Path) -> str:
    """Formats the receipt for the terminal."""
    rows: Sequence[dict[str, Any]] = receipt["datasets"]
    named = receipt["list"]
    lines = [
        table(list(rows), ["folder", "kind", "before", "removed", "after", "removed_from_ledger"]),
        f"{receipt['documents']:,} documents taken down; {named['matched']:,} of {named['entries']:,} entries matched",
        f"searched again: no listed document is left; receipt: {out / RECEIPT}",
    ]
    if receipt["rejected"]:
        lines.append(f"{receipt['rejected']:,} more had been rejected before any dataset: gone from the ledgers")
    words, copies = receipt["proof"]["same_words"]["count"], receipt["restorable"]["count"]
    if words:
        lines.append(f"{words:,} rows of other documents share 13-word runs with them: see same_words in the receipt")
    if copies:
        lines.append(f"{copies:,} copies had been removed in favour of these documents: see restorable in the receipt")
    return "\n".join(lines)
