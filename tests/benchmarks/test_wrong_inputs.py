"""What a user gives wrongly to the commands that fit tables and combinations ends in one line that says how to mend it:
the file, the line or the field, and no traceback."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import grades, prefilter_fit
from benchmarks.__main__ import main
from infra.dataset.manifest import Kind
from pipeline.models.combination import Combination, Term
from pipeline.models.topics import FORMAT
from pipeline.models.word_table import WordTable
from tests.pipeline.datasets import document, make_dataset

SUMS, TALES = ("add", "integral", "prove"), ("hero", "tale", "verse")
PLAIN = tuple(f"w{letter}" for letter in "abcdefghijkl")
# Words of each source, so that none has near-copies of another's.
OWN = [tuple(f"{source}{letter}" for letter in "abcdefgh") for source in "vxyzqk"]
WORDS = sorted([*SUMS, *TALES, *PLAIN, *(word for words in OWN for word in words)])


def text_of(words: tuple[str, ...], number: int) -> str:
    return " ".join([*words, *PLAIN[number % 3 :], f"own{number}"])


def labelled() -> list[dict[str, Any]]:
    """Six sources, each with texts of sums, of tales and of neither."""
    return [
        {"text": text_of((*words, *own), number), "language": "en", "source": f"web {own[0]}", "subjects": subjects}
        for own in OWN
        for number in range(3)
        for words, subjects in ((SUMS, ["mathematics"]), (TALES, ["literature"]), ((), []))
    ]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def with_row(rows: list[dict[str, Any]], **changed: Any) -> list[dict[str, Any]]:
    """The second row changed: a field that is `...` is left out."""
    return [rows[0], {k: v for k, v in {**rows[1], **changed}.items() if v is not ...}, *rows[2:]]


def column(*kinds: tuple[str, ...]) -> list[float]:
    return [6.0 if any(word in kind for kind in kinds) else 0.0 for word in WORDS]


def write_table(path: Path, language: str = "en", **columns: list[float]) -> Path:
    table = WordTable(dict.fromkeys(columns, -2.0), WORDS, [1.0] * len(WORDS), list(columns.values()))
    path.write_text(table.as_text(FORMAT.format(language)))
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands run: whole inputs under short names."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "read.jsonl", labelled())
    both = {"iq": column(SUMS), "eq": column(TALES)}
    write_table(tmp_path / "en.tsv", **both, topic_mathematics=column(SUMS), topic_literature=column(TALES))
    write_table(tmp_path / "zh.tsv", "zh", **both, topic_mathematics=column(SUMS))
    write_table(tmp_path / "axes.tsv", **both)
    write_table(tmp_path / "subject.tsv", **both, topic_chess=column(SUMS))
    (tmp_path / "clean").mkdir()
    write(tmp_path / "clean" / "a.jsonl", [{"text": text_of(SUMS, n)} for n in range(60)])
    np.savez(tmp_path / "vectors.npz", words=np.array(["zebra"]), vectors=np.ones((1, 6)))
    np.savez(tmp_path / "words.npz", words=np.array(["zebra"]))
    write(tmp_path / "bad.json", ["{"])
    return tmp_path


def told(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line in which it ends."""
    assert main(command) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "Traceback" not in line
    return line


ROWS: list[tuple[list[Any], str]] = [
    ([], "given.jsonl is empty: give JSON lines with"),
    ([*labelled()[:2], "{"], "given.jsonl .* line 3: .* at column 2"),
    ([*labelled()[:2], "5"], "given.jsonl .* line 3: it is no object"),
    (["[" * 100_000], "given.jsonl .* line 1"),
    (with_row(labelled(), text=...), "given.jsonl, line 2 has no 'text'"),
    (with_row(labelled(), text=5), "given.jsonl, line 2: 'text' is 5: give the text"),
    (with_row(labelled(), source=...), "given.jsonl, line 2 has no 'source'"),
    (with_row(labelled(), language=...), "given.jsonl, line 2 has no 'language'"),
    (with_row(labelled(), subjects=...), "given.jsonl, line 2 has no 'subjects': give a list of subjects"),
    (with_row(labelled(), subjects="arts"), "given.jsonl, line 2: 'subjects' is 'arts': give a list"),
    (with_row(labelled(), subjects=["litterature"]), "line 2: .* 'litterature', .* did you mean 'literature'"),
    (with_row(labelled(), domain="novels"), "given.jsonl, line 2: 'domain' is 'novels'; there are mathematics"),
    ([row | {"language": "de"} for row in labelled()], "no text of given.jsonl is in the language 'en': there is de"),
]


