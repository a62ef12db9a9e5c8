"""`refinery fit importance`: a table of the log ratios of words and pairs of words between target texts and the pool,
for RedPajama-V2's importance weights (filters/importance.py)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filters.importance import Importance
from filters.redpajama import IMPORTANCE_TARGETS
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import write_bytes
from pipeline.fit.texts import auc, counted, origin, read_samples, split, write_card
from pipeline.models.redpajama import load_importance

# Logarithms are rounded to so many digits, so that they do not depend on the CPU.
DIGITS = 8


def fit_importance(positive: Sequence[Path], negative: Sequence[Path], out: Path) -> dict[str, Any]:
    """Fits on nine groups in ten, writes `out` and its card, and returns the card. Raises UsageError for a file name
    without a signal, or texts without words."""
    if out.suffix != ".json" or out.stem not in IMPORTANCE_TARGETS:
        names = ", ".join(f"{target}.json" for target in IMPORTANCE_TARGETS)
        raise UsageError(f"--out must end in one of {names}, not {out.name}: each is the table of its signal")
    sides = [read_samples(paths) for paths in (positive, negative)]
    parts = [split(side) for side in sides]
    learned = [[sample.text for sample in training or side] for (training, _), side in zip(parts, sides)]
    try:
        table = Importance.fit(learned[0], learned[1])
    except ValueError as error:
        raise UsageError(f"{error}: give files with documents") from None
    content = {
        "log_ratio": [round(value, DIGITS) for value in table.log_ratio.tolist()],
        "target_length": table.target_length,
        "source_length": table.source_length,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, readable_json(content))
    weight = load_importance(out).weight
    made_from, command = origin("importance", out, positive=positive, negative=negative)
    texts = [[sample.text for sample in held_out] for _, held_out in parts]
    return write_card(
        out,
        "importance: log p(text | positives) - log p(text | negatives) under two bags of words and pairs of words",
        command,
        made_from,
        positive=counted(sides[0]),
        negative=counted(sides[1]),
        held_out={
            "auc": round(auc(*([weight(text) or 0.0 for text in side] for side in texts)), 4),
            "auc_of_length_alone": round(auc(*([len(text) for text in side] for side in texts)), 4),
        },
    )
