"""A batch through steps is what its rows are, one by one."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.dataset import schema as schemas
from pipeline.document import Document
from pipeline.steps.batch import after_steps, plain_texts, working_documents
from pipeline.steps.interpreter import columns_of, document_of

# of a step, of a text, and unknown
CARRIED = ("characters", "perplexity", "quality", "zebra")
SCHEMA = schemas.documents(CARRIED)
AFTER = schemas.documents((*CARRIED, "words"))

ROWS = st.fixed_dictionaries(
    {
        "text": st.sampled_from([None, "", "a b", "地 é"]),
        "url": st.sampled_from([None, "http://a.org/"]),
        "language": st.sampled_from([None, "en"]),
        "language_score": st.sampled_from([None, 0.5]),
        "domain": st.sampled_from([None, "code"]),
        "token_count": st.sampled_from([None, 0, 7]),
        "signals": st.none() | st.fixed_dictionaries({name: st.sampled_from([None, 0.25]) for name in CARRIED}),
    }
)


def work(document: Document, what: str) -> None:
    """What steps do to a document."""
    if what == "edit":
        document.signal("characters")
        document.replace_text(document.text + " more")
    elif what == "measure":
        document.signal("characters")
        document.signals["perplexity"] = 3.0
    elif what == "label":
        document.set_language("zh", 0.75)
        document.domain = "arts"


@given(st.lists(st.tuples(ROWS, st.sampled_from(["", "edit", "measure", "label"])), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_a_batch_is_its_rows_one_by_one(given_rows: list[tuple[dict[str, Any], str]]) -> None:
    batch = pa.RecordBatch.from_pylist([row for row, _ in given_rows], SCHEMA)
    documents = list(working_documents(batch))
    rows = batch.to_pylist()
    assert documents == [document_of(row) for row in rows]
    for document, row, (_, what) in zip(documents, rows, given_rows, strict=True):
        work(document, what)
        row |= columns_of(document, row["signals"])
    assert after_steps(batch, documents, AFTER) == pa.RecordBatch.from_pylist(rows, AFTER)


def test_texts_that_no_step_edits_are_not_copied() -> None:
    batch = pa.RecordBatch.from_pylist([{"text": "a b", "signals": {}}], SCHEMA)
    made = after_steps(batch, list(working_documents(batch)), AFTER)
    assert made is not None and made["text"].buffers()[2].address == batch["text"].buffers()[2].address
    assert after_steps(batch.slice(0, 0), [], AFTER) is None


TEXTS = ["# A\n\n- b", "# A", None, "1. c"]


@pytest.mark.parametrize(
    ("signals", "plain"),
    [
        ([{"markdown": 1.0}] * 4, ["A\nb", "A", "", "c"]),
        ([{"markdown": 0.0}, {"markdown": 1.0}, None, {"markdown": None}], ["# A\n\n- b", "A", "", "1. c"]),
        ([{"quality": 1.0}] * 4, ["# A\n\n- b", "# A", "", "1. c"]),
    ],
)
def test_marks_are_taken_out_where_extraction_put_them(signals: list[dict[str, float]], plain: list[str]) -> None:
    assert plain_texts(pa.RecordBatch.from_pydict({"text": TEXTS, "signals": signals})) == plain
