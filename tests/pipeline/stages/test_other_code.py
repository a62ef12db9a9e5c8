"""A finished dataset whose code has changed since: it is kept, and said to be; tables of an unfinished one are not."""

import subprocess
import sys
from pathlib import Path

from infra.dataset.receipts import WORK
from infra.engines.made_by import changes_since
from infra.engines.open import open_engine
from infra.hashing import readable_json
from infra.storage import read_json, remove_folder
from tests.files import checkout
from tests.infra.toy import Count, Slices, header
from tests.pipeline.command import made
from tests.pipeline.pages import write_crawl
from tests.pipeline.recipe_texts import BRIEF

KEPT = "not made again, though code changed since: "


def test_what_other_code_made_is_kept_and_said_to_be(tmp_path: Path) -> None:
    code, out = checkout(tmp_path / "code"), tmp_path / "out"
    write_crawl(tmp_path / "crawl")
    (tmp_path / "brief.toml").write_text(BRIEF)

    def run() -> str:
        words = ["run", "--recipe", tmp_path / "brief.toml", "--input", tmp_path / "crawl", "--out", out]
        command = [sys.executable, "-m", "refinery", *map(str, words), "--workers", "1"]
        done = subprocess.run(command, cwd=code, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return "".join(line for line in done.stderr.splitlines() if line.startswith(KEPT))

    assert run() == "" == run()
    before, times = made(out), {path: path.stat().st_mtime_ns for path in out.glob("*/manifest.json")}
    (stage,) = {path.parent for path in times if path.parent.name.endswith("-same-text")}
    for name in ("dedup/keep.py", "pipeline/cli/app.py"):  # the second decides no byte
        with (code / name).open("a") as file:
            file.write("# one more line\n")
    assert run() == f"{KEPT}{stage} (to make one again, delete it)"
    assert times == {path: path.stat().st_mtime_ns for path in times}
    remove_folder(stage)
    assert run() == ""
    assert made(out) == before


def test_tables_of_other_code_are_not_kept(tmp_path: Path) -> None:
    table = tmp_path / WORK / "numbers"
    with open_engine("local") as engine:
        engine.map_shards(Count(), [Slices()], table, header())
        account = read_json(table / "run.json")
        assert changes_since(table) == []
        (names,) = account["code"].values()
        others = {"code": {"0" * 64: names}, "versions": {"python": "3.0.0"}}
        (table / "run.json").write_bytes(readable_json({**account, **others}))
        (changed, python) = changes_since(table)
        assert changed == "code" and python.startswith("python 3.0.0 (now 3.")
        engine.map_shards(Count(), [Slices()], table, header())
    assert changes_since(table) == []
