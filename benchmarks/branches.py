"""Branches from a frozen trunk beside whole runs: the same ranking of five methods, at what cost.

    python -m benchmarks branches --tokens tokens --held-out held-out --out runs

A tiny model of the family (16 experts, 4 of them per token) is trained on the text of `--tokens` with a vocabulary of
512 for nine tenths of its steps, and frozen. Five methods, each another mixture of the sources, are branches of the
last tenth; beside them a control, a branch of another data seed, and merges of the trunk's checkpoints. All are
compared on documents of `--held-out`, from this mark of the trunk and from an earlier one. Then each method is trained
from the first step to the last, without a trunk.

Whether merges rank methods without training them is asked of four shapes of the decay: each is a branch, and a merge
with the weights of the same shape.

Passed where the ranks of the five methods as branches and as whole runs have a correlation of .8 or more, and the best
one is the same. What is in `--out` already is not made again.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.elastic_experts import toml
from benchmarks.shared import add, markdown
from benchmarks.small_tokens import fit_small, retokenize, texts_of
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import write_bytes

VOCABULARY, LENGTH, SEQUENCES = 512, 128, 8
TRUNK, EARLY = 0.9, 0.6  # shares of the steps
KEPT = 8  # checkpoints that merges average, over as many steps as a decay has
MOST_DOCUMENTS = 240  # held out, about
SPEARMAN = 0.8
LAYERS = (("sliding", 0, "dense"), ("sliding", 1, "moe"), ("full", 2, "moe"))
# Shares of the sources: the one that is named has this, the others what is left by their tokens.
HEAVY = 0.6
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "sqrt": {"type": "sqrt"},
    "linear": {"type": "linear"},
    "floor": {"type": "linear", "min_lr_factor": 0.3},
    "high floor": {"type": "linear", "min_lr_factor": 0.6},
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokens", type=Path, required=True, help="a tokens dataset, whose text is trained on")
    parser.add_argument("--held-out", type=Path, required=True, help="a tokens dataset, whose text is measured on")
    parser.add_argument("--steps", type=int, default=300, help=f"of a whole run, of {SEQUENCES * LENGTH} tokens each")
    parser.add_argument("--seed", type=int, default=0)
    add(parser, "--out", "--workers")


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.steps < 100 or args.steps % 10:
        raise UsageError("--steps must be a multiple of 10, and 100 or more")
    with ExitStack() as stack:
        folder = args.out or Path(stack.enter_context(TemporaryDirectory()))
        make_data(args.tokens, args.held_out, folder / "data")
        pool = stack.enter_context(ProcessPoolExecutor(args.workers, get_context("spawn")))
        methods = mixtures(folder / "data/tokens")
        # Whole runs and the trunk need nothing of each other.
        whole = pool.map(partial(whole_run, folder, args.steps, args.seed), methods.items())
        compared = pool.submit(grown, folder, args.steps, args.seed, methods).result()
        by_whole = dict(zip(methods, whole))
    found = answer_of(compared, by_whole) | {"steps": args.steps, "seed": args.seed, "methods": methods}
    if args.out:
        write_bytes(args.out / "branches.json", readable_json(found))
    return found


def make_data(tokens: Path, held_out: Path, folder: Path) -> None:
    """`tokens` and `held-out` in `folder`, with one small tokenizer."""
    if (folder / "held-out").exists():
        return
    table, texts = texts_of(tokens)
    fit_small(texts, VOCABULARY, folder / "small.model")
    retokenize(table, texts, folder / "small.model", folder / "tokens")
    table, texts = texts_of(held_out)
    some = list(range(0, len(texts), max(1, len(texts) // MOST_DOCUMENTS)))
    retokenize(table.take(some), [texts[i] for i in some], folder / "small.model", folder / "held-out")


def mixtures(tokens: Path) -> dict[str, dict[str, float]]:
    """The five methods: weights of the sources that are even, or heavy on one."""
    from trainer.data.tokens import TokenDataset

    sources = {each.name: float(each.tokens) for each in TokenDataset(tokens).documents.sources if each.tokens}
    if len(sources) < 2:
        raise UsageError("--tokens has one source: the methods are mixtures of several")
    total = sum(sources.values())
    largest = sorted(sources, key=lambda name: -sources[name])[:4]

    def heavy(name: str) -> dict[str, float]:
        rest = total - sources[name]
        return {each: HEAVY if each == name else (1 - HEAVY) * sources[each] / rest for each in sorted(sources)}

    return {"even": {each: 1 / len(sources) for each in sorted(sources)}} | {name: heavy(name) for name in largest}


def body(steps: int, seed: int) -> dict[str, Any]:
    """The configuration of a whole run, whose trunk ends where the branches begin."""
    trunk, early = round(TRUNK * steps), round(EARLY * steps)
    apart = max(1, (steps - trunk) // (KEPT - 1))
    marks = [early, *(trunk - apart * i for i in range(KEPT - 1, 0, -1))]
    return {
        "model": {
            **{"d_model": 32, "n_heads": 4, "n_kv_heads": 2, "head_dim": 8, "window": 16, "d_ff": 96},
            **{"n_experts": 16, "d_ff_expert": 16, "d_ff_shared": 16},
            "layers": [dict(zip(("attention", "kv_group", "ffn"), layer)) for layer in LAYERS],
        },
        "top_k": {"full_k": 4, "min_k": 2},
        "data": {"sequence_length": LENGTH, "global_batch_size": SEQUENCES, "seed": seed},
        "schedule": {"warmup_steps": steps // 20, "trunk_steps": trunk, "decay_steps": steps - trunk},
        "optimizer": {"learning_rate": 6e-3},
        "load_balancing": {"bias_update_rate": 1e-2},
        "run": {"seed": seed, "threads": 1, "checkpoint_interval_steps": 10 * steps, "checkpoint_marks": marks},
    }


def trained(folder: Path, sections: Mapping[str, Any], tokens: Path, last: int) -> Path:
    """The folder of a run, trained to the step `last`."""
    from trainer.api import train

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(toml(sections))
    train(folder / "config.toml", tokens, folder / "run", last, device="cpu")
    return folder / "run"


def whole_run(folder: Path, steps: int, seed: int, method: tuple[str, Mapping[str, float]]) -> float:
    """Bits per byte of a method that is trained from the first step on."""
    from trainer.api import evaluate

    name, weights = method
    sections = body(steps, seed)
    sections["data"]["mixture"] = [{"from_step": 0, "weights": dict(weights)}]
    run = trained(folder / "whole" / name, sections, folder / "data/tokens", steps)
    return float(evaluate(run, folder / "data/held-out", device="cpu")["overall"])


def grown(folder: Path, steps: int, seed: int, methods: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """The comparison of all branches from the trunk's end, with that from its earlier mark."""
    from trainer.api import compare_branches, freeze, grow_branches

    data = folder / "data/tokens"
    run = trained(folder / "trunk", body(steps, seed), data, round(TRUNK * steps))
    freeze(run, folder / "frozen")
    early = run / "checkpoints" / f"step-{round(EARLY * steps):08d}"
    decay = {"steps": steps - round(TRUNK * steps)}
    files = {"branches": (folder / "frozen", shapes(seed)), "early": (early, {})}
    for name, (trunk, more) in files.items():
        table: dict[str, Any] = {each: {"mixture": dict(weights)} for each, weights in methods.items()}
        (folder / f"{name}.toml").write_text(branch_toml(decay, table | more))
        grow_branches(trunk, folder / f"{name}.toml", data, folder / name, device="cpu")
    return compare_branches(folder / "branches", folder / "data/held-out", folder / "early", device="cpu")


