"""Which http(s) addresses are asked: well-formed ones without a user or password.

A password in an address would be written to wherever addresses are: to messages, to `run.json`, to lists of processes.
"""

from urllib.parse import SplitResult, urlsplit

from infra.addresses import shown
from infra.errors import UsageError

SCHEMES = ("http", "https")


def split_address(url: str) -> SplitResult:
    """The parts of an http(s) address. UsageError for another one, and for one with a user or password, which the
    message does not show."""
    try:
        split = urlsplit(url)
        _ = split.port  # ValueError for what is no port
    except ValueError:
        split = SplitResult("", "", "", "", "")
    if "@" in split.netloc:
        raise UsageError(f"{split.scheme}://…@{split.netloc.rpartition('@')[2]}: a user or password in an address is "
                         "not sent, and would be shown in logs: give the address without it")  # fmt: skip
    if split.scheme not in SCHEMES or not split.hostname:
        raise UsageError(f"{shown(url)} is no http or https address")
    return split