@pytest.mark.parametrize("command", ["topics", "topics --table en.tsv", "topic_adapt --table en.tsv --clean clean"])
@pytest.mark.parametrize(("rows", "message"), ROWS)
def test_rows_of_labelled_texts(
    command: str, rows: list[Any], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "given.jsonl", rows)
    line = told([*command.split(), "--texts", "given.jsonl", "--language", "en"], capsys)
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--texts none.jsonl", "none.jsonl"),
        ("--language xx", "language 'xx': there is en"),
        ("--table zh.tsv", "zh.tsv is no refinery.topics.en/1 model"),
        ("--table axes.tsv", "axes.tsv has the columns iq, eq: it needs"),
        ("--table subject.tsv", "subject.tsv tells 'topic_chess'"),
        ("--vectors none.npz", "none.npz has no vectors of words: make it with"),
        ("--vectors words.npz", "words.npz has no vectors of words: make it with"),
        ("--vectors bad.json", "bad.json has no vectors of words: make it with"),
        ("--vectors vectors.npz", "--vectors has none of the words"),
        ("--apart web_7", "--apart: no text in 'en' is of the source 'web_7'"),
        ("--out none/en.tsv", "none/en.tsv cannot be written: there is no folder none"),
    ],
)
def test_options_of_topics(options: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del folder
    command = ["topics", "--texts", "read.jsonl", "--language", "en", *options.split()]
    assert message in told(command, capsys)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row | {"source": "web"} for row in labelled()], "no text is left to fit on: give texts of more sources"),
        ([row | ({} if n < 9 else {"subjects": []}) for n, row in enumerate(labelled())], "none has 'iq': give texts"),
        ([row | {"source": "seed a"} for row in labelled()], "no source of 'en' is left to hold out"),
        ([row | {"subjects": []} for row in labelled()], "fewer than 3 texts have a subject of the axis IQ"),
        ([row | {"subjects": None} for row in labelled()], "fewer than 3 texts have a subject of the axis IQ"),
        ([row | {"text": "a"} for row in labelled()], "no word is in 3 of the texts in 'zh'"),
    ],
)
def test_texts_that_no_table_is_fitted_on(
    rows: list[Any], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    language = "zh" if "'zh'" in message else "en"
    write(folder / "given.jsonl", [row | {"language": language} for row in rows])
    assert message in told(["topics", "--texts", "given.jsonl", "--language", language], capsys)


def test_a_table_of_texts_without_an_axis_has_no_share(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "given.jsonl", [row | {"subjects": []} for row in labelled()])
    command = ["topics", "--texts", "given.jsonl", "--language", "en", "--table", "en.tsv", "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["told"]["axis_of_iq_and_eq"] is None
    unknown = [row | {"subjects": None} for row in labelled()]
    write(folder / "given.jsonl", unknown)
    assert "that begins 'add integral" in told(command, capsys)


@pytest.mark.parametrize(
    ("options", "rows", "message"),
    [
        ("--table zh.tsv", None, "zh.tsv is no refinery.topics.en/1 model"),
        ("--table axes.tsv", None, "axes.tsv has the columns iq, eq: it needs"),
        ("--ridge nan", None, "--ridge and --weight"),
        ("--weight inf", None, "--ridge and --weight"),
        ("--out none/en.tsv", None, "there is no folder none"),
        ("--clean none", None, "there are no JSON lines in none: --clean takes folders"),
        ("--clean more", [{"text": "a"}, {"words": "a"}], "given.jsonl, line 2 has no 'text'"),
        ("--clean more", [], "given.jsonl is empty"),
        ("--clean more", [{"text": "a"}], "no clean text is left to learn from"),
        ("--clean more", [{"text": text_of(SUMS, n)} for n in range(40)], "no clean text is left to learn from"),
        ("--rehearse more/given.jsonl", [{"text": None}], "given.jsonl, line 1: 'text' is None"),
        ("--rehearse more/given.jsonl", [{"text": "a", "subjects": ["chess"]}], "line 1: 'subjects' has 'chess'"),
        ("--rehearse more/given.jsonl", ["{'text': 'a'}"], "given.jsonl .* line 1: .* column 2"),
        ("--texts more/given.jsonl", labelled()[:18], "these texts are of 2 sources: 5 are needed"),
        ("--texts more/given.jsonl", [r | {"subjects": None} for r in labelled()], "are not known"),
    ],
)
def test_options_of_topic_adapt(
    options: str, rows: list[Any] | None, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if rows is not None:
        (folder / "more").mkdir()
        write(folder / "more" / "given.jsonl", rows)
    whole = ["topic_adapt", "--texts", "read.jsonl", "--language", "en", "--table", "en.tsv", "--clean", "clean"]
    line = told([*whole, *options.split()], capsys)
    assert re.search(message, line), line


def graded() -> list[dict[str, Any]]:
    return [
        {"id": str(n), "text": text_of(SUMS if n % 2 else (), n), "source": f"s{n % 20}", "grades": [2 + n % 2 * 2]}
        for n in range(40)
    ]


@pytest.fixture
def measured(folder: Path) -> Path:
    """Folders of signals: whole, without one, and with one that was never measured."""
    names = grades.SIGNALS["en"]
    for name, signals in (
        ("measured", dict.fromkeys(names, 0.5)),
        ("without", {n: 0.5 for n in names if n != "coherent"}),
        ("null", dict.fromkeys(names, 0.5) | {"coherent": None}),
    ):
        rows = [document(n, id=str(n), signals=signals) for n in range(40)]
        make_dataset(folder / name, "measure", rows, [], signals=[*signals])
    base = Combination(0.5, (Term("chess", (0.0, 1.0), (-2.0, 2.0)),))
    (folder / "base.json").write_text(base.as_text())
    write(folder / "graded.jsonl", graded())
    return folder


@pytest.mark.parametrize(
    ("options", "rows", "message"),
    [
        ("--measured none", None, "none"),
        ("--measured without", None, "without has no signal 'coherent'"),
        ("--measured null", None, r"graded.jsonl in null have no signal 'coherent' \(all null\)"),
        ("--language zh", None, "measured has no signal 'chinese_terminal_line_fraction'"),
        ("--base base.json", None, "measured has no signal 'chess'"),
        ("--base bad.json", None, "bad.json is no refinery.combination/1 model"),
        ("--out none/en.tsv", None, "there is no folder none"),
        ("--graded none.jsonl", None, "none.jsonl"),
        ("--graded given.jsonl", [], "given.jsonl is empty"),
        ("--graded given.jsonl", ["{"], "given.jsonl .* line 1: .* at column 2"),
        *(
            ("--graded given.jsonl", with_row(graded(), **{name: ...}), f"given.jsonl, line 2 has no '{name}'")
            for name in ("id", "text", "source", "grades")
        ),
        ("--graded given.jsonl", with_row(graded(), id=1), "line 2: 'id' is 1: give the id"),
        ("--graded given.jsonl", with_row(graded(), id="x"), "measured has no signals of 'x'"),
        ("--graded given.jsonl", with_row(graded(), grades=3), "line 2: 'grades' is 3: give a list of numbers"),
        ("--graded given.jsonl", with_row(graded(), grades=["3"]), "line 2: 'grades' is .* from 1 to 5"),
        ("--graded given.jsonl", with_row(graded(), grades=[7]), r"line 2: 'grades' is \[7\]: .* from 1 to 5"),
        ("--apart given.jsonl", graded()[:1], "one text apart has no order"),
    ],
)
def test_options_of_grades(
    options: str, rows: list[Any] | None, message: str, measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if rows is not None:
        write(measured / "given.jsonl", rows)
    whole = ["grades", "--graded", "graded.jsonl", "--measured", "measured", "--language", "en"]
    line = told([*whole, *options.split()], capsys)
    assert re.search(message, line), line


@pytest.fixture
def runs(folder: Path) -> Path:
    """A run of every page, and cheap signals of its pages: of these, of others, of two, without one, all null."""
    names = prefilter_fit.SIGNALS["en"]
    located = {"language": "en", "member_record": None}
    full = [document(n, **located, signals={"quality": 0.1 + n / 50}) for n in range(40)]
    for place, (stage, signals) in enumerate({"clusters": ["quality"], "keep-rate": ["quality"]}.items()):
        make_dataset(folder / "all" / f"0{place}-{stage}", stage, full, [], signals=signals)
        plain = [row | {"signals": {"words": 1.0}} for row in full]
        make_dataset(folder / "unsaid" / f"0{place}-{stage}", stage, plain, [])
    signals = {"characters": 500.0, **dict.fromkeys(names, 0.2)}
    kinds: dict[str, list[dict[str, Any]]] = {
        "cheap": [signals | {"grade": 0.1 + n / 60} for n in range(40)],
        "short": [signals | {"characters": 5.0}] * 40,
        "without": [{k: v for k, v in signals.items() if k != "grade"}] * 40,
        "null": [signals | {"grade": None}] * 40,
    }
    for name, each in kinds.items():
        rows = [document(n, **located, signals=one) for n, one in enumerate(each)]
        make_dataset(folder / name, "measure", rows, [], signals=[*each[0]])
    elsewhere = [document(n, **located, file_path="b.warc.gz", signals=signals) for n in range(40)]
    make_dataset(folder / "elsewhere", "measure", elsewhere, [], signals=[*signals])
    nothing = [{"id": str(n), "url": "u", "file_path": "a", "warc_offset": n} for n in range(3)]
    make_dataset(folder / "records", "measure", nothing, [], kind=Kind.RECORDS)
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--cheap none", "none"),
        ("--all none", "none has no stage 'keep-rate'"),
        ("--cheap elsewhere", "of 40 pages of elsewhere in 'en', 0 have a quality in all"),
        ("--cheap short", "no page of short in 'en' has 300 characters"),
        ("--cheap without", "without has no signal 'grade'"),
        ("--cheap null", "pages of null in 'en' have no signal 'grade' (all null)"),
        ("--cheap records", "records has no column"),
        ("--cheap cheap --all unsaid", "unsaid/00-clusters has no signal 'quality'"),
        ("--language zh", "cheap has no signal 'coherent'"),
        ("--out none/en.json", "there is no folder none"),
    ],
)
def test_options_of_prefilter_fit(options: str, message: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del runs
    whole = ["prefilter_fit", "--cheap", "cheap", "--all", "all", "--language", "en"]
    assert message in told([*whole, *options.split()], capsys)


def test_a_page_without_a_signal_is_not_fitted_on(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["prefilter_fit", "--cheap", "cheap", "--all", "all", "--language", "en", "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pages"] == found["kept"] == 40 and found["correlation"] > 0.9
    names = prefilter_fit.SIGNALS["en"]
    signals = {"characters": 500.0, **dict.fromkeys(names, 0.2)}
    rows = [document(n, language="en", signals=signals | {"grade": 0.1 + n / 60 if n else None}) for n in range(40)]
    make_dataset(runs / "some", "measure", rows, [], signals=[*signals])
    command[2] = "some"
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["correlation"] > 0.9
