"""The parts of `infra/demo.sh` that are not refinery commands: the demo's inputs, and its last screen.

python -m pipeline.demo.screen inputs FOLDER CACHE
python -m pipeline.demo.screen summary FOLDER
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.dataset.reader import Dataset
from infra.errors import RefineryError, UsageError
from pipeline.cli.console import say, tell
from pipeline.demo.demo import write_demo_inputs
from pipeline.text_table import table

BRANCHES = ("control", "all-experts")


def main(words: list[str]) -> int:
    try:
        match words:
            case ["inputs", folder, cache]:
                written = write_demo_inputs(Path(folder), Path(cache))
                files = {**written["crawl"], **written["curated"], **written["held_out"]}
                tell(
                    table([{"file": name, "documents": count} for name, count in files.items()], ["file", "documents"])
                )
            case ["summary", folder]:
                tell(summary(Path(folder)))
            case _:
                raise UsageError("pipeline.demo.screen takes: inputs FOLDER CACHE, or summary FOLDER")
    except RefineryError as error:
        say(f"demo: {error}")
        return error.exit_code
    return 0


def summary(folder: Path) -> str:
    """The funnel of each recipe, the mixture, the losses, and the paths of the results."""
    comparison = read(folder / "compare" / "comparison.json")
    evaluations = {name: read(folder / f"evaluation-{name}.json") for name in BRANCHES}
    parts = [
        *(funnel(name, recipe) for name, recipe in comparison["recipes"].items()),
        ratios(comparison),
        mixture(Dataset(folder / "mixture").manifest.extra["mixture"]),
        losses(evaluations),
        f"a few lines from the control branch:\n{(folder / 'generated.txt').read_text().strip()}",
        paths(folder),
    ]
    return "\n\n".join(parts)


def read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise UsageError(f"{path} is missing or broken: run `make demo` again") from None


def funnel(name: str, recipe: Mapping[str, Any]) -> str:
    return f"{name}: what remained after each step\n" + table(
        recipe["funnel"], ["stage", "step", "docs", "chars", "tokens"]
    )


def ratios(comparison: Mapping[str, Any]) -> str:
    mine = comparison["ratio"]["yi"]
    lines = [f"yi / {other}: {n['docs']} of the documents, {n['tokens']} of the tokens" for other, n in mine.items()]
    return "\n".join(lines)


def mixture(plan: Mapping[str, Any]) -> str:
    rows = [
        {"of": kind, "what": name, "share of tokens": f"{share:.1%}"}
        for kind in ("source", "axis", "domain")
        for name, share in plan["shares"][kind].items()
    ]
    return "the mixture\n" + table(rows, ["of", "what", "share of tokens"])


def losses(evaluations: Mapping[str, Mapping[str, Any]]) -> str:
    """Bits per byte on held-out text: each branch at each k, beside a unigram model and gzip."""
    rows = [
        {"model": f"branch {name}, {k} experts", "iq": row["iq"], "eq": row["eq"]}
        for name, answer in evaluations.items()
        for k, row in answer["by_k"].items()
    ]
    rows += [
        {"model": name, "iq": row["iq"], "eq": row["eq"]} for name, row in evaluations["control"]["baselines"].items()
    ]
    return "bits per byte on held-out text\n" + table(rows, ["model", "iq", "eq"])


def paths(folder: Path) -> str:
    rows = [
        {"what": "dataset manifest", "where": str(folder / "tokens" / "manifest.json")},
        {"what": "report", "where": str(folder / "report.html")},
        {"what": "checkpoint", "where": str(folder / "branches" / "control")},
    ]
    return table(rows, ["what", "where"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
