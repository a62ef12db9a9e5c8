"""Elements of a page that may repeat others (`aria-hidden`): which of them do, and are left out."""

from typing import Any, TypeVar

B = TypeVar("B", bound=tuple[Any, ...])


class Copies:
    """The elements of a page that may repeat others (`aria-hidden`), and what of them does.

    A copy says what the elements just before or behind it say: pieces of its line, or blocks.
    """

    def __init__(self) -> None:
        self.level = 0  # that of the open one, if there is one
        self.waiting = False  # whether `cleared` has to look at the next block
        self._begin = (0, 0)
        self._of_pieces: list[tuple[int, int]] = []
        self._of_blocks: list[tuple[int, int]] = []

    def open(self, level: int, block: int, piece: int) -> None:
        """The element of this level begins with this piece of this block."""
        self.level, self._begin = level, (block, piece)

    def close(self, block: int, piece: int) -> None:
        """The open element ends before this piece of this block."""
        begin = self._begin
        self.level = 0
        if begin[0] == block:
            self._of_pieces.append((begin[1], piece))
            self.waiting = True
        elif begin[1] == piece == 0:
            self._of_blocks.append((begin[0], block))

    def cleared(self, pieces: list[str], block: int) -> list[str]:
        """The pieces that make up a block, without copies."""
        spans, self._of_pieces, self.waiting = self._of_pieces, [], False
        dropped: set[int] = set()
        for begin, end in spans:
            text = "".join("".join(pieces[begin:end]).split())
            before, behind = range(begin - 1, -1, -1), range(end, len(pieces))
            if text and (_reads(text, pieces, before) or _reads(text, pieces, behind)):
                dropped.update(range(begin, end))
        if len(spans) == 1 and not "".join(pieces[: spans[0][0]] + pieces[spans[0][1] :]).strip():
            self._of_blocks.append((block, block + 1))
        # emptied, not removed, so that numbers of pieces stay
        return ["" if number in dropped else piece for number, piece in enumerate(pieces)] if dropped else pieces

    def dropped(self, blocks: list[B]) -> list[B]:
        """The blocks of the page without copies; the first of a block is its text."""
        gone: set[int] = set()
        for begin, end in self._of_blocks:
            texts = [block[0] for block in blocks[begin:end]]
            before = [block[0] for block in blocks[max(0, 2 * begin - end) : begin]]
            if (
                begin not in gone
                and texts
                and (before == texts or [block[0] for block in blocks[end : 2 * end - begin]] == texts)
            ):
                gone.update(range(begin, end))
        return [block for number, block in enumerate(blocks) if number not in gone] if gone else blocks


def _reads(text: str, pieces: list[str], order: range) -> bool:
    """Whether the pieces in this order, white space apart, make up `text` at the end of one of them."""
    read = 0
    for number in order:
        part = "".join(pieces[number].split())
        at = read if order.step > 0 else len(text) - read - len(part)
        if at < 0 or not text.startswith(part, at):
            return False
        read += len(part)
        if read == len(text):
            return True
    return False
