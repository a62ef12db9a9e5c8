"""Branches from a frozen trunk beside whole runs: the same ranking of five methods, at what cost, and how sure that is.

    python -m benchmarks branches --tokens tokens --held-out held-out --out runs --workers 2

A tiny model of the family (16 experts, 4 of them per token) is trained on the text of `--tokens` with a vocabulary of
512 for nine tenths of its steps, and frozen. Five methods that a user would weigh for the last tenth are its branches:
going on as it is (the control), a mixture of equal shares, one with most of the smallest source, no decay of the rate,
and a quarter of the window of sliding layers. Each method is also trained from the first step to the last, without a
trunk, from other seeds: with the trunk's, going on as it is would be the same run. Both are measured on documents of
`--held-out`, all of them and those of each source: which method is best depends on the text that a user cares for.

`--seeds` trunks, and as many whole runs of each method, tell the noise: documents and seeds are drawn again
(`branch_ranks.py`), and where branches or whole runs do not rank themselves alike, the answer is undecided.

From the first trunk there are also branches of another data seed and of three more shapes of the decay, merges of
checkpoints by the same shapes (whether merges rank decays without training them), and the five methods from an earlier
mark (whether their ranking flips).

Passed where, on all of the text, the ranks of the five methods as branches and as whole runs have a correlation of .8
or more, and the best one is the same; for the text of a source the same is shown. What is in `--out` already is not
trained again.
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

import numpy as np
import pyarrow.parquet as pq

from benchmarks.branch_ranks import agreement, bars_of, passed, targets
from benchmarks.elastic_experts import toml
from benchmarks.shared import add, markdown
from benchmarks.small_tokens import TABLE, fit_small, retokenize, texts_of
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import write_bytes
from trainer.branches.paired import Floats

VOCABULARY, LENGTH, SEQUENCES = 512, 128, 8
TRUNK, EARLY = 0.9, 0.6  # shares of the steps
KEPT = 8  # checkpoints that merges average, over as many steps as a decay has
MOST_DOCUMENTS = 240  # held out, about
LAYERS = (("sliding", 0, "dense"), ("sliding", 1, "moe"), ("full", 2, "moe"))
# The share of the smallest source where it is most; the others have what is left, by their tokens.
HEAVY = 0.6
AS_IS, NARROW = "as it is", 4  # tokens of a window, of 16
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
    parser.add_argument("--seeds", type=int, default=3, help="trunks, and whole runs of each method")
    add(parser, "--out", "--workers")


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.steps < 100 or args.steps % 10 or args.seeds < 1:
        raise UsageError("--steps must be a multiple of 10, and 100 or more; --seeds 1 or more")
    with ExitStack() as stack:
        folder = args.out or Path(stack.enter_context(TemporaryDirectory()))
        make_data(args.tokens, args.held_out, folder / "data")
        pool = stack.enter_context(ProcessPoolExecutor(args.workers, get_context("spawn")))
        methods = methods_of(folder / "data/tokens", sources_of(folder / "data/held-out"))
        trunks = [pool.submit(grown, folder, args.steps, seed, methods) for seed in range(args.seeds)]
        jobs = [(args.seeds + seed, name) for seed in range(args.seeds) for name in methods]
        whole = list(pool.map(partial(whole_run, folder, args.steps, methods), jobs))
        branches = [each.result() for each in trunks]
        compared = pool.submit(first_compared, folder).result()
    found = ranked(folder / "data/held-out", [*methods], branches, whole) | more_of(compared, [*methods])
    found |= {"steps": args.steps, "seeds": args.seeds, "methods": methods, "compared": compared}
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


def sources_of(dataset: Path) -> list[str]:
    """The source of each document."""
    return [str(name) for name in pq.read_table(dataset / TABLE, columns=["source"])["source"].to_pylist()]


def methods_of(tokens: Path, held_out: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The five methods: what each overrides of going on as it is, which is the first."""
    from trainer.data.tokens import TokenDataset

    sources = {each.name: float(each.tokens) for each in TokenDataset(tokens).documents.sources if each.tokens}
    if len(sources) < 2:
        raise UsageError("--tokens has one source: two of the methods are mixtures of several")
    measured = [name for name in sources if name in set(held_out)] or [*sources]
    smallest = min(measured, key=lambda name: (sources[name], name))
    rest = sum(sources.values()) - sources[smallest]
    heavy = {each: HEAVY if each == smallest else (1 - HEAVY) * sources[each] / rest for each in sorted(sources)}
    return {
        AS_IS: {},
        "equal shares": {"mixture": {each: 1 / len(sources) for each in sorted(sources)}},
        f"mostly {smallest}": {"mixture": heavy},
        "no decay": {"decay": {"min_lr_factor": 1.0}},
        "narrow window": {"window": NARROW},
    }


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


