"""User-provided lists, one entry a line: URLs, whole hosts, ids; and which rows they match.

A line of a URL list is a URL, in any of the spellings that deduplication by URL treats as equal (`dedup/urls.py`); or
`host:example.org`, every page of that host (with or without `www.`); or `domain:example.org`, that host and its
subdomains; any other prefix is an error. Hosts may be written in any way (`filters/hosts.py`): in Unicode or punycode,
with escapes, as numbers. Blank lines and lines that begin with `#` are ignored.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from dedup.urls import normalise_url
from filters.hosts import listed_host
from filters.url import host
from infra.errors import UsageError
from infra.hashing import sha256_json

HOST, DOMAIN = "host:", "domain:"
MAX_LABELS = 128
# A prefix with a colon that begins no URL (http://…, example.org:8080/…) and is neither of the two above.
PREFIX = re.compile(r"(?!host:|domain:)([A-Za-z][A-Za-z0-9+.-]*:)(?!//|[0-9]*(?:[/?#]|$))")


def entries(path: Path, what: str) -> list[tuple[int, str]]:
    """(line number, entry) of a list. Raises UsageError if it is not readable as UTF-8, or has no entry."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} {path} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    found = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    found = [(number, line) for number, line in found if line and not line.startswith("#")]
    if not found:
        raise UsageError(f"{what} {path} has no entry: give one a line")
    return found


@dataclass(frozen=True)
class Listed:
    """Normalised URLs, hosts, hosts with their subdomains, and ids."""

    urls: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()

    @property
    def sha256(self) -> str:
        """The hash of the entries, independent of their order."""
        return sha256_json([sorted(each) for each in (self.urls, self.hosts, self.domains, self.ids)])

    def __len__(self) -> int:
        return len(self.urls) + len(self.hosts) + len(self.domains) + len(self.ids)

    def entries(self) -> set[str]:
        """All entries, in the form that `matching` yields."""
        hosts, domains = (HOST + name for name in self.hosts), (DOMAIN + name for name in self.domains)
        return {*self.urls, *hosts, *domains, *(f"id:{ident}" for ident in self.ids)}

    def matching(self, url: str | None, ident: str | None) -> Iterator[str]:
        """The entries that match a document with this URL and id, as `host:`, `domain:`, `id:` or a URL."""
        if ident is not None and ident in self.ids:
            yield f"id:{ident}"
        if not url:
            return
        if self.urls and (normal := normalise_url(url)) in self.urls:
            yield normal
        if self.hosts or self.domains:
            name = host(url) or host("//" + url)
            if name in self.hosts:
                yield HOST + name
            yield from (DOMAIN + above for above in _above(name) if above in self.domains)

    def entry(self, url: str | None, ident: str | None) -> str | None:
        """The first entry that matches a document with this URL and id."""
        return next(self.matching(url, ident), None)

    def rows(self, batch: pa.RecordBatch | pa.Table) -> list[bool]:
        """Whether each row of a batch with `url` and `id` is listed."""
        columns = zip(batch["url"].to_pylist(), batch["id"].to_pylist(), strict=True)
        return [self.entry(url, ident) is not None for url, ident in columns]


def _above(name: str) -> Iterator[str]:
    labels = name.split(".")[-MAX_LABELS:]
    for index in range(len(labels)):
        yield ".".join(labels[index:])


def read_listed(url_list: Path | None, ids: Path | None) -> Listed:
    """Reads a list of URLs and a list of ids. Raises UsageError for an invalid line, or if both are None."""
    if url_list is None and ids is None:
        raise UsageError("say what to take down: --url-list FILE, or --ids FILE")
    urls: set[str] = set()
    hosts: set[str] = set()
    domains: set[str] = set()
    for number, line in entries(url_list, "--url-list") if url_list else ():
        if unknown := PREFIX.match(line):
            raise UsageError(
                f"--url-list {url_list}, line {number}: {unknown[1]!r} is not a known prefix: give a URL, host:NAME or "
                "domain:NAME"
            )
        if line.startswith((HOST, DOMAIN)):
            kind, _, rest = line.partition(":")
            name = listed_host(rest).removeprefix("www.")
            if not name or any(mark in rest.strip() for mark in "/@? "):
                raise UsageError(f"--url-list {url_list}, line {number}: {kind}: takes a name such as example.org")
            (hosts if kind == "host" else domains).add(name)
        elif normal := normalise_url(line):
            urls.add(normal)
        else:
            raise UsageError(f"--url-list {url_list}, line {number}: {line!r} is not a URL")
    wanted = {line for _, line in entries(ids, "--ids")} if ids else set()
    return Listed(frozenset(urls), frozenset(hosts), frozenset(domains), frozenset(wanted))
