"""The URL lists called `url-lists` in recipes: datatrove's substitutes for RefinedWeb's, in our own layout.

RefinedWeb's list of 4.6 million domains is not public; the datatrove wheel has one derived from the UT1 blocklists.
Layout (read by `pipeline.models.store.load_url_lists`, also for a user's own): one entry a line in `urls.txt`,
`strict.txt`, `hard.txt`, `soft.txt`, `domains.txt`; instead of the last, `domains.u64` has the sorted xxh3 hashes of
the host names (in the one form of `filters/hosts.py`) as little-endian 64-bit integers, in a quarter of the size and
without parsing.
"""

import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from filters.hosts import listed_host
from infra.errors import UsageError
from infra.storage import new_folder
from pipeline.fit.texts import write_card
from pipeline.models.url_lists import HASHED_DOMAINS

# Bounds on what is unpacked from the inner archive: 4.56 million domains are 124 MB.
MAX_LIST_BYTES = 256 * 2**20
_NOT_A_WORD = re.compile(r"[^a-zA-Z0-9]+")
# datatrove's file for each kind of word (its url_filter.py): anywhere in the URL, as a word, as one of two words.
WORD_LISTS = {"strict": "banned_subwords.txt", "hard": "banned_words.txt", "soft": "soft_banned_words.txt"}


def url_lists_from(datatrove: Path, out: Path, made_from: Any, command: str) -> dict[str, Any]:
    """Writes the folder `out` and its card from the unpacked data files of the datatrove wheel."""
    assets = datatrove / "datatrove/assets"
    archive = next(iter(sorted(assets.glob("url_filterblacklists*.tar.gz"))))
    hashes = hash_hosts(_inner_lines(archive, "domains"))
    sizes = {"domains": len(hashes) // 8}
    lists = {"urls": {line.strip().lower() for line in _inner_lines(archive, "urls")}}
    for name, file in WORD_LISTS.items():
        lines = (assets / file).read_text("utf-8").split("\n")
        lists[name] = {_NOT_A_WORD.sub("", line).lower() for line in lines if not line.startswith("#")}
    with new_folder(out, replace=True) as folder:
        (folder / HASHED_DOMAINS).write_bytes(hashes)
        for name, entries in lists.items():
            entries.discard("")
            (folder / f"{name}.txt").write_bytes("".join(f"{entry}\n" for entry in sorted(entries)).encode())
            sizes[name] = len(entries)
    about = "blocked domains and addresses (UT1, CC BY-SA) and words, as the datatrove wheel carries them"
    return write_card(out, about, command, made_from, entries=sizes)


def hash_hosts(hosts: Iterable[str]) -> bytes:
    """The content of HASHED_DOMAINS for these host names (blank ones and comments left out)."""
    names = (listed_host(name) or name for line in hosts if (name := line.strip().lower()) and name[0] != "#")
    hashes = (xxhash.xxh3_64_intdigest(name.encode("utf-8", "replace")) for name in names)
    return np.unique(np.fromiter(hashes, np.uint64)).astype("<u8").tobytes()


def _inner_lines(archive: Path, name: str) -> Iterator[str]:
    """The lines of one file inside the tar archive."""
    with tarfile.open(archive, "r:gz") as file:
        for member in file:
            if member.isreg() and member.name == name and member.size <= MAX_LIST_BYTES:
                stream = file.extractfile(member)
                assert stream is not None
                yield from io.TextIOWrapper(stream, "utf-8", "replace", newline="\n")
                return
    raise UsageError(f"{archive} contains no list called {name!r}: delete its folder and run the same command again")
