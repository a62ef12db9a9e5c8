"""Where files are on this machine, by the names they have in our data.

Places are a mapping that is small whatever the number of files: name → place, or, for files that are named from a
bucket's root, that root: a key that ends in `/` is a folder or address below which are all files whose names begin
with its value. Mappings are merged with `|`. They are in `run.json` and in the jobs of `extract`, never in a manifest.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.errors import UsageError
from pipeline.inputs.names import bucket_name, is_url

Places = Mapping[str, str]


def places_of(files: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The places of files, given as (name, place)."""
    places: dict[str, str] = {}
    for name, place in files:
        root = place.removesuffix(name)
        if bucket_name(name) == name and root.endswith("/") and root + name == place:
            places[root] = name[: name.index("/") + 1]
        else:
            places[name] = place
    return dict(sorted(places.items()))


def known_place(name: str, places: Places) -> str | None:
    """The place of a file, whether it is still there or not. Of several roots the first that has the file."""
    if name in places:
        return places[name]
    below = [root + name for root, prefix in places.items() if root.endswith("/") and name.startswith(prefix)]
    return next((place for place in below if is_there(place)), below[0] if below else None)


def is_there(place: str) -> bool:
    """Whether the file is there; that of an address shows when it is read."""
    return is_url(place) or Path(place).is_file()


def places_below(root: Path | str) -> dict[str, str]:
    """Every file below `root`, which the archives of a run have moved to: by the path from there, and by its name from
    the bucket's root. For an address, whatever is asked for."""
    if is_url(str(root)):
        return {f"{str(root).rstrip('/')}/": ""}
    folder = Path(root)
    if not folder.is_dir():
        raise UsageError(f"--source {root} is not a folder")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    named = places_of((name, str(path)) for path in files if (name := bucket_name(str(path.absolute()))))
    return named | {path.relative_to(folder).as_posix(): str(path) for path in files}
