"""A crawl of hostile pages, made by this script, and what the page extractor does with them.

    python -m benchmarks.hostile_pages --out DIR [--direct [--engine NAME …] [--cpu-seconds 30]]

Writes DIR/hostile.warc.gz: bombs, nests, floods, lies and binaries at http://hostile.example/NAME, each named after
what it is, and ten honest pages at http://honest.example/NAME that must survive. Run `refinery` over it, or use
`--direct` to send each page through `PageExtractor` and print, for each engine, what caught it, the seconds it took,
and the memory it used. Exits with 1 if an honest page is lost or the parent takes long or grows.
"""

import argparse
import random
import resource
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from pipeline.extract.caps import Caps
from pipeline.extract.extractors.table import EXTRACTORS
from pipeline.extract.page import Limits, PageExtractor

SENTENCE = "The quick brown fox jumps over the lazy dog while the old man reads a long book about the sea. "
PARAGRAPHS = f"<p>{SENTENCE * 3}</p>" * 5
# More than any page below needs in the parent, where nothing may depend on the page being honest.
PARENT_SECONDS = 10.0
PARENT_GROWTH_BYTES = 400 << 20


class Entry(NamedTuple):
    """A page to be made: its name, its Content-Type, its Content-Encoding, its payload as sent."""

    name: str
    make: Callable[[], bytes]
    content_type: str = "text/html; charset=utf-8"
    encoding: str = ""


def wrap(middle: str) -> bytes:
    """`middle` between honest paragraphs, so that an engine has something to lose."""
    return f"<html><head><title>t</title></head><body>{PARAGRAPHS}{middle}{PARAGRAPHS}</body></html>".encode()


def gzip_bomb(size: int = 1 << 30) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = bytes(1 << 20)
    return b"".join([packer.compress(wrap("")), *(packer.compress(piece) for _ in range(size >> 20)), packer.flush()])


def numbered(template: str, count: int) -> str:
    return "".join(template.replace("#", str(i)) for i in range(count))


def billion_laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY l0 "lol">{entities}]><l>&l9;</l>'.encode()


def noise(size: int) -> bytes:
    return random.Random(0).randbytes(size)


def in_charset(text: str, codec: str) -> bytes:
    return f"<html><head><title>t</title></head><body>{f'<p>{text * 5}</p>' * 5}</body></html>".encode(codec)


RUSSIAN = "Съешь же ещё этих мягких французских булок да выпей чаю, потому что вечером будет холодно. "
CHINESE = "今天的新闻说，经济发展很快，人民生活水平提高了，城市和农村都有新的变化。"
JAPANESE = "今日はとても天気がいいから散歩しましょう。カタカナも使うと書いてある。"
FRENCH = "Où êtes-vous né ? Les élèves français préfèrent déjà l’été à Noël, où la forêt brûlée reverdit. "
GERMAN = "Der Leuchtturmwärter stieg jeden Abend die Treppe hinauf und zündete die große Lampe an. "

