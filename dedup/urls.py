"""URL normalisation for deduplication. Conservative: two different pages must not get one URL.

Removed: the scheme if it is http or https (`https://host:80`, which is another server, keeps it), its default port, a
user without a name, fragments (except `#!…` and `#/…`, which address a page on script-driven sites), slashes at the
end of the path, and tracking parameters.
Brought to one form: scheme and host, the latter from all its spellings (`filters/hosts.py`), and percent escapes
(RFC 3986, 6.2.2): letters, digits and `-._~` are not escaped, and everything is that neither is reserved nor one of
these, `"<>\\^`{|}`, `[`, `]` and a stray `%` among it. Parameters are sorted by name; those with the same name keep
their order, as in the web archives' SURT keys.
Kept: `www.`, the case of paths, all other parameters, dot segments.
"""

import re

from filters.hosts import escape, escapes_in_one_form, split_address

_IN_USER = re.compile("[:@/?]")
_SESSION_IN_PATH = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)
# Parameters of advertisers, mailers and web servers that identify a visit and do not change the page.
_TRACKING = frozenset(
    {
        *("_ga", "_gl", "_hsenc", "_hsmi", "dclid", "fbclid", "gad_source", "gbraid", "gclid", "gclsrc", "igshid"),
        *("jsessionid", "li_fat_id", "mc_cid", "mc_eid", "mkt_tok", "msclkid", "phpsessid", "s_cid", "ttclid"),
        *("twclid", "vero_id", "wbraid", "yclid"),
    }
)
_TRACKING_PREFIXES = ("utm_", "mtm_", "pk_campaign", "pk_kwd")


def normalise_url(url: str) -> str:
    """The normalised URL; "" for an empty or blank one. Idempotent; never raises, whatever the string."""
    scheme, user, host, port, rest = split_address(url)
    rest, _, fragment = rest.partition("#")
    path, _, query = rest.partition("?")
    path = escapes_in_one_form(path)
    path = (_SESSION_IN_PATH.sub("", path) if ";" in path else path).rstrip("/")
    parameters = _parameters(escapes_in_one_form(query)) if query else ""
    authority = (_user(user) if user else "") + host + (":" + port if port else "")
    key = "".join(
        [
            authority,
            path if authority or not path else "/" + path.lstrip("/"),
            "?" + parameters if parameters else "",
            "#" + escapes_in_one_form(fragment) if fragment.startswith(("!", "/")) else "",
        ]
    )
    # without its scheme, https at port 80 would be read as http
    kept = scheme not in ("", "http", "https") or (port and split_address(key).port != port)
    return f"{scheme}://{key}" if kept else key


def _user(user: str) -> str:
    """User and password with their @; "" without both."""
    name, _, password = (_IN_USER.sub(escape, part) for part in escapes_in_one_form(user).partition(":"))
    return f"{name}:{password}@" if password else f"{name}@" if name else ""


def _parameters(query: str) -> str:
    kept = [part for part in query.split("&") if part and not _tracks(part.partition("=")[0].lower())]
    return "&".join(sorted(kept, key=lambda part: part.partition("=")[0]))


def _tracks(name: str) -> bool:
    return name in _TRACKING or name.startswith(_TRACKING_PREFIXES)
