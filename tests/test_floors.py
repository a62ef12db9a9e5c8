"""An import goes down, never up, never sideways across a floor; and `refinery --help` stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = {
    "infra": {"infra"},
    "filters": {"filters"},
    "dedup": {"dedup", "infra"},
    "mixers": {"mixers", "infra"},
    "trainer": {"trainer", "infra"},
    "pipeline": {"pipeline", "filters", "dedup", "mixers", "infra"},
}
# the roof: the command line is the one place that joins the trainer to the data
ROOF = ("cli_train.py", "cli_report.py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_go_down(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        allowed = ALLOWED[package] | ({"trainer"} if path.name in ROOF else set())
        ours = {name.split(".")[0] for name in imports(path)} & set(ALLOWED)
        assert ours <= allowed, f"{path.relative_to(ROOT)} imports {sorted(ours - allowed)}"


def test_package_files_hold_no_logic() -> None:
    for package in ALLOWED:
        for path in (ROOT / package).rglob("__init__.py"):
            body = ast.parse(path.read_text()).body
            assert all(isinstance(node, ast.Import | ast.ImportFrom | ast.Expr | ast.Assign) for node in body), path


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from pipeline.cli.app import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as stop:\n    assert stop.code == 0\n"
        "print(sorted({'torch', 'ray', 'apache_beam', 'numba', 'fasttext', 'trafilatura'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "run" in done.stdout
