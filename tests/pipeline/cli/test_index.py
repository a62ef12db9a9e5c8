"""`refinery index`: its commands, on disk and in an object store, killed at any moment, two at once."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.storage import copy_file
from pipeline.index.check import faults_of
from pipeline.index.manifest import read_index
from tests.conftest import MadeOnce
from tests.pipeline.command import ROOT, answer, made, refinery, start
from tests.pipeline.index.snapshots import snapshot
from tests.pipeline.kills import SUICIDE, Moment, each

KILLED: dict[str, Moment] = {
    "inside a reduction": ("infra.engines.shuffle", "sort_rows", "enter", 3, ""),
    "a run is there, the others are not": ("pipeline.index.add", "Adding._map_run", "enter", 1, ""),
    "the result is there, the index is not": ("pipeline.index.manifest", "write_last", "enter", 1, "index.json"),
    "the index was just replaced": ("pipeline.index.manifest", "write_last", "leave", 1, "index.json"),
    "before a merge": ("pipeline.index.merge", "merged", "enter", 1, ""),
    "between two merges": ("pipeline.index.merge", "merged", "enter", 2, ""),
    "a merged run is there, the index is not": ("pipeline.index.manifest", "write_last", "enter", 2, "index.json"),
}
FEW = {"the result is there, the index is not", "between two merges"}
COUNT = 4


@pytest.fixture(scope="module")
def world(made_once: MadeOnce) -> Path:
    """Four snapshots; an index of the first three; and one of all, which was merged."""

    def make(folder: Path) -> None:
        for number in range(COUNT):
            snapshot(folder, number)
            if number == COUNT - 1:
                shutil.copytree(folder / "index", folder / "before")
            out = folder / f"out-{number}"
            refinery("index", "add", folder / "index", folder / f"snapshot-{number}", "--out", out)

    return made_once("dedup-index-commands", make)


@pytest.mark.parametrize("name", each(KILLED, FEW))
def test_an_add_that_was_killed(name: str, world: Path, tmp_path: Path) -> None:
    """The index is the old one or the new one, sound; the same command again makes what it would have made."""
    index = Path(shutil.copytree(world / "before", tmp_path / "index"))
    words = ["index", "add", index, world / f"snapshot-{COUNT - 1}", "--out", tmp_path / "out", "--workers", "1"]
    moment = [*map(str, (*KILLED[name], *words))]
    killed = subprocess.run([sys.executable, "-c", SUICIDE, *moment], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()[-500:]
    left = read_index(index)
    assert faults_of(left) == {} and len(left.snapshots) in (COUNT - 1, COUNT)
    refinery(*words)
    assert made(tmp_path / "out") == made(world / f"out-{COUNT - 1}")
    refinery("index", "merge", index)
    whole = Path(shutil.copytree(world / "index", tmp_path / "whole"))
    refinery("index", "merge", whole)
    assert [(run.rows, run.bytes) for run in read_index(index).runs] == [
        (run.rows, run.bytes) for run in read_index(whole).runs
    ]


def test_two_adds_at_once(world: Path, tmp_path: Path) -> None:
    """Both are in, or one is refused in a line; then it can be repeated."""
    index = tmp_path / "index"
    adds = [["index", "add", index, world / f"snapshot-{number}", "--workers", "1"] for number in range(2)]
    processes = [start(*words) for words in adds]
    ended = [(process.communicate(timeout=600), process.returncode) for process in processes]
    assert {code for _, code in ended} <= {0, 2} and ended[0][1] + ended[1][1] < 4
    for ((_, err), code), words in zip(ended, adds, strict=True):
        if code == 2:
            assert "another" in err and "Traceback" not in err
            refinery(*words)
    found = read_index(index)
    assert {snapshot.name for snapshot in found.snapshots} == {"CC-0", "CC-1"} and faults_of(found) == {}


@pytest.mark.usefixtures("server")
def test_an_index_in_an_object_store(world: Path, root: Path, tmp_path: Path) -> None:
    """It has the runs and the results that one on disk has."""
    for file in [path for number in range(2) for path in (world / f"snapshot-{number}").rglob("*") if path.is_file()]:
        copy_file(file, root / file.relative_to(world).as_posix())
    for at in (world, root):
        folder = (tmp_path if at == world else root) / "index"
        for number in range(2):
            refinery("index", "add", folder, at / f"snapshot-{number}", "--out", folder.parent / f"out-{number}")
        refinery("index", "groups", folder, "--out", folder.parent / "groups")
    here, there = read_index(tmp_path / "index"), read_index(root / "index")
    assert here.as_dict() == there.as_dict() and faults_of(there) == {}
    for name in ("out-0", "out-1", "groups"):
        assert made(tmp_path / name) == made(root / name)
    refinery("index", "remove", root / "index", "--snapshot", "CC-0")
    assert [snapshot.name for snapshot in read_index(root / "index").snapshots] == ["CC-1"]


def test_what_the_commands_say(world: Path, tmp_path: Path) -> None:
    index = Path(shutil.copytree(world / "index", tmp_path / "index"))
    said = refinery("index", "report", index)
    assert [line.split()[0] for line in said.splitlines()[1:5]] == ["CC-0", "CC-1", "CC-2", "CC-3"]
    report = answer("index", "report", index)
    assert report["snapshots"][0]["documents"] == 36 and report["bytes_a_document"] > 0
    assert "CC-2" in refinery("index", "list", index)
    assert [each["name"] for each in answer("index", "list", index)["snapshots"]] == ["CC-0", "CC-1", "CC-2", "CC-3"]
    again = answer("index", "add", index, world / "snapshot-0")
    assert again["new"] is False and again["kept"] == report["snapshots"][0]["kept"]
    (tmp_path / "ids.txt").write_text("<urn:1-4>\n<urn:2-5>\n")
    assert "2 documents" in refinery("index", "remove", index, "--ids", tmp_path / "ids.txt")
    assert "0 documents" in refinery("index", "remove", index, "--ids", tmp_path / "ids.txt", code=1)
    assert answer("index", "verify", index)["damaged"] == {}
    path = next((index / "runs").glob("*-bands/part-*"))
    path.write_bytes(path.read_bytes()[:-1])
    assert path.parent.name in refinery("index", "verify", index, code=1)


def test_mistakes_are_told_in_a_line(world: Path, tmp_path: Path) -> None:
    index, dataset = world / "index", world / "snapshot-0"
    for words, message in {
        ("report", tmp_path / "none"): "is no index (it has no index.json): refinery index add",
        ("remove", tmp_path / "none", "--snapshot", "CC-1"): "is no index (it has no index.json)",
        ("merge", tmp_path / "none"): "is no index (it has no index.json)",
        ("remove", index): "say what to remove: --snapshot SNAPSHOT; or --ids FILE",
        ("remove", index, "--snapshot", "CC-9"): "has no snapshot 'CC-9'; there are: CC-0, CC-1",
        ("add", index, dataset, "--snapshot", "CC-1"): "has another dataset as CC-1",
        ("add", index, dataset, "--snapshot", "new", "--rows", 9): "was made with --rows 8, not 9: leave --rows out",
        ("add", index, dataset, "--snapshot", "new", "--policy", "all"): "--policy all: choose one of within, older",
        ("add", index, tmp_path, "--snapshot", "new"): "is neither a finished dataset nor a finished run",
        ("add", index, index / "runs", "--snapshot", "new"): "is neither a finished dataset",
        ("add", dataset, dataset): "is, is inside or contains the input",
    }.items():
        assert message in refinery("index", *words, code=2)
    assert not (tmp_path / "none").exists()
