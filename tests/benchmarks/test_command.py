"""The one way to run a benchmark: each has a claim, options and a line in the README."""

from pathlib import Path

import pytest

from benchmarks.__main__ import NAMES, claim, main, parsed

README = Path(__file__).parents[2] / "benchmarks" / "README.md"


def test_without_a_name_it_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0 and main(["nonsense"]) == 2
    told = capsys.readouterr().out
    assert all(told.count(f"\n{name} ") == 2 and claim(name) in told for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_has_options_and_is_in_the_readme(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parsed(name, ["--help"])
    assert left.value.code == 0
    assert f"python -m benchmarks {name} " in capsys.readouterr().out
    assert f"| `{name}` |" in README.read_text()
