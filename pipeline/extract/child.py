"""The extraction of one page in the sandbox's child process, and the two messages of that call.

A request is a line of JSON and the page in UTF-8; a reply is JSON. The child imports this file, `text.py`, `markup.py`
and the file of its extractor, no more: it starts sooner, and holds no numpy unless its extractor needs it.
"""

import importlib
import json
import logging
from typing import Any

from pipeline.extract.extractors.extractor import Extractor
from pipeline.extract.text import TruncatedPage


def request(extractor: Extractor[Any], options: dict[str, Any], url: str, utf8: bytes) -> bytes:
    """The message for `extract_frame`. `options` are the fields of the extractor's options."""
    head = {"module": extractor.module, "options": options, "url": url}
    return json.dumps(head).encode() + b"\n" + utf8


def extract_frame(frame: bytes) -> bytes:
    """The reply to a `request`: "text" and "title" of the page, or the "rule" that rejects it, or "missing".

    "missing" says which library could not be imported.
    """
    logging.disable(logging.CRITICAL)  # the libraries log a line for each page that they cannot parse
    end = frame.index(b"\n")
    head = json.loads(frame[:end])
    html = str(memoryview(frame)[end + 1 :], "utf-8")
    try:
        extractor: Extractor[Any] = importlib.import_module(head["module"]).EXTRACTOR
        found = extractor.function(html, head["url"], extractor.options(**head["options"]))
        reply: dict[str, Any] = {"text": found.text, "title": found.title, "shares": found.shares, "by": found.by}
    except MemoryError:
        raise
    except ImportError as error:
        reply = {"missing": str(error).splitlines()[0]}
    except TruncatedPage:
        reply = {"rule": "extract/truncated"}
    except Exception:
        reply = {"rule": "extract/error"}
    return json.dumps(reply).encode()
