"""The command line as a user starts it: a process of its own."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def start(*words: object) -> subprocess.Popen[str]:
    code = "from pipeline.cli.app import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
        # a shell's background job ignores Ctrl-C, and so would all that it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def refinery(*words: object, code: int = 0) -> str:
    """What the command prints on stdout; asserts its exit code."""
    process = start(*words)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
    if code == 2:
        assert "Traceback" not in err and len(err.strip().splitlines()) == 1, err
        return err
    return out


def answer(*words: object) -> Any:
    """The one JSON document that `--json` prints."""
    return json.loads(refinery(*words, "--json"))


def made(folder: Path) -> dict[str, bytes]:
    """Every shard, ledger and manifest of a run, by its relative path."""
    found = [*folder.rglob("part-*"), *folder.rglob("manifest.json"), *folder.rglob("documents.parquet")]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(found)
        if ".receipts" not in path.parts and ".work" not in path.parts
    }
