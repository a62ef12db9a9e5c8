"""Two sentences, pages made of them and pieces of markup, for tests of extractors."""

SENTENCE = "The lighthouse keeper climbed the stairs every evening, lit the lamp, and wrote the weather in his book. "
OTHER = "Nobody had told the fishermen, who mended their nets in the harbour, that the storm would come so soon. "


def article(body: str, title: str = "The keeper", nav: str = "Home About Contact") -> str:
    return (
        f"<!DOCTYPE html><html><head><title>{title}</title><style>p {{ color: red }}</style></head><body>"
        f"<nav><ul><li>{nav}</li></ul></nav><article><h1>{title}</h1>{body}</article>"
        "<script>var hidden = '<p>not text</p>';</script><footer>Imprint</footer></body></html>"
    )


ARTICLE = article(f"<p>{SENTENCE * 3}</p><p>{OTHER * 3}</p><table><tr><td>Lamp</td><td>oil</td></tr></table>")
MENU = "".join(f"<li><a href='/{name}'>{name}</a></li>" for name in ("Home", "About us", "Prices", "Contact"))
PAGE_WITH_MENUS = (
    "<!DOCTYPE html><html><head><title>The keeper</title></head><body class='comment'>"
    f"<nav class='main-menu'><ul>{MENU}</ul></nav><main><article><h1>The keeper</h1>"
    + "".join(f"<p>{text * 3}</p>" for text in (SENTENCE, OTHER, SENTENCE, OTHER))
    + f"</article></main><aside class='relatedPosts'><ul>{MENU}</ul></aside><footer>Imprint</footer>"
)
# fmt: off
PIECES = [
    "<p>", "</p>", "<td>", "<tr>", "</table>", "<table>", "<a b=c>", "</a>", "<br>", "<h1 ", "class='nav x'>", "<!--",
    "-->", "<svg>", "x", "é&amp;", " ", "\ud800", "<", "<li>",
]
# fmt: on
