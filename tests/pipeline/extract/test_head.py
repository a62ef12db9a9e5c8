"""What the head of a page declares: robots meta elements and its language."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.extract.head import declared_language, meta_robots


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ('<meta name="robots" content="noindex, NoAI">', {"noindex", "noai"}),
        ("<META content='noai' NAME=Robots>", {"noai"}),
        ('<meta name="googlebot-news" content="noindex">', set()),
        ('<!-- <meta name="robots" content="noai"> -->', set()),
        ('<script>"<meta name=robots content=noai>"</script>', set()),
        ('</head><body><meta name="robots" content="noai">', set()),
        ("", set()),
    ],
)
def test_meta_robots(head: str, words: set[str]) -> None:
    assert meta_robots(f"<html><head>{head}</head><body>robots</body></html>") == words


def test_a_head_without_end_takes_no_time_to_read() -> None:
    assert meta_robots("<meta name=robots " + "x=" * 1_000_000) == frozenset()
    assert meta_robots('<meta name="robots" content="noai' + " " * 1_000_000) == frozenset()


@pytest.mark.parametrize(
    ("body", "language"),
    [
        (b'<!doctype html><html lang="en-GB">', "en"),
        (b"<HTML class=x LANG = 'ZH-Hans'>", "zh"),
        (b"<html lang=de>", "de"),
        (b'<html xml:lang="fr">', "fr"),
        (b'<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="pt-BR">', "pt"),
        (b'<html lang="x-default" xml:lang="fr">', "fr"),
        (b'<html data-xml:lang="fr">', ""),
        (b'<html xml:lang="fr" lang="en">', "en"),
        (b'<html data-lang="fr">', ""),
        (b'<html lang="">', ""),
        (b'<html lang="english">', "en"),
        (b'<html lang="eng">', "en"),
        (b'<html lang="und">', ""),
        (b'<html>\n<body lang="de">', ""),
        (b'<htmlx lang="de">', ""),
        (b" " * 60_000 + b'<html lang="de">', ""),
        (b"<html " * 20_000, ""),
        (b"", ""),
        (b'<!--[if IE]><html lang="de"><![endif]--><html lang="en">', "en"),
        (b"<script>x = '<html lang=de>'</script><html>", ""),
        (b'<html data-x=" lang=de">', ""),
        (b'<html lang="en" lang="de">', "en"),
        (b"<html lang=de " + b"a" * 49_000 + b">", "de"),
        (b"<html " + b"a" * 900 + b" lang=de " + b" a" * 24_000, "de"),
    ],
)
def test_declared_language(body: bytes, language: str) -> None:
    assert declared_language(body) == language


@given(st.binary(max_size=300))
@example(b'<html lang="\xff')
def test_any_bytes_declare_a_short_word_or_nothing(body: bytes) -> None:
    found = declared_language(b"<html lang='" + body)
    assert found == "" or (found.isalpha() and found.islower() and len(found) in (2, 3))
