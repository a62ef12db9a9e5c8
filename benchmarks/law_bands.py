"""How bands of final losses grow outside of the fitted runs: chosen on half of the public tables, judged on the rest.

    python -m benchmarks law_bands --scaling FOLDER

The tables and cuts of `law_tables`. A rule says with which `power` of the distance from the fitted runs an error grows,
how fast it does at least (`far`) beyond the middle of the distances that the table could hold out, and how much wider
than the spread of resampled laws a band is. Where `far` is left out, the table's own growth holds everywhere.

Bands that hold 80 % on average may hold too many runs near and too few far away, so both are counted: of random halves
of the tables one chooses the rule whose bands are nearest to 80 % there, of near and of far runs, kinds of tables
counted alike; the other half judges it, beside the rule before and that of `trainer/scaling/final_bands.py`. There is
no bar.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.law_tables import PublicTable, public_tables
from benchmarks.shared import markdown
from infra.errors import UsageError
from trainer.scaling.curves import Floats

HALVES = 100
FAR_FROM = 2.0  # times the middle distance of the held-out runs
LOW, HIGH = 0.7, 0.9


class BandRule(NamedTuple):
    power: float
    far: float | None
    resampled: float


BEFORE, OURS = BandRule(0.5, None, 1.5), BandRule(0.75, 2.0, 1.5)
RULES = tuple(BandRule(*each) for each in product((0.5, 0.75, 1.0), (None, 1.0, 2.0, 3.0, 4.0), (1.0, 1.5, 2.0)))


class BandCase(NamedTuple):
    """A table at a cut: its kind and name, and the share of its larger runs that each rule's band holds: of all, the
    near and the far ones, (rules, 3); NaN where there are none."""

    kind: str
    table: str
    held: Floats


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scaling", type=Path, required=True, help="the folder of published tables")


def run(args: argparse.Namespace) -> dict[str, Any]:
    cases = list(cases_of(args.scaling))
    if len({case.table for case in cases}) < 4:
        raise UsageError(f"{args.scaling} has fewer than four of the tables that `law_tables` reads")
    named = {name: RULES.index(rule) for name, rule in (("before", BEFORE), ("ours", OURS))}
    return {
        "cases": len(cases),
        "rules": {name: by_kind(cases, place) for name, place in named.items()},
        "halves": halves(cases, named),
    }


def cases_of(folder: Path) -> Iterator[BandCase]:
    for asked, where, kind in public_tables(folder):
        yield from cases_of_table(folder, asked, where, kind)


def cases_of_table(folder: Path, asked: PublicTable, where: dict[str, str], kind: str) -> Iterator[BandCase]:
    from trainer.scaling.final_runs import RunColumns, best_runs, read_runs

    columns = RunColumns(asked.parameters, asked.tokens, asked.loss, asked.flops)
    runs = best_runs(read_runs(folder / asked.file, columns, where))
    for cut in asked.cuts:
        small = runs.parameters < cut
        try:
            held = held_by_rules(runs.some(small), runs.some(~small))
        except UsageError:  # too few runs on one side
            continue
        yield BandCase(kind, " ".join([asked.file, asked.loss, *where.values()]), held)


def held_by_rules(fitted: Any, rest: Any) -> Floats:
    """The share of `rest` in the band that each rule makes of `fitted`, (rules, 3). UsageError for too few runs."""
    from trainer.scaling.final_bands import COVERAGE, held_errors, outside, weighted_quantile
    from trainer.scaling.final_loss import fit_and_hold_out, off, unknowns_of

    if not rest.losses.size:
        raise UsageError("there is nothing to predict")
    made, held_out = fit_and_hold_out(fitted)
    found = held_errors(held_out, unknowns_of(made.law))
    if not found.distances.size:
        raise UsageError("nothing could be held out")
    distance, reach = outside(made.band.ranges, rest), weighted_quantile(found.distances, found.weights, 0.5)
    wrong, spread = np.abs(off(made.law, rest)), made.spread(rest)
    is_far = distance > FAR_FROM * reach
    groups = (np.ones(distance.size, np.bool_), ~is_far, is_far)
    shares = []
    for rule in RULES:
        growth = weighted_quantile(found.more / found.distances**rule.power, found.weights, COVERAGE)
        near, whole = np.minimum(distance, reach) ** rule.power, distance**rule.power
        more = growth * near + max(growth, rule.far or 0.0) * (whole - near)
        inside = wrong <= np.maximum(made.band.error * (1 + more), rule.resampled * spread)
        shares.append([float(inside[some].mean()) if some.any() else np.nan for some in groups])
    return np.array(shares)


def distance_from_bar(held: Floats, kinds: Sequence[str]) -> Floats:
    """(rules,): how far the mean shares of near and of far runs are from .8; `held`: (cases, rules, 3)."""
    names = np.array(kinds)
    parts = [held[names == kind][:, :, 1:] for kind in dict.fromkeys(kinds)]
    means = [np.ma.masked_invalid(part).mean(0) for part in parts]
    found: Floats = np.ma.stack([np.ma.abs(mean - 0.8).mean(1) for mean in means]).mean(0).filled(1.0)
    return found


def halves(cases: Sequence[BandCase], named: dict[str, int]) -> dict[str, dict[str, float]]:
    """Of the halves that judge: the mean distance, share in the band, and share of cases with .7 to .9."""
    held, kinds = np.stack([case.held for case in cases]), np.array([case.kind for case in cases])
    of_case = np.array([case.table for case in cases])
    tables = np.unique(of_case)
    rows: dict[str, list[list[float]]] = {name: [] for name in (*named, "chosen")}
    for seed in range(HALVES):
        half = np.random.default_rng(seed).permutation(tables)[: len(tables) // 2]
        chooses = np.isin(of_case, half)
        best = int(distance_from_bar(held[chooses], kinds[chooses].tolist()).argmin())
        wrong = distance_from_bar(held[~chooses], kinds[~chooses].tolist())
        for name, place in (*named.items(), ("chosen", best)):
            some = held[~chooses, place, 0]
            rows[name].append([wrong[place], some.mean(), np.mean((some >= LOW) & (some <= HIGH))])
    columns = ("distance from .8, near and far", "in the band", "cases with .7 to .9")
    return {name: dict(zip(columns, np.mean(each, 0).round(4).tolist())) for name, each in rows.items()}


def by_kind(cases: Sequence[BandCase], place: int) -> dict[str, list[float]]:
    """{kind: shares in the band of all, near and far runs, and the share of cases with .7 to .9}."""
    found = {}
    for kind in [*dict.fromkeys(case.kind for case in cases), "all"]:
        held = np.array([case.held[place] for case in cases if kind in (case.kind, "all")])
        good = (held[:, 0] >= LOW) & (held[:, 0] <= HIGH)
        found[kind] = [*(round(float(np.nanmean(column)), 4) for column in held.T), round(float(good.mean()), 4)]
    return found


def show(found: dict[str, Any]) -> Iterator[str]:
    rules = found["rules"]
    yield f"{found['cases']} cases: shares in the 80 % band, and share of cases with .7 to .9\n"
    yield from markdown(
        ["tables", *(f"{name}: {what}" for name in rules for what in ("all", "near", "far", "cases"))],
        [
            [kind, *(f"{value:.2f}" for rule in rules.values() for value in rule[kind])]
            for kind in next(iter(rules.values()))
        ],
    )
    yield f"\nof {HALVES} halves of the tables, on the half that did not choose\n"
    yield from markdown(
        ["rule", *next(iter(found["halves"].values()))],
        [[name, *(f"{value:.3f}" for value in row.values())] for name, row in found["halves"].items()],
    )
