"""Of true pairs in the crowded buckets of one template at most 1 % stay with both sides, whatever the order of rows."""

import random
from pathlib import Path

import numpy as np
import pytest

from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from pipeline.index.add import add
from pipeline.index.groups import make_groups
from tests.dedup.support import of_one_template
from tests.pipeline.datasets import make_dataset
from tests.pipeline.index.snapshots import page
from tests.pipeline.stages.test_near_copies import similar_pairs


def kept_of(folder: Path, snapshots: list[list[tuple[int, str]]], cuts: tuple[int, ...], workers: int) -> set[int]:
    """The numbers of the documents that are kept of snapshots that are added one after the other."""
    kept: set[int] = set()
    for number, texts in enumerate(snapshots):
        rows = [page(number, ident, text) for ident, text in texts]
        made = make_dataset(folder / f"snapshot-{number}", "filter", rows, [], cuts=cuts)
        with LocalEngine(workers) as engine:
            add(folder / "index", made, engine, str(number), out=folder / f"out-{number}")
        names = Dataset(folder / f"out-{number}").to_arrow(["id"])["id"].to_pylist()
        kept |= {int(name.rstrip(">").split("-")[1]) for name in names}
    return kept


@pytest.mark.parametrize(
    ("count", "words", "edits", "twin_edits"),
    [
        (300, 120, 2, 2),
        pytest.param(1500, 300, 5, 1, marks=pytest.mark.long),
        pytest.param(2000, 300, 4, 5, marks=pytest.mark.long),
    ],
)
def test_of_a_template_few_similar_pairs_are_left(
    count: int, words: int, edits: int, twin_edits: int, tmp_path: Path
) -> None:
    pages, twins = of_one_template(count, words, edits, twin_edits)
    first, second = list(enumerate(pages)), list(enumerate(twins, count))
    kept = kept_of(tmp_path, [first, second], (), 1)
    a, b = similar_pairs([(str(number), text) for number, text in [*first, *second]], 0.8)
    stays = np.isin(np.arange(2 * count), [*kept])
    both = int((stays[a] & stays[b]).sum())
    print(f"{both} of {a.size} pairs stay")
    assert a.size > count // 2 and 0 < stays.sum() < 2 * count
    assert both <= 0.01 * a.size


@pytest.mark.long
def test_rounds_do_not_depend_on_the_order_of_rows_or_on_workers(tmp_path: Path) -> None:
    pages, twins = of_one_template(60, 80, 1, 2)
    snapshots = [list(enumerate(pages)), list(enumerate(twins, 60))]
    shuffled = [random.Random(1).sample(each, len(each)) for each in snapshots]
    kept = kept_of(tmp_path / "one", snapshots, (), 1)
    assert kept_of(tmp_path / "other", shuffled, (7, 30), 2) == kept and len(kept) < 120


@pytest.mark.parametrize(
    ("count", "words", "edits", "twin_edits"),
    [(100, 120, 2, 2), pytest.param(300, 120, 2, 2, marks=pytest.mark.long)],
)
def test_of_a_template_similar_pairs_are_in_one_group(
    count: int, words: int, edits: int, twin_edits: int, tmp_path: Path
) -> None:
    pages, twins = of_one_template(count, words, edits, twin_edits)
    rows = [page(0, ident, text) for ident, text in enumerate([*pages, *twins])]
    with LocalEngine(1) as engine:
        index = add(tmp_path / "index", make_dataset(tmp_path / "all", "filter", rows, []), engine, "all").index
        found = make_groups(index, tmp_path / "groups", engine).to_arrow(["group", "id"])
    group = {int(name.rstrip(">").split("-")[1]): of for of, name in zip(*found.to_pydict().values(), strict=True)}
    a, b = similar_pairs([(str(number), text) for number, text in enumerate([*pages, *twins])], 0.8)
    apart = sum(group.get(one) is None or group[one] != group.get(other) for one, other in zip(a.tolist(), b.tolist()))
    print(f"{apart} of {a.size} pairs are in different groups")
    assert a.size > count // 2 and len(set(group.values())) > 1
    assert apart <= 0.01 * a.size
