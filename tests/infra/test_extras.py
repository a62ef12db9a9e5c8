"""What needs an extra that is not installed says how to install it: one line, exit code 2; the rest works without."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from infra.extras import EXTRAS
from tests.pipeline.command import ROOT
from tests.pipeline.pages import write_crawl

WITHOUT = """
import sys
hidden = sys.argv.pop(1).split(",")
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
from pipeline.cli.app import main
main()
"""
EVERY = "ray,apache_beam,torch,warcio,pandas,hypothesis,polars,duckdb"


def without(hidden: str, *words: object) -> subprocess.CompletedProcess[str]:
    """The command line where these modules are not installed."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, hidden, *map(str, words)], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("hidden", "command", "name"),
    [
        ("ray", "run --recipe exact --input {w}/crawl --out {w}/out --engine ray", "ray"),
        ("apache_beam", "ingest --recipe exact --input {w}/crawl --out {w}/out --engine beam", "beam"),
        ("torch", "train --data {w}/tokens --out {w}/out", "train"),
        pytest.param(
            "ray", "measure --recipe exact --input {w}/crawl --out {w}/out --engine ray", "ray", marks=pytest.mark.long
        ),
        *(
            pytest.param("torch", command, "train", marks=pytest.mark.long)
            for command in (
                "freeze {w}/trunk --out {w}/out",
                "branch --trunk {w}/frozen --out {w}/out",
                "evaluate --checkpoint {w}/trunk --data {w}/tokens",
                "generate --checkpoint {w}/trunk",
            )
        ),
    ],
    ids=lambda value: value.partition(" ")[0],
)
def test_the_line_that_installs_it(hidden: str, command: str, name: str, tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl", files=1)
    done = without(hidden, *command.format(w=tmp_path).split())
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith("refinery: ") and line.endswith(f"pip install 'refinery[{name}]'")
    assert [path.name for path in tmp_path.iterdir()] == ["crawl"]


def test_the_rest_works_without_any(tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl", files=1)
    given = ("--input", tmp_path / "crawl", "--workers", 1)  # workers would not have them hidden
    for command in (
        ("run", "--recipe", "exact", *given, "--out", tmp_path / "out"),
        ("measure", "--recipe", "exact", *given, "--out", tmp_path / "measured"),
        ("explain", "http://host4.example/4", "--run", tmp_path / "out"),
        ("report", "--run", tmp_path / "out", "--out", tmp_path / "report.html"),
    ):
        done = without(EVERY, *command)
        assert done.returncode == 0, done.stderr


def test_the_extras_are_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert set(EXTRAS) == set(extras) - {"all", "dev"}
    assert extras["all"] == [f"refinery[{','.join(EXTRAS)}]"]
    for _, module in EXTRAS.values():
        assert not any(line.startswith(module.replace("_", "-")) for line in project["dependencies"])
