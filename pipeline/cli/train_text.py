"""What the trainer's commands print for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.text_table import table, told

MEASURE = "bits per byte"
GROUPS = ("overall", "iq", "eq")


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
    return f"{table(rows, [MEASURE, *results])}\n{size}\n{cache}"


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
