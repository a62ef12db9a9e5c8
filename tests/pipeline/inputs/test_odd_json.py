"""Odd files of JSON: a value that cannot be read costs itself alone, and its reason is true."""

import bz2
import dataclasses
import gzip
import json
import lzma
import random
import struct
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest
import zstandard
from fastwarc.stream_io import Lz4Writer
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from pipeline.inputs.columns import Columns
from pipeline.inputs.documents import open_documents
from pipeline.inputs.inputs import read_inputs
from pipeline.inputs.json_lines import values_in

A, B, C = (json.dumps({"text": text}).encode() for text in ("one", "two", "three"))
LINES = b"\n".join((A, B, C)) + b"\n"
BOM = b"\xef\xbb\xbf"
FRAME = zstandard.compress(LINES)
STREAMED = zstandard.ZstdCompressor(write_content_size=False).compress(LINES)  # with the size of the window
packed = partial(gzip.compress, mtime=0)
SKIPPABLE = b"\x50\x2a\x4d\x18" + struct.pack("<I", 9) + b"something"


def read(path: Path) -> tuple[list[str], list[str]]:
    """The texts of a file, and the reasons of what is not one."""
    (part,) = open_documents(read_inputs([str(path)]).documents, Columns()).parts()
    texts = [text for batch in part.batches() for text in batch["text"].to_pylist()]
    keys = [row["warc_offset"] for row, _ in part.rejects]
    assert keys == sorted(set(keys)), "each has a place of its own"
    return texts, [reject.rule for _, reject in part.rejects]


def read_bytes(folder: Path, content: bytes, name: str = "a.jsonl") -> tuple[list[str], list[str]]:
    (folder / name).write_bytes(content)
    return read(folder / name)


