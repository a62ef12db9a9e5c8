"""Requests of a well-behaved client: within the run's budget, with back-off, and with a clear end.

urllib3 keeps the connections, checks certificates and speaks HTTP; what is here decides when to ask, when to ask
again, and when to stop. 429 and 503 slow the whole run; 403 stops it; 404 is final; a redirect is followed within its
scheme. Proxies come from the environment (`https_proxy`, `no_proxy`).
"""

import math
import os
import random
import socket
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urljoin, urlsplit

from infra.addresses import masked, shown
from infra.errors import UsageError, WorkError
from infra.http.address import split_address
from infra.http.budget import budget, in_worker
from infra.http.interim import pools
from infra.http.limits import HttpLimits

BUSY = (429, 503)
# Beside every other 5xx: proxies and content networks have statuses of their own (520 to 530, 599).
FAILED = (408, 425)
# What HEAD is answered where only GET is served, or signed for.
NO_HEAD = (403, 405, 501)
REDIRECTED = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 5
# Seconds; a server that asks for more is taken to ask for so many.
LONGEST_RETRY_AFTER = 1e9
CONNECT_SECONDS = 15.0
# What a resolver says of a name that does not exist; some say it too while there is no network. Where such a host has
# not answered yet, and the process is no worker, which may have started in the middle of an outage, it is taken for a
# mistyped one after so many seconds.
NO_NAME = {number for name in ("EAI_NONAME", "EAI_NODATA") if (number := getattr(socket, name, None)) is not None}
NAME_PATIENCE = 30.0
# So many failures of one file are not told.
QUIET_TRIES = 2
# Bytes of an answer that is left before its end, which are read so that its connection can be used again, unless they
# take longer than so many seconds.
DRAINED_BYTES, DRAIN_SECONDS = 2**18, 2.0

# The hosts that have answered this process.
_ANSWERED: set[str | None] = set()


class AddressNotFound(WorkError):
    """The server has nothing at this address (404, 410)."""


class Refused(WorkError):
    """The server refuses (403)."""


class HeadRefused(Exception):
    """The server, or the signature of the address, does not allow HEAD; GET may be allowed."""


class TryAgain(Exception):
    """A failure that may pass. `wait`: what the server asks for, in seconds; `busy`: it is for all of the run;
    `patience`: seconds of it that are enough, where they are fewer than usual; `advice`: what to do first."""

    def __init__(
        self, why: str, wait: float | None = None, busy: bool = False, patience: float = math.inf, advice: str = ""
    ) -> None:
        super().__init__(why)
        self.why, self.wait, self.busy, self.patience, self.advice = why, wait, busy, patience, advice


class Patience:
    """Waits between the tries of one file: longer each time, until nothing but failures came for long enough."""

    def __init__(self, url: str) -> None:
        self.url = shown(url)
        self.clear()

    def clear(self) -> None:
        """Something came."""
        self._tries, self._since = 0, 0.0

    def wait(self, failure: TryAgain) -> None:
        """Waits. WorkError where it has lasted too long, or the server asks for more than that."""
        shared = budget()
        limits = shared.limits
        now = time.monotonic()
        self._since = self._since or now
        seconds = max(backoff(self._tries, limits), failure.wait or 0.0)
        self._tries += 1
        if now + seconds > self._since + min(limits.patience, failure.patience):
            asked = "" if failure.wait is None else f"; it asks to wait {round(seconds)} s"
            raise WorkError(
                f"{self.url}: {failure.why}, for {round(now - self._since)} s and {self._tries} tries{asked}: "
                f"{failure.advice}run the same command again later; what is finished is kept"
            )
        host = urlsplit(self.url).hostname
        if failure.busy:
            shared.slow(seconds, f"{host} is busy ({failure.why})")
        elif self._tries > QUIET_TRIES:
            shared.tell(seconds, f"{host}: {failure.why}")
        time.sleep(seconds)


def backoff(tries: int, limits: HttpLimits) -> float:
    """Seconds before the next try: twice as long each time, up to a bound, less up to a half by chance."""
    longest: float = min(limits.longest_wait, limits.first_wait * 2 ** min(tries, 30))
    return longest * random.uniform(0.5, 1.0)


def pay(requests: int, size: int) -> None:
    """Waits until the run's budget allows so many requests, after so many bytes. WorkError where the run is stopped."""
    shared = budget()
    answer = shared.take(requests, size)
    while not answer.stopped and answer.wait > 0:
        time.sleep(answer.wait)
        if not requests or shared.now().pauses == answer.pauses:
            break
        answer = shared.take(requests, 0)  # all were told to pause in the meantime
    if answer.stopped:
        raise WorkError(answer.stopped)


