"""What the trainer's commands print for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.cli.console import duration, readable_bytes
from pipeline.text_table import table, told

MEASURE = "bits per byte"
GROUPS = ("overall", "iq", "eq")


TRAINED_ON = "warning: the model was trained on this dataset, so these are no measures of text that is new to it"


def evaluation_text(answer: Mapping[str, Any]) -> str:
    """A row for all text, one for each group and domain; a column for each k and each baseline."""
    results: dict[str, Mapping[str, Any]] = {
        **{f"k = {k}": result for k, result in answer["by_k"].items()},
        **answer["baselines"],
    }
    rows = [{MEASURE: name} | {column: result[name] for column, result in results.items()} for name in GROUPS]
    rows += [
        {MEASURE: f"  {domain}"} | {column: result["bits_per_byte"][domain] for column, result in results.items()}
        for domain in answer["bits_per_byte"]
    ]
    used = {column: result.get("active_experts") for column, result in results.items()}
    loads = {column: _mean(result.get("load_imbalance")) for column, result in results.items()}
    rows.append({MEASURE: "experts per token"} | used)
    if answer.get("policy", "fixed") != "fixed":
        ks = {column: result.get("mean_k_by_domain", {}) for column, result in results.items()}
        rows += [{MEASURE: f"  {name}"} | {c: by.get(name) for c, by in ks.items()} for name in answer["bits_per_byte"]]
    rows.append({MEASURE: "largest load / mean load"} | loads)
    size = f"{answer['documents']:,} documents, {answer['bytes']:,} bytes, {answer['tokens']:,} tokens"
    cache = f"{answer['kv_bytes_per_token']:,.0f} bytes of KV cache per token; checkpoint {answer['checkpoint']}"
    warning = f"\n{TRAINED_ON}" if answer.get("trained_on") else ""
    return f"{table(rows, [MEASURE, *results])}\n{size}\n{cache}{warning}"


def _mean(values: Sequence[float] | None) -> float | None:
    return sum(values) / len(values) if values else None


def calibration_text(answer: Mapping[str, Any]) -> str:
    """A line for each value of a calibration's file, and what the policy saves."""
    saved = 1 - answer["mean_k"] / answer["k"]
    more = answer["bits_per_byte"] / answer["bits_per_byte_at_k"] - 1
    rows = {**answer, "experts saved": f"{saved:.1%}", "more bits per byte": f"{more:+.2%}"}
    return training_text({name: value for name, value in rows.items() if value != []})


def training_text(answer: Mapping[str, Any]) -> str:
    """What `train`, `freeze` and `branch` answer, a line for each value; a nested part has one for each of its own."""
    rows = []
    for name, value in answer.items():
        if isinstance(value, Mapping):
            rows += [{"what": f"{name} {inner}", "value": told(one)} for inner, one in value.items()]
        else:
            rows.append({"what": name, "value": f"{value:.4f}" if isinstance(value, float) else told(value)})
    return table(rows, ["what", "value"])


def plan_text(answer: Mapping[str, Any]) -> str:
    """The model's figures, and a row for each number of GPUs."""
    rows = [
        ("parameters", amount(answer["parameters"])),
        ("parameters of a token", f"{amount(answer['active_parameters'])}, embedding included"),
        ("vocabulary", f"{answer['vocab_size']:,}"),
        ("mean k in training", f"{answer['mean_k']:.3g}"),
        ("FLOPs of a token", f"{amount(answer['flops_per_token'])} at {answer['sequence_length']:,} tokens"),
        ("KV cache of a token", f"{readable_bytes(answer['kv_bytes_per_token'])} at {answer['context']:,} in bfloat16"),
        ("tokens of the schedule", amount(answer["tokens"])),
    ]
    about = table([{"what": name, "value": value} for name, value in rows], ["what", "value"])
    inside = f"tokens in {answer['time_days']:g} days"
    on = [
        {
            "GPUs": f"{each['gpus']:,}",
            "memory of each": memory_text(each),
            "tokens/s": amount(each["tokens_per_second"]) if each["sequences"] else None,
            "time": duration(each["days"] * 86400) if each["sequences"] else None,
            inside: amount(each["tokens_in_time"]) if each["sequences"] else None,
        }
        for each in answer["on"]
    ]
    title = f"{answer['gpu']}, MFU {answer['mfu']:.0%}, by arithmetic"
    return f"{about}\n\n{title}\n{table(on, ['GPUs', 'memory of each', 'tokens/s', 'time', inside])}"


def memory_text(on: Mapping[str, Any]) -> str:
    """What each of some GPUs needs, and whether it can run."""
    if on["sequences"] == 0:
        return "more GPUs than sequences a step"
    return readable_bytes(on["memory_bytes"]) + ("" if on["fits"] else " (too much)")


def amount(number: float) -> str:
    """`950`, `12.3 thousand`, `4.5 million`, `1.2 billion`, `15 trillion`."""
    for size, unit in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= size:
            value = number / size
            return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"
    return f"{number:.3g}"
