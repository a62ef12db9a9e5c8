"""Imports between our files go down, never up, never sideways, and never in a circle.

Every import counts, wherever it stands: in a function and under TYPE_CHECKING too.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.files import PACKAGES, ROOT

# From the ground up. A file imports from floors below its own and from its own folder; not from a folder beside it.
FLOORS = """
infra.errors
infra.hashing  infra.extras  infra.names  infra.addresses  infra.hidden_imports
infra.storage
infra.remote  infra.http
infra.user_folders  infra.code_version  infra.compiled
infra.dataset
infra.ledger
infra.sandbox
infra.metering
infra.engines
filters
dedup  mixers  trainer
pipeline.document  pipeline.text_table  pipeline.text_lines
pipeline.warc
pipeline.extract
pipeline.models
pipeline.steps
pipeline.recipes
pipeline.inputs
pipeline.job
pipeline.pool  pipeline.index
pipeline.stages
pipeline.compare  pipeline.revise  pipeline.explain  pipeline.export  pipeline.fit  pipeline.snapshots
pipeline.report
pipeline.metric
pipeline.cli
pipeline.demo
refinery
"""
# What joins the data and the trainer, and may import our modules inside functions: it starts faster for it.
ROOF = ("pipeline.cli", "refinery")


class Import(NamedTuple):
    importer: str
    imported: str
    in_function: bool


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its name; without the `__init__.py` of folders, where they are empty."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if path.name != "__init__.py" or path.stat().st_size:
                found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every import of one of our modules by another."""
    return tuple(
        Import(importer, imported, in_function)
        for importer, path in modules().items()
        for imported, in_function in _imports_of(ast.parse(path.read_bytes()))
        if imported != importer
    )


def _imports_of(node: ast.AST, in_function: bool = False) -> Iterator[tuple[str, bool]]:
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"write the whole name of a module: line {node.lineno}"
        for alias in node.names:
            within = f"{node.module}.{alias.name}"
            yield from ((name, in_function) for name in (within, str(node.module)) if name in modules())
    elif isinstance(node, ast.Import):
        yield from ((alias.name, in_function) for alias in node.names if alias.name in modules())
    inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for child in ast.iter_child_nodes(node):
        yield from _imports_of(child, inside)


def floors() -> dict[str, int]:
    rows = [line.split() for line in FLOORS.strip().splitlines()]
    return {folder: height for height, row in enumerate(rows) for folder in row}


def floors_of_the_page() -> list[set[str]]:
    """The floors as the table of docs/architecture.md has them, from the lowest."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = page.split("## Floors")[1].split("|---|---|\n")[1].split("\n\n")[0].splitlines()
    cells = [row.split("|")[2].partition(":")[0] for row in reversed(rows)]
    return [{place(name) for name in re.findall("`(.+?)`", floor)} for cell in cells for floor in cell.split("<")]


def place(name: str) -> str:
    """The folder or file of FLOORS that the table names by its path, below `pipeline/` or `infra/` perhaps."""
    bare = name.removesuffix("/").removesuffix(".py").replace("/", ".")
    (found,) = {bare, f"pipeline.{bare}", f"infra.{bare}"} & set(floors())
    assert (ROOT / found.replace(".", "/")).is_dir() is name.endswith("/"), name
    return found


def folder_of(module: str) -> str:
    found = [folder for folder in floors() if module == folder or module.startswith(f"{folder}.")]
    assert len(found) == 1, f"{module} has no place among the floors: add its folder to FLOORS"
    return found[0]


def circles() -> list[list[str]]:
    """The strongly connected groups of more than one module (Tarjan)."""
    targets: dict[str, list[str]] = {name: [] for name in modules()}
    for edge in imports():
        targets[edge.importer].append(edge.imported)
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for target in targets[name]:
            if target not in order:
                visit(target)
            if target in stack:
                lowest[name] = min(lowest[name], lowest[target])
        if lowest[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in targets:
        if name not in order:
            visit(name)
    return found


def upward() -> set[tuple[str, str]]:
    height = floors()
    found = set()
    for edge in imports():
        mine, theirs = folder_of(edge.importer), folder_of(edge.imported)
        if mine != theirs and height[theirs] >= height[mine]:
            found.add((edge.importer, edge.imported))
    return found


def test_the_page_has_the_same_floors() -> None:
    assert floors_of_the_page() == [set(line.split()) for line in FLOORS.strip().splitlines()]


def test_no_circle() -> None:
    print(f"\n{len(modules())} modules, {len(imports())} imports, {len(circles())} circles, {len(upward())} upward")
    assert circles() == []


def test_no_import_goes_up_or_sideways() -> None:
    assert {folder_of(name) for name in modules()} <= set(floors())
    assert upward() == set()


def test_only_the_roof_imports_our_modules_inside_functions() -> None:
    inside = [edge for edge in imports() if edge.in_function]
    assert [edge for edge in inside if folder_of(edge.importer) not in ROOF] == []


def test_filters_imports_nothing_of_ours() -> None:
    outside = [edge for edge in imports() if folder_of(edge.importer) == "filters" != folder_of(edge.imported)]
    assert outside == []


def test_only_the_roof_joins_the_trainer_and_the_data() -> None:
    users = {folder_of(edge.importer) for edge in imports() if folder_of(edge.imported) == "trainer"}
    assert users <= {"trainer", *ROOF}


def test_package_files_hold_no_logic() -> None:
    for package in set(PACKAGES) - {"refinery"}:
        for path in (ROOT / package).rglob("__init__.py"):
            body = ast.parse(path.read_text()).body
            assert all(isinstance(node, ast.Import | ast.ImportFrom | ast.Expr | ast.Assign) for node in body), path
