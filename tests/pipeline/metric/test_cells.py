"""The file of a grid, and the texts that it chooses."""

import json
from pathlib import Path

import pytest

from infra.errors import UsageError
from pipeline.metric.cells import PassageSample, cut, read_cells
from pipeline.metric.grid_file import read_grid
from tests.files import write_rows
from tests.pipeline.metric.texts import prose

ROWS = [
    {
        "text": prose("sea", n),
        "domain": "literature" if n % 3 else "science",
        "language": "en",
        "date": f"20{20 + n % 2}-05-01",
    }
    for n in range(12)
]
CHOSEN = "[cells.x]\ninput = 'texts.jsonl.gz'\nwhere = {{ {} }}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_rows(tmp_path / "texts.jsonl.gz", ROWS)
    write_rows(tmp_path / "more.parquet", [{"text": prose("proof", n), "domain": "mathematics"} for n in range(4)])
    return tmp_path


def grid(folder: Path, text: str) -> Path:
    (folder / "grid.toml").write_text(text)
    return folder / "grid.toml"


def test_columns_choose_and_divide(folder: Path) -> None:
    file = grid(
        folder,
        """
[cells.science]
input = "texts.jsonl.gz"
where = { domain = "science", year = [2020, 2021] }
[cells.by]
input = ["texts.jsonl.gz", "more.parquet"]
by = "axis"
[cells.years]
input = "*.jsonl.gz"
by = "year"
axis = "general"
language = "de"
""",
    )
    cells = {cell.name: cell for cell in read_cells(read_grid(file))}
    assert list(cells) == ["science", "by/EQ", "by/IQ", "years/2020", "years/2021"]
    assert {name: cell.documents for name, cell in cells.items()} == {
        "science": 4, "by/EQ": 8, "by/IQ": 8, "years/2020": 6, "years/2021": 6,
    }  # fmt: skip
    assert (cells["science"].axis, cells["science"].language) == ("IQ", "en")
    assert (cells["by/EQ"].axis, cells["years/2020"].axis, cells["years/2020"].language) == ("EQ", "general", "de")
    assert set(cells["by/IQ"].inputs) == {"texts.jsonl.gz", "more.parquet"}
    assert {passage.text for passage in cells["science"].passages} == {
        row["text"] for row in ROWS if row["domain"] == "science"
    }


def test_a_folder_is_a_distribution_for_each_file(folder: Path) -> None:
    (folder / "notes.md").write_text("no text of a grid")
    cells = read_cells(read_grid(folder))
    assert [(cell.name, cell.axis, cell.language) for cell in cells] == [("more", "IQ", "und"), ("texts", "EQ", "en")]


def test_json_is_read_as_toml_is(folder: Path) -> None:
    body = {"bytes": 500, "document_bytes": 50, "cells": {"sea": {"input": "texts.jsonl.gz", "axis": "EQ"}}}
    (folder / "grid.json").write_text(json.dumps(body))
    (cell,) = read_cells(read_grid(folder / "grid.json"))
    assert len(cell.passages) == 10 and all(passage.size == 50 and not passage.whole for passage in cell.passages)


def test_the_choice_does_not_depend_on_order_or_files(folder: Path) -> None:
    write_rows(folder / "a" / "second.jsonl", [*ROWS[6:], ROWS[0]])
    write_rows(folder / "a" / "first.jsonl", ROWS[:6][::-1])
    texts = [
        read_cells(read_grid(grid(folder, f'bytes = 3000\n[cells.x]\ninput = "{name}"')))[0].passages
        for name in ("texts.jsonl.gz", "a/*.jsonl")
    ]
    assert texts[0] == texts[1] and 1 < len(texts[0]) < len(ROWS)


def test_a_sample_holds_little_and_repeats_count() -> None:
    sample = PassageSample(1000, 100)
    for n in range(2000):
        sample.add(f"{n} " * 20, repeats=64 if n < 100 else 1)
    found = sample.passages()
    assert 1000 <= sum(passage.size for passage in found) < 1100
    # 100 texts with 64 chances beside 1,900 with one.
    assert sum(int(passage.text.split()[0]) < 100 for passage in found) > len(found) / 2


