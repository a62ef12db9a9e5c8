"""`rejects`: what the rules of a finished run rejected: how much each, and a sample of its documents with their texts.

The sample is drawn by a hash of each document's key, so that it is the same on every call, engine and machine, and
spread over the rule's values: those just beyond the threshold, those far from it, and those between.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.explain.finished import FinishedRun, read_run
from pipeline.explain.lookup import Key, Survivors, key_of, rows_of
from pipeline.explain.sources import StageTexts, origin_of
from pipeline.inputs.places import Where
from pipeline.recipes.recipe import Stage
from pipeline.stages.counts import is_copy, run_counts

# The rows of a rule among which a sample is drawn: all of them, or those with the smallest hashes.
MAX_CANDIDATES = 20_000
MAX_NEAR = 3
COLUMNS = (
    "id", "url", "file_path", "warc_offset", "step", "rule", "value", "threshold", "survivor", "similarity",
    "survivor_path", "survivor_offset", "via", "measure", "bands",
)  # fmt: skip


@dataclass(frozen=True)
class RejectSampling:
    """n: the most documents. seed: another gives other documents. near: those nearest to the threshold."""

    n: int = 50
    seed: int = 0
    near: bool = False


def rules_of(run: Path, stage: str | None = None) -> list[dict[str, Any]]:
    """The rules that rejected something, those of most documents first: {stage, rule, documents, share}.

    `share`: of everything that came into the run. A document that failed several rules of a step counts for each.
    """
    folder = read_run(run)
    came_in = run_counts([folder.dataset(each).manifest for each in finished(folder)])["in"]
    rows = [
        {"stage": each.name, "rule": rule, "documents": number, "share": number / came_in if came_in else 0.0}
        for each in chosen_stages(folder, stage)
        for rule, number in folder.dataset(each).manifest.rejected_by.items()
    ]
    return sorted(rows, key=lambda row: (-row["documents"], row["stage"], row["rule"]))


def rejects(
    run: Path,
    rule: str,
    stage: str | None = None,
    sampling: RejectSampling | None = None,
    source: Where | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Documents that the rule `STEP/RULE` rejected, nearest to its threshold first; and why texts are missing, if any.

    Each is {stage, rule, value, threshold, url, id, file_path, warc_offset, also, survivor, survivor_url, similarity,
    via, measure, bands, evidence, text}. `also`: the other rules of the step that it failed. `survivor`: of a copy; it
    was similar to the document `via`, where this is not None. `text`: what the stage read; None if it cannot be had, as
    of a damaged range.

    source: the folder that the archives or files have moved to, or the dataset from which the run began.
    """
    folder, sampling = read_run(run), sampling or RejectSampling()
    if sampling.n < 1:
        raise UsageError(f"n is {sampling.n}; give at least 1")
    stages = stages_with(folder, rule, stage)
    chosen = sample(candidates(folder, stages, rule, sampling), rule, sampling)
    texts = StageTexts(folder, origin_of(source))
    found: dict[tuple[str, Key], dict[str, Any]] = {}
    faults: dict[str, None] = {}
    for each in stages:
        lines = [line for line in chosen if line["stage"] == each.name]
        had, why = texts.of(each, lines)
        faults |= dict.fromkeys(why)
        found |= {(each.name, key_of(row)): row for row in described(folder.dataset(each), lines, had)}
    return [found[line["stage"], key_of(line)] for line in chosen], list(faults)


def finished(folder: FinishedRun) -> Sequence[Stage]:
    if not folder.stages:
        raise UsageError(f"{folder.folder} has no finished stage: run the same `refinery run` command again")
    return folder.stages


def chosen_stages(folder: FinishedRun, name: str | None) -> Sequence[Stage]:
    """All stages, or the one of this name."""
    stages = finished(folder)
    if name is None:
        return stages
    chosen = [stage for stage in stages if name == stage.name]
    if not chosen:
        raise UsageError(f"no stage {name!r} in {folder.folder}: there are {', '.join(each.name for each in stages)}")
    return chosen


def stages_with(folder: FinishedRun, rule: str, stage: str | None) -> list[Stage]:
    """The stages in which this rule rejected something. UsageError, with the nearest names, if there is none."""
    stages = chosen_stages(folder, stage)
    there = [(each, folder.dataset(each).manifest.rejected_by) for each in stages]
    found = [each for each, rules in there if rule in rules]
    if not found:
        raise UsageError(no_such_rule(rule, sorted({name for _, rules in there for name in rules})))
    return found


