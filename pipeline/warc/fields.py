"""Header fields as both WARC and HTTP write them: one tolerant, bounded parser.

Accepted: CRLF or LF, folded lines, any bytes in values (UTF-8, else Latin-1), repeated names, lines that are not
fields (skipped), a missing blank line before the body.
"""

from typing import NamedTuple

FIELD_BYTES = 2**16  # a longer line is cut to this
FIELDS = 1000  # further fields of a header are dropped
HEADER_BYTES = 2 * 2**20  # a header that does not end within this is no header


class Fields(NamedTuple):
    pairs: list[tuple[str, str]]  # as given: duplicates and order kept, values stripped and unfolded
    end: int  # where the body begins
    complete: bool  # the header ended with a blank line
    clean: bool  # every line was a field


def decode(value: bytes) -> str:
    """UTF-8 if it is, else Latin-1: never fails, never makes a lone surrogate."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def read_fields(data: bytes, start: int, stops: tuple[bytes, ...]) -> Fields:
    """Read fields from `data[start:]` to the blank line, or to a line that begins with one of `stops`.

    Without either, `end` is the end of `data` and `complete` is False: the caller may come again with more.
    """
    lines: list[tuple[bytes, bytes]] = []
    clean = True
    position = start
    while True:
        newline = data.find(b"\n", position)
        line_end = newline if newline >= 0 else len(data)
        line = data[position : min(line_end, position + FIELD_BYTES)]
        if line.startswith(stops):
            return Fields(_decoded(lines), position, True, False)
        if not line.strip():
            if newline < 0:
                return Fields(_decoded(lines), len(data), False, clean)
            return Fields(_decoded(lines), newline + 1, True, clean)
        clean = _take(line, lines) and clean
        if newline < 0:
            return Fields(_decoded(lines), len(data), False, clean)
        position = newline + 1


def _take(line: bytes, lines: list[tuple[bytes, bytes]]) -> bool:
    """Add `line` to the fields read so far; False if it is not a field."""
    if line[:1] in b" \t" and lines:
        name, value = lines[-1]
        if len(value) < FIELD_BYTES:
            lines[-1] = (name, (value + b" " + line.strip()).strip())
        return True
    name, colon, value = line.partition(b":")
    name = name.strip()
    if not colon or not name or len(name) > 256:
        return False
    if len(lines) < FIELDS:
        lines.append((name, value.strip()))
    return True


def _decoded(lines: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(decode(name), decode(value)) for name, value in lines]


def first_values(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The first value that is not empty of each name, by the name in lower case."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if value:
            values.setdefault(name.lower(), value)
    return values
