"""The benchmark of distributions: what is held out, the configurations, and the comparison of two mixes."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmarks.distributions import compared, configuration, grid_of, make_texts, read_held_out
from benchmarks.shared import read_rows
from infra.errors import UsageError
from pipeline.metric.grid_file import read_grid
from tests.files import write_rows
from trainer.config import Config

SOURCES = ("iq_en/physics", "eq_zh/poems", "code/functions")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    for source in SOURCES:
        rows = [{"id": f"{source}-{n}", "text": f"{source} number {n}"} for n in range(200)]
        write_rows(tmp_path / "texts" / f"{source}.jsonl.gz", rows)
    (tmp_path / "held-out.txt").write_text("poems\nphysics 0.1\n")
    return tmp_path


def test_every_document_is_trained_on_or_held_out(texts: Path) -> None:
    out = texts / "made"
    make_texts(texts / "texts", read_held_out(texts / "held-out.txt"), 1000, out)
    for source in SOURCES:
        name = source.partition("/")[2]
        kept, held = out / "train" / f"{source}.jsonl.gz", out / "held-out" / f"{name}.jsonl.gz"
        sides = [[row["text"] for row in read_rows(each)] if each.exists() else [] for each in (kept, held)]
        assert sorted(sides[0] + sides[1]) == sorted(f"{source} number {n}" for n in range(200))
        assert len(sides[1]) == {"poems": 200, "functions": 0}.get(name, len(sides[1]))
        assert name != "physics" or 5 < len(sides[1]) < 40
    assert read_grid(out / "grid.toml").document_bytes == 250
    cells = {cell.name: cell for cell in read_grid(out / "grid.toml").cells}
    assert {name: cell.axis for name, cell in cells.items()} == {"physics": "IQ", "poems": "EQ"}
    row = next(read_rows(out / "train" / "code" / "functions.jsonl.gz"))
    assert (row["source"], row["language"]) == ("functions", "en")


def test_a_name_of_no_file_is_told(texts: Path) -> None:
    with pytest.raises(UsageError, match=r"'gone', and no file of --texts is called gone\.jsonl\.gz"):
        make_texts(texts / "texts", {"gone": 1.0}, 1000, texts / "made")
    (texts / "bad.txt").write_text("physics much\n")
    with pytest.raises(UsageError, match="cannot be read as names of sources"):
        read_held_out(texts / "bad.txt")


def test_a_configuration_has_the_steps(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(configuration(600))
    config = Config.read(tmp_path / "model.toml")
    assert (config.schedule.trunk_steps, config.schedule.decay_steps) == (546, 54)
    assert tomllib.loads(configuration(600))["model"]["n_experts"] == 80


def grid(factor: float, marked: tuple[str, ...]) -> dict[str, Any]:
    rows = {f"cell-{n}": {"bits_per_byte": 1 + factor * n, "cross_entropy": 2 + 2 * factor * n} for n in range(8)}
    return {"cells": rows, "marked": list(marked)}


def test_two_mixes_are_compared_on_what_neither_has() -> None:
    found = compared(grid(0.3, ("cell-1",)), grid(0.1, ("cell-2",)))
    assert sorted(found["cells"]) == ["cell-0", *(f"cell-{n}" for n in range(3, 8))]
    assert found["cells"]["cell-5"] == pytest.approx({"bits_per_byte": 1.0, "cross_entropy": 2.0})
    slope = found["relation"]["coefficients"]["cross_entropy"]
    assert slope["value"] == pytest.approx(0.5) and found["relation"]["r2"] == pytest.approx(1.0)


def test_what_is_made_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / "all" / "metric").mkdir(parents=True)
    (tmp_path / "all" / "metric" / "grid.json").write_text('{"cells": {}}')
    assert grid_of("all", [], type("Args", (), {"out": tmp_path, "steps": 100})()) == {"cells": {}}
