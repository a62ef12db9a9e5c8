"""fastText classifiers, trained so that the same pairs in the same order give the same bytes."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.storage import commit_file
from pipeline.models.fasttext import LABEL


def train_fasttext(labelled: Sequence[tuple[str, str]], out: Path, **options: Any) -> None:
    """Train a classifier on (label, one line of text) pairs, one thread, and commit it to `out`.

    The same pairs in the same order give the same bytes. `options`: fastText's own words (dim, epoch, ...).
    """
    import fasttext

    with tempfile.TemporaryDirectory(prefix=".tmp-fasttext-", dir=out.parent) as scratch:
        lines = Path(scratch) / "lines.txt"
        with lines.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{LABEL}{label} {text}\n" for label, text in labelled)
        model = fasttext.train_supervised(
            str(lines), label=LABEL, thread=1, seed=1, verbose=0, **{"minn": 0, "maxn": 0, **options}
        )
        made = Path(scratch) / "model.bin"
        model.save_model(str(made))
        commit_file(made, out)
