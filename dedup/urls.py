"""URL normalisation for deduplication. Conservative: two different pages must not get one URL.

Removed: the scheme if it is http or https, its default port, a dot after the host, fragments (except `#!…`, which
addresses a page on old script-driven sites), slashes at the end of the path, and tracking parameters.
Lower-cased: scheme and host. Percent escapes are brought to one form (RFC 3986, 6.2.2). Parameters are sorted by name;
those with the same name keep their order, as in the web archives' SURT keys.
Kept: `www.`, the case of paths, all other parameters, dot segments.
"""

import re

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNESCAPED = re.compile(r"[^!-~]+")
_SESSION_IN_PATH = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS = {"http": "80", "https": "443", "ftp": "21"}
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
    """The normalised URL; "" for an empty or blank one. Never raises, whatever the string."""
    url = url.strip().replace("\t", "").replace("\r", "").replace("\n", "")
    if not url:
        return ""
    scheme, rest = _split_scheme(url)
    rest, fragment = _cut(rest, "#")
    rest, query = _cut(rest, "?")
    authority, slash, path = rest.partition("/")
    path = _escapes(_SESSION_IN_PATH.sub("", slash + path)).rstrip("/")
    parameters = _parameters(_escapes(query))
    return "".join(
        [
            "" if scheme in ("", "http", "https") else scheme + "://",
            _authority(authority, scheme),
            path,
            "?" + parameters if parameters else "",
            "#" + _escapes(fragment) if fragment.startswith("!") else "",
        ]
    )


def _split_scheme(url: str) -> tuple[str, str]:
    if match := _SCHEME.match(url):
        return match[1].lower(), url[match.end() :]
    return "", url.removeprefix("//")


def _cut(text: str, mark: str) -> tuple[str, str]:
    before, _, after = text.partition(mark)
    return before, after


def _authority(authority: str, scheme: str) -> str:
    user, at, host = authority.rpartition("@")
    name, colon, port = host.rpartition(":")
    if colon and (port == "" or port == _DEFAULT_PORTS.get(scheme or "http")):
        host = name
    return user + at + host.rstrip(".").lower()


def _parameters(query: str) -> str:
    kept = [part for part in query.split("&") if part and not _tracks(part.partition("=")[0].lower())]
    return "&".join(sorted(kept, key=lambda part: part.partition("=")[0]))


def _tracks(name: str) -> bool:
    return name in _TRACKING or name.startswith(_TRACKING_PREFIXES)


def _escapes(text: str) -> str:
    """Unreserved characters unescaped, all others that need it escaped in upper case; a stray `%` is kept."""
    text = _UNESCAPED.sub(_escape_bytes, text)
    return _ESCAPE.sub(_canonical_escape, text)


def _escape_bytes(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _canonical_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()
