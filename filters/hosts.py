"""Hosts and addresses as they are compared: every spelling of a host as one, as browsers and crawlers read it.

`canonical_host` follows the host parser of the URL standard (url.spec.whatwg.org, 3.5): percent escapes are decoded,
UTS 46 maps case, full-width letters, the dots U+3002, U+FF0E and U+FF61 and what is invisible, each label becomes an
A-label (punycode, RFC 5891), an IPv4 address in any number of decimal, octal or hexadecimal parts becomes four decimal
ones, an IPv6 address its shortest form (RFC 5952). ß and ς stay themselves, as UTS 46 has it since 2023. Unlike a
browser it accepts every string: what the standard refuses is kept in lower case, with what no host may hold escaped.
"""

import ipaddress
import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import idna

# A name in its one form: labels of a-z, 0-9, - and _, none of them punycode, the last of them no number.
_PLAIN = re.compile(r"(?:(?!xn--)[a-z0-9_-]{1,63}\.)*(?!xn--|0x)(?=[0-9-]*[a-z_])[a-z0-9_-]{1,63}")
# An address without user, port and odd characters before its path.
_USUAL = re.compile(r"(https?)://((?:[a-z0-9_-]+\.)+[a-z]+)((?:[/?#][!-\[\]-~]*)?)")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):([/\\]+)")
# Of these, browsers read \ as / and any number of slashes before the host.
_SPECIAL = frozenset({"http", "https", "ftp"})
_DEFAULT_PORTS = {"": "80", "http": "80", "https": "443", "ftp": "21"}
_AUTHORITY_END = re.compile(r"[/?#]")
_PATH_END = re.compile(r"[?#]|\Z")
_PORT = re.compile(r":([0-9]*)\Z")
_REMOVED = str.maketrans("", "", "\t\r\n")
_BLANK = "".join(map(chr, range(0x21)))
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED = re.compile(r"[^!$&'()*+,;=a-z0-9._~-]+")
_ESCAPED_BUT_PERCENT = re.compile(r"[^%!$&'()*+,;=a-z0-9._~-]+")
_NUMBER = re.compile(r"0x[0-9a-f]{0,16}|0[0-7]{0,24}|[1-9][0-9]{0,10}")
# What has no place in a path, a query or a fragment as it is (RFC 3986); and the same, an escape as a whole.
_ODD = re.compile(r"[^!$&'()*+,;=:@/?A-Za-z0-9._~-]")
_UNIT = re.compile(rf"%([0-9A-Fa-f]{{2}})|{_ODD.pattern}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# A host has at most 253 characters, of 12 bytes each in escaped UTF-8. Python's punycode takes quadratic time.
_MOST_ESCAPED, _MOST = 3_036, 255


class Address(NamedTuple):
    """The parts of an address. `scheme`: in lower case, "" if it has none; `user`: as written, without its @; `host`:
    canonical; `port`: "" if it is the scheme's own; `rest`: path, query and fragment, as written."""

    scheme: str
    user: str
    host: str
    port: str
    rest: str


def split_address(url: str) -> Address:
    """The parts of an address with a scheme, `//` or nothing before its host. Never raises, whatever the string."""
    if match := _USUAL.fullmatch(url):
        return Address(match[1], "", canonical_host(match[2]), "", match[3])
    scheme, rest = _scheme_of(url.strip().strip(_BLANK).translate(_REMOVED))
    while True:
        found = _AUTHORITY_END.search(rest)
        authority, rest = (rest[: found.start()], rest[found.start() :]) if found else (rest, "")
        user, _, host = authority.rpartition("@")
        port = ""
        if match := _PORT.search(host):
            host, port = host[: match.start()], match[1].lstrip("0") or match[1][:1]
        host, port = canonical_host(host), "" if port == _DEFAULT_PORTS.get(scheme) else port
        if host or scheme not in _SPECIAL or not rest.startswith("/"):
            return Address(scheme, user, host, port, rest)
        rest = rest.lstrip("/")  # what has no host begins with more slashes


def _scheme_of(url: str) -> tuple[str, str]:
    """The scheme, and what follows the slashes before the host."""
    match = _SCHEME.match(url)
    scheme = match[1].lower() if match else ""
    if match and scheme not in _SPECIAL and url.startswith("://", match.end(1)):
        return scheme, url[match.end(1) + 3 :]
    if scheme not in _SPECIAL or match is None:
        scheme, rest = "", url
    else:
        rest = url[match.start(2) :]
    path_end = _PATH_END.search(rest)
    if "\\" in rest and path_end:
        rest = rest[: path_end.start()].replace("\\", "/") + rest[path_end.start() :]
    return scheme, rest.lstrip("/") if scheme or rest.startswith("//") else rest


def escapes_in_one_form(text: str) -> str:
    """A path, query or fragment with unreserved characters as they are, all that has no place there escaped, and every
    escape in upper case; a stray `%` becomes `%25`."""
    return _UNIT.sub(_in_one_form, text) if _ODD.search(text) else text


def _in_one_form(match: re.Match[str]) -> str:
    if not match[1]:
        return escape(match)
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def escape(match: re.Match[str]) -> str:
    """What was found, as percent escapes of its UTF-8."""
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def host_of(url: str) -> str:
    """The canonical host of an address, "" if it has none or none that could be; with `www.`."""
    name = split_address(url).host
    return "" if "%" in name else name


def listed_host(name: str) -> str:
    """A host as a line of a list names it, with a port and user perhaps or as a bare IPv6 address, in its one form."""
    bare = name.strip()
    return canonical_host(f"[{bare}]") if bare.count(":") > 1 and "[" not in bare else host_of("//" + bare)


def canonical_host(name: str) -> str:
    """The one form of a host's spellings, in ASCII and without dots at its end. Never raises."""
    return name if _PLAIN.fullmatch(name) else _canonical(name)


@lru_cache(maxsize=1 << 14)
def _canonical(name: str) -> str:
    name = name.rstrip(".")
    if len(name) > _MOST_ESCAPED:
        return _escaped(name.lower(), _ESCAPED_BUT_PERCENT)
    if "%" in name:
        name = unquote_to_bytes(name.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogateescape")
    if _SURROGATE.search(name):
        return _escaped(name.lower().rstrip("."))
    name = _mapped(name).rstrip(".")
    if name.startswith("[") and name.endswith("]"):
        return _ipv6(name)
    if len(name) <= _MOST:
        name = ".".join(map(_a_label, name.split(".")))
    return _ipv4(name) or _escaped(name)


def _mapped(name: str) -> str:
    """UTS 46's mapping; characters that it refuses are kept."""
    try:
        return idna.uts46_remap(name, std3_rules=False)
    except idna.IDNAError:
        pass
    if len(name) == 1:
        return name
    return unicodedata.normalize("NFC", "".join(map(_mapped, name)))


def _a_label(label: str) -> str:
    """The punycode of a label that is not ASCII; a label in punycode as that of what it stands for."""
    meant, punycode = label, label.startswith("xn--")
    try:
        if punycode:
            meant = _mapped(label[4:].encode("ascii").decode("punycode"))
        if meant.isascii() or "." in meant:
            return label
        return "xn--" + meant.encode("punycode").decode("ascii")
    except ValueError:  # no punycode, or a character that has none
        return label


def _ipv4(name: str) -> str | None:
    """The four decimal numbers of an address in any of its notations; None for what is none."""
    parts = name.split(".")
    if len(parts) > 4 or not all(map(_NUMBER.fullmatch, parts)):
        return None
    *head, last = (int(part[2:] or "0", 16) if part[:2] == "0x" else int(part, 8 if part[0] == "0" else 10)
                   for part in parts)  # fmt: skip
    if max(head, default=0) > 255 or last >= 256 ** (4 - len(head)):
        return None
    return str(ipaddress.IPv4Address(last + sum(number << 8 * (3 - place) for place, number in enumerate(head))))


def _ipv6(name: str) -> str:
    try:
        return f"[{ipaddress.IPv6Address(name[1:-1]).compressed}]" if "%" not in name else _escaped(name)
    except ValueError:
        return _escaped(name)


def _escaped(name: str, pattern: re.Pattern[str] = _ESCAPED) -> str:
    """`name` with what no host may hold in percent escapes."""
    return pattern.sub(lambda found: "".join(f"%{byte:02x}" for byte in _bytes(found[0])), name)


def _bytes(text: str) -> bytes:
    """UTF-8; the bytes that were no UTF-8 as they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeError:
        return text.encode("utf-8", "surrogatepass")
