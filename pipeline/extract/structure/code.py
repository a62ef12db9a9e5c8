"""Code on a page: which elements hold it, in which language, and its text without line numbers.

Highlighters cut code into elements for each token, line or row (Pygments, Rouge, Prism, highlight.js, Shiki,
SyntaxHighlighter, Crayon, GeSHi, GitHub, prettyprint). The root of such a structure is one block; within it line ends
are those of the source, of `<br>`, and of the elements that hold lines.
"""

import re
from functools import lru_cache
from typing import Final

from pipeline.extract.structure.marks import LINE_START, ROW_START

# Words of class names that make it worth while to read them with the expressions below.
_HINT_WORDS = """
    highlight highlighter hljs language lang brush source code blob crayon rouge syntaxhighlighter lntable
    linenos lineno linenumbers gutter lnt ln prettyprint line lines linenodiv toolbar copybtn clipboard geshi
    syntax snippet cm codehilite wp enlighter programlisting codeblock src"""
HINTS: Final = frozenset(_HINT_WORDS.split())
_TOLD = re.compile(
    r"""(?:(?<![\w-])(?:language|lang|highlight-source|highlight-text|mw-highlight-lang|brush)[-:]\s*
    |\bdata-(?:lang|language|code-language|code-lang|code-block-lang|enlighter-language)\s*=\s*["']?)(?P<name>[A-Za-z][\w+#.-]*)""",
    re.VERBOSE | re.IGNORECASE,
)
# Words of classes beside which a language may stand as a word of its own, or with a hyphen.
_BESIDE = re.compile(
    r"(?<![\w-])(?:sourceCode|syntaxhighlighter|hljs|codehilite|prettyprint|crayon-syntax|programlisting|highlight|source"
    r"|code|crayon|codeblock|CodeBlock|code-block|src)(?![\w])"
)
# What every match of these two has one of; the former in any case.
_PARTS_OF_TOLD: Final = ("lang", "brush", "highlight-")
_PARTS_OF_BESIDE: Final = (
    "ource",
    "code",
    "Code",
    "highlight",
    "hljs",
    "prettyprint",
    "crayon",
    "programlisting",
    "src",
)
# A word before a language that is known to be one; and what every match has one of.
_BEFORE = re.compile(
    r"(?<![\w-])(?:lang|language|code|codeblock|syntax|highlight|src|sh)[-_]([A-Za-z][\w+#]*)(?![\w-])"
)
_PARTS_BEFORE: Final = (
    "lang_",
    "lang-",
    "language_",
    "code-",
    "code_",
    "syntax-",
    "highlight-",
    "src-",
    "sh_",
    "block-",
)
_NAME = re.compile(r"(?<![\w.-])(?:highlight-|source-)?([A-Za-z][\w+#]*)(?![\w-])")
_PRE_LANGUAGE = re.compile(r"""(?:^|\s)(?:lang|language|class|syntax)\s*=\s*["']?([A-Za-z][\w+#-]*)(?=["'\s>]|$)""")
# Names of no language, and words that stand where a language would.
_OTHER_WORDS = """
    none text plain plaintext txt default auto nohighlight no-highlight highlight highlighter highlight-source
    source prettyprint linenums notranslate wrap nowrap block code codeblock code-block sourcecode hljs line
    line-numbers lines numbers numberlines nogutter toolbar copyable output console-output literal-block pre
    wp-block-code terminal tab-size js-file-line-container js-highlight crayon crayon-syntax snippet example syntax
    light dark true false en en-us de fr js-syntax-highlight content wrapper container body box inline small table data
    sample listing prettyprinted highlighter-rouge undefined diff-table blob file text-wrap overflow-auto
    position-relative"""
