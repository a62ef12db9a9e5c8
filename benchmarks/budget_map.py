"""How strict a pool should be at which budget: tiny runs on pools of one crawl, a law, a forecast, and runs beyond it.

    python -m benchmarks budget_map --pages CRAWL/*.warc.gz --models MODELS --texts TEXTS --out made

The archives go through `yi`, `falcon` and `ccnet` (`refinery compare`), and what they keep is trained on at equal
tokens (pools: `benchmarks/budget_pools.py`). A training is a trunk at a constant rate, and a branch from each of its
marks that decays over the last fifth of its tokens, so that a trunk gives a run of each length; small pools are
repeated as their tokens ask for. Each branch is measured in bits per byte on clean text that is held out (`TEXTS` has a
folder for each of iq_en, eq_en, iq_zh and eq_zh), without documents that a pool has too.

The runs are the table that `refinery plan-data --table` reads (`runs.jsonl`). The law is fitted on English, which all
pools have; `forecast.json` is written before the runs that it is of, with a larger model and more tokens, are made.
What is in `--out` already is not made again."""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.budget_pools import ALIKE, CELLS, VOCABULARY, TokenPool, compare_pages, held_out, make_pools, save_pools
from benchmarks.elastic_experts import toml
from benchmarks.shared import add, markdown
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import read_json, write_bytes
from pipeline.metric.cells import Passage
from trainer.scaling.pool_answer import DataPlanner
from trainer.scaling.pool_files import as_json, card_of, law_bytes
from trainer.scaling.pool_law import FittedPools, fit_pools
from trainer.scaling.pool_runs import PoolRuns, pool_runs

LAYERS = (("sliding", 0, "dense"), ("full", 1, "moe"))
LENGTH, SEQUENCES = 128, 16
WIDTHS, MIDDLE, LARGE = (16, 32, 48), 32, 64
WHOLE = ("yi", "graded", "falcon", "ccnet")  # at every size
PARTS = ("yi-part", "falcon-part")  # at the middle size
RECIPES = ("yi", "falcon", "ccnet")  # with every seed at the middle size
EQUAL = (*RECIPES, ALIKE)  # compared at equal tokens; the last one is in no law
# Tokens of the shortest run; the others have twice as many each. Of all of them the decay is the last part.
SHORTEST, LENGTHS = 2**18, 3
DECAY = 0.2
# Of the check: so many times the tokens of the longest run.
BEYOND = (2,)
# What the law is of: English, by axis and together. A name with `+` is the mean of several.
LOSSES = ("iq_en+eq_en", "iq_en", "eq_en")
NOT_TRUSTED = (
    "It is of tiny models, one crawl of {pages:,} pages, and clean text like textbooks and novels; a model 1.6 times "
    "larger on twice the tokens gained up to 7 % more from new text than it says: for a real training it shows what to "
    "ask, not what to do"
)


