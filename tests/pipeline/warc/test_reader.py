"""Reading splits: every byte accounted for, damage costs its member alone, results equal for every split size."""

import gzip
import random
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError, WorkError
from pipeline.warc import containers, records, walk
from pipeline.warc.reader import RecordReader, read_split
from pipeline.warc.records import Beyond, Damage, Event, RawRecord, Split, SplitOverrun
from pipeline.warc.splits import plan_splits

Key = tuple[str | None, bytes]
CONTAINERS = ("plain", "gzip", "stream")


def http_page(text: str) -> bytes:
    body = f"<html><body><p>{text}</p></body></html>".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def warc_record(number: int, block: bytes, length: object = None, breaks: bytes = b"\r\n") -> bytes:
    lines = [
        b"WARC/1.0",
        b"WARC-Type: response",
        b"WARC-Target-URI: http://site.test/%d" % number,
        b"WARC-Date: 2020-05-25T10:10:10Z",
        b"WARC-Record-ID: <urn:uuid:%032d>" % number,
        b"Content-Type: application/http; msgtype=response",
        b"Content-Length: " + str(len(block) if length is None else length).encode(),
    ]
    return breaks.join(lines) + 2 * breaks + block + 2 * breaks


def arc_record(number: int, block: bytes) -> bytes:
    return b"http://site.test/%d 10.0.0.1 20080430204825 text/html %d\n%s\n" % (number, len(block), block)