_NO_LANGUAGE: Final = frozenset(_OTHER_WORDS.split())
_COMMON_WORDS = """
    bash sh shell zsh console python py python3 pycon java javascript js jsx ts tsx typescript c cpp c++ csharp cs
    c# go golang rust ruby rb php perl r scala kotlin swift sql html xml css scss less json yaml yml toml ini lua
    haskell matlab julia dart powershell vb vbnet diff makefile dockerfile docker nginx latex tex markdown md http
    graphql erlang elixir clojure lisp scheme fortran pascal delphi groovy objc objective-c asm nasm actionscript
    as3 coldfusion xhtml svg cmake vim fsharp ocaml prolog sas stata batch apache properties gradle solidity vue
    svelte hcl terraform wasm zig nim crystal d ada cobol verilog vhdl tcl awk sed jsp asp aspx mysql plsql tsql
    handlebars twig erb haml jade pug stylus sass coffeescript coffee ada protobuf proto thrift postgresql"""
_COMMON: Final = frozenset(_COMMON_WORDS.split())
_CODE_TABLE = re.compile(
    r"""\b(?:highlight|highlighttable|codehilitetable|rouge-table|lntable|hljs-ln|crayon-table|js-file-line-container
    |blob-code|syntaxhighlighter|code-table|blob|diff-table|processedcode|dp-highlighter|highlight-table)\b""",
    re.VERBOSE,
)
_CALLED_CODE = re.compile(r"""\bclass\s*=\s*["']?(?:[^"'>]{0,200}\s)?code(?=["'\s>]|$)""")
_CODE_BOX = re.compile(
    r"\bsyntaxhighlighter\b(?!-)|\bdp-highlighter\b|\bCodeMirror-code\b|\bcrayon-pre\b|\breact-code-lines\b"
    r"|\breact-blob-textarea\b|(?<![\w-])cm-content(?![\w-])|\bname\s*=\s*[\"']?code\b"
)
_GUTTER = re.compile(
    r"""(?<![\w-])(?:linenos|lineno|linenodiv|line-?num(?:ber)?s?|line_num(?:ber)?s?|gutter|rouge-gutter|crayon-nums?
    |blob-num|hljs-ln-(?:numbers|n)|lnt|ln|lnum|linenumbers?|line-numbers-rows|react-line-number|js-line-number
    |(?:diff|old|new)-line-num|react-syntax-highlighter-line-number|CodeMirror-(?:linenumber|gutter-wrapper)
    |code-line-num|crayon-num)(?![\w-])""",
    re.VERBOSE,
)
# What every match of these two has one of: to look for it takes a tenth of the time, and most attributes have none.
_PARTS_OF_CODE_BOX: Final = ("code", "highlighter", "crayon-pre", "react-blob", "cm-content")
_PARTS_OF_GUTTER: Final = ("ln", "line", "gutter", "num")
_TOOLS = re.compile(
    r"\b(?:toolbar|copybtn|copy-button|copy-code|zeroclipboard-container|crayon-toolbar|crayon-info|crayon-plain-wrap"
    r"|code-header|btn-clipboard|clipboard|pre-numbering|hljs-button|snippet-clipboard)\b"
)
_LINE = re.compile(r"(?<![\w-])display\s{0,4}:\s{0,4}(?:block|flex|grid|table-row|list-item)", re.IGNORECASE)
_ROOTS: Final = frozenset({"pre", "listing", "xmp"})
_STARTS = re.compile(f"\n?{LINE_START}+")
_ROWS = re.compile(f"\n?[{LINE_START}]*{ROW_START}[{LINE_START}]*\n?")
_NUMBERS = re.compile(r"\s*\d{1,6}[.:]?\s*")
_PROSE_SIGN = re.compile(r"[{}()\[\]<>=;_/\\|$#*&^~`@]")
_WORD = re.compile(r"[^\W\d_]+")
# Of scripts that write no spaces between words.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
_DRAWN = re.compile(r" {3,}|\t")


def is_root(name: str) -> bool:
    """Whether an element of this name holds preformatted text."""
    return name in _ROOTS


def is_code_table(attributes: str) -> bool:
    """Whether a table with these attributes holds lines of code."""
    return bool(_CODE_TABLE.search(attributes) or _CALLED_CODE.search(attributes))