@pytest.mark.parametrize(
    ("content", "texts", "faults"),
    [
        (LINES, "one two three", ""),
        (A + b"\n\n \n" + B, "one two", ""),
        (BOM + LINES, "one two three", ""),
        (A + b"\r\n" + B + b"\r\n", "one two", ""),
        (A + b"\r" + B + b"\r", "one two", ""),
        (A + B + b"\n" + C, "one two three", ""),
        (A + b"\n" + BOM + B + b"\n", "one two", ""),
        (A + b",\n" + B + b",\n", "one two", ""),
        (b"\x1e" + A + b"\n\x1e" + B + b"\n", "one two", ""),
        (LINES + bytes(4096), "one two three", ""),
        (A + b"\nnot json\n" + C, "one three", "not_json"),
        (A + b"\n" + B[:-4] + b"\n" + C, "one three", "not_json"),
        (A + b" and more\n" + C, "one three", "not_json"),
        (A + b"\n[1, 2]\nnull\n5\n" + C, "one three", "not_object not_object not_object"),
        (A + b'\n{"text": null}\n{"text": 7}\n{}\n' + C, "one three", "no_text no_text no_text"),
        (A + b'\n{"text": "caf\xe9"}\n' + C, "one caf\ufffd three", ""),
        (A + b'\n{"text": "a\tb"}\n' + C, "one a\tb three", ""),
        (A + b'\n{"text": "x", "n": NaN}\n' + C, "one x three", ""),
        (A + b'\n{"text": "x", "n": 1e999}\n' + C, "one x three", ""),
        (A + b'\n{"text": "x", "n": ' + b"9" * 5000 + b"}\n" + C, "one x three", ""),
        (A + b'\n{"text": "\\ud83d"}\n' + C, "one ? three", ""),
        (A + b'\n{"text": ' + b"[" * 100_000 + b"\n" + C, "one three", "not_json"),
        (A + b'\n{"text": "x", "n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n" + C, "one three", "too_deep"),
        (A + b'\n{"a": "[", "n": ' + b'{"b":' * 100_000 + b'"}"' + b"}" * 100_001 + b"\n" + C, "one three", "too_deep"),
        (A + b"\n" + bytes(40) + b"\n" + C, "one three", "not_json"),
        (A + b"\n\0\0 \t" + B + b"\n" + C, "one two three", ""),
        (LINES.decode().encode("utf-16"), "one two three", ""),
        (b"\xfe\xff" + LINES.decode().encode("utf-16-be"), "one two three", ""),
        (LINES.decode().encode("utf-32"), "one two three", ""),
        (LINES.decode().encode("utf-16-le"), "one two three", ""),
        (LINES.decode().encode("utf-16-be"), "one two three", ""),
        ('[{"text": "中文"}]'.encode("utf-16-le"), "中文", ""),
        (A + b"\xc2\x85" + B + b"\x0c" + C, "one two three", ""),
        (A + b"  " + B + b"\t" + C, "one two three", ""),
        (A + b"\n{'text': 'x'}\n{text: 1}\n" + C, "one three", "not_json not_json"),
        (A + b'\n{"text": "x",}\n{"text": "x", "n": 007}\n' + C, "one three", "not_json not_json"),
        (A + b'\n{"text": "x", "n": 0x1F}\n{"text": "a\\xb"}\n' + C, "one three", "not_json not_json"),
        (A + b" // a comment\n" + C, "one three", "not_json"),
        (A + b'\n{"text": "x", "text": null}\n' + C, "one three", "no_text"),
        (A + b'\n{"text": ["a", "b"]}\n{"Text": "x"}\n' + C, "one three", "no_text no_text"),
        (b'{"text": "\\ud83d\\ude00\\ude00\\ud83d"}\n', "\U0001f600??", ""),
        (A + b'\n{"text": "a\nb"}\n' + C, "one three", "not_json not_json"),
        (b"[[" + A + b"], [" + B + b"]]", "", "not_object"),
        (b"[" + A + b"]\n[" + B + b"]", "one two", ""),
        (b"[" + b", ".join((A, B, C)) + b"]", "one two three", ""),
        (b"[\n" + b",\n".join((A, B, C)) + b"\n]\n", "one two three", ""),
        (json.dumps([json.loads(A), json.loads(B)], indent=2).encode(), "one two", ""),
        (b"\n".join(json.dumps(json.loads(each), indent=4).encode() for each in (A, B)), "one two", ""),
        (b"[" + A + b", null, " + C + b"]", "one three", "not_json"),
        (b"[" + A + b', {"text": "x}, ' + C + b"]", "one three", "not_json"),
        (b"[" + A + b', {"text": x}, ' + C + b"]", "one three", "not_json"),
        (b"[" + A + b', {"words": [{"text": "inner"}]}, ' + C + b"]", "one three", "no_text"),
        (b"[" + A + b",\n" + B[:-1], "one", "not_json"),
        (b"[]", "", ""),
        (b"", "", ""),
    ],
)
def test_odd_values(tmp_path: Path, content: bytes, texts: str, faults: str) -> None:
    assert read_bytes(tmp_path, content) == (texts.split(" ") if texts else [], faults.split())


PACKED = {
    "gz": gzip.compress(LINES, mtime=0),
    "gz members": gzip.compress(A + b"\n", mtime=0) + gzip.compress(B + b"\n" + C, mtime=0),
    "gz inside a line": gzip.compress(A + b"\n" + B[:5], mtime=0) + gzip.compress(B[5:] + b"\n" + C, mtime=0),
    "gz padded": gzip.compress(LINES, mtime=0) + bytes(700),
    "gz empty member": gzip.compress(b"", mtime=0) + gzip.compress(LINES, mtime=0),
    "zst": FRAME,
    "zst frames": zstandard.compress(A + b"\n") + zstandard.compress(B + b"\n" + C),
    "zst skippable": SKIPPABLE + FRAME + SKIPPABLE,
    "zst checksum": zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(LINES),
    "zst long": STREAMED[:5] + bytes([(31 - 10) << 3]) + STREAMED[6:],  # as `zstd --long=31` has it
    "bz2": bz2.compress(LINES),
    "bz2 streams": bz2.compress(A + b"\n") + bz2.compress(B + b"\n" + C),
    "xz": lzma.compress(LINES),
    "xz streams": lzma.compress(A + b"\n") + bytes(8) + lzma.compress(B + b"\n" + C),
    "xz unchecked": lzma.compress(LINES, check=lzma.CHECK_NONE),
    "xz filters": lzma.compress(
        LINES, filters=[{"id": lzma.FILTER_DELTA, "dist": 1}, {"id": lzma.FILTER_LZMA2, "preset": 1}]
    ),
    "bz2 empty stream": bz2.compress(b"") + bz2.compress(LINES),
    "xz large": lzma.compress(LINES, preset=9 | lzma.PRESET_EXTREME),
}


@pytest.mark.parametrize("name", ["a.jsonl", "c4-train.00000-of-01024.json.gz", "a.ndjson", "a.JSONL.ZST", "a.json.xz"])
@pytest.mark.parametrize("kind", PACKED)
def test_every_compression_under_any_name(tmp_path: Path, kind: str, name: str) -> None:
    assert read_bytes(tmp_path, PACKED[kind], name) == (["one", "two", "three"], [])


def test_lz4(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.lz4"
    writer = Lz4Writer(str(path))
    writer.write(LINES)
    writer.close()
    assert read(path) == (["one", "two", "three"], [])
    path.write_bytes(SKIPPABLE + path.read_bytes() * 2)
    assert read(path) == (["one", "two", "three"] * 2, [])
    path.write_bytes(path.read_bytes()[:-12])
    assert read(path)[1] == ["damage/lz4"]


def many(count: int) -> bytes:
    return b"".join(b'{"text": "%d %s"}\n' % (number, b"%x" % (number * 7919**3) * 20) for number in range(count))


@pytest.mark.parametrize(
    ("pack", "fault"),
    [
        (packed, "damage/deflate"),
        (zstandard.compress, "damage/zstd"),
        (bz2.compress, "damage/bzip2"),
        (lzma.compress, "damage/xz"),
    ],
)
def test_damage_costs_its_member_alone(tmp_path: Path, pack: Callable[[bytes], bytes], fault: str) -> None:
    texts = [json.loads(line)["text"] for line in many(300).splitlines()]
    parts = [bytearray(pack(part)) for part in thirds(300)]
    middle = len(parts[1]) // 2
    parts[1][middle : middle + 64] = bytes(64)
    found, faults = read_bytes(tmp_path, b"".join(parts), "a.jsonl")
    assert found[:100] == texts[:100]
    assert found[-100:] == texts[-100:]
    assert set(found) <= set(texts) and len(found) == len(set(found))
    assert faults == [fault]


@pytest.mark.parametrize("pack", [packed, zstandard.compress, bz2.compress, lzma.compress])
def test_a_cut_file_gives_what_there_is(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    texts = [json.loads(line)["text"] for line in many(300).splitlines()]
    parts = [pack(part) for part in thirds(300)]
    content = b"".join(parts)
    found, faults = read_bytes(tmp_path, content[: -len(parts[2]) // 2])
    assert found == texts[: len(found)] and len(found) >= 200
    assert faults == ["damage/cut"]


def thirds(count: int) -> Iterable[bytes]:
    lines = many(count).splitlines(keepends=True)
    size = count // 3
    return (b"".join(lines[start : start + size]) for start in range(0, count, size))


def prose(count: int) -> bytes:
    words = random.Random(1)
    texts = (" ".join(f"w{words.randrange(400)}" for _ in range(40)) for _ in range(count))
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


@pytest.mark.parametrize("place", [0.01, 0.3, 0.5, 0.77, 0.999])
def test_a_damaged_block_of_bzip2_costs_itself_alone(tmp_path: Path, place: float) -> None:
    lines = prose(3000)
    texts = [json.loads(line)["text"] for line in lines.splitlines()]
    content = bytearray(bz2.compress(lines, 1))  # seven blocks
    content[int(len(content) * place)] ^= 255
    found, faults = read_bytes(tmp_path, bytes(content), "flip.jsonl.bz2")
    assert set(found) <= set(texts) and 2100 < len(found) < 3000
    assert faults == ["damage/bzip2"]


@pytest.mark.parametrize("place", [0.0003, 0.01, 0.5, 0.99])
def test_a_damaged_only_block_gives_nothing(tmp_path: Path, place: float) -> None:
    content = bytearray(bz2.compress(prose(3000)))
    content[int(len(content) * place)] ^= 255
    assert read_bytes(tmp_path, bytes(content), "flip.jsonl.bz2") == ([], ["damage/bzip2"])


def test_a_wrong_checksum_of_a_whole_bzip2_stream_costs_nothing(tmp_path: Path) -> None:
    content = bytearray(bz2.compress(LINES))
    content[-2] ^= 255
    assert read_bytes(tmp_path, bytes(content) + bz2.compress(LINES)) == (["one", "two", "three"] * 2, ["damage/bzip2"])


@pytest.mark.parametrize("pack", [packed, zstandard.ZstdCompressor(write_checksum=True).compress, lzma.compress])
def test_what_a_damaged_member_gave_is_told(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    before, damaged, after = (prose(400) for _ in range(3))
    middle = bytearray(pack(damaged))
    middle[len(middle) // 2] ^= 255
    (tmp_path / "a.jsonl").write_bytes(pack(before) + bytes(middle) + pack(after))
    (part,) = open_documents(read_inputs([str(tmp_path / "a.jsonl")]).documents, Columns()).parts()
    rows = [row for batch in part.batches() for row in batch.to_pylist()]
    marks = [row["truncated"] for row in rows]
    assert marks[:400] == [None] * 400 and marks[-400:] == [None] * 400
    assert len({*marks[400:-400], *(reject.rule for _, reject in part.rejects)}) == 1, "one reason, of all of them"
    assert part.rejects[0][1].rule.startswith("damage/")
    assert [row["text"] for row in [*rows[:400], *rows[-400:]]] == [
        json.loads(line)["text"] for line in (before + after).splitlines()
    ]
    alone = dataclasses.replace(part, doubts=None, rejects=[])
    assert [row["truncated"] for batch in alone.batches() for row in batch.to_pylist()] == marks


def test_only_documents_of_a_damaged_file_have_columns(tmp_path: Path) -> None:
    odd = b'{"te\\u0000xt": "x", "\\u001b[31m": 1}\n'
    (tmp_path / "a.jsonl").write_bytes(packed(odd + LINES)[:-8] + bytes(8))
    source = open_documents(read_inputs([str(tmp_path / "a.jsonl")]).documents, Columns())
    assert source.kept[0].names == ()
    assert read(tmp_path / "a.jsonl") == (["one", "two", "three"], ["damage/crc"] * 2)
    (tmp_path / "b.jsonl").write_bytes(odd)
    with pytest.raises(UsageError, match="it has ") as refused:
        read(tmp_path / "b.jsonl")
    assert str(refused.value).isprintable()


def test_a_checksum_that_is_wrong_is_told(tmp_path: Path) -> None:
    member = gzip.compress(LINES, mtime=0)
    content = member[:-8] + bytes(8) + gzip.compress(A, mtime=0)
    assert read_bytes(tmp_path, content) == (["one", "two", "three", "one"], ["damage/crc"])


def test_junk_between_members_is_told(tmp_path: Path) -> None:
    member = gzip.compress(LINES, mtime=0)
    assert read_bytes(tmp_path, member + b"no member" * 9 + member) == (["one", "two", "three"] * 2, ["damage/junk"])


def test_a_window_that_is_too_large_is_the_reason(tmp_path: Path) -> None:
    frame = STREAMED[:5] + bytes([(41 - 10) << 3]) + STREAMED[6:]  # 2 TiB
    assert read_bytes(tmp_path, frame + FRAME)[1][0] == "damage/window"


def test_a_frame_without_its_dictionary_is_told(tmp_path: Path) -> None:
    samples = [b'{"text": "the lighthouse keeper wrote every evening %d"}\n' % i for i in range(2000)]
    dictionary = zstandard.train_dictionary(4000, samples)
    frame = zstandard.ZstdCompressor(dict_data=dictionary).compress(samples[0])
    assert read_bytes(tmp_path, FRAME + frame + FRAME) == (["one", "two", "three"] * 2, ["damage/dictionary"])
    with_it = b"\x5d\x2a\x4d\x18" + struct.pack("<I", len(dictionary.as_bytes())) + dictionary.as_bytes() + frame
    assert read_bytes(tmp_path, with_it) == (["the lighthouse keeper wrote every evening 0"], [])


@pytest.mark.parametrize("array", [False, True])
def test_a_long_value_is_one_row(tmp_path: Path, array: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("json_lines", "json_elements"):
        monkeypatch.setattr(f"pipeline.inputs.{module}.MAX_LINE_BYTES", 5000)
    long, most = (b'{"text": "' + b"x" * (size - 12) + b'"}' for size in (20_000, 5000))
    lines = (A, long, B, most, C)
    content = b"[" + b",\n".join(lines) + b"]" if array else b"\n".join(lines)
    texts, faults = read_bytes(tmp_path, content)
    assert [text[:5] for text in texts] == ["one", "two", "xxxxx", "three"]
    assert faults == ["too_long"]


def test_what_is_compressed_twice_or_is_parquet_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="compressed twice"):
        read_bytes(tmp_path, gzip.compress(gzip.compress(LINES)))
    for name, content, message in (
        ("rows", b"PAR1", "Parquet: give it a name"),
        ("lines", gzip.compress(LINES), "JSON: give it a name"),
        ("words", b"words", "neither an archive"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=message):
            read_inputs([str(tmp_path / name)])


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"PAR1", "Parquet"), (b"PK\x03\x04", "ZIP"), (b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"Rar!\x1a\x07", "RAR"),
        (b"\x1f\x9d\x90", "compress"), (b"\x02\x21\x4c\x18", "LZ4"), (b"\xff\x06\0\0sNaPpY", "Snappy"),
        (lzma.compress(LINES, format=lzma.FORMAT_ALONE), "LZMA"), (bytes(257) + b"ustar", "tar archive"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pack", [bytes, packed])
def test_what_is_not_read_is_refused_with_its_name(
    tmp_path: Path, head: bytes, what: str, pack: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(UsageError, match=rf"a\.jsonl(, unpacked,)? is .*{what}"):
        read_bytes(tmp_path, pack(head + LINES))


def test_a_folder_says_what_it_does_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in {
        "a.jsonl": LINES, "b.json.gz": gzip.compress(LINES), "c.ndjson.bz2": bz2.compress(LINES),
        "d.json": b"[" + A + b"]", "dataset_info.json": b'{\n"features": {}}', "README.md": b"x", "e.csv": b"x",
        ".hidden": b"x",
    }.items():  # fmt: skip
        (folder / name).write_bytes(content)
    found = read_inputs([str(folder)])
    assert [file.name for file in found.documents] == ["a.jsonl", "b.json.gz", "c.ndjson.bz2", "d.json"]
    assert found.notes == (
        f"not read of {folder}: README.md, dataset_info.json, e.csv (neither archives nor documents)",
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["text", "a", "b"]), JSON, max_size=3), max_size=6), st.booleans())
def test_every_form_of_the_same_values_reads_alike(
    tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, object]], ascii_only: bool
) -> None:
    folder = tmp_path_factory.mktemp("forms")
    rows = [{"text": "first"}, *values]
    lines = [json.dumps(row, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") for row in rows]
    forms = {
        "lines": b"\n".join(lines),
        "array": b"[" + b",".join(lines) + b"]",
        "one line": b"".join(lines),
        "indented": json.dumps(rows, ensure_ascii=ascii_only, indent=1).encode("utf-8", "surrogatepass"),
    }
    found = {form: read_bytes(folder, content, f"{form}.jsonl") for form, content in forms.items()}
    assert len({repr(each) for each in found.values()}) == 1
    assert len(found["lines"][0]) + len(found["lines"][1]) == len(rows)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_any_line_is_values_or_a_fault(line: bytes) -> None:
    found = list(values_in(line, 100))
    assert found or not line.strip(b" \t\r\n\x1e\0,\xef\xbb\xbf")
    places = [each.offset for each in found]
    assert places == sorted(set(places))
    assert all(100 <= place <= 100 + len(line) for place in places)
