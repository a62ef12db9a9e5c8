"""`plain`: a body that is text already (WET, plain text), decoded and tidied. Recipes cannot name it."""

from dataclasses import dataclass

from pipeline.extract.extractors.extractor import Extractor
from pipeline.extract.text import Extracted, tidy


@dataclass(frozen=True)
class PlainOptions:
    """It has none."""


def plain(text: str, url: str, options: PlainOptions) -> Extracted:  # noqa: ARG001
    """The text as it is; it has no title."""
    return Extracted(tidy(text), "")


EXTRACTOR = Extractor("plain", plain, PlainOptions, sandboxed=False, caps="none", html=False)
