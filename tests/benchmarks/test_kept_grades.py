"""What a keep rate keeps, by the grades of readers: the order of what it rejects, and the shares of good ones."""

import json
from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks import kept_grades
from infra.errors import UsageError
from tests.pipeline.datasets import document, make_dataset, reject


def stage(folder: Path, method: str = "keep_rate") -> Path:
    """Two documents are kept, six rejected: number n had n tenths where .9 was needed, the last .19 where .2 was."""
    ledger = [reject(number, "keep_rate", "min_quality", number / 10, 0.9) for number in range(2, 7)]
    ledger.append(reject(7, "keep_rate", "min_quality", 0.19, 0.2))
    make_dataset(folder, "keep-rate", [document(0), document(1)], ledger, extra={"pool": {"method": method}})
    return folder


def graded_file(path: Path, grades: dict[str, list[float]]) -> Path:
    path.write_text("".join(json.dumps({"id": name, "grades": each}) + "\n" for name, each in grades.items()))
    return path


def test_kept_just_rejected_and_others(tmp_path: Path) -> None:
    grades = {f"https://example.org/{number}": [float(1 + number % 5)] for number in (0, 2, 3, 4, 5, 6)}
    # one is known by its id, not by its address, and has the grades of two readers
    graded = graded_file(tmp_path / "en.jsonl", {**grades, "<urn:uuid:7>": [3.5, 4.0], "https://elsewhere.org": [5]})
    found = kept_grades.run(Namespace(kept=stage(tmp_path / "kept"), graded=[graded], nearest=2))
    kept, near, others = found["rows"]
    assert (kept["what"], kept["graded"], kept["mean"], kept["good"]) == ("kept", 1, 1.0, 0.0)
    # nearest by the logit: .19 where .2 was needed, then .6 where .9 was
    assert (near["graded"], near["mean"], near["good"], near["very good"]) == (2, 2.88, 0.5, 0.5)
    assert (others["graded"], others["mean"]) == (4, (3.0 + 4.0 + 5.0 + 1.0) / 4)
    assert near["good interval"] == pytest.approx([0.0945, 0.9055], abs=1e-3)
    lines = list(kept_grades.show(found))
    assert lines[3] == "| en.jsonl | just rejected | 2 | 2.88 | 0.50 (0.09 to 0.91) | 0.50 (0.09 to 0.91) |"
    assert lines[-1] == "2 documents are kept, 6 rejected by the keep rate"


def test_grades_by_address_and_by_id_are_of_one_document(tmp_path: Path) -> None:
    graded = graded_file(tmp_path / "en.jsonl", {"https://example.org/0": [2.0], "<urn:uuid:0>": [4.0, 4.5]})
    (kept,) = kept_grades.run(Namespace(kept=stage(tmp_path / "kept"), graded=[graded], nearest=2))["rows"]
    assert (kept["graded"], kept["mean"], kept["good"]) == (1, 3.5, 1.0)


def test_wrong_inputs_are_told(tmp_path: Path) -> None:
    made = stage(tmp_path / "kept")
    graded = graded_file(tmp_path / "en.jsonl", {"https://elsewhere.org": [5]})
    with pytest.raises(UsageError, match=r"no document of .*kept has an id or address of .*en\.jsonl"):
        kept_grades.run(Namespace(kept=made, graded=[graded], nearest=60))
    with pytest.raises(UsageError, match="--nearest is 0"):
        kept_grades.run(Namespace(kept=made, graded=[graded], nearest=0))
    other = stage(tmp_path / "quantile", "quantile")
    with pytest.raises(UsageError, match="is of no keep_rate step"):
        kept_grades.run(Namespace(kept=other, graded=[graded], nearest=60))
