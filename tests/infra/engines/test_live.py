"""The progress of a stage: rows and shares of partitions that are being made, the rate, and the time left."""

import time
from pathlib import Path

import pytest

from infra.dataset.receipts import RECEIPTS
from infra.engines.live import LivePart, Progress, Watch, read_progress, rows_of


def test_rows_are_seen_while_a_partition_is_made(tmp_path: Path) -> None:
    (tmp_path / RECEIPTS).mkdir()
    told: list[Progress] = []
    with Watch(tmp_path, "filter", found=1, total=3, report=told.append) as watch:
        assert (told[-1].done, told[-1].rows, told[-1].rate, told[-1].seconds_left) == (1, 0, None, None)
        part = LivePart(tmp_path, 1, total=200)
        part._written = 0.0  # a second ago and more
        part.add(100)
        deadline = time.monotonic() + 20
        while read_progress(tmp_path, "filter", made=1) is None and time.monotonic() < deadline:
            time.sleep(0.05)  # from the second one on
        seen = read_progress(tmp_path, "filter", made=1)  # as another process does
        assert seen is not None and (seen.rows, seen.parts, seen.total) == (100, 1.5, 3)
        while told[-1].rows < 100 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (told[-1].rows, told[-1].parts) == (100, 1.5)  # told by the clock: no partition has ended
        assert told[-1].seconds_left == pytest.approx(told[-1].seconds * 1.5 / 0.5)
        part.add(100)
        part.close()
        watch.finished()
        assert (told[-1].done, told[-1].rows, told[-1].parts) == (2, 200, 2.0)
        other = LivePart(tmp_path, 2, total=None)  # an archive: its pages are not known before
        other.add(50)
        other.close()
        watch.finished()
        assert (told[-1].done, told[-1].rows, told[-1].seconds_left) == (3, 250, 0.0)
    assert list((tmp_path / RECEIPTS).iterdir()) == []
    assert read_progress(tmp_path, "filter", made=3) is None


def test_a_folder_where_nothing_can_be_written_stops_no_work(tmp_path: Path) -> None:
    part = LivePart(tmp_path / "gone", 0, None)
    part._written = 0.0
    part.add(1)
    part.close()
    assert rows_of(()) is None
