"""Google's store by the same code as S3's: what a run makes there has the bytes that it has on disk."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import UsageError
from infra.storage import commit_shard, copy_file, lock, place, token_of, write_bytes, written_for
from infra.storage.client import client
from tests.gs_server import Bucket, gs_server
from tests.pipeline.command import made, refinery
from tests.pipeline.pages import write_crawl
from tests.pipeline.recipe_texts import BRIEF


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    client.cache_clear()
    with gs_server() as (environment, bucket):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield bucket
    client.cache_clear()


def test_objects(bucket: Bucket, tmp_path: Path) -> None:
    large = bytes(range(256)) * 2**16  # several parts
    for name, content in (("a/b.txt", b"text"), ("a/large", large), ("a/c/d", b""), ("a.txt", b"beside")):
        write_bytes(place(f"gs://some/{name}"), content)
        assert place(f"gs://some/{name}").read_bytes() == content
    folder = place("gs://some/a")
    assert sorted(path.name for path in folder.iterdir()) == ["b.txt", "c", "large"] and (folder / "c").is_dir()
    assert folder.sizes() == {"b.txt": 4, "c/d": 0, "large": len(large)}  # type: ignore[attr-defined]
    with (folder / "large").open("rb") as file:
        file.seek(-3, 2)
        assert file.read() == large[-3:]
    copy_file(folder / "b.txt", folder / "copy")
    (folder / "b.txt").unlink()
    assert (folder / "copy").read_bytes() == b"text" and not (folder / "b.txt").exists()


def test_a_shard_is_created_once_and_a_folder_has_one_writer(bucket: Bucket, tmp_path: Path) -> None:
    folder, new = place("gs://some/out"), tmp_path / "new"
    with lock(folder), written_for(token_of(folder)):
        for _ in range(2):
            new.write_bytes(b"rows")
            commit_shard(new, folder / "part", folder, hashlib.sha256(b"rows").hexdigest())
        written = bucket.objects["out/part"]
        with pytest.raises(UsageError, match="is writing into"), lock(folder):
            raise AssertionError("two writers")
    assert bucket.objects["out/part"] == written and written[0] == b"rows"


def test_a_run(bucket: Bucket, tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl")
    (tmp_path / "brief.toml").write_text(BRIEF)
    words = ("run", "--recipe", tmp_path / "brief.toml", "--input", tmp_path / "crawl", "--out")
    refinery(*words, tmp_path / "out")
    refinery(*words, "gs://some/out")
    assert made(place("gs://some/out")) == made(tmp_path / "out")
    assert "written" in refinery("verify", "gs://some/out/04-same-text")
