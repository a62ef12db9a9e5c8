"""Remote files as bytes: what is expected comes in few ranges, and a copied range is not fetched again."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.warc import file_bytes
from pipeline.warc.file_bytes import RangeDigest, copied, open_bytes
from pipeline.warc.reader import RecordReader, read_split
from pipeline.warc.records import TO_END, RawRecord
from pipeline.warc.splits import whole
from tests.commoncrawl.server import Refusal, StandIn, serve
from tests.pipeline.warc.test_segments import OTHERS, PAGE, cut
from tests.pipeline.warc.test_zstd import FILES, RAW

CONTENT = bytes(range(256)) * 64


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandIn]:
    (tmp_path / "a.warc.gz").write_bytes(CONTENT)
    with serve(tmp_path) as running:
        yield running


def test_a_file_in_order_is_one_stream_and_its_size_comes_with_it(server: StandIn) -> None:
    with open_bytes(f"{server.url}/a.warc.gz") as file:
        read = b"".join(file.read(at, at + 1000) for at in range(0, 20_000, 1000))
        assert (read, file.size) == (CONTENT, len(CONTENT)) and file.read(file.size, file.size + 1) == b""
        assert file.version.startswith(f'size:{len(CONTENT)} etag:"')
    assert len(server.since(0)) == 1


def test_what_is_expected_comes_in_few_ranges_and_nothing_else(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_bytes, "NEAR_BYTES", 100)
    with open_bytes(f"{server.url}/a.warc.gz") as file:
        file.expect([(1000, 1100), (1150, 1300), (9000, 9050)])
        for start, stop in ((1000, 1100), (1150, 1300), (9000, 9050)):
            assert file.read(start, stop + 32_768)[: stop - start] == CONTENT[start:stop]
        assert file.expects(1120) and not file.expects(1300)
    assert [(line.start, line.sent) for line in server.since(0)] == [(1000, 300), (9000, 50)]


@pytest.mark.parametrize(("start", "stop"), [(0, TO_END), (1000, 5000)])
def test_a_copied_range_is_not_fetched_again(server: StandIn, start: int, stop: int) -> None:
    address = f"{server.url}/a.warc.gz"
    with copied(address, start, stop):
        end = len(CONTENT) if stop == TO_END else stop
        server.fault("*", Refusal(404))
        with open_bytes(address, ahead=1) as file:
            digest = RangeDigest(file, start, end)
            assert file.read(start, start + 700) == CONTENT[start : start + 700]
            assert file.read(end - 9, end) == CONTENT[end - 9 : end]
            assert len(digest.hexdigest()) == 64 and file.size == len(CONTENT)
        server.mend()
        with open_bytes(address, ahead=1) as file:  # what is around it comes from where it is
            assert file.read(max(start - 5, 0), end + 5) == CONTENT[max(start - 5, 0) : end + 5]
    with open_bytes(address) as file:
        assert file.read(0, 10) == CONTENT[:10]


@pytest.mark.parametrize("kind", ["segments", "dictionary"])
def test_what_a_record_needs_elsewhere_in_its_file_is_fetched(tmp_path: Path, kind: str) -> None:
    """The other segments of a record, and the dictionary of a file, are not among what is expected."""
    segments = [OTHERS[0], *cut(PAGE, 3), OTHERS[1]]
    content = FILES["compressed dictionary"] if kind == "dictionary" else b"".join(map(gzip.compress, segments))
    (tmp_path / "a.warc.gz").write_bytes(content)
    with serve(tmp_path) as server:
        for path in (str(tmp_path / "a.warc.gz"), f"{server.url}/a.warc.gz"):
            records = [event for event in read_split(whole(path, "a")) if isinstance(event, RawRecord)]
            assert len(records) == (len(RAW) if kind == "dictionary" else 5)
            with RecordReader(path) as reader:
                reader.expect([(each.offset, each.length, each.member_record) for each in records])
                for each in records:
                    again = reader.read(each.offset, each.length, each.member_record)
                    assert (again.block, again.truncated) == (each.block, each.truncated)
            if kind == "segments":
                assert records[1].block == PAGE
