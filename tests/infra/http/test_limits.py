"""The token bucket by a clock of the test's own."""

import pytest

from infra.http.limits import RECOVERY_SECONDS, HttpLimits, TokenBucket


def test_requests_are_evenly_spaced() -> None:
    bucket = TokenBucket(HttpLimits(requests_per_second=4))
    assert [bucket.take(1, 0, now=100.0).wait for _ in range(4)] == [0, 0.25, 0.5, 0.75]
    assert bucket.take(1, 0, now=200.0).wait == 0


def test_bytes_are_paid_after_they_came() -> None:
    bucket = TokenBucket(HttpLimits(bytes_per_second=1000))
    assert bucket.take(0, 500, now=10.0).wait == 0.5
    assert bucket.take(0, 1000, now=10.0).wait == 1.5
    assert bucket.take(0, 0, now=10.0).wait == 0
    unlimited = TokenBucket(HttpLimits())
    assert unlimited.take(0, 10**12, now=0.0).wait == 0


def test_a_busy_server_pauses_all_and_halves_the_rate_once_an_event() -> None:
    bucket = TokenBucket(HttpLimits(requests_per_second=16))
    before = bucket.take(1, 0, now=0.0)
    pauses = [bucket.slow(seconds, now=0.1).pauses for seconds in (5, 5, 3, 7)]
    assert pauses == [1, 1, 1, 2]
    assert bucket.answer().pauses != before.pauses  # so that what was reserved is asked for again
    assert bucket.take(1, 0, now=1.0).wait == pytest.approx(6.1)
    assert bucket.rate(1.0) == 8
    bucket.slow(1, now=20.0)
    assert bucket.rate(20.0) == 8 * 2 ** ((20 - 7.1) / RECOVERY_SECONDS) / 2
    assert bucket.rate(20.0 + 21 + 2 * RECOVERY_SECONDS) == 16


def test_the_rate_stays_above_one_a_second_or_the_budget() -> None:
    for most, least in ((16.0, 1.0), (0.25, 0.25)):
        bucket = TokenBucket(HttpLimits(requests_per_second=most))
        for event in range(50):
            bucket.slow(0.1, now=event * 2.0)
        assert bucket.rate(98.1) == pytest.approx(least, rel=0.1)


def test_a_stop_is_for_good() -> None:
    bucket = TokenBucket(HttpLimits())
    bucket.stop("first")
    assert bucket.stop("second").stopped == bucket.take(1, 0, now=5.0).stopped == "first"
