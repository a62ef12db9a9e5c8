"""The one command, `refinery`: each verb parses its words and calls one function. Heavy imports are inside."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from infra.errors import RefineryError, UsageError
from pipeline.console import say

# Options that take several values in a row, as a shell's expanded pattern gives them.
MANY = (
    "--input",
    "--recipe",
    "--positive",
    "--negative",
    "--signals",
    "--signal",
    "--rule",
    "--reference",
    "--rising",
    "--falling",
)

# Options whose value is a text.
MAY_BE_EMPTY = ("--prompt",)

INTERRUPTED = 130
GO_ON = "stopped; what is finished is kept: run the same command again to go on"


class Words(TyperCommand):
    """Lets the options in MANY take several values: `--input a b c` is `--input a --input b --input c`; and refuses an
    empty word, which as a path would be the folder that the command is started in."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words = spread(args, self._repeated())
        for word in empty(words):
            if word not in MAY_BE_EMPTY:
                raise UsageError(f"{word} is empty: give it a value, or leave it out")
        return super().parse_args(ctx, words)

    def _repeated(self) -> set[str]:
        return {name for p in self.params if getattr(p, "multiple", False) for name in p.opts if name in MANY}


def empty(words: Sequence[str]) -> Iterator[str]:
    """The options that are given nothing: `--out ""`, `--out=`."""
    for word, after in zip(words, [*words[1:], None]):
        if word.startswith("--") and (word.endswith("=") or after == ""):
            yield word.removesuffix("=")


def spread(args: Sequence[str], repeated: set[str]) -> list[str]:
    """Repeat an option's name before each of the values that follow it."""
    out: list[str] = []
    option: str | None = None
    for arg in args:
        if arg.startswith("-") and arg != "-":
            option = arg if arg in repeated else None
            out.append(arg)
        elif option is not None and out[-1] != option:
            out += [option, arg]
        else:
            out.append(arg)
    return out


class Verbs(TyperGroup):
    """Keeps the verbs in the order in which they are declared: the order of the work."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(self.commands)


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Common Crawl to a strict, balanced, fully accounted corpus, and a model trained on it.\n\n"
    "Example: refinery run --recipe yi --input page.warc.gz --out out",
)


def load_verbs() -> None:
    from pipeline import cli_again, cli_calibrate, cli_data, cli_fit, cli_look, cli_train

    for module in (cli_data, cli_again, cli_calibrate, cli_look, cli_fit, cli_train):
        module.add_to(app)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 1 failed or damaged, 2 wrong words or input."""
    load_verbs()
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
