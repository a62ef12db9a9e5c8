"""Decodes transfer and content codings, with bounded output; what was decoded before an error is kept.

gzip, deflate (RFC 1950 as it is defined, RFC 1951 as some servers send it), br, zstd and identity. A coding is decoded
only if the bytes confirm it: gzip, zstd and zlib by their magic; raw deflate and br, which have none, by decoding.
"""

import re
import struct
import zlib
from typing import NamedTuple

from pipeline.warc.containers import gzip_header_bytes
from pipeline.warc.stream import salvage
from pipeline.warc.zstd_frames import ZSTD_MAGIC, frame_at, is_frame, skippable_end

# Problems.
NOT_CHUNKED = "http/not-chunked"  # declared, but the body does not begin with a chunk
BAD_CHUNK = "http/bad-chunk"  # a chunk's size is wrong: the rest is kept undecoded
CUT_CHUNK = "http/cut-chunk"  # the body ends inside a chunk
NOT_APPLIED = "coding/not-applied"  # declared, but the bytes do not confirm it
UNCLAIMED = "coding/unclaimed"  # not declared, but the bytes have its magic
UNKNOWN = "coding/unknown"
BROKEN = "coding/broken"  # broken or cut: what was decoded is kept
CHECKSUM = "coding/checksum"  # whole, but its checksum or size is another: what was decoded is kept
TOO_LARGE = "body/too-large"  # cut to the bound

# What writers put there: spaces, `0x`, leading zeros, an extension, a line end of one character.
_CHUNK_SIZE = re.compile(
    rb"[ \t]{0,64}(?:0[xX])?0{0,64}([0-9A-Fa-f]{0,15})(?<=[0-9A-Fa-f])[ \t]{0,64}(?:;[^\r\n]{0,4096})?\r{0,2}\n"
)
# The beginning of one, at the end of a body.
_CUT_SIZE = re.compile(rb"\s*(?:0[xX])?[0-9A-Fa-f]{0,16}[ \t]*(?:;[^\r\n]*)?\r{0,2}")
_LINE_BREAKS = re.compile(rb"(?:\r{0,2}\n){1,4}")
_CODINGS = 8  # bound on declared codings; no real server applies more
_FEED_BYTES = 2**14
_HEADER_BYTES = 2**8
_ZSTD_WINDOW = 2**27  # the largest window (memory) that a frame may require
_IDENTITY = ("identity", "none", "utf-8", "utf8", "8bit", "binary", "chunked")


def shows_compression(body: bytes) -> bool:
    """Whether `body` begins with the magic of gzip or zstd; no text begins so."""
    return gzip_header_bytes(body[: 2**16]) is not None or body.startswith(ZSTD_MAGIC)


def dechunk(body: bytes) -> tuple[bytes, str | None]:
    """Decodes the chunked transfer coding and drops trailers; returns the body unchanged if it is not chunked."""
    out: list[bytes] = []
    position = 0
    while True:
        found = _CHUNK_SIZE.match(body, position)
        if not found:
            if position == 0:
                return body, NOT_CHUNKED
            if _CUT_SIZE.fullmatch(body, position):
                return b"".join(out), CUT_CHUNK
            out.append(body[position:])
            return b"".join(out), BAD_CHUNK
        size = int(found[1] or b"0", 16)
        start = found.end()
        end = start + size
        if size == 0:
            return b"".join(out), None
        if end > len(body):
            if position == 0 and size > 2 * len(body) and not _is_cut_chunk(body[start : start + 2**16]):
                return body, NOT_CHUNKED
            out.append(body[start:])
            return b"".join(out), CUT_CHUNK
        out.append(body[start:end])
        breaks = _LINE_BREAKS.match(body, end)
        if not breaks and not _CHUNK_SIZE.match(body, end):
            out.append(body[end:])
            return b"".join(out), BAD_CHUNK if end < len(body) else CUT_CHUNK
        position = breaks.end() if breaks else end


def _is_cut_chunk(data: bytes) -> bool:
    """Whether data behind a line that may be the size of a chunk, far more than there is, are the beginning of one: a
    page, or compressed. A text may have such a line as its first."""
    return data.lstrip()[:1] == b"<" or shows_compression(data) or not _is_text(data)


def decode_body(body: bytes, codings: list[str], limit: int) -> tuple[bytes, list[str]]:
    """Decodes `codings` (given in the order they were applied), the last first; returns at most `limit` bytes and the
    problems."""
    problems: list[str] = []
    for coding in reversed(codings[:_CODINGS]):
        coding = coding.partition(";")[0].strip(" \t\"'").removeprefix("x-")
        if coding in _IDENTITY:
            continue
        body, problem = _decode(body, coding, limit)
        if problem:
            problems.append(problem)
    if len(codings) > _CODINGS:
        problems.append(UNKNOWN)
    if len(body) > limit:
        body = body[:limit]
        problems.append(TOO_LARGE)
    return body, problems


def _decode(body: bytes, coding: str, limit: int) -> tuple[bytes, str | None]:
    if not body:
        return body, None
    if coding not in ("gzip", "deflate", "br", "zstd"):
        return body, UNKNOWN
    if gzip_header_bytes(body[: 2**16]) is not None:
        return _gunzip(body, limit)
    if body.startswith(ZSTD_MAGIC) or (coding == "zstd" and is_frame(body[:4])):
        return _unzstd(body, limit)
    if coding == "deflate":
        return _undeflate(body, limit)
    if coding == "br":
        return _unbrotli(body, limit)
    return _mislabelled(body, limit)


