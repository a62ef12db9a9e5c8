"""What went into a run: the names of its inputs, their size, and the dates of their pages."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset
from infra.storage import readable
from pipeline.report.parts import cut
from pipeline.report.read import PoolOutcome

NAMES_SHOWN = 3
NAME_CHARS = 80
# The dates are those in the footers of so many shards.
MAX_PARTS = 2000


def input_lines(pools: Sequence[PoolOutcome]) -> Iterator[str]:
    """A line for each distinct input."""
    found: dict[str, list[str]] = {}
    for pool in pools:
        if pool.datasets:
            found.setdefault(input_of(pool.datasets[0], pool), []).append(pool.label)
    for text, labels in found.items():
        yield f"Input of {', '.join(labels)}: {text}."


def input_of(first: Dataset, pool: PoolOutcome) -> str:
    """Names, size and dates. `first`: the dataset that was made from the input."""
    names = [cut(ref.name, NAME_CHARS) for ref in first.manifest.inputs]
    more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    size = first.manifest.counts.get("bytes/file")
    parts = [", ".join(names[:NAMES_SHOWN]) + more if names else "not named"]
    parts.append(f"{pool.docs:,} {'pages' if first.kind is Kind.RECORDS else 'documents'}")
    if size:
        parts.append(f"{size / 1e6:,.1f} MB")
    dates = dates_of(first)
    if dates:
        parts.append(f"of {dates[0]}" if dates[0] == dates[1] else f"from {dates[0]} to {dates[1]}")
    return "; ".join(parts)


def dates_of(dataset: Dataset) -> tuple[str, str] | None:
    """The first and the last day of its rows, from the statistics of the column `date`; None if there are none."""
    ends: list[str] = []
    for part in dataset.parts()[:MAX_PARTS]:
        try:
            with pq.ParquetFile(readable(part.file)) as file:
                index = file.schema_arrow.get_field_index("date")
                groups = range(file.metadata.num_row_groups if index >= 0 else 0)
                columns = [leaf for leaf in range(file.metadata.num_columns) if file.schema.column(leaf).path == "date"]
                found = [file.metadata.row_group(group).column(leaf).statistics for group in groups for leaf in columns]
        except (OSError, pa.ArrowException):
            continue
        ends += [
            str(end)[:10] for each in found if each is not None and each.has_min_max for end in (each.min, each.max)
        ]
    days = sorted(day for day in ends if day)
    return (days[0], days[-1]) if days else None
