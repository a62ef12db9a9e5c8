"""The one way to run a benchmark: `python -m benchmarks NAME [options]`; without a name, what there is.

A benchmark is a module whose docstring says in its first line what it shows. It has `options(parser)`, `run(args)`,
which returns what was found as JSON would have it, and `show(found)`, the lines that people read. An answer with
`"passed": false` and damaged data are exit code 1, a mistake of the user's 2.
"""

import argparse
import ast
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from infra.errors import RefineryError

NAMES: Final = (
    "pipeline_speed",
    "pipeline_profile",
    "signals_speed",
    "segmenter_speed",
    "minhash_speed",
    "substring_speed",
    "dedup_scale",
    "dedup_table",
    "dedup_order",
    "removed_pairs",
    "components",
    "dedup_index",
    "audit_error",
    "pool_speed",
    "draws",
    "loader_speed",
    "engines",
    "stage_speed",
    "train_step",
    "synthetic_snapshot",
    "parity",
    "forecast",
    "elastic_experts",
    "branches",
    "ladder",
    "law_tables",
    "law_bands",
    "distributions",
    "budget_map",
    "decode_speed",
    "extraction",
    "readability",
    "confidence",
    "structure",
    "side_by_side",
    "markdown_decisions",
    "prefilter",
    "prefilter_fit",
    "language",
    "topics",
    "topic_adapt",
    "topic_texts",
    "topic_vectors",
    "wrong_labels",
    "fit_blocks",
    "masks",
    "scorers",
    "quality",
    "grades",
    "kept_grades",
    "kept_types",
    "signal_grades",
    "hate",
    "keep_rates",
    "attention_cost",
    "training_memory",
    "training_plans",
)


def claim(name: str) -> str:
    """The first line of the module's docstring; nothing is imported for it."""
    text = Path(__file__).with_name(f"{name}.py").read_text()
    return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]


def parsed(name: str, words: Sequence[str]) -> tuple[Any, argparse.Namespace]:
    """The benchmark's module, and its options."""
    module: Any = import_module(f"benchmarks.{name}")
    parser = argparse.ArgumentParser(
        f"python -m benchmarks {name}", None, module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.options(parser)
    parser.add_argument("--json", action="store_true", help="the answer as one JSON document")
    return module, parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    if not words or words[0] not in NAMES:
        print("python -m benchmarks NAME [options]; --help after a name says more\n")
        print("\n".join(f"{name:19} {claim(name)}" for name in NAMES))
        return 0 if words in ([], ["--help"]) else 2
    os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: figures are of one thread
    module, args = parsed(words[0], words[1:])
    try:
        found = module.run(args)
    except RefineryError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        print("\n".join(module.show(found)))
    return int(isinstance(found, dict) and found.get("passed") is False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
