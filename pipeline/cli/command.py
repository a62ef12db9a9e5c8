"""How a command's arguments are read (options that take several values, and empty ones refused) and its help shown."""

import inspect
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from infra.errors import UsageError
from infra.remote import check_local, is_in_store, is_remote_input
from infra.storage import check_bucket_named, place

# Options that take several values in a row, as a shell's expanded pattern gives them.
MANY = (
    "--input", "--recipe", "--positive", "--negative", "--signals", "--signal", "--rule", "--reference", "--rising",
    "--falling",
    "--constant",
    "--judged",
    "--columns",
    "--only",
    "--snapshot",
    "--segment",
    "--gpus",
    "--fit",
    "--runs",
    "--run",
    "--seen",
    "--at",
    "--shares",
    "--where",
)  # fmt: skip

# Options whose value is a text.
MAY_BE_EMPTY = ("--prompt", "--separator")

# Options and arguments that are no `Path` but may name a file or a folder.
PLACES = ("input", "models", "recipe", "config", "cache", "first", "second")

# What may stand before a path: `--out=`, `KIND=`.
_NAMED = re.compile(r"^(?:-*[\w-]+=)+")

# Commands, and options of all commands, whose files are opened on this machine alone.
ON_THIS_MACHINE = (
    "train", "freeze", "branch", "evaluate", "generate", "audit", "calibrate-experts", "export-model", "plan-training",
    "plan-data", "cache", "runtime_env",
)  # fmt: skip
# But for the tokens that these read.
TOKENS_ANYWHERE = ("train", "branch", "evaluate", "audit", "calibrate-experts")

# The last paragraph of a command's help.
EXAMPLE = "\n\nExample: "


class WithExample:
    """Shows the example of a command's help in lines that a shell takes as they are, where other text is wrapped."""

    help: str | None

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (click's signature)
        about, _, example = inspect.cleandoc(self.help or "").partition(EXAMPLE)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(about)
            formatter.write_paragraph()
            formatter.write_text("Example:")
            with formatter.indentation():
                indent = " " * formatter.current_indent
                for line in shell_lines(" ".join(example.split()), formatter.width - len(indent)):
                    formatter.write(f"{indent}{line}\n")


def shell_lines(command: str, width: int) -> list[str]:
    """The command in lines of at most `width` characters, as far as its options allow: each line ends before an option,
    in the backslash with which a shell continues it."""
    first, *options = re.split(" (?=--)", command)
    lines = [first]
    for option in options:
        if len(f"{lines[-1]} {option} \\") <= width:
            lines[-1] += f" {option}"
        else:
            lines.append(f"  {option}")
    return [*(f"{line} \\" for line in lines[:-1]), lines[-1]]


class WithArguments:
    """Lets the options in MANY take several values: `--input a b c` is `--input a --input b --input c`; and refuses an
    empty value, which as a path would be the folder that the command is started in, and an address in place of a path.
    What follows `--` are options of the engine: they are put behind its name, as `open_engine` takes them.
    """

    name: str | None
    params: list[Any]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta["given"] = [*args]
        args, engine_options = parted(args) if self._has("engine") else (args, [])
        arguments = spread(args, self._repeated())
        for option in empty(arguments):
            if option not in MAY_BE_EMPTY:
                raise UsageError(f"{option} is empty: give it a value, or leave it out")
        for before, word in zip(["", *arguments], arguments):  # before they are paths, which have no empty parts
            if "//" in word and before not in MAY_BE_EMPTY:
                check_bucket_named(_NAMED.sub("", word))
        rest: list[str] = super().parse_args(ctx, arguments)  # type: ignore[misc]
        for parameter in self.params:
            name, given = str(parameter.name), ctx.params.get(parameter.name)
            command = {self.name, ctx.parent.info_name if ctx.parent else None}
            here = bool(command & {*ON_THIS_MACHINE}) or name in ON_THIS_MACHINE
            here = here and not (name == "data" and command & {*TOKENS_ANYWHERE})
            for value in places(name, given):
                text = str(value)
                if not ((name == "input" and is_remote_input(text)) or (not here and is_in_store(text))):
                    check_local(value, parameter.opts[0], made=name == "out")
            if not here:
                ctx.params[name] = opened_at(given)
        if engine_options:
            ctx.params["engine"] = f"{ctx.params['engine']} {shlex.join(engine_options)}"
        return rest

    def _has(self, name: str) -> bool:
        return any(parameter.name == name for parameter in self.params)

    def _repeated(self) -> set[str]:
        return {name for p in self.params if getattr(p, "multiple", False) for name in p.opts if name in MANY}


class Command(WithExample, WithArguments, TyperCommand):
    """A command with its arguments."""


def parted(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is before the first `--`, and what is behind it."""
    at = [*args, "--"].index("--")
    return [*args[:at]], [*args[at + 1 :]]


def places(name: str, value: Any) -> Iterator[Any]:
    """The paths of files and folders that a parameter of this name is given."""
    for each in value if isinstance(value, list | tuple) else [value]:
        if isinstance(each, Path) or (name in PLACES and each is not None):
            yield each


def opened_at(given: Any) -> Any:
    """The value of a parameter, with paths of objects where it has paths that are addresses of an object store."""
    if isinstance(given, list | tuple):
        return [opened_at(each) for each in given]
    return place(given) if isinstance(given, Path) else given


def empty(arguments: Sequence[str]) -> Iterator[str]:
    """The options that are given nothing: `--out ""`, `--out=`."""
    for argument, after in zip(arguments, [*arguments[1:], None]):
        if argument.startswith("--") and (argument.endswith("=") or after == ""):
            yield argument.removesuffix("=")


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


class Commands(WithExample, TyperGroup):
    """Lists the commands in the order in which they are declared: the order of the work."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(self.commands)

    def command_called(self, name: str) -> Any:
        """The command of this name, with its options."""
        return self.commands[name]


class CommandWithOthers(WithArguments, Commands):
    """A command that has its own arguments, and others below it."""


# How every group is made: Typer's own formats and tracebacks are not used.
PLAIN: dict[str, Any] = {"no_args_is_help": True, "pretty_exceptions_enable": False, "rich_markup_mode": None}


def group(about: str) -> typer.Typer:
    """Commands below a command; `about` is its help."""
    return typer.Typer(cls=Commands, help=about, add_completion=False, **PLAIN)


def command_with_others() -> typer.Typer:
    """A command, the callback, and commands below it."""
    return typer.Typer(cls=CommandWithOthers, invoke_without_command=True, add_completion=False, **PLAIN)
