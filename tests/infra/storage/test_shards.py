"""A worker whose driver has lost the folder writes over no shard; one whose driver has it does, and the same bytes are
done already."""

from pathlib import Path

import pytest

from infra.errors import WorkError
from infra.hashing import sha256_bytes
from infra.storage import commit_shard, lock, place, temporary_name, token_of, written_for
from infra.storage import shards as module
from tests.s3_server import Server, says


@pytest.fixture(params=["disk", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path if request.param == "disk" else request.getfixturevalue("root")


def written(folder: Path, content: bytes) -> Path:
    final = folder / "part-00000.parquet"
    temporary = temporary_name(final)
    temporary.write_bytes(content)
    try:
        commit_shard(temporary, final, folder, sha256_bytes(content))
        assert not temporary.exists()
    finally:
        temporary.unlink(missing_ok=True)
    return final


@pytest.mark.parametrize("most", [2**20, 1])
def test_a_worker_that_wakes_late(folder: Path, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CREATE_BYTES", most)
    with lock(folder):
        former = token_of(folder)
        with written_for(former):
            final = written(folder, b"of one input")
    with lock(folder):
        with written_for(token_of(folder)):
            assert written(folder, b"of two inputs").read_bytes() == b"of two inputs"
        with written_for(former):
            assert written(folder, b"of two inputs").read_bytes() == b"of two inputs"
            for late in (b"of one input", b"OF TWO INPUTS"):
                with pytest.raises(WorkError, match="another run has written it"):
                    written(folder, late)
    with written_for(former), pytest.raises(WorkError):  # nobody holds it now
        written(folder, b"of one input")
    assert final.read_bytes() == b"of two inputs"


def test_between_the_look_and_the_write(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is stopped there has compared another state."""
    holder = module.is_holder

    def stopped(folder: Path, owner: str) -> bool:
        held = holder(folder, owner)
        final = place(f"{folder}/part-00000.parquet")
        final.store.put(final.key, b"of another")  # type: ignore[attr-defined]
        return held

    monkeypatch.setattr(module, "is_holder", stopped)
    with lock(root), written_for(token_of(root)):
        written(root, b"of one")
        with pytest.raises(WorkError):
            written(root, b"of two")
    assert (root / "part-00000.parquet").read_bytes() == b"of another"


def test_a_shard_is_one_request(root: Path, server: Server) -> None:
    with lock(root), written_for(token_of(root)):
        server.requests.clear()
        written(root, b"a")
        assert [(method, path) for method, path in server.requests if ".lock" not in path] == [
            ("PUT", f"/{root.bucket}/{root.key}/part-00000.parquet")  # type: ignore[attr-defined]
        ]


def of_shards(method: str, path: str) -> bool:
    return method == "PUT" and "part-" in path


@pytest.mark.parametrize("code", ["409 Conflict", "412 Precondition Failed"])
def test_a_name_that_is_said_to_be_taken_and_is_free(code: str, root: Path, server: Server) -> None:
    """409: two conditional requests came at once, and neither need have been done; 412: what was there is deleted."""
    with lock(root), written_for(token_of(root)):
        server.fail(says(code, "ConditionalRequestConflict"), 2, of_shards)
        assert written(root, b"a").read_bytes() == b"a"
        assert server.faults == []


def test_a_name_that_is_never_free(root: Path, tmp_path: Path, server: Server) -> None:
    (tmp_path / "part-00000.parquet").symlink_to(tmp_path / "nowhere")
    server.fail(says("412 Precondition Failed", "PreconditionFailed"), 100, of_shards)
    for folder in (tmp_path, root):
        with lock(folder), written_for(token_of(folder)), pytest.raises(WorkError, match="comes and goes"):
            written(folder, b"a")


def test_a_disk_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(module.os, "link", refused)
    with lock(tmp_path), written_for(token_of(tmp_path)):
        written(tmp_path, b"a")
        assert written(tmp_path, b"b").read_bytes() == b"b"
