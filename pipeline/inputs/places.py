"""Where files are on this machine, by the names they have in our data.

Places are a mapping that is small whatever the number of files: name → place, or, for files that are named from a
bucket's root, that root: a key that ends in `/` is a folder or address below which are all files whose names begin
with its value. Mappings are merged with `|`. They are in `run.json` and in the jobs of `extract`, never in a manifest.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.errors import UsageError
from infra.storage import ObjectPath
from pipeline.inputs.names import bucket_name, is_url

Places = Mapping[str, str]


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
    """Whether the file is there; that of an address shows when it is read."""
    return is_url(place) or Path(place).is_file()


def places_below(root: Path) -> dict[str, str]:
    """Every file below `root`, the folder that the archives of a run have moved to: by the path from there, and by its
    name from the bucket's root. UsageError if it is no folder."""
    if not root.is_dir():
        raise UsageError(f"--source {root} is not a folder")
    below = root.walk_objects() if isinstance(root, ObjectPath) else filter(Path.is_file, root.rglob("*"))
    files = sorted(below)
    named = places_of((name, str(path)) for path in files if (name := bucket_name(str(path.absolute()))))
    return named | {path.relative_to(root).as_posix(): str(path) for path in files}
