"""Many documents through the steps together: each ends as it does alone."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from filters.rules import Rule
from pipeline.document import Document
from pipeline.models.loaded import loaded_models
from pipeline.steps import interpreter
from pipeline.steps.interpreter import run_steps, run_steps_over
from pipeline.steps.judge import Judge
from pipeline.steps.rewrite import Rewrite
from pipeline.steps.rules import RecipeRule


def judge(name: str, signal: str, most: float) -> Judge:
    return Judge(name, (RecipeRule(Rule(signal, "max", most)),))


STEPS = (judge("short", "words", 6), Rewrite("edit", "mask_pii"), judge("again", "characters", 40))
TEXT = st.lists(st.sampled_from(["one", "two", "me@example.com", "three" * 9]), max_size=9).map(" ".join)


@given(st.lists(TEXT, max_size=9), st.integers(1, 4), st.integers(1, 100))
def test_documents_together_end_as_they_do_alone(texts: list[str], block: int, characters: int) -> None:
    models = loaded_models(())
    alone, together = ([Document(text) for text in texts] for _ in range(2))
    passed: tuple[list[tuple[int, str]], list[tuple[int, str]]] = ([], [])
    expected = [
        run_steps(document, STEPS, models, None, lambda order, d: passed[0].append((order, d.text)))
        for document in alone
    ]
    before = interpreter.BLOCK, interpreter.BLOCK_CHARS
    interpreter.BLOCK, interpreter.BLOCK_CHARS = block, characters
    try:
        found = run_steps_over(together, STEPS, models, lambda order, d: passed[1].append((order, d.text)))
    finally:
        interpreter.BLOCK, interpreter.BLOCK_CHARS = before
    assert found == expected and sorted(passed[0]) == sorted(passed[1])
    for one, other in zip(alone, together, strict=True):
        one.forget()
        assert replace(one) == other
