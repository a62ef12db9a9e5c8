"""A path of objects is read like a path of this machine; what it cannot do raises."""

import copy
import io
import os
import pickle
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.dataset.claim import claim
from infra.engines.failures import leave, take_failure
from infra.errors import UsageError, WorkError
from infra.storage import (
    ObjectPath,
    ObjectRanges,
    copy_file,
    move_file,
    new_file,
    new_folder,
    place,
    read_json,
    remove_folder,
    write_bytes,
)
from infra.storage.object_file import BLOCK_BYTES, WHOLE_BYTES
from infra.storage.scratch import scratch_folder
from tests.s3_server import ENVIRONMENT, Server

KEYS = ("a/b/c.parquet", "a/b/d.parquet", "a/e.parquet", "a/part-1.json", "ab/f.parquet", "g[1].gz")
ODD = ("a b%20+ü#?.txt", "a:b=c&d~'(!*)", "%25", "日本/.x")


@pytest.mark.parametrize("text", ["s3://bucket/a/b.parquet", "s3:/bucket/a/b.parquet", "gs://bucket/a/b.parquet"])
def test_a_url_is_a_path(text: str) -> None:
    path = place(text)
    scheme = text[:2]
    assert isinstance(path, ObjectPath) and str(path) == path.as_posix() == f"{scheme}://bucket/a/b.parquet"
    assert (path.name, path.stem, path.suffix) == ("b.parquet", "b", ".parquet")
    assert [str(parent) for parent in path.parents] == [f"{scheme}://bucket/a", f"{scheme}://bucket"]
    assert path.parents[1].parent == path.parents[1]
    assert str(path.with_name("c")) == str(path.parent / "c") == f"{scheme}://bucket/a/c"
    assert path.relative_to(path.parents[1]) == Path("a/b.parquet")
    assert path.is_relative_to(path.parent) and not path.is_relative_to(Path("/a"))
    for same in (pickle.loads(pickle.dumps(path)), copy.copy(path), place(path), place(str(path)), path.resolve()):
        assert same == path and hash(same) == hash(path) and isinstance(same, ObjectPath)
    assert path != Path(*path.parts) and sorted([path / "b", path / "a"]) == [path / "a", path / "b"]


@pytest.mark.parametrize("text", ["s3:", "s3:/", "s3://", "gs://", "s3:///", "s3:///a/b"])
def test_a_url_has_a_bucket(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"{text[:2]}:// without a bucket"):
        place(text)
    (tmp_path / "s3:").mkdir()
    assert not isinstance(place(Path("s3:")), ObjectPath)


@pytest.mark.parametrize("text", ["a/b", "/a", "s3", "C:/a", "notes: s3://x/y", "https://host/a"])
def test_all_else_is_on_this_machine(text: str) -> None:
    assert place(text) == Path(text) and not isinstance(place(text), ObjectPath)


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    for text in ("s3://KEY:hidden@bucket/a", "s3://KEY:hidden@", "s3://bucket/a/../b"):
        with pytest.raises(UsageError) as refused:
            place(text)
        assert "hidden" not in str(refused.value)


def test_no_call_of_the_system_takes_it_for_a_local_path(root: Path, tmp_path: Path, monkeypatch: object) -> None:
    write_bytes(root / "a", b"x")
    calls = (
        lambda: os.fspath(root),
        lambda: (root / "a").touch(),
        lambda: (root / "a").rename(root / "b"),
        lambda: (root / "a").replace(root / "b"),
        lambda: (root / "a").write_bytes(b"y"),
        lambda: (root / "a").write_text("y"),
        lambda: (root / "a").open("ab"),
        lambda: (root / "a").symlink_to("b"),
        lambda: (root / "a").chmod(0o600),
        lambda: root.rmdir(),
        lambda: pq.read_table(root / "a"),
    )
    for call in calls:
        with pytest.raises((TypeError, io.UnsupportedOperation)):
            call()
    with pytest.raises(UsageError, match="name a folder on this machine"), new_folder(root / "model"):
        pass
    assert (root / "a").read_bytes() == b"x"