@pytest.mark.parametrize("size", range(1, 12))
def test_no_character_is_cut(size: int) -> None:
    passage = cut("aé中🙂b".encode(), size)
    assert "aé中🙂b".startswith(passage.text) and passage.size <= size and passage.whole == (size >= 11)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no distributions: add a table"),
        ("[cells.x\n", "cannot be read as TOML"),
        ("size = 3\n[cells.x]\ninput = 'a'", "has 'size'; a grid has bytes, document_bytes and"),
        ("bytes = 0\n[cells.x]\ninput = 'a'", "are whole numbers over 0"),
        ("bytes = true\n[cells.x]\ninput = 'a'", "are whole numbers over 0"),
        ("[cells.x]\naxis = 'IQ'", "cell 'x': input must be a string, or a list of them"),
        ("[cells.x]\ninput = []", "cell 'x': input must be a string, or a list of them"),
        ("[cells.x]\ninput = 'a'\naxis = 'iq'", "axis is 'iq'; it may be IQ, EQ, general"),
        ("[cells.x]\ninput = 'a'\nwher = {}", "has no key 'wher': did you mean 'where'"),
        ("[cells.x]\ninput = 'a'\nlanguage = 3", "language must be a string"),
        ("[cells.x]\ninput = 'a'\nwhere = 3", "where must be a table of columns"),
        ("[cells.'a b']\ninput = 'a'", "a name has letters, digits"),
        ("cells = { x = 3 }", "cell 'x' must be a table"),
        ("[cells.x]\ninput = 'gone.jsonl'", "gone.jsonl: no such file"),
        ("[cells.x]\ninput = 'empty.jsonl'", "cell 'x' has no text: "),
        ("[cells.x]\ninput = 'bad.jsonl'", "cell 'x' has no text: no row of "),
        (CHOSEN.format("language = 'fr'"), "no document has language fr; there is en"),
        (CHOSEN.format("sorce = 'a'"), "has no column 'sorce' to choose by: did you mean 'source'"),
        (CHOSEN.format("domain = 'science', year = '2019'"), "no document has year 2019; there is 2020, 2021"),
        ("[cells.x]\ninput = 'page.warc'", "page.warc is an archive: give texts"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_a_line(folder: Path, text: str, told: str) -> None:
    (folder / "empty.jsonl").write_text("")
    (folder / "bad.jsonl").write_bytes(b'{"text": 3}\nno json\n\xff\xfe\n')
    (folder / "page.warc").write_bytes(b"WARC/1.0\r\n")
    with pytest.raises(UsageError) as stopped:
        read_cells(read_grid(grid(folder, text)))
    assert told in str(stopped.value) and "\n" not in str(stopped.value)


def test_a_folder_without_texts_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path, told in ((tmp_path, "has no Parquet or JSONL file"), (tmp_path / "grid.toml", "does not exist")):
        with pytest.raises(UsageError, match=told):
            read_grid(path)


def test_two_distributions_of_one_name_are_refused(folder: Path) -> None:
    write_rows(folder / "texts.parquet", ROWS[:2])
    with pytest.raises(UsageError, match="two distributions 'texts'"):
        read_grid(folder)


def test_rows_that_are_no_documents_are_counted(folder: Path) -> None:
    rows = b'{"text": "caf\xe9"}\n' + json.dumps({"text": prose("sea", 1)}).encode() + b'\n{"other": 1}\nno json\n'
    (folder / "mixed.jsonl").write_bytes(rows)
    (cell,) = read_cells(read_grid(grid(folder, '[cells.x]\ninput = "mixed.jsonl"')))
    assert {passage.text for passage in cell.passages} == {prose("sea", 1), "caf\ufffd"}
    assert cell.unreadable == {"no_text": 1, "not_json": 1}
