"""What a run over snapshots is given: their files as inputs, the pace of requests, and what its recipe's probe took."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.addresses import shown
from infra.dataset.claim import arguments_of, is_finished
from infra.dataset.growth import inputs_of
from infra.dataset.manifest import LIMIT, MANIFEST
from infra.dataset.reader import Dataset
from infra.dataset.receipts import RECEIPTS
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.http.limits import HttpLimits
from infra.storage import read_json, write_bytes
from pipeline.inputs.columns import Columns
from pipeline.inputs.inputs import InputFile, Inputs, as_known, inputs_of_snapshot, read_inputs
from pipeline.inputs.places import known_place
from pipeline.inputs.versions import may_be_same
from pipeline.recipes.recipe import Recipe
from pipeline.snapshots.cache import PathFiles, snapshot_cache
from pipeline.snapshots.choice import Choice, read_share
from pipeline.snapshots.choose import chosen_files
from pipeline.snapshots.crawls import Crawls
from pipeline.snapshots.plan import Means, check_budget, plan
from pipeline.snapshots.probe import Probe, keep, kept, probes_folder, read_probe, text_hash
from pipeline.snapshots.source import open_source
from pipeline.stages.final import FORECAST, FROZEN
from pipeline.stages.ingest import states_read

NOTHING = Choice(())


def crawls_of(source: str | None, refresh: bool = False) -> Crawls:
    """The snapshots of a source, with the lists of files that are kept in the user's cache."""
    return Crawls(open_source(source), PathFiles(snapshot_cache(), refresh))


def read_list(path: Path) -> str:
    """The text of a list. UsageError if it cannot be read."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text in UTF-8") from None


def http_limits(requests_per_second: float, mib_per_second: float | None = None) -> HttpLimits:
    return HttpLimits(requests_per_second, None if mib_per_second is None else mib_per_second * 2**20)


def choice_of(
    snapshots: Sequence[str], kind: str, files: int | None, sample: str | None, segments: Sequence[str] | None
) -> Choice:
    """`sample`: a share as text, `0.1%` or `0.001`."""
    return Choice(tuple(snapshots), kind, files, read_share(sample), tuple(segments or ()))


def given_inputs(inputs: Sequence[str], choice: Choice, source: str | None, columns: Columns, out: Path) -> Inputs:
    """The inputs, by the versions that the run in `out` knows them by, or the files that the choice among snapshots
    names. UsageError unless it is one of the two."""
    if bool(inputs) == bool(choice.snapshots):
        raise UsageError("give --input or --snapshot, one of them: what is to be read")
    if inputs:
        if choice != NOTHING:
            raise UsageError("--kind, --files, --sample and --segment choose among the files of a --snapshot")
        return as_known(read_inputs(inputs, columns), inputs_of(out))
    found = inputs_of_snapshot(chosen_files(crawls_of(source), choice))
    check_as_read(found, out)
    return Inputs(found)


def check_as_read(files: Iterable[InputFile], out: Path) -> None:
    """UsageError if a file is in another state than when the run in `out` read it. One that is not where it was, at a
    mirror, need only have its size."""
    now = {file.name: file for file in files if file.seen}
    first = next((path for path in sorted(out.iterdir()) if (path / RECEIPTS).is_dir()), None) if out.is_dir() else None
    if not now or first is None:
        return
    places = Dataset(first).places() if (first / MANIFEST).is_file() else {}
    for name, before in sorted(states_read(first)):
        file = now.get(name)
        if file is None:
            continue
        there = known_place(name, places)
        moved = there is not None and shown(there) != shown(file.path)
        if not may_be_same(*((v.partition(" ")[0] if moved else v) for v in (file.seen, before))):
            raise UsageError(
                f"{shown(file.path)} has changed since {out} was made of it: choose another --out, or delete that "
                "folder"
            )


def probe_of(recipe: Recipe, run: Path | None = None) -> Probe:
    """What a run of the recipe took: of the folder, which is kept, else what was kept. UsageError where there is none,
    or it is another recipe's."""
    if run is None:
        found = kept(probes_folder(), recipe.name, text_hash(recipe.source))
        if found is None:
            raise UsageError(
                f"no probe yet of recipe {recipe.name!r} as it is now: `refinery run --snapshot ID --files 2 --out "
                "probe`, then `refinery snapshots plan --probe probe`, both with this recipe"
            )
        return found
    found = read_probe(run)
    if found.recipe != recipe.name:
        raise UsageError(f"{run} is a run of recipe {found.recipe!r}, not of {recipe.name!r}: give a probe of this one")
    if found.sha256 != text_hash(recipe.source):
        raise UsageError(f"{run} is a run of another text of recipe {recipe.name!r}: give a probe of this one")
    keep(found, probes_folder())
    return found


def within_budget(
    recipe: Recipe, given: Inputs, out: Path, limit: int | None, means: Means, budget: float
) -> dict[str, Any] | None:
    """What the run will take, by the last probe of its recipe, up to the `limit` of pages; None where it is finished in
    `out`. UsageError if that is more core-hours than `budget`."""
    if not given.archives:
        raise UsageError("--budget is for runs over archives: documents have no probe")
    if is_made(recipe, given, out, limit):
        return None
    sizes = [file.size for file in given.archives]
    probe = probe_of(recipe)
    size = len(sizes) * probe.bytes / probe.files if None in sizes else sum(size or 0 for size in sizes)
    pages = size * probe.stages[0].rows_out / probe.bytes
    share = min(1.0, limit / pages) if limit is not None and pages else 1.0
    planned = plan(probe, 0, max(1, math.ceil(len(sizes) * share)), means, round(size * share))
    check_budget(planned, budget)
    return planned


def is_made(recipe: Recipe, given: Inputs, out: Path, limit: int | None) -> bool:
    """Whether the run in `out` is finished, and of this recipe and these inputs."""
    if not is_finished(out):
        return False
    before, frozen = arguments_of(out, ()) or {}, read_json(out / FROZEN) or {}
    same = (before.get("inputs"), before.get(LIMIT), frozen.get("name")) == (
        [asdict(file.ref) for file in given.archives],
        limit,
        recipe.name,
    )
    return same and text_hash(frozen.get("source") or {}) == text_hash(recipe.source)


def keep_forecast(out: Path, planned: dict[str, Any] | None) -> None:
    """Beside the run that was made: the report shows the two together."""
    if planned is not None:
        write_bytes(out / FORECAST, readable_json(planned))
