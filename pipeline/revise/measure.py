"""`measure`: every signal of every document as a dataset; nothing is judged, nothing is dropped.

Archives are ingested and extracted first, by the recipe's last extract step alone: no gate, no prefilter, no audit
sample. Then the steps of the recipe's filter stages run in their order, with every rejection ignored:

- labels and combinations set their signals, for the languages they apply to (others have null);
- edits change the text for the steps after them;
- a judge's signals are measured at that judge, on the text as it is by then. The first judge with a rule on a signal
  counts.

A signal without a judge is measured at the end, on the text that is written with the document: the one that the last
label, judge or combination reads (edits after it are skipped). Stages over the whole pool (copies, percentiles,
clusters) are skipped: their numbers belong to a pool, not to a document. What only the prefilter would set is measured
on the whole text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from filters.catalog import SIGNALS
from filters.url import SIGNAL_DOCS, UrlLists, url_signals
from infra.dataset.claim import check_place
from infra.dataset.manifest import InputRef, Kind
from infra.dataset.reader import Dataset, ShardReader, Source
from infra.engines.task import Output
from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.ledger import ledger_batch
from infra.names import meant
from infra.storage import place
from pipeline.document import Document
from pipeline.inputs.archives import Archives
from pipeline.inputs.inputs import Inputs
from pipeline.inputs.reread import documents_in
from pipeline.job.carried import Carried, carried
from pipeline.job.context import Context
from pipeline.job.funnel import Funnel, unreadable
from pipeline.models.loaded import Models, load_once, loaded_models
from pipeline.models.url_lists import load_url_lists
from pipeline.recipes.recipe import Recipe, Stage
from pipeline.stages.run import input_params
from pipeline.stages.stages import first_source, run_stage
from pipeline.steps.batch import after_steps, working_documents
from pipeline.steps.extract import Extract
from pipeline.steps.judge import Judge
from pipeline.steps.option import SIGNAL_LIST
from pipeline.steps.signals import STEP_SIGNALS
from pipeline.steps.step import Step

NAME = "measure"
STAGES = "stages"
ALL, OWN = "all", "recipe"
# The URL lists of a signal: (signal, the name of the lists in the recipe).
Bound = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Plan:
    """What to measure: the signals by name, the steps that they need, and the URL lists of each URL signal."""

    names: tuple[str, ...]
    steps: tuple[Step, ...]
    lists: Bound

    def models(self) -> tuple[str, ...]:
        """The names of the models that the steps use, lists included."""
        used = {name for step in self.steps for name in step.models()}
        return tuple(sorted(used | {lists for _, lists in self.lists}))


def plan(recipe: Recipe, wanted: Sequence[str] = ()) -> Plan:
    """`wanted`: names of signals, `recipe` for all that the recipe uses, `all` or nothing for all there are.

    Raises UsageError for a signal that does not exist, or that no step of the recipe sets.
    """
    steps = measuring_steps(recipe)
    known = set(SIGNALS) | set_by(steps)
    names = set(known) if not wanted else set()
    for name in wanted:
        if name == ALL:
            names |= known
        elif name == OWN:
            names |= own_signals(recipe) & known
        elif name in known:
            names.add(name)
        elif name in STEP_SIGNALS:
            raise UsageError(f"recipe {recipe.name!r} has no label or combine step that sets the signal {name!r}")
        else:
            raise UsageError(f"no signal {name!r}; {meant(name, known, SIGNAL_LIST)}")
    chosen = tuple(sorted(names))
    return Plan(chosen, needed(steps, names), bound_lists(recipe, chosen))


def measuring_steps(recipe: Recipe) -> list[Step]:
    """The steps that set or read signals or change the text, in the order of the recipe."""
    steps = [step for stage in recipe.stages if stage.command == "filter" for step in stage.steps if _measures(step)]
    while steps and steps[-1].edits:
        steps.pop()
    later = set_by(steps)
    prefilter = [
        step
        for stage in recipe.stages
        if stage.command == "extract"
        for step in stage.steps
        if _measures(step) and not step.sets <= later
    ]
    return [*prefilter, *steps]


def _measures(step: Step) -> bool:
    """Whether it has a part in what is measured: pruning has none."""
    return step.on_text and (bool(step.sets) or step.edits or any(step.requires()))


def set_by(steps: Sequence[Step]) -> set[str]:
    """The signals that these steps write to the `signals` column."""
    return {name for step in steps for name in step.sets if name in STEP_SIGNALS}


def own_signals(recipe: Recipe) -> set[str]:
    """Every signal that a step of the recipe reads or sets."""
    steps = [step for stage in recipe.stages for step in stage.steps]
    return {name for step in steps for name in (*step.requires(), *step.sets)}


def needed(steps: Sequence[Step], names: set[str]) -> tuple[Step, ...]:
    """Leaves out labels and combinations whose signals are not needed. Steps for some languages need the language."""
    wanted = set(names)
    kept: list[Step] = []
    for step in reversed(steps):
        if step.sets:
            if step.sets.isdisjoint({"language", "domain", *wanted}):
                continue
            wanted |= set(step.requires())
        kept.append(step)
    return tuple(reversed(kept))


def bound_lists(recipe: Recipe, names: Sequence[str]) -> Bound:
    """For each URL signal the lists of the first gate that requires it, else of the first gate with lists."""
    gates = [step for stage in recipe.stages for step in stage.steps if step.lists]
    bound = []
    for name in sorted(set(names) & set(SIGNAL_DOCS)):
        asking = [gate for gate in gates if name in gate.requires()]
        if gates:
            bound.append((name, str((asking or gates)[0].lists)))
    return tuple(bound)


@dataclass(frozen=True)
class MeasureTask:
    """Measures all signals of the plan for the documents of one part. `places`: (model, path) pairs, not in the
    fingerprint.

    An optional second part has what was rejected before there was a text: it is copied to the ledger.
    """

    plan: Plan
    models: tuple[tuple[str, str], ...]
    recipe: str
    carried: Carried
    places: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def fingerprint(self) -> str:
        steps = [repr(step) for step in self.plan.steps]
        return sha256_json(
            [NAME, self.plan.names, steps, self.plan.lists, self.models, self.recipe, self.carried.fingerprint]
        )

    @property
    def schema(self) -> pa.Schema:
        return self.carried.schema(self.plan.names)

    def __call__(self, part: Any, rejected: "Ledgers | None" = None) -> Iterator[Output]:
        funnel = Funnel()
        for lines in rejected.batches() if rejected else ():
            number = documents_in(lines)
            funnel.count["in"] += number
            funnel.count["rejected"] += number
            yield Output(None, lines)
        lists = {name: at for name, at in self.places if name in {bound for _, bound in self.plan.lists}}
        models = loaded_models(tuple(pair for pair in self.places if pair[0] not in lists))
        opened = {name: load_once(load_url_lists, place(at)) for name, at in lists.items()}
        schema = self.schema
        for batch in part.batches():
            documents = list(working_documents(batch))
            for document in documents:
                document.signals |= measured(document, self.plan, models, opened)
            made = after_steps(batch, documents, schema)
            funnel.count["in"] += batch.num_rows
            funnel.passed_all(0, made)
            yield Output(made)
        yield Output(None, ledger_batch(unreadable(part, funnel, self.recipe)), funnel.counts([NAME]))


def measured(document: Document, plan: Plan, models: Models, lists: Mapping[str, UrlLists]) -> dict[str, float | None]:
    """Measures the plan's signals of one document, which the steps may change. Rejections are ignored."""
    wanted, found = set(plan.names), named_url_signals(document.url, plan, lists)
    for step in plan.steps:
        if not isinstance(step, Judge):
            step.run(document, models, None)
        elif step.is_for(document):
            for rule in step.rules:
                name = rule.rule.signal
                applies = not rule.languages or document.language in rule.languages
                if applies and name in wanted and found.get(name) is None:
                    found[name] = document.signal(name)
    for name in plan.names:
        if found.get(name) is None and name not in SIGNAL_DOCS:
            found[name] = document.signal(name)
    return found


