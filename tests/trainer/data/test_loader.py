"""Batches: packing, ranks, going on from a cursor, and damage to what is read."""

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from infra.errors import UsageError
from tests.trainer.conftest import documents, write_tokens
from tests.trainer.data.made import EOD, Made, tokens_of, write_made
from trainer.data.cursor import START, Cursor
from trainer.data.documents import read_documents
from trainer.data.loader import Loader, evaluation_batches
from trainer.data.pack import PADDING, Batch
from trainer.data.tokens import TokenDataset

L = 16


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> TokenDataset:
    domains = ["science", "code", "general"]
    made = [
        Made(f"d{i}", "web" if i % 3 else "books", 1 + (7 * i) % 40, 1 + (i % 5 == 0), domains[i % 3])
        for i in range(60)
    ]
    return TokenDataset(write_made(tmp_path_factory.mktemp("loader") / "d", made, 3))


def read(loader: Loader, batches: int, cursor: Cursor = START, sequences: int = 4) -> tuple[list[Batch], list[Cursor]]:
    got, cursors = [], []
    for _ in range(batches):
        batch, cursor = loader.batch(cursor, sequences)
        got.append(batch)
        cursors.append(cursor)
    return got, cursors


def test_each_sequence_is_of_one_source_and_goes_on_where_its_last_one_ended(dataset: TokenDataset) -> None:
    table = dataset.documents
    batches, _ = read(Loader(dataset, 3, L), 40)
    rows = np.concatenate([batch.documents for batch in batches])
    targets = np.concatenate([batch.targets for batch in batches])
    sources = table.source_codes[rows]
    assert (sources == sources[:, :1]).all() and set(sources[:, 0].tolist()) == {0, 1}
    for code in (0, 1):
        stream, tokens = rows[sources[:, 0] == code].ravel(), targets[sources[:, 0] == code].ravel()
        ends = np.flatnonzero(tokens == EOD)
        for first, last in zip([0, *(ends[:-1] + 1).tolist()], ends.tolist(), strict=True):
            (document,) = set(stream[first : last + 1].tolist())
            assert tokens[first : last + 1].tolist() == tokens_of(int(table.lengths[document])).tolist()


def test_inputs_are_the_tokens_before_targets(dataset: TokenDataset) -> None:
    batches, _ = read(Loader(dataset, 3, L), 20)
    for batch in batches:
        assert (batch.segments[:, 0] == 0).all()
        same = batch.segments[:, 1:] == batch.segments[:, :-1]
        assert (batch.inputs[:, 1:][same] == batch.targets[:, :-1][same]).all()
        assert (batch.inputs[:, 1:][~same] == EOD).all()
        assert (batch.targets[:, :-1][~same] == EOD).all()
        assert (np.diff(batch.segments, axis=1)[~same] == 1).all()
        # A first input of a document that was cut is the token before: tokens count up from 3.
        cut = (batch.targets[:, 0] > 3) & (batch.targets[:, 0] != EOD)
        assert (batch.inputs[:, 0][cut] == batch.targets[:, 0][cut] - 1).all()
        assert (batch.inputs[:, 0][batch.targets[:, 0] == 3] == EOD).all()
        codes = dataset.documents.domain_codes[batch.documents]
        assert (batch.domains == codes).all() and batch.domains.dtype == np.int16


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_ranks_take_slices_of_one_global_order(dataset: TokenDataset, world: int) -> None:
    cursor = START
    loader = Loader(dataset, 3, L)
    for _ in range(6):
        whole, after = loader.batch(cursor, 8)
        shares = [Loader(dataset, 3, L).batch(cursor, 8, rank, world) for rank in range(world)]
        assert all(share[1] == after for share in shares)
        for name in Batch._fields:
            parts = [getattr(share[0], name) for share in shares]
            assert (np.concatenate(parts) == getattr(whole, name)).all()
        cursor = after


def test_going_on_from_a_cursor_gives_the_same_batches(dataset: TokenDataset) -> None:
    straight, cursors = read(Loader(dataset, 3, L), 60)
    for at in (0, 7, 41):
        resumed, _ = read(Loader(dataset, 3, L), 5, Cursor.from_dict(cursors[at].as_dict()))
        for one, other in zip(straight[at + 1 :], resumed, strict=False):
            assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_a_cursor_is_not_larger_for_more_documents_or_steps(dataset: TokenDataset) -> None:
    _, cursors = read(Loader(dataset, 3, L), 200)
    assert {len(cursor.sources) for cursor in cursors[20:]} == {2}
    assert all(len(at.turns) == 1 for at in cursors[-1].sources.values())


