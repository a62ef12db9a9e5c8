"""Formulas as TeX, once each, whatever renders them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.block_model import main_text
from pipeline.extract.blocks import blocks
from pipeline.extract.structure.formulas import Formula, mark_delimited, of_image, of_mathml, of_script
from pipeline.extract.structure.markdown import fill_tables, markdown
from pipeline.extract.structure.marks import unmarked
from pipeline.extract.structure.mathml import to_tex
from tests.pipeline.extract.articles import SENTENCE


@pytest.mark.parametrize(
    ("markup", "tex"),
    [
        ("<mi>x</mi>", "x"),
        ("<mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac>", r"\frac{a}{b+1}"),
        ("<msup><mi>x</mi><mn>2</mn></msup><mo>+</mo><msub><mi>y</mi><mi>i</mi></msub>", "x^2+y_i"),
        ("<msup><mrow><mo>(</mo><mi>a</mi><mo>)</mo></mrow><mn>10</mn></msup>", "{(a)}^{10}"),
        ("<msubsup><mo>∫</mo><mn>0</mn><mn>1</mn></msubsup><mi>f</mi>", r"\int_0^1 f"),
        ("<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover>", r"\sum_{i=1}^n"),
        ("<msqrt><mi>x</mi><mo>−</mo><mn>1</mn></msqrt>", r"\sqrt{x-1}"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", r"\sqrt[3]{x}"),
        ("<mover accent='true'><mi>x</mi><mo>^</mo></mover>", r"\hat{x}"),
        ("<mover><mi>v</mi><mo>→</mo></mover>", r"\vec{v}"),
        ("<mi>α</mi><mo>≤</mo><mi>β</mi>", r"\alpha\leq\beta"),
        ("<mi>sin</mi><mi>x</mi>", r"\sin x"),
        ("<mi mathvariant='double-struck'>R</mi>", r"\mathbb{R}"),
        ("<mtext>if </mtext><mi>x</mi>", r"\text{if}x"),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", r"\left( a,b\right)"),
        (
            "<mrow><mo>(</mo><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr></mtable><mo>)</mo></mrow>",
            r"\begin{pmatrix}1&0\end{pmatrix}",
        ),
        (
            "<mrow><mo>{</mo><mtable><mtr><mtd><mi>a</mi></mtd></mtr><mtr><mtd><mi>b</mi></mtd></mtr></mtable></mrow>",
            r"\begin{cases}a\\b\end{cases}",
        ),
        ("<semantics><mi>x</mi><annotation>y</annotation></semantics>", "x"),
        ("<m:msup><m:mi>x</m:mi><m:mn>2</m:mn></m:msup>", "x^2"),
        ("<mfrac linethickness='0'><mi>n</mi><mi>k</mi></mfrac>", r"\binom{n}{k}"),
        ("<msup><mi>f</mi><mo>′</mo></msup>", "f'"),
        ("<mi>x", "x"),
        ("</mi></mrow>", ""),
        ("<mphantom><mi>x</mi></mphantom>", ""),
    ],
)
def test_mathml_becomes_tex(markup: str, tex: str) -> None:
    assert to_tex(markup) == tex


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(
    ["<mrow>", "</mrow>", "<mfrac>", "</mfrac>", "<mi>x</mi>", "<msup>", "</msup>", "<mtable>", "<mtr>", "<mtd>", "<",
     "<mo>{</mo>", "<!--", "<mover>", "</mover>", "&lt;", "<mfenced open='|'>", "<mmultiscripts>", "</math>", "α"]
), max_size=30).map("".join))  # fmt: skip
def test_any_markup_is_read(markup: str) -> None:
    assert isinstance(to_tex(markup), str)


def test_the_annotation_counts_then_the_alternative_then_the_markup() -> None:
    annotated = '<semantics><mi>a</mi><annotation encoding="application/x-tex"> b \n c</annotation></semantics>'
    assert of_mathml('<math display="block" alttext="d">', annotated) == Formula("b c", True)
    assert of_mathml("<math alttext='d'>", "<mi>a</mi>") == Formula("d", False)
    assert of_mathml("<math>", "<mi>a</mi>") == Formula("a", False)
    assert of_mathml("<math>", " ") is None


@pytest.mark.parametrize(
    ("tag", "content", "formula"),
    [
        ('<script type="math/tex">', "x", Formula("x", False)),
        ('<script type="math/tex; mode=display">', r"$$\alpha$$", Formula(r"\alpha", True)),
        ('<script type="math/mml">', "<math><mi>x</mi></math>", Formula("x", False)),
        ('<script type="math/tex">', "a % note\nb", Formula("a b", False)),
        ('<script type="text/javascript">', "x", None),
    ],
)
def test_scripts_of_mathjax(tag: str, content: str, formula: Formula | None) -> None:
    assert of_script(tag, content) == formula


@pytest.mark.parametrize(
    ("tag", "tex"),
    [
        ('<img class="latex" alt="x^2">', "x^2"),
        ('<img src="//latex.codecogs.com/png.latex?a%5E2&amp;b" alt="">', "a^2&amp;b"),
        ('<img src="http://s0.wp.com/latex.php?latex=%5Cpi+r" >', r"\pi r"),
        ('<img class="mwe-math-fallback-image-inline" alt="{\\displaystyle x}">', "x"),
        ('<img class="mwe-math-fallback-image-inline" alt="{\\textstyle {a} \\over {b\\}}}">', r"{a} \over {b\}}"),
        ('<img class="mwe-math-fallback-image-inline" alt="{\\displaystyle a} + {b}">', r"{\displaystyle a} + {b}"),
        ('<img class="mwe-math-fallback-image-inline" alt="{\\displaystyles a}">', r"{\displaystyles a}"),
        ('<img class="tex" alt="$x$">', "x"),
        ('<img src="https://www.zhihu.com/equation?tex=x%5E2%2By" alt="x^2+y" eeimg="1">', "x^2+y"),
        ('<img src="https://www.zhihu.com/equation?tex=x%5E2%2By">', "x^2+y"),
        ('<img src="https://render.githubusercontent.com/render/math?math=e%5Ex&mode=inline">', "e^x"),
        ('<img src="https://math.now.sh?from=%5Clog%20x&color=red">', r"\log x"),
        ('<img src="http://s0.wp.com/latex.php?latex=%5Cpi+r&bg=ffffff&fg=000&s=0">', r"\pi r"),
        ('<img src="/photo.jpg?math=1" alt="A school">', None),
        ('<img alt="x^2">', None),
        ('<img class="photo" alt="A latex glove">', None),
        ('<img class="latex" alt="LaTeX logo">', None),
    ],
)
def test_images_of_formulas(tag: str, tex: str | None) -> None:
    found = of_image(tag)
    assert (found.tex if found else None) == tex


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        (r"for \(x\) and \[ y \].", "for $x$ and $$y$$."),
        ("[tex]x[/tex] and [itex]y[/itex]", "$$x$$ and $y$"),
        (r"so \begin{align} a &= b \end{align}", r"so $$\begin{align} a &= b \end{align}$$"),
        (r"$$\begin{align} a \end{align}$$", r"$$\begin{align} a \end{align}$$"),
        (r"a \( b \( c \) d", r"a \( b $c$ d"),
        (r"costs $5 and $7, \(x", r"costs $5 and $7, \(x"),
        (r"array\[0\] = x\[1", r"array$$0$$ = x\[1"),
        ("no formula", "no formula"),
    ],
)
def test_delimiters_in_the_text(text: str, marked: str) -> None:
    signs = str.maketrans({"\x03": "$", "\x04": "$", "\x05": "$$", "\x06": "$$"})
    assert mark_delimited(text).translate(signs) == marked


CONTAINER = '<mjx-container class="MathJax">'
MATH = '<math><semantics><mi>x</mi><annotation encoding="application/x-tex">x^2</annotation></semantics></math>'


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (f"<p>a {MATH} b", "a $x^2$ b"),
        (f'<p>a <span class="katex"><span>{MATH}</span><span class="katex-html">x2</span></span> b', "a $x^2$ b"),
        ('<p>a <span class="katex"><span class="katex-html">x2</span></span> b', "a x2 b"),
        (f'<p>a <span>{MATH}</span><img class="tex" alt="x^2"> b', "a $x^2$ b"),
        (f"<p>{MATH}, {MATH}", "$x^2$, $x^2$"),
        (f"<p>a {CONTAINER}y<mjx-assistive-mml><math><mi>x</mi></math></mjx-container> b", "a $x$ b"),
        ('<p>a <span class="MathJax_Preview">x</span><script type="math/tex">x</script> b', "a $x$ b"),
        ('<p>a <span class="MathJax" data-mathml="&lt;math&gt;&lt;mi&gt;x&lt;/mi&gt;">y</span> b', "a $x$ b"),
        (r"<p><code>\(x\)</code> gives \(x\)", r"`\(x\)` gives $x$"),
        (r"<pre>\(x\) = 1</pre>", "```\n\\(x\\) = 1\n```"),
        ("<p>a <math display='block'><mi>x</mi></math> b", "a\n\n$$\nx\n$$\n\nb"),
        (f"<table><tr><th>a<th>b<tr><td>{MATH}<td>c</table>", "| a | b |\n|---|---|\n| $x^2$ | c |"),
        (f"<h2>On {MATH}</h2>", "## On $x^2$"),
    ],
)  # fmt: skip
def test_each_formula_comes_once(html: str, text: str) -> None:
    page = blocks(html)
    fill_tables(page)
    assert markdown(page, [True] * len(page)) == text
    assert all(unmarked(block.text) == block.text for block in page)


@pytest.mark.parametrize("formula", ["$$ a = b^2 $$", r"\[ a = b^2 \]", r"\begin{align} a &amp;= b^2 \end{align}"])
def test_a_formula_between_delimiters_stays_in_its_place(formula: str) -> None:
    text = f"<p>{SENTENCE * 3}</p>"
    assert "b^2" in main_text(f"<article><h1>Lamps</h1>{text}<div class=math>{formula}</div>{text}</article>").plain
