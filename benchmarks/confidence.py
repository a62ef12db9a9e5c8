"""How well the expected F1 of `blocks` tells its failures, and what `joined` gains by trafilatura's text; fits when it
takes that (`pipeline/extract/joined_model.toml`).

    python -m benchmarks confidence --pages CRAWL/*.warc.gz --index index.jsonl.gz --gold gold.jsonl.gz [--out FILE]

Every page with a full gold text counts twice: with weights of `blocks` fitted on the other half of the hosts, and with
weights fitted without its collection (those of fewer than 100 such pages are one). Its rows hold the signs of
`pipeline/extract/gain.py` and the F1 of `blocks`, of resiliparse and of trafilatura's fast form. The gain is fitted by
least squares on the rows where trafilatura is asked, and measured on pages of collections that it was not fitted on.
With `--out` it is fitted on all rows and written.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.fit_blocks import Example, fit, read_examples
from benchmarks.gold import score_text
from benchmarks.labelled import read_pages
from benchmarks.shared import add, markdown
from pipeline.extract.block_model import MainText, chosen, expected_f1, judged
from pipeline.extract.block_network import BlockWeights
from pipeline.extract.charset import decode
from pipeline.extract.extractors.joined import MIN_FOUND_WORDS, agreement, counted_words, in_text, text_or_empty
from pipeline.extract.extractors.resiliparse_text import ResiliparseOptions, resiliparse
from pipeline.extract.extractors.trafilatura_text import TrafilaturaOptions, trafilatura
from pipeline.extract.gain import GainWeights, Signs, to_toml

BINS: Final = (0.0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 1.01)
# Below which expected F1 resiliparse is asked, and from which agreement on trafilatura is not; the first is shipped.
BOUNDS: Final = ((0.8, 0.8), (0.8, 0.9), (0.8, 0.7), (0.85, 0.8), (0.85, 0.9), (0.9, 0.9), (1.01, 0.9))
MIN_FOLD: Final = 100
RIDGE: Final = 3.0
DIGITS: Final = 3
# A difference of F1 that counts as better or worse.
STEP: Final = 0.02
HOSTS, COLLECTIONS = "hosts", "collections"


class Compared(NamedTuple):
    """A page, what of it the network had not seen (`unseen`), the signs, words of resiliparse's text over those of
    `blocks`', and the F1 of each."""

    source: str
    type: str
    half: str
    unseen: str
    signs: Signs
    found: float
    blocks: float
    resiliparse: float
    trafilatura: float


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--pages", "--index", "--gold", required=True)
    add(parser, "--out", help="the model that is written")


def source_of(page: str) -> str:
    return page.partition("/")[0]


def folds_of(sources: Iterable[str]) -> dict[str, str]:
    """Of each collection its name if it has MIN_FOLD pages, else that of all smaller ones."""
    return {name: name if count >= MIN_FOLD else "others" for name, count in Counter(sources).items()}


def compared(
    example: Example, fitted: dict[str, BlockWeights], html: str, url: str, kind: str, scored: Callable[[str], float]
) -> Iterator[Compared]:
    """The rows of a page, one for each of the weights that were fitted without it."""
    second = text_or_empty(resiliparse, html, url, ResiliparseOptions())
    third = text_or_empty(trafilatura, html, url, TrafilaturaOptions(fallback=False))
    words, others = counted_words(second), counted_words(third)
    of_others = agreement(words, others), scored(second), scored(third)
    kept = in_text(example.page, third)
    for unseen, weights in fitted.items():
        probability_B = judged(example.page, weights)
        main = MainText(example.page, *chosen(example.page, probability_B))
        text = main.plain
        own = counted_words(text)
        expected = main.expected_f1, expected_f1(example.page, probability_B, kept)
        signs = Signs(*expected, agreement(own, words), of_others[0])
        found = words.total() / max(1, own.total())
        yield Compared(source_of(example.id), kind, example.half, unseen, signs, found, scored(text), *of_others[1:])


def read_rows(args: argparse.Namespace) -> list[Compared]:
    examples = read_examples(args.pages, args.index, args.gold)
    wanted = {each.id: each for each in examples if each.gold and each.gold.text}
    folds = folds_of(map(source_of, wanted))

    def fold(each: Example) -> str:
        return folds.get(source_of(each.id), "others")

    by_half = {half: fit([each for each in examples if each.half != half]) for half in "ab"}
    by_fold = {name: fit([each for each in examples if fold(each) != name]) for name in sorted(set(folds.values()))}
    rows = []
    for row, message in read_pages(args.pages, args.index, lambda row: row["id"] in wanted):
        example = wanted[row["id"]]
        gold = example.gold
        assert gold is not None
        html = decode(message.body, message.charset_label).text
        fitted = {HOSTS: by_half[example.half], COLLECTIONS: by_fold[fold(example)]}
        kind = row.get("type") or "unknown"
        rows += compared(example, fitted, html, row["url"], kind, lambda text, gold=gold: score_text(text, gold).f1)
    return rows


def is_asked(row: Compared, ask_below: float, agree_from: float) -> bool:
    """Whether `joined` runs trafilatura."""
    return row.signs.expected < ask_below and row.signs.agree < agree_from and row.found >= MIN_FOUND_WORDS


