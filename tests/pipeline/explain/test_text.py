"""A copy's line says what was measured, and with which document."""

from typing import Any

import pytest

from pipeline.explain.text import copy_lines

COPY = {
    "url": "http://a.example/",
    "survivor": "<a>",
    "step": "near",
    "rule": "copy_minhash",
    "shingles": None,
    "line": None,
}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"similarity": 0.87, "measure": "jaccard", "via": "<b>", "bands": 9},
            " (jaccard 0.87 to <b>, 9 bands shared)",
        ),
        ({"similarity": 0.9, "measure": "containment", "via": None, "bands": 1}, " (containment 0.9, 1 band shared)"),
        ({"similarity": 1.0, "measure": None, "via": None, "bands": None}, " (similarity 1)"),
        ({"similarity": None, "measure": None, "via": None, "bands": None}, ""),
    ],
)
def test_a_line_for_a_copy(given: dict[str, Any], says: str) -> None:
    assert list(copy_lines({**COPY, **given})) == [f"copy of http://a.example/{says}, near/copy_minhash"]
