"""What a recipe keeps of texts that are clean: keep rates for IQ and for EQ by source, and what rejects the rest.

    python -m benchmarks keep_rates --clean TEXTS [FILE …] --recipe yi --out DIR [--recipe mine.toml]
        [--pages CRAWL/*.warc.gz] [--per-source 40] [--models DIR] [--by-source]

Texts are rendered as pages (`benchmarks/clean_pages.py`) and packed into an archive, `DIR/input/clean.warc.gz`, which
goes through `refinery run` together with the crawl's archives, so that rules over the pool see both. Give a
recipe of your own beside a shipped one to see what a changed threshold does to either. A second call with the same
arguments redoes nothing. A source's rate is over its pages; the rate of a subject or of an axis (IQ, EQ, code, by
language) is the mean over its sources, so that a large file does not outweigh the others. Models that were fitted on
some of these texts have seen them: the rates of what they judge are then too good.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.clean_pages import CleanPage, axis_of, read_clean, subject_of, write_clean_warc
from benchmarks.shared import add, markdown
from infra.engines.open import open_engine
from infra.errors import UsageError
from pipeline.compare.walk import walk
from pipeline.inputs.inputs import Inputs, read_inputs
from pipeline.job.context import open_context
from pipeline.stages.run import Run
from pipeline.stages.run import run as run_recipe

KINDS: Final = ("iq_en", "eq_en", "code", "iq_zh", "eq_zh")
WARC: Final = "clean.warc.gz"
TOP_RULES: Final = 4


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--clean", "--out", required=True)
    add(parser, "--pages", "--recipe", "--models", "--workers")
    parser.add_argument("--per-source", type=int, default=40, help="pages of each source of clean texts, at most")
    parser.add_argument("--kind", action="append", help=f"folders of texts to use (else {', '.join(KINDS)})")
    parser.add_argument("--by-source", action="store_true", help="print the rate of each source too")


@dataclass
class Fate:
    """What became of the pages of one source: `left` counts those that survived each step, `rules` by each rule of
    the step that rejected (a page may fail several)."""

    kind: str
    pages: int = 0
    kept: int = 0
    tokens: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)

    def add(self, tokens: int | None, step: str, rules: Iterable[str]) -> None:
        """One page: `tokens` where it was kept, else the step and the rules that rejected it."""
        self.pages += 1
        if tokens is not None:
            self.kept += 1
            self.tokens += tokens
        else:
            self.steps[step] += 1
            self.rules.update(set(rules))

    @property
    def rate(self) -> float:
        return self.kept / self.pages


def gathered(folder: Path, pages: Sequence[CleanPage], archives: Sequence[Path]) -> Inputs:
    """The clean pages as an archive in `folder`, and links to the crawl's beside it: a file's name in a dataset is its
    path below the folder of all inputs, and the audit sample is chosen by it. UsageError for a missing archive."""
    folder.mkdir(parents=True, exist_ok=True)
    write_clean_warc(folder / WARC, pages)
    for archive in archives:
        if not archive.is_file():
            raise UsageError(f"{archive} is no file: give the crawl's archives as --pages")
        link = folder / archive.name
        if not link.exists():
            link.symlink_to(archive.resolve())
    return read_inputs([str(folder / name) for name in (WARC, *(archive.name for archive in archives))])


def fates(finished: Run, pages: Sequence[CleanPage]) -> tuple[dict[str, Fate], Fate]:
    """By source of the clean pages, and of all other pages together."""
    sources = {page.url: page for page in pages}
    found: dict[str, Fate] = {}
    crawl = Fate("crawl")
    for part in walk({"it": finished.datasets}):
        for key, (url, _) in part.pages.items():
            page = sources.get(url or "")
            fate = found.setdefault(page.source, Fate(page.kind)) if page else crawl
            kept, rejected = part.kept["it"].get(key), part.rejected["it"].get(key)
            if kept:
                fate.add(kept.tokens, "", ())
            else:
                assert rejected, f"{url} is neither kept nor in a ledger"
                fate.add(None, rejected.step, rejected.rules)
    return found, crawl


def grouped(found: Mapping[str, Fate], by: str) -> dict[str, list[Fate]]:
    """Sources by "axis", by "subject", or each by itself ("source")."""
    groups: defaultdict[str, list[Fate]] = defaultdict(list)
    for source, fate in sorted(found.items()):
        name = axis_of(fate.kind) if by == "axis" else subject_of(fate.kind, source) if by == "subject" else source
        groups[name].append(fate)
    return dict(groups)


def summary(group: Sequence[Fate], steps: Sequence[str]) -> dict[str, Any]:
    """Means over the sources of a group: the rate, what is left after each step, and the rules that reject most (as
    shares of all pages)."""
    left, after = 1.0, {}
    for step in steps:
        left -= fmean(fate.steps[step] / fate.pages for fate in group)
        after[step] = round(max(left, 0.0), 4)
    names = {rule for fate in group for rule in fate.rules}
    shares = {rule: fmean(fate.rules[rule] / fate.pages for fate in group) for rule in names}
    top = sorted(shares, key=lambda rule: (-shares[rule], rule))[:TOP_RULES]
    return {
        "sources": len(group),
        "pages": sum(fate.pages for fate in group),
        "kept": sum(fate.kept for fate in group),
        "rate": round(fmean(fate.rate for fate in group), 4),
        "lowest": round(min(fate.rate for fate in group), 4),
        "after": after,
        "rules": {rule: round(shares[rule], 4) for rule in top},
    }


def report(finished: Run, pages: Sequence[CleanPage]) -> dict[str, Any]:
    found, crawl = fates(finished, pages)
    rejecting = {step for fate in (*found.values(), crawl) for step in fate.steps}
    steps = [row["step"] for row in finished.summary()["funnel"] if row["step"] in rejecting]
    # What rejects a page that is no document yet (a parser, a cap) is no step of the funnel.
    steps = [*dict.fromkeys(steps), *sorted(rejecting - set(steps))]
    tables = {
        by: {name: summary(group, steps) for name, group in grouped(found, by).items()}
        for by in ("axis", "subject", "source")
    }
    return {**tables, "crawl": {"pages": crawl.pages, "kept": crawl.kept, "tokens": crawl.tokens}, "steps": steps}


def run(args: argparse.Namespace) -> dict[str, Any]:
    kinds = args.kind or KINDS
    pages = read_clean(args.clean, args.per_source, kinds)
    if not pages:
        raise UsageError(f"there is no text in a folder called {', '.join(kinds)}: see --kind")
    inputs = gathered(args.out / "input", pages, args.pages)
    results = {}
    for recipe in args.recipe or ["yi"]:
        name = Path(recipe).stem
        with open_engine("local", args.workers) as engine:
            results[name] = report(
                run_recipe(open_context(recipe, engine, args.models), inputs, args.out / name), pages
            )
    return {"by": ["axis", "subject", *(["source"] if args.by_source else [])], "recipes": results}


def show(found: dict[str, Any]) -> Iterator[str]:
    def percent(share: float) -> str:
        return f"{100 * share:.0f} %"

    recipes = found["recipes"]
    for by in found["by"]:
        rows = []
        for name, group in next(iter(recipes.values()))[by].items():
            rules = ", ".join(f"{rule} {percent(share)}" for rule, share in group["rules"].items())
            rates = [percent(result[by][name]["rate"]) for result in recipes.values()]
            rows.append([name, group["sources"], group["pages"], *rates, percent(group["lowest"]), rules])
        kept = (f"{name}: kept" for name in recipes)
        yield from markdown([by, "sources", "pages", *kept, "lowest source", "rejected most by"], rows)
        yield ""
    for recipe, result in recipes.items():
        axes, crawl = result["axis"], result["crawl"]
        left = ([step, *(percent(group["after"][step]) for group in axes.values())] for step in result["steps"])
        yield from markdown([f"{recipe}: left after", *axes], left)
        yield f"\n{recipe} keeps {crawl['kept']} of {crawl['pages']} other pages ({crawl['tokens']} tokens)\n"
