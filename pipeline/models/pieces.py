"""The pieces of lines under a SentencePiece model, spelled word by word where the model allows it.

Byte-pair encoding merges neighbours, the best merge first, wherever it is. Where no piece has a space behind its first
character, no merge joins two words, and those inside one are made in the same order whatever stands beside it: the
pieces of a line are the pieces of its words. The words of a language are few, so most of them are spelled already.
Of a unigram model that does not hold: it adds up probabilities over the line, and rounds.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from infra.errors import UsageError

# How many words are remembered, and of how many characters: 20 MB.
REMEMBERED, WORD_CHARS = 1 << 16, 24
SPACE = "\u2581"  # as pieces have it
# Numbers in sentencepiece_model.proto: messages of the model, and fields of these messages.
_TRAINER, _NORMALIZER = 2, 3
_MODEL_TYPE, _SPACE_AS_SUFFIX = 3, 24
_CHARACTER_MAP, _SPACE_FIRST, _ONE_SPACE, _ESCAPED_SPACE = 2, 3, 4, 5
_BPE = 2


def load_sentencepiece(path: Path) -> Any:
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError):
        raise UsageError(f"{path} is not a SentencePiece model: fit or fetch it again") from None


def load_speller(path: Path) -> Callable[[Sequence[str]], list[str]]:
    """Lines → the pieces of each, a space after every one; empty for a line that has none."""
    model = load_sentencepiece(path)

    def spell(line: str) -> str:
        pieces = model.encode(line, out_type=str)
        return " ".join(pieces) + " " if pieces else ""

    try:
        is_by_word = _is_by_word(model, path.read_bytes())
    except UnicodeDecodeError:  # of a piece
        raise UsageError(f"{path} is not a SentencePiece model: fit or fetch it again") from None
    if is_by_word:
        return WordSpeller(spell).lines
    return lambda lines: [*map(spell, lines)]


class WordSpeller:
    """`spell` for the lines of a text, by a model whose lines are spelled word by word."""

    def __init__(self, spell: Callable[[str], str]) -> None:
        self._spell = spell
        self._known = {"": ""}

    def lines(self, lines: Sequence[str]) -> list[str]:
        if any(SPACE in line for line in lines):
            return [*map(self._spell, lines)]  # it is dropped from the end of a line, as white space is
        words = [line.split(" ") for line in lines]
        # nearly all words of most lines are known: looked up before it is asked which are not
        found: list[list[Any]] = [[*map(self._known.get, each)] for each in words]
        unknown = [place for place, pieces in enumerate(found) if None in pieces]
        new = [*set().union(*(words[place] for place in unknown)).difference(self._known)]
        if new:
            # as one line, and a word begins where a space is: half the time of one after the other
            spelled = self._spell(" ".join(new)).removeprefix(SPACE).removesuffix(" ").split(f" {SPACE}")
            self._known |= zip(new, [f"{SPACE}{pieces} " for pieces in spelled], strict=True)
            for place in unknown:
                found[place] = [*map(self._known.__getitem__, words[place])]
        joined = ["".join(pieces) for pieces in found]
        for word in [word for word in new if len(word) > WORD_CHARS]:
            del self._known[word]
        if len(self._known) > REMEMBERED:
            self._known = {"": ""}
        return joined


def _is_by_word(model: Any, content: bytes) -> bool:
    """Whether the pieces of a line are those of its words."""
    try:
        fields = [*protobuf_fields(content)]
        trainer, normalizer = (dict(protobuf_fields(_message(fields, number))) for number in (_TRAINER, _NORMALIZER))
    except ValueError:
        return False
    numbers = range(model.get_piece_size())
    return (
        trainer.get(_MODEL_TYPE) == _BPE
        and not trainer.get(_SPACE_AS_SUFFIX)
        and not normalizer.get(_CHARACTER_MAP)
        and all(normalizer.get(each, 1) for each in (_SPACE_FIRST, _ONE_SPACE, _ESCAPED_SPACE))
        # each word begins with a piece that is known, so that no run of unknown characters goes over its beginning
        and model.piece_to_id(SPACE) != model.unk_id()
        and not any(" " in piece or SPACE in piece[1:] for piece in map(model.id_to_piece, numbers))
        and not any(map(model.is_unused, numbers))
    )


def _message(fields: Sequence[tuple[int, Any]], number: int) -> bytes:
    """The message that is this field. SentencePiece joins the parts of one that is there several times, and passes over
    a field of another type."""
    return b"".join(value for each, value in fields if each == number and isinstance(value, bytes))


def protobuf_fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field of a protobuf message: bytes, or an integer. ValueError where it is cut."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(wire)
        if wire == 2:
            size, at = _varint(content, at)
        if size is None or at + size > len(content):
            raise ValueError("a field is cut, or is none")
        yield key >> 3, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """The number that begins at a place, and the place behind it."""
    value = shift = 0
    while True:
        if at >= len(content) or shift > 63:
            raise ValueError("a number is cut")
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
