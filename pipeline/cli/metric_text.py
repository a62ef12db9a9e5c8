"""What `evaluate --grid`, `--rejects` and `--choices` print for people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.cli.train_text import amount
from pipeline.text_table import table

_CELL = "distribution"


def grid_text(answer: Mapping[str, Any]) -> str:
    """A row for each distribution, then for axes and languages; the relations; what is marked."""
    rows = [_cell(name, row, answer) for name, row in answer["cells"].items()]
    groups = [*answer["axes"].items(), *answer["languages"].items()]
    rows += [_group(name, group) for name, group in groups]
    trained = answer["training"] is not None
    columns = [_CELL, "axis", "bits per byte", "over xz", "xz", *(["distance", "in training"] if trained else [])]
    parts = [table(rows, [*columns, "documents", "bytes"]), f"intervals {answer['level']:.0%}, over documents"]
    parts += [line for name, found in answer["relations"].items() if (line := _relation(name, found))]
    if trained and answer["training"]["is_the_models"] is False:
        parts.append(
            "the checkpoint was last trained on another dataset than --training: distances are from the latter"
        )
    if answer["marked"]:
        parts.append(f"* of these the training text has documents: {', '.join(answer['marked'])}; not in the relations")
    return "\n".join(parts)


def choices_text(answer: Mapping[str, Any]) -> str:
    """A row for each task, then their mean."""
    rows = [{"task": name, **_choice_row(task)} for name, task in answer["tasks"].items()]
    if len(rows) > 1:
        rows.append({"task": f"mean of {len(rows)}", **_choice_row(answer["mean"])})
    columns = ["task", "questions", "accuracy", "normalised", "guess", "bits per byte"]
    return (
        f"{table(rows, columns)}\nintervals {answer['level']:.0%}, over questions; normalised: by bytes of the choice"
    )


def _choice_row(found: Mapping[str, Any]) -> dict[str, Any]:
    def share(name: str) -> str:
        low, high = found.get(f"{name}_interval", (None, None))
        return f"{found[name]:.3f}" if low is None else f"{found[name]:.3f} ({low:.3f} to {high:.3f})"

    return {
        "questions": found.get("questions"),
        "accuracy": share("accuracy"),
        "normalised": share("normalised"),
        "guess": f"{found['guess']:.3f}",
        "bits per byte": f"{found['bits_per_byte']:.3f}",
    }


def _cell(name: str, row: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    contaminated = row["contaminated"]
    return {
        _CELL: f"{name} *" if name in answer["marked"] else name,
        "axis": f"{row['axis']} {row['language']}",
        "bits per byte": with_interval(row),
        "over xz": f"{row['over_xz']:.3f}",
        "xz": f"{row['xz']:.3f}",
        "distance": None if row["distance"] is None else f"{row['distance']:+.3f}",
        "in training": None if contaminated is None else f"{contaminated:.1%}",
        "documents": row["documents"],
        "bytes": row["bytes"],
    }


def _group(name: str, group: Mapping[str, Any]) -> dict[str, Any]:
    return {
        _CELL: f"mean of {group['cells']}: {name}",
        "bits per byte": with_interval(group),
        "over xz": f"{group['over_xz']:.3f}",
    }


def with_interval(row: Mapping[str, Any]) -> str:
    value = f"{row['bits_per_byte']:.3f}"
    return value if row["low"] is None else f"{value} ({row['low']:.3f} to {row['high']:.3f})"


def _relation(name: str, found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    terms = "".join(
        f" {each['value']:+.3f} ({each['low']:+.3f} to {each['high']:+.3f}) x {predictor}"
        for predictor, each in found["coefficients"].items()
    )
    ranks = "" if found["spearman"] is None else f", rank correlation {found['spearman']:.2f}"
    return (
        f"{name}: {found['intercept']:.3f}{terms}; R2 {found['r2']:.2f}{ranks}; one left out "
        f"{found['error']:.3f} off, by the mean {found['error_of_mean']:.3f}"
    )


def rejects_text(answer: Mapping[str, Any], run: Path) -> str:
    """What was kept, then a row for each rule, those that would bring most first."""
    kept = answer["kept"]
    rows = [{"rule": "kept", "bits per byte": with_interval(kept), "xz": f"{kept['xz']:.3f}"}]
    rows += [_rule(row) for row in answer["rules"]]
    columns = ["rule", "documents", "texts", "bits per byte", "xz", "below", "like kept", "above", "would bring"]
    low, high = kept["range"]
    like = f"like kept: {low:.3f} to {high:.3f} bits per byte, where nine in ten kept documents are"
    size = f"the first {answer['document_bytes']:,} bytes of each are measured"
    parts = [table(rows, columns), f"{like}; {size}; a document that failed several rules is in each"]
    parts += [f"texts are missing: {fault}" for fault in answer["missing"]]
    best = next((row for row in answer["rules"] if row["readmit"] and row["readmit"]["documents"]), None)
    if best is not None:
        parts.append(f"to readmit: refinery readmit --ledger {run} --rule {best['rule']} --recipe RECIPE --out OUT")
    return "\n".join(parts)


def _rule(row: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"rule": row["rule"], "documents": row["documents"], "texts": row["texts"]}
    if row["bits_per_byte"] is None:
        return {**shown, "would bring": "no text"}
    brought = row["readmit"]
    return {
        **shown,
        "bits per byte": with_interval(row),
        "xz": f"{row['xz']:.3f}",
        **{name.replace("_", " "): f"{row[name]:.0%}" for name in ("below", "like_kept", "above")},
        "would bring": "copies"
        if brought is None
        else f"{brought['documents']:,} documents, {amount(brought['tokens'])} tokens",
    }
