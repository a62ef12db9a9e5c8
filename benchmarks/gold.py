"""Ground truth of main text, as many annotators wrote it, in one form: words that a page's text must and may have.

A line of the gold file is a JSON object with `id` ("SOURCE/…"), `form` and the fields of the form:

- `full_text`, `markdown`: `text` is the main text. CleanEval's `<p> <h> <l>` are dropped; what follows Dragnet's mark
  of comments may be there or not.
- `annotated_html`: `html` with the classes of L3S-GN1: headline and text (1, 2) are needed, supplements and comments
  (3, 5) may be there, all else may not.
- `clean_html`, `structured_content_list`: the visible text of `html`, which holds the main content alone.
- `snippets`, `full_text+snippets`: what `with` lists must be in the text, what `without` lists must not.
- `recipe_fields_json`: the ingredients and steps in `meta` must be in the text; nothing is forbidden.

Other forms (dates, single fields) say nothing of the main text and are passed over.
"""

import re
from collections import Counter
from collections.abc import Mapping
from html import unescape
from typing import Any, Final, NamedTuple

from pipeline.extract.extractors.all_text import AllTextOptions, all_text

_COMMENTS: Final = "!@#$%^&*()  COMMENTS"
_LIGHT_TAG = re.compile(r"</?(?:p|h|l|CR)>")
_MARK = re.compile(r"x-nc-sel([0-5])")
_NEEDED, _ALLOWED = frozenset("12"), frozenset("35")
# Scripts that write no spaces: a character is a word. Elsewhere a run of letters, digits and marks is.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


class GoldText(NamedTuple):
    """`text` is "" where only snippets are known; `allowed` is text that is neither asked for nor wrong."""

    text: str
    allowed: str
    required: tuple[str, ...]
    forbidden: tuple[str, ...]


class Score(NamedTuple):
    f1: float
    precision: float
    recall: float


def words(text: str) -> list[str]:
    """The words of a text, case folded; single characters in scripts without spaces."""
    return _WORD.findall(text.casefold())


def read_gold(row: Mapping[str, Any]) -> GoldText | None:
    """The ground truth in a line of the gold file; None if it has none of the main text."""
    form = row["form"]
    text, allowed = "", ""
    required, forbidden = tuple(row.get("with") or ()), tuple(row.get("without") or ())
    if form.startswith(("full_text", "markdown")):
        text, _, allowed = (row["text"] or "").partition(_COMMENTS)
        if "light tags" in form:
            text = unescape(_LIGHT_TAG.sub("\n", text))
    elif form.startswith("annotated_html"):
        text, allowed = _annotated(row["html"])
    elif form.startswith(("clean_html", "structured_content_list")):
        text = all_text(row["html"] or "", "", AllTextOptions(title=False)).text
    elif form == "recipe_fields_json":
        required = (*(row["meta"].get("ingredients") or ()), *(row["meta"].get("instructions_list") or ()))
    gold = GoldText(text.strip(), allowed, required, forbidden)
    return gold if gold.text or gold.required or gold.forbidden else None


def _annotated(html: str) -> tuple[str, str]:
    """The text under needed marks and the text under allowed ones; the nearest mark counts."""
    from lxml.html import fromstring

    found: dict[str, list[str]] = {"needed": [], "allowed": []}

    def add(text: str | None, mark: str) -> None:
        kind = "needed" if mark in _NEEDED else "allowed" if mark in _ALLOWED else ""
        if text and kind:
            found[kind].append(text)

    def walk(element: Any, mark: str) -> None:
        here = _MARK.search(element.get("class") or "")
        inner = here[1] if here else mark
        if element.tag not in ("script", "style"):
            add(element.text, inner)
        for child in element:
            if isinstance(child.tag, str):
                walk(child, inner)
            add(child.tail, inner)

    walk(fromstring(html.encode(), parser=None), "")
    return "\n".join(found["needed"]), "\n".join(found["allowed"])


def score_text(text: str, gold: GoldText) -> Score:
    """F1, precision and recall of the bags of words of `text` and of the gold text."""
    found, needed = Counter(words(text)), Counter(words(gold.text))
    common = (found & needed).total()
    counted = found.total() - ((found - needed) & Counter(words(gold.allowed))).total()
    precision = common / counted if counted else 0.0
    recall = common / needed.total() if needed else 0.0
    return Score(2 * precision * recall / (precision + recall) if common else 0.0, precision, recall)


def score_snippets(text: str, gold: GoldText) -> tuple[float | None, float | None]:
    """The share of the required snippets whose words are in the text one after another, and of the forbidden ones
    that are not; None where there are none."""
    line = f" {' '.join(words(text))} "

    def share(snippets: tuple[str, ...]) -> float | None:
        wanted = [" ".join(words(snippet)) for snippet in snippets]
        wanted = [snippet for snippet in wanted if snippet]
        return sum(f" {snippet} " in line for snippet in wanted) / len(wanted) if wanted else None

    present, wrong = share(gold.required), share(gold.forbidden)
    return present, None if wrong is None else 1 - wrong
