"""How bits per byte follow from the distance of a text from what was trained on: a grid under models of several mixes.

    python -m benchmarks distributions --texts TEXTS --held-out held-out.txt --out made [--mix all iq eq]

`--texts` has a folder for each kind of text (`iq_en`, `eq_zh`, `code`, …) with a file for each source, JSON lines with
`text`. `--held-out` names sources, one a line: all of it is held out, or with a number behind it (`dialogues 0.1`) that
share of its documents, by hash. A tokenizer is fitted on the other texts, and a model of the configuration `tiny` is
trained on each mix: `all` of them, `eq` those of kinds that begin so, `iq` those of other kinds. Each is measured on
the grid of all held-out sources.

With two mixes the same texts are compared: how much more bits one model needs for each, and how much farther the text
is from what it was trained on. How hard the text is for anybody cancels. What is in `--out` already is not made again.
"""

import argparse
import gzip
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import add, markdown, read_rows
from infra.errors import UsageError
from infra.storage import read_json, write_bytes
from pipeline.metric.relation import relation
from trainer.start import config_file

MIXES = ("all", "iq", "eq")
VOCABULARY = 4096
DOCUMENT_BYTES = 2**14
COLUMNS = ("bits_per_byte", "low", "high", "over_xz", "cross_entropy", "entropy", "distance", "contaminated")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--texts", type=Path, required=True, help="a folder for each kind, with a file for each source")
    parser.add_argument("--held-out", type=Path, required=True, help="sources, one a line, with a share perhaps")
    parser.add_argument("--mix", nargs="+", choices=MIXES, default=["all"], help="what is trained on; several compare")
    parser.add_argument("--steps", type=int, default=600, help="of each training, a tenth or so of them the decay")
    parser.add_argument("--bytes", type=int, default=2**16, help="of each source that is held out, at most")
    add(parser, "--out", required=True)


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.steps < 100 or args.bytes < 4:
        raise UsageError("--steps must be 100 or more, and --bytes 4 or more")
    args.out.mkdir(parents=True, exist_ok=True)
    make_texts(args.texts, read_held_out(args.held_out), args.bytes, args.out)
    models = args.out / "models"
    models.mkdir(exist_ok=True)
    kinds = sorted((args.out / "train").iterdir())
    if not (models / "tokenizer.model").exists():
        made = models / "tokenizer.model"
        refinery("fit", "tokenizer", "--positive", *kinds, "--out", made, "--vocab-size", VOCABULARY)
    grids = {mix: grid_of(mix, kinds, args) for mix in args.mix}
    pairs = {f"{a} less {b}": compared(grids[a], grids[b]) for a, b in combinations(grids, 2)}
    return {"steps": args.steps, "grids": grids, "pairs": pairs}


def read_held_out(path: Path) -> dict[str, float]:
    """The share that is held out of each source."""
    try:
        lines = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
        return {line[0]: float(line[1]) if line[1:] else 1.0 for line in lines}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as names of sources, each with a share perhaps: {error}") from None


def make_texts(texts: Path, held_out: Mapping[str, float], size: int, out: Path) -> None:
    """`train/KIND` and `held-out`, a file for each source, and `grid.toml`. `size`: bytes of a distribution."""
    if (out / "grid.toml").exists():
        return
    files = {file.name.removesuffix(".jsonl.gz"): file for file in sorted(texts.rglob("*.jsonl.gz"))}
    if missing := sorted(set(held_out) - set(files)):
        raise UsageError(f"--held-out names {missing[0]!r}, and no file of --texts is called {missing[0]}.jsonl.gz")
    grid = [f"bytes = {size}\ndocument_bytes = {min(DOCUMENT_BYTES, size // 4)}\n"]
    for source, file in files.items():
        kind, share = file.parent.name, held_out.get(source, 0.0)
        rows = [{**row, "source": source, "language": language_of(kind)} for row in read_rows(file)]
        # By the first byte of a hash, so that a document is held out in every order of the rows.
        held = [row for row in rows if hashlib.sha256(row["text"].encode()).digest()[0] < 256 * share]
        chosen = {row["text"] for row in held}
        write_rows(out / "train" / kind / f"{source}.jsonl.gz", [row for row in rows if row["text"] not in chosen])
        if held:
            write_rows(out / "held-out" / f"{source}.jsonl.gz", held)
            axis = "EQ" if kind.startswith("eq") else "IQ"
            grid.append(f'[cells.{source}]\ninput = "held-out/{source}.jsonl.gz"\naxis = "{axis}"\n')
    write_bytes(out / "grid.toml", "\n".join(grid).encode())


