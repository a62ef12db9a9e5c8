"""The audit sample: estimates the share of good pages that the prefilter loses, on pages that it could not reject;
and, where the sample went through a baseline recipe, how much of what that keeps is kept here.

An extract stage with `audit = 0.01` passes that share of its pages, chosen by a hash of their key, through every rule
of its prefilter, and records how many of the rules each page failed. Sampled pages that the whole recipe keeps at the
end are good pages; the share of these that the prefilter would have rejected is its false reject rate. `run`, `compare`
and `report` all use this module.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset
from infra.dataset.schema import signal_names
from pipeline.job.baseline import baseline_of, strictness
from pipeline.job.intervals import wilson
from pipeline.steps.signals import AUDIT_SIGNALS


def audit_sample(datasets: Sequence[Dataset]) -> dict[str, Any] | None:
    """Computes the false reject rate from the datasets of a recipe's stages, in order; None without an audit sample.

    {"sampled": documents of the sample that were extracted, "kept": those that are in the last dataset of documents,
    "prefilter_rejected": those of the kept that failed a rule of the prefilter, "share": prefilter_rejected / kept
    (None if nothing was kept), "interval": the share's 95 % interval (Wilson), None likewise}.
    """
    documents = [dataset for dataset in datasets if dataset.kind is Kind.DOCUMENTS]
    first = next((dataset for dataset in documents if _has_audit(dataset)), None)
    if first is None:
        return None
    last = documents[-1]
    sampled, _ = _count(first)
    kept, lost = _count(last) if _has_audit(last) else (0, 0)
    share = round(lost / kept, 6) if kept else None
    interval = wilson(lost, kept) if kept else None
    return {"sampled": sampled, "kept": kept, "prefilter_rejected": lost, "share": share, "interval": interval}


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


def _count(dataset: Dataset) -> tuple[int, int]:
    """(documents of the sample, those of them that failed the prefilter)."""
    sampled = lost = 0
    for part in dataset.parts():
        for batch in part.batches([f"signals.{name}" for name in AUDIT_SIGNALS]):
            sampled_flags, rejected = (pc.struct_field(batch["signals"], name) for name in AUDIT_SIGNALS)
            chosen = pc.fill_null(pc.greater(sampled_flags, 0), False)
            sampled += chosen.true_count
            lost += pc.and_(chosen, pc.fill_null(pc.greater(rejected, 0), False)).true_count
    return sampled, lost


def audit_text(found: Mapping[str, Any]) -> str:
    """Formats the result as one line."""
    if not found["kept"]:
        return f"audit sample: none of its {found['sampled']:,} documents was kept: no false reject rate"
    low, high = found["interval"]
    return (
        f"audit sample: the prefilter would have rejected {found['prefilter_rejected']:,} of the {found['kept']:,} "
        f"documents that were kept: {found['share']:.1%} (95 % interval {low:.1%} to {high:.1%})"
    )
