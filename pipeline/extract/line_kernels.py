"""The second pass of `strip_tags` over a page, compiled: lines of what the first leaves (`visible_kernels.py`)."""

from typing import Final

import numpy as np
import numpy.typing as npt

from infra.compiled import compiled_with
from pipeline.extract.visible_kernels import LINE, LINK_END, LINK_START, Bytes

Numbers = npt.NDArray[np.int64]

# Of a link so many bytes are told from the text around it.
LONGEST_LINK: Final = 300
# So many lines in succession are a text though each is short: verse, code, people who speak.
IN_SUCCESSION: Final = 3

_ONE: Final = np.uint64(1)
# Bytes of UTF-8 that begin no white space, control character or surrogate.
_PLAIN: Final = np.array([byte > 0x20 and byte not in (0x7F, 0xC2, 0xE1, 0xE2, 0xE3, 0xED) for byte in range(256)])


def _blank_size(text: Bytes, place: int) -> int:
    """The bytes of the white space at `place`, as `str.split` has it; 0 if there is none."""
    lead = text[place]
    if lead < 0x80:
        return 1 if lead == 0x20 or 0x09 <= lead <= 0x0D or 0x1C <= lead <= 0x1F else 0
    if place + 1 >= text.size:
        return 0
    second = text[place + 1]
    if lead == 0xC2:
        return 2 if second == 0x85 or second == 0xA0 else 0
    if place + 2 >= text.size:
        return 0
    third = text[place + 2]
    if lead == 0xE2 and second == 0x80:
        return 3 if third <= 0x8A or 0xA8 <= third <= 0xA9 or third == 0xAF else 0
    if lead == 0xE2 and second == 0x81:
        return 3 if third == 0x9F else 0
    if lead == 0xE1 and second == 0x9A:
        return 3 if third == 0x80 else 0
    return 3 if lead == 0xE3 and second == 0x80 and third == 0x80 else 0


def _copy_plain(text: Bytes, start: int, out: Bytes, count: int) -> int:
    """Copies plain bytes from `start` to `out[count:]`. Returns where the next other byte is."""
    place, stop, to = np.uint64(start), np.uint64(text.size), np.uint64(count)
    while place < stop and _PLAIN[text[place]]:
        out[to] = text[place]
        place += _ONE
        to += _ONE
    return int(np.int64(place))


def _without_short(out: Bytes, count: int, long: int, lines: Numbers) -> int:
    """Ends lines in succession at `count`: of fewer than IN_SUCCESSION, those that are not long are taken out. `lines`:
    how many there are, then of the first two where each begins, with its line feed, and its bytes outside links.
    Returns where what is left ends."""
    number, first, second = int(lines[0]), int(lines[1]), int(lines[3])
    of_first, of_second = int(lines[2]), int(lines[4])
    lines[0] = 0
    if number == 0 or number >= IN_SUCCESSION:
        return count
    end = second if number == 2 else count
    if of_first >= long:
        return count if number == 1 or of_second >= long else end
    if number == 1 or of_second < long:
        return first
    start = second if first else second + 1  # the first line of a text has no line feed before it
    for at in range(count - start):
        out[first + at] = out[start + at]
    return first + count - start


def _end_line(out: Bytes, count: int, line: int, bare: int, least: int, long: int, lines: Numbers) -> int:
    """Ends the line from `line` to `count`, which has `bare` bytes outside links. Returns where what is left ends."""
    if bare < least:
        return _without_short(out, line, long, lines)
    if lines[0] < 2:
        lines[1 + 2 * lines[0]], lines[2 + 2 * lines[0]] = line, bare
    lines[0] += 1
    return count


@compiled_with(_blank_size, _copy_plain, _without_short, _end_line)
def collapsed(text: Bytes, out: Bytes, least: int, long: int) -> tuple[int, bool]:
    """Writes UTF-8 to `out` with LF for each run of LINE and white space, a blank for each other run of white space,
    and none at both ends. Returns its bytes, and whether control characters or surrogates are left in it.

    `least`: lines with fewer bytes outside links, blanks apart, are left out, and of the others those with fewer than
    `long`, unless IN_SUCCESSION of them follow one another; 0 keeps all, and knows no links. What a link has beyond
    LONGEST_LINK bytes is outside of it: its end tag is missing, or a page is in one.
    """
    count, pending, unusual = 0, 0, False
    line, bare, linked = 0, 0, -1  # where the line begins, its bytes outside links; those of the link, -1 outside
    lines = np.zeros(5, np.int64)
    at = 0
    while at < text.size:
        byte = text[at]
        if byte == LINE:
            pending = 2
            at += 1
            continue
        if not _PLAIN[byte]:
            if least and byte in (LINK_START, LINK_END):
                linked = 0 if byte == LINK_START else -1
                at += 1
                continue
            size = _blank_size(text, at)
            if size:
                pending = max(pending, 1)
                at += size
                continue
            following = text[at + 1] if at + 1 < text.size else np.uint8(0)
            if byte <= 0x7F or (byte == 0xC2 and following < 0xA0) or (byte == 0xED and following >= 0xA0):
                unusual = True
        if pending == 2:
            if least:
                count = _end_line(out, count, line, bare, least, long, lines)
            line, bare = count, 0
        if pending:
            if count:
                out[count] = 0x0A if pending == 2 else 0x20
                count += 1
            pending = 0
        out[count] = byte
        after = _copy_plain(text, at + 1, out, count + 1)
        count += after - at
        if linked < 0:
            bare += after - at
        else:
            bare += max(0, linked + after - at - max(linked, LONGEST_LINK))
            linked += after - at
        at = after
    if least:
        count = _without_short(out, _end_line(out, count, line, bare, least, long, lines), long, lines)
    return count, unusual
