"""Questions with several choices, as harnesses write them: JSON lines, plain or packed.

Two forms of a row are read. What lm-evaluation-harness logs of a task (`--log_samples`) has the requests as they were
made, examples and all: `arguments`, pairs of a context and a continuation, and the right one in `target` (or in `doc`).
A document of a task has a `query` (or `question`), `choices`, and the right one in `gold`, `answer`, `label` or
`answerKey`; it may lie in `doc`, beside `task`. A question is then asked as `Question: …\\nAnswer:`, a query as it is,
and each choice follows after a space.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from infra.errors import UsageError
from pipeline.inputs.unpacked import open_lines

GOLD = ("gold", "answer", "label", "answerKey")
BETWEEN = "\n\n"
# Rows of these splits are examples where a file has them.
_EXAMPLE_SPLITS = ("dev", "train", "validation", "fewshot")

Say = Callable[[str], None]


class Question(NamedTuple):
    """`choices`: what may follow the context, as it is written after it; `gold`: the number of the right one."""

    task: str
    context: str
    choices: tuple[str, ...]
    gold: int


def read_questions(path: Path, shots: int = 0, say: Say | None = None) -> list[Question]:
    """The questions of a file, each after `shots` examples of its task: rows of a split for them, or else the first of
    the task, which are not asked then. Rows that are no question are left out, which `say` is told.

    UsageError for a file that has none, and for examples where the requests have their own, or too few."""
    try:
        with open_lines(str(path)) as file:
            rows = [_row(line, path, number) for number, line in enumerate(file, 1) if line.strip()]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    asked = [(row, question) for row in rows if (question := _question(row, path.name.split(".")[0])) is not None]
    if say is not None and len(asked) < len(rows):
        left_out = f"{len(rows) - len(asked):,} of {len(rows):,} rows are left out"
        say(f"{path}: {left_out}: no question with choices and answer")
    if not asked:
        raise UsageError(f"{path} has no questions: a row needs `query`, `choices`, `gold`, or `arguments`")
    if not shots:
        return [question for _, question in asked]
    if any("arguments" in row for row, _ in asked):
        raise UsageError(f"{path} has requests with their own examples: leave --shots out")
    return list(_with_examples(asked, shots, path))


def _row(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError(f"{path}, line {number}, is no JSON") from None
    return row if isinstance(row, dict) else {}


def _with_examples(asked: Sequence[tuple[Mapping[str, Any], Question]], shots: int, path: Path) -> Iterator[Question]:
    by_task: dict[str, list[tuple[Mapping[str, Any], Question]]] = {}
    for row, question in asked:
        by_task.setdefault(question.task, []).append((row, question))
    for task, members in by_task.items():
        marked = [question for row, question in members if row.get("split") in _EXAMPLE_SPLITS]
        rest = [question for row, question in members if row.get("split") not in _EXAMPLE_SPLITS]
        if not marked or not rest:
            every = [question for _, question in members]
            marked, rest = every[:shots], every[shots:]
        if len(marked) < shots or not rest:
            raise UsageError(f"{path}: {task} has too few questions for --shots {shots}")
        before = BETWEEN.join(f"{each.context}{each.choices[each.gold]}" for each in marked[:shots])
        yield from (each._replace(context=f"{before}{BETWEEN}{each.context}") for each in rest)


def _question(row: Mapping[str, Any], name: str) -> Question | None:
    """None for a row that is no question."""
    doc = row["doc"] if isinstance(row.get("doc"), Mapping) else row
    task = next((str(row[key]) for key in ("task", "task_name", "subject") if row.get(key)), name)
    if "arguments" in row:
        pairs = _requests(row["arguments"])
        contexts = {context for context, _ in pairs}
        if len(contexts) != 1:  # choices in the context, one ending: another kind of task
            return None
        context, choices = contexts.pop(), [choice for _, choice in pairs]
        gold = _gold([row.get("target"), *(doc.get(key) for key in GOLD)], choices, None)
    else:
        query, plain = doc.get("query"), doc.get("question")
        texts, labels = _choices(doc.get("choices"))
        if not isinstance(query or plain, str) or not texts:
            return None
        context = query if isinstance(query, str) and query else f"Question: {plain}\nAnswer:"
        gold = _gold([doc.get(key) for key in GOLD], texts, labels)
        choices = [f" {each}" for each in texts]
    if gold is None or len(choices) < 2 or not all(each.strip() for each in choices):
        return None
    return Question(task, context, tuple(choices), gold)


def _requests(arguments: Any) -> list[tuple[str, str]]:
    """(context, continuation) of each request: a list of pairs, or `{"gen_args_0": {"arg_0", "arg_1"}, …}`."""
    if isinstance(arguments, Mapping):
        arguments = [[each.get("arg_0"), each.get("arg_1")] for each in arguments.values() if isinstance(each, Mapping)]
    if not isinstance(arguments, list):
        return []
    pairs = [each for each in arguments if isinstance(each, list) and len(each) == 2]
    return [(str(context), str(choice)) for context, choice in pairs if isinstance(choice, str)]


def _choices(found: Any) -> tuple[list[str], list[str] | None]:
    """(texts, their labels if they have some) of a list, or of `{"text": […], "label": […]}`."""
    labels = None
    if isinstance(found, Mapping):
        labels = [str(each) for each in found.get("label") or ()] or None
        found = found.get("text")
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        return [], None
    return found, labels


def _gold(found: Sequence[Any], choices: Sequence[str], labels: Sequence[str] | None) -> int | None:
    """The number of the right choice: a number, a label, a letter or the text itself; None for neither."""
    for value in found:
        if value is None or isinstance(value, bool):
            continue
        text = str(value).strip()
        if labels and text in labels:
            return list(labels).index(text)
        if text.isdecimal():
            number = int(text) if len(text) < 9 else len(choices)
        elif len(text) == 1 and text.isascii() and text.isalpha():
            number = ord(text.upper()) - ord("A")
        else:
            number = next((place for place, each in enumerate(choices) if each.strip() == text), len(choices))
        if number < len(choices):
            return number
    return None
