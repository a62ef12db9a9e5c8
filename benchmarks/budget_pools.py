"""Pools of one crawl by several recipes as tokens, and held-out text, for `benchmarks/budget_map.py`.

Of a finished `refinery compare` of `yi`, `falcon` and `ccnet`: what each recipe kept, in English and Chinese alone, as
`ccnet` keeps every language and the others do not; `graded`, all that `yi` has before its keep rate cuts it, the best
of it repeated (`refinery mix` with grades); `falcon-part`, as much of falcon's as `yi` kept, which tells few tokens
from good ones; `yi-part`, a quarter of yi's, which is repeated most; and `alike`, whole English documents of falcon's
with as many tokens as yi's, and yi's Chinese ones, which differs from yi by its choice of English alone. All have one
tokenizer of few pieces, fitted on equal parts of their English, so that Chinese is read byte by byte."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.distributions import refinery, write_rows
from benchmarks.shared import read_rows
from benchmarks.small_tokens import fit_small
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import read_json, write_bytes
from pipeline.metric.cells import Passage, PassageSample
from pipeline.metric.overlap import MIN_SHARE, TrainingOverlap

RECIPES = ("yi", "falcon", "ccnet")
POOLS = ("yi-part", "yi", "falcon-part", "graded", "falcon", "ccnet")
ALIKE = "alike"
YI_PART = 0.25
LANGUAGES = ("en", "zh")
VOCABULARY = 512
TOKENIZER_CHARS = 300_000  # of each pool
GRADES = "[{ best = 0.1, epochs = 4 }, { best = 0.4, epochs = 2 }, { best = 1, epochs = 1 }]"
GRADED = f"""name = "graded"
[[stage]]
name = "mixture"
command = "mix"
tokenizer = "tokenizer.model"
draw = {{ quality = "quality", grades = {GRADES} }}
[[stage]]
name = "tokens"
command = "tokenize"
tokenizer = "tokenizer.model"
"""
# Kinds of clean text that are held out, and of each at most so many bytes, and of a document.
CELLS = ("iq_en", "eq_en", "iq_zh", "eq_zh")
CELL_BYTES, DOCUMENT_BYTES = {"en": 2**15, "zh": 2**14}, 2**10
# Of a longer document each piece is a document: whole, the longest has more tokens than a short training.
PIECE_CHARS = 2000


class TokenPool(NamedTuple):
    """`name`: of the pool, the same for a part of it. `tokens`: the dataset. `unique`: tokens of the documents that are
    trained on, each counted once. `keep_rate`: of the tokens of the loosest pool."""

    name: str
    tokens: Path
    unique: int
    keep_rate: float


def compare_pages(pages: Sequence[Path], models: str | None, out: Path) -> Path:
    """`refinery compare` of the recipes, unless it is there."""
    if not (out / "comparison.json").exists():
        chosen = ("--models", models) if models else ()
        words = [word for recipe in RECIPES for word in ("--recipe", recipe)]
        refinery("compare", *words, "--input", *pages, "--out", out, *chosen, "--workers", 1)
    return out


def make_pools(compared: Path, out: Path) -> dict[str, TokenPool]:
    """Every pool by the name of `POOLS`, as tokens below `out`. UsageError for a comparison of other recipes."""
    chains = (read_json(compared / "run.json") or {}).get("chains", {})
    if missing := sorted(set(RECIPES) - set(chains)):
        raise UsageError(f"{compared} is no `refinery compare` of {', '.join(RECIPES)}: it has no {missing[0]}")
    cut = next(place for place, name in enumerate(chains["yi"]) if "keep-rate" in name)
    folders = {recipe: compared / chains[recipe][-1] for recipe in RECIPES} | {
        "graded": compared / chains["yi"][cut - 1]
    }
    for name, folder in folders.items():
        if not (out / f"{name}.jsonl.gz").exists():
            write_rows(out / f"{name}.jsonl.gz", list(documents(folder, name == "graded")))
    models = out / "models"
    if not (models / "tokenizer.model").exists():
        fit_small([text for name in folders for text in first_texts(out / f"{name}.jsonl.gz")],
                  VOCABULARY, models / "tokenizer.model")  # fmt: skip
    for name in RECIPES:
        tokenized(name, out)
    as_yi = unique_tokens(out / "tokens/yi") / unique_tokens(out / "tokens/falcon")
    for name, share in (("yi", YI_PART), ("falcon", as_yi)):
        if not (out / f"{name}-part.jsonl.gz").exists():
            rows = read_rows(out / f"{name}.jsonl.gz")
            write_rows(out / f"{name}-part.jsonl.gz", [row for row in rows if place_of(row["text"]) < share])
        tokenized(f"{name}-part", out)
    if not (out / f"{ALIKE}.jsonl.gz").exists():
        write_rows(out / f"{ALIKE}.jsonl.gz", list(alike(out)))
    tokenized(ALIKE, out)
    if not (out / "graded/final/manifest.json").exists():
        (out / "graded.toml").write_text(GRADED)
        words = ("--recipe", out / "graded.toml", "--models", models, "--workers", 1)
        refinery("run", *words, "--input", out / "graded.jsonl.gz", "--out", out / "graded")
    places = {name: out / ("graded/final" if name == "graded" else f"tokens/{name}") for name in (*POOLS, ALIKE)}
    unique = {name: unique_tokens(place) for name, place in places.items()}
    whole = {name: unique[whole_of(name)] / max(unique.values()) for name in places}
    return {name: TokenPool(whole_of(name), places[name], unique[name], whole[name]) for name in places}


def alike(out: Path) -> Iterator[dict[str, Any]]:
    """Whole English documents of falcon's by the hash of their id, until they have as many characters as yi's English
    ones; and yi's others."""
    chosen = list(read_rows(out / "yi.jsonl.gz"))
    characters = sum(len(row["text"]) for row in chosen if row["language"] == "en")
    documents: dict[str, list[dict[str, Any]]] = {}
    for row in read_rows(out / "falcon.jsonl.gz"):
        if row["language"] == "en":
            documents.setdefault(row["id"].rpartition("#")[0], []).append(row)
    for name in sorted(documents, key=place_of):
        if characters <= 0:
            break
        yield from documents[name]
        characters -= sum(len(row["text"]) for row in documents[name])
    yield from (row for row in chosen if row["language"] != "en")


