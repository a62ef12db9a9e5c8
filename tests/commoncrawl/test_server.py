"""The stand-in answers as the real source does."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pipeline.warc.reader import read_split
from pipeline.warc.records import Damage, RawRecord
from pipeline.warc.splits import plan_splits
from tests.commoncrawl.bucket import ARC_FILES, write_bucket
from tests.commoncrawl.server import Refusal, serve


def test_ranges_tags_and_refusals(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(200)))
    with serve(tmp_path) as server:

        def get(**headers: str) -> tuple[int, bytes, str]:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            request = urllib.request.Request(f"{server.url}/a.bin", headers=named)
            try:
                with urllib.request.urlopen(request) as answer:
                    return answer.status, answer.read(), answer.headers["ETag"]
            except urllib.error.HTTPError as error:
                return error.code, b"", ""

        status, whole, tag = get()
        assert (status, whole) == (200, bytes(range(200)))
        assert get(Range="bytes=10-19")[:2] == (206, bytes(range(10, 20)))
        assert get(Range="bytes=190-")[:2] == get(Range="bytes=-10")[:2] == (206, bytes(range(190, 200)))
        assert get(Range="bytes=200-")[0] == 416
        assert get(Range="bytes=0-1", If_Match=tag)[0] == 206
        assert get(If_Match='"other"')[0] == 412
        server.fault("a.*", Refusal(503, "1"), times=1)
        assert get()[0] == 503
        assert get()[0] == 200
        assert [one.status for one in server.log] == [200, 206, 206, 206, 416, 206, 412, 503, 200]


@pytest.mark.parametrize("pattern", ["*/warc/*.gz", "*/wet/*.gz", "*/robotstxt/*.gz", "*.arc.gz"])
def test_every_archive_of_the_bucket_is_read_without_damage(tmp_path: Path, pattern: str) -> None:
    bucket = write_bucket(tmp_path, files=1, each=3)
    found = [path for path in bucket.rglob("*.gz") if path.match(pattern)]
    assert len(found) == {"*/warc/*.gz": 3, "*.arc.gz": sum(map(len, ARC_FILES.values()))}.get(pattern, 2)
    for path in found:
        events = [event for split in plan_splits(str(path), path.name) for event in read_split(split)]
        assert not [event for event in events if isinstance(event, Damage)]
        assert len([event for event in events if isinstance(event, RawRecord)]) >= 1
