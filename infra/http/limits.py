"""How fast and how patiently a run asks a server: its limits, and the token bucket that keeps to them.

The bucket holds no thread and no clock: who asks tells it the time, so that one bucket can stand behind a lock in this
process or behind a socket for all processes of a run (`budget.py`).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

# Common Crawl's status page calls one try a second polite, however busy the server is.
LEAST_REQUESTS_PER_SECOND = 1.0
# A server that was busy is trusted with twice the rate after so long without a further refusal.
RECOVERY_SECONDS = 30.0
# Refusals within this time are one event: requests under way when the server became busy are refused together.
ONE_EVENT_SECONDS = 1.0


@dataclass(frozen=True)
class HttpLimits:
    """Of a whole run, on however many machines.

    `bytes_per_second`: None for no limit. `first_wait`, `longest_wait`: seconds of the exponential back-off.
    `patience`: seconds of nothing but failures after which a file is given up. `stall`: seconds without a byte, or with
    less than a kibibyte each, after which a connection is left and the file resumed. All are above zero.
    """

    requests_per_second: float = 20.0
    bytes_per_second: float | None = None
    first_wait: float = 1.0
    longest_wait: float = 60.0
    patience: float = 3600.0
    stall: float = 30.0


class Answer(NamedTuple):
    """`wait`: seconds until what was asked for may be done. `pauses`: how many pauses there were; a reservation made
    before the last of them no longer holds. `stopped`: why nobody may go on, or nothing."""

    wait: float
    pauses: int
    stopped: str = ""


@dataclass
class TokenBucket:
    """Requests evenly spaced, bytes paid for after they came, and a pause for all while the server is busy."""

    limits: HttpLimits
    _request_at: float = 0.0
    _bytes_at: float = 0.0
    _paused_until: float = 0.0
    _pauses: int = 0
    _share: float = 1.0
    _slowed_at: float = field(default=float("-inf"))
    _stopped: str = ""

    def take(self, requests: int, size: int, now: float) -> Answer:
        """Reserves `requests` requests and pays for `size` bytes."""
        wait = max(0.0, self._paused_until - now)
        if requests:
            at = max(now + wait, self._request_at)
            self._request_at = at + requests / self.rate(now)
            wait = at - now
        if size and self.limits.bytes_per_second:
            self._bytes_at = max(now, self._bytes_at) + size / self.limits.bytes_per_second
            wait = max(wait, self._bytes_at - now)
        return self.answer(wait)

    def slow(self, seconds: float, now: float) -> Answer:
        """The server is busy: nobody asks for so long, and then all together half as often."""
        if now - self._slowed_at >= ONE_EVENT_SECONDS:
            self._share = self._share_at(now) / 2
            self._slowed_at = now
        if now + seconds > self._paused_until:
            self._paused_until = self._request_at = now + seconds
            self._pauses += 1
        return self.answer(seconds)

    def stop(self, why: str) -> Answer:
        """Nobody asks any more."""
        self._stopped = self._stopped or why
        return self.answer(0.0)

    def answer(self, wait: float = 0.0) -> Answer:
        return Answer(wait, self._pauses, self._stopped)

    def rate(self, now: float) -> float:
        """Requests a second at this time."""
        most = self.limits.requests_per_second
        return max(most * self._share_at(now), min(most, LEAST_REQUESTS_PER_SECOND))

    def _share_at(self, now: float) -> float:
        if self._share >= 1.0:
            return 1.0
        lowest = min(1.0, LEAST_REQUESTS_PER_SECOND / self.limits.requests_per_second)
        periods = max(0.0, now - max(self._slowed_at, self._paused_until)) / RECOVERY_SECONDS
        return float(min(1.0, max(self._share, lowest) * 2 ** min(periods, 60.0)))
