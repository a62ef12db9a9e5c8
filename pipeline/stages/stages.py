"""One function for each command that makes a dataset: it checks the input and starts the task on the engine.

`refinery run` calls them one after the other, the per-stage commands call one: the bytes are the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from infra.addresses import lacks_query
from infra.dataset.build import already_made
from infra.dataset.manifest import Header, InputRef, Kind
from infra.dataset.reader import Dataset, Part, SideBySide, Source
from infra.engines.one_pass import MapTo, one_pass
from infra.errors import UsageError
from pipeline.inputs.archives import SPLIT, ArchivePart, Archives
from pipeline.inputs.documents import open_documents
from pipeline.inputs.inputs import Inputs
from pipeline.inputs.names import is_url
from pipeline.inputs.places import query_is_missing
from pipeline.inputs.planning import FileGroups, PlanTask, must_be_planned, read_plan
from pipeline.job.baseline import estimates, handed_on
from pipeline.job.carried import carried
from pipeline.job.context import Context
from pipeline.job.sample import AuditSampling, small_share
from pipeline.job.tables import Tables
from pipeline.pool.stage import pool_stage
from pipeline.pool.values import check_signal
from pipeline.recipes.recipe import Stage, needs_text
from pipeline.stages.dedup import dedup_stage
from pipeline.stages.extract import ExtractTask
from pipeline.stages.filter import FilterTask
from pipeline.stages.ingest import IngestTask, write_read
from pipeline.stages.mix import mix_stage
from pipeline.stages.tokenize import tokenize_stage
from pipeline.steps.label import Label
from pipeline.warc.file_bytes import copied
from pipeline.warc.records import SplitOverrun


def for_stages(inputs: Inputs, stages: Sequence[Stage]) -> Inputs:
    """The inputs as these stages read them: where none of them reads a text, files of addresses alone are read too."""
    if needs_text(stages) or not inputs.documents:
        return inputs
    return replace(inputs, columns=replace(inputs.columns, needs="url"))


def first_source(inputs: Inputs, stage: Stage, limit: int | None = None) -> Source:
    """The source of the first stage: archives for `ingest`, records for `extract`, documents for the others."""
    if limit is not None and limit < 1:
        raise UsageError(f"the limit is {limit}; give at least 1")
    if stage.command == "ingest":
        if not inputs.archives or inputs.documents or inputs.datasets:
            raise UsageError("ingest reads WARC, WET and ARC files: give those, and nothing else, as --input")
        return Archives(inputs.archives, limit)
    if inputs.archives:
        raise UsageError(
            f"{stage.command} reads datasets and documents, not archives: run `refinery ingest` and `extract` first"
        )
    source = rows_of(inputs, Kind.RECORDS if stage.reads_records else Kind.DOCUMENTS, stage.command)
    return source if limit is None else Limited(source, limit)


def rows_of(inputs: Inputs, wanted: Kind, command: str) -> Source:
    """The datasets and documents of the inputs side by side. UsageError for what is not of the kind `wanted`."""
    sources: list[Source] = list(inputs.datasets)
    for dataset in inputs.datasets:
        if dataset.kind is not wanted:
            raise UsageError(f"{command} reads {wanted}: {dataset.folder} contains {dataset.kind}")
    if inputs.documents:
        if wanted is Kind.RECORDS:
            raise UsageError(f"{command} reads a dataset of records (made by `refinery ingest`), not documents")
        sources.append(open_documents(inputs.documents, inputs.columns))
    return sources[0] if len(sources) == 1 else SideBySide(tuple(sources))


@dataclass(frozen=True)
class Following:
    """The stage after an ingest stage. If it is an extraction, both share one pass over what comes from addresses."""

    context: Context
    stage: Stage
    out: Path


def run_stage(
    context: Context,
    stage: Stage,
    source: Source,
    out: Path,
    places: dict[str, str] | None = None,
    following: Following | None = None,
) -> Dataset:
    """Makes one stage's dataset in `out`. `places`: where the archives are, if they have moved since they were
    ingested."""
    context = context.of_stage(stage)
    if stage.command == "ingest":
        return ingest_stage(context, stage, source, out, following)
    if stage.command == "extract":
        return extract_stage(context, stage, source, out, places)
    makers = {
        "filter": filter_stage, "dedup": dedup_stage, "mix": mix_stage,
        "tokenize": tokenize_stage,
    }  # fmt: skip
    return makers[stage.command](context, stage, source, out)


def ingest_stage(
    context: Context, stage: Stage, source: Source, out: Path, following: Following | None = None
) -> Dataset:
    """A split that began inside a record (an archive inside an archive) shows when it is read: its file is then split
    again by walking every member."""
    assert isinstance(source, Archives)
    header = context.header(stage, Kind.RECORDS, source.refs)
    header = replace(header, params={**header.params, SPLIT: source.split_bytes})
    task = IngestTask(context.recipe.sha256)
    while True:
        try:
            planned = plan_archives(context, stage, source, out, header)
            if following and following.stage.command == "extract" and "audit_pages" not in following.stage.options:
                second = extract_map(following.context, following.stage, planned.places(), out=following.out)
                one_pass(context.engine, planned, MapTo(task, out, header), second, part_copied, is_fetched)
            return context.engine.map_shards(task, [planned], out, header, write_read)
        except SplitOverrun as overrun:
            assert overrun.split.name not in source.exact, overrun
            source = replace(source, exact=source.exact | {overrun.split.name})


def plan_archives(context: Context, stage: Stage, source: Archives, out: Path, header: Header) -> Archives:
    """The archives with their splits, found by a map where there is much to split."""
    if not must_be_planned(source) or already_made(out, header):
        return source
    task = PlanTask(source.split_bytes, source.exact)
    table = Tables.of(context, stage.name, out).map("splits", task, FileGroups(source))
    return replace(source, planned=read_plan(table))


def extract_stage(
    context: Context, stage: Stage, source: Source, out: Path, places: dict[str, str] | None = None
) -> Dataset:
    bodies = {**archive_places(source), **(places or {})}
    for name, place in bodies.items():
        if lacks_query(place):
            raise query_is_missing(name, place)
    made = extract_map(context, stage, bodies, source.refs, out, rows_in(source))
    extras = estimates(stage.baseline.name) if stage.baseline else None
    return context.engine.map_shards(made.task, [source], out, made.header, extras)


def extract_map(
    context: Context,
    stage: Stage,
    bodies: Mapping[str, str],
    refs: tuple[InputRef, ...] = (),
    out: Path = Path(),
    pages: int | None = None,
) -> MapTo:
    """The map of an extract stage. `bodies`: where the archives are. `pages`: how many it reads; None: not known."""
    context = context.of_stage(stage)
    models, places = context.stage_models(stage), dict(context.stage_places(stage))
    steps = stage.baseline.steps if stage.baseline else ()
    task = ExtractTask(
        stage.steps, models, context.recipe.sha256, bodies, places, sampling_of(stage, pages), baseline=steps
    )
    return MapTo(task, out, context.header(stage, Kind.DOCUMENTS, refs))


def sampling_of(stage: Stage, pages: int | None) -> AuditSampling | None:
    """The audit sample of an extract stage that reads so many pages; None: it has none, or their number is not known.

    With a baseline the share follows the length of a page and its language (`pipeline/job/sample.py`)."""
    share, least = stage.options.get("audit"), stage.options.get("audit_pages", 0)
    if share is None:
        return None
    chosen = small_share(float(share), pages, least) if least and pages is not None else float(share)
    if stage.baseline is None:
        return AuditSampling(chosen)
    keeps = [step.keep for step in stage.baseline.steps if isinstance(step, Label) and step.keep]
    return AuditSampling(chosen, True, tuple(sorted(keeps[0])) if keeps else ())


def rows_in(source: Source) -> int:
    """How many rows a source of datasets has."""
    if isinstance(source, SideBySide):
        return sum(rows_in(each) for each in source.sources)
    if isinstance(source, Limited):
        return min(source.limit, rows_in(source.source))
    return source.manifest.shards.sums.rows if isinstance(source, Dataset) else 0


def is_fetched(part: ArchivePart) -> bool:
    """Whether all of a part comes from an address; of one that is cut by the limit only the beginning does."""
    return is_url(part.split.path) and part.split.cap is None


def part_copied(part: ArchivePart) -> AbstractContextManager[None]:
    """Fetches a part once for all that is done in the block."""
    return copied(part.split.path, part.split.start, part.split.end)


def filter_stage(context: Context, stage: Stage, source: Source, out: Path) -> Dataset:
    if any(step.alone for step in stage.steps):
        return pool_stage(context, stage, source, out)
    for name in stage.options.get("carried", ()):
        check_signal(name, source, f"stage {stage.name!r}")
    task = FilterTask(
        stage.steps,
        context.stage_models(stage),
        context.recipe.sha256,
        carried(source),
        context.stage_places(stage),
    )
    header = context.header(stage, Kind.DOCUMENTS, source.refs)
    return context.engine.map_shards(task, [source], out, header, handed_on(source))


def archive_places(source: Source) -> dict[str, str]:
    """Where the archives of a dataset of records were when it was made."""
    datasets = source.sources if isinstance(source, SideBySide) else (source,)
    places: dict[str, str] = {}
    for dataset in datasets:
        if isinstance(dataset, Limited):
            places |= archive_places(dataset.source)
        elif isinstance(dataset, Dataset):
            places |= dataset.places()
    return places


@dataclass(frozen=True)
class Limited:
    """The first `limit` rows of a source, in its order."""

    source: Source
    limit: int

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return self.source.refs

    def parts(self) -> Sequence[Part]:
        return self._parts

    @cached_property
    def _parts(self) -> list[Part]:
        chosen: list[Part] = []
        left = self.limit
        for part in self.source.parts():
            if left <= 0:
                break
            rows = 0
            for batch in part.batches(["id"]):  # type: ignore[attr-defined]
                rows += batch.num_rows
                if rows > left:
                    break
            # a part that is not cut is what it is without a limit: a run without one uses it again
            chosen.append(part if rows <= left else CappedPart(part, left))
            left -= rows
        return chosen


@dataclass(frozen=True)
class CappedPart:
    """A partition cut after `cap` rows."""

    part: Any
    cap: int

    @property
    def fingerprint(self) -> str:
        return f"{self.part.fingerprint}:{self.cap}"

    @property
    def rejects(self) -> Any:
        return getattr(self.part, "rejects", ())

    def schema(self) -> pa.Schema:
        return self.part.schema()

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        left = self.cap
        for batch in self.part.batches(columns):
            if left <= 0:
                return
            yield batch.slice(0, left)
            left -= batch.num_rows
