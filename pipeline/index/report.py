"""`index report`: the marginal yield of each snapshot: what it added to what was there before."""

from collections.abc import Mapping
from typing import Any

from pipeline.index.decisions import FEW
from pipeline.index.manifest import KINDS, TAKEN, TAKEN_KEPT, TAKEN_TOKENS, Index, reading
from pipeline.text_table import table

COLUMNS = (
    "snapshot", "policy", "documents", "within", "older", "kept", "yield", "tokens", "kept_tokens", "all_kept",
    "all_tokens",
)  # fmt: skip


def report_of(index: Index) -> dict[str, Any]:
    """Of each snapshot, in the order of adding: documents; duplicates within it and of older ones; what was kept, as
    documents, share and tokens, without those that were taken down since; the sums up to it. And what the index takes
    on disk. UsageError if a run is missing."""
    with reading(index):
        for run in index.runs:
            index.dataset(run)
    rows: list[dict[str, Any]] = []
    kept = tokens = 0
    for snapshot in index.snapshots:
        counts = snapshot.counts
        own = counts["kept"] - counts.get(TAKEN_KEPT, 0)
        own_tokens = counts["kept_tokens"] - counts.get(TAKEN_TOKENS, 0)
        kept, tokens = kept + own, tokens + own_tokens
        rows.append(
            {
                "snapshot": snapshot.name,
                "policy": f"copies {snapshot.copies}" if snapshot.policy == "copies" else snapshot.policy,
                "documents": counts["documents"],
                "contents": counts["contents"],
                "within": _sum(counts, "within_"),
                "older": _sum(counts, "older_"),
                FEW: counts.get(FEW, 0),
                TAKEN: counts.get(TAKEN, 0),
                "kept": own,
                "yield": round(own / counts["documents"], 4) if counts["documents"] else 0.0,
                "tokens": counts["tokens"],
                "kept_tokens": own_tokens,
                "all_kept": kept,
                "all_tokens": tokens,
            }
        )
    sizes = {kind: sum(run.bytes for run in index.runs if run.kind == kind) for kind in KINDS}
    documents = sum(row["documents"] for row in rows)
    return {
        "snapshots": rows,
        "bytes": sizes,
        "bytes_a_document": round(sum(sizes.values()) / documents, 1) if documents else 0.0,
        "runs": len(index.runs),
    }


def _sum(counts: Mapping[str, int], beginning: str) -> int:
    return sum(number for name, number in counts.items() if name.startswith(beginning))


def report_text(report: Mapping[str, Any]) -> str:
    if not report["snapshots"]:
        return "no snapshot"
    columns = [*COLUMNS]
    for name in (FEW, TAKEN):  # what there seldom is
        if any(row[name] for row in report["snapshots"]):
            columns.insert(columns.index("kept"), name)
    sizes = ", ".join(f"{kind} {size:,}" for kind, size in report["bytes"].items())
    return f"{table(report['snapshots'], columns)}\n\nbytes: {sizes}; {report['bytes_a_document']} a document"
