"""The one command, `refinery`: each verb parses its words and calls one function. Heavy imports are inside."""

import sys
from collections.abc import Sequence
from typing import Any

import typer

from infra.errors import RefineryError
from pipeline.cli import calibrate, fit, inspect, revise, stages, train
from pipeline.cli.command import Verbs
from pipeline.cli.console import say

INTERRUPTED = 130
GO_ON = "stopped; what is finished is kept: run the same command again to go on"


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Common Crawl to a strict, balanced, fully accounted corpus, and a model trained on it.\n\n"
    "Example: refinery run --recipe yi --input page.warc.gz --out out",
)


for group in (stages, revise, calibrate, inspect, fit, train):
    group.add_to(app)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 1 failed or damaged, 2 wrong words or input."""
    try:
        result: Any = app(args=None if argv is None else list(argv), standalone_mode=False)
        if result == INTERRUPTED:  # Typer's own handling of Ctrl-C
            say(f"refinery: {GO_ON}")
        sys.exit(result if isinstance(result, int) else 0)
    except RefineryError as error:
        say(f"refinery: {' '.join(str(error).splitlines())}")  # a name may have line ends in it
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        say(f"refinery: {GO_ON}")
        sys.exit(INTERRUPTED)
    except typer.TyperException as error:
        message = error.format_message() if isinstance(error, typer.BadParameter.__base__ or ()) else str(error)
        say(f"refinery: {message} (try --help)")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
