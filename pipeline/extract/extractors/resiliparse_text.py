"""`resiliparse`: the main content that the library resiliparse finds, or all that is visible."""

from dataclasses import asdict, dataclass

from pipeline.extract.extractors.extractor import Extractor
from pipeline.extract.text import Extracted, page_title, tidy


@dataclass(frozen=True)
class ResiliparseOptions:
    """Named as in `resiliparse.extract.html2text`; the defaults are DCLM's (section 4.2), which add no markup."""

    main_content: bool = True
    """The main content alone; false: all visible text."""

    list_bullets: bool = True
    """Bullets in front of list items."""

    alt_texts: bool = False
    """The alternative texts of images."""

    links: bool = False
    """The addresses of links."""

    form_fields: bool = False
    """The texts of form fields."""

    noscript: bool = False
    """What noscript elements hold."""


def resiliparse(html: str, url: str, options: ResiliparseOptions) -> Extracted:  # noqa: ARG001
    """resiliparse's main content; all visible text if `main_content` is false. Raises what the library raises."""
    from resiliparse.extract.html2text import extract_plain_text

    text = extract_plain_text(html, preserve_formatting=True, **asdict(options))
    return Extracted(tidy(text), page_title(html))


EXTRACTOR = Extractor("resiliparse", resiliparse, ResiliparseOptions, sandboxed=True, caps="all")
