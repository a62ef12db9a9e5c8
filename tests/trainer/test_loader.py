"""The order of the documents, packing, and reading token shards."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from tests.trainer.conftest import Document, documents, write_tokens
from trainer.loader import PADDING, START, Batch, Cursor, Loader, epoch_order, evaluation_batches
from trainer.tokens import DocumentTable, TokenDataset


def table(lengths: list[int], repeats: list[int], sources: list[str]) -> DocumentTable:
    n = len(lengths)
    zeros = np.zeros(n, np.int64)
    ids = [f"d{i}" for i in range(n)]
    return DocumentTable(ids, ["x"] * n, sources, zeros, zeros, np.array(lengths), zeros, np.array(repeats))


def read(loader: Loader, batches: int, cursor: Cursor = START, sequences: int = 4) -> tuple[list[Batch], list[Cursor]]:
    got, cursors = [], []
    for _ in range(batches):
        batch, cursor = loader.batch(cursor, sequences)
        got.append(batch)
        cursors.append(cursor)
    return got, cursors


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 4), st.sampled_from("abc")), min_size=1, max_size=40),
    st.integers(0, 9),
)
def test_each_document_comes_exactly_repeats_times(rows: list[tuple[int, int, str]], seed: int) -> None:
    lengths, repeats, sources = map(list, zip(*rows, strict=True))
    if not any(repeats):
        repeats[0] = 1
    documents = table(lengths, repeats, sources)
    order = epoch_order(documents, "m", seed, 0)
    counted = Counter(order.tolist())
    assert [counted[i] for i in range(len(lengths))] == repeats
    assert order.tolist() == epoch_order(documents, "m", seed, 0).tolist()


def test_the_order_depends_on_manifest_seed_and_epoch_alone() -> None:
    documents = table([5] * 50, [1] * 50, ["a", "b"] * 25)
    orders = {epoch_order(documents, *key).tobytes() for key in (("m", 0, 0), ("n", 0, 0), ("m", 1, 0), ("m", 0, 1))}
    assert len(orders) == 4


def test_copies_lie_in_equal_parts_and_sources_run_evenly() -> None:
    documents = table([10] * 100 + [10] * 50, [1] * 100 + [4] * 50, ["web"] * 100 + ["books"] * 50)
    order = epoch_order(documents, "m", 0, 0)
    books = order[order >= 100]
    for part in range(4):
        assert sorted(books[50 * part : 50 * (part + 1)].tolist()) == list(range(100, 150))
    for part in np.array_split(order, 10):
        assert abs(int((part < 100).sum()) - 10) <= 1


def test_an_epoch_trains_on_every_token_exactly_once_by_copy(data: Path) -> None:
    dataset = TokenDataset(data)
    loader = Loader(dataset, seed=3, length=32)
    total = int((dataset.documents.lengths * dataset.documents.repeats).sum())
    batches, cursors = read(loader, -(-total // 128))
    documents = np.concatenate([batch.documents.ravel() for batch in batches])[:total]
    targets = np.concatenate([batch.targets.ravel() for batch in batches])[:total]
    for i in range(len(dataset.documents)):
        length, repeats = int(dataset.documents.lengths[i]), int(dataset.documents.repeats[i])
        mine = targets[documents == i]
        assert mine.tolist() == dataset.tokens(i, 0, length).tolist() * repeats
    assert cursors[-1].epoch == 1
    assert cursors[-2].position == 128 * (len(batches) - 1)


def test_inputs_are_the_tokens_before_targets(data: Path) -> None:
    dataset = TokenDataset(data)
    batches, _ = read(Loader(dataset, seed=3, length=32), 5)
    for batch in batches:
        same = batch.segments[:, 1:] == batch.segments[:, :-1]
        assert (batch.inputs[:, 1:][same] == batch.targets[:, :-1][same]).all()
        assert (batch.inputs[:, 1:][~same] == dataset.ref.eod_id).all()
        assert (batch.targets[:, :-1][~same] == dataset.ref.eod_id).all()
        assert (batch.documents != PADDING).all()


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_take_slices_of_one_global_order(data: Path, world: int) -> None:
    loader = Loader(TokenDataset(data), seed=3, length=32)
    cursor = START
    for _ in range(6):
        whole, after = loader.batch(cursor, 4)
        shares = [loader.batch(cursor, 4, rank, world) for rank in range(world)]
        assert all(share[1] == after for share in shares)
        for name in Batch._fields:
            parts = [getattr(share[0], name) for share in shares]
            assert (np.concatenate(parts) == getattr(whole, name)).all()
        cursor = after


def test_going_on_from_a_cursor_gives_the_same_documents(data: Path) -> None:
    _, cursors = read(Loader(TokenDataset(data), seed=3, length=32), 20)
    straight, _ = read(Loader(TokenDataset(data), seed=3, length=32), 30)
    fields = cursors[19].as_dict()
    resumed, _ = read(Loader(TokenDataset(data), seed=3, length=32), 10, Cursor(fields["epoch"], fields["sources"]))
    assert all((a.documents == b.documents).all() for a, b in zip(straight[20:], resumed, strict=True))


def test_evaluation_reads_every_document_once_and_pads_the_end(data: Path) -> None:
    dataset = TokenDataset(data)
    batches = list(evaluation_batches(dataset, 32, 3))
    documents = np.concatenate([batch.documents.ravel() for batch in batches])
    counts = np.bincount(documents[documents != PADDING])
    assert counts.tolist() == dataset.documents.lengths.tolist()
    assert 0 <= int((documents == PADDING).sum()) < 32


def test_documents_of_repeats_zero_are_not_trained_on(tmp_path: Path, tokenizer: bytes) -> None:
    rows = [Document("never seen", repeats=0), Document("seen")]
    loader = Loader(TokenDataset(write_tokens(tmp_path / "a", rows, tokenizer)), 0, 8)
    assert set(np.concatenate([batch.documents.ravel() for batch in read(loader, 5)[0]]).tolist()) == {1}
    nothing = TokenDataset(write_tokens(tmp_path / "b", rows[:1], tokenizer))
    with pytest.raises(UsageError, match="repeats 0"):
        Loader(nothing, 0, 8).batch(START, 1)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("part-00000.idx", lambda whole: b"X" + whole[1:], "is not a Megatron"),
        ("part-00001.bin", lambda whole: whole[:-2], "has .* damaged"),
        ("part-00000.idx", lambda whole: whole[:-5], "is cut short"),
        ("tokenizer.model", lambda whole: b"another", "is not the tokenizer"),
        ("documents.parquet", None, "is missing"),
        ("documents.parquet", lambda whole: b"PAR1 not really PAR1", "cannot be read"),
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
        assert TokenDataset(path.parent).tokenizer
