"""Small archives that the tests write: articles made from a word list, copies, forms, other media."""

import io
import random
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from tests.pipeline.recipe_texts import small

WORDS = """
the of and that have with be to a in water river mountain history people found during many
years after small house garden children reading letter music school teacher question answer
because measure energy light field city road winter summer morning evening friend mother father
work hands bread table window door story
""".split()  # noqa: SIM905 (a list of words is easier to read as words)


def sentences(seed: int, count: int = 12) -> list[str]:
    """Sentences that are always the same for a seed."""
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.randint(8, 16))).capitalize() + "." for _ in range(count)]


def text_rows(count: int) -> list[dict[str, str]]:
    """Documents of a dozen sentences."""
    return [{"id": str(n), "url": f"http://a.example/{n}", "text": "\n".join(sentences(n))} for n in range(count)]


def article(seed: int, count: int = 12, extra: str = "") -> str:
    body = "".join(f"<p>{' '.join(sentences(seed * 1000 + i, 3))}</p>" for i in range(count))
    return f"<html><head><title>Article {seed}</title></head><body><main>{body}{extra}</main></body></html>"


def pages(first: int, count: int) -> list[tuple[str, str]]:
    """(URL, HTML): articles, every fifth an exact copy, every seventh a near copy, every sixth too short."""
    made = []
    for i in range(first, first + count):
        url = f"http://host{i % 7}.example/{i}"
        if i % 5 == 4:
            made.append((url, article(i - 1)))
        elif i % 7 == 6:
            made.append((url, article(i - 2, extra="<p>One more line at the end of the page.</p>")))
        elif i % 6 == 5:
            made.append((url, "<html><body><form>Log in</form></body></html>"))
        else:
            made.append((url, article(i)))
    return made


def write_warc(path: Path, content: list[tuple[str, str]]) -> Path:
    """An archive of responses, one gzip member a record, and one request, which is not a page."""
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for number, (url, html) in enumerate(content):
            headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            record = writer.create_warc_record(
                url,
                "response",
                payload=io.BytesIO(html.encode()),
                http_headers=headers,
                warc_headers_dict={
                    "WARC-Date": "2024-05-01T00:00:00Z",
                    "WARC-Record-ID": f"<urn:uuid:{path.stem}-{number}>",
                },
            )
            writer.write_record(record)
        request = StatusAndHeaders("GET / HTTP/1.1", [("Host", "x")], is_http_request=True)
        record = writer.create_warc_record(
            "http://x/", "request", http_headers=request, warc_headers_dict={"WARC-Date": "2024-05-01T00:00:00Z"}
        )
        writer.write_record(record)
    return path


def write_crawl(folder: Path, files: int = 2, each: int = 40) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return [write_warc(folder / f"part-{i}.warc.gz", pages(i * each, each)) for i in range(files)]


def write_recipe(folder: Path) -> Path:
    path = folder / "small.toml"
    path.write_text(small())
    return path
