"""Zstandard frames (RFC 8878) by their structure: where one ends is read from its block headers, without decoding."""

from collections.abc import Callable
from typing import Final, NamedTuple

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
# The largest window that the library decodes: `zstd --long=31`.
MAX_WINDOW: Final = 2**31
_SKIPPABLE: Final = b"\x2a\x4d\x18"  # after a first byte from 0x50 to 0x5f
_BLOCK_BYTES: Final = 2**17
_RLE, _RESERVED = 1, 3

# The bytes of a range; fewer only at the end.
Read = Callable[[int, int], bytes]


class ZstdFrame(NamedTuple):
    """`end`: behind the frame, or None if it is broken or cut; `cut`: the bytes end inside it; `window`: the memory in
    bytes that decoding takes; `dictionary`: the number of the dictionary that it needs, 0 for none."""

    end: int | None
    cut: bool = False
    window: int = 0
    dictionary: int = 0


def is_skippable(head: bytes) -> bool:
    """Whether `head` begins with the magic of a skippable frame, which LZ4 has too."""
    return len(head) >= 4 and head[0] >> 4 == 5 and head[1:4] == _SKIPPABLE


def is_frame(head: bytes) -> bool:
    """Whether `head` begins with the magic of a frame of either kind."""
    return head.startswith(ZSTD_MAGIC) or is_skippable(head)


def skippable_end(read: Read, start: int, size: int) -> int | None:
    """The end of the skippable frame at `start`; None if it is not in the `size` bytes that there are."""
    head = read(start, start + 8)
    end = start + 8 + int.from_bytes(head[4:8], "little")
    return end if len(head) == 8 and end <= size else None


def frame_at(read: Read, start: int) -> ZstdFrame:
    """The frame at `start`, which has the magic."""
    head = read(start, start + 18)
    if len(head) < 6:
        return ZstdFrame(None, cut=True)
    descriptor = head[4]
    single, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    if descriptor & 8:  # reserved
        return ZstdFrame(None)
    position = 5 + (not single)
    id_bytes = (0, 1, 2, 4)[descriptor & 3]
    dictionary = int.from_bytes(head[position : position + id_bytes], "little")
    position += id_bytes
    content_bytes = (single, 2, 4, 8)[descriptor >> 6]
    content = int.from_bytes(head[position : position + content_bytes], "little") + 256 * (content_bytes == 2)
    position += content_bytes
    base = 1 << (10 + (head[5] >> 3))
    window = content if single else base + base // 8 * (head[5] & 7)
    end, cut = _blocks_end(read, start + position, min(window, _BLOCK_BYTES))
    if end is not None and checksum:
        end, cut = (end + 4, False) if len(read(end, end + 4)) == 4 else (None, True)
    return ZstdFrame(end, cut, window, dictionary)


def _blocks_end(read: Read, position: int, most: int) -> tuple[int | None, bool]:
    """The end of the last block, or None and whether that is because the bytes end first."""
    while True:
        header = read(position, position + 3)
        if len(header) < 3:
            return None, True
        word = int.from_bytes(header, "little")
        kind, size = word >> 1 & 3, word >> 3
        if kind == _RESERVED or size > most:
            return None, False
        stored = 1 if kind == _RLE else size
        position += 3 + stored
        if len(read(position - 1, position)) < 1:
            return None, True
        if word & 1:
            return position, False
