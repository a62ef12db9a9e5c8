"""Code: the elements that hold it, its language, its lines."""

import pytest

from pipeline.extract.block_model import main_text
from pipeline.extract.structure.code import code_text, fence, is_prose, language_of
from pipeline.extract.structure.marks import LINE_START, ROW_START
from tests.pipeline.extract.structure.support import as_markdown

CODEMIRROR = (
    "<div class='cm-editor'><div class='cm-content'><div class='cm-line'>if a:</div>"
    "<div class='cm-line'>  b(<span class=x>1</span>)</div></div></div>"
)


@pytest.mark.parametrize(
    ("attributes", "language"),
    [
        ('class="language-js"', "js"),
        ('class="line-numbers language-c++"', "c++"),
        ('class="highlight highlight-source-shell"', "shell"),
        ('class="brush: csharp; title: x"', "csharp"),
        ('class="lang-py prettyprint"', "py"),
        ('data-lang="toml"', "toml"),
        ('class="sourceCode haskell"', "haskell"),
        ('class="hljs python"', "python"),
        ('class="python hljs"', "python"),
        ('class="highlight-python notranslate"', "python"),
        ('class="mw-highlight mw-highlight-lang-lua"', "lua"),
        ('class="language-none"', ""),
        ('class="highlight"', ""),
        ('class="wp-block-code"', ""),
        ('class="prettyprint linenums"', ""),
        ('class="content article"', ""),
        ("", ""),
    ],
)
def test_the_language_is_what_the_page_says(attributes: str, language: str) -> None:
    assert language_of(attributes) == language


def test_a_pre_may_be_named_by_a_language_alone() -> None:
    assert language_of(' lang="php"', pre=True) == language_of(' class="php"', pre=True) == "php"
    assert language_of(' lang="en"', pre=True) == language_of(' class="php"') == ""


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("\na\n  b  \n\n", "a\n  b"),
        (f"a{LINE_START}{LINE_START}b", "a\nb"),
        (f"a\n{LINE_START}b", "a\nb"),
        (f"a{LINE_START}\n{LINE_START}b", "a\n\nb"),
        (f"{ROW_START}a{ROW_START}{ROW_START}b", "a\n\nb"),
        (f"{ROW_START}a\n{ROW_START}\n{ROW_START}b", "a\n\nb"),
        ("a\xa0\xa0b\r\nc", "a  b\nc"),
    ],
)
def test_lines_are_those_of_the_source(raw: str, text: str) -> None:
    assert code_text(raw) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<pre>  a\n\tb</pre>", "```\n  a\n\tb\n```"),
        ("<pre>a<br>b<div>c</div><p>d</pre>", "```\na\nb\nc\nd\n```"),
        ("<pre><code class='language-x y'>a</code></pre>", "```x\na\n```"),
        ("<pre>a\n```\nb</pre>", "````\na\n```\nb\n````"),
        ("<pre><b style='display:block'>a</b><b style='display: flex'>b\n</b><b>c</b></pre>", "```\na\nb\nc\n```"),
        ("<pre data-code-block-lang=java>a;<b style='display:inline-block'>b</b></pre>", "```java\na;b\n```"),
        ("<pre><button>Copy</button>a=1</pre>", "```\na=1\n```"),
        ("<pre><code class=python>a=1</code></pre>", "```python\na=1\n```"),
        ("<pre><code class='lang_python'>a=1</code></pre>", "```python\na=1\n```"),
        ("<pre><code language='python'>a=1</code></pre>", "```python\na=1\n```"),
        ("<pre class='src src-python'>a=1</pre>", "```python\na=1\n```"),
        ("<pre class='code-python'>a=1</pre>", "```python\na=1\n```"),
        ("<pre class='sh_python'>a=1</pre>", "```python\na=1\n```"),
        ("<div class='codeblock python'><pre><code>a=1</code></pre></div>", "```python\na=1\n```"),
        ("<div data-code-lang=python class=CodeBlock><pre>a=1</pre></div>", "```python\na=1\n```"),
        ("<pre><code class='code-wrapper highlight_box'>a=1</code></pre>", "```\na=1\n```"),
        ("<pre>a=1<h2>Title</h2><p>text", "```\na=1\n```\n\n## Title\n\ntext"),
        ("<p>Call <code>f(x)</code> or <tt>g</tt>.", "Call `f(x)` or `g`."),
        ("<p>A <code>`x`</code> b", "A `` `x` `` b"),
        ("<p><code>f(x)</code> first", "`f(x)` first"),
        ("<p><code>npm install x</code></p>", "```\nnpm install x\n```"),
        ("<p><code>a = 1</code><br><code>b = 2</code></p>", "```\na = 1\nb = 2\n```"),
        ("<p><code>true</code></p>", "`true`"),
        ("<dl><dt><code>--light ON</code><dd>Turns it on.</dl>", "`--light ON`\n\nTurns it on."),
        ("<ul><li><code>a b</code></ul>", "- `a b`"),
        ("<code>a<br>&nbsp; b</code>", "```\na\n  b\n```"),
        ("<xmp class=html><b>x</b></xmp>", "```html\n<b>x</b>\n```"),
        ("<pre>import a\n\n\ndef f():\n    a\n\n\n\nf()</pre>", "```\nimport a\n\n\ndef f():\n    a\n\n\n\nf()\n```"),
        (CODEMIRROR, "```\nif a:\n  b(1)\n```"),
        ("<div class=line-numbers><a>1</a>\n<a>2</a></div><p>text", "text"),
    ],
)
def test_code_is_fenced(html: str, text: str) -> None:
    assert as_markdown(html) == text


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("Dear Sir,\n\nI write to you about the light, which was out on three nights of the last week.\n\nYours", True),
        ("Harbour Office of the Town\nThe Long Pier", True),
        ("npm install harbour", False),
        ("床前明月光，\n疑是地上霜。", True),
        ("むかしむかし、あるところに、おじいさんがいました。", True),
        ("x = 1  # 我们那边的灯塔也是这样\ny = f(x)  # 后来把通风口关上一半就好了", False),
        ("sudo make install clean all of it", False),
        ("for ship in ships:\n    print(ship.name)\n" * 5, False),
        ("Name        Tons   Port of registry\nAnna        120    Oslo in the north\n" * 4, False),
    ],
)
def test_letters_in_pre_are_no_code(text: str, prose: bool) -> None:
    assert is_prose(text) == prose
    assert as_markdown(f"<pre>{text}</pre>") == (text if prose else fence(text.strip("\n"), ""))


def test_code_between_paragraphs_of_the_main_text_is_kept() -> None:
    sentence = "The keeper wrote every evening in a thick book about the weather and the ships that passed."
    html = f"<main><p>{sentence}</p><pre>x</pre><p>{sentence}</p></main><nav><a href=x>Home</a></nav>"
    assert "```\nx\n```" in main_text(html).markdown and "\nx\n" in main_text(html).plain