def request(method: str, url: str, headers: Mapping[str, str] | None = None, stops: bool = True) -> Any:
    """A urllib3 response with status 200, 206, 412 or 416 and its body not yet read. TryAgain for what may pass,
    AddressNotFound for 404, HeadRefused for HEAD, Refused for 403, which stops the run unless `stops` is false,
    WorkError or UsageError for what is final."""
    for _ in range(MOST_REDIRECTS + 1):
        scheme = split_address(url).scheme
        pay(1, 0)
        response = send(method, url, headers or {})
        if response.status not in REDIRECTED:
            return checked(response, url, method, stops)
        location = response.headers.get("Location", "")
        finish(response)
        try:
            target = urljoin(url, location)
            same = split_address(target).scheme == scheme
        except (ValueError, UsageError):
            target, same = location, False
        if not same:
            raise WorkError(
                f"{shown(url)} redirects to {shown(target)[:500]!r}: only redirects within one scheme are followed"
            )
        url = target
    raise WorkError(f"{shown(url)}: more than {MOST_REDIRECTS} redirects")


def send(method: str, url: str, headers: Mapping[str, str]) -> Any:
    import urllib3
    from urllib3 import exceptions

    limits = budget().limits
    timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, limits.stall), read=limits.stall)
    try:
        response = pool(os.getpid(), proxy_of(url)).request(
            method,
            url,
            headers={"User-Agent": user_agent(), "Accept-Encoding": "identity", **headers},
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
            timeout=timeout,
        )
        _ANSWERED.add(urlsplit(url).hostname)
        return response
    except exceptions.SSLError as error:
        raise WorkError(
            f"{shown(url)}: the connection is not secure ({masked(str(error))}): check the clock, SSL_CERT_FILE and "
            "the proxy"
        ) from None
    except exceptions.LocationValueError as error:
        raise UsageError(f"{shown(url)} cannot be asked, directly or through the proxy: {masked(str(error))}") from None
    except exceptions.NameResolutionError as error:
        if is_unknown_name(error) and urlsplit(url).hostname not in _ANSWERED and not in_worker():
            raise TryAgain(
                "there is no host of this name", patience=NAME_PATIENCE, advice="correct the address, or "
            ) from None
        raise TryAgain("the name of the host is not found") from None
    except exceptions.HTTPError as error:
        raise TryAgain(f"no answer ({type(error).__name__})") from None


def is_unknown_name(error: Any) -> bool:
    """Whether a urllib3 NameResolutionError is of a name that does not exist, not of a resolver that fails."""
    reason = error.__cause__ or error.__context__
    return isinstance(reason, socket.gaierror) and reason.errno in NO_NAME


def checked(response: Any, url: str, method: str = "GET", stops: bool = True) -> Any:
    """The response, if its status says that there is something to read."""
    status = int(response.status)
    if status in (200, 206, 412, 416):
        return response
    after = retry_after(response.headers.get("Retry-After"))
    finish(response)
    if method == "HEAD" and status in NO_HEAD:
        raise HeadRefused
    if status in BUSY:
        raise TryAgain(str(status), after, busy=True)
    if status in FAILED or 500 <= status < 600:
        raise TryAgain(f"the server fails ({status})", after)
    if status in (404, 410):
        raise AddressNotFound(f"{shown(url)}: there is no such file ({status})")
    if status == 403:
        why = refusal(url, stops)
        if stops:
            budget().stop(why)
        raise Refused(why)
    raise WorkError(f"{shown(url)}: the server answers {status}")


def refusal(url: str, stops: bool) -> str:
    """What a 403 means. `stops`: nothing more is asked."""
    if not stops:
        return f"{shown(url)}: the server refuses (403)"
    if urlsplit(url).query:
        return f"{shown(url)}: the server refuses (403): if its query is a signature, sign the address again"
    return (
        f"{shown(url)}: the server refuses (403): it blocks this address, this rate or this file; nothing more is "
        "asked. Wait some hours and run the same command again with a lower --requests-per-second "
        "(https://status.commoncrawl.org)"
    )


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which has seconds or a date (RFC 9110, 10.2.3); None for neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return min(float(value), LONGEST_RETRY_AFTER)
    try:
        from email.utils import parsedate_to_datetime

        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def finish(response: Any) -> None:
    """Leaves an answer: the connection is kept if little of the answer is left."""
    from urllib3 import exceptions

    try:
        left = response.length_remaining
        if left is not None and left <= DRAINED_BYTES:
            until = time.monotonic() + DRAIN_SECONDS
            while response.read1(DRAINED_BYTES, decode_content=False):
                if time.monotonic() > until:  # a byte now and then would go on for days
                    response.close()
                    return
            response.release_conn()
        else:
            response.close()
    except (exceptions.HTTPError, OSError):
        response.close()


@cache
def pool(process: int, proxy: str) -> Any:  # noqa: ARG001 (connections are not shared with a process that forks)
    """The connections of this process, directly or through a proxy."""
    import urllib3

    made = urllib3.ProxyManager(proxy, maxsize=16) if proxy else urllib3.PoolManager(maxsize=16)
    made.pool_classes_by_scheme = pools()
    return made


def proxy_of(url: str) -> str:
    """The proxy that the environment names for an address, or nothing."""
    split = urlsplit(url)
    from urllib import request as library  # a tenth of what a start imports; most runs read no address

    if library.proxy_bypass(split.netloc):
        return ""
    return library.getproxies().get(split.scheme, "")


@cache
def user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"refinery/{version('refinery')}"
    except PackageNotFoundError:
        return "refinery"
