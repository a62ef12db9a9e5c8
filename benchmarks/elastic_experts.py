"""Experts per token chosen after training: elastic against plain training, adaptive policies, and the load.

    python -m benchmarks elastic_experts --tokens tokens --held-out held-out --out runs --seeds 3 --steps 1100

Tiny models of the family (80 experts, 12 of them per token) are trained on the text of `--tokens` with a vocabulary of
512: `plain` always with k = 12, `elastic` with k = 12 in half of the draws and else 2 to 12, for as many steps as give
the same training FLOPs, and `losses`, which is `elastic` balanced by the three losses in place of the bias. They are
measured on half of the documents of `--held-out`; policies are calibrated to a mean k of 6 on the other half.

Passed where, in the mean over seeds: bits per byte at k = 4 are under 1.02 times those at k = 12 for `elastic` and over
1.10 times for `plain`; and the best policy by token on `elastic` is no worse than the same k for all, and costs under
.5 % more than k = 12 with at least 40 % of the experts saved. What is in `--out` already is not made again.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.shared import add, markdown, read_rows
from benchmarks.small_tokens import fit_small, retokenize, texts_of
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import read_json, write_bytes

VOCABULARY, LENGTH, SEQUENCES = 512, 128, 8
FULL_K, TARGET = 12, 6
KS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20)
# Kind, and the most and the fewest experts of a token.
POLICIES: Mapping[str, tuple[str, int, int]] = {
    "top_p": ("top_p", FULL_K, 1),
    "top_p 4-8": ("top_p", 8, 4),
    "top_p 5-7": ("top_p", 7, 5),
    "min_p": ("min_p", FULL_K, 1),
    "table": ("table", FULL_K, 1),
}
CURVE = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # values of top_p
MOMENTS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)  # of a training, at which its load is told
AROUND = 20  # steps that a moment is the mean of
ELASTIC_RATIO, PLAIN_RATIO, MORE_BITS, SAVED = 1.02, 1.10, 0.005, 0.40
LAYERS = (("sliding", 0, "moe"), ("sliding", 1, "moe"), ("full", 2, "moe"))
# What differs from `body`, by the name of the run.
RUNS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "plain": {"top_k": {"full_k_probability": 1.0}},
    "elastic": {},
    "losses": {"load_balancing": {"mode": "losses"}},
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokens", type=Path, required=True, help="a tokens dataset, whose text is trained on")
    parser.add_argument("--held-out", type=Path, required=True, help="a tokens dataset, whose text is measured on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1100, help=f"of `plain`, of {SEQUENCES * LENGTH} tokens each")
    add(parser, "--out", "--workers")


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.seeds < 1 or args.steps < 20:
        raise UsageError("--seeds must be at least 1, and --steps at least 20")
    with ExitStack() as stack:
        folder = args.out or Path(stack.enter_context(TemporaryDirectory()))
        make_data(args.tokens, args.held_out, folder / "data")
        jobs = [(name, seed) for name in RUNS for seed in range(args.seeds)]
        pool = stack.enter_context(ProcessPoolExecutor(args.workers, get_context("spawn")))
        results = list(pool.map(partial(measured, folder, args.steps), jobs))
    by_name = {name: [result for (run, _), result in zip(jobs, results) if run == name] for name in RUNS}
    found = {"seeds": args.seeds, "steps": args.steps, "runs": by_name, **bars(by_name)}
    if args.out:
        write_bytes(args.out / "elastic_experts.json", readable_json(found))
    return found


def make_data(tokens: Path, held_out: Path, folder: Path) -> None:
    """`tokens`, `calibration` and `test` in `folder`: the two last have every second document each."""
    if (folder / "test").exists():
        return
    table, texts = texts_of(tokens)
    fit_small(texts, VOCABULARY, folder / "small.model")
    retokenize(table, texts, folder / "small.model", folder / "tokens")
    table, texts = texts_of(held_out)
    for name, first in (("calibration", 0), ("test", 1)):
        rows = range(first, len(texts), 2)
        retokenize(table.take(list(rows)), [texts[i] for i in rows], folder / "small.model", folder / name)


# ------------------------------------------------------------------------------------------------------------ one run


def body(name: str, seed: int, steps: int) -> dict[str, Any]:
    """The configuration of a run, with as many steps as have the training FLOPs of `steps` steps at k = 12."""
    sections: dict[str, Any] = {
        "model": {
            **{"d_model": 64, "n_heads": 4, "n_kv_heads": 2, "head_dim": 16, "window": 16, "d_ff": 192},
            **{"n_experts": 80, "d_ff_expert": 16, "d_ff_shared": 16},
            "layers": [dict(zip(("attention", "kv_group", "ffn"), layer)) for layer in LAYERS],
        },
        "data": {"sequence_length": LENGTH, "global_batch_size": SEQUENCES, "seed": seed},
        "optimizer": {"learning_rate": 6e-3},
        "top_k": {"full_k": FULL_K, "min_k": 2, "full_k_probability": 0.5, **RUNS[name].get("top_k", {})},
        "load_balancing": {"bias_update_rate": 1e-2, **RUNS[name].get("load_balancing", {})},
        "run": {"seed": seed, "threads": 1, "checkpoint_interval_steps": 250},
    }
    total = round(steps * flops(sections, FULL_K) / flops(sections, mean_k(sections["top_k"])))
    decay = round(0.15 * total)
    sections["schedule"] = {"warmup_steps": min(50, total // 4), "trunk_steps": total - decay, "decay_steps": decay}
    return sections


def mean_k(top_k: Mapping[str, Any]) -> float:
    """Of training."""
    full = top_k["full_k_probability"]
    return float(full * top_k["full_k"] + (1 - full) * (top_k["min_k"] + top_k["full_k"]) / 2)


def flops(sections: Mapping[str, Any], k: float) -> float:
    """Training FLOPs of a token."""
    from trainer.config import LayerConfig, ModelConfig
    from trainer.formulas import training_flops

    layers = tuple(LayerConfig(**layer) for layer in sections["model"]["layers"])
    return training_flops(ModelConfig(**{**sections["model"], "layers": layers}), VOCABULARY, LENGTH, k)


def toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Values are JSON's, but for tables and lists."""

    def value(given: Any) -> str:
        if isinstance(given, dict):
            return "{ " + ", ".join(f"{name} = {value(each)}" for name, each in given.items()) + " }"
        return "[" + ", ".join(map(value, given)) + "]" if isinstance(given, list) else json.dumps(given)

    lines = [
        line
        for name, part in sections.items()
        for line in (f"[{name}]", *(f"{key} = {value(each)}" for key, each in part.items()))
    ]
    return "\n".join(lines) + "\n"


