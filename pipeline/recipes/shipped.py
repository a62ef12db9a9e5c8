"""The recipes that come with the package: a TOML file each, and those that are made for a language from a template.

Plain recipes have a name for each language that there are numbers for (`english`, `german`, …); `language:de,fr` keeps
the languages that its name lists.
"""

import csv
import json
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template

from infra.errors import UsageError
from infra.storage import write_bytes, writing

FOLDER = resources.files("pipeline.recipes")
TEMPLATES = FOLDER / "templates"
LANGUAGE = "language:"
# Recipes that do one job and are called by it, as a user's own may be: nobody takes a result of that name for theirs.
ONE_JOB = frozenset({"exact", "extract", "language", "minhash", "tokens", "mixture", "url-only"})


@cache
def _plain() -> dict[str, dict[str, str]]:
    """The numbers of the plain recipes, by language code: the bounds that stand in their template, as text.

    Of English, Gopher's (table A1, A.1.1); of the others, those of FineWeb2's configs/*.yml, which were measured on the
    Wikipedia of each with a tokenizer of its own. Ours takes Vietnamese syllables for words, so that the least mean
    length is lower there; and where FineWeb2 wants more words with a letter than Gopher, Gopher's 0.8 stays (of 29
    texts of 12 clean Swedish sentences, 0.841 rejects 9).
    """
    lines = (TEMPLATES / "plain.csv").read_text("utf-8").splitlines()
    return {row["code"]: row for row in csv.DictReader(lines)}


# The labels of lid.176.ftz.
IDENTIFIED = """
af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs cv cy da de
diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht hu hy ia id ie ilo
io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms
mt mwl my myv mzn nah nap nds ne new nl nn no oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn
sco sd sh si sk sl so sq sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf
yi yo yue zh
""".split()  # noqa: SIM905 (a list of words is easier to read as words)


def shipped() -> list[str]:
    """The names of the recipes that come with the package; `language:de,fr` and its like go without saying."""
    files = [item.name.removesuffix(".toml") for item in FOLDER.iterdir() if item.name.endswith(".toml")]
    return sorted([*files, *plain_names()])


def is_shipped(name: str) -> bool:
    """Whether a recipe of this name comes with the package, or is made from a template."""
    return name in shipped() or name.startswith(LANGUAGE)


def plain_names() -> dict[str, str]:
    """The language code of each plain recipe."""
    return {row["name"]: code for code, row in _plain().items()}


def shipped_toml(name: str) -> str | None:
    """The text of the recipe of this name; None if there is none. UsageError for a language that is not identified."""
    if name in plain_names():
        return plain_toml(name)
    if name.startswith(LANGUAGE):
        return _language_toml(name.removeprefix(LANGUAGE).split(","))
    return (FOLDER / f"{name}.toml").read_text("utf-8") if name in shipped() else None


def plain_toml(language: str, name: str = "") -> str:
    """The plain recipe of a language, by its code or English name, called `name` or by the language. UsageError for one
    that there are no numbers for."""
    plain, named = _plain(), plain_names()
    code = named.get(language.lower(), language)
    if code not in plain:
        known = ", ".join(f"{code} ({name})" for name, code in named.items())
        raise UsageError(f"no plain recipe for the language {language!r}: there is one for {known}")
    row = plain[code]
    more = {"name": json.dumps(name or row["name"], ensure_ascii=False), "adjective": row["name"].capitalize()}
    more["alphabetic_source"] = "Gopher A.1.1" if row["alphabetic"] == "0.8" else row["source"]
    return _template("plain").substitute(row | more)


def write_plain(language: str, out: Path) -> str:
    """Writes the plain recipe of a language to a file, to be changed there, and returns its name: the file's, with
    `my-` in front where a shipped recipe has that. UsageError where there are no numbers, or the file exists."""
    if out.suffix != ".toml":
        raise UsageError(f"--out {out}: a recipe is known by its suffix: choose a name that ends in .toml")
    content = plain_toml(language, name := f"my-{out.stem}" if out.stem in shipped() else out.stem)
    with writing(out):
        if out.exists():
            raise UsageError(f"{out} exists: choose another --out, or delete it first")
        out.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(out, content.encode())
    return name


def _language_toml(codes: list[str]) -> str:
    named = plain_names()
    for code in codes:
        if code not in IDENTIFIED:
            meant = f"; {code} is {named[code]}" if code in named else ""
            raise UsageError(f"recipe language: {code!r} is no language code of lid.176{meant}: say language:de,fr")
    codes = sorted(set(codes))
    return _template("language").substitute(codes=",".join(codes), quoted=", ".join(f'"{code}"' for code in codes))


def _template(name: str) -> Template:
    return Template((TEMPLATES / f"{name}.toml").read_text("utf-8"))
