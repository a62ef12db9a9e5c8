"""Archives of Zstandard frames, with and without a dictionary: read as those of gzip members are."""

import random
import struct
from pathlib import Path

import pytest
import zstandard

from pipeline.warc import records
from pipeline.warc.file_bytes import open_bytes
from pipeline.warc.reader import RecordReader
from pipeline.warc.records import RawRecord
from pipeline.warc.splits import plan_splits
from pipeline.warc.zstd_frames import frame_at
from tests.pipeline.warc.test_reader import SPOILS, expected, keys, make_records, read_all, reasons, written

RAW = make_records(60, seed=3)
WHOLE = b"".join(RAW)
DICTIONARY = zstandard.train_dictionary(4096, [*RAW] * 8)


def skippable(content: bytes, kind: int = 0) -> bytes:
    return bytes([0x50 + kind]) + b"\x2a\x4d\x18" + struct.pack("<I", len(content)) + content


def frames(dictionary: zstandard.ZstdCompressionDict | None = None, **options: bool) -> list[bytes]:
    compressor = zstandard.ZstdCompressor(dict_data=dictionary, **options)
    return [compressor.compress(record) for record in RAW]


PLAIN = b"".join(frames())
WITH_ONE = b"".join(frames(DICTIONARY))
FILES = {
    "a frame a record": PLAIN,
    "checksums": b"".join(frames(write_checksum=True)),
    "no sizes": b"".join(frames(write_content_size=False)),
    "dictionary": skippable(DICTIONARY.as_bytes(), 0xD) + WITH_ONE,
    "compressed dictionary": skippable(zstandard.compress(DICTIONARY.as_bytes()), 0xD) + WITH_ONE,
    "dictionary without use": skippable(DICTIONARY.as_bytes(), 0xD) + PLAIN,
    "dictionary after another frame": skippable(b"pzstd") + skippable(DICTIONARY.as_bytes(), 0xD) + WITH_ONE,
    "raw dictionary": skippable(WHOLE[:20_000], 0xD)
    + b"".join(frames(zstandard.ZstdCompressionDict(WHOLE[:20_000], dict_type=zstandard.DICT_TYPE_RAWCONTENT))),
    "skippable between": b"".join(frame + skippable(b"x" * 30, 3) for frame in frames()),
    "empty frames": b"".join(frame + zstandard.compress(b"") for frame in frames()),
    "three to a frame": b"".join(zstandard.compress(b"".join(RAW[i : i + 3])) for i in range(0, 60, 3)),
    "one frame": zstandard.compress(WHOLE),
    "cut anywhere": b"".join(zstandard.compress(WHOLE[i : i + 5000]) for i in range(0, len(WHOLE), 5000)),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("size", [records.SPLIT_BYTES, 4000])
def test_every_record_comes_out_and_is_read_again(tmp_path: Path, kind: str, size: int) -> None:
    path = written(tmp_path, FILES[kind], "archive.warc.zst")
    events = read_all(path, size)
    assert keys(events) == expected(RAW)
    assert reasons(events) == []
    container = plan_splits(str(path), "name")[0].container
    assert container == ("stream" if kind in ("one frame", "cut anywhere") else "zstd")
    assert len({event.offset for event in events}) == len(events)
    with RecordReader(str(path)) as reader:
        for event in events:
            assert isinstance(event, RawRecord)
            again = reader.read(event.offset, event.length, event.member_record)
            assert (again.url, again.block) == (event.url, event.block)


@pytest.mark.parametrize("dictionary", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_damage_costs_its_frame_alone(tmp_path: Path, seed: int, dictionary: bool) -> None:
    rng = random.Random(seed)
    hurt = set(rng.sample(range(60), 9))
    content = skippable(DICTIONARY.as_bytes(), 0xD) if dictionary else b""
    for i, frame in enumerate(frames(DICTIONARY if dictionary else None, write_checksum=True)):
        content += rng.choice(SPOILS)(frame, rng) if i in hurt else frame
        if rng.random() < 0.1:
            content += rng.choice((bytes(100), rng.randbytes(100), b"WARC/1.0\r\n"))
    path = written(tmp_path, content)
    events = read_all(path)
    sound = [key for i, key in enumerate(expected(RAW)) if i not in hurt]
    found = keys(events)
    assert [key for key in found if key in sound] == sound
    assert reasons(events)
    for size in (3000, 20_000):
        assert keys(read_all(path, size)) == found


def test_reasons(tmp_path: Path) -> None:
    frame, *_ = frames(write_checksum=True)
    lone, *_ = frames(DICTIONARY)
    for reason, content in {
        "crc": frame + frame[:-4] + b"\0\0\0\0" + frame,
        "dictionary": frame + lone + frame,
        "cut": frame + frame + frame[:-20],
        "junk": frame + b"no frame" * 50 + frame,
        "zeros": frame + bytes(512) + frame,
    }.items():
        events = read_all(written(tmp_path, content))
        assert reasons(events) == [reason], reason
        assert [key for key in keys(events) if key in expected(RAW)][:2] == expected(RAW)[:1] * 2


def test_a_cut_last_frame_keeps_what_it_has(tmp_path: Path) -> None:
    body = random.Random(1).randbytes(400_000)  # several blocks
    from tests.pipeline.warc.test_reader import warc_record

    frame = zstandard.compress(warc_record(1, b"HTTP/1.1 200 OK\r\n\r\n" + body))
    path = written(tmp_path, PLAIN + frame[: len(frame) // 2])
    events = read_all(path)
    last = [event for event in events if isinstance(event, RawRecord)][-1]
    assert (last.truncated, reasons(events)) == ("short", ["cut"])
    assert body.startswith(last.block[19:]) and len(last.block) > 100_000
    with RecordReader(str(path)) as reader:
        assert reader.read(last.offset, last.length, last.member_record).block == last.block


@pytest.mark.parametrize("size", [0, 1, 100, 2**17, 2**17 + 1, 2**20])
@pytest.mark.parametrize("compressible", [True, False])
def test_the_end_of_a_frame_is_found_without_decoding(tmp_path: Path, size: int, compressible: bool) -> None:
    data = bytes(size) if compressible else random.Random(size).randbytes(size)
    for options in ({}, {"write_checksum": True}, {"write_content_size": False}, {"level": 19}):
        frame = zstandard.ZstdCompressor(**options).compress(data)  # type: ignore[arg-type]
        with open_bytes(str(written(tmp_path, frame + b"more"))) as file:
            assert frame_at(file.read, 0).end == len(frame)
        for cut in (3, 5, len(frame) // 2, len(frame) - 1):
            with open_bytes(str(written(tmp_path, frame[:cut]))) as file:
                assert frame_at(file.read, 0)[:2] == (None, True)
