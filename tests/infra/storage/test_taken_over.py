"""A driver that was stopped between two moves of files does not go on when another has taken its folder over."""

from pathlib import Path
from unittest import mock

import pytest

from infra.dataset import placing
from infra.dataset.reader import Dataset
from infra.engines.open import open_engine
from infra.errors import WorkError
from infra.storage import lease, move_file
from tests.infra.dataset.test_placing import make


def test_a_driver_that_wakes_up_moves_no_file_of_another(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[Path] = []

    def stopped_at_the_second(file: Path, final: Path) -> None:
        moves.append(file)
        move_file(file, final)
        if len(moves) == 1:
            held = dict(lease._held)
            for one in held.values():
                one._end.set()  # its thread sleeps too
            lease._held.clear()
            with mock.patch.object(lease, "_is_dead_here", lambda _: True), open_engine("local") as other:
                make(other, root, range(4))
            lease._held.update(held)
            for one in held.values():
                one.renewed -= lease.LEASE_SECONDS

    monkeypatch.setattr(placing, "move_file", stopped_at_the_second)
    with open_engine("local") as engine:
        make(engine, root, range(1, 4))
        with pytest.raises(WorkError, match="another driver has taken over"):
            make(engine, root, range(4))
    assert Dataset(root).verify() == []
