"""Posts of forums begin with who spoke; articles with one byline do not."""

import pytest

from filters.markdown import without_marks
from pipeline.extract.structure.posts import named, role
from tests.filters.words import words_of
from tests.pipeline.extract.structure.forum_pages import Thread, threads
from tests.pipeline.extract.structure.support import as_markdown, kept_texts

THREADS = list(threads())


@pytest.mark.parametrize("thread", THREADS, ids=[thread.name for thread in THREADS])
def test_each_post_begins_with_its_author(thread: Thread) -> None:
    found, _ = kept_texts(thread.html, [text for _, text in thread.said])
    parts = found.split("\n\n")
    assert parts[::2] == [f"**{name}**:" for name, _ in thread.said]
    for part, (_, text) in zip(parts[1::2], thread.said, strict=True):
        # PTT's sign of approval; pixnet's texts are items of a list
        assert part.removeprefix("推 ").removeprefix("- ").startswith(text)


@pytest.mark.parametrize("thread", THREADS, ids=[thread.name for thread in THREADS])
def test_names_are_marks_that_judges_do_not_read(thread: Thread) -> None:
    found, without = kept_texts(thread.html, [text for _, text in thread.said])
    names = [word for name, _ in thread.said for word in words_of(name)] if thread.name == "ptt" else []
    assert sorted(words_of(without_marks(found)) + names) == sorted(words_of(without))


def test_there_are_enough_engines() -> None:
    assert len(THREADS) >= 14


COMMENT = '<li class="comment" id="comment-{0}"><cite class="fn">{1}</cite><p>{2}</p>{3}</li>'
POST = '<div class="post"><span class="author">{0}</span><p>{1}</p></div>'


@pytest.mark.parametrize(
    "html",
    [
        pytest.param(POST.format("Anna", "An article with its byline."), id="one byline"),
        pytest.param(POST.format("Anna", "One.") + POST.format("Anna", "Two."), id="a blog of one author"),
        pytest.param(
            '<span class="author">Anna</span><p>One.</p><span class="author">Bo</span><p>Two.</p>', id="no posts"
        ),
        pytest.param(
            "".join(f'<article class="post hentry type-post"><b class="fn">{n}</b><p>A.</p></article>' for n in "AB"),
            id="articles of WordPress",
        ),
        pytest.param(
            '<table class="stats"><tr class="post"><td class="author">Anna</td><td>12</td></tr>'
            '<tr class="post"><td class="author">Bo</td><td>15</td></tr></table>',
            id="a table of data",
        ),
        pytest.param(POST.format("", "One.") + POST.format("#2", "Two.") + POST.format("12:30", "3."), id="no names"),
    ],
)
def test_no_one_speaks_elsewhere(html: str) -> None:
    assert "**" not in as_markdown(html)


def test_the_rest_of_a_page_has_no_author() -> None:
    """An article before its comments, and answers within comments."""
    inner = COMMENT.format(3, "Bo", "Indeed.", "")
    html = f"<h1>T</h1><p>An article.</p><ul>{COMMENT.format(1, 'Anna', 'Good.', f'<ul>{inner}</ul>')}</ul>"
    assert as_markdown(html) == "# T\n\nAn article.\n\n**Anna**:\n\nGood.\n\n**Bo**:\n\nIndeed."


def test_a_post_without_a_name_does_not_get_that_of_the_one_around_it() -> None:
    inner = '<li class="comment" id="comment-3"><p>No name.</p></li>'
    html = COMMENT.format(1, "Anna", "Good.", f"<ul>{inner}</ul>") + COMMENT.format(2, "Bo", "Yes.", "")
    assert as_markdown(f"<ul>{html}</ul>").count("**Anna**:") == 1


def test_lists_code_and_tables_stay_what_they_are_in_a_post() -> None:
    said = "<ul><li>one</li><li>two</li></ul><pre>x = 1</pre>"
    html = f"<ol>{COMMENT.format(1, 'Anna', '', said)}{COMMENT.format(2, 'Bo', 'Yes.', '')}</ol>"
    assert as_markdown(html) == "**Anna**:\n\n- one\n- two\n\n```\nx = 1\n```\n\n**Bo**:\n\nYes."


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (" by ", ""), ("by Anna ", "Anna"), ("作者：旅人", "旅人"), ("posted by: Bo", "Bo"), ("12345", "12345"),
        ("12", ""), ("#3", ""), ("发表于 2024-5-18 19:27", ""), ("Aug 23, 2009", ""), ("Email", ""), ("a" * 60, ""),
        ("Whoever wants to check it should begin", ""), ("**x**", "x"), ("O&#39;Hara", "O'Hara"), ("…", ""),
    ],
)  # fmt: skip
def test_names(raw: str, name: str) -> None:
    assert named(raw) == name


@pytest.mark.parametrize(
    ("inside", "is_post", "is_author"),
    [
        (' class="post-author"', False, True),
        (' class="bypostauthor comment"', True, False),
        (' class="comment-author-admin"', False, False),
        (' class="author-avatar"', False, False),
        (' id="post_message_12"', False, False),
        (' id="li-comment-12"', True, False),
        (' itemtype="https://schema.org/CommentAction"', False, False),
        (' class="posts"', False, False),
    ],
)
def test_roles(inside: str, is_post: bool, is_author: bool) -> None:
    found = role(inside)
    assert (found.family > 0, found.author > 0) == (is_post, is_author)


def test_posts_within_posts_without_end() -> None:
    html = '<div class="comment"><i class="author">1</i>' * 3_000 + "<p>x</p>" + POST.format("a" * 5_000, "y")
    assert "**" not in as_markdown(html)
