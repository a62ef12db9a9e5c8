"""Decodes transfer and content codings, with bounded output; what was decoded before an error is kept.

gzip, deflate (RFC 1950 as it is defined, RFC 1951 as some servers send it), br, zstd and identity. A coding is decoded
only if the bytes confirm it: gzip, zstd and zlib by their magic; raw deflate and br, which have none, by decoding.
White space or a byte order mark that a script printed before the coded bytes is passed over.
"""

import re
import struct
import zlib
from typing import NamedTuple

from pipeline.warc.containers import gzip_header_bytes
from pipeline.warc.stream import salvage
from pipeline.warc.zstd_frames import ZSTD_MAGIC, Read, frame_at, is_frame, skippable_end

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
_IDENTITY = ("identity", "none", "utf-8", "utf8", "8bit", "binary", "chunked", "aws-chunked")
# Names that servers give the codings, beside those with `x-`.
_NAMES = {"gzipped": "gzip", "zlib": "deflate", "brotli": "br", "zstandard": "zstd", "zst": "zstd"}
# What scripts print before what the server compresses.
_PRINTED = re.compile(rb"(?:\xef\xbb\xbf|[ \t\r\n]){1,64}")
_MOST_STREAMS = 8  # of br that follow the first
_CHECKSUM_FLAG = 4  # of the descriptor of a zstd frame


def shows_compression(body: bytes) -> bool:
    """Whether `body` begins with the magic of gzip or zstd; no text begins so."""
    return gzip_header_bytes(body[: 2**16]) is not None or body.startswith(ZSTD_MAGIC)


def dechunk(body: bytes) -> tuple[bytes, str | None]:
    """Decodes the chunked transfer coding and drops trailers; returns the body unchanged if it is not chunked."""
    out: list[bytes] = []
    before = _PRINTED.match(body)
    first = position = before.end() if before and _CHUNK_SIZE.match(body, before.end()) else 0
    while True:
        found = _CHUNK_SIZE.match(body, position)
        if not found:
            if position == first:
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
            if position == first and size > 2 * len(body) and not _is_cut_chunk(body[start : start + 2**16]):
                return body, NOT_CHUNKED
            out.append(body[start:])
            return b"".join(out), CUT_CHUNK
        out.append(body[start:end])
        breaks = _LINE_BREAKS.match(body, end)
        if not breaks and not _CHUNK_SIZE.match(body, end):
            out.append(body[end:])
            return b"".join(out), BAD_CHUNK if end < len(body) else CUT_CHUNK
        position = breaks.end() if breaks else end


def shows_zlib(body: bytes) -> bool:
    """Whether `body` begins as zlib data do, and no text does."""
    return body[:1] == b"\x78" and int.from_bytes(body[:2], "big") % 31 == 0 and not _is_text(body)


def shows_chunks(body: bytes) -> bool:
    """Whether `body` is chunks to its end, though no header says so: the first begins a page or is compressed, and the
    sizes of all of them are right."""
    found = _CHUNK_SIZE.match(body)
    if found is None or not (body[found.end() :][:1] == b"<" or shows_compression(body[found.end() :][: 2**16])):
        return False
    return dechunk(body)[1] is None


def _is_cut_chunk(data: bytes) -> bool:
    """Whether data behind a line that may be the size of a chunk, far more than there is, are the beginning of one: a
    page, or compressed. A text may have such a line as its first."""
    return data.lstrip()[:1] == b"<" or shows_compression(data) or not _is_text(data)


def decode_body(body: bytes, codings: list[str], limit: int) -> tuple[bytes, list[str]]:
    """Decodes `codings` (given in the order they were applied), the last first; returns at most `limit` bytes and the
    problems."""
    problems: list[str] = []
    for coding in reversed(codings[:_CODINGS]):
        coding = coding.removeprefix("x-")
        coding = _NAMES.get(coding, coding)
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
    if (printed := _PRINTED.match(body)) and (found := _behind(body[printed.end() :], coding, limit)):
        return found
    return _decode_at_once(body, coding, limit)


def _behind(body: bytes, coding: str, limit: int) -> tuple[bytes, str | None] | None:
    """What the bytes behind printed white space decode to; None if they are not coded."""
    if not body or _is_text(body):
        return None
    out, problem = _decode_at_once(body, coding, limit)
    has_magic = coding == "gzip" or coding == "zstd" or shows_compression(body)
    return (out, problem) if problem in (None, TOO_LARGE, CHECKSUM) or (has_magic and problem == BROKEN) else None


