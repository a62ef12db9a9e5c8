"""docs/side_by_side.md is what the extractor writes now, and its pictures are there and small."""

from benchmarks.shared import ROOT
from benchmarks.side_by_side import MAX_BYTES, PAGES, TITLES, document, wrapped


def test_the_page_is_up_to_date() -> None:
    found = (ROOT / "docs/side_by_side.md").read_text("utf-8")
    assert found == document(), "run python -m benchmarks side_by_side --text-only, and read what has changed"


def test_each_page_has_its_picture() -> None:
    assert {path.stem for path in PAGES.glob("*.html")} == set(TITLES)
    sizes = {path.stem: path.stat().st_size for path in (ROOT / "docs/pages").glob("*.webp")}
    assert set(sizes) == set(TITLES)
    assert all(0 < size <= MAX_BYTES for size in sizes.values())


def test_lines_are_wrapped_and_no_word_is_lost() -> None:
    text = "a " * 100 + "\n\n    indented\n" + "海" * 100
    lines = list(wrapped(text))
    assert max(map(len, lines)) <= 68 and "".join("".join(lines).split()) == "".join(text.split())
    assert "" in lines and "    indented" in lines
