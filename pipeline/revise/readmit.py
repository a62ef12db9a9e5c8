"""`readmit`: reads rejected records again at their locators and runs them through another recipe, as an ordinary run.

The ledger has the locator of each rejected record. The records are read again from their archives by the code of
`ingest` and `extract` (documents of Parquet or JSONL files from those files), once each, however many rules they
failed; then every stage of the recipe follows. The dataset of records read again replaces the output of `ingest`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from infra.addresses import shown
from infra.dataset.claim import claim
from infra.dataset.files import FileRef
from infra.dataset.manifest import MANIFEST, RUN, InputRef, Kind
from infra.dataset.reader import Dataset, SideBySide, Source
from infra.dataset.receipts import Totals
from infra.errors import UsageError, WorkError
from infra.hashing import readable_json, sha256_json
from infra.storage import read_json, write_bytes, write_last
from pipeline.inputs.columns import Columns
from pipeline.inputs.inputs import InputFile
from pipeline.inputs.places import known_place
from pipeline.inputs.reread import (
    PLACE,
    RereadDocuments,
    RereadRecords,
    RereadTask,
    by_file,
    is_document_file,
    place_of,
)
from pipeline.inputs.versions import file_states, is_unchanged
from pipeline.job.context import Context
from pipeline.recipes.recipe import Recipe, Stage, needs_text
from pipeline.revise.listed import entries
from pipeline.stages.final import clear_final, datasets_in, link_final
from pipeline.stages.ingest import STEP as INGEST
from pipeline.stages.over_documents import not_done, stage_over_documents, stages_over_documents
from pipeline.stages.run import FROZEN, Run, Say, account, check_outside, stage_folder, tell_not_done
from pipeline.stages.stages import run_stage
from pipeline.warc.reader import Locator

COLUMNS = ["id", *PLACE, "step", "rule"]


@dataclass(frozen=True)
class Rejects:
    """The contents of ledgers: records and documents by file, and the number of rows without a record, by reason."""

    datasets: tuple[Dataset, ...]
    found: Mapping[str, Sequence[Locator]]
    skipped: Mapping[str, int]

    @property
    def refs(self) -> tuple[InputRef, ...]:
        """References to the datasets by manifest, although only their ledgers are read."""
        return tuple(InputRef(f"ledger/{ref.name}", ref.sha256) for each in self.datasets for ref in each.refs)

    def columns(self) -> Columns:
        """The names of the columns of the documents that the first of the datasets was made from."""
        return next((c for each in self.datasets if (c := Columns.of_params(each.manifest.params)).renamed), Columns())

    def known(self) -> tuple[dict[str, str], dict[str, str]]:
        """Where the files were when they were read, and their versions in the manifests, by name."""
        places: dict[str, str] = {}
        sums: dict[str, str] = {}
        for dataset in self.datasets:
            places |= dataset.places()
            sums |= {ref.name: ref.sha256 for ref in dataset.manifest.inputs if known_place(ref.name, places)}
        return places, sums


def readmit(
    context: Context,
    ledger: Path,
    out: Path,
    rules: Sequence[str] = (),
    ids: Path | None = None,
    moved: Mapping[str, str] | None = None,
    *,
    say: Say | None = None,
) -> tuple[Run, dict[str, int]]:
    """Returns the run in `out`, and {in, readmitted, rejected, skipped}. `moved`: the files' paths now, by name. `say`:
    is told first what of the recipe documents do not allow.

    Raises UsageError if the ledger has no such row, or a file is missing or has changed.
    """
    chosen = {line for _, line in entries(ids, "--ids")} if ids else None
    rejects = read_rejects(ledger_datasets(ledger), rules, chosen)
    files = locate(rejects, moved or {})
    records = RereadRecords(tuple(f for f in files if not is_document_file(f.name)), rejects.found, rejects.refs)
    read = tuple(file for file in files if is_document_file(file.name))
    stages = stages_for(context.recipe, bool(records.files))
    columns = replace(rejects.columns(), needs="text" if needs_text(stages) else "url")
    documents = RereadDocuments(read, rejects.found, rejects.refs, columns)
    documents.parts()  # what cannot be read is refused before the folder is claimed
    params = {"rules": sorted(set(rules)) or None, "ids": sha256_json(sorted(chosen)) if chosen else None}
    params = {name: value for name, value in params.items() if value is not None} | (columns.params if read else {})
    here = Context(context.recipe, context.engine, context.places, {**context.params, **params})
    arguments = {
        "command": "readmit",
        "recipe": asdict(context.recipe.ref),
        "inputs": [asdict(ref) for ref in (*rejects.refs, *(file.ref for file in files))],
        **params,
    }
    started = time.time()
    check_outside(out)
    with claim(out, arguments):
        clear_final(out)
        missed = not_done(context.recipe.stages) if documents.files else ()
        tell_not_done(say, context.recipe, missed)
        write_bytes(out / FROZEN, readable_json(context.recipe.frozen()))
        made = Run(out, tuple(run_stages(here, stages, records, documents, rejects.skipped, out)), missed)
        numbers = conservation(made, rejects)
        link_final(out, made.last.folder.name)
        write_last(out / RUN, readable_json({**account(context, made, time.time() - started), "readmit": numbers}))
    return made, numbers


def ledger_datasets(folder: Path) -> list[Dataset]:
    """The datasets of `folder`: one stage's, or those of all stages of a run."""
    if folder.name == "ledger" and (folder.parent / MANIFEST).is_file():
        folder = folder.parent
    if (folder / MANIFEST).is_file():
        return [Dataset(folder)]
    if (folder / FROZEN).is_file() and "last" not in (read_json(folder / RUN) or {}):
        raise UsageError(f"{folder} is not finished: run the same command again, or give the folder of a stage")
    found = [Dataset(path) for path in datasets_in(folder)]
    if not found:
        raise UsageError(f"--ledger {folder} contains no finished dataset: give the folder of a stage, or of a run")
    return found


