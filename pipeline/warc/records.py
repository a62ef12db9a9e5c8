"""The output of the readers: raw records, damaged ranges, and the splits they come from.

Invariant of a split: every byte of `[split.start, split.end)` is accounted for by exactly one event, so the sum of
`event.file_bytes` over the events of a split is `split.end - split.start`.
"""

from dataclasses import dataclass

SPLIT_BYTES = 6 * 2**20
MEMBER_BYTES = 256 * 2**20  # the most inflated bytes of one gzip member that are held in memory
BLOCK_BYTES = 64 * 2**20  # longest block of a record that is read

GZIP = "gzip"  # a file of gzip members, each of which begins with a record
ZSTD_FRAMES = "zstd"  # a file of Zstandard frames, each of which begins with a record
STREAM = "stream"  # one compressed stream that holds the whole file; offsets are those of the inflated bytes
PLAIN = "plain"

# Why a range of bytes has no record.
CRC = "crc"  # the deflate data are complete, but the checksum or size after them is wrong
DEFLATE = "deflate"  # broken deflate data
LZ4 = "lz4"  # a broken LZ4 frame
ZSTD = "zstd"  # a broken Zstandard frame
DICTIONARY = "dictionary"  # a Zstandard frame that needs another dictionary than the file has, or one where it has none
WINDOW = "window"  # data that take more memory to unpack than 2 GiB
BZIP2 = "bzip2"  # broken bzip2 data
XZ = "xz"  # broken xz data
CUT = "cut"  # the file ends inside a member
JUNK = "junk"  # bytes, or the contents of a sound member, that are not a record
ZEROS = "zeros"  # padding
HEADER = "header"  # the header of a record has no end within its bound
TOO_LARGE = "too-large"  # a member or a block beyond its bound
CROWDED = "crowded"  # more records in a gzip member than it has bytes, which are their offsets
EMPTY = "empty"  # only separators or empty members

# Values of `truncated`, with those of the WARC-Truncated header (length, time, disconnect, unspecified).
SHORT = "short"  # the block is shorter than its header declares
SEGMENT = "segment"  # the first segment of a record whose others are not all there
PARTIAL = "partial"  # an answer with a range of what was asked for (HTTP 206)

TO_END = -1  # Split.end: the end of the file, whatever its size


@dataclass(frozen=True, slots=True)
class Split:
    """A part of a file that is read by itself. `path`: its path on this machine, or its address; `name`: the
    `file_path` of its records; `[start, end)`: its bytes of the file; `container`: empty if it is to be detected;
    `cap`: the most pages yielded from it."""

    path: str
    name: str
    start: int
    end: int
    container: str
    cap: int | None = None


class SplitOverrun(Exception):
    """The last member of `split` ends after the split: plan the file again with `exact=True`."""

    def __init__(self, split: Split, true_end: int) -> None:
        super().__init__(split, true_end)  # both in args, so that pickling keeps them
        self.split = split
        self.true_end = true_end

    def __str__(self) -> str:
        return f"{self.split.name}: the split [{self.split.start}, {self.split.end}) really ends at {self.true_end}"


@dataclass(slots=True)
class RawRecord:
    """One WARC or ARC record as stored in the file.

    `(file, offset)` is unique: the record number `member_record` of a gzip member has the member's offset plus
    `member_record`, and its `length` is the whole member's. In a STREAM both are positions in the inflated bytes.
    `file_bytes`: the bytes of the split that the record accounts for: 0 for the further records of a member.
    `type`: lower case; "unknown" when missing. ARC: "warcinfo" for the version block, "response" for all else.
    `date`: `YYYY-MM-DDTHH:MM:SSZ`, None if unreadable. `truncated`: the WARC-Truncated header, SHORT or SEGMENT.
    `segment`: the number of this segment, of a record that was written in several.
    """

    offset: int
    length: int
    member_record: int
    file_bytes: int
    format: str
    type: str
    headers: list[tuple[str, str]]
    record_id: str | None
    url: str | None
    date: str | None
    content_type: str | None
    block: bytes
    truncated: str | None
    payload_digest: str | None
    segment: int | None = None


@dataclass(slots=True)
class Damage:
    """A range without a record. `offset` orders it among the records (same unit); `length` is in bytes of the file, 0
    for damage inside a member or stream whose bytes a record accounts for."""

    offset: int
    length: int
    reason: str

    @property
    def file_bytes(self) -> int:
        return self.length


@dataclass(slots=True)
class Beyond:
    """The rest of a split that was not read because its cap of pages was reached."""

    offset: int
    length: int

    @property
    def file_bytes(self) -> int:
        return self.length


Event = RawRecord | Damage | Beyond
