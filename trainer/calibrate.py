"""Calibration: the policy that uses a given mean number of experts per token, found on held-out text.

`top_p` and `min_p`: a value for each MoE layer, in which it uses that mean, by bisection in all layers at once; mean k
grows with the one and falls with the other. One value for all layers would give some more experts than others, which
costs more than tokens gain by it (docs/trainer.md). `table`: a k for each
MoE layer. How much the bits per byte change with the k of one layer is measured, the others at the mean, and the table
is the one with the smallest sum of these changes (LExI, 2509.02753, does it without data). Where this is worse than the
same k in all layers, the latter is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.errors import UsageError
from trainer.checkpoint import latest_checkpoint
from trainer.device import choose_device, reproducible
from trainer.evaluate import evaluate_at, open_dataset
from trainer.policies import KPolicy, PolicyKind, check_policy
from trainer.policy_file import FORMAT, CalibratedPolicy, check_place

PASSES = 14  # of a bisection: the value is then known to 2^-14
TOLERANCE = 0.005  # of the target: a bisection that is as near ends
NEAR = 0.05  # of the target: what is not as near is an error
STEPS_OF_K = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # at which a layer is measured

# A result of `evaluate.evaluate_at`, and what gives it for a policy.
Result = Mapping[str, Any]
Measure = Callable[[KPolicy], Result]
# Called after every pass over the data with the policy and its result.
OnPass = Callable[[KPolicy, Result], None]


def calibrate_experts(
    checkpoint: Path,
    data: Path,
    mean_k: float,
    out: Path,
    policy: PolicyKind = "top_p",
    k: int | None = None,
    minimum: int = 1,
    device: str = "auto",
    on_pass: OnPass | None = None,
) -> dict[str, Any]:
    """Find the policy of kind `policy` that uses `mean_k` experts per token of the tokens dataset `data`, the mean over
    tokens and MoE layers, and write it to the file `out`.

    `k`: the most experts of a token (default `top_k.full_k`); `minimum`: the fewest. Returns what the file has
    (`policy_file.CalibratedPolicy`). UsageError for a mean that is out of reach, or what `evaluate` refuses.
    """
    read = latest_checkpoint(checkpoint)
    config, place = read.config, choose_device(device)
    most, layers = k or config.top_k.full_k, config.model.n_moe_layers
    check_policy(KPolicy(most, minimum=minimum), config.model.n_experts, layers)
    if policy == "fixed" or not layers:
        raise UsageError("there is nothing to calibrate: choose top_p, min_p or table, and a model with MoE layers")
    if not minimum <= mean_k <= most:
        raise UsageError(f"a mean of {mean_k} experts is out of reach: it may be {minimum} to {most} (see --k)")
    dataset = open_dataset(read, data)
    check_place(out)
    with reproducible(config.run.threads, place):
        model = read.model(place)

        def measure(each: KPolicy) -> Result:
            result = evaluate_at(model, dataset, config.data.sequence_length, each)
            if on_pass is not None:
                on_pass(each, result)
            return result

        if policy == "table":
            found, result = calibrated_table(measure, mean_k, most, minimum, layers)
        else:
            found, result = calibrated_values(measure, mean_k, KPolicy(most, policy, 1.0, minimum), layers)
        with_all = measure(KPolicy(most))
    made = CalibratedPolicy(
        format=FORMAT,
        policy=found.kind,
        k=found.k,
        value=found.value,
        minimum=found.minimum,
        table=found.table,
        values=found.values,
        checkpoint=read.sha256,
        data=dataset.ref.manifest_sha256,
        target_mean_k=mean_k,
        mean_k=result["active_experts"],
        bits_per_byte=result["overall"],
        mean_k_by_layer=tuple(result["mean_k_by_layer"]),
        mean_k_by_domain=result["mean_k_by_domain"],
        bits_per_byte_at_k=with_all["overall"],
    )
    made.write(out)
    return made.as_dict()


def calibrated_values(measure: Measure, mean_k: float, policy: KPolicy, layers: int) -> tuple[KPolicy, Result]:
    """`policy` with the value of each layer in which its mean k is the nearest, and the result. UsageError where the
    mean over layers is not near."""
    low, high = [0.0] * layers, [1.0] * layers
    best: tuple[float, KPolicy, Result] | None = None
    for _ in range(PASSES):
        values = [(a + b) / 2 for a, b in zip(low, high)]
        tried = KPolicy(policy.k, policy.kind, 0.0, policy.minimum, values=tuple(values))
        result = measure(tried)
        off = [k - mean_k for k in result["mean_k_by_layer"]]
        worst = max(map(abs, off))
        if best is None or worst < best[0]:
            best = worst, tried, result
        if worst <= TOLERANCE * mean_k:
            break
        for layer, value in enumerate(values):
            if (off[layer] < 0) == (policy.kind == "top_p"):
                low[layer] = value
            else:
                high[layer] = value
    assert best is not None
    reached = best[2]["active_experts"]
    if abs(reached - mean_k) > NEAR * mean_k:
        raise UsageError(
            f"{policy.kind} does not reach a mean of {mean_k} experts: the nearest is {reached:.2f}; "
            "choose another mean, or another policy"
        )
    return best[1], best[2]


def calibrated_table(measure: Measure, mean_k: float, most: int, minimum: int, layers: int) -> tuple[KPolicy, Result]:
    """The table whose mean is the nearest to `mean_k`, and its result."""
    total = round(mean_k * layers)
    even = [total // layers + (layer < total % layers) for layer in range(layers)]
    steps = sorted({minimum, most, *(k for k in STEPS_OF_K if minimum < k < most)})
    at_even = measure(of_table(even))
    bits: list[dict[int, float]] = []
    for layer in range(layers):
        measured = {even[layer]: float(at_even["overall"])}
        for k in steps:
            if k != even[layer]:
                measured[k] = float(measure(of_table([*even[:layer], k, *even[layer + 1 :]]))["overall"])
        bits.append(measured)
    table = cheapest_table([between(each, minimum, most) for each in bits], minimum, total)
    result = measure(of_table(table)) if table != even else at_even
    return (of_table(table), result) if result["overall"] <= at_even["overall"] else (of_table(even), at_even)


def of_table(table: Sequence[int]) -> KPolicy:
    return KPolicy(max(table), "table", table=tuple(table))


def between(measured: Mapping[int, float], minimum: int, most: int) -> list[float]:
    """A value for each k from `minimum` to `most`, on straight lines between those that were measured."""
    known = sorted(measured.items())
    values = []
    for k in range(minimum, most + 1):
        (left, a), (right, b) = next(pair for pair in zip(known, [*known[1:], known[-1]]) if k <= pair[1][0])
        values.append(a if left == right else a + (b - a) * (k - left) / (right - left))
    return values


def cheapest_table(costs: Sequence[Sequence[float]], minimum: int, total: int) -> list[int]:
    """The k of each layer, `minimum` and more, that sum to `total` with the smallest sum of costs: `costs[layer][i]` is
    that of k = `minimum` + i. By dynamic programming over layers."""
    best: dict[int, tuple[float, list[int]]] = {0: (0.0, [])}
    for cost in costs:
        longer: dict[int, tuple[float, list[int]]] = {}
        for used, (sum_of_costs, table) in best.items():
            for k, added in enumerate(cost, minimum):
                option = sum_of_costs + added, [*table, k]
                if used + k <= total and (used + k not in longer or option < longer[used + k]):
                    longer[used + k] = option
        best = longer
    return best[total][1]
