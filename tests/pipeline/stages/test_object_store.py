"""A run in an object store: the bytes that it has on disk, whatever the store and its drivers suffer."""

import gzip
import os
import signal
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from infra.storage import client, copy_file, lease, lock, place, read_json, write_bytes
from pipeline.fit.tokenizer import fit_tokenizer
from pipeline.models.store import on_this_machine, resolve
from pipeline.stages.tokenize import token_faults
from refinery import open_dataset
from tests.files import write_rows
from tests.pipeline.command import ROOT, answer, made, refinery
from tests.pipeline.kills import SUICIDE, Moment, each, finished_shards, kill_and_go_on
from tests.pipeline.pages import text_rows, write_crawl
from tests.pipeline.recipe_texts import BRIEF
from tests.s3_server import ENVIRONMENT, Server, cut, denied, slow_down

KILLED: dict[str, Moment] = {
    "a shard is uploaded, its ledger is not": (
        "infra.dataset.writer", "commit_shard", "leave", 1, "part-00001.parquet",
    ),
    "the receipts are not there yet": ("infra.dataset.batches", "write_bytes", "enter", 1, "03-filter/.receipts/part-"),
    "the table of files is there, the manifest is not": (
        "infra.dataset.build", "write_last", "enter", 1, "03-filter/manifest.json",
    ),
    "the manifest was just written": ("infra.dataset.build", "write_last", "leave", 1, "03-filter/manifest.json"),
    "inside a reduction": ("infra.engines.shuffle", "sort_rows", "enter", 1, ""),
}  # fmt: skip
FEW = {"the table of files is there, the manifest is not"}
# Before a renewal of the lease, and after the last one.
PAUSES: dict[str, Moment] = {
    "before the commit": ("infra.dataset.build", "Build.commit", "enter", 1, ""),
    "before the next stage": ("pipeline.stages.run", "run_stage", "leave", 1, ""),
    "before the run's account": ("pipeline.stages.run", "account", "leave", 1, ""),
    "before the manifest's request": ("infra.storage.lease", "_put", "enter", 1, "03-filter/manifest.json"),
}
PAUSED = SUICIDE.replace("signal.SIGKILL", "signal.SIGSTOP").replace(
    "from pipeline.cli.app", "from infra.storage import lease\nlease.LEASE_SECONDS = 1.0\nfrom pipeline.cli.app"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives and documents with copies, and the run of each on disk."""
    folder = tmp_path_factory.mktemp("store")
    write_crawl(folder / "crawl", files=2, each=6)
    (folder / "brief.toml").write_text(BRIEF)
    (folder / "docs").mkdir()
    for number in range(3):
        write_rows(folder / "docs" / f"{number}.jsonl", [*text_rows(5 + number), *text_rows(4)])
    for name in ("crawl", "docs"):
        refinery(*command(folder, name), "--out", folder / f"of-{name}")
    return folder


def command(world: Path, name: str, *files: str) -> list[object]:
    inputs = [world / name / file for file in files] or [world / name]
    return ["run", "--recipe", world / "brief.toml", "--input", *inputs]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> object:
    """Short pauses between two tries of a request."""
    monkeypatch.setattr(client, "FIRST_PAUSE", timedelta(milliseconds=5))
    monkeypatch.setattr(client, "MAX_PAUSE", timedelta(milliseconds=20))
    client.client.cache_clear()
    yield
    client.client.cache_clear()


def test_the_bytes_are_those_of_a_disk(world: Path, root: Path, server: Server) -> None:
    refinery(*command(world, "crawl"), "--out", root)
    assert made(root) == made(world / "of-crawl") and len(made(root)) > 10
    written = b"".join(path.read_bytes() for path in root.walk_objects())  # type: ignore[attr-defined]
    assert not [secret for secret in ENVIRONMENT.values() if secret.encode() in written and secret != "us-east-1"]
    beside = {path.name for path in root.iterdir() if not path.name.startswith("0")}
    assert beside == {".lock", ".receipts", "recipe.json", "run.json"}
    server.requests.clear()
    refinery(*command(world, "crawl"), "--out", root)  # nothing is to be done
    assert not [path for method, path in server.requests if method == "PUT" and "/part-" in path]


def test_inputs_and_results_are_read_from_there(world: Path, root: Path, tmp_path: Path) -> None:
    for file in (world / "crawl").iterdir():
        copy_file(file, root / "crawl-data" / "CC-MAIN-2024-51" / file.name)
    recipe, out = world / "brief.toml", root / "out"
    refinery("run", "--recipe", recipe, "--input", f"{root}/crawl-data/*/*.warc.gz", "--out", out)
    for run, exported in ((out, root / "a.jsonl.gz"), (world / "of-crawl", tmp_path / "b.jsonl.gz")):
        refinery("export", "--run", run, "--columns", "text", "--out", exported)
    # by its place there an archive is of a snapshot, which ties among equal texts go by too
    there, here = (
        gzip.decompress((folder / name).read_bytes())
        for folder, name in ((root, "a.jsonl.gz"), (tmp_path, "b.jsonl.gz"))
    )
    assert sorted(there.splitlines()) == sorted(here.splitlines())
    assert answer("status", out)["stages"][0]["state"] == "done"
    assert refinery("verify", out).strip().endswith("every file is as it was written")
    assert refinery("rejects", "--run", out) == refinery("rejects", "--run", world / "of-crawl")
    copies = refinery("rejects", "--run", out, "--rule", "text/copy_text", "--n", 1)
    assert "http://host" in copies
    assert "extract" in refinery("explain", "http://host1.example/1", "--run", out)
    for folder, given in (("records", f"{root}/crawl-data/"), ("documents", root / "records")):
        stage = "ingest" if folder == "records" else "extract"
        refinery(stage, "--recipe", recipe, "--input", given, "--out", root / folder)
        assert made(root / folder) == made(out / f"0{1 + (folder == 'documents')}-{stage}")
    refinery("run", "--recipe", "exact", "--input", out, "--out", tmp_path / "of-run")
    (out / "01-ingest" / "part-00000.parquet").unlink()
    assert "part-00000.parquet: missing" in refinery("verify", out, code=1)


@pytest.mark.long
def test_more_input_is_added(world: Path, root: Path, server: Server) -> None:
    refinery(*command(world, "docs", "1.jsonl", "2.jsonl"), "--out", root)
    server.requests.clear()
    refinery(*command(world, "docs"), "--out", root)
    assert made(root) == made(world / "of-docs")
    assert [path.name for path in (root / "03-filter" / ".receipts").iterdir() if "moved" in path.name] == []


@pytest.mark.long
@pytest.mark.usefixtures("hurried")
def test_a_store_that_fails_now_and_then(world: Path, root: Path, server: Server) -> None:
    seen = 0

    def some(method: str, path: str) -> bool:
        nonlocal seen
        seen += 1
        return seen % 7 == 0

    server.fail(slow_down, times=10_000, chosen=some)
    server.faults[::2] = [cut] * (len(server.faults) // 2)
    refinery(*command(world, "docs"), "--out", root)
    failed = 10_000 - len(server.faults)
    server.faults.clear()
    assert failed > 30 and made(root) == made(world / "of-docs")


def test_a_store_that_refuses_in_the_middle(world: Path, root: Path, server: Server) -> None:
    server.fail(denied, times=1, chosen=lambda method, path: method == "PUT" and "/03-filter/part-" in path)
    with pytest.raises(AssertionError, match="exit code 2") as refused:  # lines before it tell of the progress
        refinery(*command(world, "docs"), "--out", root, code=1)
    said = str(refused.value)
    assert "03-filter/part-0000" in said and "access is denied (PUT failed (AccessDenied))" in said
    refinery(*command(world, "docs"), "--out", root)
    assert made(root) == made(world / "of-docs")


@pytest.mark.parametrize("moment", each(KILLED, FEW))
def test_a_killed_driver_is_followed_at_once(moment: str, world: Path, root: Path) -> None:
    gone_on = kill_and_go_on(KILLED[moment], command(world, "docs"), root)
    assert gone_on == (made(world / "of-docs"), [], [])


@pytest.mark.parametrize("moment", PAUSES)
def test_a_paused_driver_finishes_nothing(
    moment: str, world: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1.0)
    words = [*map(str, PAUSES[moment]), *map(str, command(world, "docs")), "--out", str(root), "--workers", "1"]
    paused = subprocess.Popen([sys.executable, "-c", PAUSED, *words], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    os.waitpid(paused.pid, os.WUNTRACED)
    refinery(*command(world, "docs"), "--out", root)
    finished, told = (made(root), finished_shards(root)), (root / "run.json").read_bytes()
    os.kill(paused.pid, signal.SIGCONT)
    _, said = paused.communicate(timeout=60)
    assert paused.returncode == 1 and "another driver has taken over s3://bucket/" in said and "Traceback" not in said
    assert (root / "run.json").read_bytes() == told
    assert (made(root), finished_shards(root)) == finished and finished[0] == made(world / "of-docs")


def test_two_drivers(world: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1.0)
    holder = "from infra.storage import *\nfrom infra.storage import lease\nimport sys\nlease.LEASE_SECONDS = 1.0\n"
    holder += "with lock(place(sys.argv[1])):\n    print(flush=True)\n    input()"
    with subprocess.Popen([sys.executable, "-c", holder, str(root)], stdin=-1, stdout=-1, cwd=ROOT, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert answer("status", root)["running"] if (root / ".receipts").exists() else True
        said = refinery(*command(world, "docs"), "--out", root, code=2)
        assert f"is writing into {root}: wait for it, stop it, or choose another --out" in said
        other.communicate("\n")
    assert [path.name for path in root.iterdir()] == [".lock"]


def test_a_refused_command_leaves_nothing(world: Path, root: Path) -> None:
    refinery("run", "--recipe", "exact", "--input", f"{root}/none-*", "--out", root / "a", code=2)
    said = refinery("run", "--recipe", "exact", "--input", world / "docs", "--out", "s3://no-bucket/a", code=2)
    assert "there is no such bucket" in said
    refinery("fit", "tokenizer", "--positive", world / "docs", "--out", root / "m", code=2)
    assert list(root.iterdir()) == [] and not Path("s3:").exists() and not (ROOT / "s3:").exists()


def test_models_and_tokens(
    world: Path, root: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "models" / "folder").mkdir(parents=True)
    fit_tokenizer([world / "docs" / "0.jsonl"], tmp_path / "models" / "tokenizer.model", 300)
    (tmp_path / "models" / "folder" / "folder").write_text("a")
    for name in ("tokenizer.model", "folder/folder"):
        copy_file(tmp_path / "models" / name, root / "models" / name)
    there, here = (resolve(["tokenizer.model", "folder"], models) for models in (root / "models", tmp_path / "models"))
    assert {name: model.sha256 for name, model in there.items()} == {name: each.sha256 for name, each in here.items()}
    assert there["folder"].place == root / "models" / "folder" and there["folder"].path.is_dir()
    on_this_machine.cache_clear()
    server.requests.clear()
    assert on_this_machine(root / "models" / "tokenizer.model").is_relative_to(tmp_path / "cache")
    assert not [path for method, path in server.requests if method == "GET" and path.endswith("tokenizer.model")]
    for models, out in ((root / "models", root / "tokens"), (tmp_path / "models", tmp_path / "tokens")):
        refinery("tokenize", "--recipe", "tokens", "--models", models, "--input", world / "docs", "--out", out)
    assert made(root / "tokens") == made(tmp_path / "tokens")
    assert token_faults(open_dataset(f"{root}/tokens")) == []
    (root / "tokens" / "part-00001.idx").unlink()
    assert token_faults(open_dataset(f"{root}/tokens")) != []


def test_no_scratch_file_is_left(root: Path) -> None:
    """What a killed process left is removed by the next one."""
    code = "import os, sys\nfrom infra.storage import scratch_folder\n(scratch_folder() / 'x').touch()\n"
    code += "print(scratch_folder())\nsys.stdout.flush()\nif len(sys.argv) > 1: os.kill(os.getpid(), 9)"

    def folder_of(*words: str) -> Path:
        run = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, stdout=-1, text=True, check=False)
        return Path(run.stdout.strip())

    killed, ended = folder_of("kill"), None
    assert (killed / "x").exists() and killed.is_relative_to(tempfile.gettempdir())
    ended = folder_of()
    assert not killed.exists() and not ended.exists()


def test_the_driver_of_a_dataset_holds_it(root: Path) -> None:
    folder = place(f"{root}/a")
    with lock(folder):
        write_bytes(folder / "b", b"")
        assert read_json(folder / ".lock")["host"]  # type: ignore[index]
