"""The order of a source: each copy once, spread evenly, of nothing but the source, the seed and the epoch."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.data.made import Made, write_made
from trainer.data.cursor import SourceCursor, Turn
from trainer.data.documents import DocumentSource, DocumentTable, RepeatClass
from trainer.data.order import Permutation, SourceOrder, SourceStream
from trainer.data.tokens import TokenDataset

FRESH = (Turn(0, 0, 7),)


def source_of(classes: dict[int, int]) -> DocumentSource:
    """{repeats: documents}"""
    made, first = [], 0
    for repeats, documents in sorted(classes.items()):
        made.append(RepeatClass(repeats, documents, first))
        first += documents
    return DocumentSource("web", "hash", first, sum(r * n for r, n in classes.items()), tuple(made))


def whole(order: SourceOrder) -> list[int]:
    found: list[int] = order.numbers(np.arange(order.slots)).tolist()
    return found


@given(st.integers(1, 3000), st.integers(0, 2**32))
def test_a_permutation_is_a_bijection_and_its_inverse_undoes_it(size: int, key: int) -> None:
    permutation, values = Permutation(size, str(key)), np.arange(size)
    images = permutation(values)
    assert sorted(images.tolist()) == values.tolist()
    assert (permutation.inverse(images) == values).all()


def test_permutations_by_many_keys_are_uniform() -> None:
    """Pearson's chi-square over where each value goes, over its degrees of freedom; its standard deviation is .02."""
    size, keys = 64, 3000
    counts = np.zeros((size, size))
    for key in range(keys):
        counts[np.arange(size), Permutation(size, str(key))(np.arange(size))] += 1
    expected = keys / size
    assert ((counts - expected) ** 2 / expected).sum() / (size - 1) ** 2 == pytest.approx(1, abs=0.1)


def test_a_permutation_of_64_bit_numbers() -> None:
    permutation, values = Permutation(2**33 + 5, "x"), np.arange(2**33 - 1000, 2**33 + 5)
    images = permutation(values)
    assert images.max() <= 2**33 + 4 and len(set(images.tolist())) == len(values)
    assert (permutation.inverse(images) == values).all()


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.integers(0, 5), st.integers(1, 40), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3)), max_size=3),
    st.integers(0, 3),
)
def test_every_copy_has_one_slot_also_after_changes_of_the_seed(
    classes: dict[int, int], changes: list[tuple[int, int]], epoch: int
) -> None:
    source = source_of(classes | {1: 3})
    slots = sum(each.repeats * each.documents for each in source.classes)
    turns = FRESH + tuple(Turn(min(slot, slots), 0, seed) for slot, seed in sorted(changes))
    order = SourceOrder(source, epoch, turns)
    numbers = whole(order)
    repeats = [each.repeats for each in source.classes for _ in range(each.documents)]
    assert Counter(numbers) == Counter({number: r for number, r in enumerate(repeats) if r})
    assert order.slots == slots == len(numbers)
    for number in range(source.documents):
        assert order.slots_of(number).tolist() == [slot for slot, each in enumerate(numbers) if each == number]
    for k, turn in enumerate(turns[1:], 1):
        before, after = (whole(SourceOrder(source, epoch, turns[:n])) for n in (k, k + 1))
        assert before[: turn.slot] == after[: turn.slot]


def test_copies_are_equally_far_apart_and_classes_evenly_spread() -> None:
    numbers = np.array(whole(SourceOrder(source_of({1: 300, 4: 50}), 0, FRESH)))
    repeated = numbers[numbers >= 300]
    for part in np.array_split(repeated, 4):
        assert sorted(part.tolist()) == list(range(300, 350))
    for part in np.array_split(numbers, 10):
        assert abs(int((part < 300).sum()) - 30) <= 1


def test_the_order_is_another_with_another_source_seed_or_epoch() -> None:
    source = source_of({1: 50})
    other = DocumentSource("web", "other", 50, 50, source.classes)
    orders = {
        tuple(whole(SourceOrder(*of)))
        for of in [(source, 0, FRESH), (other, 0, FRESH), (source, 1, FRESH), (source, 0, (Turn(0, 0, 8),))]
    }
    assert len(orders) == 4


def documents_in_order(table: DocumentTable, name: str, ids: list[str]) -> list[str]:
    source = table.source(name)
    assert source is not None
    order = SourceOrder(source, 0, FRESH)
    return [ids[row] for row in order.documents(table, np.arange(order.slots)).tolist()]


def test_a_source_has_one_order_in_every_dataset(tmp_path: Path) -> None:
    web = [Made(f"w{i}", "web", 3 + i % 5, 1 + i % 3) for i in range(40)]
    books = [Made(f"b{i}", "books", 4, 2) for i in range(30)]
    mixed = [made for pair in zip(books, web, strict=False) for made in pair] + web[30:]
    found = []
    for name, documents in (("alone", web), ("mixed", mixed)):
        table = TokenDataset(write_made(tmp_path / name, documents, 3)).documents
        found.append(documents_in_order(table, "web", [made.id for made in documents]))
    assert found[0] == found[1]
    assert Counter(found[0]) == {made.id: made.repeats for made in web}


@pytest.mark.parametrize("change", [{"id": "other"}, {"length": 9}, {"repeats": 2}, {"source": "pages"}])
def test_what_identifies_the_documents_of_a_source(tmp_path: Path, change: dict[str, object]) -> None:
    web = [Made(f"w{i}", "web", 3) for i in range(5)]
    changed = [*web[:2], web[2]._replace(**change), *web[3:]]  # type: ignore[arg-type]
    sums = [TokenDataset(write_made(tmp_path / str(i), each)).documents.sources[0].sha256
            for i, each in enumerate((web, [made._replace(domain="code") for made in web], changed))]  # fmt: skip
    assert sums[0] == sums[1] != sums[2]


def test_a_stream_gives_the_order_token_by_token(tmp_path: Path) -> None:
    """Also from the middle, and of more documents than a block has slots."""
    documents = [Made(str(i), "web", 1 + i % 4, 1 + i % 2) for i in range(6000)]
    table = TokenDataset(write_made(tmp_path / "d", documents)).documents
    source = table.sources[0]
    stream = SourceStream(table, source, SourceCursor("web", 0, 0, FRESH))
    rows = stream.order.documents(table, np.arange(stream.order.slots))
    expected = np.repeat(rows, table.lengths[rows])
    assert len(expected) == source.tokens
    for position, count in ((0, source.tokens), (5, 1), (9000, 4000), (source.tokens - 7, 7)):
        spans = stream.spans(position, count)
        assert np.repeat(spans.documents, spans.lengths).tolist() == expected[position : position + count].tolist()
        assert (spans.starts + spans.lengths <= table.lengths[spans.documents]).all()
    ends = np.cumsum(table.lengths[rows].astype(np.int64))
    for position in (0, 1, 777, 12_000, source.tokens):
        assert stream.begun(position) == int((ends - table.lengths[rows] < position).sum())