def language_of(kind: str) -> str:
    return {"en": "en", "zh": "zh", "code": "en"}.get(kind.rpartition("_")[2], "und")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_bytes(path, gzip.compress(lines.encode(), mtime=0))


def grid_of(mix: str, kinds: Sequence[Path], args: argparse.Namespace) -> dict[str, Any]:
    """The answer of `evaluate --grid` for a model that is trained on this mix."""
    folder = args.out / mix
    folder.mkdir(exist_ok=True)
    if not (folder / "metric" / "grid.json").exists():
        chosen = [kind for kind in kinds if mix == "all" or kind.name.startswith("eq") is (mix == "eq")]
        words = ("--recipe", "tokens", "--models", args.out / "models", "--workers", 1)
        refinery("tokenize", *words, "--input", *chosen, "--out", folder / "tokens")
        write_bytes(folder / "model.toml", configuration(args.steps).encode())
        words = ("--data", folder / "tokens", "--config", folder / "model.toml", "--out", folder / "trained")
        refinery("train", *words, "--steps", args.steps)
        words = ("--training", folder / "tokens", "--out", folder / "metric")
        refinery("evaluate", "--checkpoint", folder / "trained", "--grid", args.out / "grid.toml", *words)
    found: Any = read_json(folder / "metric" / "grid.json")
    return dict(found)


def configuration(steps: int) -> str:
    """`tiny` with a schedule of this many steps."""
    text = config_file("tiny").read_text("utf-8")
    for name, value in (("trunk_steps", steps - steps // 11), ("decay_steps", steps // 11)):
        text = re.sub(rf"^{name} = \d+$", f"{name} = {value}", text, flags=re.MULTILINE)
    return text


def refinery(*words: object) -> None:
    """The command as a user types it; its lines go to stderr."""
    subprocess.run([sys.executable, "-m", "refinery", *map(str, words)], check=True, stdout=sys.stderr)


def compared(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The differences of each distribution that is marked in neither, and their relation."""
    marked = {*first["marked"], *second["marked"]}
    rows = {
        name: {key: row[key] - second["cells"][name][key] for key in ("bits_per_byte", "cross_entropy")}
        for name, row in first["cells"].items()
        if name not in marked
    }
    columns = {key: np.array([row[key] for row in rows.values()]) for key in ("bits_per_byte", "cross_entropy")}
    return {"cells": rows, "relation": relation(columns["bits_per_byte"], {"cross_entropy": columns["cross_entropy"]})}


def show(found: Mapping[str, Any]) -> Iterator[str]:
    for mix, grid in found["grids"].items():
        yield f"\nTrained on {mix}, {found['steps']:,} steps\n"
        rows = [[name, *(shown(row[key]) for key in COLUMNS)] for name, row in grid["cells"].items()]
        yield from markdown(["distribution", *COLUMNS], rows)
        yield from (f"{axis}: {json.dumps(group)}" for axis, group in grid["axes"].items())
        yield from (f"{name}: {json.dumps(each)}" for name, each in grid["relations"].items())
    for pair, each in found["pairs"].items():
        yield f"\n{pair}\n"
        rows = [[name, *map(shown, row.values())] for name, row in each["cells"].items()]
        yield from markdown(["distribution", "bits per byte", "cross-entropy"], rows)
        yield json.dumps(each["relation"])


def shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
