"""JSON documents of a file, one a line, or as elements (`json_elements.py`).

A value that cannot be read costs itself alone: the line, the element, or what compressed data have lost. Each is told
with its place and its fault; nothing is passed over but empty lines.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple

import orjson

from pipeline.inputs.unpacked import Break

MAX_LINE_BYTES: Final = 64 * 2**20
# Python refuses to convert more, since it takes quadratic time.
MAX_DIGITS: Final = 4000
NOT_JSON: Final = "not_json"
TOO_LONG: Final = "too_long"
TOO_DEEP: Final = "too_deep"  # JSON, but of more levels than are read
DAMAGE: Final = "damage/"  # before the reason

_LONG = re.compile(rb"[0-9]{19}")
_SPACE = b" \t\r\n\x1e\0"  # between values; RFC 7464 puts the record separator before each
_PART_BYTES = 2**20
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]]', re.DOTALL)
_SEPARATORS = re.compile(r"[\s,\x00\x1e\ufeff]*")


class JsonLine(NamedTuple):
    """`[offset, offset + length)` of the unpacked text: its `value`, or, with a `fault`, why there is none."""

    offset: int
    length: int
    value: Any
    fault: str = ""


def lines_of(file: BinaryIO, breaks: list[Break], plain: bool = False) -> Iterator[JsonLine]:
    """The values of a file of JSON lines. `plain`: of a list of addresses, of which each line is one."""
    offset = 0
    while True:
        line = file.readline(MAX_LINE_BYTES + 1)
        start, size = offset, len(line)
        too_long = size > MAX_LINE_BYTES and not line.endswith(b"\n")
        size += _skip_line(file) if too_long else 0
        offset += size
        while breaks and (breaks[0][0] < start or (breaks[0][0] == start and (plain or not line))):
            # the byte before it is not the beginning of a value
            yield JsonLine(max(0, breaks[0][0] - 1), 0, None, DAMAGE + breaks.pop(0)[1])
        if not line:
            break
        if too_long:
            yield JsonLine(start, size, None, TOO_LONG)
        elif breaks and (breaks[0][0] < offset or not line.endswith(b"\n")):
            yield from _across(line, start, offset, breaks, plain)
        elif plain:
            if line.strip():
                yield JsonLine(start, size, {"url": line.strip().decode("utf-8", "replace")})
        else:
            yield from values_in(line, start)
    for position, reason in breaks:
        yield JsonLine(position, 0, None, DAMAGE + reason)


def _skip_line(file: BinaryIO) -> int:
    """Reads to the end of a line without keeping it; returns its size."""
    size = 0
    while part := file.readline(_PART_BYTES):
        size += len(part)
        if part.endswith(b"\n"):
            break
    return size


def _across(line: bytes, start: int, end: int, breaks: list[Break], plain: bool) -> Iterator[JsonLine]:
    """A line inside which data are missing: what is whole of it before and after is a document."""
    position = start
    while breaks and breaks[0][0] <= end:
        at, reason = breaks.pop(0)
        if at == start:  # of the line the beginning may be missing
            whole = any(isinstance(each.value, dict) for each in values_in(line, start)) or not line.strip(_SPACE)
            place = (max(0, at - 1), 0) if whole else (start, len(line))
            yield JsonLine(*place, None, DAMAGE + reason)
            continue
        before = [] if plain else list(values_in(line[position - start : at - start], position))
        sound = [each for each in before if isinstance(each.value, dict)]
        yield from sound
        lost = not sound and at > position
        yield (
            JsonLine(position, at - position, None, DAMAGE + reason)
            if lost
            else JsonLine(at - 1, 0, None, DAMAGE + reason)
        )
        position = at
    after = [] if plain else list(values_in(line[position - start :], position))
    yield from (each for each in after if isinstance(each.value, dict))


def values_in(line: bytes, start: int) -> Iterator[JsonLine]:
    """The values of a line: one, or several where line ends are missing."""
    try:
        # orjson makes fractions of whole numbers beyond 64 bits
        value = _parsed(line) if _LONG.search(line) else orjson.loads(line)
    except (ValueError, RecursionError):
        yield from _odd_values(line, start)
        return
    yield JsonLine(start, len(line), value)


def _odd_values(line: bytes, start: int) -> Iterator[JsonLine]:
    """The values of a line that is not strictly JSON: with a byte order mark, control characters or bytes that are not
    UTF-8 in strings, NaN, other separators, or several values."""
    content = line.strip(_SPACE).removeprefix(b"\xef\xbb\xbf").strip(_SPACE + b",")
    if not content:
        if b"\0" in line and line.endswith(b"\n"):  # at the end of a file they are padding
            yield JsonLine(start, len(line), None, NOT_JSON)
        return
    at = line.find(content)
    try:
        yield JsonLine(start, len(line), without_surrogates(_parsed(content)))
        return
    except RecursionError:
        if _is_closed(content):
            yield JsonLine(start, len(line), None, TOO_DEEP)
            return
    except ValueError:
        pass
    text = content.decode("utf-8", "replace")
    found, end = _several(text)
    valid = text.isascii() or "\ufffd" not in text
    place = start + at
    before = 0
    for value, first, last in found:
        # in bytes; of what is not UTF-8 the place in the line is not known more exactly
        place += len(text[before:first].encode()) if valid else first - before
        size = len(text[first:last].encode()) if valid else last - first
        before = first
        if len(found) == 1 and end == len(text):
            yield JsonLine(start, len(line), without_surrogates(value))
        else:
            yield JsonLine(place, size, without_surrogates(value))
    if not found:
        yield JsonLine(start, len(line), None, NOT_JSON)
    elif end < len(text):
        place += len(text[before:end].encode()) if valid else end - before
        yield JsonLine(place, max(1, start + at + len(content) - place), None, NOT_JSON)


def _is_closed(content: bytes) -> bool:
    """Whether every bracket has its end."""
    depth = 0
    for found in _TOKEN.finditer(content):
        depth += (found[0] in b"{[") - (found[0] in b"}]")
        if depth < 0:
            return False
    return depth == 0


def _several(text: str) -> tuple[list[tuple[Any, int, int]], int]:
    """The values at the beginning of `text`, each with its place, and where the rest begins that is none. A number or
    a word is a value only if it is all there is."""
    decoder = json.JSONDecoder(parse_int=whole_number, strict=False)
    found: list[tuple[Any, int, int]] = []
    position = 0
    while position < len(text):
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            break
        rest = _SEPARATORS.match(text, end)
        following = rest.end() if rest else end
        if not isinstance(value, dict | list) and (position or following < len(text)):
            break
        found.append((value, position, end))
        position = following
    return found, position


def _parsed(content: bytes) -> Any:
    return json.loads(content, parse_int=whole_number)


def parse_line(line: bytes) -> Any:
    """The first value of a line; None if it is not JSON. Lone surrogates, which orjson refuses, become `?`."""
    return next((each.value for each in values_in(line, 0)), None)


def whole_number(digits: str) -> int | str:
    """Of any size; what Python makes no number of stays text."""
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def without_surrogates(value: Any) -> Any:
    """A JSON value whose strings can be written as UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(name): without_surrogates(item) for name, item in value.items()}
    return value
