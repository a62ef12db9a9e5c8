"""Where files are on this machine, by the names they have in our data.

Places are a mapping that is small whatever the number of files: name → place, or, for files that are named from a
bucket's root, that root: a key that ends in `/` is a folder or address below which are all files whose names begin
with its value. Mappings are merged with `|`. They are in `run.json` and in the jobs of `extract`, never in a manifest.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from infra.addresses import lacks_query, shown
from infra.errors import UsageError
from infra.http.address import split_address
from infra.remote import anywhere, is_remote_archive
from infra.storage import ObjectPath
from pipeline.inputs.names import bucket_name, is_url

Places = Mapping[str, str]
WEB = re.compile("https?://", re.IGNORECASE)
# What a user names to say where files are now.
Where = str | Path


def places_of(files: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The places of files, given as (name, place)."""
    places: dict[str, str] = {}
    for name, place in files:
        root = place.removesuffix(name)
        if bucket_name(name) == name and root.endswith("/") and root + name == place:
            prefix = name[: name.index("/") + 1]
            places[root] = prefix if places.get(root, prefix) == prefix else ""  # a crawl of another folder beside it
        else:
            places[name] = place
    return dict(sorted(places.items()))


def known_place(name: str, places: Places) -> str | None:
    """The place of a file, whether it is still there or not. Of several roots the last that has the file: what is
    merged into a mapping comes before what it had."""
    if name in places:
        return places[name]
    below = [root + name for root, prefix in places.items() if root.endswith("/") and name.startswith(prefix)][::-1]
    return next((place for place in below if is_there(place)), below[0] if below else None)


def is_there(place: str) -> bool:
    """Whether the file is there; that of an address shows when it is read, unless its query has to be given again."""
    return not lacks_query(place) if is_url(place) else Path(place).is_file()


def places_below(source: Where) -> dict[str, str]:
    """Where the files of a run are now, by name. `source`: the folder that they have moved to, the address of an
    archive, a file with one such address a line, or the address of a bucket laid out as Common Crawl's.

    Of a folder it is every file: by the path from there, and by its name from the bucket's root. An archive at an
    address has all names that its path ends in, but those that two of the addresses would have. At the address of a
    bucket are all files that are named from its root. UsageError if there is no such folder or list.
    """
    if is_remote_archive(str(source)):
        return _places_of_addresses([str(source)])
    if WEB.match(str(source)):
        return {f"{bucket_address(str(source))}/": ""}
    root = anywhere(source, "--source")
    if root.is_file():
        return _places_of_addresses(_listed(root))
    if not root.is_dir():
        raise UsageError(f"--source {root} is not a folder")
    below = root.walk_objects() if isinstance(root, ObjectPath) else filter(Path.is_file, root.rglob("*"))
    files = sorted(below)
    named = places_of((name, str(path)) for path in files if (name := bucket_name(str(path.absolute()))))
    return named | {path.relative_to(root).as_posix(): str(path) for path in files}


def bucket_address(at: str) -> str:
    """The address of a bucket, without a slash at its end. UsageError where names of files cannot follow it."""
    split = split_address(at)
    if split.query or split.fragment or at.endswith(("?", "#")):
        raise UsageError(f"--source {shown(at)}: what is behind ? or # in it would stand before the names of the "
                         "files: give the address without it")  # fmt: skip
    return at.rstrip("/")


def _listed(file: Path) -> list[str]:
    """The addresses of archives in a list. UsageError for a line that is none."""
    lines = [line.strip() for line in file.read_text("utf-8-sig", "replace").split("\n") if line.strip()]
    wrong = next((number for number, line in enumerate(lines, 1) if not is_remote_archive(line)), None)
    if wrong or not lines:
        raise UsageError(f"--source {file}: line {wrong or 1} is no http(s) address of an archive: give a folder, an "
                         "address, or a file with one a line")  # fmt: skip
    return lines


def _places_of_addresses(addresses: Iterable[str]) -> dict[str, str]:
    places: dict[str, str] = {}
    several: set[str] = set()
    for address in dict.fromkeys(addresses):
        split_address(address)
        levels = unquote(urlsplit(address).path).lstrip("/").split("/")
        names = {"/".join(levels[start:]) for start in range(len(levels))}
        several |= names & places.keys()
        places |= dict.fromkeys(names, address)
    return {name: address for name, address in places.items() if name not in several}


def query_is_missing(name: str, place: str) -> UsageError:
    """Of a file at an address whose query was not recorded."""
    return UsageError(
        f"{name!r} was read at {shown(place)} with a query, such as a signature, which is not recorded: give the "
        "whole address again with --source ADDRESS, or a file with one a line"
    )
