"""Finds rows of datasets and ledgers: by the key of a document, by its id, and by what a user calls it.

The columns that decide are read first; the others, texts among them, only of the row groups with a hit.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dedup.urls import normalise_url
from infra.dataset.reader import ShardReader
from infra.dataset.rows import to_rows
from infra.dataset.schema import KEY
from infra.errors import UsageError
from infra.storage import StoreError, readable

Key = tuple[str, int]


@dataclass(frozen=True)
class Asked:
    """A document as a user names it: by a URL or an id; or by its place, which only one document has."""

    name: str
    key: Key | None = None


def key_of(row: Mapping[str, Any]) -> Key:
    return row["file_path"], row["warc_offset"]


def rows_at(part: ShardReader, key: Key) -> Iterator[dict[str, Any]]:
    """The rows of one document, with all columns: of a ledger there may be several."""
    return (row for row in rows_of([part], {key}))


def rows_of(
    parts: Iterable[ShardReader], keys: Collection[Key], columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """The rows with these keys, in order. `columns`: only these, and the key."""
    offsets = pa.array(sorted({offset for _, offset in keys if offset is not None}), pa.int64())
    names = None if columns is None else [*KEY, *(name for name in columns if name not in KEY)]
    for part in parts:
        for row in _hits(part, "warc_offset", offsets, names):
            if key_of(row) in keys:
                yield row


class Survivors:
    """The documents that ledger rows name as survivors, with `columns` (all unless given): by their locators; in
    datasets of an earlier version, whose ledgers lack these, by their ids, which may repeat."""

    def __init__(
        self, parts: Sequence[ShardReader], lines: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None
    ) -> None:
        keys, ids = set(), set()
        for line in lines:
            if (key := survivor_key(line)) is not None:
                keys.add(key)
            elif line["survivor"] is not None:
                ids.add(line["survivor"])
        self._by_key = {key_of(row): row for row in rows_of(parts, keys, columns)}
        self._by_id: dict[str, dict[str, Any]] = {}
        for row in rows_by_id(parts, ids, columns):
            self._by_id.setdefault(row["id"], row)

    def of(self, line: Mapping[str, Any]) -> dict[str, Any] | None:
        """The survivor of a ledger row; None if the dataset does not have it."""
        key = survivor_key(line)
        return self._by_id.get(line["survivor"]) if key is None else self._by_key.get(key)


def survivor_key(line: Mapping[str, Any]) -> Key | None:
    """The key of a ledger row's survivor; None if it names none, or not by its locator."""
    name, offset = line.get("survivor_path"), line.get("survivor_offset")
    return None if name is None or offset is None else (name, offset)


def rows_by_id(
    parts: Iterable[ShardReader], ids: Collection[str], columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """The rows with these ids, in order."""
    wanted = pa.array(sorted(ids), pa.string())
    names = None if columns is None else ["id", *(name for name in columns if name != "id")]
    for part in parts:
        yield from _hits(part, "id", wanted, names)


def _hits(part: ShardReader, column: str, wanted: pa.Array, names: list[str] | None) -> Iterator[dict[str, Any]]:
    if not len(wanted) or not part.rows:
        return
    try:
        with pq.ParquetFile(readable(part.file)) as file:
            for group in range(file.num_row_groups):
                first = file.read_row_group(group, columns=[column])
                hits = pc.indices_nonzero(pc.is_in(first[column], value_set=wanted))
                if len(hits):
                    yield from to_rows(file.read_row_group(group, columns=names).take(hits))
    except StoreError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{part.file} cannot be read: {str(error).splitlines()[0]}") from None


def matches(parts: Sequence[ShardReader], asked: Sequence[Asked]) -> list[list[dict[str, Any]]]:
    """For each that is asked for, one row of every document that it names, without the text: those of its key; else of
    its URL or id; if there are none, those with an equivalent URL."""
    found: dict[Asked, list[dict[str, Any]]] = {each: [] for each in asked}
    by_name: dict[str, list[Asked]] = {}
    by_key: dict[Key, list[Asked]] = {}
    for each in found:
        if each.key is None:
            by_name.setdefault(each.name, []).append(each)
        else:
            by_key.setdefault(each.key, []).append(each)
    for row in _named(parts, list(by_name), [offset for _, offset in by_key]):
        names = [each for name in {row["url"], row["id"]} for each in by_name.get(name, ())]
        for each in (*names, *by_key.get(key_of(row), ())):
            found[each].append(row)
    left = {each: normalise_url(each.name) for each in found if not found[each] and each.key is None}
    _equivalent(parts, left, found)
    return [list(distinct(found[each])) for each in asked]


def _named(parts: Sequence[ShardReader], names: list[str], offsets: list[int]) -> Iterator[dict[str, Any]]:
    """Rows with one of these URLs, ids or offsets."""
    words, numbers = pa.array(names, pa.string()), pa.array(offsets, pa.int64())
    for part in parts:
        for batch in part.batches(without_text(part)):
            named = pc.or_(pc.is_in(batch["url"], value_set=words), pc.is_in(batch["id"], value_set=words))
            hit = pc.or_(named, pc.is_in(batch["warc_offset"], value_set=numbers)) if offsets else named
            yield from to_rows(batch.filter(hit))


def _equivalent(
    parts: Sequence[ShardReader], wanted: Mapping[Asked, str], found: dict[Asked, list[dict[str, Any]]]
) -> None:
    """Adds to `found` the rows whose normalised URL is the wanted one."""
    by_url: dict[str, list[Asked]] = {}
    for each, normal in wanted.items():
        if normal:
            by_url.setdefault(normal, []).append(each)
    for part in parts if by_url else ():
        for batch in part.batches(without_text(part)):
            normal_urls = [normalise_url(url or "") for url in batch["url"].to_pylist()]
            hits = [index for index, normal in enumerate(normal_urls) if normal in by_url]
            rows = to_rows(batch.take(pa.array(hits, pa.int64())))
            for index, row in zip(hits, rows, strict=True):
                for each in by_url[normal_urls[index]]:
                    found[each].append(row)


def without_text(part: ShardReader) -> list[str]:
    return [name for name in part.schema().names if name != "text"]


def distinct(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yields one row for each document; a ledger has several if several rules failed."""
    seen: set[Key] = set()
    for row in rows:
        if key_of(row) not in seen:
            seen.add(key_of(row))
            yield row
