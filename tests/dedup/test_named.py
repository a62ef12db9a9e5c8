"""Ids of survivors are joined with the decisions."""

import numpy as np
import pyarrow as pa
import pytest

from dedup.exact import key_table
from dedup.keep import KeepOne
from dedup.named import NAMED, NameSurvivors, id_table
from dedup.tables import DECISIONS, document_numbers
from tests.dedup.support import documents, reduce


def test_ids_of_the_wanted_documents_only() -> None:
    wanted = np.sort(document_numbers([1, 1, 1, 2], [20, 22, 24, 21]))
    rows = id_table(documents(["a", "b", "c", "d"]), 1, 20, wanted).to_pylist()
    assert [(row["key"], row["row"], row["id"]) for row in rows] == [
        ((1 << 32) + 20, -1, "id-0"),
        ((1 << 32) + 22, -1, "id-2"),
    ]


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 100])
def test_each_removal_names_its_survivor(batch_rows: int) -> None:
    batch = documents(["x", "y", "x", "z", "y", "x"], id=["a", "b", "c", "d", None, "f"])
    decisions = reduce(KeepOne(), [key_table(batch, 0, 0, "text")], DECISIONS)
    ids = id_table(batch, 0, 0, np.array([0, 1]))
    both = pa.concat_tables([pa.table(ids), decisions], promote_options="default").to_batches()
    rows = reduce(NameSurvivors(), both, NAMED, batch_rows).to_pylist()
    assert {row["row"]: (row["kept"], row["survivor"]) for row in rows} == {
        0: (True, None), 1: (True, None), 2: (False, "a"), 4: (False, "b"), 5: (False, "a"),
    }  # fmt: skip


def test_a_survivor_without_an_id_names_none() -> None:
    batch = documents(["x", "y", "x", "y"], id=["a", None, "c", "d"])
    decisions = reduce(KeepOne(), [key_table(batch, 0, 0, "text")], DECISIONS)
    ids = id_table(batch, 0, 0, np.array([0, 1]))
    both = pa.concat_tables([pa.table(ids), decisions], promote_options="default").to_batches()
    rows = reduce(NameSurvivors(), both, NAMED, 1).to_pylist()
    assert {row["row"]: row["survivor"] for row in rows if not row["kept"]} == {2: "a", 3: None}
