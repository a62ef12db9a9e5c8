"""A bucket laid out as Common Crawl's: collinfo.json, path files, WARC, WET and robots.txt archives, three ARC crawls.

Every file is deterministic: the same call writes the same bytes.
"""

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from tests.pipeline.pages import pages, write_warc

NEW, OLD, ARC_WITH_LIST, ARC_LISTED, ARC_2012 = (
    "CC-MAIN-2024-51", "CC-MAIN-2013-20", "CC-MAIN-2008-2009", "CC-MAIN-2009-2010", "CC-MAIN-2012",
)  # fmt: skip
SNAPSHOTS = (NEW, OLD, ARC_2012, ARC_LISTED, ARC_WITH_LIST)
SEGMENTS = ("1733066035857.0", "1733066036176.19")
STAMP = "CC-MAIN-20241201162023-20241201192023"
# By crawl: where its ARC files are in the bucket, as in the crawls of these years.
ARC_FILES = {
    ARC_WITH_LIST: ("crawl-001/2008/06/25/11/1214440586619_11.arc.gz", "crawl-001/2008/06/26/2/1214520012347_2.arc.gz"),
    ARC_LISTED: ("crawl-002/2009/09/17/41/1253233750985_41.arc.gz", "crawl-002/2010/01/07/0/1262847600000_0.arc.gz"),
    ARC_2012: ("parse-output/segment/1346876860817/1346950771477_128.arc.gz",),
}


def write_bucket(folder: Path, files: int = 2, each: int = 20) -> Path:
    """The bucket in `folder`: of CC-MAIN-2024-51 `files` archives of `each` pages in each of two segments."""
    made = [(segment, number) for number in range(files) for segment in SEGMENTS]
    names: dict[str, list[str]] = {"warc": [], "wet": [], "robotstxt": []}
    for number, (segment, of_segment) in enumerate(made):
        base = f"crawl-data/{NEW}/segments/{segment}"
        content = pages(number * each, each)
        for kind, suffix in (("warc", ".warc.gz"), ("wet", ".warc.wet.gz"), ("robotstxt", ".warc.gz")):
            name = f"{base}/{kind}/{STAMP}-{of_segment:05d}{suffix}"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if kind == "warc":
                write_warc(folder / name, content)
            elif kind == "wet":
                write_wet(folder / name, content)
            else:
                write_warc(folder / name, [(f"http://host{number}.example/robots.txt", "User-agent: *\nDisallow:\n")])
            names[kind].append(name)
    for kind, found in names.items():
        write_paths(folder, NEW, kind, found)
    write_paths(folder, NEW, "segment", [f"crawl-data/{NEW}/segments/{segment}/" for segment in SEGMENTS])
    base = f"crawl-data/{OLD}/segments/1368696381249/warc"
    name = f"{base}/CC-MAIN-20130516092621-00000-ip-10-60-113-184.ec2.internal.warc.gz"
    (folder / name).parent.mkdir(parents=True)
    write_warc(folder / name, pages(1000, each))
    write_paths(folder, OLD, "warc", [name])
    for number, arcs in enumerate(ARC_FILES.values()):
        for place, arc in enumerate(arcs):
            (folder / arc).parent.mkdir(parents=True, exist_ok=True)
            write_arc(folder / arc, pages(2000 + number * 200 + place * 100, each))
    write_paths(folder, ARC_WITH_LIST, "arc", ARC_FILES[ARC_WITH_LIST])
    write_paths(folder, ARC_2012, "arc", ARC_FILES[ARC_2012])
    (folder / "collinfo.json").write_text(json.dumps([collection(crawl) for crawl in SNAPSHOTS], indent=2))
    return folder


def collection(crawl: str) -> dict[str, str]:
    """An entry of collinfo.json."""
    index = "https://index.commoncrawl.org"
    return {"id": crawl, "name": f"{crawl} Index", "timegate": f"{index}/{crawl}/", "cdx-api": f"{index}/{crawl}-index"}


def write_paths(folder: Path, crawl: str, kind: str, names: Sequence[str]) -> Path:
    """A path file: the names of a crawl's files of one kind, a line each, in gzip."""
    path = folder / "crawl-data" / crawl / f"{kind}.paths.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{name}\n" for name in names).encode(), mtime=0))
    return path


def write_wet(path: Path, content: Sequence[tuple[str, str]]) -> Path:
    """An archive of `conversion` records: the pages' text."""
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for number, (url, html) in enumerate(content):
            text = html.replace("<p>", "\n").replace("</p>", "")
            headers = {"WARC-Date": "2024-12-01T16:20:23Z", "WARC-Record-ID": f"<urn:uuid:{path.name}-{number}>"}
            writer.write_record(
                writer.create_warc_record(
                    url,
                    "conversion",
                    payload=io.BytesIO(text.encode()),
                    warc_content_type="text/plain",
                    warc_headers_dict=headers,
                )
            )
    return path


def write_arc(path: Path, content: Sequence[tuple[str, str]]) -> Path:
    """An ARC file, version 1, one gzip member a record."""
    first = b"1 0 CommonCrawl\nURL IP-address Archive-date Content-type Archive-length\n"
    members = [b"filedesc://%s 0.0.0.0 20080625003626 text/plain %d\n%s\n" % (path.name.encode(), len(first), first)]
    for url, html in content:
        block = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
        body = block.to_bytes() + html.encode()
        members.append(b"%s 10.0.0.1 20080625003626 text/html %d\n%s\n" % (url.encode(), len(body), body))
    path.write_bytes(b"".join(gzip.compress(member, mtime=0) for member in members))
    return path
