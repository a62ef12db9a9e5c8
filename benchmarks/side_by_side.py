"""Ten pages as a browser shows them, and their text beside them: writes docs/side_by_side.md and its pictures.

    python -m benchmarks side_by_side [--out DOCS] [--browser chromium] [--text-only]

The pages are in `benchmarks/pages/`, written for this; the text is what `blocks` writes as light Markdown, the default
of the recipe `yi`. Pictures are 800 pixels wide, WebP of 64 colours; they need Chromium (its headless shell suffices).
`--text-only` leaves the pictures as they are.
"""

import argparse
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.shared import ROOT, add
from infra.errors import UsageError
from pipeline.extract.extractors.blocks import BlocksOptions, blocks

PAGES: Final = Path(__file__).with_name("pages")
# Each page with what there is to see.
TITLES: Final = {
    "code": "Code: two highlighters, a button, line numbers",
    "tables": "Tables of data",
    "formulas": "Formulas: MathML with TeX beside it, and MediaWiki's",
    "forum": "A forum: posts with who spoke",
    "recipe": "A recipe among advertisements",
    "product": "A product, its data, a request for cookies",
    "listing": "A listing",
    "documentation": "Documentation of a function",
    "hidden": "An article with hidden text",
    "chinese": "A Chinese article with a reading",
}
WIDTH, HEIGHT, COLOURS = 800, 1400, 64
COLUMNS: Final = 68
MAX_BYTES: Final = 60_000
BROWSERS: Final = ("chromium", "chromium-headless-shell", "google-chrome")
HEAD: Final = """# Ten pages side by side

Left the page as a browser shows it, right the text that `yi` keeps of it, with what it gets wrong: that of `blocks` as
light Markdown ([how](extraction.md#structure-code-tables-lists-headings-formulas)), long lines wrapped. The pages, in
`benchmarks/pages/`, were written for this; `python -m benchmarks side_by_side` makes this page and its pictures.
"""


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--out", default=ROOT / "docs", help="the folder of side_by_side.md, and of pages/ beside it")
    parser.add_argument("--browser", help=f"the browser; else the first of {', '.join(BROWSERS)} that there is")
    parser.add_argument("--text-only", action="store_true", help="make no pictures")


def text_of(page: str) -> str:
    html = (PAGES / f"{page}.html").read_text("utf-8")
    return blocks(html, f"https://harbour.example/{page}", BlocksOptions(markdown=True)).text


def wrapped(text: str) -> Iterator[str]:
    """The lines of a text, cut at COLUMNS; a character beyond Latin, Greek and Cyrillic takes two."""
    for line in text.split("\n"):
        width = COLUMNS // 2 if sum(sign > "\u2e80" for sign in line) > len(line) / 2 else COLUMNS
        yield from textwrap.wrap(line, width, drop_whitespace=True) if len(line) > width else [line]


def document() -> str:
    """The page of the docs."""
    parts = [HEAD]
    for page, title in TITLES.items():
        text = "\n".join(line or "\u200b" for line in wrapped(text_of(page)))  # a blank line would end the table
        # backticks are escaped too: what is in the text is no block of this page
        text = escape(text, quote=False).replace("\u200b", "&#8203;").replace("`", "&#96;")
        parts.append(
            f'## {title}\n\n<table><tr><td valign="top" width="50%"><img src="pages/{page}.webp" width="400" '
            f'alt="the page in a browser"></td>\n<td valign="top"><pre>\n{text}\n</pre></td></tr></table>\n'
        )
    return "\n".join(parts)


def picture(browser: str, page: Path, target: Path) -> int:
    """Writes the picture of a page, cut where nothing follows. Returns its size in bytes."""
    from PIL import Image, ImageChops

    with TemporaryDirectory() as folder:
        shot = Path(folder) / "page.png"
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
            "--no-first-run", "--hide-scrollbars", f"--user-data-dir={folder}/profile",
            f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}", page.as_uri(),
        ]  # fmt: skip
        subprocess.run(command, capture_output=True, timeout=120, check=True)
        image = Image.open(shot).convert("RGB")
        background = Image.new("RGB", image.size, image.getpixel((WIDTH - 1, HEIGHT - 1)))
        box = ImageChops.difference(image, background).getbbox()
        image = image.crop((0, 0, WIDTH, min(HEIGHT, (box[3] if box else HEIGHT) + 8)))
        image.quantize(COLOURS).convert("RGB").save(target, "WEBP", quality=60, method=6)
    return target.stat().st_size


def run(args: argparse.Namespace) -> dict[str, Any]:
    (args.out / "side_by_side.md").write_text(document(), "utf-8")
    if args.text_only:
        return {"pages": len(TITLES)}
    browser = args.browser or next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise UsageError(f"no browser: install one of {', '.join(BROWSERS)}, give --browser, or --text-only")
    (args.out / "pages").mkdir(exist_ok=True)
    sizes = {
        page: picture(browser, (PAGES / f"{page}.html").resolve(), args.out / "pages" / f"{page}.webp")
        for page in TITLES
    }
    return {"pages": len(TITLES), "bytes": sizes, "passed": max(sizes.values()) <= MAX_BYTES}


def show(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['pages']} pages"
    for page, size in found.get("bytes", {}).items():
        yield f"  {page}: {size / 1000:.0f} KB"
