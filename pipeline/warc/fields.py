"""Header fields as both WARC and HTTP write them: one tolerant, bounded parser.

Accepted: CRLF or LF, folded lines, any bytes in values (UTF-8, else Latin-1), repeated names, lines that are not
fields (skipped), a missing blank line before the body.
"""

from typing import NamedTuple

FIELD_BYTES = 2**16  # a longer line is cut to this
FIELDS = 1000  # further fields of a header are dropped
HEADER_BYTES = 2 * 2**20  # a header without an end within this bound is rejected


class Fields(NamedTuple):
    pairs: list[tuple[str, str]]  # as given: duplicates and order kept, values stripped and unfolded
    end: int  # where the body begins
    complete: bool  # the header ended with a blank line
    clean: bool  # every line was a field


def decode(value: bytes) -> str:
    """Decodes UTF-8, or else Latin-1; never fails, and never produces a lone surrogate."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def read_fields(data: bytes, start: int, stops: tuple[bytes, ...]) -> Fields:
    """Reads fields from `data[start:]` to the blank line, or to a line that begins with one of `stops`.

    Without either, `end` is the end of `data` and `complete` is False: the caller may retry with more data.
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
    """Adds `line` to `lines`; False if it is not a field."""
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
    """Maps each name in lower case to its first non-empty value."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if value:
            values.setdefault(name.lower(), value)
    return values
