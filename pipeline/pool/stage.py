"""Rules over the whole pool: a signal against a percentile of all documents, and clusters of meaning.

Both count over the pool in narrow intermediate tables (datasets below `OUT/.work`, with receipts of their own), decide
once, and apply in an aligned pass over the documents. The thresholds or clusters found are the manifest's `pool`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from infra.dataset.build import already_made
from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset, Source
from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.ledger import Reject
from mixers.domains import DOMAINS
from pipeline.job.baseline import Baseline, baseline_of, handed_on, strictness
from pipeline.job.carried import carried
from pipeline.job.context import Context
from pipeline.job.tables import Tables
from pipeline.models.language_codes import canonical
from pipeline.pool.apply import ApplyPool, PoolJudge, Verdict
from pipeline.pool.clusters import decide_clusters
from pipeline.pool.keep_rate import Bounds, Floors, KeepRateJudge, budget_of, find_bounds
from pipeline.pool.quantile import Side, find_quantiles, values_table
from pipeline.pool.score_cells import DOMAIN, LANGUAGE, UNKNOWN, Cells, count_cells, scored_table
from pipeline.pool.values import check_signal
from pipeline.recipes.recipe import Stage
from pipeline.steps.pool import PoolRule


@dataclass(frozen=True)
class QuantileJudge:
    """Passes values on the kept side of their group's threshold or equal to it, values that were not measured, and
    groups without a threshold. The value is stored in `signals`."""

    step: str
    signal: str
    side: Side
    thresholds: tuple[tuple[str, float | None], ...]

    @property
    def fingerprint(self) -> str:
        return sha256_json(["quantile", self.step, self.signal, self.side, self.thresholds])

    @property
    def names(self) -> tuple[str, ...]:
        """Empty for the language score, which has a column of its own."""
        return () if self.signal == "language_score" else (self.signal,)

    def __call__(self, known: dict[str, Any]) -> Verdict:
        value, threshold = known["value"], dict(self.thresholds)[known["group"]]
        signals = dict.fromkeys(self.names, value)
        if value is None or threshold is None:
            return Verdict(signals, None)
        kept = value <= threshold if self.side == "low" else value >= threshold
        bound = "max" if self.side == "low" else "min"
        return Verdict(signals, None if kept else Reject(self.step, f"{bound}_{self.signal}", value, threshold))


def pool_stage(context: Context, stage: Stage, source: Source, out: Path) -> Dataset:
    """Runs the stage's one pool step. Raises UsageError for options that the method does not have."""
    step = cast("PoolRule", stage.steps[0])  # a step that is alone in a filter stage is of this kind
    options = step.checked_options()
    header = context.header(stage, Kind.DOCUMENTS, source.refs)
    if done := already_made(out, header):
        return done
    tables = Tables.of(context, stage.name, out)
    decide = {"clusters": decide_clusters, "keep_rate": decide_keep_rate}.get(step.method, decide_quantile)
    judge, known, found = decide(tables, step.name, options, source)
    task = ApplyPool(judge, context.recipe.sha256, carried(source))
    about = {"step": step.name, "method": step.method, **options, **found}
    return context.engine.map_shards(task, [source, known], out, header, handed_on(source, more={"pool": about}))


def decide_quantile(
    tables: Tables, step: str, options: Mapping[str, Any], source: Source
) -> tuple[PoolJudge, Dataset, dict[str, Any]]:
    """Returns the judge by thresholds, the table that it reads, and the thresholds for the manifest."""
    signal, side = options["signal"], options["side"]
    check_signal(signal, source, f"stage {tables.stage!r}")
    values = values_table(tables, source, signal, options["by"])
    found = find_quantiles(tables, values, options["keep"], side, options["min_count"])
    judge = QuantileJudge(step, signal, side, tuple((each.group, each.threshold) for each in found))
    return judge, values, {"groups": [asdict(each) for each in found]}


