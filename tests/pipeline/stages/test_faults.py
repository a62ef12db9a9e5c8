"""What a machine, a page or another driver does to a run: it ends in the undisturbed bytes, the bad page counted."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Timer

import pytest

from infra.dataset.reader import Dataset
from infra.storage import client
from tests.files import checkout
from tests.pipeline.command import ROOT, made, refinery, refinery_process, start
from tests.pipeline.pages import article, pages, write_warc
from tests.pipeline.recipe_texts import BRIEF
from tests.s3_server import Server, slow_down

FILES, EACH = 6, 10
ENGINES = ("local 2", "ray 2", "beam 1")
MOUNT_BYTES, ENOUGH = "96k", "64m"
# Each does this to the extractor, in the archive of its number.
WICKED = {
    "spin": "while True: pass",
    "sleep": "__import__('time').sleep(3600)",
    "segfault": "__import__('ctypes').string_at(0)",
    "exit": "__import__('os')._exit(0)",
    "eat": "hoard = [bytearray(b'x') * (8 << 20) for _ in range(10_000)]",
}
LIMITS = {"spin": "limit/cpu", "sleep": "limit/cpu", "segfault": "limit/crash", "exit": "limit/crash",
          "eat": "limit/memory"}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives, each but the last with one page that names a deed, and the undisturbed run."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "crawl").mkdir()
    for number, deed in enumerate([*WICKED, ""]):
        own = pages(number * EACH, EACH)
        if deed:
            own.insert(3, (f"http://wicked.example/{deed}", article(1000 + number, extra=f"<p>please {deed} now</p>")))
        write_warc(folder / "crawl" / f"part-{number}.warc.gz", own)
    (folder / "brief.toml").write_text(BRIEF)
    refinery(*command(folder, folder / "out"))
    return folder


def command(world: Path, out: Path, engine: str = "local 1") -> list[object]:
    name, workers = engine.split()
    given = ["--input", world / "crawl", "--out", out, "--engine", name, "--workers", workers]
    return ["run", "--recipe", world / "brief.toml", *given]


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MOUNT_BYTES}", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("engine", ["local 1", *(pytest.param(name, marks=pytest.mark.long) for name in ENGINES)])
def test_a_full_disk(engine: str, world: Path, tmp_path: Path) -> None:
    """The command ends in one line; with more space it goes on."""
    out = tmp_path / "disk" / "out"
    with small_disk(tmp_path / "disk"):
        process = start(*command(world, out, engine))
        _, said = process.communicate(timeout=300)
        assert process.returncode == 1, said
        assert re.search(r"the disk that holds \S+ is full: free some space and run the same command again", said), said
        assert "Traceback" not in said.splitlines()[-1]
        subprocess.run(["mount", "-o", f"remount,size={ENOUGH}", tmp_path / "disk"], check=True)
        refinery_process(*command(world, out, engine))
        assert made(out) == made(world / "out")


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
def test_pages_that_undo_the_extractor(engine: str, world: Path, tmp_path: Path) -> None:
    """It hangs, sleeps, crashes, ends or eats memory: each page is a counted rejection, all else is as it was."""
    copy = checkout(tmp_path / "code")
    file = copy / "pipeline/extract/extractors/resiliparse_text.py"
    begin = "    from resiliparse.extract.html2text import extract_plain_text\n"
    deeds = "".join(f"    if 'please {deed} now' in html:\n        {does}\n" for deed, does in WICKED.items())
    assert file.read_text().count(begin) == 1
    file.write_text(file.read_text().replace(begin, begin + deeds))
    lower(copy / "pipeline/extract/limits.py", "cpu_seconds: float = 30.0", "cpu_seconds: float = 1.0")
    lower(copy / "pipeline/extract/limits.py", "memory_bytes: int = 2 << 30", "memory_bytes: int = 300 << 20")
    lower(copy / "infra/sandbox/sandbox.py", "wall_factor: float = 20.0", "wall_factor: float = 4.0")
    words = [str(word) for word in command(world, tmp_path / "out", engine)]
    code = "from pipeline.cli.app import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=copy, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    before, after = (Dataset(folder / "02-extract") for folder in (world / "out", tmp_path / "out"))
    assert after.manifest.counts["out"] == before.manifest.counts["out"] - len(WICKED)
    rules = {f"extract/{rule}": [*LIMITS.values()].count(rule) for rule in LIMITS.values()}
    assert {rule: n for rule, n in after.manifest.rejected_by.items() if "limit" in rule} == rules
    wicked = {f"http://wicked.example/{deed}" for deed in WICKED}
    assert after.to_arrow().to_pylist() == [row for row in before.to_arrow().to_pylist() if row["url"] not in wicked]
    found = {row["url"]: row["rule"] for row in after.ledger().to_pylist() if row["url"] in wicked}
    assert found == {f"http://wicked.example/{deed}": rule for deed, rule in LIMITS.items()}


def lower(file: Path, limit: str, low: str) -> None:
    text = file.read_text()
    assert text.count(limit) == 1, limit
    file.write_text(text.replace(limit, low))


@pytest.mark.long
@pytest.mark.parametrize("where", ["disk", "store"])
@pytest.mark.parametrize("engine", ENGINES)
def test_two_drivers_at_once(engine: str, where: str, world: Path, tmp_path: Path, root: Path) -> None:
    """At the same moment: one is refused in a line, or finds all of it made; the other ends as if it were alone."""
    out = root if where == "store" else tmp_path / "out"
    processes = [start(*command(world, out, engine)) for _ in range(2)]
    said = [process.communicate(timeout=300)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert sorted(codes) in ([0, 2], [0, 0]), "\n".join(said)
    for code, text in zip(codes, said, strict=True):
        assert code == 0 or re.search(r"another (process|driver, on \S+,) is writing into", text), text
    assert made(out) == made(world / "out")


# Its driver waits before its second stage until the file that is named first exists.
WAITS = """
import pathlib, sys, time
from pipeline.stages import run

