"""URL lists: hosts, addresses and words that gates reject by."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from filters.url import UrlLists
from infra.errors import UsageError

HASHED_DOMAINS = "domains.u64"


class HashedHosts(Collection[str]):
    """A set of host names as their sorted 64-bit hashes (xxh3), mapped from a file: 4.6 million in 36 MB that all
    processes share. A name that is not in it passes for one that is with probability n / 2**64 (2.5e-13)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.stat().st_size % 8:
            raise UsageError(f"{path} is no list of hashes: run `refinery fit defaults` again")

    @cached_property
    def _hashes(self) -> npt.NDArray[np.uint64]:
        return np.memmap(self.path, np.dtype("<u8"), "r") if self.path.stat().st_size else np.empty(0, np.uint64)

    def __contains__(self, host: object) -> bool:
        value = np.uint64(xxhash.xxh3_64_intdigest(str(host).encode("utf-8", "replace")))
        at = int(self._hashes.searchsorted(value))
        return at < len(self._hashes) and bool(self._hashes[at] == value)

    def __len__(self) -> int:
        return len(self._hashes)

    def __iter__(self) -> Iterator[str]:
        raise TypeError("hashed host names cannot be listed")


def load_url_lists(path: Path) -> UrlLists:
    """The lists in folder `path`: any of domains.txt (or HASHED_DOMAINS), urls.txt, strict.txt, hard.txt, soft.txt,
    curated.txt, one entry a line. UsageError when none is there."""
    names = ("domains", "urls", "strict", "hard", "soft", "curated")
    files = {name: path / f"{name}.txt" for name in names if (path / f"{name}.txt").is_file()}
    hashed = path / HASHED_DOMAINS
    if not files and not hashed.is_file():
        raise UsageError(f"{path} holds no URL list ({', '.join(names)} with .txt): run `refinery fit defaults`")
    try:
        lists = UrlLists.of(**{name: file.read_text("utf-8").split("\n") for name, file in files.items()})
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"a URL list in {path} cannot be read as UTF-8: {error}") from None
    if hashed.is_file() and "domains" not in files:
        return replace(lists, domains=HashedHosts(hashed))
    return lists
