"""Formats an explanation for the terminal: a line a step, and below it an edit's changes or a combination's terms."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.text_lines import excerpt, fitted, number, printable

MAX_TEXT = 200
MAX_LINES = 6
MAX_CHARS = 100


def explain_text(result: Mapping[str, Any], width: int | None = None) -> str:
    """`width`: of the terminal, in which every line is to fit."""
    state = result["state"] + (f" by {', '.join(result['rejected_by'])}" if result["rejected_by"] else "")
    if result["audit_sample"]:
        state += " (in the audit sample: no prefilter rejects it)"
    language = f", {result['language']}" if result["language"] else ""
    lines = [
        f"{result['url'] or result['id']}",
        f"  {result['file_path']} at {result['warc_offset']}{language}: {state}",
    ]
    stage = None
    for step in result["steps"]:
        if step.get("stage") != stage:
            stage = step.get("stage")
            lines.append(f"  {stage}")
        lines += [f"    {line}" for line in step_lines(step)]
    lines += [f"  {line}" for copy in result["duplicates"] for line in copy_lines(copy)]
    for name in ("text_before", "text_after"):
        text = result[name]
        lines.append(f"  {name}: {len(text):,} characters: {excerpt(text, MAX_TEXT)}")
    lines = [printable(line) for line in lines]
    return "\n".join(lines if width is None else (fitted(line, width) for line in lines))


def step_lines(step: Mapping[str, Any]) -> Iterator[str]:
    mark = "ok  " if step["passed"] else "pass" if step.get("let_through") else "FAIL"
    bound = "" if step["threshold"] is None else f"  (threshold {_number(step['threshold'])})"
    engine = f" by {step['engine']}, {step['charset']}" if step.get("engine") else ""
    yield f"{mark} {step['step']}/{step['rule']}: {_number(step['value'])}{bound}{engine}"
    if step.get("let_through"):
        yield "       let through: the page is in the audit sample"
    if step.get("evidence"):
        yield f"       {step['evidence']}"
    if step.get("group"):
        group = step["group"]
        yield f"       of {group['docs']} documents of {group['group'] or 'no language'!r}, {group['kept']} kept"
    if step.get("cluster"):
        cluster = step["cluster"]
        yield f"       cluster {cluster['cluster']} of {cluster['docs']} documents: {cluster['terms']}"
    for name, add in step.get("assumed", {}).items():
        yield f"       {add:+.4f} at most for {name}, not measured yet"
    yield from combine_lines(step)
    yield from change_lines(step.get("changes"))


def combine_lines(step: Mapping[str, Any]) -> Iterator[str]:
    """The terms of a combination, the largest first."""
    if "terms" not in step:
        return
    yield f"       {step['intercept']:+.4f} intercept"
    for name, add in sorted(step["terms"].items(), key=lambda item: (-abs(item[1]), item[0])):
        value = step["values"].get(name)
        yield f"       {add:+.4f} for {name} {'not measured' if value is None else _number(value)}"
    if "before" in step:
        yield f"       the {step['of_two']} of this and the earlier value, {_number(step['before'])}"


def change_lines(changes: Mapping[str, Any] | None) -> Iterator[str]:
    if not changes or not changes["lines"]:
        return
    yield f"       {changes['removed']} lines removed, {changes['added']} added"
    for line in changes["lines"][:MAX_LINES]:
        yield f"       {line[:MAX_CHARS]}{' ...' if len(line) > MAX_CHARS else ''}"


def copy_lines(copy: Mapping[str, Any]) -> Iterator[str]:
    similarity = "" if copy["similarity"] is None else f" ({similarity_text(copy)})"
    if copy.get("removed"):
        yield f"survivor of {copy['url'] or copy['removed']}{similarity}, {copy['step']}/{copy['rule']}"
        return
    yield f"copy of {copy['url'] or copy['survivor']}{similarity}, {copy['step']}/{copy['rule']}"
    if copy["shingles"]:
        found = copy["shingles"]
        of = f"of {found['mine']} here and {found['theirs']} there"
        yield f"  {found['shared']} runs of {found['words']} words shared, {of}"
    if copy["line"]:
        yield f"  common line: {excerpt(copy['line'], MAX_CHARS)}"


def similarity_text(copy: Mapping[str, Any]) -> str:
    """`similarity 1`, `jaccard .87, 9 bands shared`, `jaccard .87 to <id>`: to the survivor where no other document is
    named."""
    to = f" to {copy['via']}" if copy["via"] else ""
    shared = copy["bands"]
    bands = "" if shared is None else f", {shared} band{'' if shared == 1 else 's'} shared"
    return f"{copy['measure'] or 'similarity'} {_number(copy['similarity'])}{to}{bands}"


def _number(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    if value is None:
        return "no value"
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