def read_rejects(datasets: Sequence[Dataset], rules: Sequence[str], ids: set[str] | None) -> Rejects:
    """The distinct records of the ledgers' rows, or of those with these rules (`step/rule`) and ids."""
    there = {rule for dataset in datasets for rule in dataset.manifest.rejected_by}
    for rule in rules:
        if rule not in there:
            raise UsageError(
                f"no record was rejected by {rule!r}: there are {', '.join(sorted(there)) or 'no rejects'}"
            )
    tables = [choose(part.table(COLUMNS), rules, ids) for dataset in datasets for part in dataset.ledger_parts()]
    lines = pa.concat_tables(tables)
    if not lines.num_rows:
        raise UsageError("no ledger row is selected: there is nothing to read again")
    damaged = pc.and_(pc.equal(lines["step"], INGEST), pc.starts_with(lines["rule"], "damage/"))
    taken = pc.is_null(lines["file_path"])
    skipped = {"damaged": sum(map(len, by_file(lines.filter(damaged)).values())), "taken_down": pc.sum(taken).as_py()}
    found = by_file(lines.filter(pc.invert(pc.or_(damaged, taken))))
    return Rejects(tuple(datasets), found, {name: number for name, number in skipped.items() if number})


def choose(lines: pa.Table, rules: Sequence[str], ids: set[str] | None) -> pa.Table:
    if rules:
        names = pc.binary_join_element_wise(lines["step"], lines["rule"], "/")
        lines = lines.filter(pc.is_in(names, pa.array(rules, pa.string())))
    return lines if ids is None else lines.filter(pc.is_in(lines["id"], pa.array(sorted(ids), pa.string())))


def locate(rejects: Rejects, moved: Mapping[str, str]) -> list[InputFile]:
    """The files to read, by name. Raises UsageError for one that is missing, or is not the one that was read."""
    places, sums = rejects.known()
    files = []
    for name in sorted(rejects.found):
        what = "file" if is_document_file(name) else "archive"
        path = place_of(name, {**places, **moved})
        version = sums.get(name) or file_states([path])[path].version
        file = InputFile(path, name, version)
        if name in sums and not is_unchanged(path, version, moved=path != known_place(name, places)):
            raise UsageError(
                f"{shown(path)} is not the {what} {name!r} that was read: give its folder with --source ROOT"
            )
        files.append(file)
    return files


def stages_for(recipe: Recipe, archives: bool) -> list[Stage]:
    """All stages if archives are read; those for documents if only documents are."""
    if not archives:
        return stages_over_documents(recipe)
    if recipe.stages[0].command != "ingest" or not any(stage.command == "extract" for stage in recipe.stages):
        raise UsageError(
            f"recipe {recipe.name!r} does not begin at archives: readmit needs one with ingest and extract"
        )
    return list(recipe.stages)


def run_stages(
    context: Context,
    stages: Sequence[Stage],
    records: RereadRecords,
    documents: RereadDocuments,
    skipped: Mapping[str, int],
    out: Path,
) -> list[Dataset]:
    """Makes every stage's dataset. Documents of files join at the first stage that reads documents; beside records,
    they go through the gates of extraction first, in a dataset of their own."""
    bare = Context(context.recipe, context.engine, context.places)
    datasets: list[Dataset] = []
    source: Source | None = None
    joined = not documents.files
    alone: Source = documents
    for stage in stages:
        folder = out / stage_folder(context.recipe, stage)
        here = bare if datasets else context
        if stage.command == "ingest":
            here = here.of_stage(stage)
            header = here.header(stage, Kind.RECORDS, records.refs)
            task = RereadTask(here.recipe.sha256)
            made = context.engine.map_shards(task, [records], folder, header, counted(skipped))
        else:
            if not joined and not stage.reads_records:
                source = alone if source is None else SideBySide((source, alone))
                joined = True
            assert source is not None
            if not joined and (gates := gates_of(stage)):
                alone = run_stage(bare, gates, alone, out / f"{folder.name}-documents")
                datasets.append(alone)
            made = run_stage(here, stage, source, folder, records.places())
        datasets.append(made)
        source = made
    return datasets


def gates_of(stage: Stage) -> Stage | None:
    """The gates of an extract stage as a stage over documents; None without any."""
    gates = stage_over_documents(stage) if stage.command == "extract" else None
    return gates and replace(gates, name=f"{stage.name}-documents")


def counted(skipped: Mapping[str, int]) -> Any:
    """Counts ledger rows without a readable record as `skipped`."""

    def extras(_: Path, totals: Totals) -> tuple[dict[str, Any], list[FileRef]]:
        for reason, number in skipped.items():
            totals.counts[f"skipped/{reason}"] = number
            totals.counts["in"] += number
        return {}, []

    return extras


def conservation(made: Run, rejects: Rejects) -> dict[str, int]:
    """Counts what became of every record. Raises WorkError if one is unaccounted for."""
    manifests = [dataset.manifest for dataset in made.datasets]
    numbers = {
        "in": sum(map(len, rejects.found.values())) + sum(rejects.skipped.values()),
        "readmitted": manifests[-1].counts["out"],
        "rejected": sum(manifest.counts.get("rejected", 0) for manifest in manifests),
        "skipped": sum(rejects.skipped.values())
        + sum(n for m in manifests[1:] for name, n in m.counts.items() if name.startswith("skipped/")),
    }
    if numbers["in"] != numbers["readmitted"] + numbers["rejected"] + numbers["skipped"]:
        raise WorkError(f"readmit: records were lost on the way: {numbers}")
    return numbers
