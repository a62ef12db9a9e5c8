"""`evaluate --grid`, `--rejects` and `--choices` from paths to answers, which may be kept in a folder too."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from infra.hashing import readable_json
from infra.storage import disk_errors, write_bytes
from pipeline.inputs.places import Where
from pipeline.metric.choices import evaluate_choices
from pipeline.metric.grid import evaluate_grid
from pipeline.metric.grid_file import read_grid
from pipeline.metric.question_file import read_questions
from pipeline.metric.rejects import evaluate_rejects
from pipeline.metric.scorer import ChoiceScorer, PassageScorer
from pipeline.report.grid_picture import grid_drawing

GRID, PICTURE, REJECTS, CHOICES = "grid.json", "grid.svg", "rejects.json", "choices.json"

Say = Callable[[str], None]


def grid_answer(
    scorer: PassageScorer, grid: Path, training: Sequence[str] = (), out: Path | None = None, say: Say | None = None
) -> dict[str, Any]:
    """`evaluate_grid` on the grid of a file or folder; written into the folder `out`, with its picture, if there is
    one."""
    answer = evaluate_grid(scorer, read_grid(grid), training, say)
    _keep(out, {GRID: readable_json(answer), PICTURE: grid_drawing(answer).alone().encode()})
    return answer


def rejects_answer(
    scorer: PassageScorer,
    run: Path,
    per_rule: int,
    source: Where | None = None,
    out: Path | None = None,
    say: Say | None = None,
) -> dict[str, Any]:
    """`evaluate_rejects`; written into the folder `out` if there is one."""
    answer = evaluate_rejects(scorer, run, per_rule, source=source, say=say)
    _keep(out, {REJECTS: readable_json(answer)})
    return answer


def choices_answer(
    scorer: ChoiceScorer, path: Path, shots: int = 0, out: Path | None = None, say: Say | None = None
) -> dict[str, Any]:
    """`evaluate_choices` on the questions of a file; written into the folder `out` if there is one."""
    answer = evaluate_choices(scorer, read_questions(path, shots, say))
    _keep(out, {CHOICES: readable_json(answer)})
    return answer


def _keep(out: Path | None, files: dict[str, bytes]) -> None:
    if out is None:
        return
    with disk_errors(out.parent):
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_bytes(out / name, content)
