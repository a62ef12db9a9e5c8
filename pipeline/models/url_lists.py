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

LISTS = ("domains", "urls", "strict", "hard", "soft", "curated")
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
    texts, hashed = _read(path)
    lists = UrlLists.of(**{name: text.split("\n") for name, text in texts.items()})
    return lists if hashed is None else replace(lists, domains=hashed)


def check_url_lists(path: Path) -> None:
    """UsageError unless `load_url_lists` can load the lists in folder `path`."""
    _read(path)


def _read(path: Path) -> tuple[dict[str, str], HashedHosts | None]:
    """The text of each list, and the hashed domains where there is no list of them."""
    files = {name: path / f"{name}.txt" for name in LISTS if (path / f"{name}.txt").is_file()}
    hashed = path / HASHED_DOMAINS
    if not files and not hashed.is_file():
        raise UsageError(f"{path} holds no URL list ({', '.join(LISTS)} with .txt): run `refinery fit defaults`")
    try:
        texts = {name: file.read_text("utf-8") for name, file in files.items()}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"a URL list in {path} cannot be read as UTF-8: {error}") from None
    return texts, HashedHosts(hashed) if hashed.is_file() and "domains" not in files else None
