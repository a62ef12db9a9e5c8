"""What a run over snapshots is given: their files as inputs, the pace of requests, and what its recipe's probe took."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.dataset.growth import inputs_of
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.http.limits import HttpLimits
from infra.storage import write_bytes
from pipeline.inputs.columns import Columns
from pipeline.inputs.inputs import Inputs, as_known, inputs_of_snapshot, read_inputs
from pipeline.recipes.recipe import Recipe
from pipeline.snapshots.cache import PathFiles, snapshot_cache
from pipeline.snapshots.choice import Choice, read_share
from pipeline.snapshots.choose import chosen_files
from pipeline.snapshots.crawls import Crawls
from pipeline.snapshots.plan import Means, check_budget, plan
from pipeline.snapshots.probe import Probe, keep, kept, probes_folder, read_probe
from pipeline.snapshots.source import open_source
from pipeline.stages.final import FORECAST

NOTHING = Choice(())


def crawls_of(source: str | None, refresh: bool = False) -> Crawls:
    """The snapshots of a source, with the lists of files that are kept in the user's cache."""
    return Crawls(open_source(source), PathFiles(snapshot_cache(), refresh))


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
    return Inputs(inputs_of_snapshot(chosen_files(crawls_of(source), choice)))


def probe_of(recipe: Recipe, run: Path | None = None) -> Probe:
    """What a run of the recipe took: of the folder, which is kept, else what was kept. UsageError where there is none,
    or it is another recipe's."""
    if run is None:
        found = kept(probes_folder(), recipe.name)
        if found is None:
            raise UsageError(
                f"no probe of recipe {recipe.name!r} yet: `refinery run --snapshot ID --files 2 --out probe`, then "
                "`refinery snapshots plan --probe probe`, both with this recipe"
            )
        return found
    found = read_probe(run)
    if found.recipe != recipe.name:
        raise UsageError(f"{run} is a run of recipe {found.recipe!r}, not of {recipe.name!r}: give a probe of this one")
    keep(found, probes_folder())
    return found


def within_budget(recipe: Recipe, given: Inputs, means: Means, budget: float) -> dict[str, Any]:
    """What the run will take, by the last probe of its recipe. UsageError if that is more core-hours than `budget`."""
    if not given.archives:
        raise UsageError("--budget is for runs over archives: documents have no probe")
    sizes = [file.size for file in given.archives]
    known = None if None in sizes else sum(size or 0 for size in sizes)
    planned = plan(probe_of(recipe), 0, len(sizes), means, known)
    check_budget(planned, budget)
    return planned


def keep_forecast(out: Path, planned: dict[str, Any] | None) -> None:
    """Beside the run that was made: the report shows the two together."""
    if planned is not None:
        write_bytes(out / FORECAST, readable_json(planned))
