"""The steps that read the language that a page declares, or identify the language by a part of the text."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from infra.dataset.reader import Dataset
from pipeline.steps.label import middle
from tests.pipeline.command import refinery
from tests.pipeline.pages import article, write_warc
from tests.pipeline.recipe_texts import INGEST, PREFILTER, RESILIPARSE, Part, recipe, stage


@given(st.text(max_size=60), st.integers(1, 30))
def test_the_middle_of_a_text(text: str, characters: int) -> None:
    found = middle(text, characters)
    assert len(found) == min(len(text), characters) and found in text
    start = (len(text) - len(found)) // 2
    assert text[start : start + len(found)] == found


def run(folder: Path, name: str, audit: float) -> Dataset:
    first: Part = {**PREFILTER, "declared": ["en"]}
    text = recipe(name, INGEST, stage("extract", "extract", first, RESILIPARSE, audit=audit))
    (folder / f"{name}.toml").write_text(text)
    refinery("run", "--recipe", folder / f"{name}.toml", "--input", folder / "a.warc.gz", "--out", folder / name)
    return Dataset(folder / name / "02-extract")


def test_a_page_in_another_language_is_not_parsed_unless_it_is_in_the_audit_sample(tmp_path: Path) -> None:
    tongues = ["en", "de", "", "ja-JP"]
    pages = [
        (f"http://x.example/{i}", article(i).replace("<html>", f'<html lang="{tongue}">'))
        for i, tongue in enumerate(tongues)
    ]
    write_warc(tmp_path / "a.warc.gz", pages)
    strict = run(tmp_path, "strict", 0)
    assert [row["url"][-1] for row in strict.to_arrow().to_pylist()] == ["0", "2"]
    ledger = strict.ledger().to_pylist()
    assert {(line["url"][-1], line["step"], line["rule"], line["survivor"]) for line in ledger} == {
        ("1", "prefilter", "declared_language_not_kept", "de"),
        ("3", "prefilter", "declared_language_not_kept", "ja"),
    }
    sample = run(tmp_path, "sample", 1).to_arrow().to_pylist()
    assert [row["signals"]["prefilter_rejected"] for row in sample] == [0, 1, 0, 1]
    assert all("Article" in row["title"] for row in sample)