class TrunkJob(NamedTuple):
    """A trunk. `marks`: tokens of each run, its decay counted."""

    pool: str
    width: int
    seed: int
    marks: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.pool}-{self.width}-{self.seed}"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--texts", type=Path, required=True, help="clean texts, a folder for each kind")
    parser.add_argument(
        "--compared", type=Path, help="a finished `refinery compare` of the recipes, in place of --pages"
    )
    parser.add_argument("--seeds", type=int, default=3, help="of the recipes' pools at the middle size")
    parser.add_argument("--lengths", type=int, default=LENGTHS, help=f"runs of a trunk, from {SHORTEST} tokens on")
    parser.add_argument("--no-check", action="store_true", help="stop after the forecast")
    add(parser, "--pages", "--models")
    add(parser, "--out", required=True)


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.seeds < 1 or args.lengths < 2:
        raise UsageError("--seeds must be 1 or more, and --lengths 2 or more")
    if not (args.pages or args.compared):
        raise UsageError("give --pages, archives of a crawl, or --compared, a `refinery compare` of them")
    args.out.mkdir(parents=True, exist_ok=True)
    compared = args.compared or compare_pages(args.pages, args.models, args.out / "compared")
    pools = make_pools(compared, args.out / "pools")
    save_pools(pools, args.out / "pools.json")
    cells = held_out(args.texts, args.out / "pools", args.out / "held-out.json")
    marks = tuple(SHORTEST * 2**power for power in range(args.lengths))
    rows = [row for each in trainings(marks, args.seeds) for row in trained(each, pools[each.pool], cells, args.out)]
    write_rows(args.out / "runs.jsonl", rows)
    for seed in range(args.seeds):
        trained(TrunkJob(ALIKE, MIDDLE, seed, marks), pools[ALIKE], cells, args.out)
    laws = {loss: fit_pools(pool_runs(rows, loss)) for loss in LOSSES}
    law = as_json(laws, card_of(card(args, pools, pages_of(compared)), laws[LOSSES[0]], len(rows), LOSSES[0]))
    write_bytes(args.out / "law.json", law_bytes(law))
    further = tuple(marks[-1] * times for times in BEYOND)
    forecast = forecast_of(args.out / "forecast.json", args.out / "law.json", pools, further)
    checks = []
    if not args.no_check:
        beyond = [TrunkJob(name, LARGE, 0, further) for name in WHOLE]
        for mark in further:  # all pools at one budget before the next
            checks = [row for each in beyond for row in trained(each, pools[each.pool], cells, args.out, mark)]
            write_rows(args.out / "checks.jsonl", checks)
    outcomes = checked(forecast, checks)
    for number, answer in enumerate(forecast):
        mine = [row for row in outcomes if (row["loss"], row["tokens"]) == (answer["law"]["loss"], answer["budget"])]
        write_bytes(args.out / f"plan-data-{number}.json", readable_json({**answer, "checked": mine}))
    return {
        "pools": {name: pool._asdict() | {"tokens": str(pool.tokens)} for name, pool in pools.items()},
        "runs": len(rows),
        "cpu_seconds": sum(read_json(path)["cpu_seconds"] for path in (args.out / "measured").iterdir()),
        "equal_tokens": equal_tokens(args.out, marks, args.seeds),
        "law": {loss: told_law(each) for loss, each in laws.items()},
        "left_out": left_out(rows, marks),
        "forecast": forecast,
        "checks": outcomes,
    }


def trainings(marks: tuple[int, ...], seeds: int) -> list[TrunkJob]:
    found = [TrunkJob(pool, width, 0, marks) for width in WIDTHS for pool in WHOLE]
    found += [TrunkJob(pool, MIDDLE, 0, marks) for pool in PARTS]
    return found + [TrunkJob(pool, MIDDLE, seed, marks) for seed in range(1, seeds) for pool in RECIPES]


# ------------------------------------------------------------------------------------------------------------ one run


