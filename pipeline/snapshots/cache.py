"""Path files are kept, below the user's cache or where REFINERY_SNAPSHOTS says: a published crawl's files do not
change, and each is asked for once.

Beside each is a card with its sha256, so that one that was cut or edited is fetched again.
"""

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from infra.hashing import readable_json
from infra.storage import read_json, write_bytes
from infra.user_folders import user_folder
from pipeline.snapshots.source import CrawlSource

CARD = ".card.json"


@dataclass(frozen=True)
class PathFiles:
    """Path files of sources, kept in `folder`. `refresh`: what is kept is not used."""

    folder: Path
    refresh: bool = False

    def kept(self, source: CrawlSource, name: str) -> bytes | None:
        """What was kept under this name; None where it is not, or no longer as it was."""
        return self._kept(source, name) if source.far and not self.refresh else None

    def keep(self, source: CrawlSource, name: str, content: bytes) -> None:
        """Keeps what a source has, or what was made of its listing, under a name."""
        if not source.far:
            return
        path = self._path(source, name)
        card = {
            "source": source.at,
            "name": name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "fetched": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        with suppress(OSError):  # a cache that cannot be written costs time alone
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, content)
            write_bytes(path.with_name(path.name + CARD), readable_json(card))

    def _kept(self, source: CrawlSource, name: str) -> bytes | None:
        path = self._path(source, name)
        with suppress(OSError):  # nor one that cannot be read
            card = read_json(path.with_name(path.name + CARD))
            content = path.read_bytes()
            if isinstance(card, dict) and card.get("sha256") == hashlib.sha256(content).hexdigest():
                return content
        return None

    def _path(self, source: CrawlSource, name: str) -> Path:
        return self.folder / hashlib.sha256(source.at.encode()).hexdigest()[:16] / name


def snapshot_cache() -> Path:
    """REFINERY_SNAPSHOTS, else `snapshots` in the user's cache."""
    return user_folder("snapshots")
