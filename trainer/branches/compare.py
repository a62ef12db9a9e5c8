"""Compares the branches of one trunk on held-out text: a ranking, a verdict for each, and what the comparison cost.

Every branch is set against the control, document by document (`paired.py`). The intervals of all branches hold at once
with 95 % (Bonferroni). A branch is `better` or `worse` when its interval is on one side of zero, and beyond what
another data seed alone changes, if the file has such a branch; else `undecided`, with how much more held-out text would
decide it, were the difference to stay. Text narrows an interval as the root of its size; what another seed changes
it does not narrow.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import read_json, write_bytes
from trainer.branches.branch_file import CONTROL
from trainer.branches.grow import BRANCHES
from trainer.branches.grow import FORMAT as BRANCHES_FORMAT
from trainer.branches.paired import Flags, Floats, PairedDifferences, paired_differences, spearman
from trainer.checkpoint import Checkpoint, read_checkpoint
from trainer.data.tokens import TokenDataset
from trainer.device import choose_device, reproducible
from trainer.evaluate import EQ, IQ, measure, open_dataset, was_trained_on
from trainer.formulas import expected_k, training_flops
from trainer.policies import KPolicy, check_policy
from trainer.run_files import checkpoints_of

FORMAT = "refinery.comparison-of-branches/1"
COMPARISON = "branch-comparison.json"
LEVEL = 0.95
SEED_ALONE = {"data_seed"}


class BranchSet(NamedTuple):
    """The branches below a folder, at the end of their training. The control is the first."""

    record: Mapping[str, Any]
    checkpoints: Mapping[str, Checkpoint]


def compare_branches(
    folder: Path, data: Path, second: Path | None = None, k: int | None = None, device: str = "auto"
) -> dict[str, Any]:
    """Compare the branches in `folder`, which `grow_branches` made, on the held-out tokens dataset `data`.

    `second`: branches of the same file from another mark of the trunk; the answer says whether the ranking flips. `k`:
    experts per token, else each model's `top_k.full_k`. Writes the answer to `branch-comparison.json` in `folder`.
    UsageError for a folder without branches, one that is not trained to its end, and a dataset with another tokenizer.
    """
    answer = compared(read_branches(folder), data, k, device)
    if second is not None:
        answer["second"] = _flips(answer, compared(read_branches(second), data, k, device))
    write_bytes(folder / COMPARISON, readable_json(answer))
    return answer


def read_branches(folder: Path) -> BranchSet:
    """UsageError for a folder that has no branches, or one of them that is not of the trunk or not at its end."""
    record = read_json(folder / BRANCHES)
    if not isinstance(record, Mapping) or record.get("format") != BRANCHES_FORMAT:
        raise UsageError(f"{folder} has no {BRANCHES}: give the --out of `refinery branch --config`")
    found = {}
    for name, row in record["branches"].items():
        steps = checkpoints_of(folder / name)
        if not steps:
            raise UsageError(f"branch {name!r} in {folder} has no checkpoint: run `refinery branch --config` again")
        checkpoint = found[name] = read_checkpoint(steps[-1])
        if checkpoint.header["lineage"].get("trunk") != record["trunk"]:
            raise UsageError(f"branch {name!r} in {folder} is of another trunk than the others")
        trained = checkpoint.header["state"]["tokens"] - record["tokens"]
        if trained != row["tokens"]:
            raise UsageError(
                f"branch {name!r} in {folder} has trained {trained:,} of {row['tokens']:,} tokens: run "
                "`refinery branch --config` again to go on"
            )
    ordered = sorted(found, key=lambda name: name != CONTROL)
    return BranchSet(record, {name: found[name] for name in ordered})


def compared(branches: BranchSet, data: Path, k: int | None, device: str) -> dict[str, Any]:
    """The answer for one mark of the trunk."""
    dataset = open_dataset(branches.checkpoints[CONTROL], data)
    bits = {name: document_bits(each, dataset, k, device) for name, each in branches.checkpoints.items()}
    groups = document_groups(dataset)
    names = [name for name in bits if name != CONTROL]
    bytes_N = dataset.documents.bytes.astype(np.float64)
    level = 1 - (1 - LEVEL) / max(1, len(names))
    flags_GN = np.array(list(groups.values()))
    found = paired_differences(
        np.array([bits[name] for name in names]).reshape(len(names), -1), bits[CONTROL], bytes_N, flags_GN, level
    )
    record = branches.record
    noise = _noise_of_seeds(record, names, found)
    total = {name: float(each.sum() / bytes_N.sum()) for name, each in bits.items()}
    rows = {name: {"bits_per_byte": total[name], **_row(i, groups, found, noise)} for i, name in enumerate(names)}
    tokens = int(dataset.documents.lengths.sum(dtype=np.int64))
    for row in rows.values():
        row["more_held_out_tokens"] = _more(row, tokens, noise)
    return {
        "format": FORMAT,
        "trunk": record["trunk"],
        "step": record["step"],
        "data": dataset.ref.manifest_sha256,
        "trained_on": any(was_trained_on(each, dataset) for each in branches.checkpoints.values()),
        "documents": len(dataset.documents),
        "held_out_tokens": tokens,
        "level": LEVEL,
        "noise_of_seeds": noise,
        "control": {"bits_per_byte": total[CONTROL]},
        "branches": rows,
        "ranking": sorted(total, key=lambda name: (total[name], name)),
        "cost": cost(branches),
    }


def document_bits(checkpoint: Checkpoint, dataset: TokenDataset, k: int | None, device: str) -> Floats:
    """Bits of each held-out document, shape (documents,)."""
    config, place = checkpoint.config, choose_device(device)
    policy = check_policy(KPolicy(k or config.top_k.full_k), config.model.n_experts, config.model.n_moe_layers)
    with reproducible(config.run.threads, place):
        return measure(checkpoint.model(place), dataset, config.data.sequence_length, policy).bits


def document_groups(dataset: TokenDataset) -> dict[str, Flags]:
    """Which documents are of all, of IQ and EQ, and of each domain: shape (documents,) each."""
    table = dataset.documents
    names = np.array(table.domain_names)[table.domain_codes]
    groups = {"overall": np.ones(len(names), np.bool_), "iq": np.isin(names, IQ), "eq": np.isin(names, EQ)}
    return groups | {name: names == name for name in sorted(table.domain_names)}


def _row(i: int, groups: Mapping[str, Flags], found: PairedDifferences, noise: float) -> dict[str, Any]:
    """The differences of the branch number `i`, and its verdict."""
    spans = [
        {name: None if math.isnan(value) else value for name, value in zip(("difference", "low", "high"), three)}
        for three in zip(*(part[i].tolist() for part in found))
    ]
    overall, *others = spans
    verdict = "undecided"
    if overall["high"] is not None and overall["low"] is not None:
        verdict = "better" if overall["high"] < -noise else "worse" if overall["low"] > noise else "undecided"
    by_group = {name: span for name, span in zip([*groups][1:], others) if span["difference"] is not None}
    return {**overall, "verdict": verdict, "by_group": by_group}


def _noise_of_seeds(record: Mapping[str, Any], names: Sequence[str], found: PairedDifferences) -> float:
    """The largest difference of a branch that has another data seed and nothing else; 0 where there is none."""
    overrides = [record["branches"][name]["overrides"] for name in names]
    control = record["branches"][CONTROL]["overrides"]
    seeds = [i for i, each in enumerate(overrides) if {k for k in each if each[k] != control.get(k)} == SEED_ALONE]
    return float(np.abs(found.difference[seeds, 0]).max()) if seeds else 0.0


def _more(row: Mapping[str, Any], tokens: int, noise: float) -> int | None:
    """How many more held-out tokens would decide; 0 for what is decided, None where no number would."""
    if row["verdict"] != "undecided":
        return 0
    beyond = float(abs(row["difference"] or 0.0)) - noise
    if beyond <= 0 or row["low"] is None:
        return None
    half = float(row["high"] - row["low"]) / 2
    return max(0, math.ceil(tokens * ((half / beyond) ** 2 - 1)))


def cost(branches: BranchSet) -> dict[str, Any]:
    """What was trained, and what as many whole runs would have been: in tokens, in runs of the control's length, and in
    FLOPs, which differ where a branch has another model or k."""
    record = branches.record
    trunk = int(record["tokens"])
    tokens = {name: int(row["tokens"]) for name, row in record["branches"].items()}
    flops = {name: tokens[name] * _flops_of_token(each) for name, each in branches.checkpoints.items()}
    trained = [name for name, count in tokens.items() if count]
    run = trunk + tokens[CONTROL]
    total = trunk + sum(tokens.values())
    trunk_flops = trunk * _flops_of_token(branches.checkpoints[CONTROL])
    return {
        "trunk_tokens": trunk,
        "branch_tokens": tokens,
        "tokens": total,
        "runs": total / run,
        "runs_without_trunk": len(trained),
        "tokens_without_trunk": sum(trunk + tokens[name] for name in trained),
        "flops": trunk_flops + sum(flops.values()),
        "branch_flops": flops,
    }


def _flops_of_token(checkpoint: Checkpoint) -> float:
    config = checkpoint.config
    return training_flops(
        config.model, checkpoint.data.vocab_size, config.data.sequence_length, expected_k(config.top_k)
    )


def _flips(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the ranking of two marks of the trunk is the same, of the branches that both have."""
    names = [name for name in first["ranking"] if name in second["ranking"]]
    pairs = [
        [a, b]
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if second["ranking"].index(a) > second["ranking"].index(b)
    ]
    bits = [[_bits(answer, name) for name in names] for answer in (first, second)]
    methods = [name for name in names if name != CONTROL]
    verdicts = {name: [answer["branches"][name]["verdict"] for answer in (first, second)] for name in methods}
    kept = [name for name in second["ranking"] if name in names]
    return {
        "step": second["step"],
        "trunk": second["trunk"],
        "ranking": kept,
        "bits_per_byte": dict(zip(names, bits[1])),
        "spearman": spearman(*map(np.array, bits)),
        "best_agrees": names[0] == kept[0],
        "flipped_pairs": pairs,
        "verdicts": verdicts,
        "flipped_verdicts": sorted(name for name, (a, b) in verdicts.items() if {a, b} == {"better", "worse"}),
    }


def _bits(answer: Mapping[str, Any], name: str) -> float:
    row = answer["control"] if name == CONTROL else answer["branches"][name]
    return float(row["bits_per_byte"])
