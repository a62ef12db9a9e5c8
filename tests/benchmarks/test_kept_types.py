"""What recipes keep by the type of page: counts of every type, of pages that no row knows, and of all."""

import json
from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks import kept_types
from infra.errors import UsageError
from tests.pipeline.datasets import document, make_dataset


def compared(folder: Path) -> Path:
    """`most` keeps documents 0 to 5, `least` the first two."""
    make_dataset(folder / "02-most", "filter", [document(number) for number in range(6)], [])
    make_dataset(folder / "03-least", "filter", [document(number) for number in range(2)], [])
    chains = {"most": ["02-most"], "least": ["02-most", "03-least"]}
    (folder / "run.json").write_text(json.dumps({"chains": chains}))
    return folder


def index(path: Path, types: list[str]) -> Path:
    rows = ({"url": f"https://example.org/{number}", "type": kind} for number, kind in enumerate(types))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_documents_of_each_type(tmp_path: Path) -> None:
    types = index(tmp_path / "index.jsonl", ["news", "talk", "news", "news", "shop"])
    found = kept_types.run(Namespace(compared=compared(tmp_path), index=types, least=2))
    assert found["rows"] == [
        {"type": "news", "pages": 3, "most": 3, "least": 1},
        {"type": "(others)", "pages": 3, "most": 3, "least": 1},
        {"type": "(all)", "pages": 6, "most": 6, "least": 2},
    ]
    assert list(kept_types.show(found))[-1] == "| (all) | 6 | 6 | 2 |"
    one = kept_types.run(Namespace(compared=tmp_path, index=types, least=1))
    assert {"type": "(not known)", "pages": 1, "most": 1, "least": 0} in one["rows"]


def test_wrong_inputs_are_told(tmp_path: Path) -> None:
    types = index(tmp_path / "index.jsonl", ["news"])
    with pytest.raises(UsageError, match=r"is no folder of refinery compare: it has no run\.json"):
        kept_types.run(Namespace(compared=tmp_path, index=types, least=1))
    (tmp_path / "wrong.jsonl").write_text('{"url": "https://example.org/1"}\n')
    with pytest.raises(UsageError, match=r"line 1 has no 'type': give the type of the page"):
        kept_types.run(Namespace(compared=compared(tmp_path), index=tmp_path / "wrong.jsonl", least=1))
