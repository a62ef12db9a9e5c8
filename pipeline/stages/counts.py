"""What became of everything that came into a run or a stage: kept, rejected, or removed as a copy."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.dataset.manifest import Manifest

EMPTY_FILES = "files/empty"
_SKIPPED, _OTHER_TYPES = "skipped/", "skipped/type/"

# The rules of a deduplication: a copy was removed in favour of a survivor. The step rejects by this rule alone. The
# last two are those of an index: the survivor is in the same snapshot, or in an older one.
COPY, WITHIN, OLDER = "copy_", "within_", "older_"
COPIES = (COPY, WITHIN, OLDER)


def run_counts(manifests: Sequence[Manifest]) -> dict[str, int]:
    """{in, kept, rejected, duplicates, skipped} over the stages of a run: in = kept + rejected + duplicates.

    `in`: pages (a damaged range of an archive counts as one) or documents. `skipped`: records that are none, such as
    requests; they are not in `in`.
    """
    stages = [stage_counts(manifest) for manifest in manifests]
    return {
        "in": stages[0]["in"],
        "kept": stages[-1]["kept"],
        **{name: sum(stage[name] for stage in stages) for name in ("rejected", "duplicates", "skipped")},
    }


def stage_counts(manifest: Manifest) -> dict[str, Any]:
    """{stage, in, kept, rejected, duplicates, skipped, rejected_by} of one stage: in = kept + rejected + duplicates.

    `rejected_by`: documents by "step/rule", the most first; one document may have failed several rules of a step.
    """
    counts = manifest.counts
    skipped = sum(number for name, number in counts.items() if name.startswith(_SKIPPED))
    duplicates = sum(number for rule, number in manifest.rejected_by.items() if is_copy(rule))
    rejected = counts.get("rejected", 0)
    return {
        "stage": manifest.stage,
        "in": counts.get("in", counts["out"] + rejected + skipped) - skipped,
        "kept": counts["out"],
        "rejected": rejected - duplicates,
        "duplicates": duplicates,
        "skipped": skipped,
        "rejected_by": most_first(manifest.rejected_by),
    }


def is_copy(rule: str) -> bool:
    """Whether a rule, as "step/rule", is that of a deduplication."""
    return rule.rpartition("/")[2].startswith(COPIES)


def most_first(numbers: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(numbers.items(), key=lambda item: (-item[1], item[0])))


def kept_text(counts: Mapping[str, int]) -> str:
    """`kept 3 documents of 300 (1.0%)`."""
    share = f" ({counts['kept'] / counts['in']:.1%})" if counts["in"] else ""
    what = "document" if counts["kept"] == 1 else "documents"
    return f"kept {counts['kept']:,} {what} of {counts['in']:,}{share}"


def ingest_notes(manifest: Manifest) -> list[str]:
    """What an ingest passed over, and is in no ledger, as lines: files of no bytes, and responses that are no pages;
    not requests and other types of record."""
    counts = manifest.counts
    kinds = {name: n for name, n in counts.items() if name.startswith(_SKIPPED) and not name.startswith(_OTHER_TYPES)}
    notes = []
    if empty := counts.get(EMPTY_FILES, 0):
        notes.append(f"{empty:,} {'file has' if empty == 1 else 'files have'} no bytes: perhaps a download failed")
    if total := sum(kinds.values()):
        listed = ", ".join(f"{name.removeprefix(_SKIPPED)} {number:,}" for name, number in most_first(kinds).items())
        notes.append(f"{total:,} {'record is no page' if total == 1 else 'records are no pages'}: {listed}")
    return [f"{manifest.stage}: {note}" for note in notes]
