"""The progress of a stage: rows and shares of partitions that are being made, the rate, and the time left."""

import time
from pathlib import Path

import pytest

from infra.dataset.receipts import RECEIPTS
from infra.engines.live import LiveJob, Progress, Watch, read_progress, rows_of


def test_rows_are_seen_while_a_partition_is_made(tmp_path: Path) -> None:
    (tmp_path / RECEIPTS).mkdir()
    told: list[Progress] = []
    with Watch(tmp_path, "filter", found=1, total=4, report=told.append) as watch:
        assert (told[-1].done, told[-1].rows, told[-1].rate, told[-1].seconds_left) == (1, 0, None, None)
        with LiveJob(tmp_path, 1, parts=1) as job:
            job.begin(200)
            job._written = 0.0  # a second ago and more
            job.add(100)
            deadline = time.monotonic() + 20
            while read_progress(tmp_path, "filter") is None and time.monotonic() < deadline:
                time.sleep(0.05)  # from the second one on
            seen = read_progress(tmp_path, "filter")  # as another process does
            assert seen is not None and (seen.rows, seen.parts, seen.total) == (100, 1.5, 4)
            while told[-1].rows < 100 and time.monotonic() < deadline:
                time.sleep(0.05)
            assert (told[-1].rows, told[-1].parts) == (100, 1.5)  # told by the clock: no partition has ended
            assert told[-1].seconds_left == pytest.approx(told[-1].seconds * 2.5 / 0.5)
            job.add(100)
            job.end({"size/min_words": 7})
        with LiveJob(tmp_path, 2, parts=2) as other:  # of archives: their pages are not known before
            for rows in (50, 0):
                other.begin(None)
                other.add(rows)
                other.end({"size/min_words": 2, "url/listed": 1})
        watch.finished(3)
        assert (told[-1].done, told[-1].rows, told[-1].parts, told[-1].seconds_left) == (4, 250, 4.0, 0.0)
        assert told[-1].rejected_by == {"size/min_words": 11, "url/listed": 2}
    assert list((tmp_path / RECEIPTS).iterdir()) == []
    assert read_progress(tmp_path, "filter") is None


def test_a_folder_where_nothing_can_be_written_stops_no_work(tmp_path: Path) -> None:
    with LiveJob(tmp_path / "gone", 0, 1) as job:
        job._written = 0.0
        job.add(1)
        job.end({})
    assert rows_of(()) is None
