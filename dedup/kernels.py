"""Inner loops over texts that numpy cannot run fast, compiled (`compiled.py` says what to keep in mind).

All arithmetic is on unsigned integers modulo 2^64: the same bytes on every machine.
"""

import numpy as np
import numpy.typing as npt

from dedup.tables import Hashes
from infra.compiled import compiled_with

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]
Offsets = npt.NDArray[np.int64]

# An entry of the table of `shingles.character_codes`, from its lowest bit: 21 bits of the character in lower case; 7 of
# the rank of its combining class; one if NFC may change it or join it to the character before; 3 of its kind.
SEPARATOR, WORD, IGNORED, IDEOGRAPH, LETTER = 0, 1, 2, 3, 4
CLASS_AT, UNSURE_AT, KIND_AT = 21, 28, 29
# and of that of `exact.text_codes`, 16 bits: the class, then these
UNSURE_AT_PLAIN, KIND_AT_PLAIN = 7, 8
PLAIN, SPACE, INVISIBLE, SOLID = 0, 1, 2, 3
# weight of a word or an ideograph; a LETTER of a script without spaces weighs 1
WORD_WEIGHT = 3

_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xFF51AFD7ED558CCD)
_MIX_B = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)
_ONE, _NOTHING = np.uint64(1), np.uint64(0)
_CHARACTER = np.uint32((1 << CLASS_AT) - 1)
_CLASS = np.uint32((1 << UNSURE_AT - CLASS_AT) - 1)
_LARGEST = np.uint64(0xFFFFFFFFFFFFFFFF)
# ASCII that is looked at together
_BLOCK = np.uint64(32)
# permutations at once: their minima, factors and terms fit the first-level cache
_TILE = 512
# A table of up to so many values is half empty at least and kept for all texts; of more a fifth is, for one text.
_MOST_KEPT = 1 << 20


