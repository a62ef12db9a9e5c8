"""The command `scaling`: mistakes are told in a line."""

from pathlib import Path

import pytest

from infra.errors import UsageError
from pipeline.cli.scaling import check, fit


@pytest.mark.parametrize("out", [".", "no/such/law.json"])
def test_a_law_is_written_to_a_file_in_a_folder_that_is_there(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="name a file"):
        fit(tmp_path / "curves", ["25M"], Path(out))
    assert not [*tmp_path.iterdir()]


def test_two_checks_at_once_are_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="are two checks: give one of them"):
        check(curves=tmp_path, table_file=tmp_path / "a.csv")
    with pytest.raises(UsageError, match="give --curves DIR, or --table FILE"):
        check()
