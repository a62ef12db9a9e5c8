"""The command line: called in this process, or started as a user does, in a process of its own.

A start costs about a second of CPU time, so `refinery` calls what a start would; `refinery_process` is for what only a
process shows: another seed of hashes, an exit code as the shell has it, an end by a signal.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import typer

from pipeline.cli.app import app, main
from pipeline.cli.table import COMMANDS, load

ROOT = Path(__file__).resolve().parents[2]


def all_commands() -> Any:
    """`refinery` as a group with every command in it, where the command line loads only the one that is called."""
    whole: Any = typer.main.get_command(app)
    whole.commands = {name: load(name) for name in COMMANDS}
    return whole


def refinery(*words: object, code: int = 0) -> str:
    """What the command prints on stdout, or on stderr where the wanted exit code is 2; asserts its exit code.

    With one worker where `words` name no number: the others would be processes, which are slow to start.
    """
    arguments = [str(word) for word in words]
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(ROOT),
        mock.patch.object(sys, "argv", ["refinery", *arguments]),
        mock.patch("infra.engines.open.cores", return_value=1),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main(arguments)
        except SystemExit as end:
            returned = end.code
    return printed(returned, out.getvalue(), err.getvalue(), code)


def refinery_process(*words: object, code: int = 0) -> str:
    """The same in a process of its own."""
    process = start(*words)
    out, err = process.communicate(timeout=900)  # Beam with processes starts some for each pipeline
    return printed(process.returncode, out, err, code)


def printed(returned: object, out: str, err: str, code: int) -> str:
    """A user's mistake (exit code 2) is told in one line, without a traceback."""
    assert returned == code, f"exit code {returned}\n{out}\n{err}"
    if code == 2:
        assert "Traceback" not in err and len(err.strip().splitlines()) == 1, err
        return err
    return out


# A shell's background job ignores Ctrl-C, and so would all that it starts. (Not by `preexec_fn`: where the tests have
# used gRPC, a fork that runs Python ends in an abort now and then.)
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from pipeline.cli.app import main
main()
"""


def start(*words: object, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """`environment`: what is added to that of the tests."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )


def answer(*words: object, code: int = 0) -> Any:
    """The one JSON document that `--json` prints."""
    return json.loads(refinery(*words, "--json", code=code))


def made(folder: Path) -> dict[str, bytes]:
    """Every shard, ledger and manifest of a run, by its relative path."""
    names = ("part-*", "manifest.json", "files-*.parquet", "documents.parquet")
    found = [path for name in names for path in folder.rglob(name)]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(found)
        if ".receipts" not in path.parts and ".work" not in path.parts
    }
