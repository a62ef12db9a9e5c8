"""Questions with choices: both forms of rows, examples, and which choice counts as taken."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from infra.errors import UsageError
from pipeline.cli.metric_text import choices_text
from pipeline.metric.answers import choices_answer
from pipeline.metric.choices import evaluate_choices, wilson
from pipeline.metric.question_file import Question, read_questions


class WordScorer:
    """A bit a letter, and none for words that the context has."""

    @property
    def about(self) -> dict[str, str]:
        return {"checkpoint": "made"}

    def continuation_bits(self, contexts: Sequence[str], continuations: Sequence[str]) -> npt.NDArray[np.float64]:
        return np.array(
            [
                float(sum(len(word) for word in choice.split() if word not in context.split()))
                for context, choice in zip(contexts, continuations, strict=True)
            ]
        )


def write(path: Path, rows: Sequence[Any]) -> Path:
    text = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_documents_of_several_forms_are_one_question(tmp_path: Path) -> None:
    asked = Question("arc", "Question: Which is a fish?\nAnswer:", (" oak", " trout", " crow"), 1)
    texts, query = ["oak", "trout", "crow"], "Question: Which is a fish?\nAnswer:"
    rows = [
        {"query": query, "choices": texts, "gold": 1},
        {"task": "arc", "doc": {"query": query, "choices": texts, "gold": "1"}},
        {"question": "Which is a fish?", "choices": texts, "answer": "B"},
        {"question": "Which is a fish?", "choices": {"text": texts, "label": ["1", "2", "3"]}, "answerKey": "2"},
        {"question": "Which is a fish?", "choices": texts, "answer": "trout"},
        {"doc_id": 0, "target": "1", "arguments": [[query, f" {each}"] for each in texts]},
        {"target": 1, "arguments": {f"gen_args_{n}": {"arg_0": query, "arg_1": f" {t}"} for n, t in enumerate(texts)}},
    ]
    assert read_questions(write(tmp_path / "arc.jsonl", rows)) == [asked] * len(rows)
    assert read_questions(write(tmp_path / "arc.jsonl.gz", rows)) == [asked] * len(rows)


def test_rows_that_are_no_question_are_counted(tmp_path: Path) -> None:
    good = {"query": "q", "choices": ["a", "b"], "gold": 0}
    bad: list[Any] = [
        {**good, "gold": 2},
        {**good, "choices": ["a"]},
        {**good, "choices": [1, 2]},
        {**good, "choices": ["a", " "]},
        {"choices": ["a", "b"], "gold": 0},
        {"query": "q", "choices": ["a", "b"]},
        {"arguments": [["one context", " a"], ["another", " a"]], "target": 0},
        {"arguments": 3, "target": 0},
        [1],
    ]
    told: list[str] = []
    path = write(tmp_path / "q.jsonl", [good, *bad])
    assert len(read_questions(path, say=told.append)) == 1
    assert told == [f"{path}: 9 of 10 rows are left out: no question with choices and answer"]
    with pytest.raises(UsageError, match="has no questions"):
        read_questions(write(tmp_path / "none.jsonl", bad))
    (tmp_path / "torn.jsonl").write_text('{"query"')
    with pytest.raises(UsageError, match="line 1, is no JSON"):
        read_questions(tmp_path / "torn.jsonl")


def test_examples_come_before_questions_and_are_not_asked(tmp_path: Path) -> None:
    rows = [{"query": f"{n}?", "choices": ["yes", "no"], "gold": n % 2} for n in range(4)]
    found = read_questions(write(tmp_path / "q.jsonl", rows), shots=2)
    assert [each.context for each in found] == ["0? yes\n\n1? no\n\n2?", "0? yes\n\n1? no\n\n3?"]
    split = [row | {"split": "dev" if n == 3 else "test"} for n, row in enumerate(rows)]
    found = read_questions(write(tmp_path / "q.jsonl", split), shots=1)
    assert [each.context for each in found] == [f"3? no\n\n{n}?" for n in range(3)]
    with pytest.raises(UsageError, match="too few questions for --shots 4"):
        read_questions(write(tmp_path / "q.jsonl", rows), shots=4)
    logged = {"target": 0, "arguments": [["q", " a"], ["q", " b"]]}
    with pytest.raises(UsageError, match="has requests with their own examples"):
        read_questions(write(tmp_path / "q.jsonl", [logged]), shots=1)


def test_fewest_bits_and_fewest_bits_per_byte(tmp_path: Path) -> None:
    """The long choice has more bits, and fewer a byte."""
    questions = [
        Question("a", "red green blue", (" xy", " red green blue xyz"), 1),
        Question("a", "red", (" red", " xyz"), 0),
        Question("b", "red", (" red", " xyz"), 1),
    ]
    answer = evaluate_choices(WordScorer(), questions)
    a = answer["tasks"]["a"]
    assert (a["questions"], a["accuracy"], a["normalised"], a["guess"]) == (2, 0.5, 1.0, 0.5)
    assert a["bits_per_byte"] == 3 / (len(" red green blue xyz") + len(" red"))
    assert answer["tasks"]["b"]["accuracy"] == 0 and answer["mean"]["accuracy"] == 0.25
    assert answer["checkpoint"] == "made" and a["accuracy_interval"] == wilson(1, 2)
    assert "mean of 2" in choices_text(answer)
    rows = [{"query": each.context, "choices": [c[1:] for c in each.choices], "gold": each.gold} for each in questions]
    written = choices_answer(WordScorer(), write(tmp_path / "q.jsonl", rows), out=tmp_path / "out")
    assert json.loads((tmp_path / "out" / "choices.json").read_bytes())["tasks"]["q"]["questions"] == 3
    assert written["tasks"]["q"]["normalised"] == pytest.approx(2 / 3)


def test_the_interval_of_a_share() -> None:
    """Wilson's, of 8 in 10: .490 to .943."""
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=1e-3)
    assert wilson(0, 10)[0] == 0 and wilson(10, 10)[1] == 1