def whole_run(folder: Path, steps: int, methods: Mapping[str, Mapping[str, Any]], job: tuple[int, str]) -> Floats:
    """Bits of each held-out document, (documents,), of a method that is trained from the first step on."""
    from trainer.branches.overrides import TABLES, VALUES

    seed, name = job
    sections = body(steps, seed)
    for override, values in methods[name].items():
        if override == "mixture":
            sections["data"]["mixture"] = [{"from_step": 0, "weights": dict(values)}]
        elif override in VALUES:
            section, field = VALUES[override]
            sections[section][field] = values
        else:
            section, names = TABLES[override]
            sections[section] |= {names[field]: value for field, value in values.items()}
    run = trained(folder / f"seed-{seed}" / file_name(name), sections, folder / "data/tokens", steps)
    return bits_of(run, folder / "data/held-out")


def grown(folder: Path, steps: int, seed: int, methods: Mapping[str, Mapping[str, Any]]) -> Floats:
    """Bits of each method as a branch, (methods, documents). From the first trunk there are more branches, and those of
    an earlier mark."""
    from trainer.api import freeze, grow_branches
    from trainer.branches.branch_file import CONTROL

    data, base = folder / "data/tokens", folder / f"seed-{seed}"
    run = trained(base / "trunk", body(steps, seed), data, round(TRUNK * steps))
    freeze(run, base / "frozen")
    early = run / "checkpoints" / f"step-{round(EARLY * steps):08d}"
    files = {"branches": (base / "frozen", {} if seed else shapes(seed))} | ({} if seed else {"early": (early, {})})
    for name, (trunk, more) in files.items():
        table: dict[str, Any] = {file_name(each): own for each, own in methods.items() if each != AS_IS}
        (base / f"{name}.toml").write_text(branch_toml({"steps": steps - round(TRUNK * steps)}, table | more))
        grow_branches(trunk, base / f"{name}.toml", data, base / name, device="cpu")
    places = [CONTROL if name == AS_IS else file_name(name) for name in methods]
    return np.stack([bits_of(base / "branches" / place, folder / "data/held-out") for place in places])


def file_name(name: str) -> str:
    return name.replace(" ", "-")


def bits_of(run: Path, held_out: Path) -> Floats:
    """Bits of each held-out document under the latest checkpoint of a run, (documents,)."""
    from trainer.branches.compare import document_bits
    from trainer.checkpoint import read_checkpoint
    from trainer.evaluate import open_dataset
    from trainer.run_files import find_checkpoint

    checkpoint = read_checkpoint(find_checkpoint(run))
    return document_bits(checkpoint, open_dataset(checkpoint, held_out), None, "cpu")


def first_compared(folder: Path) -> dict[str, Any]:
    """The comparison of the first trunk's branches, with those of its earlier mark."""
    from trainer.api import compare_branches

    base = folder / "seed-0"
    return compare_branches(base / "branches", folder / "data/held-out", base / "early", device="cpu")


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


def ranked(held_out: Path, names: Sequence[str], branches: Sequence[Floats], whole: Sequence[Floats]) -> dict[str, Any]:
    """The agreement on each text, and the bars. `branches`: (methods, documents) of each seed; `whole`: (documents,) of
    each seed and method."""
    table = pq.read_table(held_out / TABLE, columns=["bytes"])
    bytes_N = np.array(table["bytes"].to_pylist(), np.float64)
    branches_SMN, whole_SMN = np.stack(branches), np.stack(whole).reshape(-1, len(names), bytes_N.size)
    found = {
        target: agreement(branches_SMN[:, :, some], whole_SMN[:, :, some], bytes_N[some], names)
        for target, some in targets(sources_of(held_out)).items()
        if some.sum() > 1
    }
    bars = bars_of(found)
    return {"targets": found, "bars": bars, "passed": passed(bars)}


