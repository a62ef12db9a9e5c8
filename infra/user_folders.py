"""Where a user's files are kept that no command names: models, fetched packages, lists of snapshots, probes."""

import os
from pathlib import Path

from infra.remote import anywhere
from infra.storage import ObjectPath


def user_folder(name: str, explicit: str | None = None) -> Path:
    """The folder given on the command line, else in the environment (REFINERY_MODELS for `models`), else the one of
    this name in the user's cache. The first two may be in an object store."""
    given = explicit or os.environ.get(VARIABLES[name])
    if given:
        found = anywhere(given, f"the folder of {name}")
        return found if isinstance(found, ObjectPath) else found.expanduser()
    return user_cache() / name


VARIABLES = {
    "models": "REFINERY_MODELS",
    "packages": "REFINERY_CACHE",
    "snapshots": "REFINERY_SNAPSHOTS",
    "probes": "REFINERY_PROBES",
}


def user_cache() -> Path:
    """On this machine."""
    import platformdirs

    return platformdirs.user_cache_path("refinery")
