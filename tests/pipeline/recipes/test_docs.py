"""What docs/recipes.md says of changes is run: files are written, and each line shown is in what the command prints."""

import re
import shlex
from pathlib import Path

import pytest

from pipeline.cli.app import main
from tests.pipeline.command import ROOT

SECTION = (ROOT / "docs" / "recipes.md").read_text().split("## Change a recipe\n")[1].split("\n## ")[0]
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_section_on_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    printed: list[str] = []
    kinds = [kind for kind, _, _ in BLOCK.findall(SECTION)]
    assert kinds == ["sh", "text", "sh", "text", "toml", "sh", "text"]
    for kind, name, content in BLOCK.findall(SECTION):
        if kind == "toml":
            Path(name).write_text(content)
        elif kind == "sh":
            for line in content.splitlines():
                with pytest.raises(SystemExit) as done:
                    main(shlex.split(line)[1:])
                assert not done.value.code
            printed = capsys.readouterr().out.splitlines()
        else:
            assert [line for line in content.splitlines() if line not in printed] == []
