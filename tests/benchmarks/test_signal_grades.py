"""What signals tell of the grades of readers: AUC as it is, matched in length, by language, with intervals."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import signal_grades
from infra.dataset.manifest import Kind
from infra.errors import UsageError
from tests.pipeline.datasets import document, make_dataset


def documents(folder: Path) -> Path:
    """60 documents of ten hosts: `quality` is the number, `literary` tells nothing, the text's length is the number."""
    rows = [
        document(number)
        | {
            "url": f"https://host{number % 10}.org/{number}",
            "language": "en" if number < 48 else "zh",
            "text": "x" * (100 + number),
            "signals": {"quality": number / 60, "literary": 0.5},
        }
        for number in range(60)
    ]
    make_dataset(folder, "filter", rows, [], signals=("quality", "literary"))
    return folder


def graded(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_auc_by_language_and_matched_in_length(tmp_path: Path) -> None:
    rows = [
        {"id": f"https://host{n % 10}.org/{n}", "grades": [2, 5] if n % 48 >= 24 else [1.5], "literary": 3 * (n % 2)}
        for n in range(48)
    ]
    found = signal_grades.run(
        Namespace(documents=documents(tmp_path / "made"), graded=[graded(tmp_path / "g.jsonl", rows)])
    )
    assert found["texts"] == {"en": 48}
    good, by_length, literary = found["rows"]
    assert (good["what"], good["by"], good["texts"], good["has"]) == ("good", "quality", 48, 24)
    assert good["auc"] == 1.0 and good["auc interval"] == [1.0, 1.0]
    # what is good is longer: no class of length has both kinds
    assert by_length["auc"] == 1.0 and by_length["matched"] is None and by_length["matched interval"] is None
    assert (literary["auc"], literary["matched"], literary["has"]) == (0.5, 0.5, 24)
    lines = list(signal_grades.show(found))
    assert lines[2] == "| en | good | quality | 48 | 10 | 24 | 1.000 (1.000 to 1.000) | - |"


def test_grades_of_several_readers_and_of_the_id_count_together(tmp_path: Path) -> None:
    rows = [
        {"id": "https://host0.org/0", "grades": [4], "literary": [3, 0]},
        {"id": "<urn:uuid:0>", "grades": [1], "literary": 3},
        {"id": "<urn:uuid:1>", "grades": [3.5]},
    ]
    found = signal_grades.run(
        Namespace(documents=documents(tmp_path / "made"), graded=[graded(tmp_path / "g.jsonl", rows)])
    )
    good = found["rows"][0]
    # 2.5 of the first, so the second alone is good
    assert (good["texts"], good["has"], good["auc"], good["auc interval"]) == (2, 1, 1.0, None)  # of two hosts
    assert [row["what"] for row in found["rows"]] == ["good", "good"]


def test_wrong_inputs_are_told(tmp_path: Path) -> None:
    made = documents(tmp_path / "made")
    for row, says in (
        ({"id": "x", "grades": [3]}, "no document of .*made has an id or address of"),
        ({"id": "x", "grades": [3], "literary": 4}, "line 1: 'literary' is 4: give 0 to 3"),
        ({"id": "x", "grades": [3], "reasoned": []}, r"'reasoned' is \[\]: give 0 to 3"),
        ({"id": "x", "grades": [3], "reasoned": 2}, "no document of"),
    ):
        with pytest.raises(UsageError, match=says):
            signal_grades.run(Namespace(documents=made, graded=[graded(tmp_path / "g.jsonl", [row])]))
    make_dataset(tmp_path / "bare", "filter", [document(0)], [])
    make_dataset(tmp_path / "records", "ingest", [], [], kind=Kind.RECORDS)
    for name in ("bare", "records"):
        with pytest.raises(UsageError, match=f"{name} has no signal quality nor one of properties"):
            signal_grades.run(Namespace(documents=tmp_path / name, graded=[tmp_path / "g.jsonl"]))
    one = graded(tmp_path / "one.jsonl", [{"id": "<urn:uuid:1>", "grades": [3]}])
    with pytest.raises(UsageError, match="made are of one kind: give good and poor ones"):
        signal_grades.run(Namespace(documents=made, graded=[one]))


def test_documents_without_addresses_are_drawn_one_by_one(tmp_path: Path) -> None:
    rows = [document(n) | {"url": None, "language": "en", "signals": {"quality": n % 7}} for n in range(30)]
    make_dataset(tmp_path / "made", "filter", rows, [], signals=("quality",))
    grades = [{"id": f"<urn:uuid:{n}>", "grades": [1 + n % 5]} for n in range(30)]
    good = signal_grades.run(Namespace(documents=tmp_path / "made", graded=[graded(tmp_path / "g.jsonl", grades)]))[
        "rows"
    ][0]
    assert good["hosts"] == 30 and good["auc interval"][0] < good["auc"] < good["auc interval"][1]