go_on, make = pathlib.Path(sys.argv.pop(1)), run.run_stage

def later(*words):
    made = make(*words)
    while not go_on.exists():
        time.sleep(0.05)
    return made

run.run_stage = later
from pipeline.cli.app import main
main()
"""


@pytest.mark.parametrize("where", ["disk", "store"])
def test_a_second_driver_is_refused_while_the_first_works(where: str, world: Path, tmp_path: Path, root: Path) -> None:
    out, go_on = root if where == "store" else tmp_path / "out", tmp_path / "go-on"
    words = [str(word) for word in command(world, out)]
    first = subprocess.Popen([sys.executable, "-c", WAITS, go_on, *words], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        while not (out / "01-ingest" / "manifest.json").exists():
            assert first.poll() is None, first.communicate()[1]
            time.sleep(0.05)
        second = refinery(*words, code=2)
        assert re.search(r"another (process|driver, on \S+,) is writing into", second), second
        assert not (out / "02-extract" / "manifest.json").exists()
    finally:
        go_on.touch()
        said = first.communicate(timeout=300)[1]
    assert first.returncode == 0, said
    assert made(out) == made(world / "out")


@pytest.mark.long
@pytest.mark.parametrize("engine", ["ray 2", "beam 1", "beam 2"])
def test_a_run_in_a_store(engine: str, world: Path, root: Path) -> None:
    refinery_process(*command(world, root, engine))
    assert made(root) == made(world / "out")


@pytest.mark.long
def test_a_store_that_fails_for_a_while(
    world: Path, root: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than its requests are sent again: the run ends in a line, and goes on later. Shorter: it waits."""
    monkeypatch.setattr(client, "FIRST_PAUSE", timedelta(milliseconds=20))
    monkeypatch.setattr(client, "MAX_PAUSE", timedelta(milliseconds=100))
    monkeypatch.setattr(client, "RETRY_TIME", timedelta(seconds=1))
    client.client.cache_clear()
    server.fail(slow_down, 10**6, lambda method, path: method == "PUT" and "/02-extract/part-" in path)
    with pytest.raises(AssertionError, match="exit code 1") as failed:
        refinery(*command(world, root))
    assert "(SlowDown)" in str(failed.value) and "run the same command again when the store answers" in str(
        failed.value
    )
    monkeypatch.setattr(client, "RETRY_TIME", timedelta(minutes=3))
    client.client.cache_clear()
    server.fail(slow_down, 10**6)
    Timer(2, server.faults.clear).start()
    refinery(*command(world, root))
    assert made(root) == made(world / "out")
    client.client.cache_clear()
