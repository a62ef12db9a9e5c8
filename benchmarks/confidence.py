"""How well the expected F1 of `blocks` tells its failures, what else does, and what `joined` gains by asking.

    python -m benchmarks confidence --pages CRAWL/*.warc.gz --index index.jsonl.gz --gold gold.jsonl.gz

Of every page with a full gold text: the F1 of `blocks` with weights fitted on the other half of the hosts, beside the
F1 that it expected, and that of resiliparse and of trafilatura's fast form. Signs are measured on pages where .8 or
more is expected; a sign of failure would have a lower F1 there. Bounds of `joined`: below which expected F1 resiliparse
is asked, at which agreement with `blocks` trafilatura is not, and at which agreement of the two its text is taken.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from statistics import fmean, stdev
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.fit_blocks import Example, fit, read_examples
from benchmarks.gold import score_text, words
from benchmarks.labelled import read_pages
from benchmarks.shared import add, markdown
from pipeline.extract.block_model import BlockWeights, MainText, main_blocks
from pipeline.extract.charset import decode
from pipeline.extract.extractors import joined
from pipeline.extract.extractors.resiliparse_text import ResiliparseOptions, resiliparse
from pipeline.extract.extractors.trafilatura_text import TrafilaturaOptions, trafilatura
from pipeline.extract.markup import attributes, scan

BINS: Final = (0.0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 1.01)
BOUNDS: Final = (
    (0.8, 0.7, 0.7), (0.8, 0.6, 0.8), (0.8, 0.8, 0.8), (0.85, 0.7, 0.7), (0.9, 0.7, 0.7), (0.95, 0.7, 0.7),
    (0.95, 0.8, 0.8), (1.01, 0.7, 0.7),
)  # fmt: skip
# A difference of F1 that counts as better or worse.
STEP: Final = 0.02


class Compared(NamedTuple):
    """A page: what was expected, the F1 of each, agreements (0 to 1), words of resiliparse's text over those of
    `blocks`', and which signs it shows."""

    expected: float
    blocks: float
    resiliparse: float
    trafilatura: float
    agree: float
    others_agree: float
    found: float
    signs: frozenset[str]


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--pages", "--index", "--gold", required=True)
    add(parser, "--limit")


def agreement(one: Counter[str], other: Counter[str]) -> float:
    return 2 * (one & other).total() / max(1, one.total() + other.total())


def description(html: str) -> str:
    """What the head says the page is about."""
    for tag in islice(scan(html, frozenset({"script", "style"})), 400):
        if tag.name == "meta":
            said = attributes(html[tag.start + 5 : tag.content])
            if said.get("property", said.get("name", "")).lower() in ("og:description", "description"):
                return said.get("content", "")
    return ""


def signs_of(main: MainText, html: str) -> frozenset[str]:
    """Signs of failure that need no other engine."""
    sizes = np.array([len(block.text) for block in main.page], float)
    bare = sizes - np.array([block.link_characters for block in main.page], float)
    keep = np.array(main.keep)
    kept, total = float((bare * keep).sum()), float(bare.sum()) + 1
    ends = np.array([block.text.endswith((".", "!", "?", "。", "！", "？")) for block in main.page])
    dropped = float((bare * ~keep * ends).sum())
    heading = np.array([block.tag == "h1" for block in main.page])
    places = np.flatnonzero(keep)
    inside = slice(places[0], places[-1] + 1)
    told = Counter(words(description(html)))
    found = {
        "less than a fifth of the text is kept": kept < 0.2 * total,
        "less than 300 characters are kept": kept < 300,
        "more than half of what is kept is links": kept < 0.5 * float((sizes * keep).sum()),
        "more sentences are dropped than kept": dropped > kept,
        "two fifths between the first and the last kept block are dropped": float((bare * ~keep)[inside].sum())
        > 0.4 * float(bare[inside].sum()),
        "the first heading is not kept": bool(heading.any()) and not (heading & keep).any(),
        "less than .3 of the page's description is kept": told.total() > 8
        and (told & Counter(words(main.plain))).total() < 0.3 * told.total(),
    }
    return frozenset(name for name, shown in found.items() if shown)


