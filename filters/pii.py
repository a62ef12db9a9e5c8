"""Masks for personal data: e-mail and network addresses, telephone numbers, cards, accounts, identity numbers.
`mask_pii` applies all of them; each is an edit of its own (`emails`, `ipv4`, `phones`, `identifiers`). FineWeb's own
two masks, which go by form alone, are in `edits`.

Each mask is an address or a number reserved for examples. Names and postal addresses are not masked.
"""

import re
from ipaddress import IPv6Address

from filters import identifiers
from filters.edits import Edit, mask_each
from filters.emails import mask_email_in_context
from filters.ipv4 import mask_ipv4_in_context
from filters.phones import mask_phone

IPV6_MASK = "2001:db8::1"  # documentation range, RFC 3849

# Global unicast, 2000::/3: four hexadecimal digits, the first of them 2 or 3; excludes times and C++ names.
_IPV6 = re.compile(r"(?<![A-Za-z0-9_:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{1,35}(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3})?")
# What has seven digits with little between them. The masks of a number need them, which settles most texts at once.
_SEVEN_DIGITS = re.compile(r"[0-9０-９](?:[^0-9０-９]{0,3}[0-9０-９]){6}")
_WITHOUT_DIGITS = frozenset({"mask_email_in_context", "mask_italian_id", "mask_ipv4_in_context", "mask_ipv6"})
MOST_PASSES = 4


def mask_ipv6(text: str) -> tuple[str, int]:
    """Public IPv6 addresses -> 2001:db8::1; private, reserved and impossible ones are kept."""
    return mask_each(text, _IPV6, _public_ipv6, IPV6_MASK)


def _public_ipv6(match: re.Match[str]) -> int | None:
    found = match.group()
    if found.endswith(":") and not found.endswith("::"):
        found = found[:-1]  # the colon of "2400:cb00::1: unreachable"
    end = match.start() + len(found)
    if re.match("[A-Za-z0-9_]", match.string[end : end + 1]):
        return None
    try:
        address = IPv6Address(found)
    except ValueError:
        return None
    return end if address.is_global else None


def mask_pii(text: str) -> tuple[str, int]:
    """Applies every mask, the most certain forms first; counts all replacements.

    A mask may part what stood together, so that another form begins or ends there: all are applied until none changes
    anything, MOST_PASSES times at most.
    """
    total = 0
    digits = _SEVEN_DIGITS.search(text)
    for _ in range(MOST_PASSES):
        before = total
        for name, change in PARTS:
            if digits or name in _WITHOUT_DIGITS:
                text, count = change(text)
                total += count
        if total == before:
            break
    return text, total


PARTS: tuple[tuple[str, Edit], ...] = (
    ("mask_email_in_context", mask_email_in_context),
    *identifiers.EDITS,
    ("mask_ipv4_in_context", mask_ipv4_in_context),
    ("mask_ipv6", mask_ipv6),
    ("mask_phone", mask_phone),
)
EDITS: tuple[tuple[str, Edit], ...] = (*PARTS, ("mask_pii", mask_pii))
