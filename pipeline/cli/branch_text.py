"""What `branch` prints for people, of several branches."""

from collections.abc import Mapping
from typing import Any

from pipeline.cli.train_text import TRAINED_ON, amount
from pipeline.text_table import table


def grown_text(answer: Mapping[str, Any]) -> str:
    """A row for each branch: its tokens, its last training loss, and its checkpoint."""
    rows = [
        {
            "branch": name,
            "tokens": f"{row['tokens']:,}",
            "training loss": answer["grown"][name].get("loss"),
            "checkpoint": answer["grown"][name]["checkpoint"],
        }
        for name, row in answer["branches"].items()
        if name in answer["grown"]
    ]
    return f"trunk {answer['trunk'][:12]} at step {answer['step']:,}\n" + table(rows, [*rows[0]])


def comparison_text(answer: Mapping[str, Any]) -> str:
    """A row for each branch from the best, then the cost, and what a second mark of the trunk says."""
    rows = [_row(name, answer) for name in answer["ranking"]]
    held_out = f"{answer['documents']:,} documents, {answer['held_out_tokens']:,} tokens"
    parts = [table(rows, [*rows[0]]), f"intervals of all branches together {answer['level']:.0%}; {held_out}"]
    if answer["noise_of_seeds"]:
        parts.append(f"another data seed alone changes {answer['noise_of_seeds']:.4f} bits per byte")
    parts.append(cost_text(answer["cost"]))
    if "second" in answer:
        parts.append(second_text(answer["second"]))
    if answer.get("trained_on"):
        parts.append(TRAINED_ON)
    return "\n".join(parts)


def _row(name: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    branch = answer["branches"].get(name)
    if branch is None:
        bits = answer["control"]["bits_per_byte"]
        return {"branch": name, "bits per byte": f"{bits:.4f}", "difference": None, "verdict": "the control"}
    interval = f" ({branch['low']:+.4f} to {branch['high']:+.4f})" if branch["low"] is not None else ""
    return {
        "branch": name,
        "bits per byte": f"{branch['bits_per_byte']:.4f}",
        "difference": f"{branch['difference']:+.4f}{interval}",
        "verdict": branch["verdict"] + _more_text(branch["more_held_out_tokens"]),
    }


def _more_text(tokens: int | None) -> str:
    if tokens is None:
        return "; no text would decide it"
    return f"; {amount(tokens)} more tokens would decide it" if tokens else ""


def cost_text(cost: Mapping[str, Any]) -> str:
    """What was trained, in runs, beside as many whole runs."""
    count = cost["runs_without_trunk"]
    return (
        f"cost: {amount(cost['tokens'])} tokens, {cost['runs']:.2f} runs instead of {count} "
        f"({amount(cost['tokens_without_trunk'])} tokens)"
    )


def second_text(second: Mapping[str, Any]) -> str:
    """Whether the ranking flips."""
    same = "none" if second["spearman"] is None else f"{second['spearman']:.2f}"
    flips = ", ".join(f"{a} and {b}" for a, b in second["flipped_pairs"]) or "no pair"
    best = "the same best" if second["best_agrees"] else f"another best, {second['ranking'][0]}"
    return f"from step {second['step']:,}: rank correlation {same}, {best}; flipped: {flips}"
