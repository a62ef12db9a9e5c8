"""Selects the records that are pages, and gives the reason for the others.

A page is a response or resource that is HTML, or a conversion (WET) that is text. The server's media type is used if it
is specific; if not (missing, octet-stream, plain text, XML), the first bytes decide; they also overrule a declaration
of HTML if they are those of a PDF, an image or an archive.
"""

import re

from pipeline.warc.codings import TOO_LARGE
from pipeline.warc.http import CUT_BODIES, NO_HEADER, NO_STATUS, SHORT_BODY, UNENDED, HttpMessage, record_message
from pipeline.warc.records import RawRecord

HTML = "html"
TEXT = "text"
PAGE_KINDS = (HTML, TEXT)

TYPES = ("request", "warcinfo", "metadata", "revisit", "continuation", "unknown")
MEDIA = (
    "image", "video", "audio", "font", "pdf", "css", "javascript", "json", "xml", "feed", "text", "archive", "office",
    "dns", "binary", "other",
)  # fmt: skip
SKIP_REASONS = (
    *(f"type/{name}" for name in TYPES),
    *(f"status/{name}" for name in ("1xx", "204", "3xx", "4xx", "5xx", "other")),
    *(f"media/{name}" for name in MEDIA),
    "body/empty",
)

# Responses that are no skipped records but rejected ones: they cannot be parsed as HTTP, or nothing of a body that may
# be a page can be decoded.
UNREADABLE = (NO_HEADER, NO_STATUS, *CUT_BODIES)

_PAGES = ("response", "resource", "conversion")
_HTML_TYPES = ("text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml", "html")
_GENERIC = ("", "text/plain", "application/octet-stream", "binary/octet-stream", "unknown/unknown", "text/xml",
                  "application/xml", "application/unknown", "content/unknown", "no-type", "text")  # fmt: skip
_BY_TYPE = {
    media: kind
    for kind, types in {
        "pdf": "application/pdf",
        "css": "text/css",
        "javascript": "text/javascript application/javascript application/x-javascript application/ecmascript",
        "json": "application/json",
        "feed": "application/rss+xml application/atom+xml application/rdf+xml",
        "xml": "application/xml text/xml",
        "dns": "text/dns",
        "archive": "application/zip application/gzip application/x-gzip application/x-tar "
                   "application/x-rar-compressed application/x-7z-compressed application/java-archive",
        "office": "application/msword application/rtf",
        "font": "application/font-woff",
        "binary": "application/octet-stream",
    }.items()
    for media in types.split()
}  # fmt: skip
_OFFICE = ("application/vnd.ms-", "application/vnd.openxmlformats", "application/vnd.oasis.opendocument")
_BY_MAGIC = (
    (b"%PDF-", "pdf"),
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"PK\x03\x04", "archive"),
    (b"\x1f\x8b", "archive"),
    (b"{\\rtf", "office"),
)
_SNIFF_BYTES = 1024
# Types of text that say what it is.
_TEXTS = frozenset(
    f"text/{name}"
    for name in ("markdown", "x-markdown", "csv", "tab-separated-values", "calendar", "vcard", "x-component", "vtt",
                 "rtf", "x-python", "x-c", "x-java", "x-java-source", "x-diff", "x-patch", "x-log", "x-tex", "troff",
                 "yaml", "x-yaml", "n3", "turtle", "event-stream", "ecmascript", "jscript", "x-javascript", "template",
                 "x-template", "vnd.wap.wml")
)  # fmt: skip
# What UTF-16 begins with: a byte order mark, or a tag.
_WIDE_STARTS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
# The start of a document: after byte order marks, space, declarations and comments, an element that only HTML has; or
# one that other languages of markup have too, where nothing says that it is one of these.
_HTML_START = re.compile(
    rb"<(?:!doctype[ \t\r\n]+html|html|head|body|title|meta|script|style|link|table|div|p|h[1-6]|br|hr|a|font|b|i|em"
    rb"|strong|iframe|center|frameset|noscript|span|img|ul|ol|dl|li|tr|td|tbody|pre|blockquote|input"
    rb"|marquee|basefont)[ \t\r\n/>]",
    re.IGNORECASE,
)
_AMBIGUOUS_START = re.compile(
    rb"<(?:article|section|main|nav|header|footer|aside|figure|form|base|label|button|u|small|details)[ \t\r\n/>]",
    re.IGNORECASE,
)
_PREFACE = re.compile(rb"\s+|\xef\xbb\xbf|<\?[^>]{0,512}>|<!--.{0,768}?-->", re.DOTALL)


def page_kind(record: RawRecord, message: HttpMessage) -> str:
    """Returns HTML or TEXT for a page, one of UNREADABLE, or else one of SKIP_REASONS. `message`:
    `record_message(record)`."""
    if record.type not in _PAGES:
        return f"type/{record.type if record.type in TYPES else 'unknown'}"
    if message.status is not None and not 200 <= message.status < 300:
        leading = message.status // 100
        return f"status/{leading}xx" if leading in (1, 3, 4, 5) else "status/other"
    if message.status in (204, 205):
        return "status/204"
    blank = not message.body.strip()
    if blank and TOO_LARGE in message.problems:
        message = record_message(record)  # of which the head alone may be blank
        blank = not message.body.strip()
    media = message.media_type
    if blank:
        if NO_HEADER in message.problems and record.format == "warc":
            return NO_HEADER
        may_be_page = media in _HTML_TYPES or media in _GENERIC or message.cut == UNENDED
        lost = message.cut not in (None, SHORT_BODY) and may_be_page and message.header("content-length") != "0"
        return message.cut if message.cut and lost else "body/empty"
    if record.type == "conversion" and media in ("", "text/plain"):
        return TEXT
    kind = _media_kind(media, message.body[:_SNIFF_BYTES])
    if kind not in PAGE_KINDS and not media and record.format == "warc":
        return next((problem for problem in message.problems if problem in UNREADABLE), kind)
    return kind


def is_page(record: RawRecord) -> bool:
    """Whether `record` is a page."""
    return record.type in _PAGES and page_kind(record, record_message(record)) in PAGE_KINDS


def _media_kind(media: str, start: bytes) -> str:
    if media in _HTML_TYPES or media in _GENERIC:
        for magic, kind in _BY_MAGIC:
            if start.startswith(magic):
                return f"media/{kind}"
    if media in _HTML_TYPES or (media in _GENERIC and looks_like_html(start, xml=media.endswith("/xml"))):
        return HTML
    if media in _BY_TYPE:
        return f"media/{_BY_TYPE[media]}"
    if media.startswith(_OFFICE):
        return "media/office"
    top_level = media.partition("/")[0]
    if top_level in ("image", "video", "audio", "font"):
        return f"media/{top_level}"
    if media.endswith(("+json", "+xml")):
        return "media/json" if media.endswith("+json") else "media/xml"
    if media not in _TEXTS and looks_like_html(start):  # a type that no browser knows: `text/htm`, `application/html`
        return HTML
    return "media/text" if top_level == "text" else "media/other"


def looks_like_html(start: bytes, xml: bool = False) -> bool:
    """Whether the first bytes of a body begin an HTML document. `xml`: they are said to be XML."""
    if start[:2] in _WIDE_STARTS:
        start = start.decode(_WIDE_STARTS[start[:2]], "ignore").encode()
    position = 0
    while (skipped := _PREFACE.match(start, position)) is not None:
        position = skipped.end()
    if _HTML_START.match(start, position) is not None:
        return True
    is_xml = xml or start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<?xml")
    return not is_xml and _AMBIGUOUS_START.match(start, position) is not None
