"""MathML to TeX: presentation markup of one formula, as browsers show it (MathML Core, W3C).

The elements are read by a scan with a stack of bounded depth, so the time is linear in the length of the markup.
"""

import re
from typing import Final

from pipeline.extract.references import characters

# Deeper elements, and what follows so many characters, are read as text.
MAX_DEPTH: Final = 60
MAX_CHARACTERS: Final = 50_000

_TOKEN = re.compile(r"<!--[^<>]*>?|<(/?)(?:[\w.-]{1,20}:)?([a-zA-Z-]{1,30})(?![\w-])([^<>]*)>|([^<]+)|<")
_VARIANT = re.compile(r"""mathvariant\s*=\s*["']?([a-z-]+)""")
_FENCE = re.compile(r"""(open|close|separators)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_NO_LINE = re.compile(r"""linethickness\s*=\s*["']?0""")
_NOTATION = re.compile(r"""notation\s*=\s*["']?\s*([a-z]+)""")
_LETTER_NAMES = r"""
    \alpha \beta \gamma \delta \varepsilon \zeta \eta \theta \iota \kappa \lambda \mu \nu \xi \pi \rho \varsigma
    \sigma \tau \upsilon \varphi \chi \psi \omega \Gamma \Delta \Theta \Lambda \Xi \Pi \Sigma \Upsilon \Phi \Psi
    \Omega \epsilon \vartheta \phi \varpi \varrho"""
_LETTERS: Final = dict(
    zip(
        "αβγδεζηθικλμνξπρςστυφχψωΓΔΘΛΞΠΣΥΦΨΩϵϑϕϖϱ",
        _LETTER_NAMES.split(),
        strict=True,
    )
)
_SIGN_NAMES = r"""
    −=- ±=\pm ∓=\mp ×=\times ÷=\div ⋅=\cdot ·=\cdot ∗=* ∘=\circ ∙=\bullet ≤=\leq ≥=\geq ≠=\neq ≈=\approx ≡=\equiv
    ∼=\sim ≃=\simeq ≅=\cong ∝=\propto ≪=\ll ≫=\gg ∈=\in ∉=\notin ∋=\ni ⊂=\subset ⊃=\supset ⊆=\subseteq ⊇=\supseteq
    ∪=\cup ∩=\cap ∖=\setminus ∅=\emptyset ∀=\forall ∃=\exists ¬=\neg ∧=\wedge ∨=\vee ⊕=\oplus ⊗=\otimes ⊥=\perp
    ∥=\parallel ∠=\angle ∞=\infty ∂=\partial ∇=\nabla ∑=\sum ∏=\prod ∐=\coprod ∫=\int ∬=\iint ∭=\iiint ∮=\oint
    √=\sqrt →=\to ←=\leftarrow ↔=\leftrightarrow ⇒=\Rightarrow ⇐=\Leftarrow ⇔=\Leftrightarrow ↦=\mapsto
    ⟶=\longrightarrow ⟹=\Longrightarrow ↑=\uparrow ↓=\downarrow …=\ldots ⋯=\cdots ⋮=\vdots ⋱=\ddots ⟨=\langle
    ⟩=\rangle 〈=\langle 〉=\rangle ⌊=\lfloor ⌋=\rfloor ⌈=\lceil ⌉=\rceil ‖=\| ′=' ″='' ℏ=\hbar ℓ=\ell ℜ=\Re ℑ=\Im
    ℵ=\aleph ℝ=\mathbb{R} ℕ=\mathbb{N} ℤ=\mathbb{Z} ℚ=\mathbb{Q} ℂ=\mathbb{C} {=\{ }=\} %=\% #=\# &=\& $=\$ ∣=\mid
    †=\dagger ≜=\triangleq ⊢=\vdash ⊨=\models ∴=\therefore ∵=\because ≺=\prec ≻=\succ ⟺=\Longleftrightarrow
    □=\square ⋆=\star °=^{\circ}"""
_SIGNS: Final = dict(word.split("=", 1) for word in _SIGN_NAMES.split())
_GONE: Final = str.maketrans("", "", "\u2061\u2062\u2063\u2064\u200b\ufe00")
_FUNCTION_NAMES = """
    arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf limsup ln log max
    min Pr sec sin sinh sup tan tanh"""
_FUNCTIONS: Final = frozenset(_FUNCTION_NAMES.split())
_ACCENTS: Final = {
    "^": r"\hat", "ˆ": r"\hat", "~": r"\tilde", "˜": r"\tilde", "∼": r"\tilde", "¯": r"\bar", "‾": r"\overline",
    "―": r"\overline", "→": r"\vec", "⃗": r"\vec", "⇀": r"\vec", "˙": r"\dot", ".": r"\dot", "¨": r"\ddot",
    "⏞": r"\overbrace", "ˇ": r"\check", "`": r"\grave", "´": r"\acute", "˘": r"\breve", "_": r"\overline",
    "\u0302": r"\hat", "\u0303": r"\tilde", "\u0304": r"\bar", "\u0305": r"\overline", "\u0307": r"\dot",
}  # fmt: skip
_BELOW: Final = {"_": r"\underline", "̲": r"\underline", "⏟": r"\underbrace", "―": r"\underline", "¯": r"\underline"}
_VARIANTS: Final = {
    "bold": r"\mathbf", "double-struck": r"\mathbb", "script": r"\mathcal", "fraktur": r"\mathfrak",
    "sans-serif": r"\mathsf", "monospace": r"\mathtt", "bold-italic": r"\boldsymbol", "normal": r"\mathrm",
}  # fmt: skip
_HIDDEN: Final = frozenset(
    {"annotation", "annotation-xml", "mphantom", "none", "mprescripts", "maligngroup", "malignmark"}
)
_SIDES: Final = frozenset(
    {"(", ")", "[", "]", "|", r"\{", r"\}", r"\|", r"\langle", r"\rangle", r"\lfloor", r"\rfloor"}
)
_LEFT: Final = frozenset({"(", "[", r"\{", r"\langle", r"\lfloor", r"\lceil"})


def to_tex(markup: str) -> str:
    """The TeX of the content of a `math` element; "" if it has none."""
    stack: list[tuple[str, str, list[str]]] = [("mrow", "", [])]
    too_deep = 0
    for slash, name, attributes, text in _TOKEN.findall(markup[:MAX_CHARACTERS]):
        if text:
            if not text.isspace():
                stack[-1][2].append(_leaf(stack[-1][0], stack[-1][1], characters(text)))
        elif not name:
            continue
        elif not slash:
            if attributes.endswith("/"):
                stack[-1][2].append(_element(name, attributes, []))
            elif len(stack) < MAX_DEPTH:
                stack.append((name, attributes, []))
            else:
                too_deep += 1
        elif too_deep:
            too_deep -= 1
        elif len(stack) > 1 and name in (open_name for open_name, _, _ in stack[1:]):
            closed = ""
            while closed != name:
                closed, opened, parts = stack.pop()
                stack[-1][2].append(_element(closed, opened, parts))
    while len(stack) > 1:
        name, attributes, parts = stack.pop()
        stack[-1][2].append(_element(name, attributes, parts))
    return _joined(stack[0][2])


def _leaf(name: str, attributes: str, text: str) -> str:
    text = " ".join(text.translate(_GONE).split())
    if name in ("mtext", "ms"):
        return rf"\text{{{text}}}" if text else ""
    if name == "mi" and len(text) > 1 and text.isascii() and text.isalpha():
        return rf"\{text}" if text in _FUNCTIONS else rf"\mathrm{{{text}}}"
    if name == "mo" and text in _FUNCTIONS:
        return rf"\{text}"
    tex = _joined([_LETTERS.get(sign) or _SIGNS.get(sign, sign) for sign in text])
    variant = _VARIANT.search(attributes) if name in ("mi", "mn", "mo") else None
    command = _VARIANTS.get(variant[1]) if variant else None
    if command == r"\mathrm" and not text.isalpha():
        command = None
    return f"{command}{{{tex}}}" if command and tex else tex


def _joined(parts: list[str]) -> str:
    """Parts one after another; a command and a letter after it stay apart."""
    out: list[str] = []
    command = script = False
    for part in parts:
        if part:
            if (command and part[0].isalpha()) or (script and part[0].isalnum()):
                out.append(" ")
            out.append(part)
            last = part.rpartition("\\")
            command = bool(last[1]) and last[2].isalpha()
            script = part[-2:-1] in ("^", "_")
    return "".join(out)


def _group(tex: str) -> str:
    return f"{{{tex}}}"


def _base(tex: str) -> str:
    """What a script is put on: in braces unless it is one sign or one command."""
    if len(tex) <= 1 or (tex[0] == "\\" and tex[1:].isalpha()) or tex.isdigit():
        return tex
    if tex[0] == "\\" and tex.endswith("}") and tex.count("{") == 1 and tex[1 : tex.index("{")].isalpha():
        return tex
    return _group(tex)


def _script(tex: str) -> str:
    return tex if len(tex) == 1 else _group(tex)


def _element(name: str, attributes: str, parts: list[str]) -> str:
    """The TeX of an element whose children's TeX is `parts`."""
    if name in _HIDDEN:
        return ""
    child = (parts + [""] * 3)[:3]
    match name:
        case "mfrac" if _NO_LINE.search(attributes):
            return rf"\binom{{{child[0]}}}{{{child[1]}}}" if len(parts) == 2 else _joined(parts)
        case "mfrac":
            return rf"\frac{{{child[0]}}}{{{child[1]}}}"
        case "msqrt":
            return rf"\sqrt{{{_joined(parts)}}}"
        case "mroot":
            return rf"\sqrt[{child[1]}]{{{child[0]}}}"
        case "msup":
            return (
                child[0] + "''"[: len(child[1])]
                if child[1] in ("'", "''")
                else f"{_base(child[0])}^{_script(child[1])}"
            )
        case "msub":
            return f"{_base(child[0])}_{_script(child[1])}"
        case "msubsup" | "munderover":
            return f"{_base(child[0])}_{_script(child[1])}^{_script(child[2])}"
        case "mover":
            return _over(child[0], child[1])
        case "munder":
            command = _BELOW.get(child[1])
            return f"{command}{{{child[0]}}}" if command else f"{_base(child[0])}_{_script(child[1])}"
        case "mfenced":
            return _fenced(attributes, parts)
        case "mtable":
            return r"\begin{matrix}" + r"\\".join(parts) + r"\end{matrix}"
        case "mtr" | "mlabeledtr":
            return "&".join(parts)
        case "mspace":
            return r"\," if "width" in attributes else ""
        case "menclose":
            notation = _NOTATION.search(attributes)
            return rf"\boxed{{{_joined(parts)}}}" if notation and notation[1] == "box" else _joined(parts)
        case "mmultiscripts":
            return f"{_base(child[0])}_{_script(child[1])}^{_script(child[2])}" if child[2] else _joined(parts)
        case "semantics" | "maction":
            return child[0] if parts else ""
        case "mrow" | "math" | "mstyle" | "mpadded" if parts and "\\begin{matrix}" in "".join(parts):
            return _matrix(parts)
        case _:
            return _joined(parts)


def _over(base: str, over: str) -> str:
    sign = {tex: sign for sign, tex in _SIGNS.items()}.get(over, over)
    command = _ACCENTS.get(sign) or _ACCENTS.get(over)
    if command:
        return f"{command}{{{base}}}"
    return (
        f"{_base(base)}^{_script(over)}"
        if base.startswith(("\\sum", "\\prod", "\\int", "\\lim"))
        else (rf"\overset{{{over}}}{{{base}}}")
    )


def _fenced(attributes: str, parts: list[str]) -> str:
    given = {name: one or other for name, one, other in _FENCE.findall(attributes)}
    signs = [characters(given.get(name, default)).strip() for name, default in (("open", "("), ("close", ")"))]
    left, right = (_SIGNS.get(sign, sign) or "." for sign in signs)
    between = characters(given.get("separators", ",")).strip()[:1]
    return rf"\left{left} {between.join(parts)}\right{right}"


def _matrix(parts: list[str]) -> str:
    """A table with a bracket before and after it is one matrix; with a brace before it alone, cases."""
    filled = [part for part in parts if part]
    if len(filled) == 2 and filled[0] == r"\{" and filled[1].startswith(r"\begin{matrix}"):
        return filled[1].replace("{matrix}", "{cases}", 1)[: -len(r"\end{matrix}")] + r"\end{cases}"
    kinds = {("(", ")"): "pmatrix", ("[", "]"): "bmatrix", ("|", "|"): "vmatrix"}
    if len(filled) == 3 and filled[1].startswith(r"\begin{matrix}") and (filled[0], filled[2]) in kinds:
        inner = filled[1][len(r"\begin{matrix}") : -len(r"\end{matrix}")]
        kind = kinds[filled[0], filled[2]]
        return rf"\begin{{{kind}}}{inner}\end{{{kind}}}"
    return _joined(parts)
