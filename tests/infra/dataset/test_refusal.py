"""A refused command takes its claim back: never one that is older, holds shards or is that of another process."""

from pathlib import Path

import pytest

from infra.dataset.claim import claim
from infra.dataset.refusal import no_empty_folders
from infra.errors import UsageError, WorkError
from infra.storage import lock


def refused(folder: Path, *files: str, error: type[Exception] = UsageError, arguments: str = "one") -> None:
    """A command that claims `folder`, writes these files into it and fails."""
    with pytest.raises(error), claim(folder, {"arguments": arguments}):
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("x")
        raise error("no")


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("files", [(), ("ledger/.tmp-part",), (".work/labels/part-00000.parquet", "recipe.json")])
def test_a_new_folder_goes_with_those_above_it(files: tuple[str, ...], tmp_path: Path) -> None:
    refused(tmp_path / "a" / "b" / "c", *files)
    assert everything(tmp_path) == []


def test_a_folder_that_was_there_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    refused(tmp_path, ".work/labels/part-00000.parquet", "recipe.json")
    assert everything(tmp_path) == ["notes.txt"]
    with claim(tmp_path, {"arguments": "other"}):  # the corrected command is not refused
        pass


@pytest.mark.parametrize("shard", ["part-00000.parquet", "02-extract/.receipts/part-00000.json"])
def test_shards_stay(shard: str, tmp_path: Path) -> None:
    refused(tmp_path / "out", shard)
    assert (tmp_path / "out" / shard).is_file() and (tmp_path / "out" / ".receipts" / "header.json").is_file()


def test_what_failed_for_another_reason_stays(tmp_path: Path) -> None:
    refused(tmp_path / "out", error=WorkError)
    assert (tmp_path / "out" / ".receipts" / "header.json").is_file()


def test_an_older_claim_stays(tmp_path: Path) -> None:
    refused(tmp_path / "out", error=WorkError)
    before = everything(tmp_path)
    refused(tmp_path / "out")
    with pytest.raises(UsageError, match="other arguments"), claim(tmp_path / "out", {"arguments": "other"}):
        pass
    assert everything(tmp_path) == before


def test_another_process_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with lock(out):
        (out / "mine").write_text("x")
        with pytest.raises(UsageError, match="another process"), claim(out, {}):
            pass
        assert everything(out) == [".lock", "mine"]


def test_folders_of_a_file_stay_if_something_is_in_them(tmp_path: Path) -> None:
    for name in ("models/en/words.tsv", "models/zh/words.tsv"):
        with pytest.raises(UsageError), no_empty_folders(tmp_path / name):
            (tmp_path / name).parent.mkdir(parents=True)
            if "en" in name:
                (tmp_path / "models" / "other.bin").write_text("x")
            raise UsageError("no")
    assert everything(tmp_path) == ["models", "models/other.bin"]
