"""The text of a document as a stage read it: from the dataset before that stage, from the file in which the document
came, or from its record in the archive, extracted again in the page sandbox.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from infra.addresses import shown
from infra.dataset.manifest import MANIFEST, Kind
from infra.dataset.reader import Dataset
from infra.dataset.rows import to_rows
from infra.errors import RefineryError, UsageError
from infra.remote import anywhere
from pipeline.explain.finished import FinishedRun
from pipeline.explain.lookup import Key, key_of, rows_of
from pipeline.inputs.columns import Columns
from pipeline.inputs.documents import DocumentFilePart
from pipeline.inputs.places import WEB, Where, known_place, places_below
from pipeline.inputs.reread import ChosenDocuments, is_document_file, place_of
from pipeline.inputs.versions import is_unchanged
from pipeline.recipes.recipe import Recipe, Stage
from pipeline.stages.bodies import BodyReader
from pipeline.stages.extract import page_extractor
from pipeline.steps.extract import Extract

RECORD_COLUMNS = ("id", "warc_length", "member_record", "url", "page", "charset_header", "content_digest")
# For a recipe without an extraction of its own.
QUICK = Extract("extract", "resiliparse")


@dataclass(frozen=True)
class Origin:
    """Where the inputs of a run are now. `moved`: the files' paths by name, if they have moved; `given`: the dataset
    from which the run began, if it did."""

    moved: Mapping[str, str] = field(default_factory=dict)
    given: Dataset | None = None


def origin_of(source: Where | None) -> Origin:
    """`source`: see `places_below`; or the dataset from which the run began."""
    folder = None if source is None or WEB.match(str(source)) else anywhere(source, "--source")
    if folder and (folder / MANIFEST).is_file():
        return Origin(given=Dataset(folder))
    return Origin(places_below(source) if source else {})


def originals(rows: Iterable[Mapping[str, Any]], first: Dataset, origin: Origin) -> dict[Key, dict[str, Any]]:
    """By key, the input documents of a run that began after extraction; without those that are none, such as a line
    that could not be read. `first`: the run's first dataset. Raises UsageError if they are not where they were."""
    keys = {key_of(row): row for row in rows}
    if origin.given is not None:
        found = {key_of(row): row for row in rows_of(origin.given.parts(), keys)}
        for name, offset in keys.keys() - found.keys():
            raise UsageError(f"--source {origin.given.folder} does not hold {name!r} at {offset}")
        return found
    found, columns = {}, Columns.of_params(first.manifest.params)
    for name, several in groupby(sorted(keys), key=lambda key: key[0]):
        if not is_document_file(name):
            raise UsageError("the run began at a dataset of documents: give its folder with --source DATASET")
        path = place_of(name, {**first.places(), **origin.moved})
        read = next((ref.sha256 for ref in first.manifest.inputs if ref.name == name), None)
        if read is not None and not is_unchanged(path, read, moved=path != known_place(name, first.places())):
            raise UsageError(
                f"{shown(path)} is not the file {name!r} that was read: give its folder with --source ROOT"
            )
        chosen = sorted(several)
        source = keys[chosen[0]].get("source") or ""
        part = ChosenDocuments(DocumentFilePart(path, name, "", source, columns), tuple(offset for _, offset in chosen))
        found |= {key_of(row): row for batch in part.batches() for row in to_rows(batch)}
    return found


@dataclass(frozen=True)
class StageTexts:
    """The texts that the stages of a run read."""

    run: FinishedRun
    origin: Origin

    def of(self, stage: Stage, lines: Sequence[Mapping[str, Any]]) -> tuple[dict[Key, str], list[str]]:
        """By key, the texts of the documents of these rows of the stage's ledger; and why some are missing."""
        keys = {key_of(line) for line in lines if line["file_path"] is not None}
        before = self._before(stage)
        if stage.command == "ingest" or not keys:
            return {}, []
        if before is None:
            try:
                documents = originals([line for line in lines if key_of(line) in keys], self._first, self.origin)
            except UsageError as error:
                return {}, [str(error)]
            return {key: row["text"] for key, row in documents.items()}, []
        if before.kind is Kind.DOCUMENTS:
            return {key_of(row): row["text"] or "" for row in rows_of(before.parts(), keys, ["text"])}, []
        return self._extracted(stage, lines, before)

    @property
    def _first(self) -> Dataset:
        return self.run.dataset(self.run.stages[0])

    def _before(self, stage: Stage) -> Dataset | None:
        """The dataset that the stage read, if it is one of the run."""
        at = self.run.stages.index(stage)
        return self.run.dataset(self.run.stages[at - 1]) if at else None

    def _extracted(
        self, stage: Stage, lines: Sequence[Mapping[str, Any]], before: Dataset
    ) -> tuple[dict[Key, str], list[str]]:
        steps = {key_of(line): line["step"] for line in lines}
        records = sorted(rows_of(before.parts(), steps, RECORD_COLUMNS), key=key_of)
        places = {**before.places(), **self._first.places(), **self.origin.moved}
        texts: dict[Key, str] = {}
        faults: dict[str, None] = {}  # in order, each once
        with closing(BodyReader(places, self._first)) as reader:
            for record in records:
                step = extraction(self.run.recipe, stage, steps[key_of(record)])
                try:
                    texts[key_of(record)] = extracted(record, step, reader)
                except RefineryError as error:
                    faults[str(error)] = None
        return texts, list(faults)


def extraction(recipe: Recipe, stage: Stage, name: str) -> Extract:
    """The extraction whose text the step of this name saw; for a step before any, the first one that would follow."""
    number = next((order for order, step in enumerate(stage.steps) if step.name == name), -1)
    before = [step for step in stage.steps[: number + 1] if isinstance(step, Extract)]
    return before[-1] if before else next(_extractions([stage, *recipe.stages]), QUICK)


def _extractions(stages: Iterable[Stage]) -> Iterator[Extract]:
    return (step for stage in stages for step in stage.steps if isinstance(step, Extract))


def extracted(record: Mapping[str, Any], step: Extract, reader: BodyReader) -> str:
    """The text that this extraction makes of a record. Raises UsageError or WorkError if its archive is not there."""
    html = record["page"] == "html"
    options = json.dumps(dict(step.options), sort_keys=True)
    extractor = page_extractor(step.engine, options) if html else page_extractor("plain", "{}")
    return extractor.extract(reader.read(record), record["charset_header"], record["url"] or "").text
