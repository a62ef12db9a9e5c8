"""The one command, `refinery`: a subcommand parses its arguments and calls one function. Heavy imports are inside."""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from infra.errors import RefineryError, UsageError
from pipeline.cli.command import PLAIN
from pipeline.cli.console import say, tell
from pipeline.cli.table import TableOfCommands

INTERRUPTED = 130
OURS = "refinery"  # the run of ranks that `train --workers` starts (`trainer/parallel/launch.py`)
GO_ON = "stopped; what is finished is kept: run the same command again to go on"


app = typer.Typer(cls=TableOfCommands, **PLAIN)


def show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

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


def say_stopped() -> None:
    """A rank that is stopped while it starts, as another found a mistake, says nothing: what started it does."""
    if os.environ.get("TORCHELASTIC_RUN_ID") != OURS and os.environ.get("LOCAL_RANK", "0") == "0":
        say(f"refinery: {GO_ON}")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 1 failed or damaged, 2 wrong arguments or input."""
    # Before numpy is loaded, for all processes that are started: the scorers' small products take many times as long
    # where several threads share them, and the cores are the workers'.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what is temporary is removed
    try:
        result: Any = app(args=None if argv is None else list(argv), prog_name="refinery", standalone_mode=False)
        if result == INTERRUPTED:  # Typer's own handling of Ctrl-C
            say_stopped()
        sys.exit(result if isinstance(result, int) else 0)
    except RefineryError as error:
        # Ranks of one machine read the same files, so a mistake is told by one of them.
        if not isinstance(error, UsageError) or os.environ.get("LOCAL_RANK", "0") == "0":
            say(f"refinery: {' '.join(str(error).splitlines())}")  # a name may have line ends in it
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        say_stopped()
        sys.exit(INTERRUPTED)
    except typer.TyperException as error:
        message = error.format_message() if isinstance(error, typer.BadParameter.__base__ or ()) else str(error)
        say(f"refinery: {message} (try --help)")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except RuntimeError as error:
        # An interrupt in the midst of threading's own locks: what is then released is not held.
        cause: BaseException | None = error
        while isinstance(cause, RuntimeError):
            cause = cause.__context__
        if not isinstance(cause, KeyboardInterrupt):
            raise
        say_stopped()
        sys.exit(INTERRUPTED)
