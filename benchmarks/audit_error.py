"""How near an audit sample comes to what a baseline recipe keeps of all pages: bias, error, intervals, by its size.

    python -m benchmarks audit_error --pages CRAWL/*.warc.gz --models MODELS [--recipe yi] [--size 130 --size 180]

Every page goes through the prefilter of the recipe and through the rules of its baseline, which is the truth; then
samples are drawn of it, as a run draws them but by another seed each, and estimated as a run does. For each size
(`audit_pages`) and for equal shares with as many pages: the mean number of sampled pages; of documents and of tokens
the bias and the standard error as shares of the truth, the standard error that the samples state, and how many of their
intervals of 80 and 95 % hold the truth.
"""

import argparse
import contextlib
import io
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, Final, NamedTuple

from benchmarks.shared import add, markdown, recipe_until
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from pipeline.cli.app import main as refinery
from pipeline.job.baseline import Baseline, BaselineTally, estimated
from pipeline.job.context import open_context
from pipeline.job.sample import AuditSampling, small_share
from pipeline.stages.extract import GROUP, ExtractTask
from pipeline.stages.stages import archive_places, sampling_of

Z_80: Final = 1.2816


class Audited(NamedTuple):
    """`kind` and `chars` as a tally has them; `tokens` that the baseline keeps, None if it rejects the page."""

    kind: int
    chars: int
    tokens: int | None


class All(AuditSampling):
    """Every page goes through the baseline, none through more of the recipe for it."""

    def share_of(self, chars: int, unlikely: bool) -> float:  # noqa: ARG002
        return 1.0

    def let_through(self, share: float, rejects: Any) -> float:  # noqa: ARG002
        return 0.0


@dataclass
class Recorder(BaselineTally):
    """Keeps what it is told of each page. A page is told to be sampled after it has been counted."""

    pages: list[Audited] = field(default_factory=list)

    def page(self, kind: int, chars: int, share: float, language: str | None) -> str:  # noqa: ARG002
        self.pages.append(Audited(kind, chars, None))
        return ""

    def sampled(self, stratum: str, chars: int, tokens: int | None) -> None:  # noqa: ARG002
        self.pages[-1] = self.pages[-1]._replace(tokens=tokens)


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--pages", "--models", required=True)
    add(parser, "--recipe", action="store", default="yi", help="a shipped recipe with a baseline")
    parser.add_argument(
        "--size", type=int, action="append", help="a number of pages to sample; may be given many times"
    )
    parser.add_argument("--seeds", type=int, default=200)


def truth(recipe: str, archives: Sequence[Path], models: str, scratch: Path) -> tuple[list[Audited], AuditSampling]:
    """Every page as the baseline treats it, and the sampling of the recipe."""
    loaded = open_context(recipe, LocalEngine(), models)
    stages = loaded.recipe.stages
    number = next(at for at, stage in enumerate(stages) if stage.baseline)
    file = scratch / "recipe.toml"
    file.write_text(recipe_until(recipe, stages[number - 1].name))
    words = [
        "run",
        "--recipe",
        str(file),
        "--out",
        str(scratch / "out"),
        "--models",
        models,
        "--json",
        "--workers",
        "1",
    ]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        refinery([*words, "--input", *map(str, archives)])
    records = Dataset(sorted((scratch / "out").glob("[0-9]*"))[-1])
    stage = stages[number]
    context = loaded.of_stage(stage)
    sampling = sampling_of(stage, None)
    assert stage.baseline and sampling
    every = All(1.0, True, sampling.languages)
    models_used, places = context.stage_models(stage), dict(context.stage_places(stage))
    bodies = archive_places(records)
    task = ExtractTask(stage.steps, models_used, "", bodies, places, every, baseline=stage.baseline.steps)
    recorder = Recorder()
    with closing(task.open_tools(records)) as tools:
        for part in records.parts():
            for batch in part.batches():
                rows = batch.to_pylist()
                for start in range(0, len(rows), GROUP):
                    task.visits(rows[start : start + GROUP], tools, tally=recorder)
    return recorder.pages, sampling


def drawn(pages: Sequence[Audited], seed: int, share_of: Callable[[Audited], float]) -> Baseline:
    draw, tally = random.Random(seed), BaselineTally()
    for page in pages:
        share = share_of(page)
        stratum = tally.page(page.kind, page.chars, share, None)
        if draw.random() < share:
            tally.sampled(stratum, page.chars, page.tokens)
    return estimated("", tally.counts)


def errors(
    true: float, found: Sequence[tuple[float, float, Sequence[float | None]]]
) -> dict[str, float]:  # value, variance, interval
    values = [value for value, _, _ in found]
    near = [abs(value - true) <= Z_80 * variance**0.5 for value, variance, _ in found]
    held = [(low or 0.0) <= true and (high is None or true <= high) for _, _, (low, high) in found]
    return {
        "bias": fmean(values) / true - 1,
        "error": pstdev(values) / true,
        "stated": fmean(variance**0.5 for _, variance, _ in found) / true,
        "in_80": fmean(near),
        "in_95": fmean(held),
    }


def measured(pages: Sequence[Audited], seeds: int, share_of: Callable[[Audited], float]) -> dict[str, Any]:
    found = [drawn(pages, seed, share_of) for seed in range(seeds)]
    docs = sum(page.tokens is not None for page in pages)
    tokens = sum(page.tokens or 0 for page in pages)
    return {
        "sampled": fmean(each.sampled for each in found),
        "docs": errors(docs, [(each.docs, each.docs_variance, each.docs_interval) for each in found]),
        "tokens": errors(tokens, [(each.tokens, each.tokens_variance, each.tokens_interval) for each in found]),
    }


def run(args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="audit-error-") as scratch:
        pages, sampling = truth(args.recipe, args.pages, args.models, Path(scratch))
    rows = {}
    for size in args.size or [100, 130, 180, 250]:
        chosen = replace(sampling, share=small_share(0.0, len(pages), size))
        found = measured(pages, args.seeds, lambda page, by=chosen: by.share_of(page.chars, page.kind == 0))  # type: ignore[misc]
        rows[f"{size}"] = found
        equal = found["sampled"] / len(pages)
        rows[f"{size}, equal shares"] = measured(pages, args.seeds, lambda _, share=equal: share)  # type: ignore[misc]
    docs, tokens = sum(page.tokens is not None for page in pages), sum(page.tokens or 0 for page in pages)
    return {"pages": len(pages), "docs": docs, "tokens": tokens, "seeds": args.seeds, "sizes": rows}


def show(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['pages']:,} pages, of which the baseline keeps {found['docs']:,} with {found['tokens']:,} tokens:\n"
    units = [(unit, name) for unit in ("docs", "tokens") for name in ("bias", "error", "stated", "in_80", "in_95")]
    rows = (
        [name, f"{row['sampled']:.0f}", *(f"{row[unit][each]:.3f}" for unit, each in units)]
        for name, row in found["sizes"].items()
    )
    yield from markdown(["size", "sampled", *(f"{unit}: {each}" for unit, each in units)], rows)
