"""What draws give of one pool: targets that limit the size, a size that misses them, languages, one that is refused.

    python -m benchmarks draws --texts TEXTS --web WEB [--work FOLDER]

TEXTS has folders iq_en, eq_en, code, iq_zh and eq_zh of JSON lines, whose texts are science, literature or code; WEB is
a dataset of web pages, which are general. A tokenizer of 8,192 pieces is fitted on all of them and counts the tokens.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.dataset.reader import Dataset

# Characters at most of each folder, its language and its domain.
FOLDERS = (
    ("iq_en", 3_000_000, "en", "science"), ("eq_en", 4_000_000, "en", "literature"), ("code", 1_000_000, "en", "code"),
    ("iq_zh", 500_000, "zh", "science"), ("eq_zh", 900_000, "zh", "literature"),
)  # fmt: skip
LEAST_CHARS, MOST_CHARS = 200, 6000
RECIPE = """name = "draw"
[[stage]]
name = "mixture"
command = "mix"
tokenizer = "tokenizer.model"
draw = { targets = { IQ = 0.4, EQ = 0.4, general = 0.2 }, max_epochs = 4.0 }
"""
ZH = ("mixture.draw.language_targets.zh=0.3", 'mixture.draw.joint_targets={"zh/IQ"=0.1}')
DRAWS: dict[str, tuple[str, ...]] = {
    "40/40/20": (),
    "5,000,000 tokens": ("mixture.draw.tokens=5000000",),
    "zh .3, zh/IQ .1": ZH,
    "40,000,000 tokens": ("mixture.draw.tokens=40000000",),
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--web", type=Path, required=True)
    parser.add_argument("--work", type=Path)


def run(args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        with gzip.open(work / "pool.jsonl.gz", "wt", encoding="utf-8") as out:
            for row in documents(args.texts, args.web):
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
        (work / "draw.toml").write_text(RECIPE)
        refinery("fit", "tokenizer", "--positive", work / "pool.jsonl.gz", "--out", work / "models/tokenizer.model")
        return {"draws": {name: draw(work, f"mixture-{n}", DRAWS[name]) for n, name in enumerate(DRAWS)}}


def documents(texts: Path, web: Path) -> Iterator[dict[str, str]]:
    for folder, most, language, domain in FOLDERS:
        files = sorted((texts / folder).glob("*.jsonl.gz"))
        for file in files:
            left = most // len(files)
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                for row in map(json.loads, lines):
                    text = row["text"][:MOST_CHARS]
                    left -= len(text)
                    if left < 0:
                        break
                    if len(text) >= LEAST_CHARS:
                        yield {
                            "text": text, "id": row["id"], "language": language, "domain": domain, "source": "curated",
                        }  # fmt: skip
    for row in Dataset(web).to_arrow(["text", "id", "language"]).to_pylist():
        yield {**row, "language": row["language"] or "en", "domain": "general", "source": "web"}


def draw(work: Path, name: str, changes: tuple[str, ...]) -> dict[str, Any]:
    """The mixture of the manifest, or the one line of a refusal."""
    sets = [word for change in changes for word in ("--set", change)]
    words = ("--recipe", work / "draw.toml", "--input", work / "pool.jsonl.gz", "--models", work / "models", "--json")
    done = refinery("mix", *words, "--out", work / name, *sets, codes=(0, 2))
    if done.returncode:
        return {"refused": done.stderr.strip().splitlines()[-1]}
    found: dict[str, Any] = json.loads(done.stdout)["mixture"]
    return {key: found[key] for key in ("tokens", "shares", "targets", "binding", "alone", "retention")}


def refinery(*words: object, codes: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-m", "refinery", *map(str, words)], capture_output=True, text=True)
    assert done.returncode in codes, done.stderr
    return done


def show(found: dict[str, Any]) -> Iterator[str]:
    for name, one in found["draws"].items():
        yield f"{name}: {one.get('refused') or format(one['tokens'], ',') + ' tokens'}"
        for target, numbers in one.get("targets", {}).items():
            limits = f"; limited by {'; '.join(numbers['limited_by'])}" if numbers["limited_by"] else ""
            yield f"  {target}: {numbers['asked']:.1%} asked for, {numbers['drawn']:.1%} drawn{limits}"
        yield from (f"  limited by {limit}" for limit in one.get("binding", ()))
        yield from (f"  {target} alone allows {tokens:,} tokens" for target, tokens in one.get("alone", {}).items())
