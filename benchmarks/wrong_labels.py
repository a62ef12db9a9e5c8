"""Pages whose label is wrong and decodes: how often they are read right, and whether any page under its own is changed.

    python -m benchmarks wrong_labels --folder CHARSETS

`--folder` has a folder for each charset, called by its Python codec, with pages in it. A page counts as read right if
the repair names the charset that reads its bytes as its folder's does; `left` pages stay as the label reads them.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.shared import markdown
from pipeline.extract.charset import decode
from pipeline.extract.mojibake import right_codec

# Folder, and the codec of a label that decodes most such pages.
WRONG: Final = (
    ("euc_jp", "cp932"), ("shift_jis", "euc_jp"), ("cp932", "euc_jp"), ("koi8_r", "cp1251"), ("windows_1251", "koi8-r"),
    ("ibm866", "cp1251"), ("iso8859_5", "cp1251"), ("big5", "gb18030"), ("gb2312", "big5hkscs"),
    ("gb18030", "big5hkscs"), ("euc_kr", "gb18030"),
)  # fmt: skip
# What reads each folder's pages, as the repair names it.
READ_BY: Final = {
    "shift_jis": "cp932", "koi8_r": "koi8-r", "windows_1251": "cp1251", "ibm866": "cp866", "iso8859_5": "iso8859-5",
    "big5": "big5hkscs", "gb2312": "gb18030", "euc_kr": "cp949",
}  # fmt: skip


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, required=True, help="a folder of pages for each charset")


def bodies(folder: Path) -> Iterator[bytes]:
    return (file.read_bytes() for file in sorted(folder.glob("*")) if file.is_file())


def run(args: argparse.Namespace) -> dict[str, Any]:
    found = {}
    for name, label in WRONG:
        answers = Counter(right_codec(body, label) for body in bodies(args.folder / name))
        right, left = answers[READ_BY.get(name, name)], answers[None]
        found[f"{name} as {label}"] = {
            "pages": answers.total(), "right": right, "left": left, "wrong": answers.total() - right - left,
        }  # fmt: skip
    own = [decode(body, None) for folder in sorted(args.folder.iterdir()) for body in bodies(folder)]
    repaired = sum(decoded.evidence.endswith("-repaired") for decoded in own)
    return {"labels": found, "unlabelled": {"pages": len(own), "repaired": repaired}}


def show(found: dict[str, Any]) -> Iterator[str]:
    columns = ("pages", "right", "left", "wrong")
    rows = [[name, *(row[column] for column in columns)] for name, row in found["labels"].items()]
    rows.append(["all", *(sum(row[column] for row in found["labels"].values()) for column in columns)])
    yield from markdown(["charset and label", *columns], rows)
    own = found["unlabelled"]
    yield f"\nOf {own['pages']} pages as they are, without a label of the header, {own['repaired']} were changed."
