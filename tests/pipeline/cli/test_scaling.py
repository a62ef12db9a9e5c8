"""The command `scaling`: mistakes are told in a line."""

from pathlib import Path

import pytest

from infra.errors import UsageError
from pipeline.cli.scaling import fit


@pytest.mark.parametrize("out", [".", "no/such/law.json"])
def test_a_law_is_written_to_a_file_in_a_folder_that_is_there(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="name a file"):
        fit(tmp_path / "curves", ["25M"], Path(out))
    assert not [*tmp_path.iterdir()]