def named_url_signals(url: str, plan: Plan, lists: Mapping[str, UrlLists]) -> dict[str, float | None]:
    wanted = [name for name in plan.names if name in SIGNAL_DOCS]
    bound = dict(plan.lists)
    by_lists = {name: url_signals(url, lists[name]) for name in set(bound.values())}
    bare = url_signals(url, UrlLists()) if len(bound) < len(wanted) else {}
    return {name: by_lists[bound[name]][name] if name in bound else bare[name] for name in wanted}


@dataclass(frozen=True)
class Ledgers:
    """The ledgers of one partition of all earlier stages, one batch for each ledger."""

    readers: tuple[ShardReader, ...]

    @property
    def fingerprint(self) -> str:
        return sha256_json([reader.fingerprint for reader in self.readers])

    def check(self) -> None:
        for reader in self.readers:
            reader.check()

    def batches(self) -> Iterator[pa.RecordBatch]:
        for reader in self.readers:
            yield from reader.table().combine_chunks().to_batches()


@dataclass(frozen=True)
class RejectedBefore:
    """The ledgers of datasets with the same partitions, as a source beside the documents."""

    datasets: tuple[Dataset, ...]

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return tuple(ref for dataset in self.datasets for ref in dataset.refs)

    def parts(self) -> list[Ledgers]:
        columns = [dataset.ledger_parts() for dataset in self.datasets]
        return [Ledgers(readers) for readers in zip(*columns, strict=True)]


