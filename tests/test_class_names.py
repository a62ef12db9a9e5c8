"""A class has its name alone, so that a name in an import, a message or a search means one thing."""

import ast
from collections import defaultdict

from tests.test_floors import ROOT, modules


def test_no_two_classes_have_one_name() -> None:
    found = defaultdict(list)
    for path in (*modules().values(), *(ROOT / "benchmarks").glob("*.py")):
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name: files for name, files in found.items() if len(files) > 1} == {}
