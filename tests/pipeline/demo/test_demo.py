"""The demo's input: the pages unchanged in real WARC files, the same bytes twice, curated and held-out apart."""

import gzip
import json
from pathlib import Path

from warcio.archiveiterator import ArchiveIterator

from mixers.domains import AXIS_OF
from pipeline.demo.demo import write_demo_inputs
from pipeline.fit.seeds import pages


def documents(out: Path, part: str) -> dict[str, dict[str, str]]:
    lines = (
        line
        for path in sorted((out / part).glob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).split(b"\n")
        if line
    )
    return {document["id"]: document for document in map(json.loads, lines)}


def test_the_same_bytes_and_nothing_twice(package_cache: Path, tmp_path: Path) -> None:
    first = write_demo_inputs(tmp_path / "a", package_cache)
    assert write_demo_inputs(tmp_path / "b", package_cache) == first
    times = {name: (tmp_path / "a" / name).stat().st_mtime_ns for name in first["files"]}
    assert write_demo_inputs(tmp_path / "a", package_cache) == first
    assert {name: (tmp_path / "a" / name).stat().st_mtime_ns for name in first["files"]} == times
    damaged = tmp_path / "a/crawl/pages-0.warc.gz"
    damaged.write_bytes(b"cut")
    assert write_demo_inputs(tmp_path / "a", package_cache) == first
    assert damaged.read_bytes() == (tmp_path / "b/crawl/pages-0.warc.gz").read_bytes()


def test_pages_go_in_unchanged(package_cache: Path, tmp_path: Path) -> None:
    summary = write_demo_inputs(tmp_path, package_cache)
    wanted = {page.url: page.body for page in pages(package_cache)}
    found: dict[str, bytes] = {}
    charsets: dict[str, str] = {}
    ids = []
    for path in sorted((tmp_path / "crawl").glob("*.warc.gz")):
        with path.open("rb") as file:
            for record in ArchiveIterator(file):
                ids.append(record.rec_headers.get_header("WARC-Record-ID"))
                if record.rec_type == "response":
                    url = record.rec_headers.get_header("WARC-Target-URI")
                    charsets[url] = record.http_headers.get_header("Content-Type")
                    found[url] = record.content_stream().read()
    assert found == wanted
    assert len(found) == sum(summary["crawl"].values()) == 62
    assert len(set(ids)) == len(ids) == 62 + 3
    assert charsets["http://shop1.example/1"] == "text/html; charset=utf-8"
    assert charsets["http://shop7.example/7"] == "text/html"
    assert "https://news.example/story" in found
    assert "http://unknown.invalid/trafilatura/page" in found


def test_curated_and_held_out_texts_are_apart(package_cache: Path, tmp_path: Path) -> None:
    summary = write_demo_inputs(tmp_path, package_cache)
    curated, held_out = documents(tmp_path, "curated"), documents(tmp_path, "held_out")
    assert curated and held_out and not curated.keys() & held_out.keys()
    assert len(curated) == sum(summary["curated"].values())
    article = next(document for name, document in curated.items() if name.startswith("encyclopedia/Arts"))
    assert article["domain"] == "arts" and article["source"] == "encyclopedia"
    assert article["url"].startswith("https://en.wikipedia.org/wiki/Arts_")
    for axis in ("iq", "eq"):
        with gzip.open(tmp_path / f"held_out/{axis}.jsonl.gz") as lines:
            assert all(AXIS_OF[json.loads(line)["domain"]].lower() == axis for line in lines)
