"""Marks of a text's form: turns, code, formulas, speech; of a hostile line no more than its beginning is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.text_form import _CODE_LINE, LINE_CHARS, MOST, _is_code, _words, form_marks, share_in_turns

CHAT = "USER: Is the table free at eight?\nSYSTEM: It is.\nUSER: Then I take it, please.\nSYSTEM: It is booked."
CHINESE = "甲：你今天去哪里了？\n乙：我去了图书馆。\n甲：看了什么书？\n乙：一本小说。"
PRODUCT = "Price: 5 dollars\nWeight: 2 kg\nPrice: 7 dollars\nWeight: 3 kg\nPrice: 9 dollars\nWeight: 4 kg"
PROGRAM = "def twice(x):\n    y = 2 * x\n    return (y)\n\nfor x in range(9):\n    print(twice(x))"
PROOF = r"Let $x \in A$ and $y = x^2$. Then $\sum y \leq 4$, so $x = \pm 2$."
NOVEL = "“I shall not go there again,” she said. “It is too far, and you know it.” He looked at the sea."
PROSE = "The river rises in the hills. It flows south for forty miles, and then it meets the sea."


@pytest.mark.parametrize("text", [CHAT, CHINESE])
def test_lines_that_speakers_have_in_turn(text: str) -> None:
    assert share_in_turns(text) > 0.7 and form_marks(text)["<turns>"] == MOST


@pytest.mark.parametrize(
    "text",
    [
        "",
        PRODUCT,
        PROGRAM,
        PROOF,
        NOVEL,
        PROSE,
        "Note: this is new.\nNote: this too.",
        "http://a.b\nhttp://a.c",
        CHAT[:40],
    ],
)
def test_what_is_no_conversation(text: str) -> None:
    assert share_in_turns(text) == 0.0


def test_a_conversation_in_a_longer_text_is_its_share() -> None:
    prose = "\n".join([PROSE] * 12)
    assert 0 < share_in_turns(f"{CHAT}\n{prose}") < 0.2


@pytest.mark.parametrize(
    ("text", "mark", "least"),
    [(PROGRAM, "<code>", MOST // 2), (PROOF, "<formulas>", MOST), (NOVEL, "<speech>", MOST // 2),
     (CHAT, "<labelled>", MOST)],
)  # fmt: skip
def test_a_mark_for_each_form(text: str, mark: str, least: int) -> None:
    assert form_marks(text)[mark] >= least
    assert mark not in form_marks(f"{PROSE} {PROSE}")


@given(st.text())
def test_marks_are_small_numbers_and_no_words(text: str) -> None:
    marks = form_marks(text)
    assert all(name[0] == "<" and 1 <= n <= MOST for name, n in marks.items())
    assert 0 <= share_in_turns(text) <= 1


@pytest.mark.timeout(60)  # where a pattern goes back over a line, one of these takes minutes
@pytest.mark.parametrize("unit", ["a(", "a: ", "“", "$", "def ", "x = ", ": ", "\\", "if (", "a.b[", "((", ")"])
def test_of_a_line_without_end_the_beginning_is_read(unit: str) -> None:
    line = unit * 200_000
    assert share_in_turns(line) == 0.0
    assert form_marks(line).get("<code>", 0) == form_marks(line[:LINE_CHARS]).get("<code>", 0)


@given(
    st.lists(st.sampled_from([*" \t=;{}):(/#$>*.,ax0", "return", "if ", "Use", "use ", "\u3000", "f(x)"])).map("".join)
)
def test_a_line_of_code_is_looked_for_wherever_it_may_be(line: str) -> None:
    assert _is_code(line) == (_CODE_LINE.search(line) is not None)


@given(st.text(st.one_of(st.characters(), st.sampled_from("ab \n\t\u3000\x1c"))))
def test_words_are_what_white_space_parts(text: str) -> None:
    assert _words(text) == len(text.split())


def test_signs_and_commands_of_formulas_count_once_each() -> None:
    assert form_marks("a = b " + "word " * 97)["<formulas>"] == 1
    assert form_marks(r"\\frac{a}{b} ≤ \alpha " + "word " * 97)["<formulas>"] == 3
