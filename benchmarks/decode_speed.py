"""Tokens a second of prefill and decoding, and bytes of caches, beside twins with full attention in every layer.

    python -m benchmarks decode_speed [--contexts 1024 2048 4096 8192 16384] [--config base --vocab 100000]

All models have random weights. The full twin has full attention in every layer and a cache for each. The dense twin has
dense layers with as many active parameters in place of experts as well: an ordinary transformer. Without --config the
model is a small one of the family: 8 layers, windows of 1,024 tokens, 80 experts and 12 a token.

The caches hold the context, then tokens are decoded one at a time, each by all models in turn, so that what else the
machine does is in all of them. Seconds on a CPU are CPU seconds of one thread, on a GPU those of the clock. A rate is
that of the median step; the model's over another's is the median over steps of their ratio. `passed`: the live
bytes of every cache are those of `kv_bytes`.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import torch

from benchmarks.shared import add
from pipeline.text_table import table
from trainer.cache import Caches, kv_bytes
from trainer.config import Config, LayerConfig, ModelConfig, hybrid_layers
from trainer.device import COMPUTE_DTYPES, choose_device
from trainer.generate import decode_step, for_inference, prefill
from trainer.model import Transformer, initialise
from trainer.policies import KPolicy
from trainer.start import config_file, set_environment

SMALL = ModelConfig(
    d_model=256, n_heads=8, n_kv_heads=2, head_dim=32, window=1024, d_ff=1024,
    n_experts=80, d_ff_expert=64, d_ff_shared=256, layers=hybrid_layers(2),
)  # fmt: skip
COLUMNS = [
    "context", "model", "prefill tokens/s", "decode tokens/s", "cache bytes",
    "prefill: model / it", "decode: model / it", "bytes: model / it",
]  # fmt: skip


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--contexts", nargs="+", type=int, default=[2**n for n in range(10, 15)])
    parser.add_argument("--config", help="a shipped configuration or a file, in place of the small model")
    parser.add_argument("--vocab", type=int, default=4096, help="tokens of the vocabulary")
    parser.add_argument("--k", type=int, default=12, help="experts of a token")
    parser.add_argument("--tokens", type=int, default=32, help="decoded after each context")
    parser.add_argument("--sequences", type=int, default=1, help="of a batch")
    parser.add_argument("--dtype", choices=[*COMPUTE_DTYPES], default="float32")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    add(parser, "--repeats", default=2)


def run(args: argparse.Namespace) -> dict[str, Any]:
    set_environment()
    torch.set_num_threads(1)
    device, dtype = choose_device(args.device), COMPUTE_DTYPES[args.dtype]
    config = Config.read(config_file(args.config)).model if args.config else SMALL
    k = min(args.k, config.n_experts)
    models = {}
    for name, each in {"model": config, "full twin": full_twin(config), "dense twin": dense_twin(config, k)}.items():
        model = Transformer(each, args.vocab, dtype)
        initialise(model, torch.Generator().manual_seed(0))
        models[name] = for_inference(model, dtype).to(device)
    rows = []
    with torch.inference_mode():
        for length in args.contexts:
            prefills, steps = measured(models, length, KPolicy(k), args)
            for name, model in models.items():
                caches = Caches(model.config, args.sequences, length, dtype, device)
                rows.append(
                    {
                        "context": length,
                        "model": name,
                        "prefill tokens/s": args.sequences * length / median(prefills[name]),
                        "decode tokens/s": args.sequences / median(steps[name]),
                        "decode: model / it": median(its / own for its, own in zip(steps[name], steps["model"])),
                        "cache bytes": caches.allocated_bytes,
                        "formula": args.sequences * kv_bytes(model.config, length, dtype.itemsize),
                    }
                )
    device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu, one thread"
    passed = all(row["cache bytes"] == row["formula"] for row in rows)
    return {"device": device_name, "dtype": args.dtype, "k": k, "rows": rows, "passed": passed}


def measured(
    models: Mapping[str, Transformer], length: int, policy: KPolicy, args: argparse.Namespace
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of each prefill of `length` tokens a sequence, and of each step of decoding after it, by model."""
    prefills: dict[str, list[float]] = {name: [] for name in models}
    steps: dict[str, list[float]] = {name: [] for name in models}
    generator = torch.Generator().manual_seed(length)
    for _ in range(args.repeats):
        caches = {}
        for name, model in models.items():
            device, vocab = model.head.device, model.head.shape[0]
            prompts = torch.randint(vocab, (args.sequences, length), generator=generator).tolist()
            caches[name] = Caches(model.config, args.sequences, length + args.tokens, model.dtype, device)
            prefills[name].append(seconds(partial(prefill, model, prompts, caches[name], policy), device))
        for _ in range(args.tokens):
            token_B1 = torch.randint(vocab, (args.sequences, 1), generator=generator).to(device)
            for name, model in models.items():
                steps[name].append(seconds(partial(decode_step, model, token_B1, caches[name], policy), device))
    return prefills, steps


def seconds(work: Callable[[], object], device: torch.device) -> float:
    if device.type != "cuda":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start


def full_twin(config: ModelConfig) -> ModelConfig:
    """Full attention in every layer, and no layer reads another's keys and values."""
    return replace(config, layers=tuple(LayerConfig("full", i, layer.ffn) for i, layer in enumerate(config.layers)))


def dense_twin(config: ModelConfig, k: int) -> ModelConfig:
    """The full twin with dense layers as wide as the experts of a token and the shared one together."""
    layers = tuple(LayerConfig("full", i, "dense") for i in range(len(config.layers)))
    return replace(config, d_ff=config.d_ff_shared + k * config.d_ff_expert, layers=layers)


def show(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['device']}, {found['dtype']}, k = {found['k']}"
    rows = []
    for row in found["rows"]:
        (own,) = (each for each in found["rows"] if (each["context"], each["model"]) == (row["context"], "model"))
        names = {"prefill": "prefill tokens/s", "bytes": "cache bytes"}
        shares = {f"{short}: model / it": f"{own[name] / row[name]:.2f}" for short, name in names.items()}
        shares["decode: model / it"] = f"{row['decode: model / it']:.2f}"
        rates = {name: round(row[name]) for name in ("prefill tokens/s", "decode tokens/s")}
        rows.append({**row, **rates, **shares})
    yield table(rows, COLUMNS)
    yield f"live bytes are those of the formula: {'yes' if found['passed'] else 'no'}"
