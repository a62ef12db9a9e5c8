"""What each shipped configuration takes, by arithmetic: parameters, FLOPs, KV bytes, memory, time on 1 to 2,000 GPUs.

    python -m benchmarks training_plans [--mfu 0.25 --gpu h100]

Nothing is run: the figures are those of `refinery plan-training`, with the vocabularies of `VOCABULARIES`. The time is
that of the configuration's schedule; the tokens are those of six weeks, which on 2,000 GPUs are what Yi-Lightning's
training is said to have taken.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from benchmarks.shared import markdown
from pipeline.cli.console import duration, readable_bytes
from pipeline.cli.train_text import amount, memory_text
from trainer.start import config_file

# Tokens of the tokenizer that a corpus of the model's size would have; the dataset's own in a run.
VOCABULARIES = {"tiny": 8192, "small": 32768, "base": 65536, "yi-lightning-like": 100_352}
DAYS = 42.0
CPUS = "tiny"  # of GPUs it has no use


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mfu", type=float, default=0.25, help="the share of the GPUs' peak that is reached")
    parser.add_argument("--gpu", default="h100")


def run(args: argparse.Namespace) -> dict[str, Any]:
    from trainer.plan import GPUS, plan_training

    def planned(name: str, vocab_size: int) -> dict[str, Any]:
        return plan_training(config_file(name), None, vocab_size, GPUS, args.gpu, args.mfu, DAYS)

    return {"plans": {name: planned(name, vocab_size) for name, vocab_size in VOCABULARIES.items()}}


def show(found: dict[str, Any]) -> Iterator[str]:
    plans = found["plans"]
    yield from markdown(
        ["", *plans],
        [
            ["layers", *(plan["layers"] for plan in plans.values())],
            ["vocabulary", *(f"{plan['vocab_size']:,}" for plan in plans.values())],
            ["parameters", *(amount(plan["parameters"]) for plan in plans.values())],
            ["parameters of a token", *(amount(plan["active_parameters"]) for plan in plans.values())],
            ["the same without the embedding", *(amount(without_embedding(plan)) for plan in plans.values())],
            ["sequence length", *(f"{plan['sequence_length']:,}" for plan in plans.values())],
            ["FLOPs of a token in training", *(amount(plan["flops_per_token"]) for plan in plans.values())],
            ["KV cache of a token, bfloat16", *(cache(plan) for plan in plans.values())],
            ["tokens of the schedule", *(amount(plan["tokens"]) for plan in plans.values())],
        ],
    )
    yield ""
    header = ["configuration", "GPUs", "memory of each", "tokens/s", "time of the schedule", "tokens in six weeks"]
    yield from markdown(header, (row(name, on) for name, plan in plans.items() if name != CPUS for on in plan["on"]))


def without_embedding(plan: dict[str, Any]) -> int:
    return int(plan["active_parameters"] - plan["embedding_parameters"])


def cache(plan: dict[str, Any]) -> str:
    return f"{readable_bytes(plan['kv_bytes_per_token'])} at {plan['context']:,}"


def row(name: str, on: dict[str, Any]) -> list[str]:
    return [
        name,
        f"{on['gpus']:,}",
        memory_text(on),
        *(
            (amount(on["tokens_per_second"]), duration(on["days"] * 86400), amount(on["tokens_in_time"]))
            if on["sequences"]
            else ("", "", "")
        ),
    ]