def _mix(value: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finaliser: every bit of the output depends on every bit of the input."""
    value ^= value >> _SHIFT
    value *= _MIX_A
    value ^= value >> _SHIFT
    value *= _MIX_B
    return value ^ (value >> _SHIFT)


def _scratch(offsets: Offsets) -> tuple[Hashes, Bytes, Hashes]:
    """Room for the tokens of the longest text, their weights and its runs: a word takes a byte and a separator, an
    ideograph or a letter by itself three bytes. One place more, as places are written before it is known they count."""
    longest = 0
    for i in range(offsets.size - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    room = longest // 2 + 2
    return np.empty(room, np.uint64), np.empty(room, np.uint8), np.empty(room, np.uint64)


def _character(data: Bytes, place: np.uint64, stop: np.uint64) -> tuple[np.uint32, np.uint64]:
    """The code point of more than one byte at `place`, and its bytes. What is not UTF-8 is a separator of one byte,
    which U+FFFD would be too; a surrogate is a code point."""
    lead = np.uint32(data[place])
    size = _ONE + _ONE
    least, point = np.uint32(0x80), lead & np.uint32(0x1F)
    if lead >= 0xF0:
        size, least, point = size + size, np.uint32(0x10000), lead & np.uint32(0xF)
    elif lead >= 0xE0:
        size, least, point = size + _ONE, np.uint32(0x800), lead & np.uint32(0xF)
    if lead < 0xC2 or lead > 0xF4 or place + size > stop:
        return np.uint32(0), _ONE
    for k in range(place + _ONE, place + size):
        if data[k] & 0xC0 != 0x80:
            return np.uint32(0), _ONE
        point = point << np.uint32(6) | np.uint32(data[k] & 0x3F)
    if point < least or point > 0x10FFFF:
        return np.uint32(0), _ONE
    return point, size


def _tokenize(
    data: Bytes, at: int, end: int, codes: Codes, normal: bool, tokens: Hashes, weights: Bytes
) -> tuple[int, bool, bool]:
    """The number of tokens of a text, which go to `tokens` with their `weights`; whether a LETTER is among them; and,
    unless it is `normal`, whether NFC may change it, by Unicode's quick check (UAX 15): then it has no tokens."""
    # places and counts are unsigned, so that no index is asked whether it is negative
    place, stop, count, letters = np.uint64(at), np.uint64(end), _NOTHING, False
    word, inside, last = _ODD, _NOTHING, np.uint32(0)
    while place < stop:
        # what is ASCII is a part of a word or separates words; without a branch, as the processor cannot foresee which
        while place < stop and data[place] < 0x80:
            code = codes[data[place]]
            place += _ONE
            in_word = np.uint64(code >> KIND_AT)
            tokens[count] = word
            weights[count] = WORD_WEIGHT
            count += inside & ~in_word
            mask = _NOTHING - in_word
            word = ((word ^ np.uint64(code & _CHARACTER)) * _MIX_A) & mask | _ODD & ~mask
            inside = in_word
            last = np.uint32(0)
        if place >= stop:
            break
        point, size = _character(data, place, stop)
        code = codes[point]
        place += size
        combining = code >> CLASS_AT & _CLASS
        if not normal and (code >> UNSURE_AT & 1 or 0 < combining < last):
            return 0, False, True
        last = combining
        kind = code >> KIND_AT
        if kind == IGNORED:
            continue
        character = np.uint64(code & _CHARACTER)
        if kind == WORD:
            word = (word ^ character) * _MIX_A
            inside = _ONE
            continue
        if inside:
            tokens[count], weights[count] = word, WORD_WEIGHT
            count += _ONE
            word, inside = _ODD, _NOTHING
        if kind != SEPARATOR:
            tokens[count], weights[count] = _ODD ^ character, WORD_WEIGHT if kind == IDEOGRAPH else 1
            letters |= kind == LETTER
            count += _ONE
    if inside:
        tokens[count], weights[count] = word, WORD_WEIGHT
        count += _ONE
    for i in range(count):
        tokens[i] = _mix(tokens[i])
    return int(np.int64(count)), letters, False  # signed again: numba has no integer for the sum of the two


def _runs(tokens: Hashes, weights: Bytes, count: int, letters: bool, ngram: int, runs: Hashes) -> int:
    """The number of runs of words, whose hashes go to `runs`."""
    if not letters:
        found = min(count, max(1, count - ngram + 1))
        width = min(count, ngram)
        # word by word of all runs, which the compiler turns into vectors
        runs[:found] = _ODD
        for k in range(width):
            for i in range(found):
                runs[i] = (runs[i] ^ tokens[i + k]) * _MIX_B
        for i in range(found):
            runs[i] = _mix(runs[i])
        return found
    found = end = weight = 0
    for start in range(count):
        while weight < ngram * WORD_WEIGHT and end < count:
            weight += weights[end]
            end += 1
        if weight < ngram * WORD_WEIGHT and start > 0:
            break
        run = _ODD
        for i in range(start, end):
            run = (run ^ tokens[i]) * _MIX_B
        runs[found] = _mix(run)
        found += 1
        weight -= weights[start]
    return found


def _slots(values: int) -> int:
    """Places of a table of so many values, a power of two: 16 to 32 bytes a value up to `_MOST_KEPT`, else 10 to 20."""
    room = 16
    while room < (2 * values if values <= _MOST_KEPT else values + values // 4):
        room *= 2
    return room


def _distinct(runs: Hashes, count: int, kept: Hashes) -> int:
    """The number of distinct values among the first `count` of `runs`, which are moved to its beginning. `kept`: room
    for a table of up to `_MOST_KEPT`, whatever is in it."""
    places = _slots(count)
    table = kept[:places] if places <= kept.size else np.empty(places, np.uint64)
    table[:] = _NOTHING
    mask = np.uint64(places - 1)
    found, zero = 0, False
    for i in range(count):
        value = runs[i]
        place = value & mask
        while table[place] != _NOTHING and table[place] != value:
            place = (place + _ONE) & mask
        if value == _NOTHING:  # which stands for an empty place
            fresh = not zero
            zero = True
        else:
            fresh = table[place] == _NOTHING
            table[place] = value
        if fresh:
            runs[found] = value
            found += 1
    return found


def _minima(shingles: Hashes, factors: Hashes, terms: Hashes, smallest: Hashes) -> None:
    smallest[:] = _LARGEST
    last = shingles.size - 1
    for begin in range(0, factors.size, _TILE):
        end = min(begin + _TILE, factors.size)
        tile, factor, term = smallest[begin:end], factors[begin:end], terms[begin:end]
        # four shingles for each time that a minimum is read; the last one again in place of those that there are not
        for i in range(0, shingles.size, 4):
            w, x = shingles[i], shingles[min(i + 1, last)]
            y, z = shingles[min(i + 2, last)], shingles[min(i + 3, last)]
            for k in range(tile.size):
                a, b = factor[k], term[k]
                tile[k] = min(tile[k], min(min(a * w + b, a * x + b), min(a * y + b, a * z + b)))


def _bands(signature: Hashes, rows: int, keys: Hashes) -> None:
    for band in range(keys.size):
        value = _mix(np.uint64(band) + _ODD)
        for k in range(band * rows, (band + 1) * rows):
            value = _mix((value ^ signature[k]) * _ODD)
        keys[band] = value


def _plain_block(data: Bytes, place: np.uint64, out: Bytes, count: np.uint64, after_space: np.uint64) -> bool:
    """Writes _BLOCK bytes with a space for each white space. False if what is written does not stand, for some are not
    ASCII or white space follows white space. A loop without a branch or a table, so that it is compiled to vectors."""
    wrong = np.uint8(after_space) & np.uint8(data[place] <= 0x20)
    for k in range(_BLOCK):
        byte = data[place + k]
        after = data[place + k + _ONE]
        wrong |= np.uint8(byte <= 0x20) & np.uint8(after <= 0x20) | byte >> np.uint8(7)
    if wrong:
        return False
    for k in range(_BLOCK):
        byte = data[place + k]
        out[count + k] = np.uint8(0x20) if np.uint8(byte - 9) < 5 or np.uint8(byte - 28) < 4 else byte
    return True


kernel = compiled_with(_mix, _scratch, _slots, _character, _tokenize, _runs, _distinct, _minima, _bands, _plain_block)


@kernel
def shingle_sequences(
    data: Bytes, offsets: Offsets, codes: Codes, ngram: int, normal: bool
) -> tuple[Hashes, Offsets, Flags]:
    """The hash of each run of `ngram` words of each text, in order, with repetitions (words as `shingles` has them).

    Text i is the UTF-8 at `data[offsets[i]:offsets[i + 1]]`; `codes`: the table of `shingles.character_codes`. A text
    with fewer words gives one hash, of the whole; a text without words gives none. Returns the hashes of all texts one
    after the other, where each text's begin and end, and which texts NFC may change: these give none unless `normal`
    says that all are NFC.
    """
    texts = offsets.size - 1
    ends = np.zeros(texts + 1, np.int64)
    unsure = np.zeros(texts, np.bool_)
    tokens, weights, runs = _scratch(offsets)
    hashes = np.empty((offsets[texts] - offsets[0]) // 2 + texts, np.uint64)
    for i in range(texts):
        count, letters, changed = _tokenize(data, offsets[i], offsets[i + 1], codes, normal, tokens, weights)
        unsure[i] = changed
        found = 0 if changed else _runs(tokens, weights, count, letters, ngram, runs)
        ends[i + 1] = ends[i] + found
        hashes[ends[i] : ends[i + 1]] = runs[:found]
    return hashes[: ends[texts]].copy(), ends, unsure


@kernel
def shingle_sets(
    data: Bytes, offsets: Offsets, codes: Codes, ngram: int, normal: bool
) -> tuple[Hashes, Offsets, Flags]:
    """As `shingle_sequences`, without repetitions, in no order."""
    texts = offsets.size - 1
    ends = np.zeros(texts + 1, np.int64)
    unsure = np.zeros(texts, np.bool_)
    tokens, weights, runs = _scratch(offsets)
    kept = np.empty(_slots(min(runs.size, _MOST_KEPT)), np.uint64)
    hashes = np.empty((offsets[texts] - offsets[0]) // 2 + texts, np.uint64)
    for i in range(texts):
        count, letters, changed = _tokenize(data, offsets[i], offsets[i + 1], codes, normal, tokens, weights)
        unsure[i] = changed
        found = 0 if changed else _runs(tokens, weights, count, letters, ngram, runs)
        found = _distinct(runs, found, kept)
        ends[i + 1] = ends[i] + found
        hashes[ends[i] : ends[i + 1]] = runs[:found]
    return hashes[: ends[texts]].copy(), ends, unsure


@kernel
def signatures(
    data: Bytes, offsets: Offsets, codes: Codes, ngram: int, normal: bool, factors: Hashes, terms: Hashes, rows: int
) -> tuple[Hashes, Hashes, Flags, Flags]:
    """The keys of the bands of each text's signature, from its bytes, and a hash of its set of shingles.

    Returns the keys, shape (texts, bands); the hashes, 128 bits each, shape (texts, 2), equal for equal sets; both are
    undefined for texts without shingles; which texts have some; and which NFC may change, as in `shingle_sequences`.
    """
    texts = offsets.size - 1
    keys = np.empty((texts, factors.size // rows), np.uint64)
    sets = np.empty((texts, 2), np.uint64)
    known = np.zeros(texts, np.bool_)
    unsure = np.zeros(texts, np.bool_)
    tokens, weights, runs = _scratch(offsets)
    kept = np.empty(_slots(min(runs.size, _MOST_KEPT)), np.uint64)
    smallest = np.empty(factors.size, np.uint64)
    for i in range(texts):
        count, letters, changed = _tokenize(data, offsets[i], offsets[i + 1], codes, normal, tokens, weights)
        unsure[i] = changed
        if changed or count == 0:
            continue
        found = _distinct(runs, _runs(tokens, weights, count, letters, ngram, runs), kept)
        # sums, which do not depend on the order
        first = second = np.uint64(found)
        for k in range(found):
            value = _mix(runs[k] ^ _ODD)
            first += value
            second += _mix(value + _MIX_B)
        sets[i, 0], sets[i, 1] = _mix(first), _mix(second)
        _minima(runs[:found], factors, terms, smallest)
        _bands(smallest, rows, keys[i])
        known[i] = True
    return keys, sets, known, unsure


@kernel
def minima(shingles: Hashes, factors: Hashes, terms: Hashes) -> Hashes:
    """The smallest image of all shingles, one or more, under each permutation x → factor·x + term (mod 2^64)."""
    smallest = np.empty(factors.size, np.uint64)
    _minima(shingles, factors, terms, smallest)
    return smallest


@kernel
def band_hashes(signature: Hashes, rows: int) -> Hashes:
    """One hash per band of `rows` values of a signature, over the band's number and its values."""
    keys = np.empty(signature.size // rows, np.uint64)
    _bands(signature, rows, keys)
    return keys


@kernel
def plain_texts(data: Bytes, offsets: Offsets, codes: npt.NDArray[np.uint16]) -> tuple[Bytes, Offsets, Flags]:
    """Texts without what is invisible, with one space for each run of white space, and none at the ends or between
    solid characters.

    `codes`: of each code point the rank of its combining class in 7 bits, a bit where NFC is unsure, and PLAIN, SPACE,
    INVISIBLE or SOLID from bit KIND_AT_PLAIN. Returns the bytes of all texts, where each text's begin and end, and
    which texts NFC may change; these are empty.
    """
    texts = offsets.size - 1
    ends = np.zeros(texts + 1, np.int64)
    unsure = np.zeros(texts, np.bool_)
    out = np.empty(offsets[texts] - offsets[0], np.uint8)
    begin = count = _NOTHING
    for i in range(texts):
        place, stop = np.uint64(offsets[i]), np.uint64(offsets[i + 1])
        begin = count
        after_space, last = _ONE, np.uint16(0)
        # whether the last character but spaces is solid, and whether a space that follows it was written
        solid = bridged = False
        while place < stop:
            first, written, spaced = place, count, after_space
            while place < stop and data[place] < 0x80:
                if stop - place > _BLOCK and _plain_block(data, place, out, count, after_space):
                    place += _BLOCK
                    count += _BLOCK
                    after_space = np.uint64(out[count - _ONE] == 0x20)
                    continue
                until = min(stop, place + _BLOCK)
                while place < until and data[place] < 0x80:
                    byte = data[place]
                    space = np.uint64(codes[byte] >> KIND_AT_PLAIN)
                    out[count] = 0x20 if space else byte
                    count += _ONE - (space & after_space)
                    after_space = space
                    place += _ONE
            if place > first:
                last = np.uint16(0)
                spaces_alone = after_space == _ONE and count - written == _ONE - spaced
                bridged = spaces_alone and (bridged if spaced == _ONE else solid)
                solid = spaces_alone and solid
            if place >= stop:
                break
            point, size = _character(data, place, stop)
            code = codes[point] if point else codes[1]  # what is no UTF-8 stays as it is
            kind, combining = code >> KIND_AT_PLAIN, code & _CLASS
            place += size
            if kind == INVISIBLE:
                continue
            if kind == SPACE:
                bridged = bridged if after_space == _ONE else solid
                out[count] = 0x20
                count += _ONE - after_space
                after_space, last = _ONE, np.uint16(0)
                continue
            if code >> UNSURE_AT_PLAIN & 1 or 0 < combining < last:
                unsure[i] = True
                break
            if kind == SOLID and after_space and bridged:
                count -= _ONE
            solid, bridged = kind == SOLID, False
            for k in range(place - size, place):
                out[count] = data[k]
                count += _ONE
            after_space, last = _NOTHING, np.uint16(combining)
        if unsure[i]:
            count = begin
        elif after_space and count > begin:
            count -= _ONE
        ends[i + 1] = np.int64(count)
    return out, ends, unsure
