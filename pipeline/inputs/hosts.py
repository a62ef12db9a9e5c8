"""Whose page it is: pages of one host are alike, and are drawn, split and held out together."""

from urllib.parse import urlsplit


def host_of(url: str | None) -> str:
    """The host of a URL; empty where there is none, or where it is only a stand-in (`.invalid`, RFC 2606)."""
    try:
        host = urlsplit(url or "").hostname or ""
    except ValueError:
        return ""
    return "" if host.endswith(".invalid") else host
