"""`dedup`: removes copies over the whole pool, with evidence for each removal.

Retrieve (keys or MinHash bands are grouped in a reduction), verify (candidate pairs are compared by their shingles),
decide (survivor selection), apply (an aligned pass over the documents). Intermediate tables are datasets with receipts
of their own in `OUT/.work`, deleted when the result is committed; in them a document is its number, eight bytes.
"""

from functools import partial
from pathlib import Path
from typing import Any, cast

from dedup.exact import NORMALISE, key_table
from dedup.index.decide import Keeping
from dedup.keep import KeepOne, KeyBySurvivor
from dedup.marks import READ
from dedup.minhash import MinHash
from dedup.paragraphs import surviving_text
from dedup.policy import columns_read
from dedup.tables import (
    DECISIONS,
    keys_schema,
)
from infra.dataset.build import already_made
from infra.dataset.manifest import Header, Kind
from infra.dataset.reader import Dataset, Source
from infra.engines.task import Task
from infra.errors import UsageError
from infra.storage import place
from pipeline.index.add import add, left_by
from pipeline.index.manifest import PARAMETERS
from pipeline.job.baseline import handed_on
from pipeline.job.carried import Carried, carried
from pipeline.job.context import Context
from pipeline.job.tables import Tables
from pipeline.recipes.recipe import Stage
from pipeline.stages.dedup_apply import ApplyCuts, ApplyDecisions
from pipeline.stages.dedup_decide import decisions_of
from pipeline.stages.dedup_lines import kept_lines
from pipeline.stages.dedup_pairs import edges_of, signatures_of
from pipeline.stages.dedup_spans import ApplySpans, cut_of, repeated_spans
from pipeline.stages.dedup_work import Work
from pipeline.steps.dedup import Dedup


def dedup_stage(context: Context, stage: Stage, source: Source, out: Path) -> Dataset:
    """Removes copies by the stage's one dedup step. Raises UsageError for options that the method does not have."""
    step = cast("Dedup", stage.steps[0])  # the parser allows no other in a dedup stage
    options = step.checked_options()
    kind = Kind.RECORDS if step.method == "payload" else Kind.DOCUMENTS
    header = context.header(stage, kind, source.refs)
    # the dataset of an index is there before the index names the snapshot
    unfinished = step.method == "index" and left_by(place(options["index"]), source)
    if not unfinished and (done := already_made(out, header)):
        return done
    if step.method == "index":
        return by_index(context, step, source, out, header)
    if options.get("policy") == "best" and (kind is Kind.RECORDS or "quality" not in carried(source).signals):
        raise UsageError(
            f"{stage.name}: the policy best goes by the signal quality, which is not there before this stage: measure "
            "it in an earlier one, or choose another policy"
        )
    work = Work(step, source, Tables.of(context, stage.name, out))
    task: Task
    brought = carried(source) if kind is Kind.DOCUMENTS else None
    if step.method == "paragraphs":
        decisions = [kept_lines(work, options)]
        left = partial(surviving_text, span=options["lines"])
        task = ApplyCuts(step.name, context.recipe.sha256, brought or Carried(), "line", "no_unique_line", left)
    elif step.method == "substring":
        cut = cut_of(options)
        decisions = repeated_spans(work, cut)
        task = ApplySpans(step.name, context.recipe.sha256, brought or Carried(), cut)
    else:
        decide_by = minhash_decisions if step.method == "minhash" else exact_decisions
        decisions = decide_by(work, options)
        measured = options if options.get("verify") else {}
        threshold, measure = measured.get("threshold"), measured.get("measure")
        task = ApplyDecisions(step.name, step.method, threshold, measure, context.recipe.sha256, brought)
    extras = handed_on(source, dedup=True) if kind is Kind.DOCUMENTS else None
    return context.engine.map_shards(task, [source, *decisions], out, header, extras)


def by_index(context: Context, step: Dedup, source: Source, out: Path, header: Header) -> Dataset:
    """Adds the documents to an index of snapshots; what it does not remove is the dataset."""
    options = step.checked_options()
    given = {name: options[name] for name in PARAMETERS if name in step.options}
    name, choice = options["snapshot"] or None, Keeping(options["policy"], options["copies"])
    added = add(place(options["index"]), source, context.engine, name, choice, out, given, header, step.name)
    assert added.out is not None
    return added.out


def exact_decisions(work: Work, options: dict[str, Any]) -> list[Source]:
    by: Any = work.step.method
    policy = options["policy"]
    read = READ if by == "text" else (NORMALISE[by][0],)
    made, columns = partial(key_table, by=by, policy=policy), (*read, *columns_read(policy))
    keys = work.table("keys", f"keys:{by}:{policy}", keys_schema(policy), made, columns)
    decisions = work.reduce("decisions", [keys], KeepOne(policy), DECISIONS)
    if policy != "first":
        decisions = work.reduce("by-survivor", [decisions], KeyBySurvivor(), DECISIONS)
    return work.applicable(decisions)


def minhash_decisions(work: Work, options: dict[str, Any]) -> list[Source]:
    params = MinHash(options["bands"], options["rows"], options["ngram"])
    signed = signatures_of(work, options["policy"], params)
    return work.applicable(decisions_of(work, options, edges_of(work, options, params, signed), signed))
