"""The text of a block, from the pieces of the page that it is made of, by what white space is in each."""

from collections.abc import Collection

from pipeline.extract.references import characters
from pipeline.extract.structure.code import code_text
from pipeline.extract.text import flowing, one_blank, standing, without_invisible


def text_of(pieces: list[str], stands: Collection[int], code: bool) -> str:
    """The pieces as one text, with the marks in them. `stands`: the numbers of those whose white space is text."""
    if code:
        return code_text(without_invisible(characters("".join(pieces))))
    if not stands:
        return flowing(characters("".join(pieces)))
    if len(stands) < len(pieces):
        pieces = [piece if number in stands else one_blank(piece) for number, piece in enumerate(pieces)]
        pieces[0] = pieces[0] if 0 in stands else pieces[0].lstrip()
    return standing(characters("".join(pieces)))