def _mislabelled(body: bytes, limit: int) -> tuple[bytes, str | None]:
    """A body without the magic of its coding: not coded, or in another one that has none. The latter is accepted only
    if it decodes to more than it was, without an error: both make something of many bytes."""
    if _is_text(body):
        return body, NOT_APPLIED
    for decode in (_undeflate, _unbrotli):
        out, problem = decode(body, limit)
        if len(out) > min(len(body), limit - 1) and problem in (None, TOO_LARGE):
            return out, problem
    return body, NOT_APPLIED


def _gunzip(body: bytes, limit: int) -> tuple[bytes, str | None]:
    """Decodes all gzip members; trailing bytes that are not one are dropped, as every client does. The data
    of a body with a wrong checksum are still the best there are.

    A body may be a million empty members: each is read in its place, so that the time is linear in the body.
    """
    out: list[bytes] = []
    held = 0
    position = 0
    problem = None
    while (header := _gzip_header_at(body, position)) is not None:
        found = _inflate(body, limit - held, position + header)
        out.append(found.data)
        held += len(found.data)
        if found.problem:
            return b"".join(out), found.problem
        position = found.end + 8
        told = body[found.end : position]  # RFC 1952, 2.3.1: CRC32 and the size modulo 2^32
        if len(told) == 8 and told != struct.pack("<II", zlib.crc32(found.data), len(found.data)):
            problem = CHECKSUM
    return b"".join(out), problem


def _gzip_header_at(body: bytes, position: int) -> int | None:
    """The length of the gzip header there, nearly always a few bytes; None if there is none in 64 KiB."""
    found = gzip_header_bytes(body[position : position + _HEADER_BYTES])
    return gzip_header_bytes(body[position : position + 2**16]) if found is None else found


def _undeflate(body: bytes, limit: int) -> tuple[bytes, str | None]:
    if body[0] & 0x0F == 8 and len(body) > 2 and int.from_bytes(body[:2], "big") % 31 == 0:
        found = _inflate(body, limit, 2)
        if found.data or found.problem is None or (found.cut and not _is_text(body)):
            return found.data, found.problem
    found = _inflate(body, limit)
    if found.problem == BROKEN and ((not found.data and not found.cut) or _is_text(body)):
        return body, NOT_APPLIED
    return found.data, found.problem


def _is_text(body: bytes) -> bool:
    """Whether `body` begins like text: compressed data have a control character within a few bytes."""
    start = body[:256]
    return not any(byte < 9 or 13 < byte < 32 for byte in start)


class _Inflated(NamedTuple):
    """`end`: in what was decoded; `problem`: BROKEN or TOO_LARGE; `cut`: the input ended first, without an error."""

    data: bytes
    end: int
    problem: str | None
    cut: bool = False


def _inflate(data: bytes, limit: int, position: int = 0) -> _Inflated:
    """Decodes raw deflate from `position` on."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    out: list[bytes] = []
    held = 0
    while not inflater.eof:
        feed = inflater.unconsumed_tail or data[position : position + _FEED_BYTES]
        if not feed:
            return _Inflated(b"".join(out), position, BROKEN, cut=True)
        if held > limit:
            return _Inflated(b"".join(out)[:limit], position, TOO_LARGE)
        position += 0 if inflater.unconsumed_tail else len(feed)
        spare = inflater.copy()
        try:
            part = inflater.decompress(feed, limit - held + 1)
        except zlib.error:
            part, _ = salvage(spare, feed)
            out.append(part)
            return _Inflated(b"".join(out)[:limit], position, BROKEN)
        out.append(part)
        held += len(part)
    problem = TOO_LARGE if held > limit else None
    return _Inflated(b"".join(out)[:limit], position - len(inflater.unused_data), problem)


def _unbrotli(body: bytes, limit: int) -> tuple[bytes, str | None]:
    import brotli

    decoder = brotli.Decompressor()
    out = bytearray()
    position = 0
    broken = cut = False
    try:
        while not decoder.is_finished() and len(out) <= limit:
            wants_input = decoder.can_accept_more_data()
            feed = body[position : position + _FEED_BYTES] if wants_input else b""
            position += len(feed)
            part = decoder.process(feed, output_buffer_limit=_FEED_BYTES)
            out += part
            # Output may be pending after all input is consumed: the stream is cut only if empty input gives nothing.
            if wants_input and not feed and not part:
                broken = cut = True
                break
    except brotli.error:
        broken = True
    if broken and ((not out and not cut) or _is_text(body)):
        return body, NOT_APPLIED
    return bytes(out[:limit]), BROKEN if broken else TOO_LARGE if len(out) > limit else None


def _unzstd(body: bytes, limit: int) -> tuple[bytes, str | None]:
    """Decodes all frames; trailing bytes that are not one are dropped."""
    import zstandard

    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    out = bytearray()
    end, problem = _frames_end(body)
    with decoder.stream_reader(memoryview(body)[:end], read_across_frames=True) as reader:
        try:
            while len(out) <= limit and (part := reader.read(_FEED_BYTES)):
                out += part
        except zstandard.ZstdError:
            problem = BROKEN
    return bytes(out[:limit]), TOO_LARGE if len(out) > limit else problem


def _frames_end(body: bytes) -> tuple[int, str | None]:
    """The end of the last frame of `body`; BROKEN, and the end of `body`, if one of them is cut or broken: the decoder
    itself takes the end of its input for that of a frame."""

    def read(start: int, stop: int) -> bytes:
        return body[start:stop]

    position = 0
    while is_frame(head := body[position : position + 4]):
        found = frame_at(read, position).end if head == ZSTD_MAGIC else skippable_end(read, position, len(body))
        if found is None:
            return len(body), BROKEN
        position = found
    return position, None
