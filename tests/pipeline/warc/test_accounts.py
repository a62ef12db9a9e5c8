"""From odd archives to documents: each page is whole, marked, or a row of the ledger, on every engine the same."""

import gzip
import random
import struct
from pathlib import Path
from typing import Any

import pytest
import zstandard

from infra.dataset.manifest import check_invariant
from infra.dataset.reader import Dataset
from tests.pipeline.command import refinery
from tests.pipeline.pages import sentences
from tests.pipeline.warc.test_reader import warc_record
from tests.pipeline.warc.test_segments import cut as in_segments

RECIPE = """name = "pages"
about = "pages to text, nothing judged"

[[stage]]
name = "ingest"
command = "ingest"

[[stage]]
name = "extract"
command = "extract"

  [[stage.step]]
  kind = "extract"
  engine = "resiliparse"
"""
WORDS = [" ".join(sentences(number)) for number in range(4)]
BODY = ("<!doctype html><html><head><title>Keeper</title></head><body><main>"
        + "".join(f"<p>{text}</p>" for text in WORDS) + "</main></body></html>").encode()  # fmt: skip
PACKED = gzip.compress(BODY, mtime=0)


def noise(size: int) -> bytes:
    """A page's end that does not compress to little."""
    return b"<p>%s</p>" % random.Random(size).randbytes(size // 2).hex().encode()


def page(*headers: str, body: bytes = BODY, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join((status, "Content-Type: text/html", *headers)).encode() + b"\r\n\r\n" + body


LONG_FRAME = zstandard.compress(BODY + noise(300_000))
CHUNKED = b"%x\r\n%s" % (len(BODY) + 50, BODY[:-200])
PAGES: dict[str, tuple[bytes, str | None]] = {
    "plain": (page(), None),
    "lower case": (page(status="http/1.1 200 OK"), None),
    "tunnel": (b"HTTP/1.0 200 Connection established\r\n\r\n" + page(), None),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + page(), None),
    "partial": (page("Content-Range: bytes 0-99/100000", status="HTTP/1.1 206 Partial"), "partial"),
    "all of a range": (page("Content-Range: bytes 0-99/100", status="HTTP/1.1 206 Partial"), None),
    "gzip": (page("Content-Encoding: gzip", body=PACKED), None),
    "broken gzip": (page("Content-Encoding: gzip", body=PACKED[: len(PACKED) * 2 // 3]), "coding/broken"),
    "cut zstd": (
        page("Content-Encoding: zstd", body=LONG_FRAME[:-200]),
        "coding/broken",
    ),
    "cut chunk": (page("Transfer-Encoding: chunked", body=CHUNKED), "http/cut-chunk"),
    "shorter than declared": (page(f"Content-Length: {len(BODY)}", body=BODY[:-500]), "http/short-body"),
    "without its last line end": (page(f"Content-Length: {len(BODY) + 2}"), None),
    "longer than declared": (page("Content-Length: 10"), None),
    "declared before it was decoded": (page("Content-Length: 99999", "Content-Encoding: gzip"), None),
    "not coded": (page("Content-Encoding: br"), None),
}
UNREADABLE = {
    "nothing of a coding": (page("Content-Encoding: gzip", body=PACKED[:12]), "coding/broken"),
    "binary": (bytes(range(256)) * 4, "http/no-header"),
    "words": (b"these are words without a header", "http/no-header"),
    "fields": (b"Server: x\r\n\r\nthese are words", "http/no-status"),
    "unended": (b"HTTP/1.1 200 OK\r\nContent-Type: te", "http/unended-header"),
}


def made(folder: Path, content: bytes, name: str = "a.warc.gz", code: int = 0, engine: str = "local") -> Path:
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / name).write_bytes(content)
    out = folder / f"out-{engine}"
    words = ("run", "--recipe", folder / "recipe.toml", "--input", folder / name, "--out", out, "--engine", engine)
    refinery(*words, code=code)
    for stage in ("01-ingest", "02-extract"):
        check_invariant(Dataset(out / stage).manifest)
    return out


def rows(out: Path) -> dict[str, dict[str, Any]]:
    return {row["url"].rpartition("/")[2]: row for row in Dataset(out / "02-extract").to_arrow().to_pylist()}


def test_each_page_is_whole_or_marked_and_the_rest_is_in_the_ledger(tmp_path: Path) -> None:
    blocks = [*(block for block, _ in PAGES.values()), *(block for block, _ in UNREADABLE.values())]
    archive = b"".join(gzip.compress(warc_record(number, block)) for number, block in enumerate(blocks))
    out = made(tmp_path, archive)
    found = rows(out)
    for number, (name, (_, truncated)) in enumerate(PAGES.items()):
        row = found[str(number)]
        assert row["truncated"] == truncated, name
        assert WORDS[0][:40] in row["text"] and (truncated or WORDS[3][-40:] in row["text"]), name
    assert len(found) == len(PAGES)
    ingested = Dataset(out / "01-ingest")
    told = {row["url"].rpartition("/")[2]: row["rule"] for row in ingested.ledger().to_pylist()}
    numbers = range(len(PAGES), len(blocks))
    assert told == {str(n): rule for n, (_, rule) in zip(numbers, UNREADABLE.values(), strict=True)}
    assert not [name for name in ingested.manifest.counts if name.startswith("skipped/")]


@pytest.mark.parametrize("pack", [lambda data: gzip.compress(data, mtime=0), zstandard.compress, bytes])
def test_a_last_record_that_the_file_cuts(tmp_path: Path, pack: Any) -> None:
    many = b"<html><body>%s%s</body></html>" % (BODY, noise(400_000))
    whole, last = warc_record(0, page()), warc_record(1, page(body=many))
    packed = pack(last)
    out = made(tmp_path, pack(whole) + packed[: len(packed) * 2 // 3], code=0 if pack is bytes else 1)
    found = rows(out)
    assert (found["0"]["truncated"], found["1"]["truncated"]) == (None, "short")
    assert WORDS[3][-40:] in found["1"]["text"]
    rejected = Dataset(out / "01-ingest").manifest.rejected_by
    assert rejected == ({} if pack is bytes else {"ingest/damage/cut": 1})


def test_segments_become_one_page(tmp_path: Path) -> None:
    lone, *_ = in_segments(page(), 2, of=901)
    out = made(tmp_path, b"".join(map(gzip.compress, [*in_segments(page(), 3), lone])))
    found = rows(out)
    assert (found["900"]["truncated"], found["901"]["truncated"]) == (None, "segment")
    assert WORDS[3][-40:] in found["900"]["text"] and WORDS[3][-40:] not in found["901"]["text"]
    assert Dataset(out / "01-ingest").manifest.counts["skipped/type/continuation"] == 2


@pytest.mark.long
@pytest.mark.parametrize("engine", ["ray", "beam"])
def test_the_same_bytes_from_every_engine(tmp_path: Path, engine: str) -> None:
    samples = [warc_record(number, page(body=BODY + b"<!-- %d -->" % number)) for number in range(40)]
    dictionary = zstandard.train_dictionary(2048, samples * 4)
    frames = map(zstandard.ZstdCompressor(dict_data=dictionary).compress, [*samples, *in_segments(page(), 3)])
    content = zstandard.compress(dictionary.as_bytes())
    archive = b"\x5d\x2a\x4d\x18" + struct.pack("<I", len(content)) + content + b"".join(frames)
    here = made(tmp_path, archive[:-30], "a.warc.zst", code=1)
    there = made(tmp_path, archive[:-30], "a.warc.zst", code=1, engine=engine)
    for stage in ("01-ingest", "02-extract"):
        assert (here / stage / "manifest.json").read_bytes() == (there / stage / "manifest.json").read_bytes()
