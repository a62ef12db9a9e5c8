"""Runs of elements made alike."""

import pytest

from pipeline.extract.blocks import blocks

CARD = "<div class=card><h3>Chair</h3><p>Wood</p></div>"


@pytest.mark.parametrize(
    ("html", "in_run"),
    [
        (CARD * 3, [True] * 6),
        (CARD * 2, [False] * 4),
        # the title above is none of the cards, and elements of other names are no more of them
        (f"<h2>All</h2>{CARD * 3}<div class=foot>Imprint</div>", [False, *[True] * 6, False]),
        ("<ul><li>a<li>b<li>c</ul><p>d", [True, True, True, False]),
        ("<table><tr><td>a<td>b<tr><td>c<tr><td>d</table>", [True] * 4),
        ("<p>a<p>b<p>c", [False] * 3),
    ],
)
def test_three_elements_of_one_path_in_one_container_are_a_run(html: str, in_run: list[bool]) -> None:
    assert [block.run > 0 for block in blocks(html)] == in_run


def test_a_block_belongs_to_the_innermost_run() -> None:
    lists = f"<div class=post><p>Hello</p><ul>{'<li>a' * 3}</ul></div>" * 3
    found = [block.run for block in blocks(lists)]
    posts, first, second, third = found[0], found[1], found[5], found[9]
    assert found == [posts, *[first] * 3, posts, *[second] * 3, posts, *[third] * 3]
    assert len({posts, first, second, third}) == 4
