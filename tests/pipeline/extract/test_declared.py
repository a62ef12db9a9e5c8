"""What a page says of its own language before it is parsed, and how much of a text its language is told by."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.dataset.dataset import Dataset
from infra.errors import UsageError
from pipeline.extract.page import declared_language
from pipeline.recipes.parse import parse_recipe
from pipeline.steps.label import middle
from tests.pipeline.command import refinery
from tests.pipeline.pages import article, write_warc
from tests.pipeline.recipe_texts import INGEST, LOOK, RESILIPARSE, Part, recipe, stage, step


@pytest.mark.parametrize(
    ("body", "language"),
    [
        (b'<!doctype html><html lang="en-GB">', "en"),
        (b"<HTML class=x LANG = 'ZH-Hans'>", "zh"),
        (b"<html lang=de>", "de"),
        (b'<html xml:lang="fr">', ""),
        (b'<html xml:lang="fr" lang="en">', "en"),
        (b'<html data-lang="fr">', ""),
        (b'<html lang="">', ""),
        (b'<html lang="english">', ""),
        (b'<html lang="eng">', ""),
        (b'<html lang="und">', ""),
        (b'<html>\n<body lang="de">', ""),
        (b'<htmlx lang="de">', ""),
        (b" " * 60_000 + b'<html lang="de">', ""),
        (b"<html " * 20_000, ""),
        (b"", ""),
        (b'<!--[if IE]><html lang="de"><![endif]--><html lang="en">', "en"),
        (b"<script>x = '<html lang=de>'</script><html>", ""),
        (b'<html data-x=" lang=de">', ""),
        (b'<html lang="en" lang="de">', "en"),
        (b"<html lang=de " + b"a" * 49_000 + b">", "de"),
        (b"<html " + b"a" * 900 + b" lang=de " + b" a" * 24_000, "de"),
    ],
)
def test_declared_language(body: bytes, language: str) -> None:
    assert declared_language(body) == language


@given(st.binary(max_size=300))
@example(b'<html lang="\xff')
def test_any_bytes_declare_a_short_word_or_nothing(body: bytes) -> None:
    found = declared_language(b"<html lang='" + body)
    assert found == "" or (found.isalpha() and found.islower() and len(found) == 2)


@given(st.text(max_size=60), st.integers(1, 30))
def test_the_middle_of_a_text(text: str, characters: int) -> None:
    found = middle(text, characters)
    assert len(found) == min(len(text), characters) and found in text
    start = (len(text) - len(found)) // 2
    assert text[start : start + len(found)] == found


def run(folder: Path, name: str, control: float) -> Dataset:
    look: Part = {**LOOK, "declared": ["en"]}
    text = recipe(name, INGEST, stage("extract", "extract", look, RESILIPARSE, control=control))
    (folder / f"{name}.toml").write_text(text)
    refinery("run", "--recipe", folder / f"{name}.toml", "--input", folder / "a.warc.gz", "--out", folder / name)
    return Dataset(folder / name / "02-extract")


def test_a_page_in_another_language_is_not_parsed_unless_it_is_of_the_control_sample(tmp_path: Path) -> None:
    tongues = ["en", "de", "", "ja-JP"]
    pages = [
        (f"http://x.example/{i}", article(i).replace("<html>", f'<html lang="{tongue}">'))
        for i, tongue in enumerate(tongues)
    ]
    write_warc(tmp_path / "a.warc.gz", pages)
    strict = run(tmp_path, "strict", 0)
    assert [row["url"][-1] for row in strict.table().to_pylist()] == ["0", "2"]
    ledger = strict.ledger().to_pylist()
    assert {(line["url"][-1], line["step"], line["rule"], line["survivor"]) for line in ledger} == {
        ("1", "look", "declared_language_not_kept", "de"),
        ("3", "look", "declared_language_not_kept", "ja"),
    }
    sample = run(tmp_path, "sample", 1).table().to_pylist()
    assert [row["signals"]["quick_rejected"] for row in sample] == [0, 1, 0, 1]
    assert all("Article" in row["title"] for row in sample)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (step("label", what="language", model="m", characters=0), "number from 1"),
        (step("label", what="language", model="m", characters="all"), "number from 1"),
        (step("label", what="bag_of_words", model="m", characters=9), "labels the language"),
        (step("extract", engine="all_text", declared="en"), "list of words"),
    ],
)
def test_mistakes_are_named(bad: Part, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_recipe({"stage": [{"verb": "extract", "step": [bad, RESILIPARSE]}]}, "here")
