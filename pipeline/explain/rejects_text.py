"""Formats rejected documents, and the rules that rejected them, for a terminal of a given width."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.text_lines import excerpt, fitted, number, printable
from pipeline.text_table import table

EXCERPT = 300


def rules_text(rows: Sequence[Mapping[str, Any]], width: int) -> str:
    """A line a rule."""
    if not rows:
        return "nothing was rejected"
    shown = [{**row, "share": f"{row['share']:.1%}".rjust(6)} for row in rows]
    return fitted(table(shown, ["documents", "share", "stage", "rule"], width), width)


def rejects_text(rows: Sequence[Mapping[str, Any]], documents: int, full: bool, width: int) -> str:
    """A paragraph a document. `documents`: how many the rule rejected in all."""
    of = f"all {documents:,}" if len(rows) == documents else f"{len(rows):,} of {documents:,}"
    head = f"{of} documents that {rows[0]['rule']} rejected" if rows else "no document can be shown"
    parts = [head, *("\n".join(_lines(row, full)) for row in rows)]
    return fitted("\n\n".join(parts), width)


def _lines(row: Mapping[str, Any], full: bool) -> Iterator[str]:
    yield printable(row["url"] or f"{row['file_path']} at {row['warc_offset']}")
    yield f"  {row['rule']}: {against(row)}"
    for other in row["also"]:
        yield f"  {other['rule']}: {against(other)}"
    if row["survivor"]:
        yield f"  copy of {printable(row['survivor_url'] or row['survivor'])}"
        if row["via"]:
            yield f"  similar to {printable(row['via'])}, which is a copy of it too"
    if row["evidence"]:
        yield f"  found: {printable(row['evidence'])}"
    if row["id"]:
        yield f"  id {printable(row['id'])}"
    text = row["text"]
    if text is None:
        yield "  (no text)"
    elif full:
        yield from (f"  {printable(line)}" for line in text.split("\n"))
    else:
        yield f"  {len(text):,} characters: {printable(excerpt(text, EXCERPT))}"


def against(row: Mapping[str, Any]) -> str:
    """The value beside its threshold."""
    value = "no value" if row["value"] is None else number(row["value"])
    return value if row["threshold"] is None else f"{value} (threshold {number(row['threshold'])})"
