"""`join`: runs made apart become one."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import say, tell
from pipeline.cli.options import EngineName, Json, Models, Out, Source, Workers
from pipeline.cli.stages import FUNNEL
from pipeline.cli.work import opened, report_damage
from pipeline.text_table import table


def join(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="The folders of two finished runs or more.")],
    out: Out,
    source: Source = None,
    engine: EngineName = "local",
    workers: Workers = None,
    models: Models = None,
    json: Json = False,
) -> None:
    """Join runs of one recipe over other files to one run.

    What looks at one page at a time is linked; what looks at the whole pool (copies, percentiles, the draw) is made
    again. The result is that of one run over all the files.

    Example: refinery join monday tuesday --out both
    """
    from pipeline.stages.counts import kept_text
    from pipeline.stages.join import join as join_runs

    with opened(engine, workers, json) as made:
        finished = join_runs(runs, out, made, models, source)
        summary = finished.summary()
    tell(summary if json else table(summary["funnel"], FUNNEL))
    if not json:
        say(f"{kept_text(summary['counts'])}: {summary['result']}")
    report_damage([dataset.manifest for dataset in finished.datasets])
