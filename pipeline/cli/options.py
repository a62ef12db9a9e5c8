"""What the verbs that work on data share: their options, how they open an engine, and what they say of damage."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from infra.dataset.manifest import Manifest
from infra.engines.engine import Engine
from infra.engines.open import open_engine
from pipeline.cli.console import Bar, quiet_stdout, say

RecipeName = Annotated[str, typer.Option("--recipe", help="A shipped recipe by name, or a .toml file.")]
InputWords = Annotated[
    list[str],
    typer.Option("--input", help="Files, folders or patterns: WARC, WET, ARC, Parquet, JSONL, or a dataset's folder."),
]
Out = Annotated[Path, typer.Option("--out", help="The folder to make.")]
EngineName = Annotated[str, typer.Option("--engine", help="local, ray or beam.")]
Workers = Annotated[int, typer.Option("--workers", help="Processes at once; the result does not depend on it.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N pages or documents.")]
Models = Annotated[
    str | None, typer.Option("--models", help="The model folder (else REFINERY_MODELS, else the user's cache).")
]
StageName = Annotated[
    str | None, typer.Option("--stage", help="Which stage, where the recipe has several of this verb.")
]
SourceRoot = Annotated[Path | None, typer.Option("--source", help="Where the archives lie, if they have moved.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


@contextmanager
def opened(engine: str, workers: int, json: bool) -> Iterator[Engine]:
    """The engine by its name, with a progress bar; with `json`, stdout stays clean for the one document."""
    with quiet_stdout(json), Bar() as progress, open_engine(engine, workers, progress) as made:
        yield made


def report_damage(manifests: Sequence[Manifest]) -> None:
    """Exit code 1 where input was damaged: the work is done, and what could not be read is in the ledger."""
    found = {
        rule: number
        for manifest in manifests
        for rule, number in manifest.rejected_by.items()
        if rule.startswith(("ingest/damage/", "read/"))
    }
    if found:
        say(
            "damaged input, accounted for in the ledger: "
            + ", ".join(f"{rule} {n}" for rule, n in sorted(found.items()))
        )
        raise typer.Exit(1)