def is_code_box(attributes: str) -> bool:
    """Whether an element with these attributes holds code although it is no `pre`."""
    for part in _PARTS_OF_CODE_BOX:
        if part in attributes:
            return bool(_CODE_BOX.search(attributes))
    return False


def is_gutter(attributes: str) -> bool:
    """Whether an element with these attributes holds line numbers (if it holds nothing but numbers)."""
    for part in _PARTS_OF_GUTTER:
        if part in attributes:
            return bool(_GUTTER.search(attributes))
    return False


def is_tool(attributes: str) -> bool:
    """Whether an element with these attributes is a button or bar of a highlighter."""
    return bool(_TOOLS.search(attributes))


def is_line(attributes: str) -> bool:
    """Whether an element inside code is shown as a line of its own: `display: block` in its style."""
    return bool(_LINE.search(attributes))


def is_numbers(text: str) -> bool:
    """Whether a text has numbers of lines and nothing else."""
    return all(map(str.isdigit, text.replace(".", " ").replace(":", " ").split()))


@lru_cache(maxsize=1 << 12)
def language_of(attributes: str, pre: bool = False) -> str:
    """The language that an element's attributes name, as the page writes it; "" for none. `pre`: it is a `pre`, whose
    only class, or `lang`, may be a language."""
    lowered = attributes.lower()
    if any(map(lowered.__contains__, _PARTS_OF_TOLD)) or not lowered.isascii():
        for found in _TOLD.finditer(attributes):
            name = found["name"].lower().rstrip(".-")
            if name not in _NO_LANGUAGE:
                return name
    if any(map(attributes.__contains__, _PARTS_BEFORE)):
        for found in _BEFORE.finditer(attributes):
            if found[1].lower() in _COMMON:
                return str(found[1].lower())
    if any(map(attributes.__contains__, _PARTS_OF_BESIDE)) and _BESIDE.search(attributes):
        for word in _NAME.findall(attributes):
            if word.lower() in _COMMON:
                return str(word.lower())
    if pre:
        for single in _PRE_LANGUAGE.finditer(attributes):
            name = single[1].lower()
            if name in _COMMON:
                return name
    return ""


def code_text(raw: str) -> str:
    """The lines of code between marks: each as in the source, without blanks at its end, blank lines at both ends
    removed."""
    raw = raw.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ")
    if ROW_START in raw:
        raw = _ROWS.sub("\n", raw)
    if LINE_START in raw:
        raw = _STARTS.sub("\n", raw)
    return "\n".join(map(str.rstrip, raw.split("\n"))).strip("\n")


def is_prose(text: str) -> bool:
    """Whether preformatted text is a letter, a poem, a page of old text: words, hardly a sign of code, no columns."""
    sample = text[:4000]
    words = _WORD.findall(sample)
    if 2 * len(_UNSPACED.findall(sample)) > len(sample) - sum(map(sample.count, " \n\t")):
        return 50 * len(_PROSE_SIGN.findall(sample)) <= len(sample)
    if len(words) < 12:
        lines = sample.split("\n")
        capitals = sum(line.lstrip()[:1].isupper() for line in lines)
        return len(words) > 3 and not _PROSE_SIGN.search(sample) and 2 * capitals > len(lines)
    solid = len(sample) - sum(map(sample.count, " \n\t"))
    lines = [line for line in sample.split("\n") if line.strip()]
    drawn = sum(bool(_DRAWN.search(line.strip())) for line in lines)
    return (
        len(_PROSE_SIGN.findall(sample)) <= 0.02 * solid
        and sum(map(len, words)) >= 0.85 * solid
        and drawn <= 0.2 * len(lines)
    )


def fence(text: str, language: str) -> str:
    """A fenced block of Markdown; the fence is longer than any row of backticks in the code."""
    ticks = max((len(run) for run in re.findall(r"`{3,}", text)), default=2) + 1
    return f"{'`' * ticks}{language}\n{text}\n{'`' * ticks}"
