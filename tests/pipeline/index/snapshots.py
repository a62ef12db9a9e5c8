"""Five small snapshots with overlaps, as datasets: copies, copies in capitals, and copies with some other words."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.dataset.reader import Dataset
from tests.dedup.support import edited, english
from tests.pipeline.datasets import make_dataset

SHARED = 24


def page(snapshot: int, number: int, text: str, **more: Any) -> dict[str, Any]:
    return {
        "text": text, "id": f"<urn:{snapshot}-{number}>", "url": f"https://h{number % 7}.example/{snapshot}/{number}",
        "dump": f"CC-{snapshot}", "file_path": f"{snapshot}.warc.gz", "warc_offset": number, "language": "en",
        "token_count": len(text.split()), "copies": 1, "snapshots": 1, "signals": {"words": 1.0}, **more,
    }  # fmt: skip


def texts_of(snapshot: int, size: int = 36) -> list[str]:
    """Half of them are of pages that other snapshots have too; some of these with one to nine words in 100 changed."""
    draw = random.Random(snapshot)
    found = []
    for number in range(size):
        shared, kind = draw.randrange(SHARED), draw.random()
        words = english(shared, 100)
        if kind < 0.1:
            words = [word.upper() for word in words]
        elif kind < 0.3:
            words = edited(words, draw.randint(1, 9) / 100, draw.randrange(1000), str)
        elif kind > 0.55:
            words = english(1000 * (snapshot + 1) + number, 100)
        found.append(" ".join(words))
    return found


def snapshot(folder: Path, number: int, texts: Sequence[str] | None = None, cuts: Sequence[int] = (12, 20)) -> Dataset:
    rows = [page(number, n, text) for n, text in enumerate(texts_of(number) if texts is None else texts)]
    return make_dataset(folder / f"snapshot-{number}", "filter", rows, [], cuts=cuts)
