"""Topic tables: probabilities for each subject alone, a domain where one is likely, no guess in another language."""

from pathlib import Path

import pytest

from filters.han_grams import han_gram_counts
from infra.errors import UsageError
from mixers.domains import DOMAINS
from mixers.subjects import DOMAIN_OF_SUBJECT, domain_of, read_taxonomy
from pipeline.document import Document
from pipeline.models.loaded import Models
from pipeline.models.topics import COLUMNS, FORMAT, LEAST_WORDS, load_topics, topic_domain
from pipeline.models.word_table import WordTable
from pipeline.steps.label import Label

MATHS, TALK = "theorem proof lemma", "hello thanks please"
FILLER = [f"w{letter}" for letter in "abcdefghij"]


def write(path: Path, language: str, columns: dict[str, dict[str, float]], words: list[str]) -> Path:
    words = sorted(words)
    table = WordTable(
        dict.fromkeys(columns, -3.0), words, [1.0] * len(words),
        [[column.get(word, 0.0) for word in words] for column in columns.values()],
    )  # fmt: skip
    path.write_text(table.as_text(FORMAT.format(language)))
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    maths, talk = (dict.fromkeys(words.split(), 12.0) for words in (MATHS, TALK))
    columns = {"iq": maths, "eq": talk, "topic_mathematics": maths, "topic_dialogue": talk}
    return write(tmp_path / "topics-en.tsv", "en", columns, [*FILLER, *maths, *talk])


def document(text: str, language: str | None = "en") -> Document:
    return Document(text, language=language)


def test_a_page_may_be_of_both_axes(table: Path) -> None:
    of = load_topics(table)
    filler = " ".join(FILLER)
    both, maths, none = (of(document(f"{filler} {words}")) for words in (f"{MATHS} {TALK}", MATHS, ""))
    assert both["iq"] == both["eq"] == both["topic_mathematics"] == both["topic_dialogue"]
    assert (both["iq"] or 0) > 0.5 and (maths["iq"] or 0) > 0.5 > (maths["eq"] or 1) and (none["iq"] or 1) < 0.1
    assert set(both) == set(COLUMNS) and both["topic_arts"] is None
    assert [topic_domain(found) for found in (maths, none)] == ["mathematics", "general"]


@pytest.mark.parametrize("language", ["de", "zh", None])
def test_no_guess_in_another_language(table: Path, language: str | None) -> None:
    found = load_topics(table)(document(f"{' '.join(FILLER)} {MATHS}", language))
    assert set(found.values()) == {None}
    assert topic_domain(found) is None


@pytest.mark.parametrize(
    "text", ["", "theorem " * 1000, "\0" * 99, "1234 %%% ---", " ".join(FILLER[: LEAST_WORDS - 1])]
)
def test_too_few_words_tell_nothing(table: Path, text: str) -> None:
    assert set(load_topics(table)(document(text)).values()) == {None}


def test_chinese_is_told_without_its_latin_letters(tmp_path: Path) -> None:
    words = [*"定理证明引的一是在有人", "定理"]
    of = load_topics(write(tmp_path / "topics-zh.tsv", "zh", {"iq": {"定理": 20.0}}, words))
    text = "定理证明引的一是在有人"
    assert of(document(text, "zh")) == of(document(f"hello thanks {text} please 123", "zh"))
    assert (of(document(text, "zh"))["iq"] or 0) > 0.5
    assert han_gram_counts("定理 a 理!") == {"定": 1, "理": 2, "定理": 1}


def test_traditional_characters_count_as_simplified() -> None:
    assert han_gram_counts("醫學與歷史") == han_gram_counts("医学与历史")


def test_axes_decide_what_is_general() -> None:
    shared = {"topic_science": 0.35, "topic_code": 0.3, "topic_society": 0.45}
    assert topic_domain({"iq": 0.9, "eq": 0.3, **shared}) == "science"
    assert topic_domain({"iq": 0.3, "eq": 0.9, **shared}) == "society"
    assert topic_domain({"iq": 0.4, "eq": 0.3, "topic_society": 0.9}) == "general"
    assert topic_domain({"iq": 0.9, "eq": None, "topic_medicine": None, **shared}) == "science"
    assert topic_domain({"iq": None, "eq": None, **shared}) == "general"
    assert topic_domain(dict.fromkeys(COLUMNS)) is None


def test_a_label_takes_a_table(table: Path) -> None:
    step = Label.read({"kind": "label", "what": "domain", "model": "topics-en.tsv", "languages": ["en"]}, "step")
    step.check_models({"topics-en.tsv": table})
    models = Models({"topics-en.tsv": str(table)})
    for text, language, domain in (
        (f"{' '.join(FILLER)} {TALK}", "en", "dialogue"),
        (MATHS, "en", None),
        (TALK, "de", None),
    ):
        one = document(text, language)
        assert step.run(one, models, None) == []
        assert one.domain == domain
    # a table says nothing of other languages: what was said before stays
    told = document(TALK, "de")
    told.domain = "arts"
    Label.read({"kind": "label", "what": "domain", "model": "topics-en.tsv"}, "step").run(told, models, None)
    assert told.domain == "arts"


def test_files_that_are_no_table(tmp_path: Path, table: Path) -> None:
    path = tmp_path / "other.tsv"
    for content in (
        "",
        "refinery.reference/1\twords=0\tiq=1\n",
        table.read_text()[:-9],
        "\ud800".encode("utf-8", "replace").decode(),
    ):
        path.write_text(content)
        with pytest.raises(UsageError, match="refinery fit defaults"):
            load_topics(path)
    with pytest.raises(UsageError, match="tells topic_gossip, which is none of iq, eq, topic_"):
        load_topics(write(path, "en", {"topic_gossip": {}}, FILLER))


def test_the_taxonomy() -> None:
    assert {"economics", "medicine", "philosophy", "everyday_life"} <= DOMAIN_OF_SUBJECT.keys()
    assert set(DOMAIN_OF_SUBJECT.values()) == set(DOMAINS)
    assert domain_of({"medicine": 0.6, "arts": 0.4}) == "science"
    assert domain_of({"medicine": 0.4, "arts": 0.4}) == domain_of({}) == domain_of({}, {"IQ": 0.9}) == "general"
    assert domain_of({"medicine": 0.4, "arts": 0.45}, {"IQ": 0.7, "EQ": 0.6}) == "science"
    assert domain_of({"everyday_life": 0.9, "medicine": 0.4}, {"IQ": 0.4, "EQ": 0.1}) == "general"
    with pytest.raises(UsageError, match="medicine is of 'health', which is no domain"):
        read_taxonomy('[subjects]\nmedicine = "health"')
    with pytest.raises(UsageError, match="cannot be called 'a b'"):
        read_taxonomy('[subjects]\n"a b" = "science"')
    with pytest.raises(UsageError, match=r"needs a table \[subjects\]"):
        read_taxonomy("subjects = 1")