HOSTILE = (
    Entry("gzip-bomb-1gb", gzip_bomb, encoding="gzip"),
    Entry("divs-nested-100000", lambda: wrap("<div>" * 100_000 + "x" + "</div>" * 100_000)),
    Entry("divs-nested-1400", lambda: wrap("<div>" * 1_400 + "x" + "</div>" * 1_400)),
    Entry("line-endless-20mb", lambda: wrap(SENTENCE * 210_000)),
    Entry("line-endless-5mb", lambda: wrap(SENTENCE * 54_000)),
    Entry("blocks-that-make-trafilatura-crawl", lambda: wrap("<div><div><p>a</p></div></div>" * 40_000)),
    Entry(
        "comment-blocks-30000", lambda: wrap(numbered('<div class="comment-# post"><p>One, two, #.</p></div>', 30_000))
    ),
    Entry("links-60000", lambda: wrap(numbered("<a href='/#'>link #</a> ", 60_000))),
    Entry("list-100000", lambda: wrap("<ul>" + "<li>item" * 100_000)),
    Entry("line-breaks-200000", lambda: wrap("text<br>" * 200_000)),
    Entry(
        "table-rows-30000", lambda: wrap("<table>" + numbered("<tr><td>#</td><td>text</td></tr>", 30_000) + "</table>")
    ),
    Entry("tables-nested-2000", lambda: wrap("<table><tr><td>" * 2_000 + "x")),
    Entry("tables-nested-480", lambda: wrap("<table><tr><td>" * 480 + "x")),
    Entry("formatting-unclosed-20000", lambda: wrap(numbered("<p><b a#=1>x", 20_000))),
    Entry("formatting-unclosed-700", lambda: wrap(numbered("<p><b a#=1>x", 700))),
    Entry("formatting-misnested", lambda: wrap("<a><b><i><u>" * 50_000 + "</a></b>" * 50_000)),
    Entry("attributes-1000000", lambda: wrap(f"<div {numbered('#=1 ', 1_000_000)}>x</div>")),
    Entry("attributes-300000", lambda: wrap(f"<div {numbered('a#=1 ', 300_000)}>x</div>")),
    Entry("attributes-2000", lambda: wrap(f"<div {numbered('a#=1 ', 1_990)}>x</div>")),
    Entry("comments-unclosed", lambda: wrap("<!-- " * 500_000)),
    Entry("scripts-unclosed", lambda: wrap("<script>" * 200_000)),
    Entry("quotes-unclosed", lambda: wrap("<a href=\"'" * 200_000)),
    Entry("less-than-signs", lambda: wrap("<" * 4_000_000)),
    Entry("selects-nested", lambda: wrap("<select>" * 100_000)),
    Entry("svg-and-math", lambda: wrap("<svg><math>" * 50_000)),
    Entry("references-800000", lambda: wrap("&#x41;" * 800_000)),
    Entry("references-endless-digits", lambda: wrap("&#" + "9" * 2_000_000 + ";")),
    Entry("references-ambiguous", lambda: wrap("&notit" * 600_000)),
    Entry("references-to-surrogates", lambda: wrap("&#xD800;&#56320;" * 1_000)),
    Entry("combining-marks", lambda: wrap("a" + "\u0315\u0300" * 400_000)),
    Entry("white-space-4mb", lambda: wrap("<p>" + " \n\t" * 1_300_000 + "</p>")),
    Entry(
        "json-ld-nested",
        lambda: b'<html><script type="application/ld+json">' + b"[" * 100_000 + b"</script>" + wrap(""),
    ),
    Entry("xml-billion-laughs", billion_laughs, "application/xhtml+xml"),
    Entry("nuls-between-letters", lambda: wrap("<p>a\0b\0c\0</p>" * 300)),
    Entry("nuls-only", lambda: bytes(1 << 20)),
    Entry("control-characters", lambda: wrap("".join(map(chr, range(1, 32))) * 2_000)),
    Entry("surrogates-encoded", lambda: wrap("").replace(b"<p>", b"<p>\xed\xa0\x80 \xed\xb0\x80 ")),
    Entry("empty-body", lambda: b""),
    Entry("binary-noise", lambda: noise(300_000)),
    Entry("binary-png", lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + noise(60_000)),
    Entry("binary-pdf", lambda: b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj stream\n" + zlib.compress(noise(60_000))),
)
HONEST = (
    Entry("english", lambda: wrap("")),
    Entry("utf-8-labelled-latin-1", lambda: in_charset(FRENCH, "utf-8"), "text/html; charset=iso-8859-1"),
    Entry("gb18030-labelled-utf-8", lambda: in_charset(CHINESE, "gb18030")),
    Entry("shift-jis-labelled-latin-1", lambda: in_charset(JAPANESE, "shift_jis"), "text/html; charset=iso-8859-1"),
    Entry("windows-1251-without-label", lambda: in_charset(RUSSIAN, "cp1251"), "text/html"),
    Entry("utf-16-without-mark", lambda: in_charset(RUSSIAN, "utf-16-le"), "text/html"),
    Entry("german-table", lambda: wrap(f"<table><tr><td>{GERMAN * 3}</td></tr></table>")),
    Entry("truncated", lambda: in_charset(CHINESE, "utf-8")[:-30]),
    Entry("list-without-end-tags", lambda: wrap("<ul>" + f"<li>{GERMAN}" * 100 + "</ul>")),
    Entry("nested-300", lambda: wrap("<div>" * 300 + f"<p>{GERMAN * 3}</p>" + "</div>" * 300)),
)


def entries() -> Iterator[tuple[str, Entry]]:
    yield from ((f"http://hostile.example/{entry.name}", entry) for entry in HOSTILE)
    yield from ((f"http://honest.example/{entry.name}", entry) for entry in HONEST)


def write_warc(path: Path) -> None:
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for number, (url, entry) in enumerate(entries()):
            headers = [("Content-Type", entry.content_type)]
            if entry.encoding:
                headers.append(("Content-Encoding", entry.encoding))
            record = writer.create_warc_record(
                url,
                "response",
                payload=BytesIO(entry.make()),
                http_headers=StatusAndHeaders("200 OK", headers, protocol="HTTP/1.1"),
                warc_headers_dict={
                    "WARC-Record-ID": f"<urn:uuid:00000000-0000-4000-8000-{number:012x}>",
                    "WARC-Date": "2024-12-01T00:00:00Z",
                },
            )
            writer.write_record(record)


def sent_body(entry: Entry, most: int) -> bytes:
    """The payload after its content encoding, as far as one byte more than the cap allows."""
    payload = entry.make()
    return zlib.decompressobj(31).decompress(payload, most + 1) if entry.encoding == "gzip" else payload


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(engine: str, limits: Limits) -> bool:
    """Print the table of one engine; whether the honest pages survived and the parent kept its calm."""
    print(f"\n{engine}\n{'page':<48}{'outcome':<22}{'value':>12}{'parent s':>10}{'child s':>9}{'child MB':>10}")
    calm = True
    start_bytes = resident_bytes()
    for url, entry in entries():
        body = sent_body(entry, Caps().bytes)
        label = entry.content_type.partition("charset=")[2] or None
        with PageExtractor(engine, limits=limits) as extractor:
            begun = time.process_time()
            page = extractor.extract(body, label, url)
            parent_seconds = time.process_time() - begun
        outcome = page.rejected.rule if page.rejected else f"kept, {page.charset}"
        value = page.rejected.value if page.rejected else len(page.text)
        print(
            f"{url.removeprefix('http://'):<48}{outcome:<22}{value:>12.6g}{parent_seconds:>10.2f}"
            f"{page.cpu_seconds:>9.2f}{page.peak_bytes / (1 << 20):>10.0f}",
            flush=True,
        )
        calm &= parent_seconds < PARENT_SECONDS and (page.rejected is None or "hostile." in url)
    growth = resident_bytes() - start_bytes
    print(f"the parent grew by {growth / (1 << 20):.0f} MB")
    return calm and growth < PARENT_GROWTH_BYTES


def main() -> int:
    parser = argparse.ArgumentParser(description="Make a crawl of hostile pages; with --direct, extract it.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--direct", action="store_true", help="also send each page through PageExtractor")
    parser.add_argument("--engine", action="append", choices=list(EXTRACTORS), help="only these engines")
    parser.add_argument("--cpu-seconds", type=float, default=Limits().cpu_seconds, help="limit of one page")
    args = parser.parse_args()
    path = args.out / "hostile.warc.gz"
    write_warc(path)
    print(f"{path}: {len(HOSTILE)} hostile pages, {len(HONEST)} honest ones")
    if args.direct:
        limits = Limits(cpu_seconds=args.cpu_seconds)
        results = [measure(engine, limits) for engine in args.engine or EXTRACTORS]
        return 0 if all(results) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
