"""Signals of a page's URL: blocked hosts and words, curated sources (RefinedWeb appendix G.1).

Lists are arguments (RefinedWeb's 4.6 M domains are not public; datatrove ships substitutes). A word is *strict* when it
counts anywhere in the URL after - and . are removed, *hard* when it counts as a whole word, *soft* when two whole words
are needed. Comparison is in lower case, of hosts in their one form, whatever their spelling (`filters/hosts.py`).
A malformed URL never raises.

datatrove's URLFilter (FineWeb's) differs in three ways, which have signals of their own: it matches strict words after
removing *everything* but ASCII letters and digits (`url_joined_strict_words`); it compares whole words in the case of
the URL, so that /CASINO passes (`url_cased_hard_words`, `url_cased_soft_words`); and it compares its list of URLs,
which have no schemes, with URLs that have one, so that none ever matches (no signal: `url_blocked` does match). It
looks up the registered domain and the whole host alone; `url_blocked_domain` also looks up the names between.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

from filters.hosts import host_of, listed_host, split_address
from filters.signal import Signal
from filters.view import View

# Sources that RefinedWeb leaves out of the crawl because they are added separately (arXiv 2306.01116 appendix G.1, as
# in DCLM's refinedweb.yaml). DCLM-Baseline does not apply it.
CURATED_SOURCES = (
    "arxiv.org", "askubuntu.com", "courtlistener.com", "en.wikipedia.org", "exporter.nih.gov", "github.com",
    "irclogs.ubuntu.com", "mathoverflow.net", "ncbi.nlm.nih.gov", "news.ycombinator.com", "reddit.com", "stackapps.com",
    "stackexchange.com", "stackoverflow.com", "statmt.org", "uspto.gov",
)  # fmt: skip
_WORD_EDGES = re.compile(r"[^a-zA-Z0-9]+")
_HAS_HOST = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2}|\s*(?:https?|ftp):[/\\]", re.IGNORECASE)


@dataclass(frozen=True)
class UrlLists:
    """Lists to match URLs against, in lower case; the signals of an empty list are null.

    domains: hosts, each with all its subdomains; urls: whole URLs, compared without http(s), `www.`, fragment and
    slashes at the end; strict, hard, soft: words, see above; curated: hosts whose pages are added separately.
    """

    domains: Collection[str] = frozenset()
    urls: frozenset[str] = frozenset()
    strict: tuple[str, ...] = ()
    hard: frozenset[str] = frozenset()
    soft: frozenset[str] = frozenset()
    curated: frozenset[str] = frozenset(CURATED_SOURCES)

    @classmethod
    def of(cls, **lines: Iterable[str]) -> "UrlLists":
        """Parses the lines of list files, by field: stripped and lowered, hosts and addresses in one form, without
        blank ones and comments (#)."""
        lists: dict[str, Any] = {
            name: frozenset(map(_FORMS.get(name, str), _entries(each))) for name, each in lines.items()
        }
        if "strict" in lists:
            lists["strict"] = tuple(sorted({word for entry in lists["strict"] if (word := _squeezed(entry))}))
        return cls(**lists)


def host(url: str) -> str:
    """The host in its one form (`filters/hosts.py`), without a leading `www.`; "" if the URL has none."""
    return host_of(url).removeprefix("www.") if _HAS_HOST.match(url) else ""


def url_signals(url: str, lists: UrlLists) -> dict[str, float | None]:
    """Returns every URL signal by name (see SIGNAL_DOCS); null where the list is empty."""
    lower = url.strip().lower()
    name = host(lower)
    words, cased = set(_WORD_EDGES.split(lower)), set(_WORD_EDGES.split(url))
    squeezed, joined = _squeezed(lower), _WORD_EDGES.sub("", lower)
    return {
        "url_characters": float(len(url)),
        "url_blocked_domain": _given(lists.domains, float(_under(name, lists.domains))),
        "url_blocked": _given(lists.urls, float(bool(lists.urls) and _whole(lower) in lists.urls)),
        "url_strict_words": _given(lists.strict, float(sum(word in squeezed for word in lists.strict))),
        "url_joined_strict_words": _given(lists.strict, float(sum(word in joined for word in lists.strict))),
        "url_hard_words": _given(lists.hard, float(len(words & lists.hard))),
        "url_cased_hard_words": _given(lists.hard, float(len(cased & lists.hard))),
        "url_soft_words": _given(lists.soft, float(len(words & lists.soft))),
        "url_cased_soft_words": _given(lists.soft, float(len(cased & lists.soft))),
        "url_curated_source": _given(lists.curated, float(_under(name, lists.curated))),
    }


def signals(lists: UrlLists) -> tuple[Signal, ...]:
    """The URL signals as signals of a View, bound to `lists`."""
    return tuple(
        Signal(name, partial(_measure, name=name, lists=lists), 10, "RefinedWeb G.1", doc)
        for name, doc in SIGNAL_DOCS.items()
    )


SIGNAL_DOCS = {
    "url_characters": "characters of the URL; 0 and up",
    "url_blocked_domain": "1 if its host or a parent domain is in `domains`, else 0",
    "url_blocked": "1 if the whole URL is in `urls`, else 0",
    "url_strict_words": "strict words in it without - and . ; drop over 0",
    "url_joined_strict_words": "strict words in its letters and digits, as datatrove counts; drop over 0",
    "url_hard_words": "distinct hard words in it; drop over 0",
    "url_cased_hard_words": "the same, case-sensitive, as datatrove counts; drop over 0",
    "url_soft_words": "distinct soft words in it; drop over 1",
    "url_cased_soft_words": "the same, case-sensitive, as datatrove counts; drop over 1",
    "url_curated_source": "1 if its host or a parent domain is a curated source, else 0",
}


def _measure(view: View, name: str, lists: UrlLists) -> float | None:
    return url_signals(view.url, lists)[name]


def _given(entries: Collection[str], value: float) -> float | None:
    return value if entries else None


def _under(name: str, hosts: Collection[str]) -> bool:
    labels = name.split(".")[-32:]  # a real name has at most 127 labels; the bound keeps the work linear
    return any(".".join(labels[index:]) in hosts for index in range(len(labels)))


def _whole(url: str) -> str:
    """A URL in lower case as lists of URLs are compared with it."""
    parts = split_address(url)
    rest = unquote(parts.rest.partition("#")[0]).lower().rstrip("/")
    scheme = "" if parts.scheme in ("", "http", "https") else parts.scheme + "://"
    return scheme + parts.host.removeprefix("www.") + (":" + parts.port if parts.port else "") + rest


# How the entries of a list are read.
_FORMS = {"domains": lambda name: listed_host(name) or name, "curated": listed_host, "urls": _whole}


def _squeezed(text: str) -> str:
    return text.replace("-", "").replace(".", "")


def _entries(lines: Iterable[str]) -> list[str]:
    entries = (line.strip().lower() for line in lines)
    return [entry for entry in entries if entry and not entry.startswith("#")]
