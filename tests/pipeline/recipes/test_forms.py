"""Which forms of text `yi`'s rules let through: formulas, code, speech and half-width marks are not broken text."""

import pytest

from filters.catalog import measure
from filters.rules import Rule, judge
from filters.view import View
from pipeline.recipes.parse import load_recipe
from pipeline.steps.judge import Judge

RULES = [
    (each.languages or step.languages, each.rule)
    for stage in load_recipe("yi").stages
    for step in stage.steps
    if isinstance(step, Judge) and step.name in ("broken", "repetition", "english", "chinese")
    for each in step.rules
]
WORDS = ("spaces", "maps", "groups", "rings", "fields", "sums", "limits", "chains", "points", "curves", "forms", "sets")
SENTENCES = [f"We ask what {word} are, and why no other has more of them." for word in WORDS]
FORMULAS = "\n".join(f"{sentence}\n\\[\nx = {word}\n\\]" for sentence, word in zip(SENTENCES, WORDS))
CODE = "\n".join(f"{sentence}\n```c\nif ({word}) {{\n}}\n```" for sentence, word in zip(SENTENCES, WORDS))
COOKIES = "\n".join(f"{each} Cookies with {word} keep for long in a box." for each in SENTENCES[:3] for word in WORDS)
SPEECH = "\n".join(
    f"A: {sentence}\nB: But if {word}...\nA: Then not.\nB: Why?" for sentence, word in zip(SENTENCES, WORDS)
)
SYMBOLS = "\n".join(f"Let x be in A and y in B, and both of them are {word} of C." for word in WORDS)
HALF_WIDTH = "\n".join(f"在{word}里调用这个函数, 它会返回一个新的列表. 如果没有找到, 就什么也不做." for word in WORDS)
KEYWORDS = "\n".join(f"手机{word}电脑相机汽车房产招聘旅游酒店机票" for word in WORDS)
MENU = "\n".join(["Log in", "Sign up", "Read more", "Subscribe", "Privacy", "Terms of use", "Cookies"] * 8)


def failed(text: str, language: str, names: set[str]) -> set[str]:
    """Of the rules on these signals those that fail."""
    rules: list[Rule] = [
        rule for languages, rule in RULES if rule.signal in names and (not languages or language in languages)
    ]
    assert {rule.signal for rule in rules} == names
    return {found.rule.signal for found in judge(measure(View(text, language=language), names), rules)}


@pytest.mark.parametrize(
    ("text", "ours", "published"),
    [
        (FORMULAS, "repeated_line_fraction", "duplicate_line_fraction"),
        (CODE, "repeated_line_fraction", "duplicate_line_fraction"),
        (COOKIES, "capped_boilerplate_rate", "boilerplate_rate"),
    ],
)
def test_a_form_that_another_count_takes_for_broken_text(text: str, ours: str, published: str) -> None:
    assert failed(text, "en", {ours}) == set()
    assert (measure(View(text, language="en"), [published])[published] or 0) > 0.3
    assert failed(MENU, "en", {ours}) == {ours}


def test_speech_that_breaks_off_and_words_of_one_letter_pass() -> None:
    points = {"gopher_ellipsis_line_fraction", "gopher_ellipsis_ratio"}
    assert failed(SPEECH, "en", points) == set()
    assert failed("Read on...\nAnd so on...\n" * 9, "en", points) == points
    assert failed(SYMBOLS, "en", {"mean_word_length"}) == set()


def test_half_width_marks_of_chinese_pass_and_keywords_do_not() -> None:
    assert failed(HALF_WIDTH, "zh", {"chinese_mark_ratio"}) == set()
    assert failed(KEYWORDS, "zh", {"chinese_mark_ratio"}) == {"chinese_mark_ratio"}
