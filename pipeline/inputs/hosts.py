"""The host of a page. Pages of one host are alike, so they are drawn, split and held out together."""

from filters import hosts


def host_of(url: str | None) -> str:
    """The host of a URL in its one form; empty if there is none, or if it is a placeholder (`.invalid`, RFC 2606)."""
    host = hosts.host_of(url) if url and "//" in url else ""
    return "" if host.endswith(".invalid") else host
