"""A batch of documents through steps: the working documents of its rows, and the batch with what steps made of them.

Only the columns that steps read become Python values. A text that no step edited stays the Arrow column that it was.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from filters.markdown import without_marks
from infra.dataset import schema as schemas
from infra.dataset.rows import with_columns, with_signals
from pipeline.document import Document
from pipeline.steps.signals import STEP_SIGNALS

# The columns that a document is made of.
READ = ("text", "url", "language", "language_score", "domain", "token_count", "signals")


def working_documents(batch: pa.RecordBatch) -> Iterator[Document]:
    """The working document of each row, as `interpreter.document_of` has it. The batch has the columns READ."""
    signals = batch.column("signals")
    names = [name for name in schemas.signal_names(batch.schema) if name in STEP_SIGNALS]
    values = [pc.struct_field(signals, name).to_pylist() for name in names]
    known = zip(*values, strict=True) if names else ((),) * batch.num_rows
    there = signals.is_valid().to_pylist()
    columns = [batch.column(name).to_pylist() for name in READ[:-1]]
    for row, found, valid in zip(zip(*columns, strict=True), known, there, strict=True):
        text, url, language, score, domain, tokens = row
        kept = dict(zip(names, found, strict=True)) if valid else {}
        yield Document(text or "", url or "", language, score, domain, tokens or 0, {**kept, "language_score": score})


def plain_texts(batch: pa.RecordBatch) -> list[str]:
    """The text of each row as judges read it: `Document.plain`. The batch has the columns `text` and `signals`."""
    texts = [text or "" for text in batch["text"].to_pylist()]
    if "markdown" not in schemas.signal_names(batch.schema):
        return texts
    marked = pc.struct_field(batch["signals"], "markdown").to_pylist()
    return [without_marks(text) if mark else text for text, mark in zip(texts, marked, strict=True)]


def after_steps(batch: pa.RecordBatch, documents: Sequence[Document], schema: pa.Schema) -> pa.RecordBatch | None:
    """The rows of a batch with what steps have made of their documents, as `schema` has them; None without rows.

    They are `interpreter.columns_of` each document: a signal that it lacks is the row's own.
    """
    if not documents:
        return None
    kind = schema.field("signals").type
    signals, found = batch.column("signals"), {}
    for name in sorted(
        {name for document in documents for name in document.signals} & set(schemas.signal_names(schema))
    ):
        own = pc.struct_field(signals, name).to_pylist() if signals.type.get_field_index(name) >= 0 else None
        values = [document.signals.get(name, own and own[row]) for row, document in enumerate(documents)]
        found[name] = pa.array(values, pa.float64())
    changed = {
        "language": pa.array([document.language for document in documents], pa.string()),
        "language_score": pa.array([document.language_score for document in documents], pa.float64()),
        "domain": pa.array([document.domain for document in documents], pa.string()),
        "token_count": pa.array([document.tokens for document in documents], pa.int64()),
        "signals": with_signals(signals, kind, found),
        "text": _texts(batch.column("text"), documents),
    }
    if any(document.language_shares is not None for document in documents):
        own = (
            batch.column("language_shares").to_pylist()
            if "language_shares" in batch.schema.names
            else [None] * len(documents)
        )
        shares = [
            row if document.language_shares is None else document.language_shares
            for row, document in zip(own, documents)
        ]
        changed["language_shares"] = pa.array(shares, pa.string())
    return with_columns(batch, schema, changed)


def _texts(before: pa.Array, documents: Sequence[Document]) -> pa.Array:
    """The texts of the documents: the column itself where none was edited."""
    if any(document.edited for document in documents):
        return pa.array([document.text for document in documents], pa.string())
    return before.fill_null("") if before.null_count else before