def shapes(seed: int) -> dict[str, dict[str, Any]]:
    """Another seed of the data, four shapes of the decay but for the control's, and a merge of each."""
    found: dict[str, dict[str, Any]] = {"seed": {"data_seed": seed + 1}}
    for name, shape in SHAPES.items():
        place = name.replace(" ", "-")
        if name != "sqrt":  # the control's
            found[f"decay-{place}"] = {"decay": dict(shape)}
        found[f"merge-{place}"] = {"merge": {"method": "decay", "last": KEPT, **shape}}
    return found


def branch_toml(decay: Mapping[str, Any], branches: Mapping[str, Mapping[str, Any]]) -> str:
    tables = {"all": {"decay": dict(decay)}} | {f"branches.{name}": each for name, each in branches.items()}
    return 'run = "trunk/run"\n' + toml(tables)


def answer_of(compared: Mapping[str, Any], whole: Mapping[str, float]) -> dict[str, Any]:
    """What the comparison says, beside the whole runs."""
    from numpy import array

    from trainer.branches.paired import spearman

    rows = compared["branches"]
    branches = {name: float(rows[name]["bits_per_byte"]) for name in whole}
    early = {name: float(compared["second"]["bits_per_byte"][name]) for name in whole}
    places = {name: name.replace(" ", "-") for name in SHAPES}
    control = float(compared["control"]["bits_per_byte"])
    decays = [
        control if name == "sqrt" else float(rows[f"decay-{place}"]["bits_per_byte"]) for name, place in places.items()
    ]
    merges = [float(rows[f"merge-{place}"]["bits_per_byte"]) for place in places.values()]

    def ranks(first: Sequence[float], second: Sequence[float]) -> float | None:
        return spearman(array(first), array(second))

    agreed = ranks([*branches.values()], [*whole.values()])
    best = min(branches, key=branches.__getitem__), min(whole, key=whole.__getitem__)
    bars = {
        f"rank correlation of branches and whole runs {SPEARMAN} or more": agreed is not None and agreed >= SPEARMAN,
        "the best method agrees": best[0] == best[1],
    }
    return {
        "compared": compared,
        "branches": branches,
        "whole": dict(whole),
        "early": early,
        "spearman": agreed,
        "spearman_early": ranks([*early.values()], [*whole.values()]),
        "decays": dict(zip(SHAPES, decays)),
        "merges": dict(zip(SHAPES, merges)),
        "spearman_of_merges": ranks(merges, decays),
        "bars": bars,
        "passed": all(bars.values()),
    }


