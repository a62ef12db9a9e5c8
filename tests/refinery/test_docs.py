"""docs/python.md lists what `refinery` has, with the signatures that it has, and its examples print what it says."""

import inspect
import io
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import refinery as rf
from pipeline.cli.app import main
from tests.commoncrawl.bucket import write_bucket
from tests.files import ROOT, write_rows
from tests.pipeline.pages import pages, sentences, write_crawl, write_warc

PAGE = (ROOT / "docs/python.md").read_text()
SECTION = re.compile(r"^### (\w+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = dict(SECTION.findall(PAGE))
# Functions, and types that users make; the others are returned, raised or looked up.
CALLED = [name for name in rf.__all__ if inspect.isfunction(getattr(rf, name))] + ["Rule", "Signal", "View"]


def test_the_page_has_every_public_name() -> None:
    assert sorted(SECTIONS) == sorted(rf.__all__)


@pytest.mark.parametrize("name", CALLED)
def test_its_signatures_are_the_packages(name: str) -> None:
    parameters = inspect.signature(getattr(rf, name)).parameters.values()
    bare = inspect.Signature([each.replace(annotation=inspect.Parameter.empty) for each in parameters])
    assert f"`rf.{name}{bare}`" in SECTIONS[name]


@pytest.mark.parametrize("name", rf.__all__)
def test_every_name_has_an_example(name: str) -> None:
    examples = [code for kind, code in BLOCK.findall(SECTIONS[name]) if kind == "python"]
    if name in ("Run", "Dataset", "Recipe"):
        assert examples  # of what a function gave
    else:
        assert any(f"rf.{name}" in code for code in examples)


def test_its_examples_print_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_crawl(tmp_path / "crawl", files=1)
    (tmp_path / "more").mkdir()
    write_warc(tmp_path / "more" / "part-1.warc.gz", pages(40, 40))
    for name, first, count in (("texts", 0, 60), ("held-out", 400, 12)):
        rows = [{"text": " ".join(sentences(first + n)), "domain": "science"} for n in range(count)]
        write_rows(tmp_path / f"{name}.jsonl", rows)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REFINERY_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("REFINERY_SOURCE", str(write_bucket(tmp_path / "bucket", each=6)))
    space = {"__name__": "__main__"}
    printed = ""
    for kind, content in BLOCK.findall(PAGE):
        if kind == "python":
            with redirect_stdout(io.StringIO()) as out:
                exec(compile(content, "docs/python.md", "exec"), space)
            printed = out.getvalue()
        elif kind == "sh":
            for line in content.splitlines():
                with pytest.raises(SystemExit) as done:
                    main(shlex.split(line)[1:])
                assert not done.value.code
        else:
            assert (kind, printed) == ("text", content)