def sections_of(width: int, seed: int, steps: int, marks: Sequence[int]) -> dict[str, Any]:
    """The configuration of a trunk of so many steps, which keeps the checkpoints of its marks, in steps."""
    return {
        "model": {
            **{"d_model": width, "n_heads": width // 16, "n_kv_heads": 1, "head_dim": 16, "window": 16},
            **{"d_ff": 3 * width, "n_experts": 8, "d_ff_expert": width // 2, "d_ff_shared": width // 2},
            "layers": [dict(zip(("attention", "kv_group", "ffn"), layer)) for layer in LAYERS],
        },
        "top_k": {"full_k": 2, "min_k": 2, "full_k_probability": 1.0},
        "data": {"sequence_length": LENGTH, "global_batch_size": SEQUENCES, "seed": seed},
        "schedule": {"warmup_steps": 20, "trunk_steps": steps, "decay_steps": 0},
        "optimizer": {"learning_rate": 6e-3},
        "load_balancing": {"bias_update_rate": 1e-2},
        "run": {"seed": seed, "threads": 1, "checkpoint_interval_steps": 10 * steps, "checkpoint_marks": [*marks]},
    }


def size(width: int) -> int:
    """Parameters that a token uses, without the embedding table."""
    from trainer.config import LayerConfig, ModelConfig
    from trainer.formulas import parameters

    model = sections_of(width, 0, 100, ())["model"]
    layers = tuple(LayerConfig(**layer) for layer in model["layers"])
    numbers = parameters(ModelConfig(**{**model, "layers": layers}), VOCABULARY, 2)
    return int(numbers.active - numbers.embedding)


def trained(
    each: TrunkJob, pool: TokenPool, cells: Mapping[str, Sequence[Passage]], out: Path, until: int | None = None
) -> list[dict[str, Any]]:
    """A row of the table for each length, up to `until`; what is measured is kept in `out/measured`, and not made
    again."""
    kept = out / "measured" / f"{each.name}.json"
    kept.parent.mkdir(exist_ok=True)
    body: dict[str, Any] = json.loads(kept.read_bytes()) if kept.exists() else {"cpu_seconds": 0.0, "runs": {}}
    for mark in each.marks:
        if str(mark) in body["runs"] or mark > (until or mark):
            continue
        begun = time.process_time()
        body["runs"][str(mark)] = bits_of(run_of(out / "trained" / each.name, each, mark, pool.tokens), cells)
        body["cpu_seconds"] += time.process_time() - begun
        write_bytes(kept, json.dumps(body).encode())
    return [row_of(each, pool, int(tokens), bits, cells) for tokens, bits in body["runs"].items()]


def row_of(
    each: TrunkJob,
    pool: TokenPool,
    tokens: int,
    bits: Mapping[str, Sequence[float]],
    cells: Mapping[str, Sequence[Passage]],
) -> dict[str, Any]:
    losses = {name: sum(bits[name]) / sum(p.size for p in cells[name]) for name in CELLS}
    about = {"pool": pool.name, "keep_rate": pool.keep_rate, "unique_tokens": pool.unique, "tokens": tokens}
    return {**about, "params": size(each.width), "seed": each.seed, "loss": losses}


def run_of(folder: Path, each: TrunkJob, mark: int, tokens: Path) -> Path:
    """The branch that has seen so many tokens: the trunk is trained on to its mark, and decays from there."""
    from trainer.api import train

    folder.mkdir(parents=True, exist_ok=True)
    stable = [*map(stable_steps, each.marks)]
    (folder / "config.toml").write_text(toml(sections_of(each.width, each.seed, stable[-1], stable)))
    end, step = mark // (LENGTH * SEQUENCES), stable_steps(mark)
    if not (checkpoint := folder / f"trunk/checkpoints/step-{step:08d}").exists():
        train(folder / "config.toml", tokens, folder / "trunk", step, device="cpu")
    return branch_of(folder / f"branch-{end}", checkpoint, end - step, tokens)


def stable_steps(tokens: int) -> int:
    return round(tokens // (LENGTH * SEQUENCES) * (1 - DECAY))


def branch_of(folder: Path, checkpoint: Path, steps: int, tokens: Path) -> Path:
    from trainer.api import branch

    branch(checkpoint, {"decay": {"steps": steps}}, tokens, folder, device="cpu")
    return folder


def bits_of(done: Path, cells: Mapping[str, Sequence[Passage]]) -> dict[str, list[float]]:
    """Bits of each passage of each cell."""
    from trainer.api import TextScorer

    score = TextScorer(done, device="cpu")
    return {
        name: [round(bits, 3) for bits in score([p.text for p in cell], [p.whole for p in cell]).bits.tolist()]
        for name, cell in cells.items()
    }


# -------------------------------------------------------------------------------------------------- what they say


def equal_tokens(out: Path, marks: Sequence[int], seeds: int) -> list[dict[str, Any]]:
    """At each length, of each cell: bits per byte of the recipes' pools at the middle size, and how they differ from
    `yi` with intervals of 95 % over documents and seeds, drawn together."""
    cells = json.loads((out / "held-out.json").read_bytes())["cells"]
    sizes = {name: np.array([len(text.encode()) for text, _ in cells[name]], np.float64) for name in CELLS}
    random = np.random.default_rng(0)
    rows = []
    for mark in marks:
        bits = {pool: [measured(out, pool, seed)[str(mark)] for seed in range(seeds)] for pool in EQUAL}
        for name in CELLS:
            values = {pool: np.array([each[name] for each in found]) for pool, found in bits.items()}  # (seeds, texts)
            row: dict[str, Any] = {"tokens": mark, "cell": name}
            row |= {pool: float(each.sum() / seeds / sizes[name].sum()) for pool, each in values.items()}
            for pool in EQUAL[1:]:
                gap = values[pool] - values["yi"]
                drawn = random.integers(0, sizes[name].size, (2000, sizes[name].size))
                some = random.integers(0, seeds, (2000, seeds))
                means = gap[some].mean(axis=1)  # (draws, texts)
                ratios = np.take_along_axis(means, drawn, 1).sum(1) / sizes[name][drawn].sum(1)
                low, high = np.quantile(ratios, [0.025, 0.975]).tolist()
                row[f"{pool} less yi"] = [row[pool] - row["yi"], low, high]
            rows.append(row)
    return rows


def measured(out: Path, pool: str, seed: int) -> dict[str, Any]:
    found: Any = read_json(out / "measured" / f"{pool}-{MIDDLE}-{seed}.json")
    return dict(found["runs"])


def told_law(fitted: FittedPools) -> dict[str, Any]:
    """The coefficients, and their middle 80 % over the draws."""
    drawn = np.array([[*law.shape, *law.linear] for law in fitted.draws])
    low, high = np.quantile(drawn, [0.1, 0.9], axis=0)
    names = ("alpha", "beta", "half-life", "b", "c", "E", "A", "B")
    values = zip(names, [*fitted.law.shape, *fitted.law.linear], low, high)
    found: dict[str, Any] = {name: [float(value), float(a), float(b)] for name, value, a, b in values}
    return {**found, "factors": dict(fitted.law.factors), "error": fitted.error}


def left_out(rows: Sequence[Mapping[str, Any]], marks: Sequence[int]) -> dict[str, list[float]]:
    """The mean relative error, and the share in their 80 % bands, of runs that the law has not seen: the longest by the
    shorter ones, the largest by the smaller ones, and each training by the others."""
    runs = pool_runs(rows, LOSSES[0])
    parts = {
        "longest": [runs.tokens == marks[-1]],
        "largest": [runs.parameters == runs.parameters.max()],
        "a training": [runs.groups == group for group in np.unique(runs.groups)],
    }
    return {name: [float(each) for each in np.mean([told(runs, held) for held in all_of], 0)]
            for name, all_of in parts.items()}  # fmt: skip


def told(runs: PoolRuns, held: np.ndarray) -> tuple[float, float]:
    """The error on the runs that are left out, and the share of them in their bands."""
    fitted, hidden = fit_pools(runs.some(~held), draws=40), runs.some(held)
    error = np.abs(losses_of(fitted.law, hidden) / hidden.losses - 1)
    drawn = np.stack([losses_of(law, hidden) for law in fitted.draws])
    drawn = drawn * (1 + fitted.error * np.random.default_rng(0).standard_normal(drawn.shape))
    low, high = np.quantile(drawn, [0.1, 0.9], axis=0)
    return float(error.mean()), float(np.mean((low <= hidden.losses) & (hidden.losses <= high)))


def losses_of(law: Any, runs: PoolRuns) -> Any:
    factors = np.array([law.factor(pool) for pool in runs.pools])
    return law.losses(runs.parameters, runs.tokens, runs.unique, runs.keep_rates, factors)


def forecast_of(path: Path, law: Path, pools: Mapping[str, TokenPool], budgets: Sequence[int]) -> list[dict[str, Any]]:
    """The answers of `plan-data` for the runs of the check, written once, before they are made."""
    if not path.exists():
        at_hand = max(pool.unique for pool in pools.values())
        planners = [DataPlanner.of(law=law, loss=loss) for loss in LOSSES]
        answers = [each.answer(budget, size(LARGE), at_hand) for each in planners for budget in budgets]
        write_bytes(path, readable_json(answers))
    return [dict(each) for each in json.loads(path.read_bytes())]


def checked(forecast: Sequence[Mapping[str, Any]], checks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each run of the check beside its forecast."""
    rows = []
    for answer in forecast:
        loss, ahead = answer["law"]["loss"], {row["pool"]: row for row in answer["pools"]}
        for each in checks:
            if each["tokens"] != answer["budget"]:
                continue
            value, told = float(np.mean([each["loss"][name] for name in loss.split("+")])), ahead[each["pool"]]
            about = {"loss": loss, "pool": each["pool"], "tokens": each["tokens"], "epochs": told["epochs"]}
            ends = {"forecast": told["loss"], "low": told["low"], "high": told["high"]}
            rows.append({**about, **ends, "measured": value, "inside": told["low"] <= value <= told["high"]})
    return rows


def card(args: argparse.Namespace, pools: Mapping[str, TokenPool], pages: int) -> dict[str, Any]:
    """What the law of the package says of itself, beside what was fitted."""
    return {
        "about": (
            "bits per byte of clean English text (papers and textbooks; novels, dialogues and speeches) by runs on "
            f"pools of one crawl of {pages:,} pages"
        ),
        "command": "python -m benchmarks budget_map --pages CRAWL --models MODELS --texts TEXTS --out made",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "seeds": args.seeds,
        "tokenizer": f"{VOCABULARY} pieces, fitted on the pools' English: some 1.8 bytes a token",
        "unique_tokens": {name: pool.unique for name, pool in pools.items() if name != ALIKE},
        "not_trusted": NOT_TRUSTED.format(pages=pages),
    }


def pages_of(compared: Path) -> int:
    """How many pages a finished comparison read."""
    return int((read_json(compared / "comparison.json") or {})["input"]["docs"])


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def show(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['runs']} runs, {found['cpu_seconds']:,.0f} CPU seconds\n"
    rows = [[name, f"{pool['unique']:,}", f"{pool['keep_rate']:.3f}"] for name, pool in found["pools"].items()]
    yield from markdown(["pool", "unique tokens", "keep rate"], rows)
    yield "\nAt equal tokens, bits per byte (less is better), and how much more than `yi` needs\n"
    header = ["tokens", "held out", *EQUAL, *(f"{pool} less yi" for pool in EQUAL[1:])]
    gaps = [[shown(row[f"{pool} less yi"], "+.3f") for pool in EQUAL[1:]] for row in found["equal_tokens"]]
    equal = zip(found["equal_tokens"], gaps)
    yield from markdown(
        header, [[f"{r['tokens']:,}", r["cell"], *(f"{r[p]:.3f}" for p in EQUAL), *gap] for r, gap in equal]
    )
    for loss, law in found["law"].items():
        yield f"\nlaw of {loss}: " + ", ".join(f"{k} {shown(v, '.3g')}" for k, v in law.items() if isinstance(v, list))
        yield f"factors {law['factors']}, error {law['error']:.2%}"
    rows = [[name, f"{error:.2%}", f"{held:.0%}"] for name, (error, held) in found["left_out"].items()]
    yield "\nWhat the law tells of what it has not seen\n"
    yield from markdown(["left out", "mean error", "in their 80 % bands"], rows)
    for answer in found["forecast"]:
        yield f"\nforecast of {answer['law']['loss']}\n"
        yield from answer["told"]
        yield from (f"{row['pool']} overtaken: {row['overtaken']}" for row in answer["pools"])
    header = ["loss", "tokens", "pool", "epochs", "measured", "forecast", "error", "in the band"]
    yield ""
    yield from markdown(header, map(checked_row, found["checks"]))


def checked_row(row: Mapping[str, Any]) -> list[object]:
    about = [row["loss"], f"{row['tokens']:,}", row["pool"], f"{row['epochs']:.2f}", f"{row['measured']:.4f}"]
    ahead = shown([row["forecast"], row["low"], row["high"]], ".4f")
    return [*about, ahead, f"{row['forecast'] - row['measured']:+.4f}", "yes" if row["inside"] else "no"]


def shown(value: Sequence[float], form: str) -> str:
    return f"{value[0]:{form}} ({value[1]:{form}} to {value[2]:{form}})"
