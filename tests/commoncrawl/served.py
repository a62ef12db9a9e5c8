"""A bucket on disk and the stand-in that serves it, as the tests of runs over remote archives want them."""

from dataclasses import dataclass
from pathlib import Path

from tests.commoncrawl.bucket import NEW
from tests.commoncrawl.server import Answered, StandIn


@dataclass(frozen=True)
class ServedBucket:
    """`folder`: it has the bucket in `bucket`."""

    folder: Path
    server: StandIn

    @property
    def names(self) -> list[str]:
        """The WARC files of the newest snapshot."""
        bucket = self.folder / "bucket"
        return sorted(path.relative_to(bucket).as_posix() for path in bucket.glob(f"crawl-data/{NEW}/**/warc/*.gz"))

    def places(self, where: object) -> list[str]:
        """The same at an address or below a folder."""
        return [f"{where}/{name}" for name in self.names]

    def fetched(self, began: float) -> list[Answered]:
        """The answers with bytes of archives since then."""
        return [line for line in self.server.since(began) if line.sent]
