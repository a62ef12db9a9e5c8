"""The host of a page. Pages of one host are alike, so they are drawn, split and held out together."""

from urllib.parse import urlsplit


def host_of(url: str | None) -> str:
    """The host of a URL; empty if there is none, or if it is a placeholder (`.invalid`, RFC 2606)."""
    try:
        host = urlsplit(url or "").hostname or ""
    except ValueError:
        return ""
    return "" if host.endswith(".invalid") else host
