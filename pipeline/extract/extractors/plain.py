"""`plain`: a body that is text already (WET, plain text), decoded and tidied. Recipes cannot name it."""

from pipeline.extract.extractors.extractor import Extractor, NoOptions
from pipeline.extract.text import Extracted, tidy


def plain(text: str, url: str, options: NoOptions) -> Extracted:  # noqa: ARG001
    """The text as it is; it has no title."""
    return Extracted(tidy(text), "")


EXTRACTOR = Extractor("plain", plain, NoOptions, sandboxed=False, caps="none", html=False)
