"""`report`: one self-contained HTML file. No script, network, font or link; text from pages is always escaped.

Also a picture of a comparison's funnels: `python -m pipeline.report.report funnel COMPARISON.json OUT.svg`.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.storage import write_bytes, writing
from pipeline.inputs.places import Where, places_below
from pipeline.job.outputs import check_report_place
from pipeline.report.branches import branches
from pipeline.report.charts import COLOURS, MARKS, FunnelChart, funnel_svg, percent
from pipeline.report.compare import audit_lines, gold_recall, overlaps, ratios, recipe_cost
from pipeline.report.composition import before_and_after, span
from pipeline.report.duplicates import duplicates
from pipeline.report.inputs import input_lines
from pipeline.report.loss_forecasts import budget_map, loss_forecasts
from pipeline.report.models import baselines_of, evaluation, grids, mixtures, shares_of
from pipeline.report.parts import Figure, Section, Table, clipped
from pipeline.report.pools import forecasts, funnels, histograms, languages, pool_tables, rejects, stage_cost
from pipeline.report.read import Material, PoolOutcome, read_comparison, read_material
from pipeline.report.reading import PAGES, kept_to_read, rejected_to_read
from pipeline.report.samples import Texts, rule_samples
from pipeline.report.training import tail_mean, training, training_cost, training_kind
from pipeline.report.values import number
from pipeline.report.views import StageView, views

# Characters that HTML and XML do not allow: control characters, lone surrogates, noncharacters.
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def write_report(runs: Sequence[Path], out: Path, source: Where | None = None) -> None:
    """Writes a report on the folders `runs` to the file `out`; the same folders give the same bytes, in any order.

    Pages that were rejected before they had a text are read again from their archives, if these are still where they
    were ingested from, or below `source`. Raises UsageError for a folder with nothing to report (see
    `report.read.read_material`), or an `out` that is a folder or a file of another kind.
    """
    check_report_place(out)
    texts = Texts(places_below(source) if source else None)
    write_text(out, render(sections(read_material(runs), texts)))


def render(made: Sequence[Section]) -> str:
    """Renders the page. Everything is escaped except the drawings, which escape their own labels."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pipeline.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(sections=made, style=COLOURS + MARKS)


def write_funnel(comparison: Path, out: Path) -> None:
    """Writes a stand-alone SVG of the funnels in a `comparison.json`, side by side."""
    funnels = [FunnelChart(pool.label, pool.docs, pool.funnel) for pool in read_comparison(comparison, "").pools]
    write_text(out, funnel_svg(funnels))


def write_text(out: Path, text: str) -> None:
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(out, UNWRITABLE.sub("\ufffd", text).encode())


def sections(material: Material, texts: Texts) -> list[Section]:
    """The non-empty sections: recipes in comparison, then documents, then trained models."""
    seen = views(material.all_pools())
    made = [
        overview(material),
        *of_recipes(material),
        *of_documents(material, seen),
        mixtures(material.mixtures),
        branches(material.branches, material.trainings),
        loss_forecasts(material.trainings),
        training(material.trainings),
        Section(
            "evaluation",
            "Bits per byte",
            "On held-out text; less is better. The unigram model and gzip are the baselines.",
            tuple(figure for one in material.evaluations for figure in evaluation(one)),
        ),
        grids(material.grids),
        budget_map(material.plans),
        Section(
            "cost",
            "Cost",
            "Seconds as the runs recorded them.",
            (
                *recipe_cost(material.comparisons),
                *stage_cost(seen),
                *forecasts(material.pools),
                *training_cost(material.trainings),
            ),
        ),
        *of_pages(material, seen, texts),
    ]
    return [section for section in made if section.figures or section.samples or section.lines]


def of_recipes(material: Material) -> list[Section]:
    return [
        Section("funnels", "Funnels", "What remained after each step, in percent of the input.", funnels(material)),
        Section(
            "ratios",
            "Ratios",
            "How much a recipe keeps of what another keeps; whiskers are 95 % intervals over hosts.",
            ratios(material.comparisons),
        ),
        Section(
            "overlap",
            "Overlap",
            "Documents that one recipe keeps and another rejects, in percent of what the first keeps. A document ends "
            "in one step, and counts for each rule of it that it fails.",
            overlaps(material.comparisons),
        ),
        Section(
            "gold",
            "Recall of gold pages",
            "The share that a recipe keeps of the pages with a long true main text, and of the rest.",
            gold_recall(material.comparisons),
        ),
    ]


