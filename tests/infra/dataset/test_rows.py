"""Batches with some columns changed: what is not touched stays as it is, what is missing is null."""

import pyarrow as pa
import pytest

from infra.dataset import schema as schemas
from infra.dataset.rows import to_rows, with_columns, with_signals

OWN = [pa.field("score", pa.float64())]


def batch(rows: list[dict], signals: tuple[str, ...] = (), own: list[pa.Field] | None = None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schemas.documents(signals, own or []))


def test_no_rows_are_no_batch() -> None:
    assert with_columns(batch([]), schemas.documents(())) is None


@pytest.mark.parametrize("signals", [{"a": 1.0}, {}, None])
def test_missing_columns_and_signals_are_null(signals: dict | None) -> None:
    given = batch([{"text": "x", "signals": signals}], ("a",))
    schema = schemas.documents(("a", "b"), OWN)
    made = with_columns(given, schema)
    assert made == pa.RecordBatch.from_pylist([{"text": "x", "signals": signals}], schema)


def test_own_columns_take_the_type_of_all_inputs() -> None:
    given = batch([{"text": "x", "score": 2**60 + 1}], own=[pa.field("score", pa.int64())])
    made = with_columns(given, schemas.documents((), OWN))
    assert made is not None and made["score"].to_pylist() == [float(2**60)]


def test_changed_columns_replace_those_of_the_batch() -> None:
    given = batch([{"text": "x", "copies": 1}, {"text": "y", "copies": 2}])
    made = with_columns(given, given.schema, {"copies": pa.array([5, 6], pa.int32())})
    assert made is not None and made["copies"].to_pylist() == [5, 6]
    # the texts are not copied
    assert made["text"].buffers()[2].address == given["text"].buffers()[2].address


def test_signals_are_set_beside_the_others() -> None:
    given = batch([{"signals": {"a": 1.0}}, {"signals": None}], ("a",))
    kind = schemas.documents(("a", "b")).field("signals").type
    made = with_signals(given["signals"], kind, {"b": pa.array([None, 2.0])})
    assert [(row["a"], row["b"]) for row in made.to_pylist()] == [(1.0, None), (None, 2.0)]


def test_rows_for_steps_have_no_columns_of_the_users() -> None:
    (row,) = to_rows(batch([{"text": "x", "score": 1.0}], own=OWN))
    assert row["text"] == "x" and "score" not in row