def whole_of(name: str) -> str:
    return name.removesuffix("-part")


def documents(folder: Path, graded: bool) -> Iterator[dict[str, Any]]:
    """The documents of a dataset in `LANGUAGES`, in pieces; those with a quality alone where they are graded."""
    columns = ["text", "id", "url", "language", *(["signals"] if graded else [])]
    for row in Dataset(folder).to_arrow(columns).to_pylist():
        quality = {"quality": (row.pop("signals") or {}).get("quality")} if graded else {}
        if row["language"] in LANGUAGES and None not in quality.values():
            for number, text in enumerate(pieces(row["text"])):
                yield row | quality | {"text": text, "id": f"{row['id']}#{number}"}


def pieces(text: str) -> Iterator[str]:
    """At most `PIECE_CHARS` characters each, cut after a line or a word where there is one."""
    while len(text) > PIECE_CHARS:
        end = max(text.rfind(mark, PIECE_CHARS // 2, PIECE_CHARS) for mark in "\n ") + 1 or PIECE_CHARS
        yield text[:end]
        text = text[end:]
    if text.strip():
        yield text


def first_texts(path: Path) -> Iterator[str]:
    """English texts by their hash, until they have `TOKENIZER_CHARS` characters together."""
    held = 0
    for text in sorted((row["text"] for row in read_rows(path) if row["language"] == "en"), key=place_of):
        if held >= TOKENIZER_CHARS:
            return
        held += len(text)
        yield text


def place_of(text: str) -> float:
    """A number from 0 to 1 by the text's hash."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:4], "big") / 2**32


def tokenized(name: str, out: Path) -> None:
    if not (out / "tokens" / name / "manifest.json").exists():
        words = ("--recipe", "tokens", "--models", out / "models", "--workers", 1)
        refinery("tokenize", *words, "--input", out / f"{name}.jsonl.gz", "--out", out / "tokens" / name)


def unique_tokens(dataset: Path) -> int:
    """Tokens of the documents that are trained on, each counted once."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(dataset / "documents.parquet")
    lengths = table["length"]
    if "repeats" in table.column_names:
        lengths = lengths.filter(pc.greater(pc.fill_null(table["repeats"], 1), 0))
    return int(pc.sum(lengths).as_py())


def held_out(texts: Path, pools: Path, out: Path) -> dict[str, list[Passage]]:
    """Passages of clean text by cell, without those that any pool has too; made once. The file says how many."""
    if not out.exists():
        cells = {name: drawn(texts / name) for name in CELLS}
        guard = TrainingOverlap([passage.text for cell in cells.values() for passage in cell])
        for path in sorted(pools.glob("*.jsonl.gz")):
            for row in read_rows(path):
                guard.see(row["text"])
        shares = iter(guard.shares().tolist())
        kept = {name: [each for each in cell if next(shares) < MIN_SHARE] for name, cell in cells.items()}
        dropped = {name: len(cells[name]) - len(kept[name]) for name in CELLS}
        body = {"dropped": dropped, "cells": {name: [list(each) for each in cell] for name, cell in kept.items()}}
        write_bytes(out, json.dumps(body, ensure_ascii=False).encode())
    found: Mapping[str, Any] = json.loads(out.read_bytes())
    return {name: [Passage(*each) for each in cell] for name, cell in found["cells"].items()}


def drawn(folder: Path) -> tuple[Passage, ...]:
    """Some documents of each file of a folder alike, by hash."""
    files = sorted(folder.glob("*.jsonl.gz"))
    if not files:
        raise UsageError(f"--texts has no {folder.name} with .jsonl.gz files: {folder}")
    found: list[Passage] = []
    for path in files:
        sample = PassageSample(CELL_BYTES[folder.name[-2:]] // len(files), DOCUMENT_BYTES)
        for row in read_rows(path):
            sample.add(row["text"])
        found += sample.passages()
    return tuple(found)


def save_pools(pools: Mapping[str, TokenPool], path: Path) -> None:
    rows = {name: {"unique_tokens": pool.unique, "keep_rate": pool.keep_rate} for name, pool in pools.items()}
    write_bytes(path, readable_json(rows))
