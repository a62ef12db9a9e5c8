"""What an address says about a page: blocked hosts and words, curated sources (RefinedWeb appendix G.1).

Lists are data that the caller hands in (RefinedWeb's 4.6 M domains are not public; datatrove ships substitutes). A word
is *strict* when it counts anywhere in the address once - and . are taken out, *hard* when it counts as a whole word,
*soft* when two whole words are needed. All is compared in lower case. A malformed address never raises.

datatrove's URLFilter (FineWeb's) differs in three ways, which have signals of their own: it looks for strict words once
*everything* but ASCII letters and digits is out (`url_joined_strict_words`); it compares whole words in the case of the
address, so that /CASINO passes (`url_cased_hard_words`, `url_cased_soft_words`); and it compares its list of addresses,
which has no schemes, with addresses that have one, so that none ever matches (no signal: `url_blocked` does match). It
looks up the registered domain and the whole host alone, where `url_blocked_domain` also looks at the names between.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from filters.signal import Signal
from filters.view import View

# Sources that RefinedWeb leaves out of the crawl because they enter by other ways (arXiv 2306.01116 appendix G.1, as in
# DCLM's refinedweb.yaml). DCLM-Baseline does not apply it.
CURATED_SOURCES = (
    "arxiv.org",
    "askubuntu.com",
    "courtlistener.com",
    "en.wikipedia.org",
    "exporter.nih.gov",
    "github.com",
    "irclogs.ubuntu.com",
    "mathoverflow.net",
    "ncbi.nlm.nih.gov",
    "news.ycombinator.com",
    "reddit.com",
    "stackapps.com",
    "stackexchange.com",
    "stackoverflow.com",
    "statmt.org",
    "uspto.gov",
)
_WORD_EDGES = re.compile(r"[^a-zA-Z0-9]+")
_SCHEME = re.compile(r"https?://(?:www\.)?")


@dataclass(frozen=True)
class UrlLists:
    """Lists to hold addresses against, in lower case; an empty one is not given, and its signals are null.

    domains: hosts, each with all its subdomains; urls: whole addresses, with scheme or without (then without `www.`);
    strict, hard, soft: words, see above; curated: hosts whose pages enter by another way.
    """

    domains: Collection[str] = frozenset()
    urls: frozenset[str] = frozenset()
    strict: tuple[str, ...] = ()
    hard: frozenset[str] = frozenset()
    soft: frozenset[str] = frozenset()
    curated: frozenset[str] = frozenset(CURATED_SOURCES)

    @classmethod
    def of(
        cls,
        domains: Iterable[str] = (),
        urls: Iterable[str] = (),
        strict: Iterable[str] = (),
        hard: Iterable[str] = (),
        soft: Iterable[str] = (),
        curated: Iterable[str] = CURATED_SOURCES,
    ) -> "UrlLists":
        """From the lines of list files: stripped and lowered, blank ones and comments (#) left out."""
        return cls(
            domains=frozenset(_entries(domains)),
            urls=frozenset(_entries(urls)),
            strict=tuple(sorted({word for entry in _entries(strict) if (word := _squeezed(entry))})),
            hard=frozenset(_entries(hard)),
            soft=frozenset(_entries(soft)),
            curated=frozenset(_entries(curated)),
        )


def host(url: str) -> str:
    """The host in lower case, without port, user and a leading `www.`; "" if there is none to be found."""
    try:
        name = urlsplit(url.strip()).hostname or ""
    except ValueError:
        return ""
    return name.removeprefix("www.").rstrip(".")


def url_signals(url: str, lists: UrlLists) -> dict[str, float | None]:
    """Every URL signal by name (SIGNAL_DOCS says what each is); null where the list is not given."""
    lower = url.strip().lower()
    name = host(lower)
    words, cased = set(_WORD_EDGES.split(lower)), set(_WORD_EDGES.split(url))
    squeezed, joined = _squeezed(lower), _WORD_EDGES.sub("", lower)
    return {
        "url_characters": float(len(url)),
        "url_blocked_domain": _given(lists.domains, float(_under(name, lists.domains))),
        "url_blocked": _given(lists.urls, float(lower in lists.urls or _SCHEME.sub("", lower, count=1) in lists.urls)),
        "url_strict_words": _given(lists.strict, float(sum(word in squeezed for word in lists.strict))),
        "url_joined_strict_words": _given(lists.strict, float(sum(word in joined for word in lists.strict))),
        "url_hard_words": _given(lists.hard, float(len(words & lists.hard))),
        "url_cased_hard_words": _given(lists.hard, float(len(cased & lists.hard))),
        "url_soft_words": _given(lists.soft, float(len(words & lists.soft))),
        "url_cased_soft_words": _given(lists.soft, float(len(cased & lists.soft))),
        "url_curated_source": _given(lists.curated, float(_under(name, lists.curated))),
    }


def signals(lists: UrlLists) -> tuple[Signal, ...]:
    """The URL signals as signals of a View, bound to lists."""
    return tuple(
        Signal(name, partial(_measure, name=name, lists=lists), 10, "RefinedWeb G.1", doc)
        for name, doc in SIGNAL_DOCS.items()
    )


SIGNAL_DOCS = {
    "url_characters": "characters of the address; 0 and up",
    "url_blocked_domain": "1 if its host or one above it is in `domains`, else 0",
    "url_blocked": "1 if the whole address is in `urls`, else 0",
    "url_strict_words": "strict words in it once - and . are out; drop over 0",
    "url_joined_strict_words": "strict words in its letters and digits, datatrove's way; drop over 0",
    "url_hard_words": "different hard words in it; drop over 0",
    "url_cased_hard_words": "the same where capitals count, datatrove's way; drop over 0",
    "url_soft_words": "different soft words in it; drop over 1",
    "url_cased_soft_words": "the same where capitals count, datatrove's way; drop over 1",
    "url_curated_source": "1 if its host or one above it is a curated source, else 0",
}


def _measure(view: View, name: str, lists: UrlLists) -> float | None:
    return url_signals(view.url, lists)[name]


def _given(entries: Collection[str], value: float) -> float | None:
    return value if entries else None


def _under(name: str, hosts: Collection[str]) -> bool:
    labels = name.split(".")[-32:]  # a real name has at most 127 labels; the bound keeps the work linear
    return any(".".join(labels[index:]) in hosts for index in range(len(labels)))


def _squeezed(text: str) -> str:
    return text.replace("-", "").replace(".", "")


def _entries(lines: Iterable[str]) -> list[str]:
    entries = (line.strip().lower() for line in lines)
    return [entry for entry in entries if entry and not entry.startswith("#")]
