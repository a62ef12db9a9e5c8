"""The command `audit`, which needs no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.remote import anywhere
from pipeline.cli.console import quiet_stdout, tell
from pipeline.cli.options import Json
from pipeline.text_table import table


def audit(
    run: Annotated[Path, typer.Argument(help="The folder of a training run or branch, or a checkpoint.")],
    page: Annotated[str | None, typer.Argument(help="A URL or an id: only this page.", show_default=False)] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", help="The tokens datasets of the run. Repeat it; by default the last one."),
    ] = None,
    json: Json = False,
) -> None:
    """Prove what a run was trained on, and when.

    From the run's own record: of each source, how many documents were seen 0, 1, 2, … times, and whether any was seen
    more often than its repeats in an epoch; of a page, the steps that had it. Exit code 1 if the record does not hold.

    Example: refinery audit trunk
    """
    from trainer.data.audit import audit as audit_run

    with quiet_stdout(json):
        answer = audit_run(run, page, [anywhere(each, "--data") for each in data or ()])
    tell(answer if json else page_text(answer) if page is not None else sources_text(answer))
    if answer["faults"]:
        raise typer.Exit(1)


def sources_text(answer: Mapping[str, Any]) -> str:
    """A row for each source, and the verdict."""
    times = sorted(
        {name for source in answer["sources"] for name in source["seen"]}, key=lambda name: int(name.split()[0])
    )
    rows = [
        {
            "source": source["name"],
            "documents": source["documents"],
            "tokens": source["tokens"],
            "epochs": source["trained"] / source["tokens"] if source["tokens"] else 0.0,
            **{f"seen {name}": source["seen"].get(name, 0) for name in times},
        }
        for source in answer["sources"]
    ]
    shown = table(rows, ["source", "documents", "tokens", "epochs", *(f"seen {name}" for name in times)])
    held = f"steps 1 to {answer['parts'][-1]['last_step'] if answer['parts'] else 0}: no document was seen more often "
    return "\n".join([shown, *(answer["faults"] or [f"{held}than its repeats in an epoch of its source"])])


def steps_text(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first} to {last}"


def page_text(answer: Mapping[str, Any]) -> str:
    """A row for each copy that was trained on, and how often each document was, in all."""
    rows = [
        {**each, "steps": steps_text(each["first_step"], each["last_step"]), "data": each["data"][:12]}
        for each in answer["exposures"]
    ]
    lines = [
        f"document {each['document']} of {each['data'][:12]} (source {each['source']}, {each['tokens']:,} tokens): "
        f"trained on {each['times']:.3g} times"
        for each in answer["documents"]
    ]
    shown = [table(rows, ["data", "document", "source", "epoch", "steps", "tokens"])] if rows else []
    return "\n".join([*shown, *lines, *answer["faults"]])
