"""`export`: the documents of a run, or of any dataset, as JSON lines, Parquet or plain text.

One file, or a folder with a file for each shard. Both appear whole or not at all, and are the same bytes whenever the
dataset is the same.
"""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset, ShardReader
from infra.errors import UsageError
from infra.storage import ObjectPath, commit_file, place, remove_folder, sync_folder, temporary_name, writing
from pipeline.export.columns import chosen_columns, only
from pipeline.export.files import FORMATS, TEXT, sink
from pipeline.inputs.inputs import dataset_in
from pipeline.stages.final import datasets_in
from pipeline.stages.run import check_outside

STDOUT = "-"


@dataclass(frozen=True)
class Export:
    """`form`: a name in FORMATS. `columns`: what is written, in order; `limit`: the most documents."""

    dataset: Dataset
    form: str
    columns: Sequence[str]
    limit: int | None = None
    separator: str = ""

    @property
    def schema(self) -> pa.Schema:
        """The columns as they are written: those of the shards, or parts of these."""
        empty = pa.RecordBatch.from_pylist([], self.dataset.schema)
        return only(empty, self.columns).schema

    def batches(self, part: ShardReader, left: int | None) -> Iterator[pa.RecordBatch]:
        """Of one shard, at most `left` rows."""
        for batch in part.batches(list(self.columns)):
            if left is not None:
                batch = batch.slice(0, left)
                left -= batch.num_rows
            if batch.num_rows:
                yield only(batch, self.columns)

    def write(self, parts: Sequence[ShardReader], file: IO[bytes], left: int | None) -> int:
        """Writes the documents of these shards into `file`, at most `left`; returns how many."""
        written = 0
        with sink(self.form, file, self.schema, self.separator) as target:
            for part in parts:
                if left is not None and written >= left:
                    break
                for batch in self.batches(part, None if left is None else left - written):
                    target.write(batch)
                    written += batch.num_rows
        return written


def export(
    run: Path,
    out: str,
    form: str | None = None,
    columns: Sequence[str] = (),
    limit: int | None = None,
    separator: str = "",
) -> dict[str, Any]:
    """Writes the documents of the last dataset of `run` (or of a dataset's folder) to `out`, in their order.

    out: a file's name that ends as one of FORMATS does; any other name is a folder's, which gets a file for each shard;
        `-` is the standard output, for what is not packed.
    columns: all if none are given, and `text` alone in a text. separator: the line between two texts.

    Returns {out, format, documents, files, columns}. Raises UsageError for a column or format that is not there, and
    for an `out` that exists.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"the limit is {limit}; give at least 1")
    dataset = readable(run)
    form = form_of(out, form)
    if form.startswith(TEXT) and not columns:
        columns = [TEXT]
    names = chosen_columns(columns, dataset.schema)
    check_text(form, names, dataset)
    job = Export(dataset, form, names, limit, separator)
    written, files = to_stdout(job) if out == STDOUT else to_place(job, place(out))
    return {"out": out, "format": form, "documents": written, "files": files, "columns": names}


def readable(run: Path) -> Dataset:
    """The dataset to export: a run's last one, or the one in this folder. UsageError for tokens."""
    dataset = dataset_in(run)
    if dataset.kind is Kind.TOKENS:
        beside = [path for path in datasets_in(dataset.folder.resolve().parent) if Dataset(path).kind is Kind.DOCUMENTS]
        name = beside[-1].name if beside else "of the dataset before it"
        raise UsageError(f"{dataset.folder} contains tokens: give --run the folder {name}")
    return dataset


def form_of(out: str, form: str | None) -> str:
    """The format: as given, or by the end of the file's name. UsageError where they differ, or there is neither."""
    known = ", ".join(FORMATS)
    if form is not None and form not in FORMATS:
        raise UsageError(f"no format {form!r}: give {known}")
    by_name = next((name for name, end in FORMATS.items() if out.lower().endswith(end)), None)
    if by_name and form and by_name != form:
        raise UsageError(f"--out {out} is the name of a file of {by_name}, and --format is {form}: change one of them")
    found = form or by_name or ("jsonl" if out == STDOUT else None)
    if found is None:
        raise UsageError(
            f"--out {out} does not end in {', '.join(FORMATS.values())}: add that, or make a folder with --format"
        )
    if out == STDOUT and found not in ("jsonl", TEXT):
        raise UsageError(f"{found} is not for the standard output: give --format jsonl or text, or --out a name")
    return found


def check_text(form: str, names: Sequence[str], dataset: Dataset) -> None:
    """UsageError unless a text is written of one column that is one."""
    if not form.startswith(TEXT):
        return
    if len(names) > 1:
        raise UsageError(f"a text is of one column, and --columns names {len(names)}: give one, or --format jsonl")
    kind = Export(dataset, form, names).schema.field(0).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise UsageError(f"column {names[0]!r} is {kind}, not text: give --format jsonl")


class AsText(io.BytesIO):
    """Whole lines of UTF-8 for a stdout that takes text alone, as that of a notebook does."""

    def __init__(self, stdout: IO[str]) -> None:
        super().__init__()
        self.stdout = stdout

    def write(self, content: Any) -> int:
        self.stdout.write(bytes(content).decode())
        return len(content)


def to_stdout(job: Export) -> tuple[int, int]:
    stdout = sys.stdout
    written = job.write(job.dataset.parts(), getattr(stdout, "buffer", None) or AsText(stdout), job.limit)
    stdout.flush()
    return written, 0


def to_place(job: Export, out: Path) -> tuple[int, int]:
    """Writes a file, or a folder of files; (documents, files). UsageError if there is something by this name."""
    check_outside(out)
    is_file = out.name.lower().endswith(FORMATS[job.form])
    with writing(out):
        if (out.exists() or out.is_symlink()) and (is_file or not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out} exists: choose another --out, or delete it first")
        out.parent.mkdir(parents=True, exist_ok=True)
    if not is_file and isinstance(out, ObjectPath):
        raise UsageError(f"--out {out} is a folder, which cannot appear whole in an object store: name a file")
    if not is_file:
        return to_folder(job, out)
    with whole_file(out) as file:
        return job.write(job.dataset.parts(), file, job.limit), 1


def to_folder(job: Export, out: Path) -> tuple[int, int]:
    written = files = 0
    with whole_folder(out) as folder:
        for part in job.dataset.parts():
            left = None if job.limit is None else job.limit - written
            if left == 0:
                break
            name = f"{Path(part.path).stem}{FORMATS[job.form]}"
            with whole_file(folder / name) as file:
                written += job.write([part], file, left)
            files += 1
    return written, files


@contextmanager
def whole_file(final: Path) -> Iterator[IO[bytes]]:
    """A file that has its name only when all of it is written."""
    temporary = temporary_name(final)
    try:
        with writing(final), temporary.open("wb") as file:
            yield file
        commit_file(temporary, final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """A folder that has its name only when everything is in it."""
    temporary = temporary_name(final)
    remove_folder(temporary)
    try:
        with writing(final):
            temporary.mkdir()
        yield temporary
        with writing(final):
            temporary.replace(final)
        sync_folder(final.parent)
    except BaseException:
        remove_folder(temporary)
        raise
