"""Formats a comparison for the terminal: funnels, ratios, overlap, recall of gold pages, audit sample, cost."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.compare.gold import shares
from pipeline.stages.audit import audit_text, strictness_text
from pipeline.text_table import table

TOP_RULES = 3
TOP_GROUPS = 12


def compare_text(answer: Mapping[str, Any]) -> str:
    parts = [
        f"{name}\n" + table(recipe["funnel"], ["stage", "step", "docs", "chars", "tokens"])
        for name, recipe in answer["recipes"].items()
    ]
    parts += ["what a recipe keeps of what another keeps\n" + tabled(ratio_rows(answer["ratio"]))]
    parts += ["what a recipe keeps that another rejects\n" + tabled(overlap_rows(answer["overlap"]))]
    if "gold" in answer:
        parts.append(
            f"share kept of pages with a true text of {answer['gold']['long_words']} words or more, and of the rest\n"
            + tabled(gold_rows(answer["gold"]))
        )
    parts += [f"{name}, {audit_text(r['audit'])}" for name, r in answer["recipes"].items() if r["audit"]]
    parts += [f"{name}, {strictness_text(r['strictness'])}" for name, r in answer["recipes"].items() if r["strictness"]]
    parts += [f"{name}, {note}" for name, r in answer["recipes"].items() for note in r["pool_notes"]]
    if "cost" in answer:
        rows = [{"recipe": name, **numbers} for name, numbers in answer["cost"]["recipes"].items()]
        parts.append("cost; stages that recipes share are counted to each\n" + tabled(rows))
    return "\n\n".join(parts)


def tabled(rows: list[dict[str, Any]]) -> str:
    return table(rows, list(rows[0]) if rows else [])


def ratio_rows(ratio: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All languages of each pair, then each large language."""
    return [
        {
            "recipe": name,
            "of": other,
            "language": language,
            "docs": numbers["docs"],
            "95 % of docs": between(numbers["docs_interval"]),
            "tokens": numbers["tokens"],
            "95 % of tokens": between(numbers["tokens_interval"]),
        }
        for name, others in ratio.items()
        for other, whole in others.items()
        for language, numbers in [("all", whole), *whole["by_language"].items()]
    ]


def overlap_rows(overlap: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"recipe": name, "and": other, "both": pair["both"], "only the first": pair["only"],
         "rejected by": counted(pair["steps"]), "most by": counted(pair["rejected_by"])}
        for name, others in overlap.items()
        for other, pair in others.items()
    ]  # fmt: skip


def counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in list(counts.items())[:TOP_RULES])


def gold_rows(gold: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The largest groups of each kind; all of them are in the JSON and in the report."""
    of_kind: dict[str, list[Mapping[str, Any]]] = {}
    for row in gold["rows"]:
        of_kind.setdefault(row["by"], []).append(row)
    return [
        {"by": row["by"], "group": row["group"], "long": row["pages"]["long"],
         "rest": row["pages"]["short"] + row["pages"]["no_gold"], **dict(_shares(row))}
        for rows in of_kind.values()
        for row in rows[:TOP_GROUPS]
    ]  # fmt: skip


def _shares(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for recipe in row["kept"]:
        for name, share in zip(("long", "rest"), shares(row, recipe), strict=True):
            yield f"{recipe}: {name}", "" if share is None else f"{share:.1%}"


def between(interval: list[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