def compared(example: Example, weights: BlockWeights, html: str, url: str) -> Compared:
    assert example.gold is not None
    main = MainText(example.page, *main_blocks(example.page, weights))
    texts = [
        main.plain,
        joined.text_or_empty(resiliparse, html, url, ResiliparseOptions()),
        joined.text_or_empty(trafilatura, html, url, TrafilaturaOptions(fallback=False)),
    ]
    own, second, third = map(joined.counted_words, texts)
    return Compared(
        main.expected_f1,
        *(score_text(text, example.gold).f1 for text in texts),
        agreement(own, second),
        agreement(second, third),
        second.total() / max(1, own.total()),
        signs_of(main, html),
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    examples = read_examples(args.pages, args.index, args.gold)
    weights = {half: fit([example for example in examples if example.half != half]) for half in "ab"}
    wanted = {
        example.id: example for example in islice((one for one in examples if one.gold and one.gold.text), args.limit)
    }
    pages = [
        compared(wanted[row["id"]], weights[wanted[row["id"]].half], decode(message.body, message.charset_label).text,
               row["url"])
        for row, message in read_pages(args.pages, args.index, lambda row: row["id"] in wanted)
    ]  # fmt: skip
    return {"pages": len(pages), "bins": by_expected(pages), "signs": by_sign(pages), "bounds": by_bounds(pages),
            "hindsight": round(fmean(max(page.trafilatura - page.blocks, 0.0) for page in pages), 4)}  # fmt: skip


def means(pages: Sequence[Compared]) -> dict[str, float]:
    return {name: round(fmean(getattr(page, name) for page in pages), 3) for name in Compared._fields[:4]}


def by_expected(pages: Sequence[Compared]) -> list[dict[str, Any]]:
    groups = ((low, [page for page in pages if low <= page.expected < high]) for low, high in pairwise(BINS))
    return [
        {"from": low, "pages": len(group), "below .5": sum(page.blocks < 0.5 for page in group), **means(group)}
        for low, group in groups
        if group
    ]


def by_sign(pages: Sequence[Compared]) -> list[dict[str, Any]]:
    sure = [page for page in pages if page.expected >= joined.MIN_EXPECTED_F1]
    names = sorted({name for page in sure for name in page.signs})
    groups = {"(all)": sure, **{name: [page for page in sure if name in page.signs] for name in names}}
    return [{"sign": name, "pages": len(group), **means(group)} for name, group in groups.items() if group]


def by_bounds(pages: Sequence[Compared]) -> list[dict[str, Any]]:
    def row(below: float, differ: float, agree: float, least: float) -> dict[str, Any]:
        asked = [page for page in pages if page.expected < below]
        third = [page for page in asked if page.agree < differ and page.found >= least]
        changed = [page for page in third if page.others_agree >= agree]
        gains = [page.trafilatura - page.blocks for page in changed] + [0.0] * (len(pages) - len(changed))
        return {
            "expected below": below, "blocks agree below": differ, "others agree from": agree, "found from": least,
            "resiliparse": len(asked), "trafilatura": len(third), "changed": len(changed),
            "better": count(changed, lambda page: page.trafilatura > page.blocks + STEP),
            "worse": count(changed, lambda page: page.trafilatura < page.blocks - STEP),
            "F1": round(fmean(page.blocks for page in pages) + fmean(gains), 4),
            "gain": round(fmean(gains), 4), "error": round(stdev(gains) / len(gains) ** 0.5, 4),
        }  # fmt: skip

    return [row(*BOUNDS[0], 0.0), *(row(*bounds, joined.MIN_FOUND_WORDS) for bounds in BOUNDS)]


def count(pages: Sequence[Compared], wanted: Callable[[Compared], bool]) -> int:
    return sum(map(wanted, pages))


def show(found: dict[str, Any]) -> Iterator[str]:
    for name in ("bins", "signs", "bounds"):
        rows = found[name]
        yield from markdown(list(rows[0]), (row.values() for row in rows))
        yield ""
    yield f"the better of the two texts by hindsight: {found['hindsight']:+}"
