"""Runs a document through the steps on its text, in order, until one rejects it.

`filter` and `mix` use it for every document, `explain` for one with a trace. Signals are measured lazily, from one
segmentation of the current text, and each is measured once unless a rewrite changes the text.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from infra.ledger import Reject
from pipeline.document import Document, Trace
from pipeline.models.loaded import Models
from pipeline.steps.signals import HEADER_SIGNALS, STEP_SIGNALS
from pipeline.steps.step import Step

# Documents that go through the steps together; the views of so many characters take some 60 MB.
BLOCK, BLOCK_CHARS = 32, 1 << 20


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


def run_steps_over(
    documents: Sequence[Document], steps: Sequence[Step], models: Models, passed: Callable[[int, Document], None]
) -> list[list[Reject]]:
    """`run_steps` of each document, step by step: what a model reads stays in the CPU's caches for all of a block."""
    found: list[list[Reject]] = [[] for _ in documents]
    for block in _blocks(documents):
        left = block
        for order, step in enumerate(steps):
            for place in left:
                found[place] = step.run(documents[place], models, None)
                if not found[place]:
                    passed(order, documents[place])
            left = [place for place in left if not found[place]]
        for place in block:
            documents[place].forget()
    return found


def _blocks(documents: Sequence[Document]) -> Iterator[list[int]]:
    """The places of documents, in blocks of at most BLOCK or so many characters."""
    block: list[int] = []
    size = 0
    for place, document in enumerate(documents):
        size += len(document.text)
        if block and (len(block) == BLOCK or size > BLOCK_CHARS):
            yield block
            block, size = [], len(document.text)
        block.append(place)
    if block:
        yield block


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
