"""`import refinery` is light, typed, and has what it says it has."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pyarrow as pa
import pytest

import refinery as rf
from infra import errors
from tests.files import ROOT, python
from tests.pipeline.command import made, refinery
from tests.pipeline.pages import write_crawl

HEAVY = ("apache_beam", "numba", "numpy", "pyarrow", "ray", "rich", "torch", "typer")
TYPED = """
import refinery as rf

reveal_type(rf.run("yi", ["a.warc.gz"], out="out", workers=2).last)
reveal_type(rf.generate("control", "The sea"))
rf.run(out="out")
rf.nothing
"""


def test_the_import_loads_no_library() -> None:
    assert python(f"import sys, refinery; print([name for name in {HEAVY} if name in sys.modules])").strip() == "[]"


def test_a_name_loads_its_module_alone() -> None:
    code = "import sys, refinery as rf\nrf.load_recipe('exact'), rf.train, rf.run\n"
    assert python(code + "print({'torch', 'ray', 'apache_beam'} & set(sys.modules))").strip() == "set()"


def test_every_name_is_there_and_no_other() -> None:
    for name in rf.__all__:
        assert getattr(rf, name) is not None
    assert set(dir(rf)) == {*rf.__all__, "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        _ = rf.runn  # type: ignore[attr-defined]


def test_the_version_is_the_packages() -> None:
    assert rf.__version__ == version("refinery")


def test_errors_are_those_that_the_engine_raises() -> None:
    for name in ("RefineryError", "UsageError", "WorkError"):
        assert getattr(rf, name) is getattr(errors, name)


@pytest.mark.long
def test_a_type_checker_sees_the_signatures(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TYPED)
    words = ["-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path / "mine.py")]
    told = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True).stdout
    for line in (
        r'Revealed type is "infra\.dataset\.\w+\.Dataset"',
        r'Revealed type is "(builtins\.)?str"',
        'Missing positional argument "recipe"',
        'Module has no attribute "nothing"',
    ):
        assert re.search(line, told), told


def test_a_run_is_the_command_lines(tmp_path: Path) -> None:
    """The same bytes; paths may be Paths, and one input needs no list."""
    write_crawl(tmp_path / "crawl", files=2)
    finished = rf.run("exact", tmp_path / "crawl", tmp_path / "a", workers=1)
    refinery("run", "--recipe", "exact", "--input", tmp_path / "crawl", "--out", tmp_path / "b")
    assert made(tmp_path / "a") == made(tmp_path / "b")
    assert rf.open_dataset(tmp_path / "a").folder == finished.last.folder


@pytest.fixture
def documents(tmp_path: Path) -> rf.Dataset:
    (tmp_path / "given.jsonl").write_text('{"text": "one text"}\n{"text": "another text"}\n{"text": "one text"}\n')
    return rf.run("exact", tmp_path / "given.jsonl", tmp_path / "out").last


def test_rows_as_arrow(documents: rf.Dataset) -> None:
    table = documents.to_arrow(["text", "copies"])
    assert table.to_pydict() == {"text": ["one text", "another text"], "copies": [2, 1]}
    assert pa.Table.from_batches(documents.batches(["text", "copies"])) == table


def test_rows_as_polars(documents: rf.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    polars = ModuleType("polars")
    polars.from_arrow = lambda table: ("frame", table)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "polars", polars)
    assert documents.to_polars(["text"]) == ("frame", documents.to_arrow(["text"]))
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(rf.UsageError, match="pip install polars"):
        documents.to_polars()


def test_what_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(rf.UsageError, match="neither a finished dataset nor a finished run"):
        rf.open_dataset(tmp_path)


@pytest.mark.parametrize("name", ["ray", "beam"])
def test_no_engine_is_started_for_what_is_refused(name: str, tmp_path: Path) -> None:
    code = f"""
        import sys, refinery as rf
        for call, recipes in ((rf.run, "nameless"), (rf.compare, ["exact", "nameless"])):
            for given in ("nowhere.warc.gz", {ROOT.as_posix()!r}):
                try:
                    call(recipes, given, "out", engine={name!r})
                except rf.UsageError:
                    print(sorted({{"ray", "apache_beam"}} & set(sys.modules)))
    """
    assert python(dedent(code), cwd=tmp_path) == "[]\n" * 4
    assert list(tmp_path.iterdir()) == []


def test_a_script_without_a_guard_is_told_what_to_do(tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl", files=2)
    (tmp_path / "script.py").write_text("import refinery as rf\nrf.run('exact', 'crawl', 'out', workers=2)\n")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr
