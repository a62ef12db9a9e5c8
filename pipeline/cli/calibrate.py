"""The command `calibrate`: a threshold from a keep rate."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.errors import UsageError
from pipeline.cli.console import say, tell
from pipeline.cli.options import EngineName, IdColumn, Input, Json, Set, TextColumn, UrlColumn, Workers
from pipeline.cli.work import chosen, opened
from pipeline.text_table import table

if TYPE_CHECKING:
    from pipeline.recipes.recipe import Recipe

COLUMNS = ["group", "docs", "unmeasured", "threshold", "kept", "keep_rate", "rank_error", "95 % of rate"]


def calibrate(
    input: Input,
    signal: Annotated[str | None, typer.Option("--signal", help="The signal that the threshold is on.")] = None,
    keep: Annotated[float | None, typer.Option("--keep", help="The share of documents to keep, say 0.01.")] = None,
    by: Annotated[str, typer.Option("--by", help="A threshold for each `language`, or one for `all`.")] = "language",
    side: Annotated[str, typer.Option("--side", help="Which values are kept: `high` or `low`.")] = "high",
    min_count: Annotated[int, typer.Option("--min-count", min=1, help="Groups with fewer documents get none.")] = 100,
    recipe: Annotated[str | None, typer.Option("--recipe", help="A recipe with a rule on the signal.")] = None,
    step: Annotated[
        str | None, typer.Option("--step", help="Which step, if not the last one that has such a rule.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The recipe to write, with the thresholds.")] = None,
    changes: Set = None,
    engine: EngineName = "local",
    workers: Workers = None,
    text_column: TextColumn = "text",
    id_column: IdColumn = "id",
    url_column: UrlColumn = "url",
    json: Json = False,
) -> None:
    """Find the threshold that keeps a given share of a pool.

    By language unless told otherwise; with --recipe and --out, frozen into a recipe. Without --signal and --keep
    the input is the stage of a `keep_rate` step, whose bounds are frozen.

    Example: refinery calibrate --signal quality --keep 0.01 --input measured --recipe yi --out frozen.toml
    """
    from typing import cast

    from infra.dataset.refusal import no_empty_folders
    from pipeline.inputs.columns import Columns
    from pipeline.inputs.inputs import read_inputs
    from pipeline.job.outputs import check_recipe_place
    from pipeline.pool.quantile import By, Side
    from pipeline.revise.calibrate import Wanted, check_rule, freeze
    from pipeline.revise.calibrate import calibrate as find

    if (recipe is None) != (out is None) or (out is not None and out.suffix != ".toml"):
        raise UsageError("calibrate: give both --recipe and --out FILE.toml to write a recipe, or neither")
    if signal is None or keep is None:
        if signal is not None or keep is not None or recipe is None or out is None:
            raise UsageError(
                "calibrate: give --signal and --keep, or --recipe and --out with a keep_rate stage as --input"
            )
        freeze_rate(chosen(recipe, changes), recipe, input, out, step, json)
        return
    wanted = Wanted(signal, keep, cast(Side, side), cast(By, by), min_count)
    columns = Columns(text_column, id_column, url_column)
    if changes and recipe is None:
        raise UsageError("calibrate: --set changes a recipe: give --recipe and --out too")
    loaded = chosen(recipe, changes) if recipe is not None else None
    changed: list[str] = []
    with opened(engine, workers, json) as made, no_empty_folders(out or Path()):
        if recipe is not None and out is not None:
            check_rule(recipe, wanted, step)
            check_recipe_place(out, recipe)
        found = find(wanted, made, read_inputs(input, columns))
        if loaded is not None and out is not None:
            changed = freeze(loaded, found, out, step)
    answer: dict[str, Any] = found.as_json() | ({"recipe": str(out), "changed": changed} if out else {})
    tell(answer if json else table(readable(answer["thresholds"]), COLUMNS))
    if changed:
        earlier = f"; loosened to it, since it would decide nothing: {', '.join(changed[1:])}" if changed[1:] else ""
        say(f"written into step {changed[0]} of {out}{earlier}")
    if found.refused:
        groups = ", ".join(f"{each.group} {each.docs}" for each in found.refused[:10])
        more = f" and {len(found.refused) - 10} more" if len(found.refused) > 10 else ""
        say(f"no threshold, fewer than {min_count} documents: {groups}{more}")
    if out:
        say(f"written: {out}")


def freeze_rate(recipe: "Recipe", name: str, inputs: Sequence[str], out: Path, step: str | None, json: bool) -> None:
    """Freezes the bounds of the `keep_rate` stage in `inputs` into the recipe."""
    from infra.dataset.refusal import no_empty_folders
    from pipeline.inputs.inputs import read_inputs
    from pipeline.job.outputs import check_recipe_place
    from pipeline.revise.freeze_bounds import found_bounds, freeze_bounds

    given = read_inputs(inputs)
    if len(given.datasets) != 1 or given.documents or given.archives:
        raise UsageError("calibrate: without --signal and --keep, --input is one dataset: that of a keep_rate stage")
    with no_empty_folders(out):
        check_recipe_place(out, name)
        changed = freeze_bounds(recipe, given.datasets[0], out, step)
    bounds = found_bounds(given.datasets[0])
    if json:
        tell({"recipe": str(out), "changed": [changed], "bounds": bounds})
        return
    rows = [{"group": group, "least rank": rank} for group, rank in bounds["groups"].items()]
    tell(table(rows, ["group", "least rank"]))
    say(f"price {bounds['price']} above {bounds['free_tokens']} tokens; written into step {changed} of {out}")


def readable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"95 % of rate": "{:.4f} to {:.4f}".format(*row["interval"])} for row in rows]
