"""The one command, `refinery`: a subcommand parses its arguments and calls one function. Heavy imports are inside."""

import contextlib
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from infra.errors import RefineryError
from pipeline.cli import calibrate, fit, inspect, join, results, revise, snapshots, stages, train
from pipeline.cli.command import Commands
from pipeline.cli.console import say, tell

INTERRUPTED = 130
GO_ON = "stopped; what is finished is kept: run the same command again to go on"


app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

for group in (stages, join, results, revise, calibrate, inspect, snapshots, fit, train):
    group.add_to(app)


def show_version(wanted: bool) -> None:
    from importlib.metadata import version

    if wanted:
        tell(f"refinery {version('refinery')}")
        raise typer.Exit


@app.callback()
def refinery(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Common Crawl to a strict, balanced, fully accounted corpus, and a model trained on it.

    Example: refinery run --recipe english --input crawl/*.warc.gz --out out
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 1 failed or damaged, 2 wrong arguments or input."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what is temporary is removed
    try:
        result: Any = app(args=None if argv is None else list(argv), prog_name="refinery", standalone_mode=False)
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
