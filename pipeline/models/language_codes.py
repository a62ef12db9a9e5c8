"""Languages under one code each, whatever an identifier calls them: BCP 47's primary language (RFC 5646).

That is the code of two letters (ISO 639-1) where there is one, else of three (ISO 639-3), and no code that the registry
has deprecated. A macrolanguage keeps its code where identifiers use it for its main language: `no` is Bokmål beside
`nn`, `zh` Mandarin beside `yue`, `ms` Malay beside `id`.
"""

from typing import Final

from pipeline.extract.language_claims import CODES_OF_THREE

UNDETERMINED: Final = "und"
# Labels of Wikipedia (lid.176) and deprecated codes; what `language_claims` reads as pages mean it, not as models do.
_OWN: Final = {
    "als": "gsw", "arb": "ar", "bh": "bho", "eml": "egl", "gsw": "gsw", "in": "id", "iw": "he", "ji": "yi", "jw": "jv",
    "lzh": "lzh", "mo": "ro", "nb": "no", "sh": "sr", "simple": "en", "zxx": UNDETERMINED,
}  # fmt: skip


def canonical(label: str) -> str:
    """The code of a label such as "en", "eng_Latn", "zh-Hant", "iw" or "als"; what is none stays as it is."""
    code = label.replace("_", "-").partition("-")[0].lower()
    return _OWN.get(code) or (CODES_OF_THREE.get(code) if len(code) == 3 else None) or code
