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


def test_options_that_would_not_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="scaling fit --curves reads no --loss: leave it out"):
        fit(tmp_path, ["25M"], loss="train/loss")
    with pytest.raises(UsageError, match="scaling fit --table reads no --fit:"):
        fit(None, ["25M"], table_file=tmp_path / "a.csv")
    with pytest.raises(UsageError, match="scaling check --curves reads no --params, --shares, --fit-below:"):
        check(tmp_path, ["25M"], "100M", params="N", shares=["a"], fit_below="1B")
    with pytest.raises(UsageError, match="--collapse reads no --first-steps:"):
        check(tmp_path, ["25M"], "100M", first_steps=10, collapsed=True)
    with pytest.raises(UsageError, match="check of 25M, which is fitted, reads no --calibrate-on:"):
        check(tmp_path, ["25M"], "25M", calibrate_on="cosine")
    with pytest.raises(UsageError, match="scaling check --table reads no --fit, --predict:"):
        check(None, ["25M"], "100M", table_file=tmp_path / "a.csv", fit_below="1B")