def fit_gain(rows: Iterable[Compared], ask_below: float, agree_from: float) -> GainWeights:
    """The weights by ridge regression on the rows in which trafilatura is asked; terms are standardised for it."""
    asked = [row for row in rows if is_asked(row, ask_below, agree_from)]
    terms_RT = np.array([row.signs.terms for row in asked])
    gain_R = np.array([row.trafilatura - row.blocks for row in asked])
    mean_T, scale_T = terms_RT.mean(0), terms_RT.std(0) + 1e-9
    x_RT = (terms_RT - mean_T) / scale_T
    weight_T = np.linalg.solve(x_RT.T @ x_RT + RIDGE * np.eye(len(mean_T)), x_RT.T @ (gain_R - gain_R.mean())) / scale_T
    values = (gain_R.mean() - mean_T @ weight_T, *weight_T)
    return GainWeights(ask_below, agree_from, *(round(float(value), DIGITS) for value in values))


def gains_of(rows: Sequence[Compared], ask_below: float, agree_from: float) -> list[float]:
    """What `joined` gains in each row, by weights fitted without its collection."""
    folds = folds_of(row.source for row in rows if row.unseen == HOSTS)
    weights = {
        name: fit_gain((row for row in rows if folds[row.source] != name), ask_below, agree_from)
        for name in set(folds.values())
    }
    return [
        row.trafilatura - row.blocks
        if is_asked(row, ask_below, agree_from) and weights[folds[row.source]].gain(row.signs) > 0
        else 0.0
        for row in rows
    ]


def run(args: argparse.Namespace) -> dict[str, Any]:
    rows = read_rows(args)
    if args.out is not None:
        weights = fit_gain(rows, *BOUNDS[0])
        args.out.write_text(to_toml(weights))
        return {"pages": len(rows) // 2, "out": str(args.out), "weights": weights._asdict()}
    return report(rows)


def report(rows: Sequence[Compared]) -> dict[str, Any]:
    gains = gains_of(rows, *BOUNDS[0])
    return {
        "pages": len(rows) // 2,
        "bins": {unseen: by_expected([row for row in rows if row.unseen == unseen]) for unseen in (HOSTS, COLLECTIONS)},
        "bounds": [line for bounds in BOUNDS for line in by_bounds(rows, bounds)],
        "parts": by_part(rows, gains),
    }


def by_expected(rows: Sequence[Compared]) -> list[dict[str, Any]]:
    groups = ((low, [row for row in rows if low <= row.signs.expected < high]) for low, high in pairwise(BINS))
    return [
        {"from": low, "pages": len(group), "below .5": sum(row.blocks < 0.5 for row in group),
         "expected": round(fmean(row.signs.expected for row in group), 3),
         **{name: round(fmean(getattr(row, name) for row in group), 3) for name in Compared._fields[-3:]}}
        for low, group in groups
        if group
    ]  # fmt: skip


def by_bounds(rows: Sequence[Compared], bounds: tuple[float, float]) -> Iterator[dict[str, Any]]:
    for unseen in (HOSTS, COLLECTIONS):
        chosen_ = [(row, gain) for row, gain in zip(rows, gains_of(rows, *bounds), strict=True) if row.unseen == unseen]
        gains = [gain for _, gain in chosen_]
        yield {
            "not seen": unseen, "expected below": bounds[0], "blocks agree below": bounds[1],
            "resiliparse": sum(row.signs.expected < bounds[0] for row, _ in chosen_),
            "trafilatura": sum(is_asked(row, *bounds) for row, _ in chosen_), "changed": sum(map(bool, gains)),
            "better": sum(gain > STEP for gain in gains), "worse": sum(gain < -STEP for gain in gains),
            "F1": round(fmean(row.blocks + gain for row, gain in chosen_), 4), "gain": round(fmean(gains), 4),
            "error": round(stdev(gains) / len(gains) ** 0.5, 4),
        }  # fmt: skip


def by_part(rows: Sequence[Compared], gains: Sequence[float]) -> list[dict[str, Any]]:
    """By half, collection and page type: pages, and F1 of `blocks` and of `joined`, on hosts and on collections not
    seen."""
    found = []
    for name in ("half", "source", "type"):
        for part in sorted({getattr(row, name) for row in rows}):
            line: dict[str, Any] = {"part": f"{name} {part}"}
            for unseen in (HOSTS, COLLECTIONS):
                these = [
                    (row.blocks, gain)
                    for row, gain in zip(rows, gains, strict=True)
                    if getattr(row, name) == part and row.unseen == unseen
                ]
                line["pages"] = len(these)
                line[f"{unseen}: blocks"] = round(fmean(f1 for f1, _ in these), 3)
                line[f"{unseen}: joined"] = round(fmean(f1 + gain for f1, gain in these), 3)
            found.append(line)
    return found


def show(found: dict[str, Any]) -> Iterator[str]:
    if "out" in found:
        yield ", ".join(f"{name} {value}" for name, value in found.items())
        return
    for rows in (*found["bins"].values(), found["bounds"], found["parts"]):
        yield from markdown(list(rows[0]), (row.values() for row in rows))
        yield ""
