"""The options of an engine, in one string with its name: `ray --address=HOST:6379 --memory=4GiB`."""

import argparse
import re
import shlex
import socket
from typing import NoReturn

from infra.errors import UsageError

CONNECT_SECONDS = 10.0
# An address on no network (RFC 5737): the way there is the way to all others.
ELSEWHERE = "192.0.2.1"
UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}


class Parser(argparse.ArgumentParser):
    """Refuses in a UsageError what the engine does not know."""

    def __init__(self, engine: str) -> None:
        super().__init__(f"--engine {engine}", add_help=False, allow_abbrev=False)
        self.engine = engine

    def error(self, message: str) -> NoReturn:
        options = sorted(name for action in self._actions for name in action.option_strings)
        raise UsageError(f"--engine {self.engine}: {message} (its options: {', '.join(options) or 'none'})")


def name_and_options(engine: str) -> tuple[str, list[str]]:
    """The engine's name, and the words of its options."""
    try:
        words = shlex.split(engine)
    except ValueError as error:
        raise UsageError(f"--engine {engine!r} cannot be read: {error}") from None
    return (words[0] if words else engine), words[1:]


def bytes_given(text: str) -> int:
    """`1.5GiB` as bytes; argparse shows the error."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMG]i?B|)", text)
    if not found or found[2] not in UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes such as 4GiB")
    return int(float(found[1]) * UNITS[found[2]])


def check_listens(what: str, address: str) -> None:
    """UsageError where nothing listens at `HOST:PORT`; the libraries try for minutes. Other addresses pass."""
    found = re.fullmatch(r"\[?([^/\]]+)\]?:(\d+)/?", address)
    if not found:
        return
    try:
        socket.create_connection((found[1], int(found[2])), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"{what} was not reached at {address} ({error}): is it started, and the port open?") from None


def address_towards(host: str | None) -> str:
    """The address of this machine at which `host` reaches it: that of the way there; without a host, of the way to
    other networks. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect((host or ELSEWHERE, 9))
        except OSError:  # a name that is not known here
            return "127.0.0.1"
        return str(way.getsockname()[0])
