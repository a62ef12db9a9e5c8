"""Laws of the loss on published curves and tables, out of sample: errors, and how much their 80 % bands hold.

    python -m benchmarks law_tables --scaling FOLDER [--mixtures FOLDER]

`--scaling` has folders as they were published: `lr_schedules/{25M,100M}` (the Multi-Power Law's authors),
`chinchilla/svg_extracted_data.csv`, `misfitting/*.csv` and `isoflop/isoflop_runs_long.csv`; what is not there is left
out. Curves: other schedules of a size from two or three of its runs, and each size from the other with one run of it,
or the first steps of one, seen. Tables: the larger sizes from the smaller ones, at several cuts. `--mixtures` has
RegMix's 1M models (`{train,test}_mixture_1m.csv`, `_pile_loss_1m.csv`): the test's mixtures from those of the training.
There is no bar: bands of single tables are wide or narrow by chance, as the errors of a law go together.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from benchmarks.shared import markdown
from infra.errors import UsageError

SIZES = ("25M", "100M")
TRIPLES = (
    ("constant_24000", "cosine_24000", "wsdcon_9"),
    ("constant_24000", "wsd_20000_24000"),
    ("cosine_24000", "wsdcon_3", "wsdcon_18"),
    ("constant_72000", "wsdld_20000_24000", "cosine_24000"),
)
SEEN = ("constant_24000", "cosine_24000", "wsd_20000_24000", "cosine_72000")
FIRST = (None, 4000.0, 8000.0)
ISOFLOP = ("src", "dataset", "hparams", "warmup", "decay", "param_count", "val")


class PublicTable(NamedTuple):
    """A published table: its columns, the cuts at which it is fitted, and rows by the texts of some columns."""

    file: str
    parameters: str
    tokens: str
    loss: str
    cuts: tuple[float, ...]
    flops: bool = False


TABLES = (
    PublicTable(
        "chinchilla/svg_extracted_data.csv", "Model Size", "Training FLOP", "loss", (15e7, 2e8, 3e8, 5e8, 1e9), True
    ),
    PublicTable("misfitting/scaling_results_last_ckpt_only.csv", "N_no_emb", "D", "loss", (4e7, 6e7, 1e8, 15e7)),
    PublicTable("misfitting/data.csv", "N_no_emb", "D", "C4 Eval Loss", (4e7, 6e7, 9e7)),
    PublicTable("misfitting/data.csv", "N_no_emb", "D", "Wiki Eval Loss", (4e7, 6e7, 9e7)),
)
ISOFLOP_TABLE = PublicTable("isoflop/isoflop_runs_long.csv", "n", "tokens", "loss", (3e7, 1e8, 3e8))


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scaling", type=Path, required=True, help="the folder of published curves and tables")
    parser.add_argument("--mixtures", type=Path, help="the folder of RegMix's mixtures and losses")


def run(args: argparse.Namespace) -> dict[str, Any]:
    rows = [*of_curves(args.scaling / "lr_schedules"), *of_tables(args.scaling)]
    if args.mixtures:
        rows += of_mixtures(args.mixtures)
    if not rows:
        raise UsageError(f"{args.scaling} has none of the folders that --help names")
    return {"rows": rows, "groups": summary(rows)}


def of_curves(folder: Path) -> Iterator[dict[str, Any]]:
    from trainer.scaling.check import CurveCheck, check_curves

    if not folder.is_dir():
        return
    for size in SIZES:
        for runs in TRIPLES:
            answer = check_curves(folder, CurveCheck([size], size, runs))
            yield row("schedules of a size", f"{size}: {', '.join(runs)}", answer)
    for small, large in (SIZES, SIZES[::-1]):
        for name in SEEN:
            for first in FIRST:
                answer = check_curves(folder, CurveCheck([small], large, (), name, first))
                part = "all" if first is None else f"{first:.0f} steps"
                yield row(f"{small} to {large}, {part} of a run", name, answer)


def of_tables(folder: Path) -> Iterator[dict[str, Any]]:
    for asked, where, kind in public_tables(folder):
        yield from of_table(folder, asked, where, kind)


def public_tables(folder: Path) -> Iterator[tuple[PublicTable, dict[str, str], str]]:
    """Each table that is there, which of its rows are one, and its kind."""
    for asked in TABLES:
        if (folder / asked.file).is_file():
            yield asked, {}, asked.file.split("/")[0]
    path = folder / ISOFLOP_TABLE.file
    if path.is_file():
        with path.open(newline="") as file:
            groups = {tuple(each[name] for name in ISOFLOP): None for each in csv.DictReader(file)}
        for texts in groups:
            decay = "constant rate" if "const" in texts else "decayed"
            yield ISOFLOP_TABLE, dict(zip(ISOFLOP, texts)), f"isoflop, {decay}"


def of_table(folder: Path, asked: PublicTable, where: dict[str, str], group: str) -> Iterator[dict[str, Any]]:
    from trainer.scaling.check import check_table
    from trainer.scaling.final_runs import RunColumns, read_runs

    columns = RunColumns(asked.parameters, asked.tokens, asked.loss, asked.flops)
    runs = read_runs(folder / asked.file, columns, where)
    for cut in asked.cuts:
        try:
            answer = check_table(runs, cut)
        except UsageError:  # too few runs on one side
            continue
        name = " ".join([Path(asked.file).stem, asked.loss, *where.values()])
        yield row(group, f"{name}, below {cut / 1e6:.0f}M", answer)


def of_mixtures(folder: Path) -> Iterator[dict[str, Any]]:
    """One table of both files of each part, a law for each loss of it."""
    from trainer.scaling.check import check_held_out
    from trainer.scaling.final_runs import RunColumns, read_runs

    with TemporaryDirectory() as made:
        path = Path(made) / "mixtures.csv"
        losses, shares = write_mixtures(folder, path)
        for loss in losses:
            columns = RunColumns("N", "D", loss, shares=tuple(shares))
            fitted = read_runs(path, columns, {"part": "train"})
            yield row("regmix", loss, check_held_out(fitted, read_runs(path, columns, {"part": "test"})))


def write_mixtures(folder: Path, path: Path) -> tuple[list[str], list[str]]:
    """(columns of losses, columns of shares) of the table that is written."""
    rows: list[dict[str, Any]] = []
    for part in ("train", "test"):
        mixed, lost = (
            list(csv.DictReader((folder / f"{part}_{name}_1m.csv").open())) for name in ("mixture", "pile_loss")
        )
        rows.extend({"part": part, "N": 1e6, "D": 1e9} | first | second for first, second in zip(mixed, lost))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    names = list(rows[0])
    return [name for name in names if name.startswith("metric/")], [name for name in names if name.startswith("train_")]


def row(group: str, name: str, answer: dict[str, Any]) -> dict[str, Any]:
    points = sum(each["points"] for each in answer["by_run"].values())
    figures = {key: answer[key] for key in ("mae", "relative", "worst", "coverage80")}
    return {"group": group, "case": name, "points": int(points), **figures}


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each group the means over its cases, and the share of cases whose bands hold 70 to 90 %."""
    found = []
    for group in [*dict.fromkeys(each["group"] for each in rows), "all"]:
        chosen = [each for each in rows if group in (each["group"], "all")]
        held = np.array([each["coverage80"] for each in chosen])
        found.append(
            {
                "group": group,
                "cases": len(chosen),
                "mae": f"{np.mean([each['mae'] for each in chosen]):.4f}",
                "relative": f"{np.mean([each['relative'] for each in chosen]):.2%}",
                "in the 80 % band": f"{held.mean():.2f}",
                "cases with .7 to .9": f"{np.mean((held >= 0.7) & (held <= 0.9)):.2f}",
            }
        )
    return found


def show(found: dict[str, Any]) -> Iterator[str]:
    rows = [
        each | {"relative": f"{each['relative']:.2%}", "worst": f"{each['worst']:.2%}", "mae": f"{each['mae']:.4f}"}
        for each in found["rows"]
    ]
    for each in (rows, found["groups"]):
        yield from markdown([*each[0]], [[*line.values()] for line in each])
        yield ""
