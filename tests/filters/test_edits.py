"""Edits that several recipes share: what they change and what they keep."""

import pytest

from filters.catalog import edit


@pytest.mark.parametrize(
    ("name", "text", "after", "count"),
    [
        ("mask_email", "Write to jo.do+x@mail.example.org, or a@b.", "Write to email@example.com, or a@b.", 1),
        ("mask_email", "email@example.com", "email@example.com", 0),
        ("mask_email", "邮箱a.b@c.cn，好", "邮箱email@example.com，好", 1),
        ("mask_ipv4", "地址8.8.4.4。", "地址192.0.2.1。", 1),
        ("mask_email", "a@@b.com é@x.com", "a@@b.com é@x.com", 0),
        ("mask_ipv4", "8.8.8.8, 10.0.0.1 and 999.1.1.1", "192.0.2.1, 10.0.0.1 and 999.1.1.1", 1),
        ("mask_ipv4", "version 1.2.3.4.5 and v8.8.8.8", "version 1.2.3.4.5 and v8.8.8.8", 0),
        ("remove_urls", "See https://a.b/c?d=e#f, or www.x.org.", "See , or .", 2),
        ("remove_urls", "见http://a.cn/b。好 (ftp://x/y)", "见。好 ()", 2),
        ("remove_urls", "example.com stays, awww. too", "example.com stays, awww. too", 0),
        ("limit_newlines", "a\n\n\n\nb\n\nc", "a\n\nb\n\nc", 1),
        ("remove_bar_lines", "a\n| |\n||\nb | c\n \n|", "a\n\n\nb | c\n \n\n", 3),
        ("remove_bar_lines", "a | b\r\n \n", "a | b\r\n \n", 0),
        ("normalise_whitespace", " a \r\nb\t\r\n \n\n\nc ", "a\nb\n\nc", 9),
        ("normalise_whitespace", "a\rb", "a\nb", 1),
    ],
)
def test_golden(name: str, text: str, after: str, count: int) -> None:
    assert edit(name)(text) == (after, count)