def more_of(compared: Mapping[str, Any], methods: Sequence[str]) -> dict[str, Any]:
    """What the first trunk tells beside: an earlier mark, and merges beside decays of one shape."""
    from trainer.branches.branch_file import CONTROL
    from trainer.branches.paired import spearman

    rows, second = compared["branches"], compared["second"]["bits_per_byte"]
    control = float(compared["control"]["bits_per_byte"])
    places = [CONTROL if name == AS_IS else file_name(name) for name in methods]
    late = [control if place == CONTROL else float(rows[place]["bits_per_byte"]) for place in places]
    early = [float(second[place]) for place in places]
    decays = [
        control if name == "sqrt" else float(rows[f"decay-{file_name(name)}"]["bits_per_byte"]) for name in SHAPES
    ]
    merges = [float(rows[f"merge-{file_name(name)}"]["bits_per_byte"]) for name in SHAPES]
    return {
        "early": dict(zip(methods, early)),
        "spearman_early": spearman(np.array(early), np.array(late)),
        "decays": dict(zip(SHAPES, decays)),
        "merges": dict(zip(SHAPES, merges)),
        "spearman_of_merges": spearman(np.array(merges), np.array(decays)),
    }


def show(found: Mapping[str, Any]) -> Iterator[str]:
    compared, cost = found["compared"], found["compared"]["cost"]
    yield f"{found['steps']} steps a whole run, {found['seeds']} seeds; bits per byte, means over seeds\n"
    for target, each in found["targets"].items():
        yield from agreement_text(target, each)
    yield f"the first trunk, {compared['documents']:,} documents; from an earlier mark: " + ", ".join(
        f"{name} {value:.4f}" for name, value in found["early"].items()
    )
    rows = compared["branches"]
    yield from markdown(
        ["branch", "bits per byte", "against the control", "verdict"],
        [
            [name, f"{rows[name]['bits_per_byte']:.4f}", *told(rows[name])]
            for name in compared["ranking"]
            if name in rows
        ],
    )
    yield f"\ncontrol {compared['control']['bits_per_byte']:.4f}; another seed changes {compared['noise_of_seeds']:.4f}"
    yield f"rank correlation of the two marks: {found['spearman_early']}"
    yield f"rank correlation of merges and decays of one shape: {found['spearman_of_merges']}"
    yield f"cost: {cost['runs']:.2f} runs in place of {cost['runs_without_trunk']}"
    for bar, held in found["bars"].items():
        yield f"{'UNDECIDED' if held is None else 'passed' if held else 'MISSED'}: {bar}"


def agreement_text(target: str, each: Mapping[str, Any]) -> Iterator[str]:
    first = next(iter(each["whole"]))
    yield from markdown(
        [f"text: {target}", "branch", f"against {first}", "whole run", f"against {first}"],
        [
            [name, *(text for kind in ("branches", "whole") for text in against(each[kind], name, first))]
            for name in sorted(each["whole"], key=each["whole"].__getitem__)
        ],
    )
    low, high = each["spearman_interval"]
    yield f"rank correlation {each['spearman']:.2f} ({low:.2f} to {high:.2f} of resamples 80 %); .8 or more in "
    yield f"{each['spearman_above']:.0%} of them, the best is the same in {each['best_above']:.0%}"
    shares = ", ".join(f"{kind} {share:.0%}" for kind, share in each["told_share"].items())
    yield f"resamples that rank as all do (.8 or more): {shares}"
    pairs = each["pairs"]
    yield f"pairs: {pairs['same']} in the same order, {pairs['opposite']} opposite, {pairs['undecided']} undecided\n"


def against(bits: Mapping[str, float], name: str, first: str) -> tuple[str, str]:
    return f"{bits[name]:.4f}", f"{bits[name] - bits[first]:+.4f}"


def told(row: Mapping[str, Any]) -> list[str]:
    return [f"{row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})", row["verdict"]]
