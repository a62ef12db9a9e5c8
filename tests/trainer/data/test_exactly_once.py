"""Each document exactly `repeats` times in an epoch of its source, across everything that may change in a run."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.data.made import EOD, Made, write_made
from trainer.data.cursor import START, Cursor
from trainer.data.loader import Loader
from trainer.data.mixture import MixtureSchedule, MixtureStage
from trainer.data.tokens import TokenDataset

L, BATCH = 7, 8
# Worlds of a run, which all divide its batch: together 1 to 8.
WORLDS = ((1, 2, 4, 8), (1, 2, 3, 6), (3, 4, 6), (1, 5), (1, 7))

SOURCES = {
    "web": [Made(f"w{i}", "web", 1 + (5 * i) % 11, 1 + i % 3) for i in range(13)],
    "books": [Made(f"b{i}", "books", 3 + i, 1) for i in range(9)],
    "code": [Made(f"c{i}", "code", 2 + i % 4, i % 3) for i in range(8)],
    "old": [Made(f"o{i}", "old", 4, 2) for i in range(5)],
}
EPOCHS = {name: sum(made.length * made.repeats for made in rows) for name, rows in SOURCES.items()}
# Datasets that share sources: in other places, in another order of shards, with others beside them.
DATASETS = (("web", "books", "code"), ("books", "old", "web"), ("code", "web", "books", "old"))
WEIGHTS = st.fixed_dictionaries({"web": st.integers(1, 5), "books": st.integers(1, 5)})


def rows_of(names: Sequence[str]) -> list[Made]:
    return [made for name in names for made in SOURCES[name]]


@dataclass
class Trained:
    """What a run was trained on: of each source its tokens, as (document, place in it), in their order."""

    tokens: dict[str, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, rows: Sequence[Made], documents: Sequence[int], targets: Sequence[int]) -> None:
        for row, target in zip(documents, targets, strict=True):
            made = rows[row]
            self.tokens[made.source].append((made.id, made.length - 1 if target == EOD else target - 3))

    def check(self) -> None:
        for name, tokens in self.tokens.items():
            expected = Counter({(made.id, i): made.repeats for made in SOURCES[name] for i in range(made.length)})
            expected = +expected
            for first in range(0, len(tokens), EPOCHS[name]):
                epoch = Counter(tokens[first : first + EPOCHS[name]])
                assert epoch <= expected
                assert epoch == expected or first + EPOCHS[name] > len(tokens)


def go_on(folder: Path, names: Sequence[str], seed: int, mixture: tuple[MixtureStage, ...], steps: int, world: int,
          size: int, cursor: Cursor, trained: Trained) -> Cursor:  # fmt: skip
    """Some steps of a process that starts anew: it has the cursor's JSON and nothing else."""
    dataset = TokenDataset(folder)
    loaders = [
        Loader(dataset, seed, L, MixtureSchedule(mixture, dataset.documents, size, cursor.sequences // size))
        for _ in range(world)
    ]
    rows = rows_of(names)
    cursor = Cursor.from_dict(json.loads(json.dumps(cursor.as_dict())))
    for _ in range(steps):
        shares = [loader.batch(cursor, size, rank, world) for rank, loader in enumerate(loaders)]
        assert len({json.dumps(after.as_dict()) for _, after in shares}) == 1
        for batch, _ in shares:
            trained.add(rows, batch.documents.ravel().tolist(), batch.targets.ravel().tolist())
        cursor = shares[0][1]
    return cursor


@settings(max_examples=40, deadline=None)
@given(
    worlds=st.sampled_from(WORLDS).flatmap(lambda worlds: st.lists(st.sampled_from(worlds), min_size=3, max_size=6)),
    steps=st.lists(st.integers(1, 9), min_size=6, max_size=6),
    seeds=st.lists(st.integers(0, 2), min_size=6, max_size=6),
    datasets=st.lists(st.sampled_from(range(len(DATASETS))), min_size=6, max_size=6),
    changes=st.tuples(st.integers(1, 12), st.integers(13, 30)),
    weights=st.tuples(WEIGHTS, WEIGHTS),
)
def test_exactly_once(
    worlds: list[int],
    steps: list[int],
    seeds: list[int],
    datasets: list[int],
    changes: tuple[int, int],
    weights: tuple[dict[str, int], dict[str, int]],
) -> None:
    """Resumes at random steps with another number of ranks, two changes of weights at random steps, and changes of the
    seed and of the dataset in the middle of epochs."""
    mixture = tuple(MixtureStage(step, {name: float(w) for name, w in each.items()})
                    for step, each in zip(changes, weights, strict=True))  # fmt: skip
    trained, cursor, size = Trained(), START, math.lcm(*worlds)
    with TemporaryDirectory() as folder:
        for i, names in enumerate(DATASETS):
            write_made(Path(folder) / str(i), rows_of(names), 1 + i)
        for world, count, seed, i in zip(worlds, steps, seeds, datasets, strict=False):
            cursor = go_on(Path(folder) / str(i), DATASETS[i], seed, mixture, count, world, size, cursor, trained)
    trained.check()
    assert sum(map(len, trained.tokens.values())) == cursor.sequences * L
    for at in cursor.sources.values():
        assert at.epoch * EPOCHS[at.name] + at.tokens == len(trained.tokens[at.name])


@settings(max_examples=15, deadline=None)
@given(
    world=st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8]),
    cuts=st.sets(st.integers(1, 11), max_size=4),
    seed=st.integers(0, 9),
)
def test_world_sizes_1_to_8_train_on_the_same_sequences(world: int, cuts: set[int], seed: int) -> None:
    with TemporaryDirectory() as folder:
        dataset = TokenDataset(write_made(Path(folder) / "d", rows_of(DATASETS[0])))
        straight, cursor, expected = Loader(dataset, seed, L), START, []
        for _ in range(12):
            batch, cursor = straight.batch(cursor, 840)
            expected.append(batch.documents)
        again, loaders = START, [Loader(dataset, seed, L) for _ in range(world)]
        for step in range(12):
            if step in cuts:
                loaders = [Loader(dataset, seed, L) for _ in range(world)]
                again = Cursor.from_dict(json.loads(json.dumps(again.as_dict())))
            shares = [loader.batch(again, 840, rank, world) for rank, loader in enumerate(loaders)]
            parts = [row for batch, _ in shares for row in batch.documents.tolist()]
            assert parts == expected[step].tolist()
            again = shares[0][1]
        assert again == cursor


def test_another_seed_is_another_order_of_the_rest_of_the_epoch(tmp_path: Path) -> None:
    dataset = TokenDataset(write_made(tmp_path / "d", rows_of(["web", "books"])))
    _, cursor = Loader(dataset, 1, L).batch(START, BATCH)
    one, other = (Loader(dataset, seed, L).batch(cursor, BATCH)[0].documents.tolist() for seed in (1, 2))
    assert one != other