def measured(folder: Path, steps: int, job: tuple[str, int]) -> dict[str, Any]:
    """One run, trained and measured."""
    name, seed = job
    place, data = folder / f"{name}-{seed}", folder / "data"
    if not (place / "result.json").exists():
        run = trained(name, seed, steps, place, data / "tokens")
        result = {"seed": seed, "load": load_over_time(run), **curves(run, data / "test")}
        kinds = POLICIES if name == "elastic" else ()
        result["policies"] = {kind: calibrated(run, data, place, kind) for kind in kinds}
        write_bytes(place / "result.json", readable_json(result))
    return dict(read_json(place / "result.json"))


def trained(name: str, seed: int, steps: int, place: Path, tokens: Path) -> Path:
    """The folder of the run, trained to the end of its schedule."""
    from trainer.api import train

    sections = body(name, seed, steps)
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.toml").write_text(toml(sections))
    schedule = sections["schedule"]
    last = schedule["trunk_steps"] + schedule["decay_steps"]
    train(place / "config.toml", tokens, place / "run", last, device="cpu")
    return place / "run"


def load_over_time(run: Path) -> dict[str, list[float]]:
    """The largest load over the mean load, the mean over layers and some steps, at moments of the training: of the
    experts that were used, and of those that k = 12 chooses."""
    rows = list(read_rows(run / "log.jsonl"))
    found: dict[str, list[float]] = {"used": [], "k1": []}
    for moment in MOMENTS:
        end = max(AROUND, round(moment * len(rows)))
        near = rows[end - AROUND : end]
        found["used"].append(fmean(fmean(row["load_imbalance"]) for row in near))
        found["k1"].append(fmean(row["load_imbalance_by_k"][0] for row in near))
    return found


def curves(run: Path, test: Path) -> dict[str, Any]:
    """Bits per byte and load at each k, and mean k and bits per byte at each value of top_p."""
    from trainer.api import evaluate

    by_k = evaluate(run, test, KS, device="cpu")["by_k"]
    curve = [evaluate(run, test, policy=f"top_p={value}", device="cpu") for value in CURVE]
    return {
        "bits": {k: result["overall"] for k, result in by_k.items()},
        "load_by_k": {k: fmean(result["load_imbalance"]) for k, result in by_k.items()},
        "groups_by_k": {k: fmean(result["group_imbalance"]) for k, result in by_k.items()},
        "unused_by_k": {k: sum(result["unused_experts"]) for k, result in by_k.items()},
        "curve": [[answer["active_experts"], answer["overall"]] for answer in curve],
    }


def calibrated(run: Path, data: Path, place: Path, name: str) -> dict[str, Any]:
    """A policy, calibrated on one half of the held-out text and measured on the other."""
    from trainer.api import calibrate_experts, evaluate

    kind, most, fewest = POLICIES[name]
    file = place / f"{name.replace(' ', '-')}.json"
    made = calibrate_experts(run, data / "calibration", TARGET, file, kind, most, fewest, "cpu")  # type: ignore[arg-type]
    (result,) = evaluate(run, data / "test", policy=str(file), device="cpu")["by_k"].values()
    return {
        "values": made["values"] or made["table"],
        "calibration_bits": made["bits_per_byte"],
        "mean_k": result["active_experts"],
        "bits": result["overall"],
        "mean_k_by_domain": result["mean_k_by_domain"],
    }


