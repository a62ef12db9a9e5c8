"""The first pass of `strip_tags` over a page's UTF-8, compiled (`infra/compiled.py` says what to keep in mind).

`visible` drops all markup; `collapsed` (`line_kernels.py`) makes lines of what is left. Both look at each byte a
bounded number of times, take and give arrays of bytes, and need no memory beside them. A page is read twice in one
loop, as by two patterns one after the other: the first finds comments and elements that are not shown, and passes over
those inside a tag that no ">" has ended; the second, in what the first leaves, ends each tag at its ">". They differ
about broken tags, so that what each believes is kept apart.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from infra.compiled import compiled_with

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

# What a name of a tag says, a sum of these; the rest is the number of an element that ends by rules of its own, times
# ELEMENT. Elements of such numbers: `strip_tags.py` lists them in this order.
BREAKS_LINE, BREAKS_WORD, IN_NO_SVG, IS_RAW, ELEMENT = 1, 2, 4, 8, 16
# Both lower ones at once: a link begins, where links are told (an SVG with one is not plain); and its end tag.
LINK, LINK_ENDS = 7, 3
SCRIPT, SVG, TEMPLATE, SHOWN = 1, 2, 3, 4
# A name is six bits for each letter or digit, so that it is one number, exactly; longer names say nothing, but one.
LONGEST_NAME, NAME_BITS = 10, 6
PLACES_BITS = 9  # of the table of names, which has 2^9 places
_FOREIGN_OBJECT: Final = 13  # its length
# What stands for a line end and for both ends of a link, which are in no page; why `visible` stops.
LINE, LINK_START, LINK_END = 0, 1, 2
DONE, AT_ELEMENT, NO_LETTERS = 0, 1, 2

_ONE: Final = np.uint64(1)
_PLACE_SHIFT: Final = np.uint64(64 - PLACES_BITS)
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_LESS, _MORE, _SLASH, _MARK, _QUERY, _DASH = 0x3C, 0x3E, 0x2F, 0x21, 0x3F, 0x2D

_HREF: Final = np.frombuffer(b"href", np.uint8)
_NAME: Final = np.frombuffer(b"name", np.uint8)


def place_of(name: np.uint64) -> int:
    """Where the search for a name begins in the table of names."""
    return int(np.int64((name * _ODD) >> _PLACE_SHIFT))


def _says(name: np.uint64, names: Words, meanings: Bytes) -> int:
    """What the table has for a name; an empty place has the name 0."""
    if name == 0:
        return 0
    place = place_of(name)
    while names[place] != name:
        if names[place] == 0:
            return 0
        place = (place + 1) & (names.size - 1)
    return int(meanings[place])


def _is_letter(byte: Any) -> bool:
    return bool(0x61 <= byte | 0x20 <= 0x7A)


def _is_blank(byte: Any) -> bool:
    return bool(byte == 0x20 or byte == 0x09 or byte == 0x0A or byte == 0x0C or byte == 0x0D)


def _ends_name(byte: Any) -> bool:
    return byte in (_MORE, _SLASH) or _is_blank(byte)


def _find(page: Bytes, byte: int, start: int) -> int:
    """Where a byte is next; the size of the page if it is nowhere."""
    place, stop = np.uint64(start), np.uint64(page.size)  # unsigned, so that no index is asked whether it is negative
    while place < stop and page[place] != byte:
        place += _ONE
    return int(np.int64(place))


def _find_angle(page: Bytes, start: int) -> int:
    """Where "<" or ">" is next."""
    place, stop = np.uint64(start), np.uint64(page.size)
    while place < stop and page[place] != _LESS and page[place] != _MORE:
        place += _ONE
    return int(np.int64(place))


def _copy(page: Bytes, start: int, out: Bytes, count: int) -> int:
    """Copies the text from `start` to `out[count:]`. Returns where the next "<" or ">" is."""
    place, stop, to = np.uint64(start), np.uint64(page.size), np.uint64(count)
    while place < stop and page[place] != _LESS and page[place] != _MORE:
        out[to] = page[place]
        place += _ONE
        to += _ONE
    return int(np.int64(place))


def _name(page: Bytes, start: int) -> tuple[np.uint64, int]:
    """The name that begins at `start`, as a number, in lower case, and where it ends. One that is no name of the table
    is 0 and ends somewhere after LONGEST_NAME bytes, or at its end."""
    name, known, place = np.uint64(0), True, start
    while place < page.size and place <= start + _FOREIGN_OBJECT:
        byte = page[place]
        if _ends_name(byte):
            return name if known and place - start <= LONGEST_NAME else np.uint64(0), place
        if _is_letter(byte):
            code = (byte | 0x20) - 0x60
        elif 0x30 <= byte <= 0x39:
            code = byte - 0x30 + 27
        elif byte == 0xE2 and place + 2 < page.size and page[place + 1] == 0x84 and page[place + 2] == 0xAA:
            # the sign of Kelvin is a "k" in lower case; its other two bytes do not count
            code, place, start = 11, place + 2, start + 2
        else:
            code, known = 0, False
        name = name << np.uint64(NAME_BITS) | np.uint64(code)
        place += 1
    return name if known and place == page.size and place - start <= LONGEST_NAME else np.uint64(0), place


def _is_alphabetic(page: Bytes, place: int, letters: Flags) -> bool:
    """Whether the character at `place` is a letter; `letters`: of all characters, or empty if the page is ASCII."""
    if place >= page.size:
        return False
    lead = page[place]
    if lead < 0x80:
        return _is_letter(lead)
    size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    code = lead & (0x7F >> size)
    for k in range(place + 1, min(place + size, page.size)):
        code = code << 6 | (page[k] & 0x3F)
    return bool(letters[code])


def _comment_end(page: Bytes, start: int) -> int:
    """As `element_ends.comment_end`."""
    place = start + 2
    if place + 1 < page.size and page[start + 1] == _MARK and page[place] == _DASH and page[place + 1] == _DASH:
        place += 2
        if place < page.size and page[place] == _MORE:
            return place + 1
        if place + 1 < page.size and page[place] == _DASH and page[place + 1] == _MORE:
            return place + 2
        while True:
            place = _find(page, _MORE, place)
            if place >= page.size:
                return page.size
            before = place - 1 - (page[place - 1] == _MARK)
            if before - 1 >= start + 4 and page[before] == _DASH and page[before - 1] == _DASH:
                return place + 1
            place += 1
    return min(_find(page, _MORE, start) + 1, page.size)


def _tag_end(page: Bytes, place: int) -> int:
    """Where an end tag without attributes ends whose name ends at `place`; -1 for another."""
    while place < page.size and _is_blank(page[place]):
        place += 1
    return place + 1 if place < page.size and page[place] == _MORE else -1


def _script_end(page: Bytes, content: int, name: np.uint64) -> int:
    """Where a script ends, its end tag included; -1 for an end tag with attributes. In a comment, a script may hold
    another."""
    place = begin = content
    escaped = doubly = False
    while True:
        place = _find_angle(page, place)
        if place + 1 >= page.size:
            return page.size
        if page[place] == _MORE:
            if place - 2 >= begin and page[place - 1] == _DASH and page[place - 2] == _DASH:
                escaped = doubly = False
        elif page[place + 1] == _MARK:
            if place + 3 < page.size and page[place + 2] == _DASH and page[place + 3] == _DASH:
                begin = place + 4 if escaped else place + 2  # its own dashes may be those of its end
                escaped = True
        else:
            closing = page[place + 1] == _SLASH
            other, end = _name(page, place + 1 + closing)
            if other == name and end < page.size:
                if closing and not doubly:
                    return _tag_end(page, end)
                doubly = not closing and escaped
        place += 1


def _element_end(
    page: Bytes, content: int, element: int, name: np.uint64, endless: Flags, names: Words, meanings: Bytes
) -> int:
    """As `element_ends.element_end` where that is simple, else -1. Sets `endless` if no end tag of the name follows."""
    if element == SCRIPT:
        return _script_end(page, content, name)
    nests = element in (SVG, TEMPLATE)
    place = content
    while not endless[element]:
        place = _find(page, _LESS, place) + 1
        if place + 1 >= page.size:
            endless[element] = True
            break
        byte = page[place]
        if byte == _MARK and nests:
            break
        closing = byte == _SLASH
        if not closing and not (nests and _is_letter(byte)):
            continue
        other, end = _name(page, place + closing)
        if end >= page.size:
            continue
        if other == name:
            return _tag_end(page, end) if closing else -1
        if nests and _says(other, names, meanings) & (IN_NO_SVG if element == SVG else IS_RAW):
            break
        if element == SVG and end - place - closing == _FOREIGN_OBJECT and page[place + closing] | 0x20 == 0x66:
            break
    return -1


def _is_anchor(page: Bytes, place: int) -> bool:
    """Whether the tag of a link whose name ends at `place` is a place in the page (`name` and no `href`): no link, and
    none goes on in it. Values are not told from attributes, and what follows the next angle is not looked at."""
    named, begins = False, True
    while place < page.size and page[place] not in (_LESS, _MORE):
        if begins and _is_at(page, place, _HREF):
            return False
        named = named or (begins and _is_at(page, place, _NAME))
        begins = _is_blank(page[place]) or page[place] in (_SLASH, 0x22, 0x27)
        place += 1
    return named


def _is_at(page: Bytes, place: int, attribute: Bytes) -> bool:
    """Whether the attribute, four letters in lower case, is at `place`."""
    end = place + attribute.size
    if end >= page.size or not (_ends_name(page[end]) or page[end] == 0x3D):
        return False
    for k in range(attribute.size):  # noqa: SIM110, compiled code knows no all()
        if page[place + k] | 0x20 != attribute[k]:
            return False
    return True


def _markup(page: Bytes, at: int, names: Words, meanings: Bytes) -> tuple[bool, np.uint64, int, int]:
    """Of the "<" at `at`: whether a comment begins, and of a tag its name, where that ends (0: no tag) and what it
    says, of an end tag without the element."""
    following = page[at + 1] if at + 1 < page.size else np.uint8(0)
    closing = following == _SLASH
    first = page[at + 2] if closing and at + 2 < page.size else following
    if _is_letter(first):
        name, end = _name(page, at + 1 + closing)
        says = _says(name, names, meanings)
        if says == LINK and (closing or _is_anchor(page, end)):
            says = LINK_ENDS
        return False, name, end, says % ELEMENT if closing or end >= page.size else says
    # a slash at the end of the page is text
    return following in (_MARK, _QUERY) or (closing and at + 2 < page.size), np.uint64(0), 0, 0


def _is_declaration(page: Bytes, at: int) -> bool:
    """Whether the comment at `at` is a tag to the second reading, where the first has passed over it."""
    place = at + 2 if page[at + 1] == _SLASH else at + 1
    return place < page.size and page[place] in (_MARK, _QUERY)


def _said(says: int, out: Bytes, count: int) -> int:
    """Writes what stands for a tag. Returns the size of the text with it."""
    if not says & (BREAKS_LINE | BREAKS_WORD):
        return count
    if says & LINK_ENDS == LINK_ENDS:
        out[count] = LINK_START if says & LINK == LINK else LINK_END
    else:
        out[count] = LINE if says & BREAKS_LINE else 0x20
    return count + 1


kernel = compiled_with(
    place_of, _says, _is_letter, _is_blank, _ends_name, _find, _find_angle, _copy, _name, _is_alphabetic,
    _comment_end, _tag_end, _script_end, _element_end, _is_at, _is_anchor, _markup, _is_declaration, _said,
)  # fmt: skip


@kernel
def visible(
    page: Bytes, start: int, out: Bytes, names: Words, meanings: Bytes, endless: Flags, letters: Flags
) -> tuple[int, int, int, int, int]:
    """Writes the visible text of `page[start:]` to `out`: tags that break a line are LINE, those that break a word a
    blank, those of links LINK_START and LINK_END if `names` has them, others nothing; character references stay. `out`
    has the size of the page.

    Returns DONE, or why it stops, and the size of the text so far; of AT_ELEMENT also the place of an element that ends
    by rules that are not compiled, of its content, and its number: to go on, call again with its end. NO_LETTERS: call
    again with the same start, and `letters`.
    """
    at, count = start, 0
    # The first reading: whether a tag is open, and whether it is until the next ">". The second: whether a tag is open,
    # where its name ends, and what it says.
    in_tag = for_sure = is_open = False
    name_end = said = 0
    while True:
        if is_open:
            at = _find_angle(page, at)
        else:
            before = at
            at = _copy(page, at, out, count)
            count += at - before
        if at >= page.size:
            return DONE, _said(said, out, count) if is_open else count, at, 0, 0
        if page[at] == _MORE:
            in_tag = for_sure = False
            if is_open:
                count = _said(said, out, count)
                is_open = False
            else:
                out[count] = _MORE
                count += 1
            at += 1
            continue
        is_comment, name, end, says = _markup(page, at, names, meanings)
        element = says // ELEMENT
        if (is_comment or element) and not in_tag:
            if is_open and at >= name_end:  # what is left of a comment or element is "<!>"
                count = _said(said, out, count)
            is_open = False
            content = at if is_comment else _find(page, _MORE, end) + 1
            if is_comment:
                found = _comment_end(page, at)
            elif content > page.size:
                found = page.size
            elif element == SVG and page[content - 2] == _SLASH:
                found = content
            elif element == SHOWN:
                found = -1
            else:
                found = _element_end(page, content, element, name, endless, names, meanings)
            if found < 0:
                return AT_ELEMENT, count, at, content, element
            at = found
            continue
        if is_comment or element:
            for_sure = True
        elif not for_sure:
            if at + 1 < page.size and page[at + 1] >= 0x80 and letters.size == 0:
                return NO_LETTERS, 0, at, 0, 0
            in_tag = _is_alphabetic(page, at + 1, letters)
        if not is_open and (end or (is_comment and _is_declaration(page, at))):
            is_open, name_end, said = True, end, says
        elif not is_open:
            out[count] = _LESS
            count += 1
        at += 1
