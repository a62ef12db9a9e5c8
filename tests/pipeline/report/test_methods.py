"""The report of methods: trunk and branches with verdicts, forecasts with outcomes, the grid, the budget map."""

import json
import re
from html import unescape
from pathlib import Path

import pytest

from infra.errors import UsageError
from pipeline.report.report import write_report
from tests.pipeline.report.methods import LONG, TRUNK, write_branches, write_forecasts, write_methods


def page_of(folder: Path, out: Path) -> str:
    write_report([folder], out)
    return unescape(out.read_text("utf-8"))


def section(page: str, key: str) -> str:
    found = re.search(rf'<section aria-labelledby="{key}">.*?</section>', page, re.DOTALL)
    assert found, f"no section {key}"
    return found[0]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("methods")
    write_methods(folder / "made")
    return page_of(folder / "made", folder / "report.html")


def test_the_trunk_is_a_tree_with_a_verdict_for_each_branch(page: str) -> None:
    tree = section(page, "branches")
    assert f"trunk {TRUNK[:12]} at step 360" in tree
    for words in ("2.4500 · better", "2.5020 · undecided", "2.5400 · worse", "2.5000 · the control"):
        assert words in tree
    assert "decay.hold = 20" in tree and "merge = mean" in tree
    assert "-0.0500 (-0.0600 to -0.0400)" in tree and "1,234,567" in tree
    assert "the comparison cost 1.40 runs in place of 5." in tree and "rank correlation 0.50, the same best" in tree


def test_forecasts_stand_beside_what_was_measured(page: str) -> None:
    found = section(page, "forecasts")
    assert "4.5000 (4.4000 to 4.6000)" in found and "4.5200" in found
    assert "no, alarm" in found
    assert "off by 0.1600 nats on average over 2 evaluations, 50.0 % in their bands, 1 alarms." in found.replace(
        "\u00a0", " "
    )
    assert "step 150 is forecast and not run yet" in found


def test_the_grid_and_the_budget_map_are_there(page: str) -> None:
    grid, plan = section(page, "grid"), section(page, "budget")
    assert "IQ 2.800 bits per byte, the mean of 2 distributions" in grid and "R2 0.97" in grid
    assert "plan-data-small: How strict: strict." in plan
    assert "2.5000 (2.4000 to 2.6000)" in plan and "tokens, as a power of ten" in plan
    assert plan.count('style="opacity:.15"') == 3


def test_branches_that_are_not_compared_are_a_tree_without_verdicts(tmp_path: Path) -> None:
    write_branches(tmp_path / "made")
    (tmp_path / "made/branch-comparison.json").unlink()
    tree = section(page_of(tmp_path / "made", tmp_path / "r.html"), "branches")
    assert LONG[:20] in tree and "better" not in tree and "Verdicts<" not in tree


def test_branches_that_were_made_one_by_one_are_put_together_by_their_trunk(tmp_path: Path) -> None:
    for name in ("control", "short"):
        write_forecasts(tmp_path / "made" / name)
        body = {"trunk": TRUNK, "overrides": {"window": 8} if name == "short" else {}}
        (tmp_path / "made" / name / "branch.json").write_text(json.dumps(body))
    tree = section(page_of(tmp_path / "made", tmp_path / "r.html"), "branches")
    assert tree.count("<svg") == 1 and "window = 8" in tree


@pytest.mark.parametrize("name", ["branches/branch-comparison.json", "branches/branches.json", "metric/grid.json",
                                  "plan-data-small.json"])  # fmt: skip
@pytest.mark.parametrize("content", ["{}", "[]", '{"branches": [], "cells": 3, "pools": [{}]}'])
def test_a_file_of_another_program_is_told_in_a_line(name: str, content: str, tmp_path: Path) -> None:
    write_methods(tmp_path / "made")
    (tmp_path / "made" / name).write_text(content)
    with pytest.raises(UsageError, match=Path(name).name):
        write_report([tmp_path / "made"], tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
