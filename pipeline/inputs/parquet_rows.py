"""The rows of a Parquet file in batches, whatever the types of its columns; a damaged row group costs itself alone."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from infra.dataset.reader import BATCH_ROWS
from infra.errors import RefineryError, UsageError, WorkError
from pipeline.inputs.remote_file import for_pyarrow

# Why rows are missing.
DAMAGED = "damage/parquet"  # a page, or a row group, that cannot be decoded
UNSUPPORTED = "not_supported"  # sound, but of a compression or encoding that the library does not have

_FIXED_LISTS = "Expected all lists to be of size"


class NotParquet(UsageError):
    """A file that cannot be read as Parquet, though its bytes can be read."""


class ParquetRows(NamedTuple):
    """ParquetRows of the file from number `first` on; or, with a `fault`, `size` rows that cannot be read."""

    first: int
    size: int
    batch: pa.RecordBatch | None
    fault: str = ""


def parquet_rows(path: str, columns: Sequence[str]) -> Iterator[ParquetRows]:
    """The rows of a file in order, with these columns. Pages that have checksums are compared with them. UsageError if
    the file as a whole cannot be read, WorkError where the disk or the store fails."""
    with _open(path) as file:
        first = 0
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=list(columns)):
                    yield ParquetRows(first, batch.num_rows, batch)
                    first += batch.num_rows
            except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
                if isinstance(error, RefineryError):
                    raise
                if getattr(error, "errno", None):
                    raise WorkError(f"{path} cannot be read: {error}") from None
                if _FIXED_LISTS in str(error):  # pyarrow 25 does not read nulls among them: no damage of the file
                    raise UsageError(f"{path} cannot be read: {_told(error)}") from None
                if first < end:
                    unsupported = isinstance(error, pa.ArrowNotImplementedError)
                    yield ParquetRows(first, end - first, None, UNSUPPORTED if unsupported else DAMAGED)
            else:
                if first < end:  # fewer than the footer says
                    yield ParquetRows(first, end - first, None, DAMAGED)
            first = end


def _open(path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(for_pyarrow(path), page_checksum_verification=True)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise _refusal(path, error) from None


def parquet_schema(path: str) -> pa.Schema:
    try:
        return pq.read_schema(for_pyarrow(path))
    except (OSError, pa.ArrowException, ValueError) as error:
        raise _refusal(path, error) from None


def _refusal(path: str, error: Exception) -> UsageError:
    kind = UsageError if getattr(error, "errno", None) else NotParquet
    return kind(f"{path} cannot be read as Parquet: {_told(error)}")


def _told(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def python_rows(batch: pa.RecordBatch, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a batch of Parquet as Python values. Texts that are not UTF-8 come as bytes; what Python has no value
    for, as a time of nanoseconds, comes as text; what cannot be read in any way is None: such a text is rejected."""
    values = [_values(batch.column(name)) for name in columns]
    return [dict(zip(columns, (column[row] for column in values), strict=True)) for row in range(batch.num_rows)]


def _values(column: pa.Array) -> list[Any]:
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except MemoryError:
        raise
    except Exception:  # whatever a conversion raises, of one value: each is then read alone
        return [_value(column[number : number + 1]) for number in range(len(column))]


def _value(one: pa.Array) -> Any:
    ways: tuple[Callable[[], pa.Array], ...] = (
        lambda: one,
        lambda: one.cast(pa.large_binary()),
        lambda: one.cast(pa.string()),
        lambda: _cleaned(one),
    )
    for read in ways:
        try:
            return read().to_pylist()[0]
        except MemoryError:
            raise
        except Exception:
            continue
    return None


def taken(column: pa.Array, rows: pa.Array, kind: pa.DataType) -> pa.Array:
    """Some values of a kept column, in the type that they have here. Texts that are not UTF-8 get U+FFFD."""
    found = (column if column.type == kind else column.cast(kind)).take(rows)
    if _has_texts(kind):
        try:
            found.validate(full=True)
        except pa.ArrowInvalid:
            found = _cleaned(found)
    return found


def _has_texts(kind: pa.DataType) -> bool:
    return _is_text(kind) or any(_has_texts(kind.field(number).type) for number in range(kind.num_fields))


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _cleaned(column: pa.Array) -> pa.Array:
    """The same values with all texts in them in UTF-8."""
    kind = column.type
    if _is_text(kind):
        values = column.cast(pa.large_binary()).to_pylist()
        return pa.array([None if value is None else value.decode("utf-8", "replace") for value in values], kind)
    if pa.types.is_struct(kind):
        fields = [_cleaned(column.field(number)) for number in range(kind.num_fields)]
        return pa.StructArray.from_arrays(fields, fields=list(kind), mask=column.is_null())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        return _with_values(column, kind)
    return column


def _with_values(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A list or map whose items are cleaned; the buffers of its offsets stay."""
    items = pa.types.is_map(kind)
    inner = pa.StructArray.from_arrays(
        [column.keys, column.items], fields=[kind.key_field, kind.item_field]
    ) if items else column.values  # fmt: skip
    cleaned = _cleaned(inner)
    buffers = column.buffers()[:2]
    return pa.Array.from_buffers(kind, len(column), buffers, column.null_count, column.offset, [cleaned])
