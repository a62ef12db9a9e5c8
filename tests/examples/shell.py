"""Lines of shell, typed one after another: the shell expands them, and `refinery` is called in this process."""

import contextlib
import glob
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from pipeline.cli.app import main
from pipeline.cli.command import places
from tests.files import ROOT
from tests.pipeline.command import all_commands

# Writes the words of `refinery` for us, each with a zero byte after it, and a line end after the last.
WORDS = 'refinery() { printf "%s\\0" "$@"; }; '
# What a command needs that its line does not name.
UNNAMED: dict[str, str] = {"tokenize": "models/tokenizer.model", "mix": "models/tokenizer.model"}
# Parameters that name what a command makes if it is not there.
GROWS: dict[str, str] = {"add": "index"}
# Parameters that may name what comes with the package.
SHIPPED = ("recipe", "recipes", "first", "second", "config")
# Commands and options whose answer is a file or a text of its own, in lines as long as they are.
AS_IT_IS = ("--json", "--toml", "generate", "reference", "files", "-")


class Line(NamedTuple):
    """`page`: where it stands."""

    page: str
    text: str


def logical_lines(block: str) -> list[str]:
    """The commands of a block, each with the lines that it is continued on, without empty ones and comments."""
    joined = re.sub(r"\\\n\s*", "", block)
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def shell(line: str, folder: Path, before: str = "") -> bytes:
    done = subprocess.run(["bash", "-c", before + line], cwd=folder, capture_output=True)
    assert done.returncode == 0, f"{line}\n{done.stdout.decode()}{done.stderr.decode()}"
    return done.stdout


def is_plain(line: str) -> bool:
    """Whether it is one call of `refinery`, without pipes, redirections and variables before it."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    return line.startswith("refinery ") and not any(set(word) <= set("|&;<>()") for word in words)


def expanded(line: str, folder: Path) -> list[str]:
    """The words after `refinery`, as the shell gives them."""
    return shell(line, folder, WORDS).decode().split("\0")[:-1]


def command_of(words: Sequence[str]) -> tuple[str, Any]:
    """The command and its parameters."""
    command, name = all_commands(), ""
    rest = [*words]
    while hasattr(command, "commands") and (not name or rest[0] in command.commands):
        name = rest.pop(0)
        command = command.commands[name]
    return name, command.make_context(name, rest)


def inputs_of(words: Sequence[str]) -> Iterator[str]:
    """The files and folders that the command is to read, as far as its line names them."""
    name, context = command_of(words)
    for parameter, value in context.params.items():
        for each in places(parameter, value):
            path = str(each).rpartition("=")[2]
            shipped = parameter in SHIPPED and not path.endswith(".toml")
            if parameter not in ("out", GROWS.get(name)) and path != "-" and not shipped and not glob.has_magic(path):
                yield path
    if name in UNNAMED:
        yield UNNAMED[name]


def out_of(words: Sequence[str]) -> str | None:
    name, context = command_of(words)
    made = context.params.get(GROWS.get(name, "out"))
    return None if made is None else str(made)


def redirected(line: str) -> str | None:
    """The file that the line's output is put into."""
    found = re.search(r"(?<!>)> *([\w./-]+)$", line)
    return found[1] if found else None


@dataclass
class Terminal:
    """A folder in which lines are typed. What a line reads and is not there is made first by the first line of `others`
    that makes it; a line that was typed is not typed again."""

    folder: Path
    others: Sequence[Line] = ()
    typed: dict[str, str] = field(default_factory=dict)

    def type(self, line: str) -> str:
        """What it prints on stdout. AssertionError for another exit code than 0."""
        if line not in self.typed:
            self.typed[line] = ""
            self.typed[line] = self._refinery(line) if is_plain(line) else self._shell(line)
        return self.typed[line]

    def _refinery(self, line: str) -> str:
        words = expanded(line, self.folder)
        for path in inputs_of(words):
            self.make(path)
        return called(words, self.folder)

    def _shell(self, line: str) -> str:
        """In a shell, which finds `refinery` as a program."""
        with tempfile.TemporaryDirectory() as programs:
            program = Path(programs) / "refinery"
            program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m refinery "$@"\n')
            program.chmod(0o755)
            return shell(line, self.folder, f"PATH={programs}:$PATH; ").decode()

    def make(self, path: str) -> None:
        if not (self.folder / path).exists():
            for line in self.others:
                made = out_of(expanded(line.text, self.folder)) if is_plain(line.text) else redirected(line.text)
                if made is not None and Path(path).is_relative_to(made) and line.text not in self.typed:
                    self.type(line.text)
                    break
        assert (self.folder / path).exists(), f"{path} is there in no world, and no line before makes it"


def called(words: Sequence[str], folder: Path) -> str:
    """What `refinery` prints on stdout when it is called in the folder, with one worker unless `words` say how many."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        mock.patch.object(sys, "argv", ["refinery", *words]),
        mock.patch("infra.engines.open.cores", return_value=1),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main(words)
        except SystemExit as end:
            assert not end.code, f"refinery {shlex.join(words)}\nexit code {end.code}\n{out.getvalue()}{err.getvalue()}"
    return out.getvalue()


def check_text(line: str, printed: str) -> None:
    """Unless it is JSON or a text of a model: no line wider than the terminal, and no Python or JSON in it."""
    words = shlex.split(line, comments=True)
    if not words or words[0] != "refinery" or {*AS_IT_IS} & {*words}:
        return
    width = int(os.environ["COLUMNS"])
    wide = [each for each in printed.splitlines() if len(each) > width]
    assert not wide, f"{line}\nprints lines of more than {width} characters:\n" + "\n".join(wide)
    raw = [each for each in printed.splitlines() if "{'" in each or '{"' in each or "Path(" in each]
    assert not raw, f"{line}\nprints\n" + "\n".join(raw)
