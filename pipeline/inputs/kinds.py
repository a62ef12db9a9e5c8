"""What kind of file an input is, an archive or documents: by its name, and where that does not tell by its bytes."""

from contextlib import suppress
from itertools import islice
from pathlib import Path

from infra.errors import UsageError
from pipeline.inputs.columns import Columns
from pipeline.inputs.json_elements import read_lines
from pipeline.inputs.unpacked import open_lines
from pipeline.warc.unpacking import is_packed
from pipeline.warc.walk import starts_record

_PACKED = ("", ".gz", ".zst", ".bz2", ".xz", ".lz4")
_JSON = (".jsonl", ".ndjson", ".json")
PARQUET = (".parquet", ".parq")
ARCHIVES = tuple(kind + packed for kind in (".warc", ".arc", ".wet", ".wat") for packed in ("", ".gz", ".lz4", ".zst"))
DOCUMENTS = (*PARQUET, *(kind + packed for kind in _JSON for packed in _PACKED))
_ANY_JSON = tuple(f".json{packed}" for packed in _PACKED)
URL_LIST = tuple(f".txt{packed}" for packed in _PACKED)
_FIRST_VALUES, _HEAD_BYTES = 20, 2**10


def is_parquet(name: str) -> bool:
    return name.lower().endswith(PARQUET)


def is_url_list(name: str) -> bool:
    return name.lower().endswith(URL_LIST)


def is_wanted(path: Path, columns: Columns) -> bool:
    """Whether a file of a folder is an input: by its name; one of JSON, which many programs keep their notes in, by
    what is in it."""
    name = path.name.lower()
    if not name.endswith((*ARCHIVES, *DOCUMENTS)):
        return False
    return not name.endswith(_ANY_JSON) or holds_documents(path, columns)


def holds_documents(path: Path, columns: Columns) -> bool:
    """Whether one of the first values of a file of JSON is a document."""
    first = islice(read_lines(str(path)), _FIRST_VALUES)
    return any(columns.missing_in(line.value) is None for line in first)


def check_archive(path: Path, argument: str) -> None:
    """UsageError if a file without the name of an archive has not the beginning of one."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if is_packed(head):
        with suppress(OSError), open_lines(str(path), []) as lines:
            head = lines.read(_HEAD_BYTES) or b"WARC/"  # of damaged data nothing is known
    if head.startswith(b"PAR1") or head.lstrip()[:1] in (b"{", b"["):
        what = "Parquet: give it a name in .parquet" if head.startswith(b"PAR1") else "JSON: give it a name in .jsonl"
        raise UsageError(f"{argument} seems to be {what}")
    if not head.startswith((b"WARC/", b"filedesc://")) and not is_packed(head) and not starts_record(head):
        raise UsageError(f"{argument} is neither an archive (WARC, WET, ARC) nor documents (Parquet, JSONL)")