def measure(
    context: Context,
    inputs: Inputs,
    out: Path,
    wanted: Sequence[str] = (),
    limit: int | None = None,
    places: dict[str, str] | None = None,
) -> Dataset:
    """Makes the dataset of all signals in `out`; for archives and records, the earlier stages in `out/stages`.

    `places`: the archives' paths, if they have moved since they were ingested.
    """
    chosen = plan(context.recipe, wanted)
    context = replace(context, recipe=context.recipe.with_models_of(chosen.models()))
    params = {**({"signals": sorted(set(wanted))} if wanted else {}), **input_params(inputs, limit)}
    here = Context(context.recipe, context.engine, context.places, params)
    stage = Stage(NAME, "filter")
    if inputs.archives and (inputs.documents or inputs.datasets):
        raise UsageError("give archives, or documents and datasets, as --input, not both in one call")
    source: Source
    if inputs.archives or any(dataset.kind is Kind.RECORDS for dataset in inputs.datasets):
        # the inputs are known once the stages exist; a folder without stages was made from documents
        begun = (out / STAGES).is_dir()
        head = here.header(stage, Kind.DOCUMENTS, ()).as_dict()
        check_place(out, {name: value for name, value in head.items() if not begun or name != "inputs"})
        made = documents_of(context, inputs, out / STAGES, limit, places)
        source = made[-1]
        sources: list[Source] = [source, RejectedBefore(tuple(made))]
    else:
        source = first_source(inputs, stage, limit)
        sources = [source]
    used = chosen.models()
    task = MeasureTask(
        chosen,
        tuple((name, context.recipe.models[name]) for name in used),
        context.recipe.sha256,
        carried(source),
        tuple((name, context.places[name]) for name in used),
    )
    header = here.header(stage, Kind.DOCUMENTS, source.refs)
    return context.engine.map_shards(task, sources, out, header)


def documents_of(
    context: Context, inputs: Inputs, folder: Path, limit: int | None, places: dict[str, str] | None
) -> list[Dataset]:
    """The datasets from archives or records to documents, the documents last."""
    extract = last_extract(context.recipe)
    made: list[Dataset] = []
    first = Context(context.recipe, context.engine, context.places, input_params(inputs, limit))
    if inputs.archives:
        ingest = next((s for s in context.recipe.stages if s.command == "ingest"), Stage("ingest", "ingest"))
        source = first_source(inputs, ingest, limit)
        assert isinstance(source, Archives)
        made.append(run_stage(first, ingest, source, folder / f"01-{ingest.name}"))
        records: Source = made[0]
    else:
        records = first_source(inputs, extract, limit)
    params = {"only": extract.steps[0].name, **({} if made else input_params(inputs, limit))}
    here = Context(context.recipe, context.engine, context.places, params)
    made.append(run_stage(here, extract, records, folder / f"02-{extract.name}", places))
    return made


def last_extract(recipe: Recipe) -> Stage:
    """The recipe's last extract step, alone in a stage. Raises UsageError if it has none."""
    found = [(stage, step) for stage in recipe.stages for step in stage.steps if isinstance(step, Extract)]
    if not found:
        raise UsageError(f"recipe {recipe.name!r} has no extract step: give documents as --input, or another recipe")
    stage, step = found[-1]
    return Stage(stage.name, "extract", (step,))
