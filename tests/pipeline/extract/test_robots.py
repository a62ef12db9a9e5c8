"""Robots directives: `none` is two of them, and what is addressed to another crawler does not count."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.head import meta_robots
from pipeline.extract.robots import directives


@pytest.mark.parametrize(
    ("values", "noindex", "noai"),
    [
        (["noindex"], True, False),
        (["NoIndex, NOFOLLOW"], True, False),
        (["none"], True, False),
        (["nofollow"], False, False),
        (["noai, noimageai"], False, True),
        (["noimageai"], False, False),
        (["noindexing"], False, False),
        (["otherbot: noindex"], False, False),
        (["otherbot: none"], False, False),
        (["otherbot:noindex,nofollow"], False, False),
        (["OtherBot/2.1 : noindex"], False, False),
        (["googlebot: nofollow", "otherbot: noindex, nofollow"], False, False),
        (["googlebot: nofollow", "noindex"], True, False),
        (["googlebot: nofollow, otherbot: noai"], False, False),
        (["otherbot: nofollow, *: noindex"], True, False),
        (["noindex, otherbot: noai"], True, False),
        (["ccbot: noai"], False, True),
        (["CCBot: none"], True, False),
        (["robots: noindex"], True, False),
        (["max-snippet: 20, noindex"], True, False),
        (["max-image-preview:large, max-video-preview:-1, noai"], False, True),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST, noindex"], True, False),
        (["unavailable_after: Wed, 25-Jun-2010 15:00:00 GMT"], False, False),
        (["noindex nofollow"], True, False),
        (["follow: yes, noindex"], True, False),
        (["index: no, noai: true"], False, True),
        (["archive:no; noindex"], True, False),
        (["otherbot: follow: yes, noindex"], False, False),
        (["noindex;noai"], True, True),
        ([""], False, False),
        ([": noindex"], True, False),
        ([], False, False),
    ],
)
def test_directives(values: list[str], noindex: bool, noai: bool) -> None:
    found = directives(values)
    assert ("noindex" in found, "noai" in found) == (noindex, noai)


def test_none_is_two_directives() -> None:
    assert directives(["None"]) == {"none", "noindex", "nofollow"}


@pytest.mark.parametrize(
    ("element", "noindex"),
    [
        ("<meta name=robots content=none>", True),
        ('<meta name="ROBOTS" content="NONE">', True),
        ('<meta name="otherbot" content="noindex">', False),
        ('<meta name="otherbot-robots-like" content="noindex">', False),
        ('<meta name="googlebot" content="none"><meta name="robots" content="index">', False),
        ('<meta name="googlebot" content="index"><meta name="robots" content="none">', True),
        ('<meta name="robots,otherbot" content="noindex">', True),
        ('<meta name="googlebot, robots" content="noindex">', True),
        ('<meta name="robots" content="otherbot: noindex">', False),
        ('<meta name="CCBot" content="noindex">', True),
        ('<meta name="ccbot/2.0" content="noindex">', True),
        ('<meta name="otherbot/2.0" content="noindex">', False),
        ('<meta http-equiv="X-Robots-Tag" content="none">', True),
        ('<meta http-equiv="X-Robots-Tag" content="otherbot: none">', False),
        ('<meta property="robots" content="noindex">', False),
        ('<meta name="robots" content="noindex&#44;nofollow">', True),
        ('<meta content="all" name="robots"><meta content="noindex" name="robots">', True),
    ],
)
def test_elements(element: str, noindex: bool) -> None:
    assert ("noindex" in meta_robots(f"<html><head>{element}</head><body>x")) == noindex


@given(st.lists(st.text(max_size=60), max_size=4))
def test_what_another_crawler_is_told_never_counts(values: list[str]) -> None:
    told = [re.sub(r"[:,;]", " ", value) for value in values]
    assert directives(f"otherbot: {value}" for value in told) == frozenset()
    directives(values)  # no value is an error
