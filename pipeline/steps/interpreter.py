"""Runs a document through the steps on its text, in order, until one rejects it.

`filter` and `mix` use it for every document, `explain` for one with a trace. Signals are measured lazily, from one
segmentation of the current text, and each is measured once unless a rewrite changes the text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infra.ledger import Reject
from pipeline.document import Document, Trace
from pipeline.models.loaded import Models
from pipeline.steps.signals import HEADER_SIGNALS, STEP_SIGNALS
from pipeline.steps.step import Step


def run_steps(
    document: Document,
    steps: Sequence[Step],
    models: Models,
    trace: Trace | None = None,
    passed: Callable[[int, Document], None] | None = None,
) -> list[Reject]:
    """Runs `document` through `steps`, changing it; returns the failed rules of the first step that rejects it.

    `passed(order, document)` is called after each step that the document passes.
    """
    for order, step in enumerate(steps):
        rejects = step.run(document, models, trace)
        if rejects:
            return rejects
        if passed:
            passed(order, document)
    return []


def step_signals(steps: Sequence[Step]) -> set[str]:
    """Every signal that these steps write to the `signals` column: those that they read and those that they set."""
    names = {name for step in steps for name in (*step.requires(), *(step.sets & STEP_SIGNALS.keys()))}
    return names - {"language_score"} - HEADER_SIGNALS.keys()


def columns_of(document: Document, carried: Mapping[str, Any] | None) -> dict[str, Any]:
    """The columns of a row that steps change; `carried`: the row's signals, for those that the document lacks."""
    return {
        "text": document.text,
        "language": document.language,
        "language_score": document.language_score,
        "domain": document.domain,
        "token_count": document.tokens,
        "signals": {**(carried or {}), **document.signals},
        **({} if document.language_shares is None else {"language_shares": document.language_shares}),
    }


def document_of(row: Mapping[str, Any]) -> Document:
    """The working document of a row. Signals set by steps of earlier stages are kept; the text is measured again."""
    return Document(
        text=row["text"] or "",
        url=row["url"] or "",
        language=row["language"],
        language_score=row["language_score"],
        domain=row["domain"],
        tokens=row["token_count"] or 0,
        signals={name: value for name, value in (row["signals"] or {}).items() if name in STEP_SIGNALS}
        | {"language_score": row["language_score"]},
    )