def no_such_rule(rule: str, there: Sequence[str]) -> str:
    if not there:
        return f"nothing was rejected by {rule!r}, nor by any other rule here"
    inside = [name for name in there if rule in name.split("/")]
    near = inside or get_close_matches(rule, there, MAX_NEAR)
    hint = f"did you mean {' or '.join(near[:MAX_NEAR])}? " if near else ""
    return f"nothing was rejected by {rule!r}: {hint}Rules that rejected something: {', '.join(there)}"


def candidates(folder: FinishedRun, stages: Sequence[Stage], rule: str, sampling: RejectSampling) -> pa.Table:
    """Ledger rows of the rule, with `stage`, `hash` and `gap`, the distance of the value from the threshold: those with
    the smallest hashes, or the smallest gaps."""
    most = max(MAX_CANDIDATES, sampling.n)
    order = ("gap", "hash") if sampling.near else ("hash",)
    kept: list[pa.Table] = []
    for stage in stages:
        for part in folder.dataset(stage).ledger_parts():
            kept.append(_marked(part.table(list(COLUMNS)), stage.name, rule, sampling.seed))
            if sum(each.num_rows for each in kept) > 2 * most:
                kept = [ordered(pa.concat_tables(kept), *order).slice(0, most)]
    return ordered(pa.concat_tables(kept), *order).slice(0, most)


def _marked(ledger: pa.Table, stage: str, rule: str, seed: int) -> pa.Table:
    names = pc.binary_join_element_wise(ledger["step"], ledger["rule"], "/")
    known = pc.is_valid(ledger["file_path"])  # of what was taken down nothing is known
    lines = ledger.filter(pc.and_(pc.equal(names, rule), known))
    gap = pc.abs(pc.subtract(lines["value"], pc.fill_null(lines["threshold"], 0.0)))
    keys = zip(lines["file_path"].to_pylist(), lines["warc_offset"].to_pylist(), strict=True)
    hashes = [xxhash.xxh3_64_intdigest(f"{seed}:{name}:{offset}".encode("utf-8", "replace")) for name, offset in keys]
    columns = {
        "stage": pa.array([stage] * lines.num_rows, pa.string()),
        "hash": pa.array(hashes, pa.uint64()),
        "gap": gap,
    }
    for name, column in columns.items():
        lines = lines.append_column(name, column)
    return lines


def ordered(lines: pa.Table, *names: str) -> pa.Table:
    """Sorted by these columns; nulls at the end."""
    return lines.take(pc.sort_indices(lines, [(name, "ascending") for name in names]))


def sample(lines: pa.Table, rule: str, sampling: RejectSampling) -> list[dict[str, Any]]:
    """n of the candidates, the nearest to the threshold first: the n nearest, or of n equal ranges of their order the
    one with the smallest hash."""
    if sampling.near and not lines["threshold"].null_count < lines.num_rows:
        raise UsageError(f"{rule} has no threshold to be near to: leave out --near")
    rows: list[dict[str, Any]] = ordered(lines, "gap", "hash").to_pylist()
    if sampling.near or len(rows) <= sampling.n:
        return rows[: sampling.n]
    edges = [number * len(rows) // sampling.n for number in range(sampling.n + 1)]
    return [min(rows[low:high], key=lambda row: row["hash"]) for low, high in pairwise(edges)]


def described(
    dataset: Dataset, lines: Sequence[Mapping[str, Any]], texts: Mapping[Key, str]
) -> Iterator[dict[str, Any]]:
    """The documents of these ledger rows, with the other rules that they failed, and the survivor of a copy."""
    also: dict[Key, list[dict[str, Any]]] = {}
    columns = ["step", "rule", "value", "threshold"]
    for row in rows_of(dataset.ledger_parts(), {key_of(line) for line in lines}, columns):
        entry = {"rule": f"{row['step']}/{row['rule']}", "value": row["value"], "threshold": row["threshold"]}
        also.setdefault(key_of(row), []).append(entry)
    survivors = Survivors(dataset.parts(), [line for line in lines if is_copy(line["rule"])], ["id", "url"])
    for line in lines:
        key, name, copy = key_of(line), f"{line['step']}/{line['rule']}", is_copy(line["rule"])
        yield {
            "stage": line["stage"],
            "rule": name,
            "value": line["value"],
            "threshold": line["threshold"],
            **{column: line[column] for column in ("url", "id", "file_path", "warc_offset")},
            "also": [entry for entry in also[key] if entry["rule"] != name],
            "survivor": line["survivor"] if copy else None,
            "survivor_url": (survivors.of(line) or {}).get("url") if copy else None,
            **{column: line[column] for column in ("similarity", "via", "measure", "bands")},
            "evidence": None if copy else line["survivor"],
            "text": texts.get(key),
        }
