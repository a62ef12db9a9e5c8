"""A dataset in an object store: the same batches from copies that are compared with their hashes."""

from pathlib import Path

import pytest

from infra.errors import UsageError
from infra.storage import place, write_bytes
from tests.s3_server import Server
from tests.trainer.data.made import Made, write_made
from trainer.data.cursor import START
from trainer.data.loader import Loader, evaluation_batches
from trainer.data.prefetch import Prefetcher
from trainer.data.tokens import TokenDataset

ROWS = [Made(f"d{i}", "web" if i % 2 else "books", 9 + i % 7) for i in range(60)]


@pytest.fixture
def local(tmp_path: Path) -> Path:
    return write_made(tmp_path / "local", ROWS, 6)


@pytest.fixture
def remote(local: Path, root: Path) -> Path:
    """The same dataset as objects."""
    for file in local.iterdir():
        upload(file, root / file.name)
    return root


def upload(file: Path, target: Path) -> None:
    write_bytes(target, file.read_bytes())


def reads(server: Server, name: str) -> int:
    return sum(method == "GET" and name in path for method, path in server.requests)


def test_batches_are_those_of_the_local_dataset(local: Path, remote: Path, server: Server, tmp_path: Path) -> None:
    here = Loader(TokenDataset(local), 3, 16)
    server.requests.clear()
    cache = tmp_path / "cache"
    there = Loader(TokenDataset(remote, cache), 3, 16)
    assert not list(cache.glob("*.bin")) and there.dataset.ref == here.dataset.ref
    assert reads(server, ".bin") == reads(server, ".parquet?") == reads(server, "documents.parquet") == 0
    cursor = START
    with Prefetcher(there, START, 12, 4) as batches:
        for batch, after in batches:
            expected, cursor = here.batch(cursor, 4)
            assert after == cursor
            assert all((a == b).all() for a, b in zip(batch, expected, strict=True))
    assert len(list(cache.glob("*.bin"))) == 6
    assert [reads(server, f"part-{i:05d}.bin") for i in range(6)] == [1] * 6
    server.requests.clear()
    again = Loader(TokenDataset(remote, cache), 3, 16)
    assert again.batch(START, 40)[0].targets.shape == (40, 16)
    assert reads(server, ".bin") == reads(server, ".arrow") == 0
    assert not list(cache.glob("*.lock")) and not list(cache.glob(".tmp-*"))


def test_a_shard_is_fetched_when_it_is_first_read(remote: Path, server: Server, tmp_path: Path) -> None:
    dataset = TokenDataset(remote, tmp_path / "cache")
    dataset.tokens(0, 0, 3)
    assert reads(server, "part-00000.bin") == 1 and reads(server, ".bin") == 1
    assert dataset.tokenizer == b"not a real one"


def test_an_object_that_is_not_what_the_manifest_names_is_refused(remote: Path, tmp_path: Path) -> None:
    write_bytes(remote / "part-00002.bin", b"\0" * (remote / "part-00002.bin").stat().st_size)
    dataset = TokenDataset(remote, tmp_path / "cache")
    with pytest.raises(UsageError, match=r"part-00002\.bin is not the file that the manifest names"):
        list(evaluation_batches(dataset, 16, 8))
    assert not [file for file in (tmp_path / "cache").iterdir() if file.suffix in (".lock", "")]


def test_names_are_read_from_the_store(remote: Path, tmp_path: Path) -> None:
    dataset = TokenDataset(remote, tmp_path / "cache")
    assert dataset.find("d7").tolist() == dataset.find("https://example.org/d7").tolist() == [7]
    assert dataset.find("d60").tolist() == []


def test_copies_are_in_the_users_cache_folder(remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    TokenDataset(place(f"{remote}/manifest.json"))
    assert [file.suffix for file in (tmp_path / "xdg/refinery/tokens").iterdir()] == [".arrow"]
