"""A reduction without an engine, and small documents, for the tests of `dedup`."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.shingles import NGRAM, shingle_sets
from dedup.tables import Hashes

Reducer = Callable[[int, Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

WORDS = [f"{a}{b}{c}" for a in ("ka", "lo", "mi", "su", "te") for b in ("ran", "ven", "dor", "lis") for c in "aeiou"]


def documents(texts: Sequence[str | None], **columns: Sequence[object]) -> pa.RecordBatch:
    """Documents; further columns as given."""
    base: dict[str, object] = {
        "text": pa.array(texts, pa.string()),
        "id": [f"id-{i}" for i in range(len(texts))],
    }
    return pa.RecordBatch.from_pydict(base | columns)


def column(texts: list[bytes], large: bool = False) -> pa.Array:
    """A column of these bytes, whether they are UTF-8 or not."""
    kinds = (pa.large_binary(), pa.large_string()) if large else (pa.binary(), pa.string())
    return pa.array(texts, kinds[0]).view(kinds[1])


def reduce(reducer: Reducer, batches: Sequence[pa.RecordBatch], schema: pa.Schema, batch_rows: int = 7) -> pa.Table:
    """What the reducer makes of one partition that holds all rows, sorted, in batches of `batch_rows`."""
    table = pa.Table.from_batches(batches)
    order = [(name, "ascending") for name in ("key", "shard", "row")]
    table = table.take(pc.sort_indices(table, sort_keys=order)).combine_chunks()
    return pa.Table.from_batches(list(reducer(0, iter(table.to_batches(max_chunksize=batch_rows)))), schema)


def sorted_sets(texts: pa.Array, ngram: int = NGRAM) -> list[Hashes]:
    """The set of shingles of each text of a column, as `shingles` has it."""
    flat, ends = shingle_sets(texts, ngram)
    return [np.sort(flat[begin:end]) for begin, end in pairwise(ends.tolist())]


def english(seed: int, words: int) -> list[str]:
    """Words of an invented language with spaces."""
    draw = random.Random(seed)
    return [draw.choice(WORDS) + draw.choice(WORDS) for _ in range(words)]


def chinese(seed: int, characters: int) -> list[str]:
    """Common ideographs, with a comma or full stop after every dozen or so."""
    draw = random.Random(seed)
    letters = [chr(draw.randrange(0x4E00, 0x5E00)) for _ in range(characters)]
    return [letter + (draw.choice("，。") if draw.random() < 0.08 else "") for letter in letters]


def edited(tokens: list[str], share: float, seed: int, replacement: Callable[[int], str]) -> list[str]:
    """A copy in which this share of tokens, drawn at random, is replaced."""
    draw = random.Random(seed)
    result = list(tokens)
    for i in draw.sample(range(len(tokens)), round(share * len(tokens))):
        result[i] = replacement(draw.randrange(1 << 20))
    return result


def of_one_template(count: int, words: int, edits: int, twin_edits: int) -> tuple[list[str], list[str]]:
    """`count` pages of one template, in each of which some words are others, and a twin of each with some more: in
    buckets of many pages, few of which are similar."""
    draw = random.Random(17)
    frame = english(5, words)

    def changed(page: list[str], some: int) -> list[str]:
        page = page[:]
        for place in draw.sample(range(words), some):
            page[place] = f"w{draw.randrange(1 << 30)}"
        return page

    pages = [changed(frame, edits) for _ in range(count)]
    return [" ".join(page) for page in pages], [" ".join(changed(page, twin_edits)) for page in pages]
