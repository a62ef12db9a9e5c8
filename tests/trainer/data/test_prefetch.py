"""Reading ahead: the same batches, errors where they belong, and no thread left behind."""

import threading
from pathlib import Path

import numpy as np
import pytest

from infra.errors import UsageError
from tests.trainer.data.made import Made, write_made
from trainer.data.cursor import START
from trainer.data.loader import Loader
from trainer.data.prefetch import Prefetcher
from trainer.data.tokens import TokenDataset


def threads() -> int:
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


def loader_of(folder: Path) -> Loader:
    return Loader(TokenDataset(write_made(folder / "d", [Made(str(i), "web", 9) for i in range(40)], 4)), 3, 8)


def test_it_gives_the_loaders_own_batches(tmp_path: Path) -> None:
    loader, cursor = loader_of(tmp_path), START
    with Prefetcher(loader, START, 9, 4, rank=1, world_size=2) as batches:
        found = list(batches)
    assert len(found) == 9 and threads() == 0
    for batch, after in found:
        expected, cursor = loader.batch(cursor, 4, 1, 2)
        assert after == cursor and (batch.inputs == expected.inputs).all()


def test_an_error_is_raised_in_the_place_of_its_batch(tmp_path: Path) -> None:
    loader = loader_of(tmp_path)
    shard = tmp_path / "d" / "part-00003.bin"
    whole, cursor = shard.read_bytes(), START
    first = 0
    while not (loader.dataset.documents.shards[loader.sequences.read(cursor, 1)[0].documents] == 3).any():
        _, cursor = loader.batch(cursor, 1)
        first += 1
    shard.write_bytes(whole[:-2])
    taken = 0
    with pytest.raises(UsageError, match=r"part-00003\.bin"):  # noqa: SIM117
        with Prefetcher(loader, START, 40, 1) as batches:
            for _ in batches:
                taken += 1
    assert taken == first and threads() == 0


def test_the_thread_ends_when_the_reader_stops_early(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):  # noqa: SIM117
        with Prefetcher(loader_of(tmp_path), START, 10_000, 4, depth=1) as batches:
            for batch, _ in batches:
                assert np.isfinite(batch.inputs).all()
                raise KeyboardInterrupt
    assert threads() == 0