def decide_keep_rate(
    tables: Tables, step: str, options: Mapping[str, Any], source: Source
) -> tuple[PoolJudge, Dataset, dict[str, Any]]:
    """Returns the judge by bounds, the table that it reads, and for the manifest what was found."""
    signal, by = options["signal"], tuple(options["by"])
    check_signal(signal, source, f"stage {tables.stage!r}")
    scored = scored_table(tables, source, signal, by)
    cells = count_cells(tables, scored)
    baseline = baseline_of(source)
    frozen = Bounds(options["price"], options["free_tokens"], options["bounds"], options["least_score"])
    found: Bounds | None = None
    if baseline and baseline.recipe != options["of"]:
        raise UsageError(
            f"stage {tables.stage!r}: of is {options['of']!r}, but the audit sample went through {baseline.recipe!r}"
        )
    note = too_small(baseline, cells, options)
    if baseline and not note:
        floors = Floors(options["language_floor"], options["axis_floor"], options["domain_floor"])
        budget = budget_of(baseline, options["aim_docs"], options["aim_tokens"], options["at_most"])
        found = find_bounds(budget, cells, by, floors, baseline.languages, options["least_score"])
    used = frozen if options["frozen"] or found is None else found
    kept = used.kept(cells)
    docs, tokens = (sum(each[number] for each in kept.values()) for number in (0, 1))
    strict = strictness(docs, tokens, baseline) if baseline else None
    if used is frozen:
        told = [unnamed(used, cells) if LANGUAGE in by else "", not_there(used, cells, by)]
        own = sum(each[0] for each in found.kept(cells).values()) if found else None
        note = "; ".join(filter(None, [note, *told, above(strict, options["of"], options["at_most"], docs, own)]))
    about = {
        "used": "frozen" if options["frozen"] else "shipped" if found is None else "pool",
        "note": note,
        "price": used.price,
        "free_tokens": used.free_tokens,
        "bounds": dict(used.groups),
        "pool_bounds": found.as_json() if found else None,
        "strictness": strict,
        "drift": drift(used, found, cells) if found and options["frozen"] else None,
        "groups": [
            {"group": name, "docs": each.all_docs, "tokens": each.all_tokens, "kept": kept[name][0],
             "kept_tokens": kept[name][1], "least_rank": used.of(name)}
            for name, each in cells.items()
        ],
    }  # fmt: skip
    return KeepRateJudge(step, signal, used), scored, about


def too_small(baseline: Baseline | None, cells: Mapping[str, Cells], options: Mapping[str, Any]) -> str:
    """Why no bounds can be found from this pool; empty if they can."""
    docs = sum(each.all_docs for each in cells.values())
    if baseline is None:
        return "no audit sample came with these documents: the bounds of the recipe are used"
    if docs < options["min_count"] or baseline.docs < options["min_count"]:
        return (
            f"a pool of {docs} documents, where {baseline.recipe} would keep about {baseline.docs:.0f}, is too small "
            f"(min_count {options['min_count']}): the bounds of the recipe are used"
        )
    return ""


def unnamed(bounds: Bounds, cells: Mapping[str, Cells]) -> str:
    """Which languages of the pool no bound names, perhaps since one is misspelt; empty if there are none."""
    named = {group.partition("/")[0] for group in bounds.groups}
    others = sorted({group.partition("/")[0] for group in cells} - named) if named else []
    return f"no bound is of {_some(others)}: the highest of the others decides there" if others else ""


def not_there(bounds: Bounds, cells: Mapping[str, Cells], by: tuple[str, ...]) -> str:
    """Which groups of bounds no document of the pool has, though their names are unusual: a domain that is none of
    ours, or a language by another code than BCP 47's. Empty if there are none."""

    def is_odd(group: str) -> bool:
        parts = dict(zip(by, group.split("/"), strict=False))
        language, domain = parts.get(LANGUAGE, UNKNOWN), parts.get(DOMAIN, DOMAINS[0])
        return len(language) > 3 or canonical(language) != language or domain not in DOMAINS

    def is_there(group: str) -> bool:
        return any(f"{name}/".startswith(f"{group}/") for name in cells)

    odd = [group for group in bounds.groups if is_odd(group) and not is_there(group)]
    return f"no document is of {_some(odd)}, of which there are bounds: perhaps the name is misspelt" if odd else ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(name or "(empty)" for name in names[:10]) + (" ..." if len(names) > 10 else "")


def above(strict: Mapping[str, Any] | None, of: str, at_most: float, docs: int, own: int | None) -> str:
    """What bounds that were not found on this pool keep of what the baseline `of` would, where it is more than
    `at_most`; else empty. `own`: how many documents the pool's own would keep, if it has any."""
    names = (("docs", "documents"), ("tokens", "tokens"))
    shares = [(name, strict[unit]["share"]) for unit, name in names] if strict else []
    over = [f"{share:.3g} of the {name}" for name, share in shares if share is not None and share > at_most]
    if not over:
        return ""
    instead = "" if own is None else f" ({docs:,} documents, where the pool's own bounds would keep {own:,})"
    return f"the recipe's bounds keep {' and '.join(over)} that {of} would, above at_most {at_most:g}{instead}"


def drift(used: Bounds, found: Bounds, cells: Mapping[str, Cells]) -> list[dict[str, Any]]:
    """By group, what frozen bounds keep beside what bounds found on this pool would."""
    frozen, own = used.kept(cells), found.kept(cells)
    return [
        {"group": name, "kept": frozen[name][0], "kept_tokens": frozen[name][1], "own_bounds_keep": own[name][0],
         "own_bounds_keep_tokens": own[name][1]}
        for name in cells
    ]  # fmt: skip