def make_records(count: int, seed: int = 0, size: int = 2000) -> list[bytes]:
    """Records of text that deflates to a third or so, of uneven lengths."""
    rng = random.Random(seed)
    words = ["river", "stone", "light", "paper", "engine", "winter", "market", "number"]

    def text() -> str:
        return " ".join(f"{rng.choice(words)}{rng.random():.9f}" for _ in range(rng.randrange(size // 15) + 1))

    return [warc_record(i, http_page(text())) for i in range(count)]


def written(folder: Path, content: bytes, name: str = "archive") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def contained(raw: list[bytes], container: str) -> bytes:
    """The records in a container of this kind."""
    if container == "gzip":
        return b"".join(map(gzip.compress, raw))
    return gzip.compress(b"".join(raw)) if container == "stream" else b"".join(raw)


def read_all(path: Path, size: int = records.SPLIT_BYTES, exact: bool = False) -> list[Event]:
    """Returns all events of a file, and asserts the invariants."""
    events: list[Event] = []
    position = 0
    for split in plan_splits(str(path), "name", size, exact):
        assert split.start == position
        position = split.end
        part = list(read_split(split))
        assert sum(event.file_bytes for event in part) == split.end - split.start
        events += part
    assert position == path.stat().st_size
    return events


def keys(events: Iterable[Event]) -> list[Key]:
    return [(event.url, event.block) for event in events if isinstance(event, RawRecord)]


def reasons(events: Iterable[Event]) -> list[str]:
    return [event.reason for event in events if isinstance(event, Damage)]


def expected(raw: list[bytes]) -> list[Key]:
    """The URL and block of each record that `warc_record` made."""
    parts = (record.partition(b"\r\n\r\n") for record in raw)
    return [(head.split(b"\r\n")[2].partition(b": ")[2].decode(), block[:-4]) for head, _, block in parts]


def test_containers_agree_and_read_again(tmp_path: Path) -> None:
    raw = make_records(60)
    whole = b"".join(raw)
    files = {
        "members": contained(raw, "gzip"),
        "one member": contained(raw, "stream"),
        "plain": whole,
        "line feeds": b"".join(warc_record(i, block, breaks=b"\n") for i, (_, block) in enumerate(expected(raw))),
        "three to a member": b"".join(gzip.compress(b"".join(raw[i : i + 3])) for i in range(0, 60, 3)),
        "cut anywhere": b"".join(gzip.compress(whole[i : i + 5000]) for i in range(0, len(whole), 5000)),
    }  # fmt: skip
    kinds = {}
    for name, content in files.items():
        path = tmp_path / name.replace(" ", "-")
        path.write_bytes(content)
        events = read_all(path)
        assert keys(events) == expected(raw), name
        assert reasons(events) == []
        container = plan_splits(str(path), "name")[0].container
        kinds[name] = container
        assert len({event.offset for event in events}) == len(events)
        with RecordReader(str(path)) as reader:
            for event in events:
                assert isinstance(event, RawRecord)
                again = reader.read(event.offset, event.length, event.member_record)
                assert (again.url, again.block, again.headers) == (event.url, event.block, event.headers)
            last = events[-1]
            assert isinstance(last, RawRecord)
            with pytest.raises(WorkError, match="no record"):
                reader.read(last.offset + 1, last.length, last.member_record)
    assert kinds == {
        "members": "gzip", "one member": "stream", "plain": "plain", "line feeds": "plain",
        "three to a member": "gzip", "cut anywhere": "stream",
    }  # fmt: skip


def test_arc_under_any_name(tmp_path: Path) -> None:
    head = b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain 76\n1 0 InternetArchive\n"
    head += b"URL IP-address Archive-date Content-type Archive-length\n\n"
    raw = [head, *(arc_record(i, http_page(f"page {i}")) for i in range(20))]
    for name, content in (("x.warc", b"".join(raw)), ("x.warc.gz", b"".join(map(gzip.compress, raw)))):
        path = written(tmp_path, content, name)
        events = [event for event in read_all(path, size=500) if isinstance(event, RawRecord)]
        assert [event.type for event in events] == ["warcinfo"] + ["response"] * 20
        assert {event.format for event in events} == {"arc"}
        assert events[5].block == http_page("page 4")
        assert events[5].date == "2008-04-30T20:48:25Z"


def spoil_flip(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def spoil_cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data))]


def spoil_insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(1, len(data))
    return data[:at] + rng.randbytes(rng.randrange(1, 500)) + data[at:]


def spoil_zero(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    size = min(rng.randrange(1, 200), len(data) - at)
    return data[:at] + bytes(size) + data[at + size :]


SPOILS = (spoil_flip, spoil_cut, spoil_insert, spoil_zero)


@pytest.mark.parametrize("seed", range(12))
def test_damage_costs_its_member_alone(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    raw = make_records(40, seed)
    members = [gzip.compress(record) for record in raw]
    hurt = set(rng.sample(range(40), 8))
    content = b""
    for i, member in enumerate(members):
        content += rng.choice(SPOILS)(member, rng) if i in hurt else member
        if rng.random() < 0.1:
            content += rng.choice((bytes(100), rng.randbytes(100), b"WARC/1.0\r\n"))
    path = written(tmp_path, content)
    events = read_all(path)
    sound = [key for i, key in enumerate(expected(raw)) if i not in hurt]
    found = keys(events)
    assert [key for key in found if key in sound] == sound
    assert all(key in expected(raw) for key in found)  # a flip in a header's name or time is no damage
    assert reasons(events)
    for size in (3000, 20000):
        again = read_all(path, size)
        assert keys(again) == found
        assert again == events or keys(read_all(path, size, exact=True)) == found


@pytest.mark.parametrize("seed", range(12))
def test_damage_in_a_plain_file_costs_its_record_alone(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    raw = make_records(30, seed)
    hurt = set(rng.sample(range(30), 5))
    content = b"".join(rng.choice(SPOILS)(record, rng) if i in hurt else record for i, record in enumerate(raw))
    path = written(tmp_path, content)
    events = read_all(path)
    sound = [key for i, key in enumerate(expected(raw)) if i not in hurt]
    assert [key for key in keys(events) if key in sound] == sound
    assert read_all(path, size=4000) == events


@pytest.mark.parametrize(
    "length", ["-5", "many", str(2**70), "999999", "", "0", "3", "12 bytes", "1e3", "٣", str(2**63 - 1)]
)
@pytest.mark.parametrize("container", CONTAINERS)
def test_an_absurd_length_costs_no_neighbour(tmp_path: Path, length: str, container: str) -> None:
    raw = [warc_record(i, http_page(f"page {i}")) for i in range(5)]
    raw[2] = warc_record(2, http_page("page 2"), length)
    path = written(tmp_path, contained(raw, container))
    events = [event for event in read_all(path) if isinstance(event, RawRecord)]
    assert [event.block for event in events] == [http_page(f"page {i}") for i in range(5)]
    assert events[2].truncated == ("short" if length in ("999999", str(2**63 - 1)) else None)


def nested_archive(rng: random.Random, count: int) -> bytes:
    """An archive of many small members."""
    return b"".join(gzip.compress(warc_record(1000 + i, http_page(rng.randbytes(60).hex()))) for i in range(count))


def test_a_nested_archive_across_a_boundary_is_payload(tmp_path: Path) -> None:
    rng = random.Random(7)
    inner = nested_archive(rng, 900)
    raw = make_records(40, 1, 6000)
    raw[15:15] = [warc_record(500, b"HTTP/1.1 200 OK\r\nContent-Type: application/gzip\r\n\r\n" + inner)]
    members = [gzip.compress(record, 0 if len(record) > len(inner) else 6) for record in raw]
    assert inner[1000:1200] in members[15]  # stored: the inner members show
    path = written(tmp_path, b"".join(members))
    for size in (2**12, 2**14, 2**16, 2**20):
        assert keys(read_all(path, size)) == expected(raw), size
        exact = plan_splits(str(path), "name", size, exact=True)
        assert plan_splits(str(path), "name", size) == exact


def test_a_wrong_checksum_round_a_nested_archive_shows_nothing_of_it(tmp_path: Path) -> None:
    raw = make_records(3)
    outer = bytearray(gzip.compress(warc_record(1, nested_archive(random.Random(1), 300)), 0))
    outer[-5] ^= 1
    events = read_all(written(tmp_path, gzip.compress(raw[0]) + outer + gzip.compress(raw[2])))
    assert keys(events) == expected([raw[0], raw[2]])
    assert reasons(events) == ["crc"]


def test_a_split_that_ends_inside_a_member_is_an_overrun(tmp_path: Path) -> None:
    raw = make_records(10)
    for make in (gzip.compress, bytes):
        content = [make(record) for record in raw]
        path = written(tmp_path, b"".join(content))
        container = plan_splits(str(path), "name")[0].container
        split = Split(str(path), "name", 0, len(b"".join(content[:3])) - 7, container)
        with pytest.raises(SplitOverrun) as caught:
            list(read_split(split))
        assert caught.value.true_end == len(b"".join(content[:3]))
        assert caught.value.split == split


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_bytes_are_accounted_for(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    raw = make_records(4, 3, 200)
    sound = [*raw, *map(gzip.compress, raw), gzip.compress(raw[0] + raw[1])[:-3], arc_record(1, b"x"), bytes(40)]
    parts = data.draw(st.lists(st.one_of(st.sampled_from(sound), st.binary(max_size=60)), max_size=12))
    path = written(tmp_path_factory.mktemp("any"), b"".join(parts))
    events = read_all(path, data.draw(st.sampled_from([64, 700, 2**24])))
    assert len({event.offset for event in events if isinstance(event, RawRecord)}) == len(keys(events))


def test_reasons(tmp_path: Path) -> None:
    member = gzip.compress(make_records(1)[0])
    broken = member[:60] + bytes(8) + member[68:]
    cases = {
        "crc": member + member[:-8] + bytes(4) + member[-4:] + member,
        "deflate": member + broken + member,
        "cut": member + member + member[:-20],
        "junk": member + b"no member" * 50 + member,
        "zeros": member + bytes(512) + member,
    }
    for reason, content in cases.items():
        path = written(tmp_path, content)
        events = read_all(path)
        assert reasons(events) == [reason]
        assert len(keys(events)) == (3 if reason == "cut" else 2)  # what the cut member has of a record is kept
    assert read_all(written(tmp_path, b"plain words\n" * 1000)) == [Damage(0, 12000, "junk")]
    assert plan_splits(str(written(tmp_path, b"")), "name") == []
    with pytest.raises(UsageError, match="no such file"):
        plan_splits(str(tmp_path / "missing"), "name")


def test_damage_inside_a_stream(tmp_path: Path) -> None:
    raw = make_records(60, 5)
    content = bytearray(gzip.compress(b"".join(raw)))
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path = written(tmp_path, content)
    events = read_all(path)
    found = keys(events)
    assert found[:20] == expected(raw)[:20]
    assert {"deflate", "crc"} & set(reasons(events))
    path.write_bytes(content[:middle])
    events = read_all(path)
    *whole, (url, block) = keys(events)
    assert whole == expected(raw)[: len(whole)]
    assert url == expected(raw)[len(whole)][0] and expected(raw)[len(whole)][1].startswith(block)
    assert 20 <= len(keys(events)) < 40
    assert reasons(events) == ["cut"]


def test_members_without_contents_belong_to_the_record_before(tmp_path: Path) -> None:
    member = gzip.compress(make_records(1)[0])
    empty = gzip.compress(b"")
    events = read_all(written(tmp_path, member + empty + member + gzip.compress(b"\r\n")))
    assert reasons(events) == []
    counted = [event.file_bytes - len(member) for event in events]
    assert counted == [len(empty), len(gzip.compress(b"\r\n"))]


def test_a_header_line_of_a_megabyte_is_cut_not_kept(tmp_path: Path) -> None:
    long = make_records(3)
    long[1] = long[1].replace(b"WARC-Date:", b"X-Long: " + b"y" * 2**20 + b"\r\nWARC-Date:", 1)
    endless = make_records(3)
    endless[1] = endless[1].replace(b"WARC-Date:", b"X-Long: " + b"y" * 3 * 2**20 + b"\r\nWARC-Date:", 1)
    for container in ("gzip", "plain"):
        path = written(tmp_path, contained(long, container))
        events = read_all(path)
        assert keys(events) == expected(make_records(3))
        headers = [event.headers for event in events if isinstance(event, RawRecord)]
        assert max(len(value) for pairs in headers for _, value in pairs) <= 2**16
        written(tmp_path, contained(endless, container))
        assert [key[0] for key in keys(read_all(path))] == ["http://site.test/0", "http://site.test/2"]
        assert reasons(read_all(path)) == ["header"]


def test_a_bomb_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = make_records(3)
    bomb = gzip.compress(warc_record(9, bytes(3 * 2**20)))
    path = written(tmp_path, gzip.compress(raw[0]) + bomb + gzip.compress(raw[1]))
    monkeypatch.setattr(containers, "MEMBER_BYTES", 2**20)
    events = read_all(path)
    assert keys(events) == expected(raw[:2])
    assert [(event.reason, event.length) for event in events if isinstance(event, Damage)] == [("too-large", len(bomb))]
    monkeypatch.setattr(containers, "_SKIM_BYTES", 2**20)
    assert read_all(path) == events


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_block_beyond_its_bound_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str) -> None:
    raw = make_records(3)
    raw[1] = warc_record(1, b"z" * 3 * 2**20)
    path = written(tmp_path, contained(raw, container))
    monkeypatch.setattr(walk, "BLOCK_BYTES", 2**20)
    events = read_all(path)
    assert keys(events) == [expected(raw)[0], expected(raw)[2]]
    assert reasons(events) == ["too-large"]


def test_more_records_than_bytes_in_a_member(tmp_path: Path) -> None:
    tiny = b"WARC/1.0\r\nWARC-Type: metadata\r\nContent-Length: 0\r\n\r\n\r\n\r\n"
    member = gzip.compress(tiny * 5000)
    events = read_all(written(tmp_path, member * 2))
    offsets = [event.offset for event in events if isinstance(event, RawRecord)]
    assert len(offsets) == len(set(offsets)) == 2 * len(member)
    assert reasons(events) == ["crowded"] * 2


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_cap_counts_pages_and_accounts_for_the_rest(tmp_path: Path, container: str) -> None:
    raw = make_records(12)
    raw.insert(1, warc_record(99, b"GET / HTTP/1.1\r\n\r\n").replace(b"WARC-Type: response", b"WARC-Type: request"))
    path = written(tmp_path, contained(raw, container))
    (split,) = plan_splits(str(path), "name")
    whole = list(read_split(split))
    for cap, kept in ((0, 0), (1, 1), (3, 4), (12, 13), (50, 13)):
        events = list(read_split(Split(split.path, split.name, split.start, split.end, split.container, cap)))
        assert sum(event.file_bytes for event in events) == split.end - split.start
        assert events[:kept] == whole[:kept]
        assert all(isinstance(event, Beyond) for event in events[kept:])


def test_lz4_is_read_as_a_stream(tmp_path: Path) -> None:
    from fastwarc.stream_io import Lz4Writer

    raw = make_records(30)
    path = tmp_path / "file.lz4"
    writer = Lz4Writer(str(path))
    writer.write(b"".join(raw))
    writer.close()
    assert keys(read_all(path)) == expected(raw)
    path.write_bytes(path.read_bytes()[:-200])
    events = read_all(path)
    assert reasons(events)
    assert keys(events) == expected(raw)[: len(keys(events))]


def test_intact_files_agree_with_fastwarc(tmp_path: Path) -> None:
    from fastwarc.warc import ArchiveIterator

    raw = make_records(50)
    for container in ("plain", "gzip"):
        path = written(tmp_path, contained(raw, container))
        ours = [(event.offset, event.block) for event in read_all(path, 4096) if isinstance(event, RawRecord)]
        with path.open("rb") as file:
            theirs = [(record.stream_pos, record.reader.read()) for record in ArchiveIterator(file, parse_http=False)]
        assert ours == theirs


def test_inflating_without_the_accelerator_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    members = [gzip.compress(record) for record in make_records(30)]
    spoiled = (rng.choice(SPOILS)(member, rng) if i % 3 else member for i, member in enumerate(members))
    path = written(tmp_path, b"".join(spoiled))
    events = read_all(path)
    monkeypatch.setattr(containers, "_FAST", zlib)
    assert read_all(path) == events