def show(found: Mapping[str, Any]) -> Iterator[str]:
    compared = found["compared"]
    rows = compared["branches"]
    cost = compared["cost"]
    yield f"{found['steps']} steps a whole run; bits per byte on {compared['documents']:,} held-out documents\n"
    yield from markdown(
        ["method", "branch", "from an earlier mark", "whole run", "against the control", "verdict"],
        [
            [name, *(f"{found[what][name]:.4f}" for what in ("branches", "early", "whole")), *told(rows[name])]
            for name in sorted(found["whole"], key=found["whole"].__getitem__)
        ],
    )
    yield ""
    others = [name for name in compared["ranking"] if name in rows and name not in found["whole"]]
    yield from markdown(
        ["branch", "bits per byte", "against the control", "verdict"],
        [[name, f"{rows[name]['bits_per_byte']:.4f}", *told(rows[name])] for name in others],
    )
    yield f"\ncontrol {compared['control']['bits_per_byte']:.4f}; another seed changes {compared['noise_of_seeds']:.4f}"
    yield f"rank correlation with whole runs: {found['spearman']}, from the earlier mark {found['spearman_early']}"
    yield f"rank correlation of merges and decays of one shape: {found['spearman_of_merges']}"
    yield f"cost: {cost['runs']:.2f} runs in place of {cost['runs_without_trunk']}"
    yield f"pairs that the earlier mark flips: {compared['second']['flipped_pairs']}"
    for bar, held in found["bars"].items():
        yield f"{'passed' if held else 'MISSED'}: {bar}"


def told(row: Mapping[str, Any]) -> list[str]:
    return [f"{row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})", row["verdict"]]
