"""The audit sample: estimates the share of good pages that the prefilter loses, on pages that it could not reject;
and, where the sample went through a baseline recipe, how much of what that keeps is kept here.

An extract stage with `audit = 0.01` passes that share of its pages, chosen by a hash of their key, through every rule
of its prefilter, and records how many of the rules each page failed, and how many pages it stands for. Those that the
whole recipe keeps at the end although they failed stand for what the prefilter lost; the pages that it let through are
all there. `run`, `compare` and `report` all use this module.
"""

from collections.abc import Mapping, Sequence
from math import fsum
from typing import Any, NamedTuple

import pyarrow.compute as pc

from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset
from infra.dataset.schema import signal_names
from pipeline.job.baseline import baseline_of, strictness
from pipeline.job.intervals import DIGITS, wilson
from pipeline.steps.signals import AUDIT_SIGNALS


def audit_sample(datasets: Sequence[Dataset]) -> dict[str, Any] | None:
    """Computes the false reject rate from the datasets of a recipe's stages, in order; None without an audit sample.

    {"sampled": documents of the sample that were extracted, "kept": documents in the last dataset of documents,
    "prefilter_rejected": those of the kept that failed a rule of the prefilter, "lost": how many these stand for,
    "share": lost / (lost + the other kept ones) (None if nothing was kept, or sampled), "interval": the share's 95 %
    interval (Wilson), None likewise}. The interval has as many trials as documents over the pages that one of the
    sample stands for.
    """
    documents = [dataset for dataset in datasets if dataset.kind is Kind.DOCUMENTS]
    first = next((dataset for dataset in documents if _has_audit(dataset)), None)
    if first is None:
        return None
    last = documents[-1]
    extracted, found = _count(first), _count(last) if _has_audit(last) else Failed()
    kept = found.rows
    lost = round(found.stands, DIGITS)
    all_kept = kept - found.failed + lost
    share = round(lost / all_kept, DIGITS) if kept and extracted.sampled else None
    # a page that is lost stands for so many; where none is, one that could be
    each = found if found.failed else extracted
    trials = all_kept / (each.squares / each.stands if each.failed else 1.0)
    interval = wilson(lost / all_kept * trials, trials) if kept and extracted.sampled else None
    return {
        "sampled": extracted.sampled, "kept": kept, "prefilter_rejected": found.failed, "lost": lost, "share": share,
        "interval": interval,
    }  # fmt: skip


def strictness_of(datasets: Sequence[Dataset]) -> dict[str, Any] | None:
    """What the last dataset of documents holds of what the baseline would keep (`pipeline/job/baseline.py`); None where
    no baseline is known.

    {"of": the recipe, "docs" and "tokens": {"share", "interval": 95 %, None where it has no end}, "sampled", "pages"}.
    """
    documents = [dataset for dataset in datasets if dataset.kind is Kind.DOCUMENTS]
    baseline = baseline_of(documents[-1]) if documents else None
    if baseline is None:
        return None
    sums = documents[-1].manifest.shards.sums
    return strictness(sums.rows, sums.tokens, baseline)


def pool_notes(datasets: Sequence[Dataset]) -> list[str]:
    """Why steps over the whole pool did not decide by this pool, as `STEP: NOTE`: too few documents, say, so that the
    bounds of the recipe took the place of the pool's own. Empty where all did."""
    pools = [dataset.manifest.extra.get("pool") for dataset in datasets]
    return [f"{pool['step']}: {pool['note']}" for pool in pools if isinstance(pool, Mapping) and pool.get("note")]


def strictness_text(found: Mapping[str, Any]) -> str:
    """Formats the result as one line."""
    parts = [f"{_share(found[unit])} of the {name}" for unit, name in (("docs", "documents"), ("tokens", "tokens"))]
    sample = f"{found['sampled']:,} of {found['pages']:,} pages"
    return f"strictness: {' and '.join(parts)} that {found['of']}'s rules would keep (estimated on {sample})"


def _share(found: Mapping[str, Any]) -> str:
    if found["share"] is None:
        return "an unknown share"
    low, high = found["interval"]
    return f"{found['share']:.4f} (95 % interval {low:.4f} to {'?' if high is None else format(high, '.4f')})"


def _has_audit(dataset: Dataset) -> bool:
    return {*AUDIT_SIGNALS} <= {*signal_names(dataset.schema)}


class Failed(NamedTuple):
    """`rows` of a dataset, the `sampled` ones among them, and of these the `failed` ones: those that failed the
    prefilter. `stands`: how many pages the failed ones stand for; `squares`: the sum of the squares of that."""

    rows: int = 0
    sampled: int = 0
    failed: int = 0
    stands: float = 0.0
    squares: float = 0.0


def _count(dataset: Dataset) -> Failed:
    rows = sampled = failed = 0
    weights: list[float] = []
    for part in dataset.parts():
        for batch in part.batches([f"signals.{name}" for name in AUDIT_SIGNALS]):
            weight, rejected = (pc.fill_null(pc.struct_field(batch["signals"], name), 0) for name in AUDIT_SIGNALS)
            chosen = pc.greater(weight, 0)
            lost = pc.and_(chosen, pc.greater(rejected, 0))
            rows += batch.num_rows
            sampled += chosen.true_count
            failed += lost.true_count
            weights += weight.filter(lost).to_pylist()
    return Failed(rows, sampled, failed, fsum(weights), fsum(each * each for each in weights))


def audit_text(found: Mapping[str, Any]) -> str:
    """Formats the result as one line."""
    if not found["sampled"]:
        return "audit sample: no document is in it: no false reject rate"
    if not found["kept"]:
        return f"audit sample: none of the {found['sampled']:,} documents in it was kept: no false reject rate"
    low, high = found["interval"]
    lost = found.get("lost", found["prefilter_rejected"])
    stand = f", which stand for {lost:,.0f}" if lost != found["prefilter_rejected"] else ""
    return (
        f"audit sample: the prefilter would have rejected {found['prefilter_rejected']:,} of the {found['kept']:,} "
        f"documents that were kept{stand}: {found['share']:.1%} (95 % interval {low:.1%} to {high:.1%})"
    )
