"""Learns which blocks of a page are main text, and says how well on pages of other hosts
(`pipeline/extract/block_model.toml`).

    python -m benchmarks fit_blocks --pages CRAWL/*.warc.gz --index index.jsonl.gz --gold gold.jsonl.gz [--out FILE]

A block of a page with a full gold text is main text if most of its runs of four words (all of it, if shorter) are in
the gold text; of any other page, if they are in trafilatura's text, with less weight, or in a snippet that its text
must have (and not if they are in one that it must not have). A block weighs as much as it has words, in shares of its
page's text, so that each page counts the same. Without `--out` the network is fitted on each half of the hosts,
scored on the pages of the other, and nothing is written.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.gold import GoldText, read_gold, score_text, words
from benchmarks.labelled import half_of, read_pages
from benchmarks.shared import add, read_rows
from pipeline.extract.block import Block
from pipeline.extract.block_features import NAMES, features
from pipeline.extract.block_model import MainText, main_blocks
from pipeline.extract.block_network import CLIP, FORMAT, BlockWeights
from pipeline.extract.blocks import blocks
from pipeline.extract.caps import check_caps
from pipeline.extract.charset import decode
from pipeline.extract.page import PageExtractor

HIDDEN: Final = 32
EPOCHS: Final = 15
BATCH: Final = 2048
RATE, DECAY, DROPOUT = 3e-3, 1e-2, 0.1
# Of a page that only an engine has labelled; of one whose annotators saw every type of page, the scarcest kind.
ENGINE_WEIGHT: Final = 0.5
SNIPPET_WEIGHT: Final = 1.0
MIXED_WEIGHT: Final = 2.5
MIXED_FORM: Final = "full_text+snippets"
DIGITS: Final = 4

Array = NDArray[Any]


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--pages", "--index", "--gold", required=True)
    add(parser, "--half", help="fit on the pages of this half of the hosts alone")
    add(parser, "--out", help="the model that is written")
    parser.add_argument("--without", help="fit on no page of this source (the part of the id before the slash)")


class Example(NamedTuple):
    """A page: its blocks, and for each whether it is main text and how much that counts."""

    id: str
    half: str
    gold: GoldText | None
    page: list[Block]
    is_text: Array
    weight: Array


def shares(page: Sequence[Block], text: str) -> Array:
    """How much of each block is in `text`: the share of its runs of four words, or all or nothing if it is shorter."""
    known = words(text)
    runs = set(zip(known, known[1:], known[2:], known[3:]))
    line = f" {' '.join(known)} "
    found = []
    for block in page:
        own = words(block.text)
        own_runs = list(zip(own, own[1:], own[2:], own[3:]))
        if own_runs:
            found.append(sum(run in runs for run in own_runs) / len(own_runs))
        else:
            found.append(float(bool(own) and f" {' '.join(own)} " in line))
    return np.array(found, np.float32)


def snippets(page: Sequence[Block], wanted: Sequence[str]) -> Array:
    """Whether each block is one of the snippets, or most of it is in them, or holds one."""
    lines = [f" {' '.join(words(snippet))} " for snippet in wanted]
    found = shares(page, "\n".join(wanted)) > 0.5
    return found | np.array([any(line in f" {' '.join(words(block.text))} " for line in lines) for block in page])


def label(page: Sequence[Block], gold: GoldText | None, other: str, mixed: bool) -> tuple[Array, Array]:
    """Whether each block is main text, by the gold text or else by another engine's and the snippets, and its
    weight."""
    sizes = np.array([len(words(block.text)) for block in page], np.float32)
    text = gold.text if gold and gold.text else other
    is_text = shares(page, text) > 0.5
    trust = MIXED_WEIGHT if mixed else 1.0
    if gold is None or not gold.text:
        trust = ENGINE_WEIGHT
        if gold and gold.required:
            trust = SNIPPET_WEIGHT
            is_text |= snippets(page, gold.required)
        if gold and gold.forbidden:
            is_text &= ~(shares(page, "\n".join(gold.forbidden)) > 0.5)
    whole = max(len(words(text)), float((sizes * is_text).sum()), 0.05 * float(sizes.sum()), 20.0)
    weight = np.minimum(sizes / whole, 1) * trust
    if gold and gold.allowed:
        weight = weight * ~((shares(page, gold.allowed) > 0.5) & ~is_text)
    return is_text.astype(np.float32), weight.astype(np.float32)


def read_examples(warcs: Sequence[Path], index: Path, gold_path: Path) -> list[Example]:
    """All pages with blocks, in the order of the index. Runs trafilatura where there is no full gold text."""
    rows = {row["id"]: row for row in read_rows(gold_path)}
    examples = []
    with PageExtractor("trafilatura") as engine:
        for row, message in read_pages(warcs, index):
            html = decode(message.body, message.charset_label).text
            page = blocks(html) if check_caps(html) is None else []
            if not page:
                continue
            gold = read_gold(rows[row["id"]]) if row["id"] in rows else None
            has_text = gold is not None and gold.text != ""
            other = "" if has_text else engine.extract(message.body, message.charset_label, row["url"]).text
            mixed = has_text and rows[row["id"]]["form"] == MIXED_FORM
            half = half_of(row["url"], row["id"])
            examples.append(Example(row["id"], half, gold, page, *label(page, gold, other, mixed)))
    return examples


def fit(examples: Sequence[Example]) -> BlockWeights:
    """The network that tells main text from the rest in these pages. One thread, one seed: the same every time."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    # row by row in memory: rows are drawn at random
    inputs = np.ascontiguousarray(np.concatenate([features(each.page).astype(np.float32) for each in examples]))
    mean, scale = inputs.mean(0), inputs.std(0) + 1e-3
    x_NF = torch.from_numpy((inputs - mean) / scale).clamp(-CLIP, CLIP)
    y_N = torch.from_numpy(np.concatenate([example.is_text for example in examples]))
    weight_N = torch.from_numpy(np.concatenate([example.weight for example in examples]))
    hidden, output = torch.nn.Linear(inputs.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 1)
    net = torch.nn.Sequential(hidden, torch.nn.ReLU(), torch.nn.Dropout(DROPOUT), output)
    steps = EPOCHS * (len(x_NF) // BATCH + 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(0, len(x_NF), (BATCH,))
        loss_N = torch.nn.functional.binary_cross_entropy_with_logits(
            net(x_NF[chosen])[:, 0], y_N[chosen], reduction="none"
        )
        loss = (loss_N * weight_N[chosen]).sum() / weight_N[chosen].sum().clamp(min=1e-6)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    mean_F, scale_F, hidden_HF, hidden_bias_H, output_1H, output_bias_1 = (
        np.asarray(values, np.float64).round(DIGITS)
        for values in (mean, scale, *(each.detach().numpy() for each in net.parameters()))
    )
    return BlockWeights(mean_F, scale_F, hidden_HF.T, hidden_bias_H, output_1H[0], float(output_bias_1[0]))


def to_toml(weights: BlockWeights) -> str:
    """A line for each feature: its mean, its scale, its weight in each hidden unit."""

    def row(values: Array) -> str:
        return f"[{', '.join(str(round(float(value), DIGITS)) for value in values)}]"

    columns = zip(NAMES, weights.mean_F, weights.scale_F, weights.hidden_FH, strict=True)
    lines = [
        "# Made by benchmarks/fit_blocks.py, see docs/extraction.md. Of a feature: mean, scale, hidden weights.",
        f'format = "{FORMAT}"',
        f"hidden_bias = {row(weights.hidden_bias_H)}",
        f"output = {row(weights.output_H)}",
        f"output_bias = {weights.output_bias}",
        "",
        "[features]",
        *(f'"{name}" = {row(np.array([mean, scale, *unit]))}' for name, mean, scale, unit in columns),
    ]
    return "\n".join(lines) + "\n"


def check(examples: Sequence[Example]) -> dict[str, float]:
    """Mean F1 on the pages of each half of the hosts, of weights fitted on the other."""
    means = {}
    for half in "ab":
        weights = fit([example for example in examples if example.half != half])
        found = []
        for example in examples:
            if example.half == half and example.gold and example.gold.text:
                main = MainText(example.page, *main_blocks(example.page, weights))
                found.append(score_text(main.plain, example.gold).f1)
        means[half] = fmean(found)
    return {half: round(value, 4) for half, value in means.items()}


def run(args: argparse.Namespace) -> dict[str, Any]:
    examples = [
        example
        for example in read_examples(args.pages, args.index, args.gold)
        if args.half in (None, example.half) and example.id.partition("/")[0] != args.without
    ]
    if args.out is None:
        return {"pages": len(examples), "f1_on_half": check(examples)}
    args.out.write_text(to_toml(fit(examples)))
    return {"pages": len(examples), "out": str(args.out)}


def show(found: dict[str, Any]) -> Iterator[str]:
    yield ", ".join(f"{name} {value}" for name, value in found.items())
