"""Addresses in place of paths: those in object stores are opened where that is possible, archives at http(s) addresses
are inputs like any other, and all others are refused, with the way to do it."""

import os
import re
from pathlib import Path

from infra.addresses import shown
from infra.errors import UsageError
from infra.storage import ObjectPath, place

# What follows `KIND=` of a list of texts of one kind counts too. One slash is enough: a Path has taken away the other.
ADDRESS = re.compile(r"^(?:[\w-]+=)?([a-z][a-z0-9+.-]+):/{1,3}(?=[^/])", re.IGNORECASE)
FETCH = {
    "http": "curl -LO {}",
    "https": "curl -LO {}",
    "ftp": "curl -O {}",
    "s3": "aws s3 cp {} .",
    "gs": "gcloud storage cp {} .",
    "hf": "hf download --repo-type dataset OWNER/NAME --local-dir FOLDER",
}
# An address without what is behind the slashes, of which a Path has taken one or all.
_EMPTY = re.compile(r"^(?:[\w-]+=)?(" + "|".join(FETCH) + r"|file):/*$", re.IGNORECASE)
PUT = {"s3": "aws s3 cp --recursive FOLDER {}", "gs": "gcloud storage cp --recursive FOLDER {}"}


_ARCHIVE = re.compile(r"https?://[^?#]+\.(?:warc|wet|wat|arc)(?:\.gz|\.lz4|\.zst)?(?:[?#].*)?", re.IGNORECASE)

_DOCUMENTS = re.compile(
    r"https?://[^?#]+\.(?:parquet|parq|(?:jsonl|ndjson|json)(?:\.gz|\.zst|\.bz2|\.xz|\.lz4)?)(?:[?#].*)?", re.IGNORECASE
)


def is_remote_archive(text: str) -> bool:
    """Whether the text is the http(s) address of a WARC, WET, WAT or ARC file."""
    return _ARCHIVE.fullmatch(text) is not None


def is_remote_input(text: str) -> bool:
    """Whether the text is the http(s) address of what runs read there: an archive, Parquet, or JSON of any packing."""
    return is_remote_archive(text) or _DOCUMENTS.fullmatch(text) is not None


def is_in_store(text: str) -> bool:
    """Whether the text is the address of something in an object store; what stands before it, as `KIND=`, is not."""
    found = ADDRESS.match(text)
    return found is not None and isinstance(place(text[found.start(1) :]), ObjectPath)


def check_local(path: object, what: str, made: bool = False) -> None:
    """UsageError for an address, such as `s3://…`, in place of a path. `what`: the option or argument that has it;
    `made`: it is to be written."""
    empty, found = _EMPTY.match(str(path)), ADDRESS.match(str(path))
    if empty and not Path(str(path)).exists():
        raise UsageError(f"{what}: {empty[1]}:// is no whole address: is a variable of the shell not set?")
    if found is None or Path(str(path)).exists():
        return
    given = shown(str(path))
    scheme, rest = found[1].lower(), given[ADDRESS.match(given).end() :]  # type: ignore[union-attr]
    if scheme == "file":
        raise UsageError(f"{what}: {given} is an address: give the path itself, /{rest}")
    address = f"{scheme}://{rest}"
    if made:
        then = f" (`{PUT[scheme].format(address)}`)" if scheme in PUT else ""
        raise UsageError(f"{what}: {address} is not on this machine, where results are made: name a folder here, and "
                         f"copy it when it is done{then}")  # fmt: skip
    first = f" (`{FETCH[scheme].format(address)}`)" if scheme in FETCH else ""
    raise UsageError(f"{what}: {address} is not on this machine, and is not read from there: fetch it first{first}, or "
                     "mount its storage, and give the path")  # fmt: skip


def anywhere(path: str | os.PathLike[str], what: str, made: bool = False) -> Path:
    """The path, or that of an object store; no other address."""
    found = place(path)
    return found if isinstance(found, ObjectPath) else local(path, what, made)


def local(path: str | os.PathLike[str], what: str, made: bool = False) -> Path:
    """The path, which is no address."""
    check_local(os.fspath(path), what, made)
    return Path(path)
