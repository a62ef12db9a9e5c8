"""What a pipeline of Beam's leaves behind, and what it asks for."""

import tempfile
from pathlib import Path

import pytest

from infra.engines.beam import BeamEngine
from infra.engines.open import open_engine
from infra.errors import UsageError
from infra.storage import scratch_folder
from tests.infra.toy import Count, Slices, header


@pytest.mark.parametrize(
    "options", ["", " --runner=direct", " --runner=DirectRunner", " --runner=SwitchingDirectRunner"]
)
def test_a_pipeline_leaves_no_temporary_files_and_downloads_no_runner(
    options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of other machines cannot be looked up in tests: what asks for one fails."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    scratch_folder()  # where it was before
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with open_engine(f"beam{options}") as engine:
        engine.map_shards(Count(), [Slices()], tmp_path / "out", header())
    assert list(temporary.iterdir()) == []
    assert tempfile.tempdir == str(temporary)


def test_options_in_the_environment_that_are_no_words_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFINERY_BEAM_OPTIONS", "--runner='FlinkRunner")
    with pytest.raises(UsageError, match="REFINERY_BEAM_OPTIONS cannot be read: No closing quotation"):
        BeamEngine()
