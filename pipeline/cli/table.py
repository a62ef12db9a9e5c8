"""Every command, with the first line of its help. The module of a command is imported when it is called, not before.

A new command is a function in a module beside this one and a row here.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

from pipeline.cli.command import Command, Commands

# command: (module below `pipeline.cli`, and the function or group in it; the first line of its help)
COMMANDS = {
    "run": ("stages:run", "Run every stage of a recipe."),
    "ingest": ("stages:ingest", "Index the pages of archives."),
    "extract": ("stages:extract", "Extract the text of records in a sandbox."),
    "filter": ("stages:filter", "Filter documents by labels, rules and edits."),
    "dedup": ("stages:dedup", "Remove copies over the whole pool."),
    "mix": ("stages:mix", "Draw a balanced mixture of documents."),
    "tokenize": ("stages:tokenize", "Write documents as shards of tokens."),
    "compare": ("stages:compare", "Run several recipes on the same input and compare them."),
    "estimate": ("stages:estimate", "Estimate time, memory, disk and result of a run."),
    "join": ("join:join", "Join runs of one recipe over other files to one run."),
    "submit": ("submit:submit_app", "Hand a command to a Ray cluster."),
    "export": ("results:export", "Write the documents of a run as JSONL, Parquet or text."),
    "rejects": ("results:rejects", "Show what was rejected, and by which rules."),
    "measure": ("revise:measure", "Measure every signal of every document."),
    "readmit": ("revise:readmit", "Run rejected records through another recipe."),
    "takedown": ("revise:takedown", "Make a run's datasets again without listed documents."),
    "calibrate": ("calibrate:calibrate", "Find the threshold that keeps a given share of a pool."),
    "explain": ("inspect:explain", "Show what every step of a run did with some documents."),
    "verify": ("inspect:verify", "Check every file of a dataset against its manifest."),
    "status": ("inspect:status", "Show how far a run or a training is."),
    "report": ("inspect:report", "Write one HTML file about runs and trainings."),
    "plan-training": ("train:plan_training", "Show what a training takes, before it is run."),
    "train": ("train:train", "Train a trunk on a tokens dataset, or resume it."),
    "freeze": ("train:freeze", "Copy a run's latest checkpoint to a read-only folder."),
    "branch": ("branch:branch_app", "Train branches of a frozen trunk, and compare them."),
    "evaluate": ("evaluate:evaluate", "Measure bits per byte by domain or distribution."),
    "calibrate-experts": ("train:calibrate_experts", "Find the policy of a mean number of experts."),
    "audit": ("audit:audit", "Prove what a run was trained on, and when."),
    "scaling": ("scaling:scaling_app", "Predict the loss of larger models."),
    "plan-data": ("plan_data:plan_data", "Say how strict to be, and how often to repeat a pool."),
    "generate": ("train:generate", "Generate text from a checkpoint."),
    "export-model": ("train:export_model", "Write a checkpoint for transformers or DCP."),
    "recipes": ("inspect:recipes_app", "List, show, check and compare recipes."),
    "index": ("index:index_app", "Find duplicates across snapshots, by an index."),
    "snapshots": ("snapshots:snapshots_app", "Find the crawls of Common Crawl and their files."),
    "fit": ("fit:fit_app", "Fit models on texts."),
}


def load(name: str) -> Any:
    """The command, or group of commands, of a row: with all of its help and options."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(f"pipeline.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name, cls=Command)(found)
    return typer.main.get_command(alone)


class TableOfCommands(Commands):
    """Has a name and a line for each command, which is what `--help` and a shell's completion show of it, and loads the
    one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=about) for name, (_, about) in COMMANDS.items()}

    def command_called(self, name: str) -> Any:
        return load(name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, found, rest = super().resolve_command(ctx, args)
        return name, load(name) if found and name else None, rest