def of_documents(material: Material, seen: Sequence[StageView]) -> list[Section]:
    pools = material.all_pools()
    return [
        Section(
            "rejects", "Rejected, by rule", "A page that fails several rules of a step counts for each.", rejects(pools)
        ),
        Section(
            "values",
            "Values against thresholds",
            "Values of the pages that a rule rejected, above the axis, and of those that its stage kept, below; the "
            "dashed line is the threshold. Heights are shares of each side's pages, both on one scale. From the first "
            "rows of each ledger and dataset. Values beyond the ends count at the ends.",
            tuple(histograms(seen)),
        ),
        Section(
            "pool",
            "Over the whole pool",
            "Thresholds and clusters computed over all documents together.",
            tuple(pool_tables(seen)),
        ),
        duplicates_section(seen),
        Section("languages", "Languages", "Documents that were kept, by language.", languages(pools)),
        Section(
            "composition",
            "Before and after",
            "Shares of documents by label and host, before the run and after it, and how much of each was kept, with "
            "95 % intervals (Wilson). What a filter starves has a smaller share after it than before.",
            tuple(before_and_after(pools)),
        ),
    ]


def duplicates_section(seen: Sequence[StageView]) -> Section:
    figures, lines = duplicates(seen)
    about = (
        "Copies that were removed, by survivor and by host. The similarity of a copy is that of its ledger: to the "
        "survivor, or, through others, to another copy of it."
    )
    return Section("duplicates", "Duplicates", about, tuple(figures), lines=tuple(lines))


def of_pages(material: Material, seen: Sequence[StageView], texts: Texts) -> list[Section]:
    pools = material.all_pools()
    return [
        Section(
            "kept-pages",
            "Kept documents",
            f"{PAGES} documents, spread evenly over those that were kept. Open one to read its text.",
            samples=tuple(kept_to_read(pools)),
        ),
        Section(
            "rejected-pages",
            "Just rejected",
            f"{PAGES} pages that came nearest to being kept, in turn from all bounds on signals. Open one to read "
            "the text that the stage read.",
            samples=tuple(rejected_to_read(pools, seen, texts)),
        ),
        Section(
            "rule-pages",
            "Pages by rule",
            "For each rule that rejected many: documents just kept, pages just rejected and clearly rejected, with the "
            "value, the threshold, and the beginning of the text that the stage read. A page that was rejected "
            "before it had a text is extracted again with a fast engine, if its archive is available.",
            samples=tuple(rule_samples(seen, texts)),
        ),
    ]


def overview(material: Material) -> Section:
    rows = [(pool.label, pool.kind, pool.recipe, *kept_of(pool)) for pool in material.all_pools()]
    rows += [
        (run.label, training_kind(run), "", f"{len(run.steps):,} steps", f"{run.tokens:,} tokens", "")
        for run in material.trainings
    ]
    for one in material.evaluations:
        bits = number(one.body.get("overall"))
        rows.append((one.label, "evaluation", "", "", "" if bits is None else f"{bits:.3f} bits per byte", ""))
    table = Table(("name", "what", "recipe", "in", "out", "kept"), clipped(rows), numeric=3)
    return Section("what", "What was run", "", (Figure("", table),), lines=tuple(headlines(material)))


def kept_of(pool: PoolOutcome) -> tuple[str, str, str]:
    if not pool.funnel:
        counts = pool.datasets[-1].manifest.counts if pool.datasets else {}
        tokens = counts.get("tokens")
        return f"{pool.docs:,}", f"{counts.get('out', 0):,}" + (f" ({tokens:,} tokens)" if tokens else ""), ""
    docs = pool.funnel[-1]["docs"]
    return f"{pool.docs:,}", f"{docs:,}", percent(docs / pool.docs) if pool.docs else ""


def headlines(material: Material) -> Iterator[str]:
    """Yields the summary sentences at the top of the report."""
    yield from input_lines(material.all_pools())
    for pool in material.all_pools():
        if pool.funnel and pool.docs:
            docs = pool.funnel[-1]["docs"]
            share = f"{percent(docs / pool.docs)}, 95 % interval {span(docs, pool.docs)}"
            yield f"{pool.label} kept {docs:,} of {pool.docs:,} documents ({share})."
    yield from audit_lines(material.all_pools())
    for mixture in material.mixtures:
        parts = [f"{name} {percent(share)}" for name, share in shares_of(mixture, "axis").items()]
        if parts:
            yield f"Mixture {mixture.label}: {', '.join(parts)} of the tokens."
    for run in material.trainings:
        if len(run.steps):
            yield f"{run.label}: loss {tail_mean(run.steps, run.losses):.3f} at step {int(run.steps[-1]):,}."
    for one in material.evaluations:
        mine = number(one.body.get("overall"))
        others = {name: number(body.get("overall")) for name, body in baselines_of(one).items()}
        theirs = [f"{name} {value:.3f}" for name, value in others.items() if value is not None]
        if mine is not None:
            yield f"{one.label}: {mine:.3f} bits per byte" + (f" ({', '.join(theirs)})." if theirs else ".")


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] != "funnel":
        sys.exit("usage: python -m pipeline.report.report funnel COMPARISON.json OUT.svg")
    write_funnel(Path(sys.argv[2]), Path(sys.argv[3]))
