"""Reads the texts on which models are fitted, in one order and with one split.

Nothing here depends on the order of files or rows: samples are sorted and unique, and every choice among them (held
out or not, which to keep) is by a hash of the sample itself.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from filters.url import host
from infra.dataset.manifest import MANIFEST, Manifest
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import place, readable, write_bytes
from pipeline.inputs.unpacked import open_lines

# One document in ten is held out to measure the model.
HELD_OUT_TENTHS = 1
MAX_LINE_BYTES = 64 * 2**20
MAX_FILE_BYTES = 2**30
MAX_TEXT_CHARS = 1_000_000


@dataclass(frozen=True, order=True)
class Sample:
    """A text; `group`: what must be on one side of a split (its host, else its source, else its file); `domain`: its
    label, if any."""

    text: str
    group: str
    domain: str = ""


def stable_hash(text: str) -> int:
    """A 64-bit hash, the same on every machine."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


def read_samples(paths: Sequence[Path]) -> list[Sample]:
    """Reads every document in these files and folders, sorted, each text once.

    A folder is a dataset of ours, or is searched; files are .txt (one document), .jsonl (.gz, .zst) or .parquet with
    `text`, and optionally `url`, `source`, `domain`. Raises UsageError for a missing or unreadable file, or no text.
    """
    unique: dict[str, Sample] = {}
    for file in sorted({found for path in paths for found in _files(path)}):
        for sample in _read(file):
            known = unique.get(sample.text)
            if known is None or sample < known:
                unique[sample.text] = sample
    if not unique:
        raise UsageError(f"there is no text in {', '.join(map(str, paths)) or 'no files'}: give files with documents")
    return sorted(unique.values())


def read_labelled(words: Sequence[str], is_labelled: Callable[[str], bool]) -> list[Sample]:
    """Reads files given as LABEL=PATH, where `is_labelled` says so of the whole word, or as a PATH whose documents have
    a `domain`. Raises UsageError as `read_samples` does."""
    samples: list[Sample] = []
    for word in sorted(words):
        label, equals, path = word.partition("=")
        if equals and is_labelled(word):
            samples += [replace(sample, domain=label) for sample in read_samples([place(path)])]
        else:
            samples += read_samples([place(word)])
    return samples


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise UsageError(f"{path} does not exist: give files or folders of texts")
    if path.is_file():
        return [path]
    if (path / MANIFEST).is_file():
        return [path / shard.path for shard in Manifest.read(path).shards]
    found = [file for file in sorted(path.rglob("*")) if file.is_file() and _kind(file)]
    if not found:
        raise UsageError(f"{path} contains no .txt, .jsonl or .parquet file")
    return found


def _kind(path: Path) -> str:
    name = path.name.lower()
    for ending, kind in ((".txt", "text"), (".jsonl", "lines"), (".jsonl.gz", "lines"), (".jsonl.zst", "lines")):
        if name.endswith(ending):
            return kind
    return "parquet" if name.endswith(".parquet") else ""


def _read(path: Path) -> Iterator[Sample]:
    match _kind(path):
        case "text":
            with path.open("rb") as file:
                whole = file.read(MAX_FILE_BYTES).decode("utf-8", "replace")
            rows: Iterable[Any] = [
                {"text": whole[i : i + MAX_TEXT_CHARS]} for i in range(0, len(whole), MAX_TEXT_CHARS)
            ]
        case "lines":
            rows = json_lines(path)
        case "parquet":
            rows = _parquet(path)
        case _:
            raise UsageError(f"{path} is not a .txt, .jsonl or .parquet file: models are fitted on these")
    for row in rows:
        text = row.get("text") if isinstance(row, dict) else None
        if isinstance(text, str) and text.strip():
            clean = text[:MAX_TEXT_CHARS].encode("utf-8", "replace").decode().replace("\0", " ")
            group = host(str(row.get("url") or "")) or str(row.get("source") or path.name)
            yield Sample(clean, group, str(row.get("domain") or ""))


def json_lines(path: Path) -> Iterator[Any]:
    """Yields the values of a file of JSON lines (.gz and .zst too). Raises UsageError if it cannot be read."""
    try:
        with open_lines(str(path)) as file:
            while line := file.readline(MAX_LINE_BYTES):
                if line.strip():
                    yield orjson.loads(line)
    except (OSError, EOFError, orjson.JSONDecodeError) as error:
        raise UsageError(f"{path} cannot be read as JSON lines: {error}") from None


def _parquet(path: Path) -> Iterator[Any]:
    try:
        with pq.ParquetFile(readable(path)) as file:
            wanted = [name for name in ("text", "url", "source", "domain") if name in file.schema_arrow.names]
            for batch in file.iter_batches(columns=wanted):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from None


def split(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Returns (training, held out): one group in ten by hash; single texts if there are fewer than 20 groups."""
    by_group = len({sample.group for sample in samples}) >= 20
    training: list[Sample] = []
    held_out: list[Sample] = []
    for sample in samples:
        tenth = stable_hash("split " + (sample.group if by_group else sample.text)) % 10
        (held_out if tenth < HELD_OUT_TENTHS else training).append(sample)
    return training, held_out


def lines_of(texts: Iterable[str], max_chars: int) -> Iterator[str]:
    """Yields the lines of texts, longer ones in pieces, without blank ones."""
    for text in texts:
        for line in text.split("\n"):
            for start in range(0, len(line), max_chars):
                if piece := line[start : start + max_chars].strip():
                    yield piece


def auc(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float:
    """The probability that a positive scores above a negative (ties count half); 0.5 if either is empty."""
    high, low = np.asarray(positive, np.float64), np.asarray(negative, np.float64)
    if not high.size or not low.size:
        return 0.5
    low = np.sort(low)
    wins = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(wins.mean() / (2 * low.size))


def origin(fit: str, out: Path, settings: str = "", **sides: Sequence[Path]) -> tuple[dict[str, Any], str]:
    """Of a fit on files, for its card: their names by side (`made_from`), and the `command`."""
    options = "".join(f" --{side} ..." for side in sides) + settings
    names = {side: sorted(path.name for path in paths) for side, paths in sides.items()}
    return names, f"refinery fit {fit}{options} --out {out.name}"


def write_card(model: Path, about: str, command: str, made_from: Any, **more: Any) -> dict[str, Any]:
    """Writes what a model was made from and its scores as `NAME.card.json` beside it; also returns it."""
    card = {"model": model.name, "about": about, "command": command, "made_from": made_from, **more}
    write_bytes(model.with_name(f"{model.name}.card.json"), readable_json(card))
    return card


def counted(samples: Sequence[Sample]) -> dict[str, int]:
    """Counts the texts, for a card."""
    return {"texts": len(samples), "characters": sum(len(sample.text) for sample in samples)}