def _decode_at_once(body: bytes, coding: str, limit: int) -> tuple[bytes, str | None]:
    if gzip_header_bytes(body[: 2**16]) is not None:
        return _gunzip(body, limit)
    if body.startswith(ZSTD_MAGIC) or (coding == "zstd" and is_frame(body[:4])):
        return _unzstd(body, limit)
    if coding == "gzip" and is_cut_header(body):
        return b"", BROKEN
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
    """Decodes all gzip members; trailing bytes that are not one are dropped, as every client does, unless they are the
    beginning of one. The data of a body with a wrong checksum are still the best there are.

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
    return b"".join(out), BROKEN if is_cut_header(body[position : position + 2**10]) else problem


def is_cut_header(data: bytes) -> bool:
    """Whether the data are the beginning of a gzip header and no more."""
    return data[:1] == b"\x1f" and b"\x1f\x8b\x08".startswith(data[:3]) and len(data) < 10


def _gzip_header_at(body: bytes, position: int) -> int | None:
    """The length of the gzip header there, nearly always a few bytes; None if there is none in 64 KiB."""
    found = gzip_header_bytes(body[position : position + _HEADER_BYTES])
    return gzip_header_bytes(body[position : position + 2**16]) if found is None else found


def _undeflate(body: bytes, limit: int) -> tuple[bytes, str | None]:
    if body[0] & 0x0F == 8 and len(body) > 2 and int.from_bytes(body[:2], "big") % 31 == 0:
        found = _inflate(body, limit, 2)
        told = body[found.end : found.end + 4]  # RFC 1950, 2.2
        if found.problem is None and len(told) == 4 and told != zlib.adler32(found.data).to_bytes(4, "big"):
            return found.data, CHECKSUM
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
    """Decodes all streams; trailing bytes that are not one are dropped, as with gzip."""
    out, end, problem = _brotli_stream(body, limit)
    for _ in range(_MOST_STREAMS):
        if problem or end >= len(body) or len(out) >= limit:
            break
        more, length, after = _brotli_stream(body[end:], limit - len(out))
        if after in (BROKEN, NOT_APPLIED) or not more or not _is_text(more):
            break
        out, end, problem = out + more, end + length, after
    return (body, problem) if problem == NOT_APPLIED else (out[:limit], problem)


def _brotli_stream(body: bytes, limit: int) -> tuple[bytes, int, str | None]:
    """What the stream at the beginning of `body` decodes to, and its end.

    The decoder fails if it is fed bytes behind the end, and does not say where that is: if it fails, the feed in which
    it did is given to another one byte by byte.
    """
    import brotli

    step, slow = _FEED_BYTES, len(body)
    while True:
        decoder = brotli.Decompressor()
        out = bytearray()
        position = 0
        broken = cut = False
        try:
            while not decoder.is_finished() and len(out) <= limit:
                wants_input = decoder.can_accept_more_data()
                feed = body[position : position + (step if position < slow else 1)] if wants_input else b""
                position += len(feed)
                part = decoder.process(feed, output_buffer_limit=_FEED_BYTES)
                out += part
                # Output may be pending after all input: the stream is cut only if empty input gives nothing.
                if wants_input and not feed and not part:
                    broken = cut = True
                    break
        except brotli.error:
            if slow == len(body):
                slow = (position - 1) // step * step
                continue
            broken = True
        break
    if broken and ((not out and not cut) or _is_text(body)):
        return b"", position, NOT_APPLIED
    return bytes(out[:limit]), position, BROKEN if broken else TOO_LARGE if len(out) > limit else None


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
            if problem is None and (unchecked := _without_checksums(body, end)):
                again, found = _unzstd(unchecked, limit)
                return (again, CHECKSUM) if found is None else (bytes(out), BROKEN)
            problem = BROKEN
    return bytes(out[:limit]), TOO_LARGE if len(out) > limit else problem


def _without_checksums(body: bytes, end: int) -> bytes:
    """The frames of `body` without their checksums, which are a flag and the last four bytes; empty if none has one."""
    parts: list[bytes] = []
    found = False
    position = 0
    read = _reader(body)
    while position < end:
        if body.startswith(ZSTD_MAGIC, position):
            last = frame_at(read, position).end
            assert last is not None  # all of them are whole
            descriptor = body[position + 4]
            if descriptor & _CHECKSUM_FLAG:
                found = True
                parts += [ZSTD_MAGIC, bytes([descriptor & ~_CHECKSUM_FLAG]), body[position + 5 : last - 4]]
            else:
                parts.append(body[position:last])
        else:
            last = skippable_end(read, position, end)
            assert last is not None
        position = last
    return b"".join(parts) if found else b""


def _reader(body: bytes) -> Read:
    return lambda start, stop: body[start:stop]


def _frames_end(body: bytes) -> tuple[int, str | None]:
    """The end of the last frame of `body`; BROKEN, and the end of `body`, if one of them is cut or broken: the decoder
    itself takes the end of its input for that of a frame."""

    read = _reader(body)
    position = 0
    while is_frame(head := body[position : position + 4]):
        found = frame_at(read, position).end if head == ZSTD_MAGIC else skippable_end(read, position, len(body))
        if found is None:
            return len(body), BROKEN
        position = found
    return position, None