# ------------------------------------------------------------------------------------------------------- all of them


def bars(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """What is passed or not, in the mean over seeds. The best policy by token has the fewest bits where it was
    calibrated."""
    ratios = {name: fmean(one["bits"]["4"] / one["bits"]["12"] for one in runs[name]) for name in ("plain", "elastic")}
    by_token = [[policy for kind, policy in one["policies"].items() if kind != "table"] for one in runs["elastic"]]
    best = [min(policies, key=lambda policy: policy["calibration_bits"]) for policies in by_token]
    pairs = list(zip(best, runs["elastic"], strict=True))
    numbers = {
        "elastic_ratio": ratios["elastic"],
        "plain_ratio": ratios["plain"],
        "over_fixed": fmean(policy["bits"] / at_k(one["bits"], policy["mean_k"]) - 1 for policy, one in pairs),
        "over_k12": fmean(policy["bits"] / one["bits"]["12"] - 1 for policy, one in pairs),
        "saved": fmean(1 - policy["mean_k"] / FULL_K for policy in best),
    }
    held = {
        f"elastic: k = 4 under {ELASTIC_RATIO} of k = 12": numbers["elastic_ratio"] < ELASTIC_RATIO,
        f"plain: k = 4 over {PLAIN_RATIO} of k = 12": numbers["plain_ratio"] > PLAIN_RATIO,
        "the best policy by token no worse than the same k for all": numbers["over_fixed"] <= 0.0,
        "40 % of experts saved for under .5 %": numbers["saved"] >= SAVED and numbers["over_k12"] < MORE_BITS,
    }
    return {"numbers": numbers, "bars": held, "passed": all(held.values())}


def at_k(bits: Mapping[str, float], k: float) -> float:
    """Bits per byte with `k` experts for every token, on a straight line between those that were measured."""
    known = sorted((int(each), value) for each, value in bits.items())
    (left, a), (right, b) = next(pair for pair in pairwise(known) if k <= pair[1][0])
    return a + (b - a) * (k - left) / (right - left)


def show(found: Mapping[str, Any]) -> Iterator[str]:
    runs = found["runs"]
    yield f"{found['seeds']} seeds, {found['steps']} steps of plain; mean (deviation over seeds)\n"
    yield from markdown(
        ["bits per byte at k", *KS], [[n, *(spread(r, "bits", k) for k in KS)] for n, r in runs.items()]
    )
    for what, values in (("largest load / mean load at k", "load_by_k"), ("the same of groups at k", "groups_by_k")):
        yield ""
        yield from markdown([what, *KS], [[n, *(spread(r, values, k, 2) for k in KS)] for n, r in runs.items()])
    yield ""
    rows = [
        [f"{name}, {what}", *(f"{fmean(one['load'][what][i] for one in each):.2f}" for i in range(len(MOMENTS)))]
        for name, each in runs.items()
        for what in ("used", "k1")
    ]
    yield from markdown(["load in training at", *(f"{moment:.0%}" for moment in MOMENTS)], rows)
    yield ""
    yield from policy_table(runs["elastic"])
    for name, each in runs.items():
        points = [[fmean(one["curve"][i][j] for one in each) for j in (0, 1)] for i in range(len(CURVE))]
        told = ", ".join(f"{k:.2f} {bits:.4f}" for k, bits in points)
        yield f"{name}, top_p from {CURVE[0]} to {CURVE[-1]}, mean k and bits: {told}"
    yield ""
    for bar, held in found["bars"].items():
        yield f"{'passed' if held else 'MISSED'}: {bar}"
    yield ", ".join(f"{name} {value:.4f}" for name, value in found["numbers"].items())


def spread(runs: Sequence[Mapping[str, Any]], what: str, k: int, digits: int = 4) -> str:
    values = [one[what][str(k)] for one in runs]
    return f"{fmean(values):.{digits}f}" + (f" ({stdev(values):.{digits}f})" if len(values) > 1 else "")


def policy_table(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What each policy takes on `elastic`, beside the same k for all."""
    domains = sorted(runs[0]["policies"]["top_p"]["mean_k_by_domain"])
    rows = []
    for kind in POLICIES:
        given = [(one["policies"][kind], one["bits"]) for one in runs]
        over = fmean(each["bits"] / at_k(bits, each["mean_k"]) - 1 for each, bits in given)
        full = fmean(each["bits"] / bits["12"] - 1 for each, bits in given)
        by_domain = [fmean(each["mean_k_by_domain"][domain] for each, _ in given) for domain in domains]
        mean, bits = (fmean(each[what] for each, _ in given) for what in ("mean_k", "bits"))
        rows.append(
            [kind, f"{mean:.2f}", f"{bits:.4f}", f"{over:+.2%}", f"{full:+.2%}", *(f"{k:.2f}" for k in by_domain)]
        )
    yield from markdown(["elastic", "mean k", "bits", "over fixed", "over k = 12", *domains], rows)