def test_what_is_there(root: Path) -> None:
    for key in (*KEYS, *ODD):
        write_bytes(root / key, key.encode())
    for key in (*KEYS, *ODD):
        assert (root / key).read_bytes() == key.encode() and (root / key).stat().st_size == len(key.encode())
    names = {PurePosixPath(key).parts[0] for key in (*KEYS, *ODD)}
    assert [path.name for path in root.iterdir()] == sorted(names)

    def found(pattern: str) -> list[str]:
        return [path.relative_to(root).as_posix() for path in root.glob(pattern)]

    assert found("a*") == ["a", "a b%20+ü#?.txt", "a:b=c&d~'(!*)", "ab"]
    assert found("a/*.parquet") == ["a/e.parquet"]
    assert found("**/*.parquet") == [key for key in KEYS if key.endswith("parquet")]
    assert (
        found("**/b/*") == [*KEYS[:2]] and found("g[[]1].gz") == ["g[1].gz"] and found("?/part-[!2].json") == [KEYS[3]]
    )
    assert [path.relative_to(root).as_posix() for path in root.rglob("part-*")] == ["a/part-1.json"]
    assert (root / "a").is_dir() and not (root / "a").is_file() and (root / "a").exists() and root.parent.is_dir()
    assert (root / KEYS[0]).is_file() and not (root / KEYS[0]).is_dir() and not root.parent.is_file()
    for missing in (root / "a/b/c", root / "no", root / "no/no"):
        assert not missing.exists() and read_json(missing) is None and list(missing.iterdir()) == []
        for reads in (missing.read_bytes, missing.stat, lambda missing=missing: missing.open("rb")):
            with pytest.raises(FileNotFoundError, match="no such object"):
                reads()
    (root / KEYS[0]).unlink()
    (root / KEYS[0]).unlink(missing_ok=True)
    remove_folder(root / "a")
    assert not (root / "a").exists() and (root / "ab").exists()


def test_files_are_copied_and_moved(root: Path, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"one")
    copy_file(tmp_path / "here", root / "a/there")
    copy_file(root / "a/there", root / "b/again")
    copy_file(root / "b/again", tmp_path / "back" / "file")
    move_file(root / "b/again", root / "c/moved")
    assert (tmp_path / "back" / "file").read_bytes() == (root / "c/moved").read_bytes() == b"one"
    assert not (root / "b").exists() and (root / "a/there").exists()
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["file"]


def test_a_failed_write_leaves_nothing(root: Path, tmp_path: Path) -> None:
    for final in (root / "a", tmp_path / "a"):
        with pytest.raises(ValueError, match="stop"), new_file(final) as temporary:
            temporary.write_bytes(b"half")
            raise ValueError("stop")
        assert not final.exists() and not temporary.exists()
    assert [path.name for path in scratch_folder().iterdir()] == ["lock"] and list(tmp_path.iterdir()) == []


def test_a_large_object_is_read_by_ranges(root: Path, server: Server) -> None:
    content = os.urandom(2**20) * (WHOLE_BYTES // 2**20 + 3)
    with new_file(root / "large") as temporary:
        temporary.write_bytes(content)
    server.requests.clear()
    with (root / "large").open("rb") as file:
        assert (file.seek(-100, io.SEEK_END), file.read()) == (len(content) - 100, content[-100:])
        file.seek(BLOCK_BYTES - 7)
        assert file.read(20) == content[BLOCK_BYTES - 7 :][:20]
        assert len(server.requests) == 3
        file.seek(0)
        assert file.read() == content and file.read() == b""


def test_parquet_in_a_small_object_is_one_request(root: Path, server: Server) -> None:
    table = pa.table({"number": list(range(5000))})
    with new_file(root / "a.parquet") as temporary:
        pq.write_table(table, temporary, row_group_size=100)
    server.requests.clear()
    with (root / "a.parquet").open("rb") as file, pq.ParquetFile(file) as parquet:
        assert parquet.read(["number"]) == table
    assert [method for method, _ in server.requests] == ["GET"]


def test_no_secret_is_shown(root: Path) -> None:
    secret = ENVIRONMENT["AWS_SECRET_ACCESS_KEY"].encode()
    write_bytes(root / "a", b"x")
    shown = b"".join((repr(root).encode(), pickle.dumps(root), str(vars(root)).encode()))
    assert secret not in shown and ENVIRONMENT["AWS_ACCESS_KEY_ID"].encode() not in shown


def test_a_file_that_is_written_over_is_not_read_as_a_mixture(root: Path) -> None:
    path, size = root / "a", WHOLE_BYTES + 2 * BLOCK_BYTES
    write_bytes(path, b"a" * size)
    with path.open("rb") as file:
        ranges = ObjectRanges(path)
        assert file.read(9) == ranges.read(size - 9, 99) == b"a" * 9
        write_bytes(path, b"b" * size)
        file.seek(size - 9)
        for reads in (lambda: file.read(9), lambda: ranges.read(0, 9)):
            with pytest.raises(WorkError, match="a was written over while it was read"):
                reads()


def test_what_a_killed_run_left_for_others_to_read_is_removed_by_the_next(root: Path) -> None:
    leave(root, ValueError("of another run"))
    with claim(root, {}):
        assert take_failure(root) is None