def test_evaluation_reads_every_document_once_and_pads_the_end(dataset: TokenDataset) -> None:
    batches = list(evaluation_batches(dataset, L, 3))
    rows = np.concatenate([batch.documents.ravel() for batch in batches])
    targets = np.concatenate([batch.targets.ravel() for batch in batches])
    real = rows != PADDING
    table = dataset.documents
    expected = np.concatenate([tokens_of(int(length)) for length in table.lengths])
    assert targets[real].tolist() == expected.tolist()
    assert rows[real].tolist() == np.repeat(np.arange(len(table)), table.lengths).tolist()
    assert 0 < int((~real).sum()) < L
    last = batches[-1]
    assert (last.domains[last.documents == PADDING] == PADDING).all()
    padding = last.segments[-1][last.documents[-1] == PADDING]
    assert set(padding.tolist()) == {int(last.segments[-1][last.documents[-1] != PADDING].max()) + 1}


@pytest.mark.parametrize("length", [1, 3, 500])
def test_any_length_of_sequence(dataset: TokenDataset, length: int) -> None:
    """Shorter than a document, and longer than an epoch of a source."""
    loader = Loader(dataset, 3, length)
    batch, cursor = loader.batch(START, 4)
    assert batch.targets.shape == (4, length) and (batch.documents >= 0).all()
    assert sum(at.tokens + at.epoch * dataset.documents.source(at.name).tokens  # type: ignore[union-attr]
               for at in cursor.sources.values()) == 4 * length  # fmt: skip


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("part-00001.bin", lambda whole: whole[:-2], "has .* damaged"),
        ("part-00001.bin", None, "cannot be read"),
        ("part-00001.bin", lambda whole: whole[4:6] + whole[2:], "is not the file that the manifest names"),
        ("tokenizer.model", lambda whole: b"another", "is not the file that the manifest names"),
        ("documents.arrow", None, "is missing: the dataset is of an earlier version"),
        ("documents.arrow", lambda whole: b"ARROW1 not really", "is not the file that the manifest names"),
        ("documents.arrow", lambda whole: whole[: len(whole) // 2], "is not the file that the manifest names"),
        (
            "manifest.json",
            lambda whole: whole.replace(b'"kind": "tokens"', b'"kind": "documents"'),
            "refinery tokenize",
        ),
    ],
)
def test_damage_is_named(
    tmp_path: Path, tokenizer: bytes, name: str, damage: Callable[[bytes], bytes] | None, message: str
) -> None:
    path = write_tokens(tmp_path / "data", documents(count=6), tokenizer) / name
    if damage:
        path.write_bytes(damage(path.read_bytes()))
    else:
        path.unlink()
    with pytest.raises(UsageError, match=message if name == "manifest.json" else f"{name} {message}"):
        dataset = TokenDataset(path.parent)
        assert dataset.tokenizer and list(evaluation_batches(dataset, 32, 4))


def test_more_shards_than_a_process_may_have_files_open(tmp_path: Path) -> None:
    """By default 1,024."""
    folder = write_made(tmp_path / "d", [Made(str(i), "web", 9) for i in range(120)], 120)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, limit[1]))
    try:
        batches = list(evaluation_batches(TokenDataset(folder), 27, 4))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert sum(int((batch.documents != PADDING).sum()) for batch in batches) == 120 * 9


def test_a_token_outside_the_vocabulary_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in shards that are too large to be compared with their hashes."""
    monkeypatch.setattr("trainer.data.tokens.MOST_HASHED", 10)
    path = write_made(tmp_path / "d", [Made("a", "web", 30)]) / "part-00000.bin"
    content = np.frombuffer(path.read_bytes(), np.uint16).copy()
    content[4] = 60_000
    path.write_bytes(content.tobytes())
    with pytest.raises(UsageError, match="outside its vocabulary"):
        Loader(TokenDataset(path.parent), 0, 8).batch(START, 3)


def test_a_table_that_points_outside_a_shard_is_damage(tmp_path: Path) -> None:
    """Tables of one dataset beside the shards of another."""
    folder = write_made(tmp_path / "a", [Made(str(i), "web", 30) for i in range(9)])
    other = write_made(tmp_path / "b", [Made(str(i), "web", 90) for i in range(9)])
    dataset = TokenDataset(folder)
    dataset.documents = read_documents(other / "documents.arrow")
    with pytest.raises(UsageError, match="contradicts itself"):
        Loader(dataset, 0, 8).batch(START, 40)
    (other / "documents.arrow").replace(folder / "documents.arrow")
    with pytest.raises(UsageError, match="not the file that the manifest names"):
        TokenDataset(folder)
