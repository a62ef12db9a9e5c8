"""The scratch folder is this process's alone."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import UsageError
from infra.storage import scratch
from infra.storage.scratch import scratch_folder, scratch_root


@pytest.fixture(autouse=True)
def _of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    scratch._folder.cache_clear()
    yield
    scratch._folder.cache_clear()


def test_a_folder_that_another_user_prepared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    root, user = scratch_root(), os.getuid()
    assert scratch_folder().is_dir()
    scratch._folder.cache_clear()
    monkeypatch.setattr(scratch, "scratch_root", lambda: root)
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    with pytest.raises(UsageError, match="belongs to another user: set TMPDIR"):
        scratch_folder()


def test_a_folder_that_is_removed_before_it_is_locked_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    flock, removed = fcntl.flock, list[Path]()

    def late(descriptor: int, how: int) -> None:
        """Another process is faster, once."""
        monkeypatch.setattr(fcntl, "flock", flock)
        removed.extend(scratch_root().iterdir())
        scratch._remove_if_free(removed[0])
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    folder = scratch_folder()
    assert folder.is_dir() and not removed[0].exists() and folder != removed[0]
