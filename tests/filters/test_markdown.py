"""Light Markdown without its marks."""

import pytest

from filters.markdown import without_marks


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("# A\n\nb", "A\nb"),
        ("#hashtag", "#hashtag"),
        ("- a\n  - b\n10. c", "a\nb\nc"),
        ("-5 degrees\n3.5 m", "-5 degrees\n3.5 m"),
        ("```python\nx = 1\n\n# y\n```\nz", "x = 1\n\n# y\nz"),
        ("````\n```\na\n```\n````", "```\na\n```"),
        ("| a | b\\|c |\n|---|---|\n|  | d |", "a b|c\nd"),
        ("$$\nx^2\n$$", "x^2"),
        ("Call `f(x)` or `` `g` ``.", "Call f(x) or `g`."),
        ("a ` b", "a ` b"),
        ("**Anna B.**:\n\nText", "Text"),
        ("**bold**: text\n**bold**\n* a", "**bold**: text\n**bold**\n* a"),
        ("", ""),
    ],
)
def test_marks_alone_are_removed(text: str, plain: str) -> None:
    assert without_marks(text) == plain
