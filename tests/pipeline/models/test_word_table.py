"""Tables of words: what was written is read, and what is not a whole table is refused in one line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import UsageError
from pipeline.models.bag_of_words import BagOfWords, load_bag_of_words
from pipeline.models.reference import ReferenceClassifier, load_reference
from pipeline.models.store import shipped_models
from pipeline.models.word_table import WordTable, parse_word_table

FORM = "refinery.reference/1"
WHOLE = f"{FORM}\twords=2\tcode=-1.5\ttalk=0.0\nbe\t1.0\t2.0\t-3\nto\t1.25\t0\t1e-3\n"
NUMBERS = st.floats(-1e5, 1e5)


def test_a_table_as_it_stands_in_its_file() -> None:
    table = WordTable({"code": -1.5, "talk": 0.0}, ["be", "to"], [1.0, 1.25], [[2.0, 0.0], [-3.0, 0.001]])
    assert parse_word_table(WHOLE, FORM) == table
    assert table.as_text(FORM).splitlines()[1] == "be\t1.0\t2.0\t-3.0"


@given(st.dictionaries(st.from_regex(r"[^\W_]{1,9}", fullmatch=True), st.tuples(st.floats(0.5, 99), NUMBERS)), NUMBERS)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, words: dict[str, tuple[float, float]], intercept: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "words.tsv"
    path.write_text(BagOfWords(intercept, words).as_text())
    assert load_bag_of_words(path) == BagOfWords(intercept, words)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (WHOLE, ""),
        (WHOLE, "{}"),
        (FORM, "refinery.bag_of_words/1"),
        ("to\t1.25\t0\t1e-3\n", ""),  # cut after a line
        ("1e-3\n", "1e"),  # cut within one
        ("1e-3\n", "1e-3"),
        ("words=2", "words=3"),
        ("words=2", "2"),
        ("\tcode=-1.5\ttalk=0.0", ""),
        ("talk=0.0", "code=0.0"),
        ("code=-1.5", "code=nan"),
        ("code=-1.5", "code=" + "9" * 400),
        ("code=-1.5", "code"),
        ("\t2.0\t", "\t1e300\t"),
        ("\t2.0\t", "\tinf\t"),
        ("\t2.0\t", "\tx\t"),
        ("\t2.0\t", "\t\t"),
        ("\t2.0\t", "\t2.0\t2.0\t"),
        ("\t2.0\t", "\t"),
        ("be\t1.0\t", "be\t0.0\t"),
        ("be\t1.0\t", "be\t-1.0\t"),
        ("be\t1.0\t2.0\t-3\nto", "be\t1.0\t2.0\t-3\t4\nto"),
        ("to\t", "at\t"),  # not sorted
        ("to\t", "be\t"),
    ],
)  # fmt: skip
def test_what_is_not_a_whole_table_is_refused_in_one_line(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_text(WHOLE)
    assert load_reference(path)({"to": 1}) > 0
    assert old in WHOLE
    path.write_text(WHOLE.replace(old, new, 1))
    with pytest.raises(
        UsageError, match=r"^[^\n]* is no refinery\.reference/1 model: run `refinery fit reference` [^\n]*$"
    ):
        load_reference(path)


@pytest.mark.parametrize("content", [b"\xff", WHOLE.encode("utf-16")])
def test_bytes_that_are_no_text_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "words.tsv").write_bytes(content)
    with pytest.raises(UsageError, match="refinery fit"):
        load_reference(tmp_path / "words.tsv")


def test_a_classifier_of_several_columns_is_no_quality_classifier(tmp_path: Path) -> None:
    (tmp_path / "words.tsv").write_text(WHOLE.replace(FORM, "refinery.bag_of_words/1"))
    with pytest.raises(UsageError, match=r"is no refinery\.bag_of_words/1 model"):
        load_bag_of_words(tmp_path / "words.tsv")


def test_the_shipped_tables_are_whole() -> None:
    """The numbers that `yi` was set with (docs/models.md)."""
    shipped = shipped_models()
    model = load_bag_of_words(shipped["bag-of-words-en.tsv"])
    assert (len(model.words), model.intercept, model.words["zero"]) == (3000, -2.9682, (3.8507, 0.1938))
    load_reference(shipped["reference-en.tsv"])
    kinds = parse_word_table(shipped["reference-en.tsv"].read_text(), FORM).intercepts
    assert list(kinds) == ["code", "dialogue", "fiction", "mathematics", "papers"]
    assert ReferenceClassifier(kinds, {}).scorer()({"unknown": 1}) == 0.0
