"""A ladder of tiny models, and the forecast of one eight times larger, written before it is run.

    python -m benchmarks ladder --tokens tokens --out runs

Three models of the family are trained on the text of `--tokens` with a vocabulary of 512, each as many steps under the
same schedule, and the law of their curves is fitted (`law.json`). The forecast of every step of a model with eight
times the parameters of the largest is written into `forecast.json`; then it is trained with `--forecast`, which
forecasts each evaluation from what the run has shown, and scores both. Nothing is tuned on the large model, and there
is no bar: what is shown is how far off they are.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.branches import LAYERS, LENGTH, VOCABULARY
from benchmarks.elastic_experts import toml
from benchmarks.shared import add, markdown, read_rows
from benchmarks.small_tokens import fit_small, retokenize, texts_of
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import write_bytes

WIDTHS, LARGE = (8, 16, 24), 80  # d_model; parameters of a token without the embedding: 8.6K, 17K, 32K and 254K
SEQUENCES = 4
EXPERTS, FULL_K = 16, 4


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokens", type=Path, required=True, help="a tokens dataset, whose text is trained on")
    parser.add_argument("--steps", type=int, default=600, help=f"of each model, of {SEQUENCES * LENGTH} tokens each")
    parser.add_argument("--every", type=int, default=100, help="steps between evaluations")
    add(parser, "--out")


def run(args: argparse.Namespace) -> dict[str, Any]:
    from trainer.api import ForecastConfig, train
    from trainer.scaling.collapse import collapses
    from trainer.scaling.curves import read_curves
    from trainer.scaling.files import as_json, read_law
    from trainer.scaling.sizes import fit_sizes

    if args.steps < 100 or args.every < 10:
        raise UsageError("--steps must be 100 or more, and --every 10 or more")
    with ExitStack() as stack:
        folder = args.out or Path(stack.enter_context(TemporaryDirectory()))
        tokens = make_data(args.tokens, folder / "data")
        for width in WIDTHS:
            trained = train(written(folder, width, args.steps), tokens, folder / f"{width}", args.steps, device="cpu")
            curves = folder / "curves" / f"{size(width):.0f}"
            curves.mkdir(parents=True, exist_ok=True)
            (curves / "wsd.jsonl").write_bytes((Path(trained["run"]) / "log.jsonl").read_bytes())
        found = read_curves(folder / "curves", [f"{size(width):.0f}" for width in WIDTHS])
        law = folder / "law.json"
        write_bytes(law, readable_json(as_json(fit_sizes(found), collapses(found))))
        schedule = next(iter(found.values()))["wsd"]
        before = read_law(law).of(size(LARGE)).forecast(schedule)
        forecast = {"parameters": size(LARGE), "loss": before.losses.tolist(), "low": before.low.tolist()}
        write_bytes(folder / "forecast.json", readable_json(forecast))
        asked = ForecastConfig(law, args.every)
        summary = train(
            written(folder, LARGE, args.steps), tokens, folder / "large", args.steps, device="cpu", forecast=asked
        )
        rows = list(read_rows(folder / "large/forecast.jsonl"))
    laws = json.loads(law.read_text())["sizes"] if args.out else []
    answer = {"sizes": [*map(size, WIDTHS)], "large": size(LARGE), "laws": laws, "rows": rows, **summary["forecast"]}
    if args.out:
        write_bytes(args.out / "ladder.json", readable_json(answer))
    return answer


def make_data(tokens: Path, folder: Path) -> Path:
    if not (folder / "tokens").exists():
        table, texts = texts_of(tokens)
        fit_small(texts, VOCABULARY, folder / "small.model")
        retokenize(table, texts, folder / "small.model", folder / "tokens")
    return folder / "tokens"


def sections_of(width: int, steps: int) -> dict[str, Any]:
    """The configuration of a model: all widths grow together, rates and schedule stay."""
    decay = steps // 5
    return {
        "model": {
            **{"d_model": width, "n_heads": width // 8, "n_kv_heads": 1, "head_dim": 8, "window": 16},
            **{"d_ff": 3 * width, "n_experts": EXPERTS, "d_ff_expert": width // 2, "d_ff_shared": width // 2},
            "layers": [dict(zip(("attention", "kv_group", "ffn"), layer)) for layer in LAYERS],
        },
        "top_k": {"full_k": FULL_K, "min_k": 2, "full_k_probability": 1.0},
        "data": {"sequence_length": LENGTH, "global_batch_size": SEQUENCES},
        "schedule": {"warmup_steps": steps // 20, "trunk_steps": steps - decay, "decay_steps": decay},
        "optimizer": {"learning_rate": 6e-3},
        "load_balancing": {"bias_update_rate": 1e-2},
        "run": {"threads": 1, "checkpoint_interval_steps": steps},
    }


def size(width: int) -> float:
    """Parameters of a token, without the embedding table."""
    from trainer.config import LayerConfig, ModelConfig
    from trainer.formulas import parameters

    model = sections_of(width, 100)["model"]
    layers = tuple(LayerConfig(**layer) for layer in model["layers"])
    numbers = parameters(ModelConfig(**{**model, "layers": layers}), VOCABULARY, FULL_K)
    return float(numbers.active - numbers.embedding)


def written(folder: Path, width: int, steps: int) -> Path:
    path = folder / f"{width}.toml"
    path.write_text(toml(sections_of(width, steps)))
    return path


def show(found: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"fitted on {', '.join(f'{each:,.0f}' for each in found['sizes'])} parameters; "
        f"predicted: {found['large']:,.0f}, {found['large'] / found['sizes'][-1]:.1f} times the largest\n"
    )
    ahead = {row["step"]: row for row in found["rows"] if "loss" in row}
    scores = [row for row in found["rows"] if "measured" in row]
    header = ["step", "measured", "before the run", "error", "in band", "an evaluation before", "error", "in band"]
    rows = [[row["step"], f"{row['measured']:.4f}", *told(row, ahead[row["step"]])] for row in scores]
    yield from markdown(header, rows)
    yield (
        f"\nbefore the run {found['mae_before']:.4f} nats ({found['relative_before']:.2%}), in the band "
        f"{found['coverage80_before']:.0%}; an evaluation before {found['mae']:.4f} ({found['relative']:.2%}), "
        f"{found['coverage80']:.0%}"
    )


def told(score: Mapping[str, Any], ahead: Mapping[str, Any]) -> list[object]:
    early = [band(ahead["before"]), f"{score['error_before']:+.4f}", "yes" if score["inside_before"] else "no"]
    return [*early, band(ahead), f"{score['error']:+.4f}", "yes" if score["inside"] else "no"]


def band(row: Mapping[str, Any]) -> str:
    return f"{row['loss']:.4f} ({row['low']:.4f} to {row['high']:.4f})"
